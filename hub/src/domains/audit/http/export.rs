//! The trail as a file: JSON lines or CSV, page by page, so that no export needs the memory of all of it.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream;
use http::header;
use serde::Deserialize;
use uuid::Uuid;

use super::AuditEntry;
use crate::{
    context::Context,
    db::DbError,
    domains::audit::{Event, Outcome, record, store, types::EntryFilter},
    http::{Problem, ProblemBody, Query},
    state::Hub,
};

/// Entries that are read together.
const PAGE: i64 = 1_000;
const CSV_HEADER: &str = "id,occurred_at,actor_type,actor_id,actor_name,action,outcome,object_type,object_id,object_name,request_id,client_ip,detail\r\n";

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// One JSON object a line, as the list has them.
    Jsonl,
    /// Comma-separated values (RFC 4180) with a header.
    Csv,
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// Format and filters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// `jsonl` or `csv`.
    #[param(inline)]
    format: Format,
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

/// Entries of the audit trail as a file, newest first. The export is an entry itself, its first line.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit", params(ExportQuery),
    responses((status = 200, body = String, content_type = "application/x-ndjson"), (status = 403, body = ProblemBody)))]
pub(super) async fn export_entries(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let format = query.format;
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
    let event = Event::success("audit.export")
        .with("format", format.name())
        .with("action", filter.action.clone())
        .with("without_action", filter.without_action.clone())
        .with("actor_id", filter.actor_id.map(|id| id.to_string()))
        .with("object_id", filter.object_id.map(|id| id.to_string()))
        .with("outcome", filter.outcome.map(Outcome::name))
        .with("from", filter.from.map(|time| time.to_rfc3339()))
        .with("to", filter.to.map(|time| time.to_rfc3339()))
        .with("text", filter.text.clone());
    record(&mut tx, &context, event).await.map_err(DbError::from)?;
    tx.commit().await.map_err(DbError::from)?;
    let file = format!("attachment; filename=\"openpam-ledger.{}\"", format.name());
    let headers = [(header::CONTENT_TYPE, format.content_type().to_owned()), (header::CONTENT_DISPOSITION, file)];
    let pages = stream::try_unfold(Some(Walk { hub, context, filter, format, before: None }), next_page);
    Ok((headers, Body::from_stream(pages)).into_response())
}

struct Walk {
    hub: Hub,
    context: Context,
    filter: EntryFilter,
    format: Format,
    before: Option<Uuid>,
}

/// The next piece of the file, and the walk as it goes on. What fails in the middle cuts the answer off, so that
/// nobody takes a part for the whole.
async fn next_page(walk: Option<Walk>) -> Result<Option<(Bytes, Option<Walk>)>, DbError> {
    let Some(mut walk) = walk else { return Ok(None) };
    let mut tx = walk.hub.db().begin(&walk.context).await?;
    let entries = store::list(&mut tx, &walk.filter, walk.before, PAGE).await?;
    drop(tx);
    let mut text = String::new();
    if walk.format == Format::Csv && walk.before.is_none() {
        text.push_str(CSV_HEADER);
    }
    let is_last = entries.len() < usize::try_from(PAGE).unwrap_or_default();
    for entry in entries {
        walk.before = Some(entry.id.as_uuid());
        let entry = AuditEntry::from(entry);
        match walk.format {
            Format::Jsonl => {
                text.push_str(&serde_json::to_string(&entry).map_err(|error| sqlx::Error::Encode(error.into()))?);
                text.push('\n');
            }
            Format::Csv => csv_line(&mut text, &entry),
        }
    }
    Ok(Some((text.into(), (!is_last).then_some(walk))))
}

fn csv_line(text: &mut String, entry: &AuditEntry) {
    let object = entry.object.as_ref();
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let fields = [
        entry.id.to_string(),
        entry.occurred_at.to_rfc3339(),
        entry.actor.kind.clone(),
        id(entry.actor.id),
        entry.actor.name.clone(),
        entry.action.clone(),
        entry.outcome.clone(),
        object.map(|object| object.kind.clone()).unwrap_or_default(),
        id(object.and_then(|object| object.id)),
        object.map(|object| object.name.clone()).unwrap_or_default(),
        entry.request_id.clone().unwrap_or_default(),
        entry.client_ip.clone().unwrap_or_default(),
        entry.detail.to_string(),
    ];
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        csv_field(text, field);
    }
    text.push_str("\r\n");
}

/// A field of RFC 4180. What a spreadsheet would take for a formula is kept from being one: names are what
/// people called things.
fn csv_field(text: &mut String, field: &str) {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !is_formula && !field.contains([',', '"', '\r', '\n']) {
        text.push_str(field);
        return;
    }
    text.push('"');
    if is_formula {
        text.push('\'');
    }
    text.push_str(&field.replace('"', "\"\""));
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_where_it_must_be_and_no_formula() {
        for (field, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=cmd()", "\"'=cmd()\""),
            ("@x", "\"'@x\""),
            ("", ""),
        ] {
            let mut text = String::new();
            csv_field(&mut text, field);
            assert_eq!(text, expected);
        }
    }
}
