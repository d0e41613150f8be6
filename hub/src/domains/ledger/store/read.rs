//! SQL that reads trees: the right edge of a tree, for whoever goes on with it, and nodes for proofs.

use chrono::{DateTime, Utc};
use openpam_ledger::{Hash, TILE_WIDTH};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::{error::LedgerError, types::Placed};

/// Whose tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    /// That of the transaction's tenant.
    Tenant,
    /// That of the tenants' checkpoints.
    System,
}

pub(crate) fn hash(bytes: &[u8]) -> Result<Hash, LedgerError> {
    bytes.try_into().map(Hash).map_err(|_| LedgerError::Stored("a hash has another length"))
}

/// Hashes of level 0 (leaves) or of a level above (roots of whole tiles), `count` of them from `first` on.
pub(crate) async fn hashes(
    connection: &mut PgConnection,
    tree: Tree,
    level: u8,
    first: u64,
    count: usize,
) -> Result<Vec<Hash>, LedgerError> {
    let (first, most) = (first.cast_signed(), count as i64);
    let end = first.saturating_add(most);
    let rows: Vec<Vec<u8>> = match (tree, level) {
        (Tree::Tenant, 0) => {
            sqlx::query_scalar!(
                "select leaf_hash from ledger_entries
                 where tenant_id = openpam.current_tenant() and seq >= $1 and seq < $2 order by seq",
                first,
                end
            )
            .fetch_all(connection)
            .await?
        }
        (Tree::Tenant, _) => {
            sqlx::query_scalar!(
                "select root from ledger_tiles
                 where tenant_id = openpam.current_tenant() and level = $1 and index >= $2 and index < $3 order by index",
                i16::from(level) - 1,
                first,
                end
            )
            .fetch_all(connection)
            .await?
        }
        (Tree::System, 0) => {
            let texts = sqlx::query_scalar!(
                r#"select text as "text!" from openpam.ledger_system_range($1, $2)"#,
                first,
                i32::try_from(count).unwrap_or(i32::MAX)
            )
            .fetch_all(connection)
            .await?;
            texts.iter().map(|text| openpam_ledger::leaf_hash(text.as_bytes()).0.to_vec()).collect()
        }
        (Tree::System, _) => {
            sqlx::query_scalar!(
                "select root from ledger_system_tiles where level = $1 and index >= $2 and index < $3 order by index",
                i16::from(level) - 1,
                first,
                end
            )
            .fetch_all(connection)
            .await?
        }
    };
    if rows.len() != count {
        return Err(LedgerError::Stored("hashes are missing"));
    }
    rows.iter().map(|bytes| hash(bytes)).collect()
}

/// The 256 hashes of a whole tile.
pub(crate) async fn tile(
    connection: &mut PgConnection,
    tree: Tree,
    level: u8,
    index: u64,
) -> Result<Vec<Hash>, LedgerError> {
    let (level, index) = (i16::from(level), index.cast_signed());
    let bytes = match tree {
        Tree::Tenant => {
            sqlx::query_scalar!(
                "select hashes from ledger_tiles
                 where tenant_id = openpam.current_tenant() and level = $1 and index = $2",
                level,
                index
            )
            .fetch_optional(connection)
            .await?
        }
        Tree::System => {
            sqlx::query_scalar!("select hashes from ledger_system_tiles where level = $1 and index = $2", level, index)
                .fetch_optional(connection)
                .await?
        }
    };
    let bytes = bytes.ok_or(LedgerError::Stored("a tile is missing"))?;
    let hashes = bytes.chunks_exact(32).map(hash).collect::<Result<Vec<_>, _>>()?;
    if hashes.len() == TILE_WIDTH { Ok(hashes) } else { Err(LedgerError::Stored("a tile has another size")) }
}

/// The frontier of the system's tree at its last checkpoint, and that. The application's role can put others there.
pub(crate) async fn system_frontier(connection: &mut PgConnection) -> Result<Option<(Vec<u8>, String)>, sqlx::Error> {
    let row = sqlx::query!("select frontier, note from ledger_system_checkpoints order by size desc limit 1")
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| (row.frontier, row.note)))
}

/// The entry in a place, or of an event; when a checkpoint first spoke for it.
pub(crate) async fn entry(
    connection: &mut PgConnection,
    seq: Option<i64>,
    event_id: Option<Uuid>,
) -> Result<Option<Placed>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select seq, event_id, kind, canonical, leaf_hash, sequenced_at,
                  (select signed_at from ledger_checkpoints c
                   where c.tenant_id = e.tenant_id and c.size > e.seq order by c.size limit 1) as signed_at
           from ledger_entries e
           where tenant_id = openpam.current_tenant() and ($1::bigint is null or seq = $1)
             and ($2::uuid is null or event_id = $2) and ($1 is not null or $2 is not null)
           -- A row change may have an event's id: then it is the event.
           order by kind limit 1"#,
        seq,
        event_id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Placed {
        seq: row.seq.cast_unsigned(),
        event_id: row.event_id,
        kind: row.kind,
        canonical: row.canonical,
        leaf_hash: row.leaf_hash,
        sequenced_at: row.sequenced_at,
        signed_at: row.signed_at,
    }))
}

/// Size and time of the last checkpoint of the transaction's tenant.
pub(crate) async fn signed(connection: &mut PgConnection) -> Result<Option<(i64, DateTime<Utc>)>, sqlx::Error> {
    let row = sqlx::query!(
        "select size, signed_at from ledger_checkpoints where tenant_id = openpam.current_tenant()
         order by size desc limit 1"
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.size, row.signed_at)))
}
