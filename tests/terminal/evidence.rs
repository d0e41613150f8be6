//! The evidence of a session whose recording is in an object store.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use openpam_tests::{Stack, World, eventually, proxy::Fault};

use super::stores::{Store, becomes};

/// Who has the file needs neither the bucket nor the hub; who makes it needs no copy of the bucket.
#[tokio::test]
async fn the_evidence_of_a_session_has_its_recording_from_the_bucket() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let store = Store::new(&stack, false).await?;
    let world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.run("echo evidence").await?;
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(10)).await?;
    let recording = becomes(&world.admin, &session, "complete").await?;
    let path = store.path(&recording)?;
    let parts = store.bucket.keys(&path).await?;
    // What somebody else put below it is no part of it.
    store.bucket.put(&format!("{path}/other/0000000000.segment"), b"another").await?;
    let file = world.hub.folder().join("evidence");
    let out = file.to_str().context("a path that is no text")?;
    let export = ["evidence", "export", "--tenant", &world.options.tenant, "--session", &session, "--out", out];
    let said = eventually("the session is signed", Duration::from_secs(20), || async {
        match world.hub.command(&export, None).await {
            Err(error) if format!("{error:#}").contains("signed yet") => Ok(None),
            said => said.map(Some),
        }
    })
    .await?;
    ensure!(said.contains(&format!(" {} segments", parts.len() - 1)), "{said}, and the bucket has {parts:?}");
    let key = world.admin.get("/audit/ledger").await?["public_keys"][0].as_str().unwrap_or_default().to_owned();
    let check = ["evidence", "verify", out, "--trust", &key, "--session", &session];
    // On a machine that has neither configuration nor store.
    let checked = tokio::process::Command::new(openpam_tests::hub::binary()?).args(check).env_clear().output().await?;
    let told = String::from_utf8_lossy(&checked.stdout);
    ensure!(checked.status.success(), "{told}");
    ensure!(told.contains("recording: consistent") && told.contains("ledger: intact"), "{told}");
    // While the store is away there is no file that looks like one.
    let elsewhere = world.hub.folder().join("elsewhere");
    let out = elsewhere.to_str().context("a path that is no text")?;
    let export = ["evidence", "export", "--tenant", &world.options.tenant, "--session", &session, "--out", out];
    store.proxy.set(Fault::Refuse);
    let away = world.hub.command(&export, None).await;
    store.proxy.set(Fault::None);
    ensure!(away.is_err_and(|error| format!("{error:#}").contains("the store of recordings cannot be read")));
    ensure!(!elsewhere.exists(), "a part of it is no evidence");
    Ok(())
}
