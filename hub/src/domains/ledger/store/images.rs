//! SQL that reads images of rows, for auditors.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// A row as it was before a change and after it.
#[derive(Debug)]
pub(crate) struct RowChange {
    pub(crate) id: Uuid,
    pub(crate) seq: Option<i64>,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) table_name: String,
    pub(crate) operation: String,
    pub(crate) row_id: String,
    pub(crate) before_image: Option<Value>,
    pub(crate) after_image: Option<Value>,
    pub(crate) actor: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) database_user: String,
    pub(crate) erased_at: Option<DateTime<Utc>>,
}

/// Where a list goes on: behind that time and id.
pub(crate) type Behind = Option<(DateTime<Utc>, Uuid)>;

/// One change of the transaction's tenant.
pub(crate) async fn change(connection: &mut PgConnection, id: Uuid) -> Result<Option<RowChange>, sqlx::Error> {
    sqlx::query_as!(
        RowChange,
        r#"select c.row_change_id as id, l.seq as "seq?", c.occurred_at, c.table_name, c.operation, c.row_id,
                  c.before_image, c.after_image, c.actor, c.request_id, c.database_user, c.erased_at
           from row_changes c
           left join ledger_entries l on l.tenant_id = c.tenant_id and l.event_id = c.row_change_id and l.kind = 2
           where c.tenant_id = openpam.current_tenant() and c.row_change_id = $1"#,
        id
    )
    .fetch_optional(connection)
    .await
}

/// Whether there is such an event.
pub(crate) async fn has_event(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from audit_events
                          where tenant_id = openpam.current_tenant() and audit_event_id = $1) as "there!""#,
        id
    )
    .fetch_one(connection)
    .await
}

/// What was changed in the transaction that an event was written in, in order. A database that was restored elsewhere
/// counts its transactions anew: so the request is asked for too.
pub(crate) async fn changes_of_event(
    connection: &mut PgConnection,
    event_id: Uuid,
    most: i64,
) -> Result<Vec<RowChange>, sqlx::Error> {
    sqlx::query_as!(
        RowChange,
        r#"select c.row_change_id as id, l.seq as "seq?", c.occurred_at, c.table_name, c.operation, c.row_id,
                  c.before_image, c.after_image, c.actor, c.request_id, c.database_user, c.erased_at
           from audit_events e
           join row_changes c on c.xid = e.xid and c.tenant_id = e.tenant_id
            and c.request_id is not distinct from e.request_id
           left join ledger_entries l on l.tenant_id = c.tenant_id and l.event_id = c.row_change_id and l.kind = 2
           where e.tenant_id = openpam.current_tenant() and e.audit_event_id = $1
           order by c.occurred_at, c.row_change_id limit $2"#,
        event_id,
        most
    )
    .fetch_all(connection)
    .await
}

/// What was changed of one row, the last first.
pub(crate) async fn changes_of_row(
    connection: &mut PgConnection,
    (table, row_id): (&str, &str),
    behind: Behind,
    most: i64,
) -> Result<Vec<RowChange>, sqlx::Error> {
    let (time, id) = behind.unzip();
    sqlx::query_as!(
        RowChange,
        r#"select c.row_change_id as id, l.seq as "seq?", c.occurred_at, c.table_name, c.operation, c.row_id,
                  c.before_image, c.after_image, c.actor, c.request_id, c.database_user, c.erased_at
           from row_changes c
           left join ledger_entries l on l.tenant_id = c.tenant_id and l.event_id = c.row_change_id and l.kind = 2
           where c.tenant_id = openpam.current_tenant() and c.table_name = $1 and c.row_id = $2
             and ($3::timestamptz is null or (c.occurred_at, c.row_change_id) < ($3, $4::uuid))
           order by c.occurred_at desc, c.row_change_id desc limit $5"#,
        table,
        row_id,
        time,
        id,
        most
    )
    .fetch_all(connection)
    .await
}

/// What nobody did through the hub, the last first.
pub(crate) async fn changes_by_hand(
    connection: &mut PgConnection,
    behind: Behind,
    most: i64,
) -> Result<Vec<RowChange>, sqlx::Error> {
    let (time, id) = behind.unzip();
    sqlx::query_as!(
        RowChange,
        r#"select c.row_change_id as id, l.seq as "seq?", c.occurred_at, c.table_name, c.operation, c.row_id,
                  c.before_image, c.after_image, c.actor, c.request_id, c.database_user, c.erased_at
           from row_changes c
           left join ledger_entries l on l.tenant_id = c.tenant_id and l.event_id = c.row_change_id and l.kind = 2
           where c.tenant_id = openpam.current_tenant() and c.actor is null
             and ($1::timestamptz is null or (c.occurred_at, c.row_change_id) < ($1, $2::uuid))
           order by c.occurred_at desc, c.row_change_id desc limit $3"#,
        time,
        id,
        most
    )
    .fetch_all(connection)
    .await
}
