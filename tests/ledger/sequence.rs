//! One hub leads; events get their places without holes, once each, whoever dies and whatever is slow.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use openpam_tests::{HubOptions, World, eventually};
use sqlx::{Connection as _, Row as _};

use super::{number, settled, unguarded, verify, write_events};

/// Places run from 0 without holes, and each event has one.
pub(super) async fn is_gapless(world: &World) -> anyhow::Result<()> {
    let wrong = number(
        &world.database,
        "select count(*) from (select tenant_id, seq, row_number() over (partition by tenant_id order by seq) - 1 as place
                               from ledger_entries) e where seq <> place",
    )
    .await?;
    ensure!(wrong == 0, "{wrong} entries are not in the places they should have");
    Ok(())
}

#[tokio::test]
async fn each_event_and_row_change_gets_a_place_and_a_signed_checkpoint() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    world.zone().await?;
    write_events(&world.database, tenant, 700).await?;
    settled(&world.database).await?;
    is_gapless(&world).await?;
    let tiles = number(&world.database, "select count(*) from ledger_tiles where level = 0").await?;
    ensure!(tiles >= 2, "whole tiles are stored, expected 2 and more of 256 entries, found {tiles}");
    let verified = verify(&world.hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    for expected in [format!("{}: intact", world.options.tenant), "system: intact".to_owned()] {
        ensure!(verified.text.contains(&expected), "expected “{expected}” in:\n{}", verified.text);
    }
    let metrics = reqwest::get(format!("{}/metrics", world.hub.url())).await?.text().await?;
    ensure!(metrics.contains("openpam_ledger_leader 1"), "the hub that leads says so in its metrics");
    ensure!(metrics.contains("openpam_ledger_checkpoint_lag_seconds"), "the lag is in the metrics");
    let ready: serde_json::Value = reqwest::get(format!("{}/readyz", world.hub.url())).await?.json().await?;
    ensure!(ready["ledger"]["state"] == "leading", "{ready}");
    Ok(())
}

#[tokio::test]
async fn a_range_is_proven_by_itself() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 900).await?;
    settled(&world.database).await?;
    for (start, end) in [("0", "0"), ("3", "260"), ("255", "256"), ("500", "899")] {
        let verified = verify(&world.hub, &["--start-sequence", start, "--end-sequence", end]).await?;
        ensure!(verified.sound && verified.text.contains("intact"), "{start} to {end}:\n{}", verified.text);
    }
    let refused = verify(&world.hub, &["--start-sequence", "9", "--end-sequence", "3"]).await?;
    ensure!(!refused.sound, "a range that ends before it begins: {}", refused.text);
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_takes_long_is_not_lost_and_holds_up_nobody() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let mut slow = world.database.as_tenant(tenant).await?;
    let mut transaction = slow.begin().await?;
    let insert = "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome)
                  values ($1, $2, 'system', 'slow', 'test.slow', 'success')";
    let early = uuid::Uuid::now_v7();
    sqlx::query(insert).bind(early).bind(tenant).execute(&mut *transaction).await?;
    // A savepoint has a transaction number of its own.
    let mut nested = transaction.begin().await?;
    let within = uuid::Uuid::now_v7();
    sqlx::query(insert).bind(within).bind(tenant).execute(&mut *nested).await?;
    nested.commit().await?;
    write_events(&world.database, tenant, 300).await?;
    let count = "select count(*) from ledger_entries e join audit_events a on a.audit_event_id = e.event_id
                 where a.action = 'test.event'";
    eventually("the others do not wait", Duration::from_secs(10), || async {
        Ok((number(&world.database, count).await? == 300).then_some(()))
    })
    .await?;
    transaction.commit().await?;
    settled(&world.database).await?;
    let slow = number(
        &world.database,
        &format!("select count(*) from ledger_entries where event_id in ('{early}', '{within}')"),
    )
    .await?;
    ensure!(slow == 2, "{slow} of the slow transaction's 2 events have a place");
    is_gapless(&world).await
}

#[tokio::test]
async fn a_long_transaction_of_many_rounds_is_not_lost_when_its_leader_fails_between_them() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    // Before the first event of the transaction has its place nothing fails, and behind that one round does. A
    // sequence counts also what is rolled back.
    world
        .database
        .by_hand(
            "create sequence test_failures; create table test_slow as select gen_random_uuid() as id from generate_series(1, 12000);
             grant select on test_slow to openpam_app;
             create function test_fail() returns trigger language plpgsql security definer as $$
             begin
                 if exists (select from ledger_entries where event_id in (select id from test_slow)) and nextval('test_failures') = 1 then
                     raise exception 'this round fails';
                 end if;
                 return null;
             end $$;
             create trigger test_fail before insert on ledger_entries for each statement execute function test_fail();",
        )
        .await?;
    let mut slow = world.database.as_tenant(tenant).await?;
    let mut transaction = slow.begin().await?;
    sqlx::query(
        "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome)
         select id, $1, 'system', 'slow', 'test.slow', 'success' from test_slow",
    )
    .bind(tenant)
    .execute(&mut *transaction)
    .await?;
    let own = sqlx::query("select pg_current_xact_id()::text as own").fetch_one(&mut *transaction).await?;
    let own: String = own.get("own");
    // The ledger has seen that it is under way.
    write_events(&world.database, tenant, 10).await?;
    eventually("the watermark names the transaction", Duration::from_secs(20), || async {
        let named = format!("select count(*) from ledger_leader, pg_snapshot_xip(watermark) x where x = '{own}'::xid8");
        Ok((number(&world.database, &named).await? > 0).then_some(()))
    })
    .await?;
    transaction.commit().await?;
    let failed = "select count(*) from test_failures where is_called";
    eventually("a round has failed", Duration::from_secs(20), || async {
        Ok((number(&world.database, failed).await? == 1).then_some(()))
    })
    .await?;
    settled(&world.database).await?;
    let placed = "select count(*) from ledger_entries where event_id in (select id from test_slow)";
    ensure!(number(&world.database, placed).await? == 12_000, "events of the long transaction have no place");
    is_gapless(&world).await?;
    // One trigger more would be a finding.
    world.database.by_hand("drop trigger test_fail on ledger_entries").await?;
    let verified = verify(&world.hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}

#[tokio::test]
async fn an_event_with_the_id_of_a_row_change_has_its_own_place() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    world.zone().await?;
    settled(&world.database).await?;
    let mut connection = world.database.as_tenant(tenant).await?;
    sqlx::query(
        "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome)
         select row_change_id, $1, 'system', 'x', 'test.same', 'success' from row_changes order by row_change_id limit 1",
    )
    .bind(tenant)
    .execute(&mut connection)
    .await?;
    let placed = "select count(*) from ledger_entries e join audit_events a on a.audit_event_id = e.event_id
                  where a.action = 'test.same' and e.kind = 1";
    eventually("it has its place", Duration::from_secs(10), || async {
        Ok((number(&world.database, placed).await? == 1).then_some(()))
    })
    .await?;
    settled(&world.database).await?;
    let verified = verify(&world.hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}

#[tokio::test]
async fn of_two_hubs_one_leads_and_the_other_takes_over_within_five_seconds() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 100).await?;
    settled(&world.database).await?;
    let second = world.another_hub().await?;
    let epoch = number(&world.database, "select epoch from ledger_leader").await?;
    for round in 0..3 {
        write_events(&world.database, tenant, 200).await?;
        tokio::time::sleep(Duration::from_millis(37 * round)).await;
    }
    ensure!(number(&world.database, "select epoch from ledger_leader").await? == epoch, "a second hub took the lead");
    world.hub.kill().await?;
    let killed = Instant::now();
    write_events(&world.database, tenant, 300).await?;
    eventually("the other hub leads", Duration::from_secs(5), || async {
        Ok((number(&world.database, "select epoch from ledger_leader").await? > epoch).then_some(()))
    })
    .await?;
    println!("taken over after {:?}", killed.elapsed());
    settled(&world.database).await?;
    is_gapless(&world).await?;
    let verified = verify(&second, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}

fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status()?;
    ensure!(sent.success(), "kill -{name} {pid}");
    Ok(())
}

#[tokio::test]
async fn a_leader_that_stood_still_is_refused_by_the_fence() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let second = world.another_hub().await?;
    settled(&world.database).await?;
    let epoch = number(&world.database, "select epoch from ledger_leader").await?;
    signal(world.hub.pid(), "STOP")?;
    write_events(&world.database, tenant, 300).await?;
    let taken = eventually("the other hub leads, though the first has its lock", Duration::from_secs(10), || async {
        Ok((number(&world.database, "select epoch from ledger_leader").await? > epoch).then_some(()))
    })
    .await;
    signal(world.hub.pid(), "CONT")?;
    taken?;
    world.hub.wait_for_log(&["another hub leads the ledger now"]).await?;
    write_events(&world.database, tenant, 300).await?;
    settled(&world.database).await?;
    is_gapless(&world).await?;
    let verified = verify(&second, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}

#[tokio::test]
async fn whenever_leaders_are_killed_nothing_is_lost_and_nothing_is_there_twice() -> anyhow::Result<()> {
    let mut world = World::start(HubOptions { log_filter: "warn".to_owned(), ..HubOptions::default() }).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let written = std::sync::atomic::AtomicI32::new(0);
    let stop = tokio_util::sync::CancellationToken::new();
    let load = async {
        let mut connection = world.database.as_tenant(tenant).await?;
        while !stop.is_cancelled() {
            sqlx::query(
                "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome)
                 select gen_random_uuid(), $1, 'system', 'test', 'test.load', 'success' from generate_series(1, 20)",
            )
            .bind(tenant)
            .execute(&mut connection)
            .await?;
            written.fetch_add(20, std::sync::atomic::Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::Ok(())
    };
    let mut hub = world.another_hub().await?;
    let killing = async {
        for round in 0..5_u64 {
            tokio::time::sleep(Duration::from_millis(700 + 131 * round)).await;
            hub.kill().await?;
            hub = world.another_hub().await?;
            if round == 0 {
                // From here on the ones that are killed are those that lead.
                signal(world.hub.pid(), "KILL")?;
            }
        }
        stop.cancel();
        anyhow::Ok(hub)
    };
    let (loaded, hub) = tokio::join!(load, killing);
    loaded?;
    world.hub = hub?;
    settled(&world.database).await?;
    is_gapless(&world).await?;
    let written = written.into_inner();
    let found = number(
        &world.database,
        "select count(*) from ledger_entries e join audit_events a on a.audit_event_id = e.event_id and a.action = 'test.load'",
    )
    .await?;
    ensure!(written > 500 && found == i64::from(written), "{written} were acknowledged, {found} have a place");
    let verified = verify(&world.hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}

#[tokio::test]
async fn the_application_cannot_choose_what_the_ledger_relies_on() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let mut application = world.database.as_tenant(tenant).await?;
    for statement in [
        "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome, xid)
         values (gen_random_uuid(), openpam.current_tenant(), 'system', 'x', 'a.b', 'success', '1')",
        "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome, salts)
         values (gen_random_uuid(), openpam.current_tenant(), 'system', 'x', 'a.b', 'success', null)",
        "update ledger_leader set epoch = 0",
        "select * from ledger_leader",
        "delete from ledger_heads",
        "update ledger_keys set public_key = sha256('x')",
        "delete from ledger_system_leaves",
    ] {
        let refused = sqlx::query(statement).execute(&mut application).await.err();
        let error = refused.with_context(|| format!("the application could {statement}"))?;
        let state = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        ensure!(state == "42501", "{statement}: expected no privilege, got {error}");
    }
    let leaves = sqlx::query("select count(*) from ledger_system_leaves where tenant_id <> openpam.current_tenant()")
        .fetch_one(&mut application)
        .await?;
    ensure!(leaves.get::<i64, _>(0) == 0, "a tenant sees the leaves of others");
    Ok(())
}

#[tokio::test]
async fn a_tenant_whose_ledger_is_damaged_holds_up_no_other_and_goes_on_when_it_is_mended() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let (slug, _) = world.another_tenant().await?;
    let other = world.database.tenant_id(&slug).await?;
    write_events(&world.database, tenant, 300).await?;
    settled(&world.database).await?;
    world.hub.terminate().await?;
    let head = format!("select encode(frontier, 'hex') from ledger_heads where tenant_id = '{tenant}'");
    let frontier = world.database.by_hand(&head).await?;
    world.database.by_hand(&format!("update ledger_heads set frontier = '\\x00' where tenant_id = '{tenant}'")).await?;
    let hub = world.another_hub().await?;
    write_events(&world.database, tenant, 40).await?;
    hub.wait_for_log(&["the tenant's ledger is damaged", &tenant.to_string()]).await?;
    write_events(&world.database, other, 400).await?;
    let signed = format!("select coalesce(max(size), 0) from ledger_checkpoints where tenant_id = '{other}'");
    eventually("the other tenant's events are signed", Duration::from_secs(10), || async {
        Ok((number(&world.database, &signed).await? >= 400).then_some(()))
    })
    .await?;
    let ready: serde_json::Value = reqwest::get(format!("{}/readyz", hub.url())).await?.json().await?;
    ensure!(ready["ledger"]["state"] == "damaged", "{ready}");
    let waiting = format!(
        "select count(*) from audit_events where tenant_id = '{tenant}' and audit_event_id not in (select event_id from ledger_entries)"
    );
    ensure!(number(&world.database, &waiting).await? >= 40, "the damaged tenant's events got places");
    let mend = format!("update ledger_heads set frontier = decode('{frontier}', 'hex') where tenant_id = '{tenant}'");
    world.database.by_hand(&mend).await?;
    settled(&world.database).await?;
    is_gapless(&world).await?;
    let verified = verify(&hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}

/// What the ledger's role may insert stops nobody's log but its own.
#[tokio::test]
async fn forged_rows_hold_up_no_other_log_and_are_not_believed() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let (slug, _) = world.another_tenant().await?;
    let other = world.database.tenant_id(&slug).await?;
    write_events(&world.database, tenant, 50).await?;
    settled(&world.database).await?;
    // The next place of the system's log is taken.
    let mut ledger = world.database.as_ledger(tenant).await?;
    let taken = number(&world.database, "select max(size) from ledger_system_checkpoints").await?;
    sqlx::query(
        "insert into ledger_system_leaves (seq, tenant_id, size, text) values ($1, openpam.current_tenant(), 1000000, 'x')",
    )
    .bind(taken)
    .execute(&mut ledger)
    .await?;
    let before = number(&world.database, &signed(other)).await?;
    write_events(&world.database, other, 30).await?;
    eventually("the tenants' logs are signed", Duration::from_secs(10), || async {
        Ok((number(&world.database, &signed(other)).await? >= before + 30).then_some(()))
    })
    .await?;
    eventually("the hub says so", Duration::from_secs(5), || async {
        let ready: serde_json::Value = reqwest::get(format!("{}/readyz", world.hub.url())).await?.json().await?;
        Ok((ready["ledger"]["state"] == "damaged" && ready["ledger"]["anchored"] == false).then_some(()))
    })
    .await?;
    let told = verify(&world.hub, &[]).await?;
    ensure!(!told.sound && told.text.contains("  not_in_system: "), "{}", told.text);
    let remove = unguarded("delete from ledger_system_leaves where text = 'x'");
    world.database.by_hand(&remove).await?;
    settled(&world.database).await?;
    eventually("the system's log has them", Duration::from_secs(10), || async {
        Ok(verify(&world.hub, &[]).await?.sound.then_some(()))
    })
    .await?;
    // A checkpoint that nobody signed, when a hub begins.
    world.hub.terminate().await?;
    sqlx::query(
        "insert into ledger_checkpoints (tenant_id, size, root, note)
         select tenant_id, 1000000, root, regexp_replace(note, E'\n[0-9]+\n', E'\n1000000\n') from ledger_checkpoints
         where tenant_id = openpam.current_tenant() order by size desc limit 1",
    )
    .execute(&mut ledger)
    .await?;
    let hub = world.another_hub().await?;
    let before = number(&world.database, &signed(other)).await?;
    write_events(&world.database, tenant, 30).await?;
    write_events(&world.database, other, 30).await?;
    eventually("the other tenant's log is signed", Duration::from_secs(10), || async {
        Ok((number(&world.database, &signed(other)).await? >= before + 30).then_some(()))
    })
    .await?;
    hub.wait_for_log(&["a checkpoint that nobody signed is ahead of the log"]).await?;
    world.database.by_hand(&unguarded("delete from ledger_checkpoints where size = 1000000")).await?;
    settled(&world.database).await?;
    eventually("nothing is wrong any more", Duration::from_secs(10), || async {
        Ok(verify(&hub, &[]).await?.sound.then_some(()))
    })
    .await
}

pub(super) fn signed(tenant: uuid::Uuid) -> String {
    format!("select coalesce(max(size), 0) from ledger_checkpoints where tenant_id = '{tenant}'")
}

/// A vault that takes connections and says nothing holds up signatures, and neither places nor leaders.
#[tokio::test]
async fn a_vault_that_hangs_holds_up_no_place_and_deposes_no_leader() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    world.hub.terminate().await?;
    let vault = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    world.options.vault_address = Some(format!("http://{}", vault.local_addr()?));
    let hang = async {
        let mut held = Vec::new();
        loop {
            match vault.accept().await {
                Ok(connection) => held.push(connection),
                Err(error) => return error,
            }
        }
    };
    let first = world.prepared().await?.spawn()?;
    let second = world.prepared().await?.spawn()?;
    let watch = async {
        eventually("one leads", Duration::from_secs(20), || async {
            let leads = [&first, &second].iter().any(|hub| hub.log().contains("leading the ledger"));
            Ok(leads.then_some(()))
        })
        .await?;
        let epoch = number(&world.database, "select epoch from ledger_leader").await?;
        let mut slowest = Duration::ZERO;
        for _ in 0..12 {
            write_events(&world.database, tenant, 5).await?;
            let written = Instant::now();
            eventually("the events have places", Duration::from_secs(20), || async {
                let waiting = "select count(*) from audit_events where audit_event_id not in (select event_id from ledger_entries)";
                Ok((number(&world.database, waiting).await? == 0).then_some(()))
            })
            .await?;
            slowest = slowest.max(written.elapsed());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        ensure!(slowest < Duration::from_secs(3), "an event waited {slowest:?} for its place");
        let now = number(&world.database, "select epoch from ledger_leader").await?;
        ensure!(now == epoch, "{} leaders followed each other", now - epoch);
        anyhow::Ok(())
    };
    tokio::select! {
        watched = watch => watched,
        error = hang => Err(error.into()),
    }
}

/// As after a restore by a dump into a cluster that has counted fewer transactions.
#[tokio::test]
async fn events_of_a_cluster_that_counted_further_get_places_after_a_restore() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    world.hub.terminate().await?;
    write_events(&world.database, tenant, 300).await?;
    world
        .database
        .by_hand(&unguarded(
            "update audit_events set xid = (xid::text::bigint + 1000000000)::text::xid8;
             update row_changes set xid = (xid::text::bigint + 1000000000)::text::xid8;
             update ledger_leader set watermark = format('%s:%s:', pg_snapshot_xmin(watermark)::text::bigint + 1000000000,
                                                         pg_snapshot_xmax(watermark)::text::bigint + 1000000000)::pg_snapshot",
        ))
        .await?;
    let hub = world.another_hub().await?;
    settled(&world.database).await?;
    write_events(&world.database, tenant, 300).await?;
    settled(&world.database).await?;
    is_gapless(&world).await?;
    let verified = verify(&hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}
