//! What comes of a verification.

use crate::{
    defect::{Defect, Warning},
    proof::TreeHead,
};

/// Defects and warnings that a report lists, and gaps that are kept in mind; more are counted.
pub const MAX_FINDINGS: usize = 100;

/// The first of some findings, and how many more there were.
#[derive(Debug, Clone)]
pub(crate) struct Findings<T> {
    pub listed: Vec<T>,
    pub more: u64,
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Self { listed: Vec::new(), more: 0 }
    }
}

impl<T> Findings<T> {
    pub fn append(&mut self, others: Self) {
        others.listed.into_iter().for_each(|finding| self.add(finding));
        self.more += others.more;
    }

    pub fn add(&mut self, finding: T) {
        if self.listed.len() < MAX_FINDINGS {
            self.listed.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// The result in one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was signed is there and unchanged, and the signer is trusted.
    Intact,
    /// Everything fits together, but no trusted signature says that it is all: there is no checkpoint, or
    /// signatures were not checked.
    Consistent,
    /// Something is wrong; of several things the one that explains most.
    Defective(Defect),
}

impl Verdict {
    /// The stable name of this verdict.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Consistent => "consistent",
            Self::Defective(defect) => defect.code(),
        }
    }
}

/// What came of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The result in one word.
    pub verdict: Verdict,
    /// How many entries were looked at.
    pub entries: u64,
    /// The tree up to the last entry, where there is a whole one.
    pub head: Option<TreeHead>,
    /// Up to which entry a checkpoint agrees with what is there, if one does. What is behind it is not yet
    /// signed, or not signed like that.
    pub anchored: Option<u64>,
    /// What is wrong: the first of them.
    pub defects: Vec<Defect>,
    /// How many defects more there are.
    pub more_defects: u64,
    /// What may have an innocent reason: the first of them.
    pub warnings: Vec<Warning>,
    /// How many warnings more there are.
    pub more_warnings: u64,
}
