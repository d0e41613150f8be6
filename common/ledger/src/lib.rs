//! The ledger: canonical entries, Merkle trees, signed checkpoints, proofs, offline bundles, verification.
//!
//! Each tenant has a log of entries, the leaves of an RFC 6962 tree; the system's log has the tenants'
//! checkpoints as its leaves. Checkpoints are C2SP signed notes. `FORMAT.md` describes the bytes, and what
//! they prove.
//!
//! ```
//! use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
//! use openpam_ledger::*;
//! use uuid::Uuid;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (tenant_id, ledger) = (Uuid::from_u128(1), LedgerName::new("pam.example.com/ledger").ok_or("name")?);
//! let signing = Ed25519KeyPair::from_seed_unchecked(&[2; 32])?;
//! let public: [u8; 32] = signing.public_key().as_ref().try_into()?;
//!
//! // The hub: an entry becomes a leaf, the tree's head is signed.
//! let salt = Salt([7; 32]);
//! let entry = Entry {
//!     seq: 0,
//!     tenant_id,
//!     event_id: Uuid::from_u128(2),
//!     time: 1_764_000_000_000_000,
//!     kind: Kind::Event,
//!     actor: Actor { kind: ActorKind::System, id: None },
//!     action: "target.create",
//!     outcome: Outcome::Success,
//!     object: Some(Object { kind: "target", id: "42" }),
//!     request_id: "",
//!     digests: Digests::default().with(Field::Detail, Field::Detail.digest(&salt, b"{}")),
//! };
//! let canonical = entry.encode()?;
//! let mut tiler = Tiler::new();
//! let tiles = tiler.push(leaf_hash(&canonical)).ok_or("full")?;
//! assert!(tiles.is_empty());
//! let head = TreeHead { size: tiler.tree().size(), root: tiler.tree().root() };
//! let checkpoint = Checkpoint::new(&ledger, Log::Tenant(tenant_id), head);
//! let key = checkpoint.log_key(public)?;
//! let mut note = checkpoint.to_note()?;
//! let signature = signing.sign(&key.to_be_signed(note.text(), 0));
//! note.add(&key, 0, signature.as_ref())?;
//!
//! // Anybody, later.
//! let signers = Signers::Trusted { log_keys: vec![public], witnesses: vec![], needed: 0 };
//! let stored = note.to_text();
//! let anchors = Anchors::read(&signers, &ledger, Log::Tenant(tenant_id), [stored.as_bytes()]);
//! let mut verifier = Verifier::new(tenant_id, anchors);
//! verifier.entry(0, &canonical, None);
//! assert_eq!(verifier.finish().verdict, Verdict::Intact);
//! # Ok(())
//! # }
//! ```
//!
//! The crate does no I/O but with the reader and the writer that a bundle is given. Time, randomness and
//! private keys are elsewhere.

mod anchors;
mod bundle;
mod checkpoint;
mod defect;
mod digest;
mod entry;
mod evidence;
mod layout;
mod note;
mod proof;
mod report;
mod tiles;
mod verify;
mod walk;
mod witness;

pub use anchors::Anchors;
pub use bundle::{
    BundleError, BundleReader, BundleWriter, MAX_BUNDLE_BYTES, MAX_SECTION_BYTES, MAX_SECTION_NAME_BYTES, MAX_SECTIONS,
    Section,
};
pub use checkpoint::{Checkpoint, LedgerName, Log, Signers, Verified};
pub use defect::{Defect, Warning};
pub use digest::{Digests, Field, MAX_CONTENT_BYTES, SALT_BYTES, Salt};
pub use entry::{
    Actor, ActorKind, Entry, EntryError, Kind, MAX_ENTRY_BYTES, MAX_NAME_BYTES, MAX_OBJECT_ID_BYTES,
    MAX_REQUEST_ID_BYTES, Object, Outcome,
};
pub use evidence::{Content, Evidence, EvidenceReport, LedgerWriter, MAX_CONSISTENT, MAX_RANGES, Visit};
pub use layout::{Hash, MAX_PROOF_HASHES, MAX_TREE_SIZE, VERSION};
pub use note::{
    KeyType, MAX_KEY_NAME_BYTES, MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError, Signature, Signed, VerifierKey,
};
pub use openpam_merkle::{Frontier, NodeId, leaf_hash, node_hash};
pub use proof::{Plan, ProofError, RangeProof, TreeHead, verify_consistency, verify_inclusion};
pub use report::{MAX_FINDINGS, Report, Verdict};
pub use tiles::{TILE_HEIGHT, TILE_WIDTH, Tile, TileId, TileRange, Tiler};
pub use verify::{CLOCK_TOLERANCE, SystemVerifier, Verifier};
pub use witness::{add_cosignatures, witness_request, witness_size};
