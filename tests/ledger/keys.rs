//! The keys that sign, and the alarms that are kept beside them.

use std::time::Duration;

use anyhow::ensure;
use openpam_tests::{World, eventually};
use serde_json::Value;

use super::{number, proofs::rolled_back, sequence::signed, settled, unguarded, verify, write_events};

/// Where something was signed and the key is said to be none, no other one is made for it.
#[tokio::test]
async fn no_new_key_signs_for_one_that_was_taken_away() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    world.hub.terminate().await?;
    for away in ["update ledger_keys set retired_at = now()", "delete from ledger_keys"] {
        world.database.by_hand(away).await?;
        let mut hub = world.another_hub().await?;
        let before = number(&world.database, &signed(tenant)).await?;
        write_events(&world.database, tenant, 10).await?;
        hub.wait_for_log(&["checkpoints cannot be signed", "no signing key is the present one"]).await?;
        let keys = "select count(*) from ledger_keys where retired_at is null";
        ensure!(number(&world.database, keys).await? == 0, "another key was made after {away}");
        ensure!(number(&world.database, &signed(tenant)).await? == before, "another key signed after {away}");
        hub.terminate().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_keys_are_told_in_the_form_of_other_verifiers() -> anyhow::Result<()> {
    let world = World::default().await?;
    settled(&world.database).await?;
    let text = world.hub.command(&["audit", "keys"], None).await?;
    let note = world.database.by_hand("select note from ledger_checkpoints order by size limit 1").await?;
    let signature = note.lines().last().unwrap_or_default();
    let key = text.lines().find_map(|line| line.strip_prefix(&format!("{}\t", world.options.tenant)));
    let key = openpam_ledger::VerifierKey::parse(key.unwrap_or_default())?;
    ensure!(signature.contains(key.name()), "{signature} is not by {}", key.name());
    let note = openpam_ledger::Note::parse(format!("{note}\n").as_bytes())?;
    ensure!(note.verify([&key])?.len() == 1, "the key that was told is not the one that signed");
    Ok(())
}

/// Checkpoints of the key before stay valid, and hubs that run take the new one by themselves.
#[tokio::test]
async fn a_key_is_rotated_and_what_the_one_before_signed_stays_valid() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    let size = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    // With a secret id of its own: that of the hub can be unwrapped once.
    let said = world.prepared().await?.run(&["audit", "keys", "rotate", "--reason", "a test"], None).await?;
    let new = said.lines().next().unwrap_or_default().to_owned();
    let old = world
        .database
        .by_hand("select encode(public_key, 'base64') from ledger_keys where retired_at is not null")
        .await?;
    ensure!(new != old, "{said}");
    world.hub.wait_for_log(&["another key is the ledger's signing key now"]).await?;
    write_events(&world.database, tenant, 20).await?;
    settled(&world.database).await?;
    ensure!(number(&world.database, "select max(size) from ledger_checkpoints").await? > size, "nothing was signed");
    let both = verify(&world.hub, &["--trust", &new, "--trust", &old]).await?;
    ensure!(both.sound, "{}", both.text);
    for alone in [&new, &old] {
        let told = verify(&world.hub, &["--trust", alone]).await?;
        ensure!(!told.sound, "one key alone has signed everything: {}", told.text);
    }
    ensure!(verify(&world.hub, &[]).await?.sound, "with the keys that the database names");
    let trail = "select count(*) from ledger_entries e join audit_events a on a.audit_event_id = e.event_id
                 where a.action = 'ledger.key.rotate'";
    ensure!(number(&world.database, trail).await? == 1, "the log does not say that the key was rotated");
    let standing = world.admin.get("/audit/ledger").await?;
    ensure!(
        standing["state"] == "leading" && standing["public_keys"].as_array().is_some_and(|keys| keys.len() == 2),
        "{standing}"
    );
    Ok(())
}

/// Who rewrote a log cannot make the hubs forget it by starting one anew, even where no trace is left in the database.
#[tokio::test]
async fn an_alarm_outlives_the_hub_until_somebody_acknowledges_it() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    let size = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    let frontier = world.database.by_hand("select encode(frontier, 'hex') from ledger_heads").await?;
    write_events(&world.database, tenant, 100).await?;
    settled(&world.database).await?;
    // With a secret id of its own each time: that of the hub can be unwrapped once.
    let acknowledge = ["audit", "acknowledge", "--reason", "it was a test"];
    let none = world.prepared().await?.run(&acknowledge, None).await;
    ensure!(none.is_err_and(|error| format!("{error:#}").contains("there is no alarm")), "an alarm before anything");
    let head = format!("update ledger_heads set size = {size}, frontier = decode('{frontier}', 'hex')");
    world.database.by_hand(&unguarded(&format!("{} {head}", rolled_back(size)))).await?;
    write_events(&world.database, tenant, 10).await?;
    world.hub.wait_for_log(&["the stored ledger is not the one that this hub wrote"]).await?;
    // Time to keep it; then everything that the database has of it is gone.
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.hub.terminate().await?;
    let mut hub = world.another_hub().await?;
    write_events(&world.database, tenant, 50).await?;
    hub.wait_for_log(&["the stored ledger is not the one that this hub wrote", &tenant.to_string()]).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let signed = "select coalesce(max(size), 0) from ledger_checkpoints";
    ensure!(number(&world.database, signed).await? == size, "a hub that starts signs what was rewritten");
    let ready: Value = reqwest::get(format!("{}/readyz", hub.url())).await?.json().await?;
    ensure!(ready["ledger"]["state"] == "altered", "{ready}");
    let said = world.prepared().await?.run(&acknowledge, None).await?;
    ensure!(said.contains(&tenant.to_string()), "{said}");
    hub.terminate().await?;
    let hub = world.another_hub().await?;
    settled(&world.database).await?;
    let trail = "select count(*) from ledger_entries e join audit_events a on a.audit_event_id = e.event_id
                 where a.action = 'ledger.acknowledge'";
    ensure!(number(&world.database, trail).await? >= 1, "the log does not say that it was acknowledged");
    eventually("nothing is said to be wrong", Duration::from_secs(10), || async {
        let ready: Value = reqwest::get(format!("{}/readyz", hub.url())).await?.json().await?;
        Ok((ready["ledger"]["state"] == "leading").then_some(()))
    })
    .await
}

/// Whoever has the database alone can call the ledger something else, under which nothing was ever signed.
#[tokio::test]
async fn a_ledger_under_another_name_is_not_signed() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 10).await?;
    settled(&world.database).await?;
    world.hub.terminate().await?;
    let name = world.database.by_hand("select name from ledger_leader").await?;
    let signed = "select coalesce(max(size), 0) from ledger_checkpoints";
    let before = number(&world.database, signed).await?;
    world.database.by_hand("update ledger_leader set name = 'another/ledger'").await?;
    let mut hub = world.another_hub().await?;
    write_events(&world.database, tenant, 20).await?;
    eventually("the hub says so", Duration::from_secs(15), || async {
        let log = hub.log();
        let said = |line: &str| line.contains("not the one that was signed before") && line.contains(&name);
        Ok(log.lines().any(said).then_some(()))
    })
    .await?;
    let placed = format!("select size from ledger_heads where tenant_id = '{tenant}'");
    eventually("events still get their places", Duration::from_secs(10), || async {
        Ok((number(&world.database, &placed).await? >= before + 20).then_some(()))
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(number(&world.database, signed).await? == before, "a ledger of another name was signed");
    let ready: Value = reqwest::get(format!("{}/readyz", hub.url())).await?.json().await?;
    ensure!(ready["ledger"]["state"] == "altered" && ready["ready"] == true, "{ready}");
    hub.terminate().await?;
    world.database.by_hand(&format!("update ledger_leader set name = '{name}'")).await?;
    let hub = world.another_hub().await?;
    settled(&world.database).await?;
    ensure!(verify(&hub, &[]).await?.sound, "it does not go on under its own name");
    Ok(())
}

/// A key that was replaced has no alarms that came since.
#[tokio::test]
async fn a_key_that_was_replaced_is_not_made_the_present_one_by_the_database() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    world.prepared().await?.run(&["audit", "keys", "rotate", "--reason", "a test"], None).await?;
    world.hub.wait_for_log(&["another key is the ledger's signing key now"]).await?;
    write_events(&world.database, tenant, 20).await?;
    settled(&world.database).await?;
    let signed = "select max(size) from ledger_checkpoints";
    let before = number(&world.database, signed).await?;
    let swap = "update ledger_keys set retired_at = now(), created_at = created_at - interval '1 hour' where retired_at is null;
                update ledger_keys set retired_at = null where created_at = (select max(created_at) from ledger_keys)";
    world.database.by_hand(swap).await?;
    eventually("the hub says so", Duration::from_secs(15), || async {
        let log = world.hub.log();
        let said = |line: &str| line.contains("not the one that was signed before") && line.contains("was replaced by");
        Ok(log.lines().any(said).then_some(()))
    })
    .await?;
    write_events(&world.database, tenant, 20).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(number(&world.database, signed).await? == before, "the key that was replaced signs again");
    Ok(())
}
