//! What is damaged, slow or silent holds up nobody else, and shows.

use std::time::{Duration, Instant};

use anyhow::ensure;
use openpam_tests::{HubOptions, World, eventually};
use serde_json::Value;

use super::{
    number,
    sequence::{is_gapless, signed},
    settled, unguarded, verify, write_events,
};

/// Whoever is damaged waits in a table of its own, and costs the others nothing, however much lies behind.
#[tokio::test]
async fn a_damaged_tenant_is_noted_and_the_watermark_goes_on_without_it() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let (slug, administrator) = world.another_tenant().await?;
    let other = world.database.tenant_id(&slug).await?;
    write_events(&world.database, tenant, 300).await?;
    settled(&world.database).await?;
    let second = world.another_hub().await?;
    let head = format!("select encode(frontier, 'hex') from ledger_heads where tenant_id = '{tenant}'");
    let frontier = world.database.by_hand(&head).await?;
    world.database.by_hand(&format!("update ledger_heads set frontier = '\\x00' where tenant_id = '{tenant}'")).await?;
    write_events(&world.database, tenant, 40).await?;
    let noted = format!("select count(*) from ledger_damaged where tenant_id = '{tenant}'");
    eventually("the damage is noted", Duration::from_secs(10), || async {
        Ok((number(&world.database, &noted).await? == 1).then_some(()))
    })
    .await?;
    let epoch = number(&world.database, "select epoch from ledger_leader").await?;
    // More than one look of both: what waits comes first, and is what a look begins with.
    write_events(&world.database, tenant, 12_000).await?;
    write_events(&world.database, other, 12_000).await?;
    let begun = Instant::now();
    eventually("the other tenant's events are signed", Duration::from_secs(15), || async {
        Ok((number(&world.database, &signed(other)).await? >= 12_000).then_some(()))
    })
    .await?;
    println!("signed after {:?}", begun.elapsed());
    let passed = format!(
        "select count(*) from audit_events e, ledger_leader l where e.tenant_id = '{tenant}' and e.action = 'test.event'
         and pg_visible_in_snapshot(e.xid, l.watermark)
         and not exists (select from ledger_entries p where p.tenant_id = e.tenant_id and p.event_id = e.audit_event_id)"
    );
    eventually("the watermark has passed what waits", Duration::from_secs(15), || async {
        Ok((number(&world.database, &passed).await? == 12_040).then_some(()))
    })
    .await?;
    let told = verify(&world.hub, &["--tenant", &world.options.tenant]).await?;
    ensure!(!told.sound && told.text.contains("  damaged: "), "{}", told.text);
    for hub in [&world.hub, &second] {
        eventually("each hub says so", Duration::from_secs(10), || async {
            let ready: serde_json::Value = reqwest::get(format!("{}/readyz", hub.url())).await?.json().await?;
            Ok((ready["ledger"]["state"] == "damaged").then_some(()))
        })
        .await?;
    }
    let own = administrator.get("/audit/ledger").await?;
    ensure!(own["state"] != "damaged", "another tenant's damage is told: {own}");
    ensure!(number(&world.database, "select epoch from ledger_leader").await? == epoch, "the hubs followed each other");
    let mend = format!("update ledger_heads set frontier = decode('{frontier}', 'hex') where tenant_id = '{tenant}'");
    world.database.by_hand(&mend).await?;
    settled(&world.database).await?;
    eventually("it is one of the others again", Duration::from_secs(10), || async {
        Ok((number(&world.database, "select count(*) from ledger_damaged").await? == 0).then_some(()))
    })
    .await?;
    write_events(&world.database, tenant, 10).await?;
    settled(&world.database).await?;
    is_gapless(&world).await?;
    let verified = verify(&second, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}

/// A look that takes longer than a leader may be silent is one during which nobody else begins to lead.
#[tokio::test]
async fn two_hubs_do_not_depose_each_other_while_looking_takes_long() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    let second = world.another_hub().await?;
    // One millisecond for each row that is looked at.
    let slow = "alter policy ledger_by_owner on audit_events using (pg_sleep(0.001) is not null)";
    world.database.by_hand(slow).await?;
    write_events(&world.database, tenant, 4_500).await?;
    let placed = "select count(*) from ledger_entries e join audit_events a on a.audit_event_id = e.event_id
                  where a.action = 'test.event'";
    let result = eventually("the events have places", Duration::from_secs(45), || async {
        Ok((number(&world.database, placed).await? == 4_500).then_some(()))
    })
    .await;
    world.database.by_hand("alter policy ledger_by_owner on audit_events using (true)").await?;
    result?;
    settled(&world.database).await?;
    is_gapless(&world).await?;
    let verified = verify(&second, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}

/// How long no hub gave places shows afterwards, and whoever writes events cannot fill it.
#[tokio::test]
async fn beats_show_for_how_long_no_hub_gave_places() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.ledger.insert("beat_interval_seconds", "1".to_owned());
    let mut world = World::start(options).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let beats = "select count(*) from ledger_entries e join audit_events a on a.audit_event_id = e.event_id
                 where a.action = 'ledger.beat'";
    eventually("there are beats", Duration::from_secs(20), || async {
        Ok((number(&world.database, beats).await? >= 3).then_some(()))
    })
    .await?;
    world.hub.terminate().await?;
    let verified = verify(&world.hub, &[]).await?;
    ensure!(verified.sound && !verified.text.contains("places_not_given"), "{}", verified.text);
    // One hole of 14 seconds, in which somebody writes what looks like beats, and like the last of them.
    for second in 0..14 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut application = world.database.as_tenant(tenant).await?;
        let copy = if second % 2 == 0 { "detail" } else { "'{\"every_seconds\": 1}'::jsonb" };
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome, detail)
             select gen_random_uuid(), tenant_id, 'system', 'ledger', 'ledger.beat', 'success', {copy} from audit_events
             where action = 'ledger.beat' order by occurred_at desc limit 1"
        )))
        .execute(&mut application)
        .await?;
    }
    let before = number(&world.database, beats).await?;
    let mut hub = world.another_hub().await?;
    eventually("beats go on", Duration::from_secs(20), || async {
        Ok((number(&world.database, beats).await? >= before + 16).then_some(()))
    })
    .await?;
    hub.terminate().await?;
    let verified = verify(&hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    ensure!(verified.text.matches("  warning: places_not_given: ").count() == 1, "{}", verified.text);
    Ok(())
}

/// A leaf that the system's signed head does not speak for says nothing of a tenant's log, and something of the system's.
#[tokio::test]
async fn a_hub_that_starts_believes_no_leaf_that_is_not_signed() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 50).await?;
    settled(&world.database).await?;
    eventually("the system's log has it", Duration::from_secs(10), || async {
        Ok(verify(&world.hub, &[]).await?.sound.then_some(()))
    })
    .await?;
    world.hub.terminate().await?;
    let root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    world
        .database
        .by_hand(&unguarded(&format!(
            "update ledger_system_leaves set text = regexp_replace(text, E'^([^\n]*\n[^\n]*\n)[^\n]*', E'\\\\1{root}')
             where seq = (select max(seq) from ledger_system_leaves)"
        )))
        .await?;
    let before = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    let hub = world.another_hub().await?;
    write_events(&world.database, tenant, 50).await?;
    hub.wait_for_log(&["the stored ledger is not the one that this hub wrote", "/system"]).await?;
    eventually("the tenant's log is signed nevertheless", Duration::from_secs(15), || async {
        let signed = number(&world.database, "select max(size) from ledger_checkpoints").await?;
        Ok((signed >= before + 50).then_some(()))
    })
    .await?;
    let ready: Value = reqwest::get(format!("{}/readyz", hub.url())).await?.json().await?;
    ensure!(ready["ledger"]["state"] == "altered", "{ready}");
    Ok(())
}
