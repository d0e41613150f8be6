//! The chain of segments as it grows, and its completion by somebody else after its writer died.

use openpam_merkle::Frontier;

use crate::{
    defect::Defect,
    header::{SegmentHeader, Session},
    keys::{Recipient, SignerKey},
    layout::Hash,
    manifest::{ClosedBy, Manifest, Outcome},
};

/// How far a recording has come: enough to tell later whether its beginning was changed or cut.
///
/// The hub writes heads to its ledger while a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many segments there are.
    pub segments: u32,
    /// The Merkle root over them.
    pub root: Hash,
}

/// What is known of the segments so far: of constant size but for O(log n) hashes.
#[derive(Debug)]
pub(crate) struct Chain {
    pub session: Session,
    pub commitment: Hash,
    pub recipients: Vec<Recipient>,
    /// How many segments there are, which is the next sequence number.
    pub segments: u32,
    /// The hash of the last segment.
    pub last: Hash,
    pub tree: Frontier,
    /// When the last segment was closed.
    pub until: u64,
    records: u64,
    plain_bytes: u64,
    stored_bytes: u64,
    dropped_bytes: u64,
}

impl Chain {
    pub fn new(session: Session, commitment: Hash, recipients: Vec<Recipient>) -> Self {
        Self {
            session,
            commitment,
            recipients,
            segments: 0,
            last: Hash::ZERO,
            tree: Frontier::default(),
            until: 0,
            records: 0,
            plain_bytes: 0,
            stored_bytes: 0,
            dropped_bytes: 0,
        }
    }

    /// Adds a segment that is known to follow.
    pub fn push(&mut self, header: &SegmentHeader, hash: Hash) {
        self.segments = header.seq.saturating_add(1);
        self.last = hash;
        // A tree takes more leaves than a `u32` counts.
        let _ = self.tree.push(hash);
        self.until = header.until;
        self.records = self.records.saturating_add(header.records.into());
        self.plain_bytes = self.plain_bytes.saturating_add(header.plain_bytes.into());
        self.stored_bytes = self.stored_bytes.saturating_add(header.stored_bytes());
        self.dropped_bytes = self.dropped_bytes.saturating_add(header.dropped_bytes);
    }

    pub fn head(&self) -> Head {
        Head { segments: self.segments, root: self.tree.root() }
    }

    pub fn manifest(self, at: u64, closed_by: ClosedBy, outcome: Outcome, signer: SignerKey) -> Manifest {
        Manifest {
            session: self.session,
            closed_by,
            outcome,
            ended_at: at.max(self.until),
            segments: self.segments,
            records: self.records,
            plain_bytes: self.plain_bytes,
            stored_bytes: self.stored_bytes,
            dropped_bytes: self.dropped_bytes,
            root: self.tree.root(),
            last: self.last,
            commitment: self.commitment,
            signer,
            recipients: self.recipients,
        }
    }
}

/// Closes a recording whose writer died, from what is stored: it needs each segment's header and
/// hash, and no key. It adds no segment, so it never encrypts.
#[derive(Debug)]
pub struct Completer {
    chain: Chain,
}

impl Completer {
    /// Begins with no segment.
    pub fn new(session: Session) -> Self {
        Self { chain: Chain::new(session, Hash::ZERO, Vec::new()) }
    }

    /// Adds the next stored segment. After an error the segment is not part of the recording, and
    /// the completer can go on to [`Self::finish`] with those before it.
    ///
    /// # Errors
    /// [`Defect::OtherSession`], [`Defect::Duplicated`], [`Defect::Missing`],
    /// [`Defect::ChainBroken`], [`Defect::InconsistentHeader`].
    pub fn append(&mut self, header: &SegmentHeader, hash: Hash) -> Result<(), Defect> {
        let chain = &mut self.chain;
        let seq = header.seq;
        if header.session.identity() != chain.session.identity() {
            return Err(Defect::OtherSession { seq, session_id: header.session.session_id });
        }
        if seq < chain.segments {
            return Err(Defect::Duplicated { seq });
        }
        if seq > chain.segments {
            return Err(Defect::Missing { first: chain.segments, count: seq - chain.segments });
        }
        if header.previous != chain.last {
            return Err(Defect::ChainBroken { seq });
        }
        if header.session != chain.session || header.from < chain.until {
            return Err(Defect::InconsistentHeader { seq });
        }
        if seq == 0 {
            chain.commitment = header.commitment;
            chain.recipients = header.recipients().collect();
        } else if header.commitment != chain.commitment || !header.recipients().eq(chain.recipients.iter().copied()) {
            return Err(Defect::InconsistentHeader { seq });
        }
        chain.push(header, hash);
        Ok(())
    }

    /// What was added so far.
    pub fn head(&self) -> Head {
        self.chain.head()
    }

    /// The manifest "closed by the completer", to be signed. `at` is the last sign of life, in
    /// microseconds since the recording began.
    pub fn finish(self, at: u64, outcome: Outcome, signer: SignerKey) -> Manifest {
        self.chain.manifest(at, ClosedBy::Completer, outcome, signer)
    }
}
