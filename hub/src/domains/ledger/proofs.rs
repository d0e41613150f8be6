//! Nodes of stored trees, for proofs.

use openpam_ledger::{Hash, NodeId, TileRange};
use sqlx::PgConnection;

use super::{
    error::LedgerError,
    store::read::{self, Tree},
};

/// The hashes of these nodes of a tree that has `size` leaves at least.
pub(super) async fn read(
    connection: &mut PgConnection,
    tree: Tree,
    size: u64,
    nodes: &[NodeId],
) -> Result<Vec<Hash>, LedgerError> {
    let mut hashes = Vec::with_capacity(nodes.len());
    for node in nodes {
        let range = TileRange::of(*node);
        let (level, index) = (range.tile.level, range.tile.index);
        let node = if range.is_whole(size) {
            range.node(&read::tile(connection, tree, level, index).await?)
        } else {
            // Behind the last whole tile: leaves from the entries, the others as the roots of the tiles below.
            let first = index * openpam_ledger::TILE_WIDTH as u64 + range.offset as u64;
            let within = read::hashes(connection, tree, level, first, range.count).await?;
            TileRange { offset: 0, ..range }.node(&within)
        };
        hashes.push(node.ok_or(LedgerError::Stored("a node cannot be made"))?);
    }
    Ok(hashes)
}
