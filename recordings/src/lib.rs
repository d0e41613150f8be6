//! The recording format: writer, reader, verification, export.
//!
//! A recording is a chain of segments and a manifest. A segment holds compressed, encrypted records
//! and opens by itself with the private key of any recipient; each names the hash of the one before
//! it. The manifest holds the Merkle root over all segments and is signed. `FORMAT.md` describes the
//! bytes, and what they prove.
//!
//! ```
//! use aws_lc_rs::{rand::SystemRandom, signature::{Ed25519KeyPair, KeyPair as _}};
//! use openpam_recordings::*;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tenant = RecipientPrivateKey::derive(&[1; 32]);
//! let signing = Ed25519KeyPair::from_seed_unchecked(&[2; 32])?;
//! let signer = SignerKey(signing.public_key().as_ref().try_into()?);
//! let session = Session {
//!     tenant_id: uuid::Uuid::nil(),
//!     session_id: uuid::Uuid::nil(),
//!     content: Content::Terminal,
//!     started_at: 1_764_000_000_000_000,
//! };
//! let recipients = [Recipient { role: Role::Tenant, key: tenant.public() }];
//! let system = SystemRandom::new();
//! let mut writer = Writer::new(session, &recipients, Limits::default(), &mut random::Secure(&system))?;
//!
//! let mut stored = Vec::new();
//! let _ = writer.resize(0, 80, 24)?;
//! if writer.output(20_000_000, b"$ ")? == Due::Now {
//!     stored.extend(writer.close_segment(20_000_000)?);
//! }
//! let finished = writer.finish(21_000_000, Outcome::Ended, signer)?;
//! stored.extend(finished.segment);
//! let signature = signing.sign(&finished.manifest.to_be_signed());
//! let manifest = finished.manifest.into_signed(signature.as_ref())?.to_bytes();
//!
//! let trusted = [signer];
//! let mut verifier = Verifier::new(Signers::Trusted(&trusted)).with_key(&tenant);
//! for segment in &stored {
//!     verifier.segment(&segment.bytes);
//! }
//! assert_eq!(verifier.finish(Some(&manifest)).verdict, Verdict::Intact);
//! # Ok(())
//! # }
//! ```
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
pub mod random;
mod record;
mod segment;
mod utf8;
mod verify;
mod writer;

pub use chain::{Completer, Head};
pub use defect::{Defect, WriteError};
pub use header::{Content, Role, SegmentHeader, Session, WrappedKey};
pub use keys::{Recipient, RecipientKey, RecipientPrivateKey, SessionKey, SignerKey};
pub use layout::{
    Hash, MAX_HEADER_BYTES, MAX_MANIFEST_BYTES, MAX_PLAIN_BYTES, MAX_RECIPIENTS, MAX_RECORD_BYTES, MAX_SEGMENT_BYTES,
    VERSION,
};
pub use manifest::{ClosedBy, Manifest, Outcome, SignedManifest};
pub use openpam_merkle::{Frontier, leaf_hash};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use record::decode_plain;
pub use record::{Exit, GapReason, Record, TimedRecord};
pub use segment::{OpenedSegment, Segment};
pub use utf8::Utf8;
pub use verify::{Check, Completeness, Finding, Report, Signers, Verdict, Verifier};
pub use writer::{Due, Echo, Finished, Limits, SealedSegment, Writer};
