//! x
mod layout;
mod proof;
mod tiles;
mod tree;
pub use layout::{Hash, MAX_PROOF_HASHES, MAX_TREE_SIZE, VERSION};
pub use proof::{Plan, ProofError, RangeProof, TreeHead, verify_consistency, verify_inclusion};
pub use tiles::{TILE_HEIGHT, TILE_WIDTH, Tile, TileId, TileRange, Tiler};
pub use tree::{Frontier, NodeId, leaf_hash, node_hash};
mod digest;
mod entry;
mod note;
pub use digest::{Digests, Field, MAX_CONTENT_BYTES, SALT_BYTES, Salt};
pub use entry::{Actor, ActorKind, Entry, EntryError, Kind, MAX_ENTRY_BYTES, MAX_NAME_BYTES, MAX_OBJECT_ID_BYTES, MAX_REQUEST_ID_BYTES, Object, Outcome, entry_hash};
pub use note::{KeyType, MAX_KEY_NAME_BYTES, MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError, Signature, Signed, VerifierKey};
