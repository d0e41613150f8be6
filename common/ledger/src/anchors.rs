//! The checkpoints that a log is held against.

use std::collections::BTreeSet;

use crate::{
    checkpoint::{LedgerName, Log, Signers},
    defect::Defect,
    layout::Hash,
    proof::TreeHead,
    report::Findings,
};

/// The checkpoints that a log is held against.
#[derive(Debug, Clone, Default)]
pub struct Anchors {
    /// The roots that were signed for each size: more than one where the log was forked.
    pub(crate) heads: BTreeSet<(u64, Hash)>,
    pub(crate) defects: Findings<Defect>,
    /// Whether signatures were checked.
    pub(crate) signed: bool,
}

impl Anchors {
    /// Reads the signed checkpoints of a log. Those that do not count are defects of the log: whoever keeps
    /// them got them as its checkpoints. Each takes some memory: where there are very many, give them to the
    /// verifier in portions ([`Verifier::anchors`](crate::Verifier::anchors)).
    pub fn read<'n>(
        signers: &Signers,
        ledger: &LedgerName,
        log: Log,
        notes: impl IntoIterator<Item = &'n [u8]>,
    ) -> Self {
        let mut anchors = Self { signed: *signers != Signers::Any, ..Self::default() };
        for (number, note) in notes.into_iter().enumerate() {
            match signers.verify(ledger, log, note) {
                Ok(verified) => anchors.add(verified.checkpoint.head()),
                Err(error) => anchors.defects.add(Defect::Checkpoint { number, error }),
            }
        }
        anchors
    }

    /// Trees for which something else than a note vouches: leaves of the system's log, whose own head is signed.
    pub fn vouched(heads: impl IntoIterator<Item = TreeHead>) -> Self {
        let mut anchors = Self { signed: true, ..Self::default() };
        heads.into_iter().for_each(|head| anchors.add(head));
        anchors
    }

    /// A second root for one size is a fork.
    fn add(&mut self, head: TreeHead) {
        let fork = self.roots(head.size).any(|root| root != head.root);
        if self.heads.insert((head.size, head.root)) && fork {
            self.defects.add(Defect::Forked { size: head.size });
        }
    }

    fn roots(&self, size: u64) -> impl Iterator<Item = Hash> + '_ {
        self.heads.range((size, Hash([0; 32]))..=(size, Hash([0xff; 32]))).map(|(_, root)| *root)
    }

    /// The trees that were signed, the smallest first.
    pub fn heads(&self) -> impl DoubleEndedIterator<Item = TreeHead> + '_ {
        self.heads.iter().map(|(size, root)| TreeHead { size: *size, root: *root })
    }

    /// What is wrong with the checkpoints themselves: the first of it.
    pub fn defects(&self) -> &[Defect] {
        &self.defects.listed
    }
}
