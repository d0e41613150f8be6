//! The search over a trail that has grown: an index is used, and what is not in it yet is found too.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use openpam_tests::{World, eventually};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use uuid::Uuid;

use super::migrated;

/// Events of one tenant; another one has some with the same texts.
const EVENTS: i64 = 200_000;

/// Ids, and pages of the database that were looked at for them.
async fn search(connection: &mut PgConnection, text: &str, filter: &str) -> anyhow::Result<(Vec<Uuid>, i64)> {
    let call = format!("select openpam.search_audit_events('%{text}%', null, {filter}, null, null, 51, null) as id");
    let ids = sqlx::query(AssertSqlSafe(call.clone())).fetch_all(&mut *connection).await?;
    let plan: Value = sqlx::query(AssertSqlSafe(format!("explain (analyze, buffers, format json) {call}")))
        .fetch_one(connection)
        .await?
        .get(0);
    let plan = &plan[0]["Plan"];
    let pages = |name: &str| plan[name].as_i64().with_context(|| format!("no {name} in {plan}"));
    let pages = pages("Shared Hit Blocks")? + pages("Shared Read Blocks")?;
    Ok((ids.iter().map(|row| row.get("id")).collect(), pages))
}

#[tokio::test]
async fn a_text_is_found_in_two_hundred_thousand_events_without_going_through_them() -> anyhow::Result<()> {
    let database = migrated().await?;
    let (tenant, other) = (Uuid::now_v7(), Uuid::now_v7());
    let mut owner = database.owner().await?;
    for (id, slug) in [(tenant, "one"), (other, "other")] {
        openpam_tests::database::set_tenant(&mut owner, id).await?;
        sqlx::query("insert into tenants (tenant_id, slug, name) values ($1, $2, 'Test')")
            .bind(id)
            .bind(slug)
            .execute(&mut owner)
            .await?;
    }
    let generated = |tenant: Uuid, first: i64, count: i64| {
        format!(
            "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_id, actor_name, action, outcome,
                                       object_type, object_id, object_name, detail)
             select ('019a0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '{tenant}', 'user', md5((n % 50)::text)::uuid,
                    'person-' || n % 50, case when n % 100 = 0 then 'target.update' else 'session.start' end,
                    case when n % 10 = 0 then 'denied' else 'success' end, 'target', md5((n % 400)::text)::uuid,
                    'machine-' || n % 400,
                    jsonb_build_object('reason', case when n % 66666 = 7 then 'Needle-in-the-hay' else 'ticket ' || n end)
             from generate_series({first}::bigint, {first} + {count} - 1) n"
        )
    };
    database.by_hand(&generated(tenant, 1, EVENTS)).await?;
    database.by_hand(&generated(other, EVENTS + 1, 100_000)).await?;
    let begun = Instant::now();
    database.by_hand("do $$ begin while openpam.index_audit_events(20000) > 0 loop end loop; end $$").await?;
    database.by_hand("vacuum analyze audit_search").await?;
    database.by_hand("vacuum analyze audit_events").await?;
    println!("{} events made ready in {:?}", EVENTS + 100_000, begun.elapsed());
    let whole: i64 = database.by_hand("select pg_relation_size('audit_search') / 8192").await?.parse()?;
    let mut application = database.as_tenant(tenant).await?;
    let none = "null, null, null, null, null";
    for (text, filter, count, most) in [
        ("needle-in-the-hay", none, 3, 2_000),
        ("edle-in-th", none, 3, 2_000),
        ("nowhere-to-be-found", none, 0, 2_000),
        ("session.start", none, 51, 2_000),
        ("person-0", "null, 'target.', null, null, null", 51, whole),
        ("needle-in-the-hay", "null, null, null, null, 'denied'", 0, 2_000),
    ] {
        let (found, pages) = search(&mut application, text, filter).await?;
        ensure!(found.len() == count, "{text}: {} were found, {count} are there", found.len());
        ensure!(found.is_sorted_by(|one, next| one > next), "{text}: not the newest first");
        ensure!(pages < most, "{text}: {pages} pages were looked at, of {whole}");
    }
    // What was written since is found before it is made ready, and by its own tenant alone.
    database.by_hand(&generated(tenant, 900_007, 200)).await?;
    let (found, _) = search(&mut application, "ticket 900100", none).await?;
    ensure!(found.len() == 1, "what is not in the index yet is not found");
    let (found, _) = search(&mut database.as_tenant(other).await?, "ticket 900100", none).await?;
    ensure!(found.is_empty(), "another tenant finds it");
    database.by_hand("select openpam.index_audit_events(1000)").await?;
    let (found, pages) = search(&mut application, "ticket 900100", none).await?;
    ensure!(found.len() == 1 && pages < 2_000, "{} were found in {pages} pages once it is in the index", found.len());
    // A transaction that takes long is waited for, so that its events are not left out.
    let mut slow = database.as_tenant(tenant).await?;
    sqlx::raw_sql("begin; select pg_current_xact_id()").execute(&mut slow).await?;
    database.by_hand(&generated(tenant, 950_000, 10)).await?;
    database.by_hand("select openpam.index_audit_events(1000)").await?;
    sqlx::raw_sql(AssertSqlSafe(
        "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome, detail)
         values (gen_random_uuid(), openpam.current_tenant(), 'system', 's', 'test.slow', 'success', '{}'); commit"
            .to_owned(),
    ))
    .execute(&mut slow)
    .await?;
    database.by_hand("select openpam.index_audit_events(1000)").await?;
    let left = "select count(*) from audit_events e where not exists (select from audit_search s where s.audit_event_id = e.audit_event_id)";
    ensure!(database.by_hand(left).await? == "0", "events were left out of the index");
    Ok(())
}

/// Through the hub: letters of any case, signs that mean something to a pattern, and filters beside.
#[tokio::test]
async fn the_trail_is_searched_for_a_part_of_any_text() -> anyhow::Result<()> {
    let world = World::default().await?;
    let made = world
        .admin
        .post("/admin/zones", &serde_json::json!({ "name": "Zone_100% Süd", "description": "", "type": "hub" }))
        .await?;
    let id = made["id"].as_str().context("no id")?;
    for is_ready in [false, true] {
        for (text, count) in [("zone_100%25", 1), ("S%C3%9CD", 1), ("one%25100", 0), ("zoneX100", 0), ("%5C", 0)] {
            let found = world.admin.list(&format!("/audit/entries?q={text}&action=zone.&object_id={id}")).await?;
            ensure!(found.len() == count, "{text}, in the index: {is_ready}: {found:?}");
        }
        if !is_ready {
            eventually("it is in the index", Duration::from_secs(30), || async {
                let there = "select count(*) from audit_search where text like '%zone\\_100%'";
                Ok((world.database.by_hand(there).await? != "0").then_some(()))
            })
            .await?;
        }
    }
    Ok(())
}
