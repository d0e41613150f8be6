//! The recording format: writer, reader, verification, export.
//!
//! A recording is a chain of segments and a manifest. A segment holds compressed, encrypted records
//! and opens by itself with the private key of any recipient; each names the hash of the one before
//! it. The manifest holds the Merkle root over all segments and is signed. `FORMAT.md` describes the
//! bytes, and what they prove.
//!
//! The crate does no I/O but in [`dir`] and to the writer that [`asciicast`] is given. Time and
//! randomness are parameters.

pub mod asciicast;
mod chain;
mod defect;
pub mod dir;
mod header;
mod keys;
mod layout;
mod manifest;
mod merkle;
pub mod random;
mod record;
mod segment;
mod verify;
mod writer;

pub use chain::Completer;
pub use defect::{Defect, WriteError};
pub use header::{Content, Role, SegmentHeader, Session, WrappedKey};
pub use keys::{Recipient, RecipientKey, RecipientPrivateKey, SessionKey, SignerKey};
pub use layout::{
    Hash, MAX_MANIFEST_BYTES, MAX_PLAIN_BYTES, MAX_RECIPIENTS, MAX_RECORD_BYTES, MAX_SEGMENT_BYTES, VERSION,
};
pub use manifest::{ClosedBy, Manifest, Outcome, SignedManifest};
pub use merkle::{MerkleTree, leaf_hash};
pub use record::{Exit, GapReason, Record, TimedRecord};
pub use segment::{OpenedSegment, Segment};
pub use verify::{Check, Completeness, Finding, Report, Signers, Verdict, Verifier};
pub use writer::{Due, Echo, Finished, Limits, SealedSegment, Writer};
