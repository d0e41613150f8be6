//! The trail for auditors.

mod export;

use axum::extract::State;
use chrono::{DateTime, Utc};
use openpam_ids::AuditEventId;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Entry, Outcome, error::searched, store, types::EntryFilter};
use crate::{
    context::Context,
    http::{Access, Json, Page, PageQuery, Problem, ProblemBody, Query, Routes},
    permissions::Permission,
    state::Hub,
};

pub(crate) fn routes() -> Routes {
    let read = Access::Permission(Permission::AuditRead);
    Routes::new().add(read, routes!(list_entries)).add(read, routes!(export::export_entries))
}

/// Who or what an entry speaks of.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Party {
    #[serde(rename = "type")]
    kind: String,
    id: Option<Uuid>,
    name: String,
}

/// One entry of the trail.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct AuditEntry {
    id: AuditEventId,
    occurred_at: DateTime<Utc>,
    actor: Party,
    action: String,
    #[schema(value_type = Outcome)]
    outcome: String,
    object: Option<Party>,
    request_id: Option<String>,
    client_ip: Option<String>,
    #[schema(value_type = std::collections::HashMap<String, serde_json::Value>)]
    detail: serde_json::Value,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            occurred_at: entry.occurred_at,
            actor: Party { kind: entry.actor_type, id: entry.actor_id, name: entry.actor_name },
            action: entry.action,
            outcome: entry.outcome,
            object: entry.object_type.map(|kind| Party {
                kind,
                id: entry.object_id,
                name: entry.object_name.unwrap_or_default(),
            }),
            request_id: entry.request_id,
            client_ip: entry.client_ip.map(|network| network.ip().to_string()),
            detail: entry.detail,
        }
    }
}

/// Filters of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct EntriesQuery {
    /// Items a page, 1 to 200.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Exact action (`target.create`) or a prefix that ends with a dot (`target.`).
    action: Option<String>,
    /// Not this action, exactly: as `recording.head`, which comes often.
    without_action: Option<String>,
    /// Who.
    actor_id: Option<Uuid>,
    /// On what.
    object_id: Option<Uuid>,
    /// How it ended.
    outcome: Option<Outcome>,
    /// From this moment on.
    from: Option<DateTime<Utc>>,
    /// Before this moment.
    to: Option<DateTime<Utc>>,
    /// Part of the actor's or object's name, of the action or of the detail.
    q: Option<String>,
}

/// Entries of the audit trail, newest first.
#[utoipa::path(get, path = "/api/v1/audit/entries", tag = "audit", params(EntriesQuery),
    responses((status = 200, body = Page<AuditEntry>), (status = 403, body = ProblemBody)))]
async fn list_entries(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<EntriesQuery>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let cursor = PageQuery { limit: query.limit, cursor: query.cursor }.cursor::<Uuid>()?;
    let filter = EntryFilter {
        action: query.action,
        without_action: query.without_action,
        actor_id: query.actor_id,
        object_id: query.object_id,
        outcome: query.outcome,
        from: query.from,
        to: query.to,
        text: query.q.filter(|text| !text.trim().is_empty()),
    };
    let mut tx = hub.db().begin(&context).await?;
    let entries = store::list(&mut tx, &filter, cursor.after, cursor.fetch()).await.map_err(searched)?;
    Ok(Json(Page::of(entries, cursor.limit, |entry| entry.id)))
}
