//! Merkle trees of RFC 6962 §2.1 that only grow, as the recordings and the ledger have them; their hashes;
//! and the fields that both formats are made of. No I/O, no clock, no randomness.

#![expect(clippy::cast_possible_truncation, reason = "levels are 63 at the most")]

mod fields;
mod hash;
mod tree;

pub use fields::Fields;
pub use hash::Hash;
pub use tree::{Frontier, MAX_TREE_SIZE, NodeId, cover, fold, leaf_hash, node_hash};
