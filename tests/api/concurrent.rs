//! Two who change the same thing at once: neither undoes what the other did, nor tells it as their own.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use openpam_tests::{World, eventually, unique};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _};

/// Changes the name of a row in a transaction of its own while somebody else changes the description.
async fn name_and_description_at_once(world: &World, kind: &str, table: &str, made: &Value) -> anyhow::Result<()> {
    let id = made["id"].as_str().context("no id")?.to_owned();
    let path = format!("/admin/{}/{id}", table.replace('_', "-"));
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let mut other = world.database.as_tenant(tenant).await?;
    let mut tx = other.begin().await?;
    let name = unique("renamed");
    let rename = format!("update {table} set name = '{name}' where {kind}_id = '{id}'");
    sqlx::query(AssertSqlSafe(rename)).execute(&mut *tx).await?;
    let change = {
        let (client, path) = (world.admin.clone(), path.clone());
        tokio::spawn(async move { client.patch(&path, &json!({ "description": "described" })).await })
    };
    eventually("the change waits for the other one", Duration::from_secs(10), || async {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        Ok((world.database.by_hand(waiting).await? != "0").then_some(()))
    })
    .await?;
    tx.commit().await?;
    change.await??;
    let after = world.admin.get(&path).await?;
    assert_eq!(
        (&after["name"], &after["description"]),
        (&json!(name), &json!("described")),
        "{kind}: a change was lost"
    );
    let entries = world.admin.list(&format!("/audit/entries?action={kind}.update&object_id={id}")).await?;
    assert_eq!(entries.len(), 1, "{kind}: {entries:?}");
    let detail = entries[0]["detail"].to_string();
    ensure!(detail.contains("described"), "{kind}: the change is not told: {detail}");
    ensure!(!detail.contains(&name), "{kind}: another's change is told as one's own: {detail}");
    Ok(())
}

#[tokio::test]
async fn changes_of_zones_sites_and_service_accounts_wait_for_each_other() -> anyhow::Result<()> {
    let world = World::default().await?;
    let zone = world.admin.post("/admin/zones", &json!({ "name": unique("zone"), "type": "hub" })).await?;
    name_and_description_at_once(&world, "zone", "zones", &zone).await?;
    let site = json!({ "name": unique("site"), "code": unique("code") });
    let site = world.admin.post("/admin/sites", &site).await?;
    name_and_description_at_once(&world, "site", "sites", &site).await?;
    let account = json!({ "name": unique("program"), "roles": [] });
    let account = world.admin.post("/admin/service-accounts", &account).await?;
    name_and_description_at_once(&world, "service_account", "service_accounts", &account).await
}
