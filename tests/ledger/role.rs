//! The database's role that writes the ledger: what it takes from the application, and how it comes to be.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use openpam_tests::{HubOptions, Stack, World, hub::Prepared};
use serde_json::Value;
use sqlx::PgConnection;

use super::{settled, verify, write_events};

/// What gives places, signs, and tells of it.
const STATEMENTS: &[&str] = &[
    "insert into ledger_entries select tenant_id, seq + 1, gen_random_uuid(), kind, canonical, leaf_hash from ledger_entries",
    "insert into ledger_tiles values (openpam.current_tenant(), 0, 9, decode(repeat('00', 8192), 'hex'), sha256('r'))",
    "insert into ledger_checkpoints (tenant_id, size, root, note) values (openpam.current_tenant(), 9999, sha256('r'), 'x')",
    "insert into ledger_heads (tenant_id, size, frontier) values (openpam.current_tenant(), 1, sha256('f'))",
    "update ledger_heads set size = size + 1",
    "insert into ledger_system_leaves values (9999, openpam.current_tenant(), 1, 'x')",
    "insert into ledger_system_tiles values (0, 9, decode(repeat('00', 8192), 'hex'), sha256('r'))",
    "insert into ledger_system_checkpoints (size, root, frontier, note) values (9999, sha256('r'), 'x', 'x')",
    "insert into ledger_keys (ledger_key_id, public_key, vault_path) values (gen_random_uuid(), sha256('x'), 'x')",
    "insert into ledger_anchors (name, origin, size) values ('file', 'x', 1)",
    "update ledger_anchors set size = 0",
    "insert into ledger_cosignatures (origin, size, witness, line) values ('x', 1, 'x', E'x\n')",
    "select openpam.ledger_lead(gen_random_uuid(), true, interval '1 second', 'x')",
    "select openpam.ledger_fence(1)",
    "select openpam.ledger_set_watermark(1, '1:1:')",
    "select openpam.ledger_look_at_events('1:1:', '9:9:', 0, gen_random_uuid(), 10, null, true)",
    "select openpam.ledger_look_at_changes('1:1:', '9:9:', 0, gen_random_uuid(), 10, null, true)",
    "select openpam.ledger_new_events('1:1:', '9:9:', 0, gen_random_uuid(), 10)",
    "select openpam.ledger_note_damaged(1, openpam.current_tenant(), 'x', '1:1:', '1:1:', 0, gen_random_uuid(), true, 0,
                                        gen_random_uuid(), true)",
    "select openpam.ledger_to_sign(10, '{}')",
    "select openpam.ledger_latest()",
    "set role openpam_ledger",
];

async fn is_refused(connection: &mut PgConnection, statement: &'static str) -> anyhow::Result<()> {
    let refused = sqlx::query(statement).execute(connection).await.err();
    let error = refused.with_context(|| format!("the application could {statement}"))?;
    let state = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    ensure!(state == "42501", "{statement}: expected no privilege, got {error}");
    Ok(())
}

#[tokio::test]
async fn the_application_can_add_to_the_trail_and_to_nothing_that_proves_it() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 300).await?;
    settled(&world.database).await?;
    let mut application = world.database.as_tenant(tenant).await?;
    for statement in STATEMENTS {
        is_refused(&mut application, statement).await?;
    }
    let ready: Value = reqwest::get(format!("{}/readyz", world.hub.url())).await?.json().await?;
    ensure!(ready["ledger"]["separate_role"] == true && ready["ledger"]["state"] == "leading", "{ready}");
    // Beats are events of the ledger's role, and it can write nothing else into the trail.
    let mut ledger = world.database.as_ledger(tenant).await?;
    for statement in [
        "update audit_events set actor_name = 'x'",
        "delete from audit_events",
        "delete from ledger_entries",
        "insert into row_changes (tenant_id, table_name, operation, row_id)
         values (openpam.current_tenant(), 'users', 'delete', 'x')",
        "select * from users",
        "select * from credentials",
        "update sessions set status = 'failed'",
    ] {
        is_refused(&mut ledger, statement).await?;
    }
    let verified = verify(&world.hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}

/// Rights go with what the configuration of `openpam migrate` names, there and back.
#[tokio::test]
async fn a_role_for_the_ledger_is_given_its_rights_later_and_they_are_taken_back() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let mut world = World::start_with(stack, HubOptions { ledger_role: false, ..HubOptions::default() }).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    write_events(&world.database, tenant, 20).await?;
    settled(&world.database).await?;
    let ready: Value = reqwest::get(format!("{}/readyz", world.hub.url())).await?.json().await?;
    ensure!(ready["ledger"]["separate_role"] == false && ready["ready"] == true, "{ready}");
    world.hub.wait_for_log(&["the application's role writes the ledger too"]).await?;
    world.hub.terminate().await?;

    let options = HubOptions { ledger_role: true, ..world.options.clone() };
    let prepared = || Prepared::new(&world.stack, &world.database, &options);
    let mut early = prepared().await?.spawn()?;
    let status = early.wait(Duration::from_secs(20)).await?;
    ensure!(!status.success(), "a hub started though the ledger's role may not do its work");
    early.wait_for_log(&["openpam migrate"]).await.context("it does not say what to do")?;
    let prepared = prepared().await?;
    prepared.run(&["migrate"], None).await?;
    let mut hub = prepared.start().await?;
    write_events(&world.database, tenant, 20).await?;
    settled(&world.database).await?;
    let mut application = world.database.as_tenant(tenant).await?;
    for statement in STATEMENTS {
        is_refused(&mut application, statement).await?;
    }
    let verified = verify(&hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    // Whoever gives it back to the application, behind the hub's back, ends the hub.
    world.database.by_hand("grant insert on ledger_checkpoints to openpam_app").await?;
    let status = hub.wait(Duration::from_secs(60)).await?;
    ensure!(
        !status.success() && hub.log().contains("the application role may write the ledger"),
        "it does not say why"
    );

    let prepared = Prepared::new(&world.stack, &world.database, &world.options).await?;
    // An upgrade from a file that names no such role takes nothing from it; who wants that says so.
    let may = "select has_table_privilege('openpam_ledger', 'ledger_entries', 'insert')";
    prepared.run(&["migrate"], None).await?;
    assert_eq!(world.database.by_hand(may).await?, "t");
    prepared.run(&["migrate", "--ledger-by-application"], None).await?;
    assert_eq!(world.database.by_hand(may).await?, "f");
    let hub = prepared.start().await?;
    write_events(&world.database, tenant, 20).await?;
    settled(&world.database).await?;
    let mut ledger = world.database.as_ledger(tenant).await?;
    is_refused(&mut ledger, "select * from ledger_entries").await?;
    is_refused(&mut ledger, "select openpam.ledger_fence(1)").await?;
    is_refused(&mut ledger, "select * from platform_events").await?;
    is_refused(
        &mut ledger,
        "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome)
         values (gen_random_uuid(), openpam.current_tenant(), 'system', 'x', 'a.b', 'success')",
    )
    .await?;
    let verified = verify(&hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}
