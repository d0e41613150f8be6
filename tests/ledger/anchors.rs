//! A bucket with object lock as the ledger's anchor, on a real S3 server: what its owner can still do there, and what
//! happens while it is away.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use openpam_ledger::{Checkpoint, Frontier, Note};
use openpam_tests::{
    HubOptions, Stack, World, eventually,
    hub::{Folder, Prepared},
    proxy::{Fault, FaultProxy},
    s3::Bucket,
    unique,
};
use serde_json::Value;
use uuid::Uuid;

use super::{number, proofs::rolled_back, settled, unguarded, verify, write_events};

/// A hub's options with a bucket, and what is needed to look into it.
struct Anchor {
    options: HubOptions,
    bucket: Bucket,
    prefix: String,
    proxy: FaultProxy,
    folder: Arc<Folder>,
}

impl Anchor {
    async fn new(stack: &Stack, locked: bool) -> anyhow::Result<Self> {
        let s3 = &stack.servers.s3;
        let name = if locked { &s3.locked_bucket } else { &s3.bucket };
        let (proxy, endpoint) = FaultProxy::in_front_of(&s3.endpoint).await?;
        let folder = Arc::new(Folder(std::env::temp_dir().join(unique("openpam-test-anchors"))));
        std::fs::create_dir_all(&folder.0)?;
        let secret = folder.0.join("secret");
        std::fs::write(&secret, &s3.secret_access_key)?;
        let prefix = format!("tests/{}", unique("anchor"));
        let text = |value: &str| format!("{value:?}");
        let mut options = HubOptions::default();
        options.ledger.extend([
            ("anchor_s3_bucket", text(name)),
            ("anchor_s3_prefix", text(&prefix)),
            ("anchor_s3_region", text(&s3.region)),
            ("anchor_s3_endpoint", text(&endpoint)),
            ("anchor_s3_path_style", "true".to_owned()),
            ("anchor_s3_access_key_id", text(&s3.access_key_id)),
            ("anchor_s3_secret_access_key_file", text(&secret.display().to_string())),
            ("anchor_object_lock_days", "2".to_owned()),
            ("anchor_interval_seconds", "1".to_owned()),
        ]);
        Ok(Self { options, bucket: Bucket::new(s3, name)?, prefix, proxy, folder })
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.0.join("anchor")
    }

    /// With a file beside the bucket.
    fn with_file(mut self) -> Self {
        self.options.ledger.insert("anchor_file", format!("{:?}", self.file().display().to_string()));
        self
    }

    /// Keys of the tenant's checkpoints, the largest tree first.
    async fn keys(&self, tenant: Uuid) -> anyhow::Result<Vec<String>> {
        let keys = self.bucket.keys(&self.prefix).await?;
        Ok(keys.into_iter().filter(|key| key.contains(&format!("/tenants/{tenant}/"))).collect())
    }

    /// Waits until the bucket has a checkpoint of so many entries of the tenant's; its key.
    async fn holds(&self, tenant: Uuid, size: i64) -> anyhow::Result<String> {
        eventually("the checkpoint is in the bucket", Duration::from_secs(30), || async {
            let first = self.keys(tenant).await?.into_iter().next();
            Ok(first.filter(|key| size_of(key).is_some_and(|has| has >= size)))
        })
        .await
    }
}

/// The tree that a key is of.
fn size_of(key: &str) -> Option<i64> {
    key.strip_suffix(".json")?.rsplit_once('-')?.1.parse().ok()
}

async fn readiness(url: &str) -> anyhow::Result<Value> {
    Ok(reqwest::get(format!("{url}/readyz")).await?.json().await?)
}

/// Waits until readiness says that of the ledger.
async fn ledger_is(url: &str, state: &str) -> anyhow::Result<Value> {
    eventually(&format!("the ledger is {state}"), Duration::from_secs(20), || async {
        let ready = readiness(url).await?;
        Ok((ready["ledger"]["state"] == state).then_some(ready))
    })
    .await
}

/// The signed trees of the tenant.
async fn signed(world: &World) -> anyhow::Result<i64> {
    number(&world.database, "select max(size) from ledger_checkpoints").await
}

#[tokio::test]
async fn checkpoints_are_locked_in_the_bucket_and_the_ledger_is_held_against_them() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let anchor = Anchor::new(&stack, true).await?;
    let world = World::start_with(stack, anchor.options.clone()).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 50).await?;
    settled(&world.database).await?;
    let size = signed(&world).await?;
    let key = anchor.holds(tenant, size).await?;

    // It is locked, and what the key says.
    let headers = anchor.bucket.head(&key).await?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    assert_eq!(header("x-amz-object-lock-mode").as_deref(), Some("COMPLIANCE"), "{headers:?}");
    let until = header("x-amz-object-lock-retain-until-date").context("no date")?;
    let lasts = chrono::DateTime::parse_from_rfc3339(&until)?.to_utc() - chrono::Utc::now();
    ensure!((47..=48).contains(&lasts.num_hours()), "{until}");
    let line: Value = serde_json::from_slice(&anchor.bucket.get(&key).await?)?;
    let note = Note::parse(line["note"].as_str().context("no note")?.as_bytes())?;
    let checkpoint = Checkpoint::parse(note.text())?;
    ensure!(Some(checkpoint.head().size.cast_signed()) == size_of(&key), "{key}: {note:?}");
    let stored =
        format!("select encode(root, 'base64') from ledger_checkpoints where size = {}", checkpoint.head().size);
    assert_eq!(world.database.by_hand(&stored).await?, checkpoint.head().root.to_base64());
    ensure!(
        anchor.bucket.keys(&anchor.prefix).await?.iter().any(|key| key.contains("/system/")),
        "the system's log is not there"
    );

    // Each of those who tell of it does.
    eventually("the bucket is told of", Duration::from_secs(10), || async {
        let ready = readiness(world.hub.url()).await?;
        let told = serde_json::json!([{ "name": "bucket", "ok": true, "state": "available" }]);
        Ok((ready["ledger"]["anchors"] == told && ready["ledger"]["anchored"] == true).then_some(()))
    })
    .await?;
    let metrics = reqwest::get(format!("{}/metrics", world.hub.url())).await?.text().await?;
    ensure!(metrics.contains(r#"openpam_ledger_anchor_available{anchor="bucket"} 1"#), "{metrics}");
    let verified = verify(&world.hub, &[]).await?;
    ensure!(verified.sound && verified.text.contains("bucket: intact, 2 checkpoints"), "{}", verified.text);
    let mut doctor = tokio::process::Command::new(openpam_tests::hub::binary()?);
    let config = world.hub.folder().join("hub.toml");
    let said = doctor.args(["doctor", "--json", "--config"]).arg(config).output().await?.stdout;
    let report: Value = serde_json::from_slice(&said)?;
    for name in ["ledger_bucket", "ledger_bucket_lock"] {
        let check = report["checks"].as_array().into_iter().flatten().find(|check| check["name"] == name);
        ensure!(check.is_some_and(|check| check["state"] == "ok"), "{name}: {report:#}");
    }
    assert_eq!(anchor.bucket.versions(&format!("{}/.doctor", anchor.prefix)).await?, 0);

    // One that cannot be looked at is no reason to find nothing.
    anchor.proxy.set(Fault::Refuse);
    let blind = verify(&world.hub, &[]).await?;
    ensure!(!blind.sound && blind.text.contains("  anchor_missing: the bucket "), "{}", blind.text);
    Ok(())
}

/// Whoever has the database, the file's disk and the bucket, where they can hide what they cannot remove.
#[tokio::test]
async fn what_was_rolled_back_is_told_by_the_bucket_when_the_file_is_gone_and_objects_are_hidden() -> anyhow::Result<()>
{
    let stack = Stack::load()?;
    let anchor = Anchor::new(&stack, true).await?.with_file();
    let mut world = World::start_with(stack, anchor.options.clone()).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    let size = signed(&world).await?;
    let frontier = world.database.by_hand("select encode(frontier, 'hex') from ledger_heads").await?;
    ensure!(number(&world.database, "select size from ledger_heads").await? == size, "the backup is not signed");
    write_events(&world.database, tenant, 100).await?;
    settled(&world.database).await?;
    let largest = anchor.holds(tenant, size + 100).await?;
    let mut line: Value = serde_json::from_slice(&anchor.bucket.get(&largest).await?)?;
    world.hub.terminate().await?;
    let before = verify(&world.hub, &[]).await?;
    ensure!(before.sound, "before anything:\n{}", before.text);

    world
        .database
        .by_hand(&unguarded(&format!(
            "{} update ledger_heads set size = {size}, frontier = decode('{frontier}', 'hex');
             delete from ledger_anchors",
            rolled_back(size)
        )))
        .await?;
    std::fs::remove_file(anchor.file())?;
    // What is in the bucket is hidden: by something newer, and by marks of deletion.
    anchor.bucket.put(&largest, b"nothing").await?;
    for key in anchor.bucket.keys(&anchor.prefix).await? {
        anchor.bucket.hide(&key).await?;
    }
    ensure!(anchor.bucket.keys(&anchor.prefix).await?.is_empty(), "nothing is seen by who looks at objects alone");

    let told = verify(&world.hub, &[]).await?;
    ensure!(!told.sound && told.text.contains("  truncated: "), "the bucket knows of more:\n{}", told.text);
    let mut hub = world.another_hub().await?;
    hub.wait_for_log(&["the ledger is not the one that is anchored", "bucket"]).await?;
    write_events(&world.database, tenant, 10).await?;
    eventually("events still get their places", Duration::from_secs(10), || async {
        Ok((number(&world.database, "select size from ledger_heads").await? >= size + 10).then_some(()))
    })
    .await?;
    let ready = ledger_is(hub.url(), "behind_anchor").await?;
    let of = |name: &str| ready["ledger"]["anchors"].as_array()?.iter().find(|anchor| anchor["name"] == name);
    ensure!(of("bucket").is_some_and(|anchor| anchor["state"] == "differs" && anchor["ok"] == false), "{ready}");
    ensure!(of("file").is_some_and(|anchor| anchor["state"] == "available"), "{ready}");
    ensure!(ready["ready"] == true, "{ready}");
    ensure!(signed(&world).await? == size, "a fork was signed");

    // Nor when a checkpoint of what was forged is put there, larger than any other, without the key.
    write_events(&world.database, tenant, 300).await?;
    eventually("the forged log is larger than the anchored one", Duration::from_secs(20), || async {
        Ok((number(&world.database, "select size from ledger_heads").await? > size + 200).then_some(()))
    })
    .await?;
    hub.terminate().await?;
    let forged = number(&world.database, "select size from ledger_heads").await?;
    let frontier = world.database.by_hand("select encode(frontier, 'hex') from ledger_heads").await?;
    let bytes = (0..frontier.len() / 2).map(|at| u8::from_str_radix(&frontier[2 * at..2 * at + 2], 16));
    let tree = Frontier::from_bytes(&bytes.collect::<Result<Vec<_>, _>>()?).context("no frontier")?;
    let note = line["note"].as_str().context("no note")?.to_owned();
    let (old_size, old_root) = (note.lines().nth(1).context("no size")?, note.lines().nth(2).context("no root")?);
    let text = format!("\n{forged}\n{}\n", tree.root().to_base64());
    line["note"] = note.replacen(&format!("\n{old_size}\n{old_root}\n"), &text, 1).into();
    line["size"] = forged.into();
    let folder = largest.rsplit_once('/').context("no folder")?.0;
    let key = format!("{folder}/{:016x}-{forged}.json", u64::MAX - forged.cast_unsigned());
    anchor.bucket.put(&key, line.to_string().as_bytes()).await?;
    let hub = world.another_hub().await?;
    hub.wait_for_log(&["the ledger is not the one that is anchored", "bucket"]).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(signed(&world).await? == size, "a fork was signed, for which a stranger vouches");
    Ok(())
}

#[tokio::test]
async fn what_no_key_signed_in_the_bucket_is_told_and_stops_nothing() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let anchor = Anchor::new(&stack, true).await?;
    let mut world = World::start_with(stack, anchor.options.clone()).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 20).await?;
    settled(&world.database).await?;
    let size = signed(&world).await?;
    anchor.holds(tenant, size).await?;
    world.hub.terminate().await?;
    let key = anchor.keys(tenant).await?.into_iter().next().context("no checkpoint")?;
    let mut line: Value = serde_json::from_slice(&anchor.bucket.get(&key).await?)?;
    let note = line["note"].as_str().context("no note")?.to_owned();
    let root = note.lines().nth(2).context("no root")?;
    line["note"] = note.replacen(root, &openpam_ledger::leaf_hash(b"another").to_base64(), 1).into();
    anchor.bucket.put(&key, line.to_string().as_bytes()).await?;
    let told = verify(&world.hub, &[]).await?;
    ensure!(!told.sound, "a checkpoint that does not fit was not told:\n{}", told.text);
    let signed_before = signed(&world).await?;
    let hub = world.another_hub().await?;
    ledger_is(hub.url(), "leading").await?;
    write_events(&world.database, tenant, 5).await?;
    eventually("it is signed", Duration::from_secs(20), || async {
        Ok((signed(&world).await? > signed_before).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_bucket_that_is_away_holds_up_neither_places_nor_signatures_nor_the_file() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let anchor = Anchor::new(&stack, true).await?.with_file();
    let mut world = World::start_with(stack, anchor.options.clone()).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    let before = anchor.holds(tenant, signed(&world).await?).await?;

    // While it leads.
    anchor.proxy.set(Fault::Refuse);
    write_events(&world.database, tenant, 50).await?;
    settled(&world.database).await?;
    let size = signed(&world).await?;
    let ready = ledger_is(world.hub.url(), "anchor_unavailable").await?;
    ensure!(ready["ready"] == true && ready["ledger"]["ok"] == false, "{ready}");
    let has = |size: i64| {
        std::fs::read_to_string(anchor.file()).is_ok_and(|text| text.contains(&format!("\"size\":{size},")))
    };
    eventually("the file has it", Duration::from_secs(10), || async { Ok(has(size).then_some(())) }).await?;
    assert_eq!(anchor.keys(tenant).await?.first(), Some(&before), "it came through nevertheless");
    anchor.proxy.set(Fault::None);
    anchor.holds(tenant, size).await?;
    ledger_is(world.hub.url(), "leading").await?;

    // When it begins to lead: nothing is signed before the bucket has been looked at, and everything gets its place.
    world.hub.terminate().await?;
    let size = signed(&world).await?;
    anchor.proxy.set(Fault::Silence);
    let hub = world.another_hub().await?;
    write_events(&world.database, tenant, 10).await?;
    eventually("events get their places", Duration::from_secs(10), || async {
        Ok((number(&world.database, "select max(size) from ledger_heads").await? >= size + 10).then_some(()))
    })
    .await?;
    ledger_is(hub.url(), "anchor_unavailable").await?;
    ensure!(signed(&world).await? == size, "it was signed unseen");
    // Whoever waits on a connection that says nothing is let go.
    anchor.proxy.set(Fault::Refuse);
    tokio::time::sleep(Duration::from_millis(200)).await;
    anchor.proxy.set(Fault::None);
    settled(&world.database).await?;
    anchor.holds(tenant, size + 10).await?;
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_is_another_one_or_has_no_lock_is_refused() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let anchor = Anchor::new(&stack, true).await?;
    let mut world = World::start_with(stack, anchor.options.clone()).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    anchor.holds(tenant, signed(&world).await?).await?;
    world.hub.terminate().await?;
    let size = signed(&world).await?;
    world.options.ledger.insert("anchor_s3_prefix", format!("{:?}", unique("tests/elsewhere")));
    let hub = world.another_hub().await?;
    hub.wait_for_log(&["the ledger is not the one that is anchored", "the anchor has not what it took"]).await?;
    write_events(&world.database, tenant, 5).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(signed(&world).await? == size, "it was signed without its anchor");
    let told = verify(&hub, &[]).await?;
    ensure!(!told.sound && told.text.contains("  anchor_incomplete: "), "{}", told.text);

    let unlocked = Anchor::new(&world.stack, false).await?;
    let database = openpam_tests::Database::create(&world.stack).await?;
    let prepared = Prepared::new(&world.stack, &database, &unlocked.options).await?;
    prepared.run(&["migrate"], None).await?;
    let mut hub = prepared.spawn()?;
    let ended = hub.wait(Duration::from_secs(20)).await?;
    ensure!(!ended.success(), "it started");
    hub.wait_for_log(&["ledger.anchor_object_lock", "has no object lock"]).await?;
    Ok(())
}
