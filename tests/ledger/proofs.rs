//! What is given out: proofs that a stranger can check, evidence of a session, checkpoints kept elsewhere.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use openpam_ledger::{
    BundleReader, BundleWriter, Checkpoint, Hash, LedgerName, Log, Signers, TreeHead, leaf_hash, verify_consistency,
    verify_inclusion,
};
use openpam_tests::{HubOptions, World, eventually, hub::Folder, unique, vault::VaultAdmin};
use serde_json::Value;

use super::{number, settled, unguarded, verify, write_events};

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

fn hash(value: &Value) -> anyhow::Result<Hash> {
    value.as_str().and_then(Hash::from_base64).with_context(|| format!("{value} is no hash"))
}

fn hashes(value: &Value) -> anyhow::Result<Vec<Hash>> {
    value.as_array().context("no list")?.iter().map(hash).collect()
}

#[tokio::test]
async fn the_api_gives_proofs_that_hold_and_a_checkpoint_that_is_signed() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 600).await?;
    settled(&world.database).await?;
    let standing = world.admin.get("/audit/ledger").await?;
    let size = standing["signed"].as_u64().context("nothing is signed")?;
    ensure!(size >= 600 && standing["state"] == "leading", "{standing}");
    for seq in [0, 1, 255, 256, 511, 599] {
        let place = world.admin.get(&format!("/audit/entries/{seq}")).await?;
        let canonical = BASE64.decode(place["canonical"].as_str().context("no bytes")?)?;
        let leaf = leaf_hash(&canonical);
        for tree in [size, size - 1, 600] {
            let proof = world.admin.get(&format!("/audit/entries/{seq}/proof?size={tree}")).await?;
            ensure!(hash(&proof["leaf_hash"])? == leaf, "entry {seq}: {proof}");
            verify_inclusion(&leaf, seq, tree, &hash(&proof["root"])?, &hashes(&proof["hashes"])?)
                .with_context(|| format!("entry {seq} in the tree of {tree}"))?;
        }
    }
    for (old, new) in [(1, size), (256, 257), (300, 600), (0, size), (size, size)] {
        let proof = world.admin.get(&format!("/audit/consistency?old={old}&new={new}")).await?;
        let head = |size, root: &str| anyhow::Ok(TreeHead { size, root: hash(&proof[root])? });
        verify_consistency(&head(old, "old_root")?, &head(new, "new_root")?, &hashes(&proof["hashes"])?)
            .with_context(|| format!("{old} to {new}"))?;
    }
    let note = world.admin.text("/audit/checkpoint").await?;
    let name = LedgerName::new(standing["name"].as_str().context("no name")?).context("no ledger's name")?;
    let key = BASE64.decode(standing["public_keys"][0].as_str().context("no key")?)?;
    let log_keys = vec![key.try_into().map_err(|_| anyhow::anyhow!("a key has another length"))?];
    let trusted = Signers::Trusted { log_keys, witnesses: Vec::new(), needed: 0 };
    let verified = trusted.verify(&name, Log::Tenant(tenant), note.as_bytes())?;
    let checkpoint: Checkpoint = verified.checkpoint;
    ensure!(checkpoint.head().size >= size, "the checkpoint is older than what was said to be signed");
    let stranger = Signers::Trusted { log_keys: vec![[7; 32]], witnesses: Vec::new(), needed: 0 };
    ensure!(stranger.verify(&name, Log::Tenant(tenant), note.as_bytes()).is_err(), "any key would do");
    let missing = world.admin.call(http::Method::GET, &format!("/audit/entries/{}", 1_u64 << 40), None).await?;
    missing.problem(http::StatusCode::NOT_FOUND, "not_found")?;
    let (_, other) = world.another_tenant().await?;
    let event =
        world.admin.get("/audit/entries?limit=1").await?["items"][0]["id"].as_str().unwrap_or_default().to_owned();
    eventually("the event has its place", Duration::from_secs(10), || async {
        let answer = world.admin.call(http::Method::GET, &format!("/audit/events/{event}/entry"), None).await?;
        Ok((answer.status == http::StatusCode::OK).then_some(()))
    })
    .await?;
    let foreign = other.call(http::Method::GET, &format!("/audit/events/{event}/entry"), None).await?;
    foreign.problem(http::StatusCode::NOT_FOUND, "not_found")?;
    Ok(())
}

#[tokio::test]
async fn the_trail_is_exported_as_json_lines_and_as_csv_and_the_export_is_in_it() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 2_300).await?;
    let lines = world.admin.text("/audit/export?format=jsonl&action=test.event").await?;
    let numbers = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line)?["detail"]["number"].as_u64().context("no number"))
        .collect::<anyhow::Result<std::collections::BTreeSet<_>>>()?;
    ensure!(numbers.len() == 2_300 && lines.lines().count() == 2_300, "{} of 2300 events", numbers.len());
    let csv = world.admin.text("/audit/export?format=csv&action=test.event").await?;
    ensure!(csv.lines().count() == 2_301 && csv.starts_with("id,occurred_at,"), "{} lines", csv.lines().count());
    let own = world.admin.text("/audit/export?format=jsonl&action=audit.export").await?;
    let own: Value = serde_json::from_str(own.lines().next().context("the export is not in the trail")?)?;
    ensure!(own["detail"]["action"] == "audit.export" && own["detail"]["format"] == "jsonl", "{own}");
    let found = world.admin.list("/audit/entries?q=%22number%22%3A%201234").await?;
    ensure!(found.len() == 1, "the detail is searched: {} found", found.len());
    let nobody = world.person(&[], &[]).await?;
    let refused = nobody.client.call(http::Method::GET, "/audit/export?format=csv", None).await?;
    refused.problem(http::StatusCode::FORBIDDEN, "forbidden")?;
    Ok(())
}

async fn openpam(arguments: &[&str]) -> anyhow::Result<(bool, String)> {
    let (code, text) = openpam_code(arguments).await?;
    Ok((code == Some(0), text))
}

async fn openpam_code(arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let output = tokio::process::Command::new(openpam_tests::hub::binary()?)
        .args(arguments)
        // A machine that has nothing else.
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code(), text))
}

/// The bundle without the sections whose names begin like that.
fn without(bundle: &[u8], prefix: &str) -> anyhow::Result<Vec<u8>> {
    let mut reader = BundleReader::new(bundle)?;
    let mut writer = BundleWriter::new(Vec::new())?;
    while let Some(section) = reader.section()? {
        if !section.name.starts_with(prefix) {
            writer.section(&section.name, &section.body)?;
        }
    }
    Ok(writer.finish()?)
}

#[tokio::test]
async fn the_evidence_of_a_session_is_checked_where_nothing_else_is() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.run("echo evidence").await?;
    terminal.type_line("exit 0").await?;
    terminal.end(Duration::from_secs(10)).await?;
    eventually("the recording is closed", Duration::from_secs(30), || async {
        let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
        Ok((recording["state"] == "complete").then_some(()))
    })
    .await?;
    write_events(&world.database, tenant, 300).await?;
    settled(&world.database).await?;
    let file = world.hub.folder().join("evidence");
    let path = file.to_str().context("a path that is no text")?;
    let arguments = ["evidence", "export", "--tenant", &world.options.tenant, "--session", &session, "--out", path];
    // Who asks for it is told before anything is read, also where nothing comes of it.
    let nowhere =
        ["evidence", "export", "--tenant", &world.options.tenant, "--session", &session, "--out", "/proc/none"];
    ensure!(world.hub.command(&nowhere, None).await.is_err(), "a file was made in /proc");
    let told = number(&world.database, "select count(*) from audit_events where action = 'evidence.export'").await?;
    ensure!(told == 1, "{told} exports are told of");
    let said = world.hub.command(&arguments, None).await?;
    ensure!(!said.contains(" 0 segments"), "the recording is in it: {said}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file)?.permissions());
    ensure!(mode & 0o077 == 0, "others may read the evidence: {mode:o}");
    let key = world.admin.get("/audit/ledger").await?["public_keys"][0].as_str().unwrap_or_default().to_owned();
    let check = ["evidence", "verify", path, "--trust", &key, "--verbose"];
    let (sound, text) = openpam(&check).await?;
    ensure!(sound, "{text}");
    for expected in ["ledger: intact", "session.authorize", "row.insert", "recording.close", "recording: consistent"] {
        ensure!(text.contains(expected), "expected “{expected}” in:\n{text}");
    }
    let stranger = BASE64.encode([7_u8; 32]);
    let (sound, text) = openpam(&["evidence", "verify", path, "--trust", &stranger]).await?;
    ensure!(!sound, "it was trusted by another key:\n{text}");
    let (sound, text) = openpam(&["audit", "verify", "--offline", path, "--trust", &key]).await?;
    ensure!(sound && text.contains("ledger: intact"), "{text}");
    // Whoever trusts no key has verified nothing.
    for arguments in [&["evidence", "verify", path][..], &["audit", "verify", "--offline", path]] {
        let (code, text) = openpam_code(arguments).await?;
        ensure!(code == Some(2), "{arguments:?}: {code:?}\n{text}");
        ensure!(!text.contains("nothing is wrong") && text.contains("not verified"), "{text}");
    }
    // It is about this session, and no other.
    let (sound, text) = openpam(&["evidence", "verify", path, "--trust", &key, "--session", &session]).await?;
    ensure!(sound && text.contains(&session), "{text}");
    let other = uuid::Uuid::from_u128(5).to_string();
    let (sound, text) = openpam(&["evidence", "verify", path, "--trust", &key, "--session", &other]).await?;
    ensure!(!sound && text.contains("session_not_in_bundle"), "{text}");
    // The recording was closed with segments: they cannot be taken out unnoticed.
    let stripped = world.hub.folder().join("stripped");
    std::fs::write(&stripped, without(&std::fs::read(&file)?, "recording/")?)?;
    let stripped = stripped.to_str().context("a path that is no text")?;
    let (sound, text) = openpam(&["evidence", "verify", stripped, "--trust", &key]).await?;
    ensure!(!sound && text.contains("recording_missing"), "{text}");
    let allowed = ["evidence", "verify", stripped, "--trust", &key, "--without-recording"];
    let (sound, text) = openpam(&allowed).await?;
    ensure!(sound && text.contains("the recording was left out"), "{text}");
    // A byte anywhere.
    let bytes = std::fs::read(&file)?;
    for place in (0..16).map(|part| 20 + part * (bytes.len() - 40) / 16) {
        let mut changed = bytes.clone();
        changed[place] ^= 0x40;
        std::fs::write(&file, changed)?;
        let (sound, text) = openpam(&check).await?;
        ensure!(!sound, "byte {place} of {} was changed unnoticed:\n{text}", bytes.len());
    }
    std::fs::write(&file, &bytes)?;
    let again = world.hub.command(&arguments, None).await;
    ensure!(again.is_err(), "a file that is there was written over");
    Ok(())
}

/// Everything of the ledger behind a place is gone, checkpoints and the system's log included, as after a restore
/// from a backup; only what was kept elsewhere knows. To be said unguarded.
pub(super) fn rolled_back(size: i64) -> String {
    format!(
        "delete from audit_events where audit_event_id in (select event_id from ledger_entries where seq >= {size});
         delete from row_changes where row_change_id in (select event_id from ledger_entries where seq >= {size});
         delete from ledger_entries where seq >= {size};
         delete from ledger_tiles where (index + 1) * 256 > {size};
         delete from ledger_system_checkpoints where size > (select min(seq) from ledger_system_leaves l where l.size > {size});
         delete from ledger_system_leaves where seq >= (select min(seq) from ledger_system_leaves l where l.size > {size});
         delete from ledger_checkpoints where size > {size};"
    )
}

#[tokio::test]
async fn what_was_rolled_back_is_told_by_the_anchor_and_not_signed_again() -> anyhow::Result<()> {
    let folder = Folder(std::env::temp_dir().join(unique("openpam-test-anchor")));
    std::fs::create_dir_all(&folder.0)?;
    let file = folder.0.join("anchor");
    let mut options = HubOptions::default();
    options.ledger.insert("anchor_file", format!("\"{}\"", file.display()));
    options.ledger.insert("anchor_interval_seconds", "1".to_owned());
    let mut world = World::start(options).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    // Up to here a backup was made.
    let size = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    let frontier = world.database.by_hand("select encode(frontier, 'hex') from ledger_heads").await?;
    let at_backup = number(&world.database, "select size from ledger_heads").await?;
    ensure!(at_backup == size, "the backup is of a ledger that is signed: {at_backup} and {size}");
    write_events(&world.database, tenant, 100).await?;
    settled(&world.database).await?;
    eventually("the checkpoint is anchored", Duration::from_secs(10), || async {
        let anchored = anchored(&file, tenant)?;
        Ok((anchored >= size + 100).then_some(()))
    })
    .await?;
    world.hub.terminate().await?;
    ensure!(verify(&world.hub, &[]).await?.sound, "before anything");
    world
        .database
        .by_hand(&unguarded(&format!(
            "{} update ledger_heads set size = {size}, frontier = decode('{frontier}', 'hex')",
            rolled_back(size)
        )))
        .await?;
    let told = verify(&world.hub, &[]).await?;
    ensure!(!told.sound && told.text.contains("  truncated: "), "the anchor knows of more:\n{}", told.text);
    // An anchor that is gone is no reason to find nothing.
    let kept = folder.0.join("kept");
    std::fs::rename(&file, &kept)?;
    let blind = verify(&world.hub, &[]).await?;
    ensure!(!blind.sound && blind.text.contains("  anchor_missing: "), "{}", blind.text);
    let given = verify(&world.hub, &["--anchor", kept.to_str().unwrap_or_default()]).await?;
    ensure!(!given.sound && given.text.contains("  truncated: "), "{}", given.text);
    std::fs::rename(&kept, &file)?;
    // A hub that begins to lead on it signs nothing.
    let mut hub = world.another_hub().await?;
    hub.wait_for_log(&["the ledger is not the one that is anchored"]).await?;
    write_events(&world.database, tenant, 10).await?;
    eventually("events still get their places", Duration::from_secs(10), || async {
        Ok((number(&world.database, "select size from ledger_heads").await? >= size + 10).then_some(()))
    })
    .await?;
    ensure!(number(&world.database, "select max(size) from ledger_checkpoints").await? == size, "a fork was signed");
    let ready: Value = reqwest::get(format!("{}/readyz", hub.url())).await?.json().await?;
    ensure!(ready["ledger"]["state"] == "behind_anchor" && ready["ready"] == true, "{ready}");
    ensure!(ready["ledger"]["anchored"] == true, "{ready}");
    // An administrator begins a ledger of another name. Only where the configuration says what it was called before.
    let before = world.database.by_hand("select name from ledger_leader").await?;
    let resume = ["audit", "resume", "--after-restore", "--reason", "a test"];
    let led = hub.command(&resume, None).await;
    ensure!(led.is_err_and(|error| format!("{error:#}").contains("former_names")), "a name was not asked for");
    world.options.ledger.insert("name", "\"restored.example/ledger\"".to_owned());
    world.options.ledger.insert("former_names", format!("[\"{before}\"]"));
    let prepared = world.prepared().await?;
    let led = prepared.run(&resume, None).await;
    ensure!(
        led.is_err_and(|error| format!("{error:#}").contains("a hub leads the ledger")),
        "it began while one leads"
    );
    hub.terminate().await?;
    eventually("a ledger begins anew", Duration::from_secs(20), || async {
        Ok(prepared.run(&resume, None).await.ok())
    })
    .await?;
    let kept = "select count(*) from information_schema.tables where table_schema like 'openpam_ledger_%'";
    ensure!(number(&world.database, kept).await? == 5, "the ledger before is not kept");
    let hub = prepared.start().await?;
    settled(&world.database).await?;
    let told = verify(&hub, &[]).await?;
    ensure!(told.sound && told.text.contains(&format!("the former ledger {before} went to ")), "{}", told.text);
    eventually("its checkpoints are anchored", Duration::from_secs(10), || async {
        Ok(std::fs::read_to_string(&file)?.contains("restored.example/ledger/").then_some(()))
    })
    .await?;
    let resumed = "select count(*) from audit_events where action = 'ledger.resume' and detail ->> 'reason' = 'a test'";
    ensure!(number(&world.database, resumed).await? == 1, "it is not in the ledger");
    // A configuration that does not know of it is told.
    let unknowing = verify(&world.hub, &[]).await?;
    ensure!(!unknowing.sound && unknowing.text.contains("  anchor_unused: "), "{}", unknowing.text);
    world.database.by_hand("update ledger_leader set name = 'another/ledger'").await?;
    let renamed = verify(&hub, &[]).await?;
    ensure!(!renamed.sound && renamed.text.contains("  name_differs: "), "{}", renamed.text);
    Ok(())
}

async fn anchoring(folder: &Folder) -> anyhow::Result<(World, std::path::PathBuf, uuid::Uuid)> {
    std::fs::create_dir_all(&folder.0)?;
    let file = folder.0.join("anchor");
    let mut options = HubOptions::default();
    options.ledger.insert("anchor_file", format!("\"{}\"", file.display()));
    options.ledger.insert("anchor_interval_seconds", "1".to_owned());
    let world = World::start(options).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 50).await?;
    settled(&world.database).await?;
    eventually("the checkpoint is anchored", Duration::from_secs(10), || async {
        Ok((anchored(&file, tenant)? >= 50).then_some(()))
    })
    .await?;
    Ok((world, file, tenant))
}

#[tokio::test]
async fn nothing_is_signed_without_the_anchor_that_took_checkpoints() -> anyhow::Result<()> {
    let folder = Folder(std::env::temp_dir().join(unique("openpam-test-anchor")));
    let (mut world, file, tenant) = anchoring(&folder).await?;
    // While it leads: the file is not begun anew.
    std::fs::rename(&file, folder.0.join("kept"))?;
    write_events(&world.database, tenant, 10).await?;
    world.hub.wait_for_log(&["the ledger is not the one that is anchored"]).await?;
    ensure!(!file.exists(), "a new file was begun in the place of the one that is gone");
    // When it begins to lead.
    world.hub.terminate().await?;
    let signed = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    let hub = world.another_hub().await?;
    hub.wait_for_log(&["the ledger is not the one that is anchored", "the anchor has not what it took"]).await?;
    write_events(&world.database, tenant, 10).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(
        number(&world.database, "select max(size) from ledger_checkpoints").await? == signed,
        "it was signed without its anchor"
    );
    ensure!(!verify(&world.hub, &[]).await?.sound, "the anchor is gone");
    std::fs::write(&file, "")?;
    let emptied = verify(&world.hub, &[]).await?;
    ensure!(!emptied.sound && emptied.text.contains("  anchor_incomplete: "), "{}", emptied.text);
    // It is back.
    std::fs::rename(folder.0.join("kept"), &file)?;
    settled(&world.database).await?;
    let verified = verify(&world.hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}

#[tokio::test]
async fn an_anchor_of_which_nothing_is_used_is_a_finding_and_stops_signing() -> anyhow::Result<()> {
    let folder = Folder(std::env::temp_dir().join(unique("openpam-test-anchor")));
    let (mut world, _, tenant) = anchoring(&folder).await?;
    world.hub.terminate().await?;
    ensure!(verify(&world.hub, &[]).await?.sound, "before anything");
    // The ledger under another name: all that was anchored is of another. Its own notes are made to fit by hand
    // where the attacker has a key; here they need not, since the anchor alone is looked at.
    world.database.by_hand("update ledger_leader set name = 'another/ledger'").await?;
    let renamed = verify(&world.hub, &[]).await?;
    ensure!(!renamed.sound && renamed.text.contains("  anchor_unused: "), "{}", renamed.text);
    let signed = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    let hub = world.another_hub().await?;
    // The vault knows its name too.
    hub.wait_for_log(&["the stored ledger is not the one that was signed before"]).await?;
    write_events(&world.database, tenant, 10).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let now = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    ensure!(now == signed, "a ledger of another name was signed");
    drop(hub);
    // Where the vault has forgotten it, the anchor tells.
    let key = world.database.by_hand("select vault_path from ledger_keys where retired_at is null").await?;
    let openbao = &world.stack.servers.openbao;
    let name = format!("{}/metadata/{key}.name", openbao.kv_mount);
    VaultAdmin::new(openbao)?.call(http::Method::DELETE, &name, None).await?;
    let hub = world.another_hub().await?;
    hub.wait_for_log(&["the ledger is not the one that is anchored", "another ledger's checkpoints"]).await?;
    write_events(&world.database, tenant, 10).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let now = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    ensure!(now == signed, "a ledger of another name was signed");
    Ok(())
}

/// The largest tree of the tenant in the anchor's file.
fn anchored(file: &Path, tenant: uuid::Uuid) -> anyhow::Result<i64> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut largest = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let line: Value = serde_json::from_str(line)?;
        if line["origin"].as_str().is_some_and(|origin| origin.ends_with(&tenant.to_string())) {
            largest = largest.max(line["size"].as_i64().unwrap_or_default());
        }
    }
    Ok(largest)
}
