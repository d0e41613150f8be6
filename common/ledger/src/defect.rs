//! What can be wrong with a ledger.

use uuid::Uuid;

use crate::{entry::EntryError, note::NoteError};

/// One thing that is wrong with a ledger. Each has a stable [`code`](Self::code) and a message for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// A checkpoint does not count.
    #[error("checkpoint {number}: {error}")]
    Checkpoint {
        /// Which of those that were given, from 0.
        number: usize,
        /// Why.
        error: NoteError,
    },
    /// Two signed heads contradict each other.
    #[error("the ledger was forked: the checkpoint of {size} entries is of another history than the others")]
    Forked {
        /// The size of the tree that is not one with the rest.
        size: u64,
    },
    /// The bytes are not an entry.
    #[error("entry {seq}: {error}")]
    Malformed {
        /// Its place.
        seq: u64,
        /// What is wrong.
        error: EntryError,
    },
    /// The entry belongs to another tenant.
    #[error("entry {seq} belongs to another tenant: {tenant_id}")]
    OtherTenant {
        /// Its place.
        seq: u64,
        /// The tenant it names.
        tenant_id: Uuid,
    },
    /// An entry stands where another belongs.
    #[error("in the place of entry {at} stands entry {names}: entries were swapped or copied")]
    Misplaced {
        /// The place.
        at: u64,
        /// The place that it names.
        names: u64,
    },
    /// The entry came after others that it should have come before.
    #[error("entry {seq} is out of order")]
    Reordered {
        /// Its place.
        seq: u64,
    },
    /// The entry is there more than once.
    #[error("entry {seq} is there more than once")]
    Duplicated {
        /// Its place.
        seq: u64,
    },
    /// Two different entries claim one place.
    #[error("two different entries claim to be entry {seq}")]
    Conflicting {
        /// Their place.
        seq: u64,
    },
    /// Entries are not there.
    #[error("{count} entries are missing, from entry {first} on")]
    Missing {
        /// The first of them.
        first: u64,
        /// How many.
        count: u64,
    },
    /// The entry is not the one whose hash the ledger keeps.
    #[error("entry {seq} was changed: it does not fit the hash that the ledger keeps of it")]
    Tampered {
        /// Its place.
        seq: u64,
    },
    /// The entry is right, and the hash that is kept of it is not.
    #[error("the stored hash of entry {seq} was changed; the entry itself is as it was signed")]
    StoredHash {
        /// The entry's place.
        seq: u64,
    },
    /// Content does not fit the digest in its entry.
    #[error("the {field} of entry {seq} was changed: it does not fit its digest")]
    Content {
        /// The entry's place.
        seq: u64,
        /// Which content.
        field: &'static str,
    },
    /// The entries do not make the root that was signed, and nothing tells which of them it is.
    #[error("what was signed of the entries from {from} to {until} is something else than what is there")]
    Altered {
        /// Up to here all is as it was signed.
        from: u64,
        /// Here it is not.
        until: u64,
    },
    /// Entries that were signed are no longer there.
    #[error("the ledger was cut off: it ends with {entries} entries, and {anchored} were signed")]
    Truncated {
        /// How far it goes.
        entries: u64,
        /// How far it went.
        anchored: u64,
    },
    /// There are entries behind the end of the range.
    #[error("entry {seq} is behind the end of the range")]
    Surplus {
        /// The first of them.
        seq: u64,
    },
    /// A checkpoint is not proven to be of the same history as the first.
    #[error("the checkpoint of {size} entries is not proven to be of the same history")]
    Inconsistent {
        /// The size of its tree.
        size: u64,
    },
    /// The system's checkpoint does not count.
    #[error("the system's checkpoint: {error}")]
    SystemCheckpoint {
        /// Why.
        error: NoteError,
    },
    /// The system's tree is not proven to have the tenant's checkpoint.
    #[error("the tenant's checkpoint is not proven to be one of the {size} in the system's ledger")]
    NotInSystem {
        /// The size of the system's tree.
        size: u64,
    },
    /// A section of a bundle is not what its name says.
    #[error("section {name} is not what its name says, or is not in its place")]
    Section {
        /// The section.
        name: String,
    },
    /// A tenant's checkpoint in the system tree is of a smaller tree than one before it.
    #[error("the ledger of tenant {tenant_id} shrank from {before} entries to {size}")]
    Shrunk {
        /// The tenant.
        tenant_id: Uuid,
        /// The size there was.
        before: u64,
        /// The size there is.
        size: u64,
    },
    /// A leaf of the system tree is not a tenant's checkpoint.
    #[error("entry {seq} of the system's ledger is not a checkpoint of a tenant")]
    NotATenantCheckpoint {
        /// Its place.
        seq: u64,
    },
}

impl Defect {
    /// The stable name of this kind of defect.
    pub fn code(&self) -> &'static str {
        self.kind().1
    }

    /// How much this kind explains, the most first, and its name.
    pub(crate) fn kind(&self) -> (u8, &'static str) {
        match self {
            Self::Forked { .. } => (0, "forked"),
            Self::Tampered { .. } => (1, "tampered"),
            Self::Malformed { .. } => (1, "malformed"),
            Self::OtherTenant { .. } => (1, "other_tenant"),
            Self::Misplaced { .. } => (2, "misplaced"),
            Self::Conflicting { .. } => (2, "conflicting"),
            Self::Duplicated { .. } => (3, "duplicated"),
            Self::Reordered { .. } => (3, "reordered"),
            Self::Missing { .. } => (4, "missing"),
            Self::Truncated { .. } => (5, "truncated"),
            Self::Surplus { .. } => (5, "surplus"),
            Self::Content { .. } => (6, "content_tampered"),
            Self::Shrunk { .. } => (6, "shrunk"),
            Self::NotATenantCheckpoint { .. } => (6, "not_a_tenant_checkpoint"),
            Self::Altered { .. } => (7, "altered"),
            Self::Inconsistent { .. } => (7, "inconsistent"),
            Self::NotInSystem { .. } => (7, "not_in_system"),
            Self::StoredHash { .. } => (8, "stored_hash"),
            Self::Checkpoint { error, .. } | Self::SystemCheckpoint { error } => (9, error.code()),
            // What cannot be read may be so only because something above is wrong.
            Self::Section { .. } => (10, "section"),
        }
    }
}

/// Something that may have an innocent reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// An entry is dated well before one that stands in front of it.
    #[error("entry {seq} is dated {microseconds} microseconds before an entry in front of it")]
    ClockWentBack {
        /// Its place.
        seq: u64,
        /// By how much.
        microseconds: u64,
    },
}

impl Warning {
    /// The stable name of this kind of warning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ClockWentBack { .. } => "clock_went_back",
        }
    }
}
