//! How a tree's nodes are stored: in tiles of 256 hashes, eight levels of the tree in one row.
//!
//! A tile of level *l* holds 256 neighbouring nodes of tree level 8·*l*: leaves in tiles of level 0, roots
//! of whole tiles in those above. Only whole tiles are stored, so that storing is inserting and never
//! changing; the nodes of the right edge are read one by one, leaves from their entries and the others as
//! the roots of the tiles below. Nodes of the levels between are computed when they are needed.

use openpam_merkle::{Frontier, NodeId, node_hash};

use crate::layout::Hash;

/// Hashes of one tile.
pub const TILE_WIDTH: usize = 256;
/// Levels of the tree that one tile covers.
pub const TILE_HEIGHT: u8 = 8;

/// A tile's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 for leaves.
    pub level: u8,
    /// From 0, from the left.
    pub index: u64,
}

/// A whole tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Where it belongs.
    pub id: TileId,
    /// Its hashes, one after the other: [`TILE_WIDTH`] of them.
    pub hashes: Vec<Hash>,
    /// The root over them, which is a hash of the tile above.
    pub root: Hash,
}

/// Where the hashes are that a node is computed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileRange {
    /// The tile; a whole one is stored, of the last of its level there may be only the hashes.
    pub tile: TileId,
    /// The first of its hashes that is needed.
    pub offset: usize,
    /// How many are: a power of two.
    pub count: usize,
}

impl TileRange {
    /// Where a node's hashes are.
    pub fn of(node: NodeId) -> Self {
        let height = node.level % TILE_HEIGHT;
        let first = u128::from(node.index) << height;
        let tile = TileId { level: node.level / TILE_HEIGHT, index: (first >> TILE_HEIGHT) as u64 };
        Self { tile, offset: (first % TILE_WIDTH as u128) as usize, count: 1 << height }
    }

    /// Whether the tile is whole in a tree of that size, and so stored.
    pub fn is_whole(&self, size: u64) -> bool {
        self.tile.index < whole_tiles(size, self.tile.level)
    }

    /// The node, from the tile's hashes. `None` where the tile is too short.
    pub fn node(&self, tile: &[Hash]) -> Option<Hash> {
        perfect_root(tile.get(self.offset..self.offset.checked_add(self.count)?)?)
    }
}

/// How many tiles of a level are whole in a tree of that size.
fn whole_tiles(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(TILE_HEIGHT) * (u32::from(level) + 1)).unwrap_or_default()
}

/// The root over a power of two of hashes.
fn perfect_root(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    level.first().copied()
}

/// A tree that grows and gives out its tiles: what the sequencing leader holds. At most 255 hashes for each
/// of eight levels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tiler {
    tree: Frontier,
    /// The hashes of the last tile of each level, fewer than [`TILE_WIDTH`].
    edge: Vec<Vec<Hash>>,
}

impl Tiler {
    /// The tree without a leaf.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many hashes of each level stand behind the last whole tile of a tree of that size, the leaves
    /// first: what [`restore`](Self::restore) needs.
    pub fn edge_lengths(size: u64) -> Vec<usize> {
        let mut lengths = Vec::new();
        let mut count = size;
        while count > 0 {
            lengths.push((count % TILE_WIDTH as u64) as usize);
            count >>= TILE_HEIGHT;
        }
        lengths
    }

    /// The tree of that size again, from the hashes of its right edge: of each level those behind the last
    /// whole tile, the leaves first. `None` where their numbers are others; whether they are the right ones,
    /// the root tells.
    pub fn restore(size: u64, edge: Vec<Vec<Hash>>) -> Option<Self> {
        let lengths = Self::edge_lengths(size);
        if edge.iter().map(Vec::len).ne(lengths.iter().copied()) {
            return None;
        }
        // A level's edge is made of the one bits of its length, and stands to the right of the levels above.
        let mut nodes = Vec::new();
        for hashes in edge.iter().rev() {
            let mut rest = hashes.as_slice();
            while !rest.is_empty() {
                let (subtree, others) = rest.split_at(1 << rest.len().ilog2());
                nodes.push(perfect_root(subtree)?);
                rest = others;
            }
        }
        Some(Self { tree: Frontier::from_nodes(size, nodes)?, edge })
    }

    /// The tree.
    pub fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// Adds the hash of one more leaf, and gives out the tiles that it fills, the lowest first. `None`, and
    /// nothing done, where the tree is as large as it may be.
    pub fn push(&mut self, leaf: Hash) -> Option<Vec<Tile>> {
        let index = self.tree.size();
        if !self.tree.push(leaf) {
            return None;
        }
        let mut tiles = Vec::new();
        let mut hash = leaf;
        for level in 0.. {
            if self.edge.len() == level {
                self.edge.push(Vec::with_capacity(TILE_WIDTH));
            }
            let edge = &mut self.edge[level];
            edge.push(hash);
            if edge.len() < TILE_WIDTH {
                break;
            }
            let hashes = std::mem::replace(edge, Vec::with_capacity(TILE_WIDTH));
            let Some(root) = perfect_root(&hashes) else { break };
            let id = TileId { level: level as u8, index: index >> (usize::from(TILE_HEIGHT) * (level + 1)) };
            tiles.push(Tile { id, hashes, root });
            hash = root;
        }
        Some(tiles)
    }

    /// A node of the right edge: one that no whole tile holds.
    pub fn edge_node(&self, range: &TileRange) -> Option<Hash> {
        let level = usize::from(range.tile.level);
        let last = whole_tiles(self.tree.size(), range.tile.level);
        (range.tile.index == last).then(|| range.node(self.edge.get(level)?))?
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use openpam_merkle::leaf_hash;

    use crate::proof::{Plan, verify_inclusion};

    #[test]
    fn proofs_are_made_of_whole_tiles_and_the_edge_and_the_state_is_restored() {
        let mut tiler = Tiler::new();
        let mut stored = BTreeMap::new();
        let leaf = |number: u64| leaf_hash(&number.to_be_bytes());
        for number in 0..66_500_u64 {
            for tile in tiler.push(leaf(number)).unwrap() {
                assert!(stored.insert(tile.id, tile).is_none());
            }
            let size = number + 1;
            if !matches!(size, 1 | 2 | 255..=258 | 511..=513 | 4_000 | 65_535..=65_538 | 66_500) {
                continue;
            }
            let root = tiler.tree().root();
            for index in [0, 1, 255, 256, 257, size / 2, size - 1].into_iter().filter(|index| *index < size) {
                let plan = Plan::inclusion(index, size).unwrap();
                let read = |node| {
                    let range = TileRange::of(node);
                    assert_eq!(range.is_whole(size), stored.contains_key(&range.tile));
                    match stored.get(&range.tile) {
                        Some(tile) => range.node(&tile.hashes).unwrap(),
                        None => tiler.edge_node(&range).unwrap(),
                    }
                };
                let hashes = plan.nodes().map(read).collect::<Vec<_>>();
                let proof = plan.assemble(&hashes).unwrap();
                assert_eq!(verify_inclusion(&leaf(index), index, size, &root, &proof), Ok(()), "{index} of {size}");
            }
            // The edge as a hub reads it: leaves of entries, roots of the tiles below.
            let edge = Tiler::edge_lengths(size).into_iter().enumerate().map(|(level, length)| {
                let first = (size >> (8 * (level + 1))) << 8;
                (first..first + length as u64)
                    .map(|index| match level {
                        0 => leaf(index),
                        _ => stored[&TileId { level: level as u8 - 1, index }].root,
                    })
                    .collect()
            });
            let restored = Tiler::restore(size, edge.collect()).unwrap();
            assert_eq!(restored, tiler, "{size}");
        }
        assert_eq!(stored.len(), 66_500 / 256 + 1);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(Tiler::restore(3, vec![vec![leaf_hash(b"x"); 2]]), None);
        assert_eq!(Tiler::restore(0, vec![vec![]]), None);
        assert_eq!(Tiler::restore(0, vec![]), Some(Tiler::new()));
        let range = TileRange { tile: TileId { level: 0, index: 0 }, offset: 254, count: 4 };
        assert_eq!(range.node(&[leaf_hash(b"x"); 256]), None);
        assert_eq!(range.node(&[]), None);
        assert_eq!(Tiler::new().edge_node(&range), None);
        assert!(!TileRange::of(NodeId { level: 63, index: 0 }).is_whole(u64::MAX));
        assert!(!TileRange::of(NodeId { level: 255, index: u64::MAX }).is_whole(u64::MAX));
    }
}
