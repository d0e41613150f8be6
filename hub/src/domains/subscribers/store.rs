//! SQL of webhooks.

use openpam_ids::{TenantId, WebhookId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::types::{Webhook, WebhookFields};
use crate::{
    db::like_pattern,
    domains::events::{Subscriber, Subscription},
};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Webhooks in the order of their names, with how they fare.
pub(super) async fn list(
    connection: &mut PgConnection,
    only: Option<WebhookId>,
    text: Option<&str>,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<Webhook>> {
    let (after_name, after_id) = after.unzip();
    sqlx::query_as!(
        Webhook,
        r#"select webhook_id as "id: _", name, description, url, event_types, enabled, vault_path, created_at, updated_at,
                  (select count(*) from event_deliveries d
                   where d.tenant_id = w.tenant_id and d.webhook_id = w.webhook_id and d.subscriber = 'webhook'
                     and d.state = 'pending') as "pending!",
                  (select count(*) from event_deliveries d
                   where d.tenant_id = w.tenant_id and d.webhook_id = w.webhook_id and d.state = 'failed') as "failed!",
                  (select d.finished_at from event_deliveries d
                   where d.tenant_id = w.tenant_id and d.webhook_id = w.webhook_id and d.state = 'succeeded'
                   order by d.event_id desc limit 1) as "last_success_at"
           from webhooks w
           where ($1::uuid is null or webhook_id = $1)
             and ($2::text is null or name || ' ' || description || ' ' || url ilike '%' || $2 || '%')
             and ($3::text is null or (lower(name), webhook_id) > (lower($3), $4::uuid))
           order by lower(name), webhook_id
           limit $5"#,
        only.map(|id| id.as_uuid()),
        text.map(like_pattern),
        after_name,
        after_id,
        limit
    )
    .fetch_all(connection)
    .await
}

/// What is needed to send to a webhook.
pub(super) struct Address {
    pub(super) url: String,
    pub(super) vault_path: String,
}

/// Where a webhook is; `None` when it is not there, or not enabled.
pub(super) async fn enabled_address(connection: &mut PgConnection, id: WebhookId) -> Result<Option<Address>> {
    sqlx::query_as!(Address, "select url, vault_path from webhooks where webhook_id = $1 and enabled", id.as_uuid())
        .fetch_optional(connection)
        .await
}

/// Who of the transaction's tenant gets events now.
pub(super) async fn subscriptions(connection: &mut PgConnection) -> Result<Vec<Subscription>> {
    let rows = sqlx::query!(
        r#"select webhook_id as "id: WebhookId", event_types from webhooks where enabled order by webhook_id limit 1000"#
    )
    .fetch_all(connection)
    .await?;
    let all = rows
        .into_iter()
        .map(|row| Subscription { subscriber: Subscriber::Webhook(row.id), event_types: row.event_types });
    Ok(all.collect())
}

/// How many webhooks there are. Others who make one wait until the transaction ends.
pub(super) async fn count_locked(connection: &mut PgConnection, tenant: TenantId) -> Result<i64> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('webhooks ' || $1::text, 0))", tenant.to_string())
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query_scalar!(r#"select count(*) as "count!" from webhooks"#).fetch_one(connection).await
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: WebhookId,
    fields: &WebhookFields,
    vault_path: &str,
) -> Result<()> {
    sqlx::query!(
        "insert into webhooks (webhook_id, tenant_id, name, description, url, event_types, enabled, vault_path)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        id.as_uuid(),
        tenant.as_uuid(),
        fields.name,
        fields.description,
        fields.url,
        &fields.event_types,
        fields.enabled,
        vault_path
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Holds other writers of this webhook back until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection, id: WebhookId) -> Result<()> {
    sqlx::query!("select webhook_id from webhooks where webhook_id = $1 for no key update", id.as_uuid())
        .fetch_optional(connection)
        .await?;
    Ok(())
}

pub(super) async fn update(
    connection: &mut PgConnection,
    id: WebhookId,
    fields: &WebhookFields,
    vault_path: &str,
) -> Result<()> {
    sqlx::query!(
        "update webhooks set name = $2, description = $3, url = $4, event_types = $5, enabled = $6, vault_path = $7
         where webhook_id = $1",
        id.as_uuid(),
        fields.name,
        fields.description,
        fields.url,
        &fields.event_types,
        fields.enabled,
        vault_path
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes a webhook, with its deliveries.
pub(super) async fn delete(connection: &mut PgConnection, id: WebhookId) -> Result<()> {
    sqlx::query!("delete from webhooks where webhook_id = $1", id.as_uuid()).execute(connection).await?;
    Ok(())
}
