//! Nodes of stored trees, for proofs.

use openpam_ledger::{Hash, NodeId, Plan, TileRange, TreeHead, verify_consistency};
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

/// The hashes of a proof in the tree of `size` leaves.
pub(super) async fn assemble(
    connection: &mut PgConnection,
    tree: Tree,
    size: u64,
    plan: &Plan,
) -> Result<Vec<Hash>, LedgerError> {
    let nodes = plan.nodes().collect::<Vec<_>>();
    let hashes = read(connection, tree, size, &nodes).await?;
    plan.assemble(&hashes).ok_or(LedgerError::Stored("a proof cannot be made"))
}

/// Whether the stored tree grew from the one head to the other, by a proof of its nodes.
pub(super) async fn goes_on(
    connection: &mut PgConnection,
    tree: Tree,
    old: &TreeHead,
    new: &TreeHead,
) -> Result<bool, LedgerError> {
    if old == new {
        return Ok(true);
    }
    let Some(plan) = Plan::consistency(old.size, new.size).ok().filter(|_| old.size < new.size) else {
        return Ok(false);
    };
    match assemble(connection, tree, new.size, &plan).await {
        Ok(proof) => Ok(verify_consistency(old, new, &proof).is_ok()),
        // A part of it is gone.
        Err(LedgerError::Stored(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
