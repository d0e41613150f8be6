//! SQL that finds what is a person's in the trail.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Rows with contents that are a person's.
pub(crate) struct Personal {
    pub(crate) events: Vec<Uuid>,
    pub(crate) row_changes: Vec<Uuid>,
}

/// Those of the transaction's tenant that a checkpoint speaks for: what the user did, what was done to the account, and
/// the images of rows that are of it. What says that something was erased stays.
pub(crate) async fn personal(
    connection: &mut PgConnection,
    user_id: Uuid,
    before: Option<DateTime<Utc>>,
    most: i64,
) -> Result<Personal, sqlx::Error> {
    let events = sqlx::query_scalar!(
        r#"select e.audit_event_id as "id!" from audit_events e
           join ledger_entries l on l.tenant_id = e.tenant_id and l.event_id = e.audit_event_id and l.kind = 1
           where e.tenant_id = openpam.current_tenant() and e.erased_at is null and e.action not like 'ledger.%'
             and (e.actor_id = $1 or e.object_type = 'user' and e.object_id = $1)
             and ($2::timestamptz is null or e.occurred_at < $2)
             and l.seq < (select max(c.size) from ledger_checkpoints c where c.tenant_id = openpam.current_tenant())
           order by l.seq limit $3"#,
        user_id,
        before,
        most
    )
    .fetch_all(&mut *connection)
    .await?;
    let left = most - events.len() as i64;
    let row_changes = sqlx::query_scalar!(
        r#"select r.row_change_id as "id!" from row_changes r
           join ledger_entries l on l.tenant_id = r.tenant_id and l.event_id = r.row_change_id and l.kind = 2
           where r.tenant_id = openpam.current_tenant() and r.erased_at is null
             and (r.table_name = 'users' and r.row_id = $1::uuid::text
                  or coalesce(r.after_image, r.before_image) ->> 'user_id' = $1::uuid::text)
             and ($2::timestamptz is null or r.occurred_at < $2)
             and l.seq < (select max(c.size) from ledger_checkpoints c where c.tenant_id = openpam.current_tenant())
           order by l.seq limit $3"#,
        user_id,
        before,
        left
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(Personal { events, row_changes })
}

/// How many of them no checkpoint speaks for yet.
pub(crate) async fn unsigned(
    connection: &mut PgConnection,
    user_id: Uuid,
    before: Option<DateTime<Utc>>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select (select count(*) from audit_events e
                   where e.tenant_id = openpam.current_tenant() and e.erased_at is null and e.action not like 'ledger.%'
                     and (e.actor_id = $1 or e.object_type = 'user' and e.object_id = $1)
                     and ($2::timestamptz is null or e.occurred_at < $2))
                + (select count(*) from row_changes r
                   where r.tenant_id = openpam.current_tenant() and r.erased_at is null
                     and (r.table_name = 'users' and r.row_id = $1::uuid::text
                          or coalesce(r.after_image, r.before_image) ->> 'user_id' = $1::uuid::text)
                     and ($2::timestamptz is null or r.occurred_at < $2)) as "count!""#,
        user_id,
        before
    )
    .fetch_one(connection)
    .await
}
