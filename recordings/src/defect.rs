//! What can be wrong: with a stored recording ([`Defect`]), and with writing one ([`WriteError`]).

use crate::{
    keys::Recipient,
    layout::{MAX_PLAIN_BYTES, MAX_RECIPIENTS, MAX_RECORD_BYTES, VERSION},
};

/// One thing that is wrong with a stored recording. Each has a stable [`code`](Self::code) and a
/// message for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// The file does not begin as a segment does.
    #[error("this file is not a recording segment")]
    NotASegment,
    /// The file is of another version of the format.
    #[error("this file is of version {version} of the format; this program reads version {VERSION}: use a newer one")]
    UnknownVersion {
        /// The version it names.
        version: u16,
    },
    /// The file ends before its header says it should.
    #[error("this file is cut off: it ends before its header says it should")]
    Truncated,
    /// The file goes on after its header says it should end.
    #[error("{bytes} bytes follow the end of this segment")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// A length is above what the format allows.
    #[error("the header claims more than a segment may hold; the file was not read further")]
    Oversize,
    /// A field of a segment's header has a value that the format does not know.
    #[error("the header's {field} make no sense: the header was changed")]
    MalformedHeader {
        /// Which.
        field: &'static str,
    },
    /// The segment belongs to another session, or to another tenant.
    #[error("segment {seq} belongs to another session: {session_id}")]
    OtherSession {
        /// Its sequence number.
        seq: u32,
        /// The session it names.
        session_id: uuid::Uuid,
    },
    /// The segment says something else than the others where all must say the same.
    #[error("segment {seq} names another start, content, key or recipients than the rest of the recording")]
    InconsistentHeader {
        /// Its sequence number.
        seq: u32,
    },
    /// The same segment is there more than once.
    #[error("segment {seq} is there more than once")]
    Duplicated {
        /// Its sequence number.
        seq: u32,
    },
    /// Two different segments claim the same place.
    #[error("two different segments claim to be segment {seq}")]
    Conflicting {
        /// Their sequence number.
        seq: u32,
    },
    /// The segment is there, but not where it belongs.
    #[error("segment {seq} is out of order")]
    Reordered {
        /// Its sequence number.
        seq: u32,
    },
    /// Segments are not there.
    #[error("{count} segments are missing, from segment {first} on")]
    Missing {
        /// The first of them.
        first: u32,
        /// How many.
        count: u32,
    },
    /// There are segments that the manifest does not know.
    #[error("segment {seq} is not part of the recording: the manifest counts fewer segments")]
    Surplus {
        /// Its sequence number.
        seq: u32,
    },
    /// The data key in the header does not open although the recipient is right.
    #[error("the data key in segment {seq} does not open: the header was changed")]
    WrappedKeyAltered {
        /// The segment's sequence number.
        seq: u32,
    },
    /// The data key is another one than the header commits to.
    #[error("the data key in segment {seq} is not the one that the header commits to")]
    KeyCommitment {
        /// The segment's sequence number.
        seq: u32,
    },
    /// The content does not decrypt although the key is right.
    #[error("segment {seq} does not decrypt: it was changed")]
    DecryptionFailed {
        /// Its sequence number.
        seq: u32,
    },
    /// The decrypted content is not what the header says, or does not decompress.
    #[error("segment {seq} does not decompress to what its header says")]
    MalformedContent {
        /// Its sequence number.
        seq: u32,
    },
    /// A record in the decrypted content breaks the format.
    #[error("record {record} of segment {seq} breaks the format")]
    MalformedRecord {
        /// The segment's sequence number.
        seq: u32,
        /// Which record, from 0.
        record: u32,
    },
    /// The segment does not name the hash of the one before it.
    #[error("segment {seq} does not follow from the segment before it: one of the two was changed")]
    ChainBroken {
        /// Its sequence number.
        seq: u32,
    },
    /// The file does not begin as a manifest does, or has fields that make no sense.
    #[error("this is not a manifest, or its {field} was changed")]
    MalformedManifest {
        /// What is wrong.
        field: &'static str,
    },
    /// The manifest is that of another recording.
    #[error("this is the manifest of another session: {session_id}")]
    ForeignManifest {
        /// The session it names.
        session_id: uuid::Uuid,
    },
    /// The manifest's signature is not that of the key it names.
    #[error("the manifest's signature does not fit: the manifest was changed")]
    SignatureInvalid,
    /// The last segment is not the one that the manifest names.
    #[error("the last segment, {seq}, is not the one that was signed: it was changed")]
    LastSegmentAltered {
        /// Its sequence number.
        seq: u32,
    },
    /// The segments are not those that were signed.
    #[error("the segments are not those that were signed: their Merkle root differs")]
    RootMismatch,
    /// The first segments are not those of the head that is known.
    #[error("the first {segments} segments are not those that were noted when they were stored")]
    HeadMismatch {
        /// How many segments the head counts.
        segments: u32,
    },
    /// The first segments are not those of a head that the ledger has.
    #[error(
        "the first {segments} segments are not those whose head the ledger has: they were changed, or cut off, since"
    )]
    LedgerMismatch {
        /// How many segments that head counts.
        segments: u32,
    },
    /// The recording was closed, and its manifest is not there.
    #[error("the manifest is missing: the recording was closed, and what was signed of it is gone")]
    ManifestMissing,
    /// The manifest's sums are not those of the segments.
    #[error("the manifest's {field} does not fit the segments")]
    ManifestMismatch {
        /// Which.
        field: &'static str,
    },
    /// The signature fits, but the key is none of those that are trusted.
    #[error("the manifest is signed by a key that is not trusted: {signer}")]
    UntrustedSigner {
        /// The key.
        signer: crate::SignerKey,
    },
    /// The private key given is that of no recipient.
    #[error("segment {seq} is not encrypted for the key given: ask for the tenant's or the escrow key")]
    WrongKey {
        /// The segment's sequence number.
        seq: u32,
    },
}

impl Defect {
    /// The stable name of this kind of defect.
    pub fn code(&self) -> &'static str {
        self.rank_and_code().1
    }

    /// The lower, the more it explains: what makes the verdict where several things are wrong.
    pub(crate) fn rank(&self) -> u8 {
        self.rank_and_code().0
    }

    fn rank_and_code(&self) -> (u8, &'static str) {
        match self {
            Self::NotASegment => (0, "not_a_segment"),
            Self::UnknownVersion { .. } => (0, "unknown_version"),
            Self::Truncated => (0, "truncated"),
            Self::TrailingBytes { .. } => (0, "trailing_bytes"),
            Self::Oversize => (0, "oversize"),
            Self::MalformedHeader { .. } => (0, "malformed_header"),
            Self::MalformedManifest { .. } => (1, "malformed_manifest"),
            Self::ForeignManifest { .. } => (1, "foreign_manifest"),
            Self::ManifestMissing => (1, "manifest_missing"),
            Self::OtherSession { .. } => (2, "other_session"),
            Self::Duplicated { .. } => (3, "duplicated"),
            Self::Conflicting { .. } => (3, "conflicting"),
            Self::Reordered { .. } => (3, "reordered"),
            Self::InconsistentHeader { .. } => (4, "inconsistent_header"),
            Self::WrappedKeyAltered { .. } => (5, "wrapped_key_altered"),
            Self::KeyCommitment { .. } => (5, "key_commitment"),
            Self::DecryptionFailed { .. } => (5, "decryption_failed"),
            Self::MalformedContent { .. } => (5, "malformed_content"),
            Self::MalformedRecord { .. } => (5, "malformed_record"),
            Self::ChainBroken { .. } => (6, "chain_broken"),
            Self::SignatureInvalid => (7, "signature_invalid"),
            Self::Missing { .. } => (8, "missing"),
            Self::Surplus { .. } => (8, "surplus"),
            Self::LastSegmentAltered { .. } => (9, "last_segment_altered"),
            Self::RootMismatch => (10, "root_mismatch"),
            Self::HeadMismatch { .. } => (10, "head_mismatch"),
            Self::LedgerMismatch { .. } => (10, "ledger_mismatch"),
            Self::ManifestMismatch { .. } => (11, "manifest_mismatch"),
            Self::UntrustedSigner { .. } => (12, "untrusted_signer"),
            Self::WrongKey { .. } => (13, "wrong_key"),
        }
    }
}

/// Why something could not be recorded. The caller must end the session: nothing may pass unrecorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A recording without a recipient could never be read; one with too many has no room for them.
    #[error("a recording needs 1 to {MAX_RECIPIENTS} recipients, not {0}")]
    Recipients(usize),
    /// The recipient's public key cannot be used.
    #[error("the data key cannot be wrapped to {0:?}: not a usable X25519 public key")]
    RecipientKey(Recipient),
    /// The generator of random bytes failed.
    #[error("the random generator failed")]
    Random,
    /// The record's payload is too long.
    #[error("a record may hold {MAX_RECORD_BYTES} bytes, not {0}: split it")]
    RecordTooLong(usize),
    /// The segment was due and was not closed.
    #[error("the segment would exceed {MAX_PLAIN_BYTES} bytes: close it when it is due")]
    SegmentFull,
    /// There are no sequence numbers left.
    #[error("the recording has as many segments as the format allows")]
    TooManySegments,
    /// The compressor failed.
    #[error("the records could not be compressed")]
    Compression,
    /// The cipher failed.
    #[error("the segment could not be encrypted")]
    Encryption,
}

impl WriteError {
    /// The stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Recipients(_) => "recording_recipients",
            Self::RecipientKey(_) => "recording_recipient_key",
            Self::Random => "recording_random",
            Self::RecordTooLong(_) => "recording_record_too_long",
            Self::SegmentFull => "recording_segment_full",
            Self::TooManySegments => "recording_too_many_segments",
            Self::Compression => "recording_compression",
            Self::Encryption => "recording_encryption",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{RecipientKey, Role, SignerKey};

    #[test]
    fn every_defect_has_its_own_code_and_message() {
        let (seq, session_id) = (7, uuid::Uuid::nil());
        let defects = [
            Defect::NotASegment,
            Defect::UnknownVersion { version: 2 },
            Defect::Truncated,
            Defect::TrailingBytes { bytes: 3 },
            Defect::Oversize,
            Defect::MalformedHeader { field: "times" },
            Defect::OtherSession { seq, session_id },
            Defect::InconsistentHeader { seq },
            Defect::Duplicated { seq },
            Defect::Conflicting { seq },
            Defect::Reordered { seq },
            Defect::Missing { first: 1, count: 2 },
            Defect::Surplus { seq },
            Defect::WrappedKeyAltered { seq },
            Defect::KeyCommitment { seq },
            Defect::DecryptionFailed { seq },
            Defect::MalformedContent { seq },
            Defect::MalformedRecord { seq, record: 1 },
            Defect::ChainBroken { seq },
            Defect::MalformedManifest { field: "length" },
            Defect::ForeignManifest { session_id },
            Defect::SignatureInvalid,
            Defect::LastSegmentAltered { seq },
            Defect::RootMismatch,
            Defect::HeadMismatch { segments: 3 },
            Defect::LedgerMismatch { segments: 3 },
            Defect::ManifestMissing,
            Defect::ManifestMismatch { field: "end" },
            Defect::UntrustedSigner { signer: SignerKey([1; 32]) },
            Defect::WrongKey { seq },
        ];
        let codes = defects.iter().map(Defect::code).collect::<BTreeSet<_>>();
        let messages = defects.iter().map(Defect::to_string).collect::<BTreeSet<_>>();
        assert_eq!((codes.len(), messages.len()), (defects.len(), defects.len()));
        assert!(codes.iter().all(|code| code.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())));
    }

    #[test]
    fn every_write_error_has_its_own_code_and_message() {
        let recipient = Recipient { role: Role::Tenant, key: RecipientKey([0; 32]) };
        let errors = [
            WriteError::Recipients(0),
            WriteError::RecipientKey(recipient),
            WriteError::Random,
            WriteError::RecordTooLong(9),
            WriteError::SegmentFull,
            WriteError::TooManySegments,
            WriteError::Compression,
            WriteError::Encryption,
        ];
        let codes = errors.iter().map(WriteError::code).collect::<BTreeSet<_>>();
        let messages = errors.iter().map(WriteError::to_string).collect::<BTreeSet<_>>();
        assert_eq!((codes.len(), messages.len()), (errors.len(), errors.len()));
    }
}
