//! Tenant A and the rows of tenant B, with raw SQL as the application role.

use anyhow::{Context as _, ensure};
use openpam_tests::{
    HubOptions, Stack,
    hub::Prepared,
    proxy::{Fault, FaultProxy},
};
use reqwest::StatusCode;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use uuid::Uuid;

use super::{
    catalogue::{WITHOUT_TENANT, tables},
    migrated, seed, sql_state,
};

/// No privilege, or a row-level policy that does not let a row in.
const NOT_ALLOWED: &str = "42501";

async fn count(connection: &mut PgConnection, table: &str, tenant: Uuid) -> anyhow::Result<i64> {
    let statement = format!("select count(*) from {table} where tenant_id = '{tenant}'");
    Ok(sqlx::query(AssertSqlSafe(statement)).fetch_one(connection).await?.get(0))
}

/// Runs a statement that must change nothing: it finds no row or is not allowed.
async fn changes_nothing(connection: &mut PgConnection, statement: String) -> anyhow::Result<()> {
    match sqlx::query(AssertSqlSafe(statement.clone())).execute(connection).await {
        Ok(done) => ensure!(done.rows_affected() == 0, "changed {} row(s): {statement}", done.rows_affected()),
        Err(error) => ensure!(sql_state(&error) == NOT_ALLOWED, "expected {NOT_ALLOWED} from {statement}: {error}"),
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_can_neither_read_nor_write_the_rows_of_another() -> anyhow::Result<()> {
    let database = migrated().await?;
    let (a, b) = (seed::tenant(&database).await?, seed::tenant(&database).await?);
    let mut as_a = database.as_tenant(a.tenant).await?;
    let mut as_b = database.as_tenant(b.tenant).await?;
    let mut checked = Vec::new();
    for table in tables(&mut as_a).await? {
        if WITHOUT_TENANT.iter().any(|(name, _)| *name == table) {
            continue;
        }
        ensure!(count(&mut as_a, &table, a.tenant).await? > 0, "{table}: the seed has no row, so this proves nothing");
        ensure!(count(&mut as_a, &table, b.tenant).await? == 0, "{table}: A reads rows of B");
        let row: serde_json::Value =
            sqlx::query(AssertSqlSafe(format!("select to_jsonb({table}) from {table} limit 1")))
                .fetch_one(&mut as_b)
                .await
                .with_context(|| table.clone())?
                .get(0);
        let refused = sqlx::query(AssertSqlSafe(format!(
            "insert into {table} select (jsonb_populate_record(null::{table}, $1)).*"
        )))
        .bind(row)
        .execute(&mut as_a)
        .await
        .err()
        .with_context(|| format!("{table}: A inserted a row of B"))?;
        ensure!(sql_state(&refused) == NOT_ALLOWED, "{table}: expected {NOT_ALLOWED}, got {refused}");
        changes_nothing(
            &mut as_a,
            format!("update {table} set tenant_id = '{}' where tenant_id = '{}'", a.tenant, b.tenant),
        )
        .await?;
        changes_nothing(&mut as_a, format!("delete from {table} where tenant_id = '{}'", b.tenant)).await?;
        let given = format!("update {table} set tenant_id = '{}' where tenant_id = '{}'", b.tenant, a.tenant);
        let refused = sqlx::query(AssertSqlSafe(given)).execute(&mut as_a).await;
        ensure!(refused.is_err(), "{table}: A gave a row away to B");
        ensure!(count(&mut as_b, &table, b.tenant).await? > 0, "{table}: the rows of B are gone");
        checked.push(table);
    }
    for table in seed::covered() {
        ensure!(checked.iter().any(|name| name == table), "{table} was not checked");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_tenant_nothing_is_seen_and_nothing_can_be_written() -> anyhow::Result<()> {
    let database = migrated().await?;
    let seeded = seed::tenant(&database).await?;
    let mut nobody = database.application().await?;
    for table in tables(&mut nobody).await? {
        if WITHOUT_TENANT.iter().any(|(name, _)| *name == table) {
            continue;
        }
        let seen: i64 =
            sqlx::query(AssertSqlSafe(format!("select count(*) from {table}"))).fetch_one(&mut nobody).await?.get(0);
        ensure!(seen == 0, "{table}: {seen} rows without a tenant");
        changes_nothing(&mut nobody, format!("delete from {table}")).await?;
    }
    let refused = sqlx::query("insert into zones (zone_id, tenant_id, type, name) values ($1, $2, 'hub', 'x')")
        .bind(Uuid::now_v7())
        .bind(seeded.tenant)
        .execute(&mut nobody)
        .await
        .err()
        .context("a row was written without a tenant")?;
    ensure!(sql_state(&refused) == NOT_ALLOWED, "expected {NOT_ALLOWED}, got {refused}");
    Ok(())
}

#[tokio::test]
async fn a_row_cannot_refer_to_a_row_of_another_tenant() -> anyhow::Result<()> {
    let database = migrated().await?;
    let (a, b) = (seed::tenant(&database).await?, seed::tenant(&database).await?);
    let mut as_a = database.as_tenant(a.tenant).await?;
    // Foreign keys are checked past row-level security: the tenant is part of the key.
    for statement in [
        format!(
            "insert into group_memberships (tenant_id, group_id, user_id) values ('{}', '{}', '{}')",
            a.tenant,
            a.id('g'),
            b.id('u')
        ),
        format!(
            "insert into target_credentials (tenant_id, target_id, credential_id) values ('{}', '{}', '{}')",
            a.tenant,
            a.id('m'),
            b.id('c')
        ),
        format!(
            "insert into target_access_groups (tenant_id, target_id, group_id) values ('{}', '{}', '{}')",
            a.tenant,
            a.id('m'),
            b.id('g')
        ),
        format!("update targets set zone_id = '{}'", b.id('z')),
    ] {
        let refused = sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut as_a).await;
        let error = refused.err().with_context(|| format!("allowed: {statement}"))?;
        ensure!(sql_state(&error) == "23503", "expected a foreign key violation from {statement}: {error}");
    }
    Ok(())
}

/// The hub starts while nothing answers, so it cannot look at its role then.
#[tokio::test]
async fn a_role_that_comes_with_a_later_database_is_refused_too() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let database = migrated().await?;
    let proxy = FaultProxy::start(&database.address()).await?;
    proxy.set(Fault::Refuse);
    let options = HubOptions { database_address: Some(proxy.address().to_string()), ..HubOptions::default() };
    let prepared = Prepared::new(&stack, &database, &options).await?;
    let path = prepared.folder().join("hub.toml");
    let text = std::fs::read_to_string(&path)?;
    let postgres = &stack.servers.postgres;
    let files = [&postgres.app_password_file, &postgres.owner_password_file].map(|file| file.display().to_string());
    ensure!(text.contains("postgres://openpam_app@") && text.contains(&files[0]), "another configuration: {text}");
    let owned = text.replace("postgres://openpam_app@", "postgres://openpam_owner@").replace(&files[0], &files[1]);
    std::fs::write(&path, owned)?;
    let hub = prepared.spawn()?;
    hub.wait_for_log(&["hub started"]).await?;
    proxy.set(Fault::None);
    hub.wait_for_log(&["the application role openpam_owner", "refusing"]).await?;
    let ready = reqwest::get(format!("{}/readyz", hub.url())).await?;
    ensure!(ready.status() == StatusCode::SERVICE_UNAVAILABLE, "{ready:?}");
    Ok(())
}
