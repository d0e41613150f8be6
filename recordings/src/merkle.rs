//! The Merkle tree of RFC 6962 §2.1, held as a compact range: the roots of the perfect subtrees that
//! the leaves so far make, at most one for each bit of their number. Adding a leaf and computing the
//! root cost O(log n) hashes, whatever the length of the recording.

use crate::layout::Hash;

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// The hash of a leaf: SHA-256(0x00 ‖ data).
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash::of(&[&[LEAF], data])
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of(&[&[NODE], &left.0, &right.0])
}

/// A tree that only grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MerkleTree {
    leaves: u64,
    /// Roots of the perfect subtrees, the largest first.
    subtrees: Vec<Hash>,
}

impl MerkleTree {
    /// How many leaves there are.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Adds the hash of one more leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing one bit is a subtree of the size that `hash` stands for now.
        for _ in 0..self.leaves.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.subtrees.push(hash);
        self.leaves += 1;
    }

    /// The root: SHA-256 of nothing where there is no leaf.
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.subtrees.iter().rev();
        let Some(mut root) = smallest_first.next().copied() else { return Hash::of(&[]) };
        for left in smallest_first {
            root = node_hash(left, &root);
        }
        root
    }
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
    fn the_root_is_the_one_of_the_definition() {
        let mut tree = MerkleTree::default();
        let mut leaves = Vec::new();
        for number in 0..200_u32 {
            assert_eq!(tree.root(), by_definition(&leaves), "{number} leaves");
            let leaf = leaf_hash(&number.to_be_bytes());
            tree.push(leaf);
            leaves.push(leaf);
            assert!(tree.subtrees.len() <= 8);
        }
    }

    /// The inputs and roots that Certificate Transparency's implementations test with.
    #[test]
    fn the_root_is_the_one_of_the_published_vectors() {
        let inputs: [&[u8]; 3] = [b"", b"\x00", b"\x10"];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        ];
        let mut tree = MerkleTree::default();
        assert_eq!(tree.root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (input, root) in inputs.iter().zip(roots) {
            tree.push(leaf_hash(input));
            assert_eq!(tree.root().to_string(), root);
        }
    }
}
