//! Verification: are these the entries that were signed, all of them, and in this order?
//!
//! Entries are given one after the other as they are stored, in any amount: the memory that is needed
//! grows with the logarithm of their number and with the number of checkpoints. Where the hashes that the
//! ledger keeps of its entries (its tiles) are given too, each changed and each missing entry is named;
//! without them, between which two checkpoints a change is.

use std::collections::BTreeMap;

use uuid::Uuid;

use openpam_merkle::leaf_hash;

use crate::{
    anchors::Anchors,
    checkpoint::{Checkpoint, LedgerName, Log},
    defect::{Defect, Warning},
    digest::{Field, Salt},
    entry::Entry,
    layout::Hash,
    proof::{ProofError, RangeProof, TreeHead},
    report::Report,
    walk::Walk,
};

/// How far entries may be dated back without a warning: an event is dated when it happens and takes its
/// place when its transaction has ended.
pub const CLOCK_TOLERANCE: u64 = 5 * 60 * 1_000_000;

/// Verifies the entries of one tenant.
#[derive(Debug)]
pub struct Verifier {
    tenant_id: Uuid,
    walk: Walk,
    tolerance: u64,
    latest: u64,
}

impl Verifier {
    /// Verifies from the first entry on.
    pub fn new(tenant_id: Uuid, anchors: Anchors) -> Self {
        Self { tenant_id, walk: Walk::new(anchors), tolerance: CLOCK_TOLERANCE, latest: 0 }
    }

    /// Verifies the entries of a range that a proof binds to one of the anchors.
    ///
    /// # Errors
    /// Where none of them is of a tree of the size that the proof is of.
    pub fn range(tenant_id: Uuid, anchors: Anchors, proof: RangeProof) -> Result<Self, ProofError> {
        Ok(Self { tenant_id, walk: Walk::range(anchors, proof)?, tolerance: CLOCK_TOLERANCE, latest: 0 })
    }

    /// Takes more checkpoints to hold the entries against, of trees that are not smaller than what was
    /// verified so far. Says how many were smaller, and came too late.
    #[must_use]
    pub fn anchors(&mut self, more: Anchors) -> usize {
        self.walk.add_anchors(more)
    }

    /// Warns of entries that are dated back by more than so many microseconds, instead of
    /// [`CLOCK_TOLERANCE`].
    #[must_use]
    pub fn with_tolerance(mut self, microseconds: u64) -> Self {
        self.tolerance = microseconds;
        self
    }

    /// Takes what stands in a place: its bytes, and the hash that the ledger keeps of it, where there is one.
    /// Says what the entry is, where it is one.
    pub fn entry<'b>(&mut self, seq: u64, canonical: &'b [u8], kept: Option<Hash>) -> Option<Entry<'b>> {
        let leaf = leaf_hash(canonical);
        let parsed = Entry::parse(canonical);
        if !self.walk.arrive(seq, &leaf) {
            return parsed.ok();
        }
        let named = match &parsed {
            Err(error) => {
                self.walk.defects.add(Defect::Malformed { seq, error: *error });
                true
            }
            Ok(entry) => self.is_misplaced(seq, entry),
        };
        self.walk.advance(leaf, kept, named);
        parsed.ok()
    }

    fn is_misplaced(&mut self, seq: u64, entry: &Entry<'_>) -> bool {
        let microseconds = self.latest.saturating_sub(entry.time);
        if microseconds > self.tolerance {
            self.walk.warnings.add(Warning::ClockWentBack { seq, microseconds });
        }
        self.latest = self.latest.max(entry.time);
        if entry.tenant_id != self.tenant_id {
            self.walk.defects.add(Defect::OtherTenant { seq, tenant_id: entry.tenant_id });
            true
        } else if entry.seq != seq {
            self.walk.defects.add(Defect::Misplaced { at: seq, names: entry.seq });
            true
        } else {
            false
        }
    }

    /// The place that comes next.
    pub(crate) fn next(&self) -> u64 {
        self.walk.next()
    }

    /// Takes the hash that the ledger keeps of an entry that is not there.
    pub fn absent(&mut self, seq: u64, kept: Hash) {
        self.walk.absent(seq, kept);
    }

    /// Checks content against the digest in its entry. Content that was erased is not checked, and is no
    /// defect.
    pub fn content(&mut self, entry: &Entry<'_>, field: Field, salt: &Salt, content: &[u8]) {
        if entry.digests.get(field) != Some(field.digest(salt, content)) {
            self.walk.defects.add(Defect::Content { seq: entry.seq, field: field.name() });
        }
    }

    /// The result.
    pub fn finish(self) -> Report {
        self.walk.finish()
    }
}

/// Verifies the system's ledger: its leaves are the texts of tenants' checkpoints, one after the other as
/// they were signed. Needs memory for each tenant.
#[derive(Debug)]
pub struct SystemVerifier {
    ledger: LedgerName,
    walk: Walk,
    tenants: BTreeMap<Uuid, TreeHead>,
}

impl SystemVerifier {
    /// Verifies from the first leaf on.
    pub fn new(ledger: LedgerName, anchors: Anchors) -> Self {
        Self { ledger, walk: Walk::new(anchors), tenants: BTreeMap::new() }
    }

    /// Takes more checkpoints of the system's log, as [`Verifier::anchors`] does.
    #[must_use]
    pub fn anchors(&mut self, more: Anchors) -> usize {
        self.walk.add_anchors(more)
    }

    /// Takes what stands in a place. Says whose checkpoint it is, where it is one.
    pub fn leaf(&mut self, seq: u64, text: &[u8], kept: Option<Hash>) -> Option<(Uuid, TreeHead)> {
        let leaf = leaf_hash(text);
        if !self.walk.arrive(seq, &leaf) {
            return None;
        }
        let tenant = self.tenant(text);
        match tenant {
            Some((tenant_id, head)) => self.look_at(tenant_id, head),
            None => self.walk.defects.add(Defect::NotATenantCheckpoint { seq }),
        }
        self.walk.advance(leaf, kept, tenant.is_none());
        tenant
    }

    fn tenant(&self, text: &[u8]) -> Option<(Uuid, TreeHead)> {
        let checkpoint = Checkpoint::parse(std::str::from_utf8(text).ok()?).ok()?;
        match self.ledger.log(checkpoint.origin())? {
            Log::Tenant(tenant_id) => Some((tenant_id, checkpoint.head())),
            Log::System => None,
        }
    }

    fn look_at(&mut self, tenant_id: Uuid, head: TreeHead) {
        let before = self.tenants.insert(tenant_id, head);
        let Some(before) = before else { return };
        if head.size < before.size {
            self.walk.defects.add(Defect::Shrunk { tenant_id, before: before.size, size: head.size });
        } else if head.size == before.size && head.root != before.root {
            self.walk.defects.add(Defect::Forked { size: head.size });
        }
    }

    /// How many leaves, of those so far, a checkpoint of the system's log speaks for.
    pub fn agreed(&self) -> u64 {
        self.walk.agreed()
    }

    /// The last checkpoint of each tenant so far.
    pub fn tenants(&self) -> &BTreeMap<Uuid, TreeHead> {
        &self.tenants
    }

    /// The result.
    pub fn finish(self) -> Report {
        self.walk.finish()
    }
}
