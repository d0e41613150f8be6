//! SQL of the ledger's leader. Reading it for others is in [`read`].

pub(super) mod damaged;
pub(super) mod erase;
pub(super) mod guards;
pub(super) mod images;
pub(super) mod read;
pub(super) mod verify;

use futures::TryStreamExt as _;
use openpam_ledger::{Hash, Tile};
use sqlx::PgConnection;
use uuid::Uuid;

use super::types::{ChangeRow, EventRow};

/// Session-level lock of who leads: `oled`, as a number.
const LEADER_LOCK: i64 = 0x6f6c_6564;

/// Settings of the leader's connection: a machine that vanished is noticed within 4 s, and a process that stands
/// still does not hold up the others for longer than that.
pub(super) async fn prepare_connection(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select set_config('tcp_keepalives_idle', '2', false) as idle,
                set_config('tcp_keepalives_interval', '1', false) as interval,
                set_config('tcp_keepalives_count', '2', false) as count,
                set_config('idle_in_transaction_session_timeout', '3s', false) as transaction,
                set_config('lock_timeout', '10s', false) as lock, set_config('jit', 'off', false) as jit,
                set_config('statement_timeout', '60s', false) as statement"
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Takes the lock, if nobody has it. It is held until the connection ends.
pub(super) async fn try_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "taken!""#, LEADER_LOCK).fetch_one(connection).await
}

/// A new epoch and the ledger's name, for whoever has the lock, or finds the leader silent.
pub(super) async fn lead(
    connection: &mut PgConnection,
    holder: Uuid,
    has_lock: bool,
    silence_seconds: f64,
    name: &str,
) -> Result<Option<(i64, String)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select epoch as "epoch!", name as "name!" from openpam.ledger_lead($1, $2, make_interval(secs => $3), $4)"#,
        holder,
        has_lock,
        silence_seconds,
        name
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.epoch, row.name)))
}

/// Fails where another leads; until the transaction's end nobody else can begin to.
pub(super) async fn fence(connection: &mut PgConnection, epoch: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("select openpam.ledger_fence($1)", epoch).fetch_one(connection).await?;
    Ok(())
}

/// What has its place already, and what is there now: two snapshots.
pub(super) async fn snapshots(connection: &mut PgConnection) -> Result<(String, String), sqlx::Error> {
    let row = sqlx::query!(
        r#"select openpam.ledger_watermark() as "seen!", pg_current_snapshot()::text as "now!",
                  pg_snapshot_xmax(openpam.ledger_watermark()::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())
                      as "restored!""#
    )
    .fetch_one(connection)
    .await?;
    // A database that was restored elsewhere counts its transactions anew: then nothing was seen.
    Ok((if row.restored { "1:1:".to_owned() } else { row.seen }, row.now))
}

pub(super) async fn set_watermark(connection: &mut PgConnection, epoch: i64, seen: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("select openpam.ledger_set_watermark($1, $2)", epoch, seen).fetch_one(connection).await?;
    Ok(())
}

/// Between which snapshots, and behind which place, to look for what has no place yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'w> {
    pub(super) seen: &'w str,
    pub(super) until: &'w str,
    pub(super) behind: (i64, Uuid),
    /// How many rows to look at.
    pub(super) most: i32,
    /// The only tenant, one whose ledger is damaged; without one all that are not.
    pub(super) only: Option<Uuid>,
    /// Whether some of them may have their places.
    pub(super) some_are_placed: bool,
}

/// Gives `each` the events, in no order: whether it is to get a place, and how many were looked at. The last of these
/// comes in any case.
pub(super) async fn new_events(
    connection: &mut PgConnection,
    window: Window<'_>,
    mut each: impl FnMut(EventRow, bool, i64),
) -> Result<(), sqlx::Error> {
    let mut rows = sqlx::query!(
        r#"select xid as "xid!", event_id as "event_id!", fresh as "fresh!", looked as "looked!",
                  tenant_id as "tenant_id!", occurred_at as "occurred_at!", actor_type as "actor_type!", actor_id,
                  actor_name as "actor_name!", action as "action!", outcome as "outcome!", object_type, object_id,
                  object_name, request_id, client_address, detail as "detail!", salts
           from openpam.ledger_look_at_events($1, $2, $3, $4, $5, $6, $7)"#,
        window.seen,
        window.until,
        window.behind.0,
        window.behind.1,
        window.most,
        window.only,
        window.some_are_placed,
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let event = EventRow {
            xid: row.xid,
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
        each(event, row.fresh, row.looked);
    }
    Ok(())
}

/// Gives `each` the row changes, likewise.
pub(super) async fn new_changes(
    connection: &mut PgConnection,
    window: Window<'_>,
    mut each: impl FnMut(ChangeRow, bool, i64),
) -> Result<(), sqlx::Error> {
    let mut rows = sqlx::query!(
        r#"select xid as "xid!", event_id as "event_id!", fresh as "fresh!", looked as "looked!",
                  tenant_id as "tenant_id!", occurred_at as "occurred_at!", table_name as "table_name!",
                  operation as "operation!", row_id as "row_id!", before_image, after_image, actor, request_id,
                  database_user as "database_user!", salts
           from openpam.ledger_look_at_changes($1, $2, $3, $4, $5, $6, $7)"#,
        window.seen,
        window.until,
        window.behind.0,
        window.behind.1,
        window.most,
        window.only,
        window.some_are_placed,
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let change = ChangeRow {
            xid: row.xid,
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
        each(change, row.fresh, row.looked);
    }
    Ok(())
}

/// Entries that go into one statement, column by column.
#[derive(Debug, Default)]
pub(super) struct NewEntries {
    pub(super) seq: Vec<i64>,
    pub(super) event_id: Vec<Uuid>,
    pub(super) kind: Vec<i16>,
    pub(super) canonical: Vec<Vec<u8>>,
    pub(super) leaf_hash: Vec<Vec<u8>>,
}

pub(super) async fn insert_entries(
    connection: &mut PgConnection,
    tenant_id: Uuid,
    entries: &NewEntries,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into ledger_entries (tenant_id, seq, event_id, kind, canonical, leaf_hash)
         select $1, * from unnest($2::bigint[], $3::uuid[], $4::smallint[], $5::bytea[], $6::bytea[])",
        tenant_id,
        &entries.seq,
        &entries.event_id,
        &entries.kind,
        &entries.canonical,
        &entries.leaf_hash,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Tiles that go into one statement, column by column.
#[derive(Default)]
struct TileColumns {
    levels: Vec<i16>,
    indexes: Vec<i64>,
    hashes: Vec<Vec<u8>>,
    roots: Vec<Vec<u8>>,
}

fn columns(tiles: &[Tile]) -> TileColumns {
    let mut columns = TileColumns::default();
    for tile in tiles {
        columns.levels.push(i16::from(tile.id.level));
        columns.indexes.push(tile.id.index.cast_signed());
        columns.hashes.push(tile.hashes.iter().flat_map(|hash| hash.0).collect());
        columns.roots.push(tile.root.0.to_vec());
    }
    columns
}

pub(super) async fn insert_tiles(
    connection: &mut PgConnection,
    tenant_id: Uuid,
    tiles: &[Tile],
) -> Result<(), sqlx::Error> {
    let TileColumns { levels, indexes, hashes, roots } = columns(tiles);
    sqlx::query!(
        "insert into ledger_tiles (tenant_id, level, index, hashes, root)
         select $1, * from unnest($2::smallint[], $3::bigint[], $4::bytea[], $5::bytea[])",
        tenant_id,
        &levels,
        &indexes,
        &hashes,
        &roots,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Size and frontier of the transaction's tenant.
pub(super) async fn head(connection: &mut PgConnection) -> Result<Option<(i64, Vec<u8>)>, sqlx::Error> {
    let row = sqlx::query!("select size, frontier from ledger_heads where tenant_id = openpam.current_tenant()")
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| (row.size, row.frontier)))
}

pub(super) async fn set_head(
    connection: &mut PgConnection,
    tenant_id: Uuid,
    size: i64,
    frontier: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into ledger_heads (tenant_id, size, frontier) values ($1, $2, $3)
         on conflict (tenant_id) do update set size = excluded.size, frontier = excluded.frontier",
        tenant_id,
        size,
        frontier
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A head that is not as large as its tenant's last checkpoint says.
pub(super) struct Unsigned {
    pub(super) tenant_id: Uuid,
    pub(super) frontier: Vec<u8>,
    /// That checkpoint, where the head is smaller.
    pub(super) ahead: Option<String>,
}

/// Heads that no checkpoint speaks for yet, those that wait for longest first, of all tenants `but` these.
pub(super) async fn unsigned(
    connection: &mut PgConnection,
    most: i32,
    but: &[Uuid],
) -> Result<Vec<Unsigned>, sqlx::Error> {
    sqlx::query_as!(
        Unsigned,
        r#"select tenant_id as "tenant_id!", frontier as "frontier!", ahead from openpam.ledger_to_sign($1, $2)"#,
        most,
        but
    )
    .fetch_all(connection)
    .await
}

/// The last checkpoints of tenants that have no leaf in the system's log, of all `but` these.
pub(super) async fn not_in_system(
    connection: &mut PgConnection,
    most: i32,
    but: &[Uuid],
) -> Result<Vec<(Uuid, i64, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select tenant_id as "tenant_id!", size as "size!", note as "note!"
           from openpam.ledger_not_in_system($1, $2)"#,
        most,
        but
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.size, row.note)).collect())
}

pub(super) async fn insert_checkpoint(
    connection: &mut PgConnection,
    tenant_id: Uuid,
    size: i64,
    root: &Hash,
    note: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into ledger_checkpoints (tenant_id, size, root, note) values ($1, $2, $3, $4)",
        tenant_id,
        size,
        root.0.as_slice(),
        note
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_system_leaf(
    connection: &mut PgConnection,
    seq: i64,
    tenant_id: Uuid,
    size: i64,
    text: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into ledger_system_leaves (seq, tenant_id, size, text) values ($1, $2, $3, $4)",
        seq,
        tenant_id,
        size,
        text
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_system_tiles(connection: &mut PgConnection, tiles: &[Tile]) -> Result<(), sqlx::Error> {
    let TileColumns { levels, indexes, hashes, roots } = columns(tiles);
    sqlx::query!(
        "insert into ledger_system_tiles (level, index, hashes, root)
         select * from unnest($1::smallint[], $2::bigint[], $3::bytea[], $4::bytea[])",
        &levels,
        &indexes,
        &hashes,
        &roots,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_system_checkpoint(
    connection: &mut PgConnection,
    size: i64,
    root: &Hash,
    frontier: &[u8],
    note: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into ledger_system_checkpoints (size, root, frontier, note) values ($1, $2, $3, $4)",
        size,
        root.0.as_slice(),
        frontier,
        note
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps what a witness signed; the first signature under a checkpoint stays.
pub(super) async fn insert_cosignature(
    connection: &mut PgConnection,
    origin: &str,
    size: i64,
    witness: &str,
    line: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into ledger_cosignatures (origin, size, witness, line) values ($1, $2, $3, $4) on conflict do nothing",
        origin,
        size,
        witness,
        line
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts a ledger of another name into the place of the one there is, as the owner. The schema that keeps that one.
pub(super) async fn begin_anew(connection: &mut PgConnection, name: &str) -> Result<String, sqlx::Error> {
    sqlx::query_scalar!(r#"select openpam.ledger_begin_anew($1) as "kept!""#, name).fetch_one(connection).await
}

/// A key that signs checkpoints.
pub(super) struct KeyRow {
    pub(super) ledger_key_id: Uuid,
    pub(super) public_key: Vec<u8>,
    pub(super) vault_path: String,
    pub(super) current: bool,
}

/// Every key, the present one first.
pub(super) async fn keys(connection: &mut PgConnection) -> Result<Vec<KeyRow>, sqlx::Error> {
    sqlx::query_as!(
        KeyRow,
        r#"select ledger_key_id, public_key, vault_path, retired_at is null as "current!" from ledger_keys
           order by retired_at is null desc, created_at desc"#
    )
    .fetch_all(connection)
    .await
}

/// Adds the first key; of two hubs that do it at once, one wins.
pub(super) async fn insert_key(
    connection: &mut PgConnection,
    id: Uuid,
    public_key: &[u8],
    vault_path: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into ledger_keys (ledger_key_id, public_key, vault_path) values ($1, $2, $3) on conflict do nothing",
        id,
        public_key,
        vault_path
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which key is the present one.
pub(super) async fn present_key(connection: &mut PgConnection) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("select ledger_key_id from ledger_keys where retired_at is null")
        .fetch_optional(connection)
        .await
}

/// Retires the present key, as the owner.
pub(super) async fn retire_key(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("update ledger_keys set retired_at = clock_timestamp() where retired_at is null")
        .execute(connection)
        .await?;
    Ok(())
}

/// How the ledger fares, whoever leads.
#[derive(Debug)]
pub(super) struct StateRow {
    pub(super) silence: f64,
    pub(super) lag: f64,
}

pub(super) async fn state(connection: &mut PgConnection) -> Result<StateRow, sqlx::Error> {
    sqlx::query_as!(StateRow, r#"select silence as "silence!", lag as "lag!" from openpam.ledger_state()"#)
        .fetch_one(connection)
        .await
}

/// The last checkpoint of each tenant, and of the system (`None`), whose tree is larger than nothing.
pub(super) async fn latest_checkpoints(
    connection: &mut PgConnection,
) -> Result<Vec<(Option<Uuid>, i64, String)>, sqlx::Error> {
    let rows = sqlx::query!(r#"select tenant_id, size as "size!", note as "note!" from openpam.ledger_latest()"#)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.size, row.note)).collect())
}

/// What the first `until` leaves of the system's log say last of each tenant's, with their places.
pub(super) async fn latest_leaves(
    connection: &mut PgConnection,
    until: i64,
) -> Result<Vec<(i64, Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select seq as "seq!", tenant_id as "tenant_id!", text as "text!" from openpam.ledger_last_leaves($1)"#,
        until
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.seq, row.tenant_id, row.text)).collect())
}

/// For how many seconds the oldest event or row change has waited for its place.
pub(super) async fn waiting(connection: &mut PgConnection) -> Result<f64, sqlx::Error> {
    sqlx::query_scalar!(r#"select openpam.ledger_waiting() as "waiting!""#).fetch_one(connection).await
}

/// By log: the size of the largest tree that this anchor has accepted.
pub(super) async fn anchored(
    connection: &mut PgConnection,
    name: &str,
) -> Result<std::collections::HashMap<String, i64>, sqlx::Error> {
    let rows =
        sqlx::query!("select origin, size from ledger_anchors where name = $1", name).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.origin, row.size)).collect())
}

pub(super) async fn set_anchored(
    connection: &mut PgConnection,
    name: &str,
    origin: &str,
    size: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into ledger_anchors (name, origin, size) values ($1, $2, $3)
         on conflict (name, origin) do update set size = greatest(ledger_anchors.size, excluded.size),
                                                  at = clock_timestamp()",
        name,
        origin,
        size
    )
    .execute(connection)
    .await?;
    Ok(())
}
