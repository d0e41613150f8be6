//! SQL of who verifies: everything of one tenant, in the order of the places.

use futures::TryStreamExt as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::types::{ChangeRow, EventRow},
    read::Tree,
};

/// From here on all statements of the transaction see the same.
pub(crate) async fn hold_still(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("set transaction isolation level repeatable read, read only").execute(connection).await?;
    Ok(())
}

/// Many short statements over many rows: compiling each would take longer than running it.
pub(crate) async fn prepare_connection(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("select set_config('jit', 'off', false)").fetch_one(connection).await?;
    Ok(())
}

/// The events that say what was erased, with the bytes of their entries, from a place on.
pub(crate) async fn erasures(
    connection: &mut PgConnection,
    first: i64,
) -> Result<Vec<(i64, Vec<u8>, EventRow)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select l.seq, l.canonical, l.event_id
         from audit_events e join ledger_entries l on l.tenant_id = e.tenant_id and l.event_id = e.audit_event_id
         where e.tenant_id = openpam.current_tenant() and e.action = 'ledger.erase' and l.kind = 1 and l.seq >= $1
         order by l.seq",
        first
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.push((row.seq, row.canonical, super::damaged::event(connection, row.event_id).await?));
    }
    Ok(found)
}

/// The ledger's name, once there is one.
pub(crate) async fn name(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("select openpam.ledger_name()").fetch_one(connection).await
}

/// The users of the database that are OpenPAM's own: this one, and the owner, who migrates.
pub(crate) async fn own_users(connection: &mut PgConnection) -> Result<[String; 2], sqlx::Error> {
    let row = sqlx::query!(
        r#"select session_user::text as "own!", pg_get_userbyid(relowner)::text as "owner!"
           from pg_class where oid = 'public.row_changes'::regclass"#
    )
    .fetch_one(connection)
    .await?;
    Ok([row.own, row.owner])
}

/// What is kept in a place.
pub(crate) struct StoredEntry {
    pub(crate) seq: i64,
    pub(crate) event_id: Uuid,
    pub(crate) kind: i16,
    pub(crate) canonical: Vec<u8>,
    pub(crate) leaf_hash: Vec<u8>,
}

/// Entries from `first` on, before `end`.
pub(crate) async fn entries(
    connection: &mut PgConnection,
    first: i64,
    end: i64,
) -> Result<Vec<StoredEntry>, sqlx::Error> {
    sqlx::query_as!(
        StoredEntry,
        "select seq, event_id, kind, canonical, leaf_hash from ledger_entries
         where tenant_id = openpam.current_tenant() and seq >= $1 and seq < $2 order by seq",
        first,
        end
    )
    .fetch_all(connection)
    .await
}

/// The place behind the last entry.
pub(crate) async fn end(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(max(seq) + 1, 0) as "end!" from ledger_entries where tenant_id = openpam.current_tenant()"#
    )
    .fetch_one(connection)
    .await
}

/// Gives `each` the events that have these places.
pub(crate) async fn events(
    connection: &mut PgConnection,
    first: i64,
    end: i64,
    mut each: impl FnMut(i64, EventRow),
) -> Result<(), sqlx::Error> {
    let mut rows = sqlx::query!(
        r#"select l.seq, e.audit_event_id as event_id, e.tenant_id,
                  e.occurred_at, e.actor_type, e.actor_id,
                  e.actor_name, e.action, e.outcome, e.object_type, e.object_id, e.object_name, e.request_id,
                  host(e.client_ip) as client_address, e.detail::text as "detail!", e.salts
           from ledger_entries l join audit_events e on e.audit_event_id = l.event_id
           where l.tenant_id = openpam.current_tenant() and l.seq >= $1 and l.seq < $2 and l.kind = 1"#,
        first,
        end
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let event = EventRow {
            xid: 0,
            event_id: row.event_id,
            tenant_id: row.tenant_id,
            occurred_us: row.occurred_at.timestamp_micros(),
            actor_type: row.actor_type,
            actor_id: row.actor_id,
            actor_name: row.actor_name,
            action: row.action,
            outcome: row.outcome,
            object_type: row.object_type,
            object_id: row.object_id,
            object_name: row.object_name,
            request_id: row.request_id,
            client_address: row.client_address,
            detail: row.detail,
            salts: row.salts,
        };
        each(row.seq, event);
    }
    Ok(())
}

/// Gives `each` the row changes that have these places.
pub(crate) async fn changes(
    connection: &mut PgConnection,
    first: i64,
    end: i64,
    mut each: impl FnMut(i64, ChangeRow),
) -> Result<(), sqlx::Error> {
    let mut rows = sqlx::query!(
        r#"select l.seq, c.row_change_id as event_id, c.tenant_id,
                  c.occurred_at, c.table_name, c.operation,
                  c.row_id, c.before_image::text as before_image, c.after_image::text as after_image, c.actor,
                  c.request_id, c.database_user, c.salts
           from ledger_entries l join row_changes c on c.row_change_id = l.event_id
           where l.tenant_id = openpam.current_tenant() and l.seq >= $1 and l.seq < $2 and l.kind = 2"#,
        first,
        end
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let change = ChangeRow {
            xid: 0,
            event_id: row.event_id,
            tenant_id: row.tenant_id,
            occurred_us: row.occurred_at.timestamp_micros(),
            table_name: row.table_name,
            operation: row.operation,
            row_id: row.row_id,
            before_image: row.before_image,
            after_image: row.after_image,
            actor: row.actor,
            request_id: row.request_id,
            database_user: row.database_user,
            salts: row.salts,
        };
        each(row.seq, change);
    }
    Ok(())
}

/// Whole tiles of the leaves, from `first` on: their indexes and hashes.
pub(crate) async fn leaf_tiles(
    connection: &mut PgConnection,
    first: i64,
    end: i64,
) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select index, hashes from ledger_tiles
         where tenant_id = openpam.current_tenant() and level = 0 and index >= $1 and index < $2 order by index",
        first,
        end
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.index, row.hashes)).collect())
}

/// Signed checkpoints of trees that are larger than `behind` and not larger than `until`.
pub(crate) async fn checkpoints(
    connection: &mut PgConnection,
    behind: i64,
    until: i64,
    most: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select note from ledger_checkpoints
         where tenant_id = openpam.current_tenant() and size > $1 and size <= $2 order by size limit $3",
        behind,
        until,
        most
    )
    .fetch_all(connection)
    .await
}

/// The last checkpoint of the transaction's tenant, or the last of a tree that is not larger.
pub(crate) async fn last_checkpoint(
    connection: &mut PgConnection,
    at_most: Option<i64>,
) -> Result<Option<(i64, String)>, sqlx::Error> {
    let row = sqlx::query!(
        "select size, note from ledger_checkpoints
         where tenant_id = openpam.current_tenant() and ($1::bigint is null or size <= $1) order by size desc limit 1",
        at_most
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.size, row.note)))
}

/// Events and row changes without a place.
#[derive(Default)]
pub(crate) struct Unsequenced {
    /// Those that the ledger should have by its own account.
    pub(crate) left_out: i64,
    /// One of them.
    pub(crate) one: Option<Uuid>,
    /// The others, that wait.
    pub(crate) waiting: i64,
    /// Those among them that wait for too long, or are of a time that has not come.
    pub(crate) late: i64,
    /// One of these.
    pub(crate) late_one: Option<Uuid>,
}

/// How many events and row changes the transaction's tenant has.
pub(crate) async fn counts(connection: &mut PgConnection) -> Result<[i64; 2], sqlx::Error> {
    let row = sqlx::query!(
        r#"select (select count(*) from audit_events where tenant_id = openpam.current_tenant()) as "events!",
                  (select count(*) from row_changes where tenant_id = openpam.current_tenant()) as "changes!""#
    )
    .fetch_one(connection)
    .await?;
    Ok([row.events, row.changes])
}

/// What of the transaction's tenant has no place. It may wait for as many seconds.
pub(crate) async fn unsequenced(connection: &mut PgConnection, patience: f64) -> Result<Unsequenced, sqlx::Error> {
    sqlx::query_as!(
        Unsequenced,
        r#"with without as (
               select audit_event_id as id, xid, occurred_at from audit_events e
               where tenant_id = openpam.current_tenant() and not exists (
                   select from ledger_entries l
                   where l.tenant_id = openpam.current_tenant() and l.event_id = e.audit_event_id and l.kind = 1)
               union all
               select row_change_id, xid, occurred_at from row_changes c
               where tenant_id = openpam.current_tenant() and not exists (
                   select from ledger_entries l
                   where l.tenant_id = openpam.current_tenant() and l.event_id = c.row_change_id and l.kind = 2)
           ), judged as (
               select id, pg_visible_in_snapshot(xid, openpam.ledger_watermark()::pg_snapshot) as passed,
                      abs(extract(epoch from clock_timestamp() - occurred_at)) > $1::double precision as late
               from without
           )
           select count(*) filter (where passed) as "left_out!", (min(id::text) filter (where passed))::uuid as one,
                  count(*) filter (where not passed) as "waiting!",
                  count(*) filter (where not passed and late) as "late!",
                  (min(id::text) filter (where not passed and late))::uuid as late_one
           from judged"#,
        patience
    )
    .fetch_one(connection)
    .await
}

/// A leaf of the system's tree, and what it is filed under.
pub(crate) struct SystemLeaf {
    pub(crate) seq: i64,
    pub(crate) tenant_id: Uuid,
    pub(crate) size: i64,
    pub(crate) text: String,
}

/// Leaves of the system's tree from a place on.
pub(crate) async fn system_leaves(
    connection: &mut PgConnection,
    first: i64,
    most: i32,
) -> Result<Vec<SystemLeaf>, sqlx::Error> {
    sqlx::query_as!(
        SystemLeaf,
        r#"select seq as "seq!", tenant_id as "tenant_id!", size as "size!", text as "text!"
           from openpam.ledger_system_range($1, $2)"#,
        first,
        most
    )
    .fetch_all(connection)
    .await
}

/// What the first `until` leaves of the system's log say of the transaction's tenant: of trees that are larger than
/// `behind` and not larger than `end`.
pub(crate) async fn own_leaves(
    connection: &mut PgConnection,
    until: i64,
    behind: i64,
    end: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select text from ledger_system_leaves
         where tenant_id = openpam.current_tenant() and seq < $1 and size > $2 and size <= $3 order by size",
        until,
        behind,
        end
    )
    .fetch_all(connection)
    .await
}

/// The largest of them.
pub(crate) async fn last_own_leaf(connection: &mut PgConnection, until: i64) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select text from ledger_system_leaves
         where tenant_id = openpam.current_tenant() and seq < $1 order by size desc limit 1",
        until
    )
    .fetch_optional(connection)
    .await
}

/// A whole tile: its index, the hashes in it, and the root that is kept of them.
pub(crate) struct StoredTile {
    pub(crate) index: i64,
    pub(crate) hashes: Vec<u8>,
    pub(crate) root: Vec<u8>,
}

/// Whole tiles of one level from an index on.
pub(crate) async fn tiles(
    connection: &mut PgConnection,
    tree: Tree,
    level: i16,
    first: i64,
    most: i64,
) -> Result<Vec<StoredTile>, sqlx::Error> {
    match tree {
        Tree::Tenant => {
            sqlx::query_as!(
                StoredTile,
                "select index, hashes, root from ledger_tiles
                 where tenant_id = openpam.current_tenant() and level = $1 and index >= $2 order by index limit $3",
                level,
                first,
                most
            )
            .fetch_all(connection)
            .await
        }
        Tree::System => {
            sqlx::query_as!(
                StoredTile,
                "select index, hashes, root from ledger_system_tiles
                 where level = $1 and index >= $2 order by index limit $3",
                level,
                first,
                most
            )
            .fetch_all(connection)
            .await
        }
    }
}

/// Signed checkpoints of the system's tree.
pub(crate) async fn system_checkpoints(
    connection: &mut PgConnection,
    behind: i64,
    until: i64,
    most: i32,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select note from ledger_system_checkpoints where size > $1 and size <= $2 order by size limit $3",
        behind,
        until,
        i64::from(most)
    )
    .fetch_all(connection)
    .await
}

/// The places of everything about a session: its events, the decision that allowed it, its row's changes and
/// those of who watched it. At most `most`, in order.
pub(crate) async fn places_of_session(
    connection: &mut PgConnection,
    session_id: Uuid,
    most: i64,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with own_changes as (
               select row_change_id, table_name, after_image from row_changes
               where tenant_id = openpam.current_tenant()
                 and (table_name in ('sessions', 'recordings') and row_id = $1::uuid::text
                      or table_name = 'session_participants'
                         and coalesce(after_image, before_image) ->> 'session_id' = $1::uuid::text)
           ), own as (
               select row_change_id as id from own_changes
               union
               select audit_event_id from audit_events
               where tenant_id = openpam.current_tenant()
                 -- Who took the evidence is not of the session, and is not signed yet when it is taken.
                 and action <> 'evidence.export'
                 and (object_id = $1 or detail ->> 'session_id' = $1::uuid::text
                      or audit_event_id in (select (after_image ->> 'decision_id')::uuid from own_changes
                                            where table_name = 'sessions'))
           )
           select l.seq from own join ledger_entries l on l.event_id = own.id
           where l.tenant_id = openpam.current_tenant() order by l.seq limit $2"#,
        session_id,
        most
    )
    .fetch_all(connection)
    .await
}

/// The place in the system's log of the tenant's checkpoint of that size.
pub(crate) async fn system_place(connection: &mut PgConnection, size: i64) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select seq from ledger_system_leaves where tenant_id = openpam.current_tenant() and size = $1",
        size
    )
    .fetch_optional(connection)
    .await
}

/// The system's last checkpoint.
pub(crate) async fn last_system_checkpoint(
    connection: &mut PgConnection,
) -> Result<Option<(i64, String)>, sqlx::Error> {
    let row = sqlx::query!("select size, note from ledger_system_checkpoints order by size desc limit 1")
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| (row.size, row.note)))
}

/// What a witness signed, with the checkpoint that it is under, where that is there.
pub(crate) struct Cosignature {
    pub(crate) size: i64,
    pub(crate) witness: String,
    pub(crate) line: String,
    pub(crate) note: Option<String>,
}

/// Signatures of witnesses under the system's checkpoints of that name, behind one, in order.
pub(crate) async fn cosignatures(
    connection: &mut PgConnection,
    origin: &str,
    behind: (i64, &str),
    most: i32,
) -> Result<Vec<Cosignature>, sqlx::Error> {
    sqlx::query_as!(
        Cosignature,
        r#"select c.size, c.witness, c.line, s.note as "note?"
           from ledger_cosignatures c left join ledger_system_checkpoints s on s.size = c.size
           where c.origin = $1 and (c.size, c.witness) > ($2, $3) order by c.size, c.witness limit $4"#,
        origin,
        behind.0,
        behind.1,
        i64::from(most)
    )
    .fetch_all(connection)
    .await
}

/// The largest of the system's checkpoints that a witness has signed, with what witnesses signed under it.
pub(crate) async fn last_cosigned(
    connection: &mut PgConnection,
    origin: &str,
) -> Result<Option<(i64, String)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select s.size, s.note || string_agg(c.line, '' order by c.witness) as "note!"
           from ledger_cosignatures c join ledger_system_checkpoints s on s.size = c.size
           where c.origin = $1 group by s.size, s.note order by s.size desc limit 1"#,
        origin
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.size, row.note)))
}
