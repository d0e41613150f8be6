//! `openpam migrate`: twice, and on a schema that an older version made.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use openpam_tests::{Client, Database, HubOptions, Stack, World, hub::Prepared, unique};
use sqlx::{Connection as _, migrate::Migrator};

/// Every table, column, constraint, index, trigger and policy, as one text.
async fn schema(database: &Database) -> anyhow::Result<String> {
    database
        .by_hand(
            "select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns \
             where table_schema = 'public' order by 1, 2; \
             select conrelid::regclass, conname, pg_get_constraintdef(oid) from pg_constraint \
             where connamespace = 'public'::regnamespace order by 1, 2; \
             select indexdef from pg_indexes where schemaname = 'public' order by 1; \
             select tgrelid::regclass, tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal order by 1, 2; \
             select tablename, policyname, roles, cmd, qual, with_check from pg_policies order by 1, 2; \
             select version, success from _sqlx_migrations order by 1",
        )
        .await
}

#[tokio::test]
async fn migrating_twice_changes_nothing_and_two_at_once_do_not_disturb_each_other() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let (once, together) = (Database::create(&stack).await?, Database::create(&stack).await?);
    let prepared = Prepared::new(&stack, &once, &HubOptions::default()).await?;
    prepared.run(&["migrate"], None).await?;
    let first = schema(&once).await?;
    ensure!(first.lines().count() > 200, "the schema is too small to prove anything");
    prepared.run(&["migrate"], None).await?;
    assert_eq!(schema(&once).await?, first, "the second run changed something");
    let prepared = Prepared::new(&stack, &together, &HubOptions::default()).await?;
    let (left, right) = tokio::join!(prepared.run(&["migrate"], None), prepared.run(&["migrate"], None));
    left.and(right).context("two migrations at the same time")?;
    // Also where nothing is left to do, as when several hubs are started anew.
    for _ in 0..8 {
        let run = || prepared.run(&["migrate"], None);
        let (one, two, three, four) = tokio::join!(run(), run(), run(), run());
        one.and(two).and(three).and(four).context("four migrations at the same time")?;
    }
    assert_eq!(schema(&together).await?, first, "two at once made another schema");
    Ok(())
}

#[tokio::test]
async fn a_table_that_is_in_use_is_not_waited_for_and_the_next_run_goes_on() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let all = Migrator::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations")).await?;
    let database = Database::create(&stack).await?;
    let mut owner = database.owner().await?;
    all.run_direct(Some(20_261_128_000_016), &mut owner, false).await?;
    // As a dump, or a report, does for minutes; whoever waits for it keeps every session waiting.
    sqlx::raw_sql("begin; lock table recordings in access share mode").execute(&mut owner).await?;
    let prepared = Prepared::new(&stack, &database, &HubOptions::default()).await?;
    let run = tokio::time::timeout(std::time::Duration::from_secs(30), prepared.run(&["migrate"], None));
    ensure!(run.await.context("it waits")?.is_err(), "it did not need the table");
    sqlx::raw_sql("rollback").execute(&mut owner).await?;
    owner.close().await?;
    prepared.run(&["migrate"], None).await?;
    Ok(())
}

#[tokio::test]
async fn an_older_schema_is_refused_by_the_hub_and_brought_up_to_date_with_its_rows() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let all = Migrator::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations")).await?;
    let reference = Database::create(&stack).await?;
    let options = HubOptions::default();
    let fresh = Prepared::new(&stack, &reference, &options).await?;
    fresh.run(&["migrate"], None).await?;
    let expected = schema(&reference).await?;
    // This binary's own account, as the older version stored it.
    let (tenant, password) = (options.tenant.as_str(), unique("admin-password"));
    let arguments = ["admin", "create", "--tenant", tenant, "--username", "admin", "--password-file", "-"];
    fresh.run(&arguments, Some(&password)).await?;
    let hash = reference.by_hand("select password_hash from users").await?;
    // The first version that was given out ended with the seventh.
    let database = Database::create(&stack).await?;
    let mut owner = database.owner().await?;
    all.run_direct(Some(20_261_124_000_007), &mut owner, false).await?;
    // As that version's own `migrate` did.
    sqlx::query("grant select on _sqlx_migrations to openpam_app").execute(&mut owner).await?;
    let id = uuid::Uuid::now_v7();
    openpam_tests::database::set_tenant(&mut owner, id).await?;
    sqlx::query("insert into tenants (tenant_id, slug, name) values ($1, $2, 'Test')")
        .bind(id)
        .bind(tenant)
        .execute(&mut owner)
        .await?;
    sqlx::query(
        "insert into users (user_id, tenant_id, source, username, display_name, roles, password_hash)
         values ($1, $1, 'local', 'admin', 'admin', array['admin'], $2)",
    )
    .bind(id)
    .bind(hash)
    .execute(&mut owner)
    .await?;
    owner.close().await?;

    let prepared = Prepared::new(&stack, &database, &options).await?;
    let mut early = Prepared::new(&stack, &database, &options).await?.spawn()?;
    let status = early.wait(std::time::Duration::from_secs(20)).await?;
    ensure!(!status.success(), "the hub started on an older schema");
    early.wait_for_log(&["openpam migrate"]).await.context("it does not say what to do")?;

    prepared.run(&["migrate"], None).await?;
    assert_eq!(schema(&database).await?, expected, "another schema than a fresh one");
    let hub = prepared.start().await?;
    Client::new(hub.url())?.sign_in(tenant, "admin", &password).await?;
    Ok(())
}

#[tokio::test]
async fn a_hub_ends_when_its_schema_turns_out_to_be_older_than_itself() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    // As after a restore, or where the database was down when the hub began.
    world
        .database
        .by_hand("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)")
        .await?;
    let status = world.hub.wait(Duration::from_secs(60)).await?;
    ensure!(!status.success(), "it ended as if asked to");
    ensure!(world.hub.log().contains("the database is not one to go on with"), "it does not say why");
    Ok(())
}
