//! SQL of tenants whose ledger is damaged, and of beats.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::types::{Cursor, EventRow, Pass};

/// A tenant whose ledger is damaged, and where its walk stands.
pub(crate) struct Damaged {
    pub(crate) tenant_id: Uuid,
    seen: String,
    until: Option<String>,
    events: Cursor,
    changes: Cursor,
}

impl Damaged {
    /// The walk that is under way, or one up to `now`.
    pub(crate) fn pass(&self, now: &str) -> Pass {
        match &self.until {
            Some(until) => {
                let (seen, until) = (self.seen.clone(), until.clone());
                Pass { seen, until, events: self.events, changes: self.changes }
            }
            None => Pass::new(self.seen.clone(), now.to_owned()),
        }
    }
}

/// Notes that a tenant's ledger is damaged, and where the walk stood. What is noted already stays.
pub(crate) async fn note_damaged(
    connection: &mut PgConnection,
    epoch: i64,
    tenant_id: Uuid,
    reason: &str,
    pass: &Pass,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select openpam.ledger_note_damaged($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        epoch,
        tenant_id,
        reason,
        pass.seen,
        pass.until,
        pass.events.behind.0,
        pass.events.behind.1,
        pass.events.through,
        pass.changes.behind.0,
        pass.changes.behind.1,
        pass.changes.through,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Those that were tried longest ago.
pub(crate) async fn damaged(connection: &mut PgConnection, most: i32) -> Result<Vec<Damaged>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select tenant_id as "tenant_id!", seen as "seen!", until, events_xid as "events_xid!",
                  events_id as "events_id!", events_through as "events_through!", changes_xid as "changes_xid!",
                  changes_id as "changes_id!", changes_through as "changes_through!"
           from openpam.ledger_damaged_tenants($1)"#,
        most
    )
    .fetch_all(connection)
    .await?;
    let cursor = |xid, id, through| Cursor { behind: (xid, id), through };
    Ok(rows
        .into_iter()
        .map(|row| Damaged {
            tenant_id: row.tenant_id,
            seen: row.seen,
            until: row.until,
            events: cursor(row.events_xid, row.events_id, row.events_through),
            changes: cursor(row.changes_xid, row.changes_id, row.changes_through),
        })
        .collect())
}

/// Notes where the walk stands, or that it is `through`, so that the next begins where it ends.
pub(crate) async fn damaged_went_on(
    connection: &mut PgConnection,
    epoch: i64,
    tenant_id: Uuid,
    pass: &Pass,
    through: bool,
) -> Result<(), sqlx::Error> {
    let (events, changes) = if through { Default::default() } else { (pass.events, pass.changes) };
    let (seen, until) = if through { (&pass.until, None) } else { (&pass.seen, Some(&pass.until)) };
    sqlx::query!(
        "select openpam.ledger_damaged_went_on($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        epoch,
        tenant_id,
        seen,
        until,
        events.behind.0,
        events.behind.1,
        events.through,
        changes.behind.0,
        changes.behind.1,
        changes.through,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Whether the tenant has caught up with the others, and is one of them again.
pub(crate) async fn damaged_mended(
    connection: &mut PgConnection,
    epoch: i64,
    tenant_id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select openpam.ledger_damaged_mended($1, $2) as "mended!""#, epoch, tenant_id)
        .fetch_one(connection)
        .await
}

/// Why the events of the transaction's tenant wait, and since when, as text; nothing where they do not.
pub(crate) async fn own_damage(connection: &mut PgConnection) -> Result<Option<(String, String)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select reason, to_char(since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "since!"
           from ledger_damaged where tenant_id = openpam.current_tenant()"#
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.reason, row.since)))
}

/// Tenants whose last beat is older than that, of all `but` these.
pub(crate) async fn beats_due(
    connection: &mut PgConnection,
    seconds: f64,
    most: i32,
    but: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select tenant_id as "tenant_id!"
           from openpam.ledger_beats_due(make_interval(secs => $1), $2, $3) as tenant_id"#,
        seconds,
        most,
        but
    )
    .fetch_all(connection)
    .await
}

/// Notes that the transaction's tenant has had its beat.
pub(crate) async fn set_beat(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("update ledger_heads set beat_at = clock_timestamp() where tenant_id = openpam.current_tenant()")
        .execute(connection)
        .await?;
    Ok(())
}

/// An event of the transaction's tenant.
pub(crate) async fn event(connection: &mut PgConnection, id: Uuid) -> Result<EventRow, sqlx::Error> {
    sqlx::query_as!(
        EventRow,
        r#"select 0::bigint as "xid!", audit_event_id as event_id, tenant_id,
                  (extract(epoch from occurred_at) * 1000000)::bigint as "occurred_us!", actor_type, actor_id,
                  actor_name, action, outcome, object_type, object_id, object_name, request_id,
                  host(client_ip) as client_address, detail::text as "detail!", salts
           from audit_events where tenant_id = openpam.current_tenant() and audit_event_id = $1"#,
        id
    )
    .fetch_one(connection)
    .await
}
