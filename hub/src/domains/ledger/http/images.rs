//! Images of rows, before and after each change.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::super::{
    error::LedgerError,
    store::images::{self as store, RowChange},
};
use crate::{
    context::Context,
    http::{Json, Page, PageQuery, Path, Problem, ProblemBody, Query},
    state::Hub,
};

/// Changes of one act that are listed.
const MOST: i64 = 200;
/// What no image has: the triggers leave secrets and their hashes out. Should one forget to, they stay in here.
const SECRET: [&str; 5] = ["password", "secret", "private_key", "token_hash", "secret_hash"];

/// A row before a change and after it. Secrets and counters are not in it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RowImages {
    /// The row change.
    id: Uuid,
    /// Its place in the ledger; none for a moment after the change.
    seq: Option<u64>,
    occurred_at: DateTime<Utc>,
    table: String,
    /// `insert`, `update` or `delete`.
    operation: String,
    /// Key of the row.
    row_id: String,
    /// Who acted, as `type:id` or a type alone; none for a change by hand in the database.
    actor: Option<String>,
    request_id: Option<String>,
    /// The database's user.
    database_user: String,
    /// The row before; none of an insertion, and where it was erased.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    before: Option<Value>,
    /// The row after; none of a deletion, and where it was erased.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    after: Option<Value>,
    /// When the contents were erased.
    erased_at: Option<DateTime<Utc>>,
}

/// What was changed in one act.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ActImages {
    /// In order; the first of them.
    items: Vec<RowImages>,
    /// There are more.
    more: bool,
}

impl From<RowChange> for RowImages {
    fn from(change: RowChange) -> Self {
        Self {
            id: change.id,
            seq: change.seq.map(i64::cast_unsigned),
            occurred_at: change.occurred_at,
            table: change.table_name,
            operation: change.operation,
            row_id: change.row_id,
            actor: change.actor,
            request_id: change.request_id,
            database_user: change.database_user,
            before: change.before_image.map(without_secrets),
            after: change.after_image.map(without_secrets),
            erased_at: change.erased_at,
        }
    }
}

fn without_secrets(mut image: Value) -> Value {
    if let Value::Object(fields) = &mut image {
        fields.retain(|name, _| {
            !SECRET
                .iter()
                .any(|secret| name == secret || name.strip_suffix(secret).is_some_and(|rest| rest.ends_with('_')))
                && !name.ends_with("password_hash")
        });
    }
    image
}

/// Which changes are listed: those of a row, or those by hand.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangesQuery {
    /// Items a page, 1 to 200.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Table of the row; with `row_id`.
    table: Option<String>,
    /// Key of the row; with `table`.
    row_id: Option<String>,
    /// `true`: what was changed in the database by hand, in place of a row.
    by_hand: Option<bool>,
}

/// What was changed in the database in the same act as an audit event: each row before and after.
#[utoipa::path(get, path = "/api/v1/audit/events/{event_id}/changes", tag = "audit",
    params(("event_id" = Uuid, Path,)),
    responses((status = 200, body = ActImages), (status = 404, body = ProblemBody)))]
pub(super) async fn get_changes_of_event(
    State(hub): State<Hub>,
    context: Context,
    Path(event_id): Path<Uuid>,
) -> Result<Json<ActImages>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    if !store::has_event(&mut tx, event_id).await.map_err(LedgerError::from)? {
        return Err(Problem::not_found("audit event"));
    }
    let mut changes = store::changes_of_event(&mut tx, event_id, MOST + 1).await.map_err(LedgerError::from)?;
    let more = changes.len() as u64 > MOST.unsigned_abs();
    changes.truncate(usize::try_from(MOST).unwrap_or_default());
    Ok(Json(ActImages { items: changes.into_iter().map(RowImages::from).collect(), more }))
}

/// Changes of a row, or changes that were made in the database by hand, the last first, with the images of each.
#[utoipa::path(get, path = "/api/v1/audit/changes", tag = "audit", params(ChangesQuery),
    responses((status = 200, body = Page<RowImages>),
              (status = 422, body = ProblemBody, description = "Neither a row is named, nor `by_hand`")))]
pub(super) async fn list_changes(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<ChangesQuery>,
) -> Result<Json<Page<RowImages>>, Problem> {
    let cursor = PageQuery { limit: query.limit, cursor: query.cursor }.cursor::<(DateTime<Utc>, Uuid)>()?;
    let mut tx = hub.db().begin(&context).await?;
    let changes = match (query.table, query.row_id, query.by_hand.unwrap_or(false)) {
        (Some(table), Some(row_id), false) => {
            store::changes_of_row(&mut tx, (&table, &row_id), cursor.after, cursor.fetch()).await
        }
        (None, None, true) => store::changes_by_hand(&mut tx, cursor.after, cursor.fetch()).await,
        _ => {
            let message = "table and row_id name a row together, or by_hand=true is in their place";
            return Err(Problem::invalid_field("table", "required", message));
        }
    };
    let changes = changes.map_err(LedgerError::from)?;
    Ok(Json(Page::of(changes, cursor.limit, |change| (change.occurred_at, change.id))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::without_secrets;

    #[test]
    fn what_a_trigger_forgot_to_leave_out_is_in_no_image() {
        let image = json!({
            "username": "a", "password_hash": "x", "token_hash": "x", "previous_secret_hash": "x", "client_secret": "x",
            "vault_path": "kv/1", "secret_version": 3, "ssh_private_key": "x", "password": "x",
        });
        assert_eq!(without_secrets(image), json!({ "username": "a", "vault_path": "kv/1", "secret_version": 3 }));
        assert_eq!(without_secrets(json!(null)), json!(null));
    }
}
