//! Verification of the stored nodes of a tree: whoever goes on with the tree, and whoever proves something, reads them.

use openpam_ledger::{Frontier, Hash, TILE_HEIGHT, TILE_WIDTH};
use sqlx::PgConnection;

use super::{
    error::LedgerError,
    store::{
        read::{self, Tree},
        verify as read_all,
    },
    verify::Findings,
};

/// Tiles that are looked at together.
const MOST: i64 = 256;

/// Adds a finding for each tile of a tree of `size` leaves that is not there, has another root than its hashes, or
/// other hashes than the roots below. Those of the leaves of a tenant's log are held against its entries elsewhere.
pub(super) async fn verify_tiles(
    connection: &mut PgConnection,
    tree: Tree,
    size: u64,
    findings: &mut Findings,
) -> Result<(), LedgerError> {
    let mut count = size >> TILE_HEIGHT;
    for level in 0_u8..8 {
        let (mut next, mut from) = (0, 0);
        loop {
            let tiles = read_all::tiles(connection, tree, i16::from(level), from, MOST).await?;
            let Some(last) = tiles.last() else { break };
            from = last.index.saturating_add(1);
            for tile in tiles {
                let index = tile.index.cast_unsigned();
                if index >= count {
                    findings.add("tile_surplus", format!("tile {index} of level {level} is behind the tree's end"));
                    continue;
                }
                if index != next {
                    let message = format!("tile {next} of level {level} is missing, and those before {index}");
                    findings.add("tile_missing", message);
                }
                next = index + 1;
                let hashes = tile.hashes.chunks_exact(32).map(read::hash).collect::<Result<Vec<_>, _>>()?;
                if root(&hashes).is_none_or(|root| root.0.as_slice() != tile.root) {
                    findings.add("stored_hash", format!("tile {index} of level {level} has another root"));
                }
                if (tree, level) == (Tree::Tenant, 0) {
                    continue;
                }
                let first = index * TILE_WIDTH as u64;
                match read::hashes(connection, tree, level, first, TILE_WIDTH).await {
                    Ok(below) if below == hashes => {}
                    Ok(_) | Err(LedgerError::Stored(_)) => {
                        let message = format!("tile {index} of level {level} has other hashes than what it is of");
                        findings.add("stored_hash", message);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if next < count {
            let message = format!("tile {next} of level {level} is missing, and those before {count}");
            findings.add("tile_missing", message);
        }
        count >>= TILE_HEIGHT;
    }
    Ok(())
}

/// The root of a whole tile.
fn root(hashes: &[Hash]) -> Option<Hash> {
    let mut tree = Frontier::new();
    (hashes.len() == TILE_WIDTH && hashes.iter().all(|hash| tree.push(*hash))).then(|| tree.root())
}
