//! Checkpoints as events: subscribers get them, they tell of a ledger that was cut off, and they come to rest.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use openpam_tests::{HubOptions, World, eventually, hub::Folder, unique, webhook::Receiver};
use serde_json::{Value, json};

use super::{number, proofs::rolled_back, settled, unguarded, verify, write_events};

const TYPE: &str = "openpam.ledger.checkpoint";
const PUBLISHED: &str = "select count(*) from platform_events where event_type = 'openpam.ledger.checkpoint'";

/// The data of the receiver's last checkpoint, once it is of so many entries.
async fn arrives(receiver: &Receiver, size: i64) -> anyhow::Result<Value> {
    eventually("the checkpoint arrives", Duration::from_secs(20), || async {
        let all = receiver.events(TYPE)?.into_iter().map(|event| event["data"].clone());
        Ok(all.max_by_key(|data| data["size"].as_i64()).filter(|data| data["size"].as_i64() >= Some(size)))
    })
    .await
}

/// The ledger is as large as its last checkpoint that was published, and everything is delivered: nothing is left to do.
async fn rests(world: &World) -> anyhow::Result<[i64; 2]> {
    eventually("nothing is left to do", Duration::from_secs(20), || async {
        settled(&world.database).await?;
        let entries = number(&world.database, "select size from ledger_heads").await?;
        let told = "select coalesce(max((payload ->> 'size')::bigint), 0) from platform_events
                    where event_type = 'openpam.ledger.checkpoint'";
        let open = "select count(*) from platform_events where delivery_state = 'pending'";
        let is_done = number(&world.database, told).await? == entries && number(&world.database, open).await? == 0;
        Ok(is_done.then_some([entries, number(&world.database, PUBLISHED).await?]))
    })
    .await
}

async fn telling() -> anyhow::Result<(World, Receiver)> {
    let mut options = HubOptions::default();
    options.ledger.insert("anchor_interval_seconds", "1".to_owned());
    // A beat is an entry: none falls due in this time.
    options.ledger.insert("beat_interval_seconds", "86400".to_owned());
    let world = World::start(options).await?;
    let receiver = Receiver::start().await?;
    let body = json!({ "name": unique("siem"), "url": receiver.url(), "event_types": ["openpam.ledger.*"] });
    world.admin.post("/admin/webhooks", &body).await?;
    Ok((world, receiver))
}

#[tokio::test]
async fn an_idle_hub_stays_idle_and_one_act_makes_one_checkpoint_for_subscribers() -> anyhow::Result<()> {
    let (world, receiver) = telling().await?;
    let [entries, published] = rests(&world).await?;
    let data = arrives(&receiver, entries).await?;
    let stored = world
        .database
        .by_hand(&format!("select encode(root, 'base64') from ledger_checkpoints where size = {entries}"))
        .await?;
    assert_eq!(data["root"], stored.as_str());
    let note = format!("select note from ledger_checkpoints where size = {entries}");
    // psql's answer has no line break at its end.
    assert_eq!(data["note"].as_str().map(str::trim_end), Some(world.database.by_hand(&note).await?.as_str()));
    let received = receiver.events(TYPE)?.len();

    // Intervals go by in which only what was told of before could make something to tell of.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(rests(&world).await?, [entries, published], "what is told of makes more to tell of");
    assert_eq!(receiver.events(TYPE)?.len(), received, "it was delivered again");

    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 1).await?;
    arrives(&receiver, entries + 1).await?;
    assert_eq!(rests(&world).await?, [entries + 1, published + 1]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(rests(&world).await?, [entries + 1, published + 1]);
    Ok(())
}

#[tokio::test]
async fn whoever_kept_a_checkpoint_that_was_told_of_can_tell_that_the_ledger_was_cut_off() -> anyhow::Result<()> {
    let (mut world, receiver) = telling().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let [size, _] = rests(&world).await?;
    let frontier = world.database.by_hand("select encode(frontier, 'hex') from ledger_heads").await?;
    write_events(&world.database, tenant, 30).await?;
    let data = arrives(&receiver, size + 30).await?;
    world.hub.terminate().await?;
    let folder = Folder(std::env::temp_dir().join(unique("openpam-test-siem")));
    std::fs::create_dir_all(&folder.0)?;
    let kept: PathBuf = folder.0.join("checkpoint");
    std::fs::write(&kept, data["note"].as_str().context("no note")?)?;
    let given = ["--anchor", kept.to_str().context("no path")?];
    let before = verify(&world.hub, &given).await?;
    ensure!(before.sound && before.text.contains("anchor: intact, 1 checkpoints"), "{}", before.text);
    world
        .database
        .by_hand(&unguarded(&format!(
            "{} update ledger_heads set size = {size}, frontier = decode('{frontier}', 'hex')",
            rolled_back(size)
        )))
        .await?;
    let told = verify(&world.hub, &given).await?;
    ensure!(!told.sound && told.text.contains("  truncated: "), "{}", told.text);
    Ok(())
}

#[tokio::test]
async fn a_hub_that_is_not_to_tell_of_checkpoints_does_not() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.ledger.insert("anchor_interval_seconds", "1".to_owned());
    options.ledger.insert("checkpoint_events", "false".to_owned());
    let world = World::start(options).await?;
    settled(&world.database).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(number(&world.database, PUBLISHED).await?, 0);
    Ok(())
}
