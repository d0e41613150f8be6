//! The ledger: what it costs those who write, and how fast it is behind them.

use std::{
    process::Stdio,
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use openpam_tests::{World, eventually};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::{
    report::Report,
    statistics::{Spread, percentile},
};

/// Clients that write at the same time.
const CLIENTS: usize = 16;
/// How long they write.
const WRITING: Duration = Duration::from_secs(4);
/// Events a second while the lag is measured.
const EVENTS_A_SECOND: u64 = 1_000;

/// The events' table as it would be without a ledger: same columns otherwise, same indexes, same policy, same tenant.
const PLAIN: &str = "create table plain_events (like audit_events including all);
    drop index plain_events_xid_audit_event_id_idx;
    alter table plain_events drop column xid, drop column salts cascade, drop column erased_at cascade;
    alter table plain_events add foreign key (tenant_id) references tenants;
    call openpam.isolate_by_tenant('plain_events');
    grant select, insert on plain_events to openpam_app;";

fn insert(table: &str) -> String {
    format!(
        "insert into {table} (audit_event_id, tenant_id, actor_type, actor_name, action, outcome, object_type, object_id,
                              object_name, request_id, client_ip, detail)
         values (gen_random_uuid(), $1, 'system', 'somebody', 'bench.event', 'success', 'target', gen_random_uuid(),
                 'web-server-1', gen_random_uuid()::text, '192.0.2.1', '{{\"protocol\": \"ssh\", \"reason\": \"because\"}}')"
    )
}

/// Inserts a second, each in a transaction of its own.
async fn throughput(world: &World, tenant: Uuid, table: &str) -> anyhow::Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut connection = world.database.as_tenant(tenant).await?;
        let (stop, written, statement) = (stop.clone(), written.clone(), insert(table));
        clients.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                sqlx::query(AssertSqlSafe(statement.clone())).bind(tenant).execute(&mut connection).await?;
                written.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        }));
    }
    let begun = Instant::now();
    tokio::time::sleep(WRITING).await;
    stop.store(true, Ordering::Relaxed);
    let rate = written.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    for client in clients {
        client.await??;
    }
    Ok(rate)
}

async fn number(world: &World, statement: &str) -> anyhow::Result<i64> {
    Ok(world.database.by_hand(statement).await?.parse()?)
}

/// Waits until each event has its place and is signed.
async fn settled(world: &World) -> anyhow::Result<()> {
    eventually("everything has its place and is signed", Duration::from_secs(120), || async {
        let left = number(
            world,
            "select (select count(*) from audit_events) + (select count(*) from row_changes)
                    - (select coalesce(sum(size), 0) from
                       (select max(size) as size from ledger_checkpoints group by tenant_id) as signed)",
        )
        .await?;
        Ok((left == 0).then_some(()))
    })
    .await
}

/// Events by the thousand, in few transactions.
async fn pile_up(world: &World, tenant: Uuid, events: i64) -> anyhow::Result<()> {
    let mut connection = world.database.as_tenant(tenant).await?;
    let one = insert("audit_events");
    let (head, values) = one.split_once("values (").context("no values")?;
    let values = values.trim_end().strip_suffix(')').context("no end")?;
    let each = format!("{head} select {values} from generate_series(1, 1000)");
    for _ in 0..events / 1_000 {
        sqlx::query(AssertSqlSafe(each.clone())).bind(tenant).execute(&mut connection).await?;
    }
    Ok(())
}

fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status()?;
    ensure!(sent.success(), "kill -{name} {pid}");
    Ok(())
}

/// Entries a second that get their places, from a pile that lies there.
async fn sequencing(world: &World, tenant: Uuid, events: i64) -> anyhow::Result<f64> {
    settled(world).await?;
    signal(world.hub.pid(), "STOP")?;
    let piled = pile_up(world, tenant, events).await;
    let mut owner = world.database.owner().await?;
    openpam_tests::database::set_tenant(&mut owner, tenant).await?;
    let size = "select size from ledger_heads where tenant_id = openpam.current_tenant()";
    let before: i64 = sqlx::query(size).fetch_one(&mut owner).await?.get(0);
    signal(world.hub.pid(), "CONT")?;
    piled?;
    let begun = Instant::now();
    loop {
        let now: i64 = sqlx::query(size).fetch_one(&mut owner).await?.get(0);
        if now >= before + events {
            return Ok(events as f64 / begun.elapsed().as_secs_f64());
        }
        ensure!(begun.elapsed() < Duration::from_secs(120), "only {} of {events} have a place", now - before);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// From an event to a checkpoint that speaks for it, in seconds: median, p95, longest.
async fn lag(world: &World, tenant: Uuid, seconds: u64) -> anyhow::Result<(f64, f64, f64)> {
    settled(world).await?;
    let mut connection = world.database.as_tenant(tenant).await?;
    let begun: chrono::DateTime<chrono::Utc> =
        sqlx::query("select clock_timestamp()").fetch_one(&mut connection).await?.get(0);
    let each = EVENTS_A_SECOND / 20;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..seconds * 20 {
        tick.tick().await;
        for _ in 0..each {
            sqlx::query(AssertSqlSafe(insert("audit_events"))).bind(tenant).execute(&mut connection).await?;
        }
    }
    let ended: chrono::DateTime<chrono::Utc> =
        sqlx::query("select clock_timestamp()").fetch_one(&mut connection).await?.get(0);
    settled(world).await?;
    let rows = sqlx::query(
        "select extract(epoch from c.signed_at - a.occurred_at)::float8
         from audit_events a join ledger_entries e on e.event_id = a.audit_event_id
         cross join lateral (select signed_at from ledger_checkpoints c
                             where c.tenant_id = e.tenant_id and c.size > e.seq order by c.size limit 1) c
         where a.action = 'bench.event' and a.occurred_at >= $1",
    )
    .bind(begun)
    .fetch_all(&mut connection)
    .await?;
    let mut lags = rows.iter().map(|row| row.get::<f64, _>(0)).collect::<Vec<_>>();
    let rate = lags.len() as f64 / (ended - begun).as_seconds_f64();
    ensure!(rate > 0.8 * EVENTS_A_SECOND as f64, "the load was {rate:.0} events a second only");
    Ok((percentile(&mut lags, 0.5), percentile(&mut lags, 0.95), percentile(&mut lags, 1.0)))
}

/// Entries a second that `openpam audit verify` looks at, its start included.
async fn verify(world: &World) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let output = tokio::process::Command::new(openpam_tests::hub::binary()?)
        .args(["audit", "verify", "--tenant", &world.options.tenant, "--config"])
        .arg(world.hub.folder().join("hub.toml"))
        .stdin(Stdio::null())
        .output()
        .await?;
    let seconds = begun.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let entries = text.split(" entries looked at").next().and_then(|front| front.rsplit(' ').next());
    let entries: f64 = entries.and_then(|number| number.parse().ok()).with_context(|| text.clone())?;
    Ok(entries / seconds)
}

/// Bytes of the database for each event, by what they are for.
async fn sizes(world: &World, report: &mut Report) -> anyhow::Result<()> {
    eventually("every event is ready for the search", Duration::from_secs(600), || async {
        let left = "select (select count(*) from audit_events) - (select count(*) from audit_search)";
        Ok((number(world, left).await? == 0).then_some(()))
    })
    .await?;
    world.database.by_hand("vacuum analyze audit_events, ledger_entries, audit_search").await?;
    for (what, tables) in [
        ("the event", &["audit_events"][..]),
        ("its entry and its part of the tree", &["ledger_entries", "ledger_tiles"]),
        ("the search", &["audit_search"]),
    ] {
        let each =
            tables.iter().map(|table| format!("pg_total_relation_size('{table}')")).collect::<Vec<_>>().join(" + ");
        let bytes = number(world, &format!("select ({each}) / (select count(*) from audit_events)")).await?;
        report.note(
            &format!("ledger: bytes of the database for each event, {what}"),
            "bytes",
            Spread::of([bytes as f64]),
        );
    }
    Ok(())
}

/// The four goals of the ledger.
///
/// # Errors
/// When something is lost, or does not verify.
pub async fn ledger(world: &World, repetitions: usize, events: i64, report: &mut Report) -> anyhow::Result<()> {
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    world.database.by_hand(PLAIN).await?;
    let mut pairs = Vec::new();
    for _ in 0..repetitions {
        let plain = throughput(world, tenant, "plain_events").await?;
        let sequenced = throughput(world, tenant, "audit_events").await?;
        pairs.push((plain, sequenced));
        settled(world).await?;
    }
    report.at_least("ledger: inserts a second, 16 clients, beside plain inserts", "/s", &pairs, 0.8);
    let mut rates = Vec::new();
    for _ in 0..repetitions.min(3) {
        rates.push(sequencing(world, tenant, events).await?);
    }
    report.least("ledger: events sequenced a second", "/s", Spread::of(rates), 20_000.0);
    let (median, p95, longest) = lag(world, tenant, 10).await?;
    report.note("ledger: from event to checkpoint at 1,000 events/s, median", "s", Spread::of([median]));
    report.limit("ledger: from event to checkpoint at 1,000 events/s, p95", "s", Spread::of([p95]), 1.0);
    report.note("ledger: from event to checkpoint at 1,000 events/s, longest", "s", Spread::of([longest]));
    let mut rates = Vec::new();
    for _ in 0..3 {
        rates.push(verify(world).await?);
    }
    report.least("ledger: entries verified a second", "/s", Spread::of(rates), 100_000.0);
    sizes(world, report).await
}
