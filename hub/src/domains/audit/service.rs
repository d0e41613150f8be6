//! Writing to the trail.

use chrono::{DateTime, Utc};
use openpam_ids::AuditEventId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{AuditError, Event, store, types::fitting};
use crate::context::{Context, Ids};

/// Writes an event inside the caller's transaction.
///
/// # Errors
/// When the row cannot be written; the caller's transaction is then lost too, as it must be.
pub async fn record(
    connection: &mut PgConnection,
    context: &Context,
    mut event: Event,
) -> Result<AuditEventId, AuditError> {
    let id = Ids.fresh();
    // What the ledger itself reads again later is written as it is.
    if !event.action.starts_with("ledger.") {
        event.detail = fitting(event.detail);
    }
    store::insert(connection, id, context, &event).await?;
    tracing::info!(
        action = event.action,
        outcome = event.outcome.name(),
        actor = %context.principal.actor,
        object = event.object.as_ref().and_then(|object| object.id).map(tracing::field::display),
        "audit"
    );
    Ok(id)
}

/// Empties the contents of these events and row changes of the transaction's tenant, once and for all, as the owner of
/// the database. Their digests in the ledger stay; the caller says in the same transaction what went.
///
/// # Errors
/// When the database refuses, as it does whoever is not the owner.
pub async fn erase(connection: &mut PgConnection, events: &[Uuid], row_changes: &[Uuid]) -> Result<(), AuditError> {
    Ok(store::erase(connection, events, row_changes).await?)
}

/// Entries of one thing that are read at once.
const MOST_DETAILS: i64 = 100_000;

/// Details of what the hub itself wrote of a thing, under these actions, the first first.
///
/// # Errors
/// When the trail cannot be read.
pub async fn details(
    connection: &mut PgConnection,
    object_id: Uuid,
    actions: &[&str],
) -> Result<Vec<serde_json::Value>, AuditError> {
    let actions = actions.iter().map(|action| (*action).to_owned()).collect::<Vec<_>>();
    Ok(store::details(connection, object_id, &actions, MOST_DETAILS).await?)
}

/// Whether the same principal did `action` to `object_id` since then, and `id` is its entry.
///
/// # Errors
/// When the trail cannot be read.
pub async fn happened(
    connection: &mut PgConnection,
    context: &Context,
    id: AuditEventId,
    action: &str,
    object_id: Uuid,
    since: DateTime<Utc>,
) -> Result<bool, AuditError> {
    Ok(store::happened(connection, id, action, context.principal.actor.id(), object_id, since).await?)
}
