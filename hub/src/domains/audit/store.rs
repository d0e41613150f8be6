//! SQL of the trail.

use chrono::{DateTime, Utc};
use openpam_ids::AuditEventId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Entry, Event, types::EntryFilter};
use crate::{context::Context, db::like_pattern};

pub(super) async fn insert(
    connection: &mut PgConnection,
    id: AuditEventId,
    context: &Context,
    event: &Event,
) -> Result<(), sqlx::Error> {
    let principal = &context.principal;
    let object = event.object.as_ref();
    sqlx::query!(
        "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_id, actor_name, action, outcome,
                                   object_type, object_id, object_name, request_id, client_ip, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        id.as_uuid(),
        context.tenant_id.as_uuid(),
        principal.actor.kind(),
        principal.actor.id(),
        principal.name,
        event.action,
        event.outcome.name(),
        object.map(|object| object.kind),
        object.and_then(|object| object.id),
        object.map(|object| object.name.as_str()),
        &*context.request_id,
        context.client_ip.map(ipnetwork::IpNetwork::from),
        event.detail,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How long a search may take.
const LONGEST_SEARCH: &str = "8s";

/// Empties contents, as the triggers let it: whole, once, in a transaction that says so.
pub(super) async fn erase(
    connection: &mut PgConnection,
    events: &[Uuid],
    row_changes: &[Uuid],
) -> Result<(), sqlx::Error> {
    // Who makes events ready for the search waits: a name that goes is not filed behind this.
    sqlx::query!("select only_one from audit_search_progress for update").fetch_one(&mut *connection).await?;
    sqlx::query!("select set_config('openpam.erasing', 'on', true)").fetch_one(&mut *connection).await?;
    sqlx::query!(
        "update audit_events set actor_name = '', object_name = null, client_ip = null, detail = '{}', salts = null,
                                 erased_at = clock_timestamp()
         where tenant_id = openpam.current_tenant() and audit_event_id = any($1)",
        events
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update row_changes set before_image = null, after_image = null, database_user = '', salts = null,
                                erased_at = clock_timestamp()
         where tenant_id = openpam.current_tenant() and row_change_id = any($1)",
        row_changes
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("select set_config('openpam.erasing', '', true)").fetch_one(&mut *connection).await?;
    sqlx::query!(
        "update audit_search s
         set text = openpam.audit_text(e.actor_name, e.object_name, e.action, e.detail)
         from audit_events e
         where s.tenant_id = openpam.current_tenant() and s.audit_event_id = any($1)
           and e.audit_event_id = s.audit_event_id",
        events
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Entries that match, newest first, older than `before`.
pub(super) async fn list(
    connection: &mut PgConnection,
    filter: &EntryFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    let action_prefix = filter.action.as_deref().filter(|action| action.ends_with('.'));
    let action = filter.action.as_deref().filter(|action| !action.ends_with('.'));
    if let Some(text) = &filter.text {
        // Somebody waits for it, and so does everybody who waits for a connection.
        sqlx::query!("select set_config('statement_timeout', $1, true) as timeout", LONGEST_SEARCH)
            .fetch_one(&mut *connection)
            .await?;
        let ids = sqlx::query_scalar!(
            r#"select openpam.search_audit_events(lower($1), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) as "id!""#,
            format!("%{}%", like_pattern(text)),
            before,
            action,
            action_prefix,
            filter.actor_id,
            filter.object_id,
            filter.outcome.map(super::Outcome::name),
            filter.from,
            filter.to,
            limit,
            filter.without_action,
        )
        .fetch_all(&mut *connection)
        .await?;
        return of_ids(connection, &ids).await;
    }
    sqlx::query_as!(
        Entry,
        r#"select audit_event_id as "id: _", occurred_at, actor_type, actor_id, actor_name, action, outcome,
                  object_type, object_id, object_name, request_id, client_ip as "client_ip: _", detail
           from audit_events
           where ($1::uuid is null or audit_event_id < $1)
             and ($2::text is null or action = $2)
             and ($3::text is null or starts_with(action, $3))
             and ($4::uuid is null or actor_id = $4)
             and ($5::uuid is null or object_id = $5)
             and ($6::text is null or outcome = $6)
             and ($7::timestamptz is null or occurred_at >= $7)
             and ($8::timestamptz is null or occurred_at < $8)
             and ($10::text is null or action <> $10)
           order by audit_event_id desc
           limit $9"#,
        before,
        action,
        action_prefix,
        filter.actor_id,
        filter.object_id,
        filter.outcome.map(super::Outcome::name),
        filter.from,
        filter.to,
        limit,
        filter.without_action,
    )
    .fetch_all(connection)
    .await
}

/// Details of the acts of the hub itself on one thing, the first first.
pub(super) async fn details(
    connection: &mut PgConnection,
    object: Uuid,
    actions: &[String],
    limit: i64,
) -> Result<Vec<serde_json::Value>, sqlx::Error> {
    sqlx::query_scalar!(
        "select detail from audit_events
         where object_id = $1 and action = any ($2) and actor_type = 'system' and outcome = 'success'
         order by audit_event_id limit $3",
        object,
        actions,
        limit
    )
    .fetch_all(connection)
    .await
}

/// These entries, newest first.
async fn of_ids(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        r#"select audit_event_id as "id: _", occurred_at, actor_type, actor_id, actor_name, action, outcome,
                  object_type, object_id, object_name, request_id, client_ip as "client_ip: _", detail
           from audit_events where audit_event_id = any($1) order by audit_event_id desc"#,
        ids
    )
    .fetch_all(connection)
    .await
}

/// Makes the next events ready for the search. How many it was.
pub(super) async fn index(connection: &mut PgConnection, most: i32) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"select openpam.index_audit_events($1) as "rows!""#, most).fetch_one(connection).await
}

/// Whether the entry is there and says this.
pub(super) async fn happened(
    connection: &mut PgConnection,
    id: AuditEventId,
    action: &str,
    actor: Option<Uuid>,
    object: Uuid,
    since: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select exists (select from audit_events
                        where audit_event_id = $1 and action = $2 and actor_id = $3 and object_id = $4
                          and occurred_at >= $5 and outcome = 'success') as \"found!\"",
        id.as_uuid(),
        action,
        actor,
        object,
        since
    )
    .fetch_one(connection)
    .await?;
    Ok(found)
}
