//! The Merkle tree of RFC 6962 §2.1, held as its frontier: the roots of the perfect subtrees that the
//! leaves so far make, one for each one bit of their number. Adding a leaf and computing the root cost
//! O(log n) hashes.

use crate::{Fields, Hash};

/// Most leaves of a tree: what a `bigint` of PostgreSQL counts.
pub const MAX_TREE_SIZE: u64 = i64::MAX as u64;

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// The hash of a leaf: SHA-256(0x00 ‖ data).
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash::of(&[&[LEAF], data])
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [NODE; 65];
    input[1..33].copy_from_slice(&left.0);
    input[33..].copy_from_slice(&right.0);
    Hash::of(&[&input])
}

/// A node over a perfect subtree: the `index`-th from the left of those with 2^`level` leaves. Once its
/// leaves are there it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// 0 for a leaf; at most 63.
    pub level: u8,
    /// From 0.
    pub index: u64,
}

/// The fewest perfect subtrees that make up the leaves `[first, end)`, from left to right.
pub fn cover(first: u64, end: u64) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    let mut at = first;
    while at < end {
        let room = (end - at).ilog2();
        let level = if at == 0 { room } else { at.trailing_zeros().min(room) };
        nodes.push(NodeId { level: level as u8, index: at >> level });
        at += 1 << level;
    }
    nodes
}

/// A tree that only grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees, the largest first. INVARIANT: as many as `size` has one bits.
    nodes: Vec<Hash>,
}

impl Frontier {
    /// The tree without a leaf.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `size` leaves with these perfect subtrees, the largest first; `None` where their number
    /// does not fit.
    pub fn from_nodes(size: u64, nodes: Vec<Hash>) -> Option<Self> {
        (size <= MAX_TREE_SIZE && nodes.len() == size.count_ones() as usize).then_some(Self { size, nodes })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, the largest first.
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Adds the hash of one more leaf. `false`, and nothing done, where the tree is as large as it may be.
    #[must_use]
    pub fn push(&mut self, leaf: Hash) -> bool {
        self.push_subtree(0, leaf)
    }

    /// Adds a perfect subtree of 2^`level` leaves. `false`, and nothing done, where it does not belong here.
    #[must_use]
    pub fn push_subtree(&mut self, level: u8, root: Hash) -> bool {
        let Some(leaves) = 1_u64.checked_shl(level.into()).filter(|leaves| self.size.is_multiple_of(*leaves)) else {
            return false;
        };
        let Some(size) = self.size.checked_add(leaves).filter(|size| *size <= MAX_TREE_SIZE) else { return false };
        let mut hash = root;
        // Each trailing one bit from there on is a subtree of the size that `hash` stands for now.
        for _ in 0..(self.size >> level).trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.nodes.push(hash);
        self.size = size;
        true
    }

    /// The root: SHA-256 of nothing where there is no leaf.
    pub fn root(&self) -> Hash {
        fold(&self.nodes).unwrap_or_else(|| Hash::of(&[]))
    }

    /// The frontier as bytes: size (8, big-endian), then the nodes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.nodes.len() * 32);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        self.nodes.iter().for_each(|node| bytes.extend_from_slice(&node.0));
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes, and nothing else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let size = fields.u64().filter(|size| *size <= MAX_TREE_SIZE)?;
        let nodes = (0..size.count_ones()).map(|_| fields.hash()).collect::<Option<_>>()?;
        fields.0.is_empty().then_some(Self { size, nodes })
    }
}

/// The tree of these leaves. Of more than it may have it takes the first.
impl FromIterator<Hash> for Frontier {
    fn from_iter<T: IntoIterator<Item = Hash>>(leaves: T) -> Self {
        let mut tree = Self::new();
        let _ = leaves.into_iter().all(|leaf| tree.push(leaf));
        tree
    }
}

/// The root over subtrees that stand from left to right, each smaller than the one before.
pub fn fold(nodes: &[Hash]) -> Option<Hash> {
    nodes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 §2.1, word for word.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(&[]),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&by_definition(&leaves[..split]), &by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_the_one_of_the_definition_and_the_state_survives() {
        let mut tree = Frontier::new();
        let mut leaves = Vec::new();
        for number in 0..300_u32 {
            assert_eq!(tree.root(), by_definition(&leaves), "{number} leaves");
            assert_eq!(tree.nodes().len(), number.count_ones() as usize);
            assert_eq!(Frontier::from_bytes(&tree.to_bytes()), Some(tree.clone()));
            let leaf = leaf_hash(&number.to_be_bytes());
            assert!(tree.push(leaf));
            leaves.push(leaf);
        }
    }

    /// The inputs and roots that Certificate Transparency's implementations test with.
    #[test]
    fn the_root_is_the_one_of_the_published_vectors() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Frontier::new();
        assert_eq!(tree.root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (input, root) in inputs.iter().zip(roots) {
            assert!(tree.push(leaf_hash(input)));
            assert_eq!(tree.root().to_string(), root);
        }
    }

    #[test]
    fn a_subtree_is_added_only_where_it_belongs() {
        let hash = leaf_hash(b"x");
        let mut tree = Frontier::new();
        assert!(tree.push_subtree(3, hash));
        assert!(!tree.push_subtree(4, hash) && !tree.push_subtree(64, hash) && !tree.push_subtree(255, hash));
        assert!(tree.push_subtree(2, hash) && !tree.push_subtree(3, hash) && tree.push_subtree(2, hash));
        assert_eq!((tree.size(), tree.nodes().len()), (16, 1));
        let mut full = Frontier::from_nodes(MAX_TREE_SIZE, vec![hash; 63]).unwrap();
        assert!(!full.push(hash));
        assert_eq!(full.size(), MAX_TREE_SIZE);
    }

    #[test]
    fn stored_state_that_does_not_fit_is_refused() {
        let hash = leaf_hash(b"x");
        let bytes = Frontier::from_nodes(5, vec![hash; 2]).unwrap().to_bytes();
        assert!(Frontier::from_bytes(&bytes).is_some());
        assert_eq!(Frontier::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Frontier::from_bytes(&[bytes.as_slice(), &[0]].concat()), None);
        assert_eq!(Frontier::from_bytes(&[0xff; 8 + 64 * 32]), None);
        assert_eq!(Frontier::from_bytes(b""), None);
        assert_eq!(Frontier::from_nodes(5, vec![hash; 3]), None);
        assert_eq!(Frontier::from_nodes(u64::MAX, vec![hash; 64]), None);
    }

    #[test]
    fn a_cover_is_made_of_the_fewest_subtrees() {
        let node = |level, index| NodeId { level, index };
        assert_eq!(cover(0, 0), []);
        assert_eq!(cover(0, 7), [node(2, 0), node(1, 2), node(0, 6)]);
        assert_eq!(cover(3, 8), [node(0, 3), node(2, 1)]);
        assert_eq!(cover(5, 6), [node(0, 5)]);
        assert_eq!(cover(0, MAX_TREE_SIZE).len(), 63);
        assert_eq!(cover(1, MAX_TREE_SIZE).len(), 62 + 62);
    }
}
