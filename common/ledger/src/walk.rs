//! The way along a log: places, gaps, the tree of what is there and that of the hashes that are kept of it,
//! and the checkpoints that they are held against.

use std::collections::{BTreeMap, BTreeSet};

use openpam_merkle::Frontier;

use crate::{
    anchors::Anchors,
    defect::{Defect, Warning},
    layout::Hash,
    proof::{ProofError, RangeProof, TreeHead},
    report::{Findings, MAX_FINDINGS, Report, Verdict},
};

/// The tree of the hashes that the ledger keeps.
#[derive(Debug, Clone)]
enum Kept {
    /// The same as that of the leaves.
    Same,
    /// Another one.
    Apart(Frontier),
    /// A hash was missing.
    Unknown,
}

/// A range, and the roots that were signed for the tree it is of.
#[derive(Debug)]
struct Range {
    proof: RangeProof,
    roots: Vec<Hash>,
}

#[derive(Debug)]
pub(crate) struct Walk {
    /// Those that are still to come.
    anchors: BTreeSet<(u64, Hash)>,
    signed: bool,
    range: Option<Range>,
    leaves: u64,
    first: u64,
    /// The place that comes next.
    next: u64,
    /// The tree of the leaves; `None` behind a missing one.
    tree: Option<Frontier>,
    kept: Kept,
    last: Option<Hash>,
    /// Up to here a checkpoint agrees.
    agreed: Option<u64>,
    /// Checkpoints that did not agree since then.
    disagreed: Findings<u64>,
    /// Leaves that are not the ones of the kept hashes, since then.
    differing: Findings<u64>,
    /// Places that were left out, by the first: the place behind the last.
    gaps: BTreeMap<u64, u64>,
    pub defects: Findings<Defect>,
    pub warnings: Findings<Warning>,
}

impl Walk {
    pub fn new(anchors: Anchors) -> Self {
        Self::starting(anchors, Frontier::new(), None)
    }

    /// Along a range of a tree that must be among the anchors.
    pub fn range(mut anchors: Anchors, proof: RangeProof) -> Result<Self, ProofError> {
        let roots = anchors.heads().filter(|head| head.size == proof.size()).map(|head| head.root);
        let roots = roots.collect::<Vec<_>>();
        if roots.is_empty() {
            return Err(ProofError::OutOfRange);
        }
        anchors.heads.retain(|(size, _)| *size != proof.size());
        Ok(Self::starting(anchors, proof.before(), Some(Range { proof, roots })))
    }

    fn starting(anchors: Anchors, tree: Frontier, range: Option<Range>) -> Self {
        let first = tree.size();
        let mut walk = Self {
            anchors: anchors.heads,
            signed: anchors.signed,
            range,
            leaves: 0,
            first,
            next: first,
            tree: Some(tree),
            kept: Kept::Same,
            last: None,
            agreed: None,
            disagreed: Findings::default(),
            differing: Findings::default(),
            gaps: BTreeMap::new(),
            defects: anchors.defects,
            warnings: Findings::default(),
        };
        walk.skip_anchors(first);
        walk.hold_against_anchors();
        walk
    }

    /// The place that comes next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Up to which place a checkpoint agrees.
    pub fn agreed(&self) -> u64 {
        self.agreed.unwrap_or(0)
    }

    /// Comes to a place with something in it. `false` where it does not belong on the way: it came too late,
    /// or is behind the end.
    pub fn arrive(&mut self, seq: u64, leaf: &Hash) -> bool {
        self.leaves += 1;
        if self.is_outside(seq) {
            self.defects.add(Defect::Surplus { seq });
            return false;
        }
        if seq < self.next {
            self.late(seq, leaf);
            return false;
        }
        self.gap(seq);
        true
    }

    /// Goes on by the leaf that was arrived at. `named` says that it is known to be the wrong one.
    pub fn advance(&mut self, leaf: Hash, kept: Option<Hash>, named: bool) {
        if !named && kept.is_some_and(|kept| kept != leaf) {
            self.differing.add(self.next);
        }
        self.step(Some(leaf), kept);
    }

    /// Goes on by a hash whose leaf is not there.
    pub fn absent(&mut self, seq: u64, kept: Hash) {
        if seq < self.next || self.is_outside(seq) {
            return;
        }
        self.gap(seq);
        self.note_gap(seq, seq + 1);
        self.step(None, Some(kept));
    }

    fn is_outside(&self, seq: u64) -> bool {
        seq < self.first || self.range.as_ref().is_some_and(|range| seq >= range.proof.end())
    }

    /// A leaf that should have come before.
    fn late(&mut self, seq: u64, leaf: &Hash) {
        let gap = self.gaps.range(..=seq).next_back().map(|(first, end)| (*first, *end));
        if let Some((first, end)) = gap.filter(|(_, end)| seq < *end) {
            self.gaps.remove(&first);
            for (first, end) in [(first, seq), (seq + 1, end)] {
                if first < end {
                    self.gaps.insert(first, end);
                }
            }
            self.defects.add(Defect::Reordered { seq });
        } else if seq + 1 == self.next && self.last.is_some_and(|last| last != *leaf) {
            self.defects.add(Defect::Conflicting { seq });
        } else {
            self.defects.add(Defect::Duplicated { seq });
        }
    }

    /// All places from the next one up to this one are empty, and nothing is known of them.
    fn gap(&mut self, seq: u64) {
        if seq == self.next {
            return;
        }
        self.note_gap(self.next, seq);
        self.next = seq;
        (self.tree, self.kept, self.last) = (None, Kept::Unknown, None);
        self.skip_anchors(seq + 1);
    }

    fn note_gap(&mut self, first: u64, end: u64) {
        if let Some(before) = self.gaps.values_mut().next_back().filter(|before| **before == first) {
            *before = end;
        } else if self.gaps.len() < MAX_FINDINGS {
            self.gaps.insert(first, end);
        } else {
            self.defects.add(Defect::Missing { first, count: end - first });
        }
    }

    fn step(&mut self, leaf: Option<Hash>, kept: Option<Hash>) {
        let by_hash = kept.or(leaf);
        if by_hash != leaf && matches!(self.kept, Kept::Same) {
            self.kept = self.tree.clone().map_or(Kept::Unknown, Kept::Apart);
        }
        if let (Kept::Apart(tree), Some(hash)) = (&mut self.kept, by_hash)
            && !tree.push(hash)
        {
            self.kept = Kept::Unknown;
        }
        let whole = match (&mut self.tree, leaf) {
            (Some(tree), Some(leaf)) => tree.push(leaf),
            _ => false,
        };
        if !whole {
            self.tree = None;
        }
        self.last = leaf;
        self.next = self.next.saturating_add(1);
        self.hold_against_anchors();
    }

    /// Takes more anchors, and says how many of them came too late to be held against anything.
    pub fn add_anchors(&mut self, anchors: Anchors) -> usize {
        self.signed &= anchors.signed;
        self.defects.append(anchors.defects);
        let (late, more): (Vec<_>, Vec<_>) = anchors.heads.into_iter().partition(|(size, _)| *size < self.next);
        let sizes = self.anchors.iter().map(|(size, _)| *size).collect::<BTreeSet<_>>();
        for anchor in more {
            if self.anchors.insert(anchor) && sizes.contains(&anchor.0) {
                self.defects.add(Defect::Forked { size: anchor.0 });
            }
        }
        self.hold_against_anchors();
        late.len()
    }

    /// The root of the next anchor, if its size is one of these.
    fn next_anchor(&mut self, is: impl Fn(u64) -> bool) -> Option<Hash> {
        self.anchors.first().filter(|(size, _)| is(*size))?;
        self.anchors.pop_first().map(|(_, root)| root)
    }

    /// Leaves out the anchors of smaller trees than that.
    fn skip_anchors(&mut self, size: u64) {
        while self.next_anchor(|anchored| anchored < size).is_some() {}
    }

    fn hold_against_anchors(&mut self) {
        let mut roots = Vec::new();
        let next = self.next;
        while let Some(root) = self.next_anchor(|size| size == next) {
            roots.push(root);
        }
        if roots.is_empty() {
            return;
        }
        self.hold_against(&roots, |tree| Some(tree.root()));
    }

    /// Compares the trees so far with the roots that were signed.
    fn hold_against(&mut self, roots: &[Hash], of: impl Fn(&Frontier) -> Option<Hash>) {
        let agrees = |tree: &Frontier| of(tree).is_some_and(|root| roots.contains(&root));
        let by_leaves = self.tree.as_ref().is_some_and(agrees);
        let by_kept = matches!(&self.kept, Kept::Apart(tree) if agrees(tree));
        let differing = std::mem::take(&mut self.differing);
        for seq in differing.listed {
            self.defects.add(if by_leaves { Defect::StoredHash { seq } } else { Defect::Tampered { seq } });
        }
        self.defects.more += differing.more;
        if by_leaves || by_kept {
            if let (false, Kept::Apart(tree)) = (by_leaves, std::mem::replace(&mut self.kept, Kept::Same)) {
                self.tree = Some(tree);
            }
            self.agreed = Some(self.next);
            // What was signed before, and is not in the history that was signed later.
            let disagreed = std::mem::take(&mut self.disagreed);
            disagreed.listed.into_iter().for_each(|size| self.defects.add(Defect::Forked { size }));
            self.defects.more += disagreed.more;
        } else if self.tree.is_some() || matches!(self.kept, Kept::Apart(_)) {
            self.disagreed.add(self.next);
        }
    }

    pub fn finish(mut self) -> Report {
        let mut signed_until = self.anchors.last().map(|(size, _)| *size);
        if let Some(Range { proof, roots }) = self.range.take() {
            let whole = self.next == proof.end();
            if whole {
                self.hold_against(&roots, |tree| Some(proof.complete(tree.clone()).ok()?.root()));
            }
            signed_until = (!whole).then_some(proof.end());
        }
        for seq in std::mem::take(&mut self.differing).listed {
            self.defects.add(Defect::Tampered { seq });
        }
        for (first, end) in std::mem::take(&mut self.gaps) {
            self.defects.add(Defect::Missing { first, count: end - first });
        }
        if let Some(until) = self.disagreed.listed.first() {
            self.defects.add(Defect::Altered { from: self.agreed.unwrap_or(self.first), until: *until });
        }
        if let Some(anchored) = signed_until {
            self.defects.add(Defect::Truncated { entries: self.next, anchored });
        }
        let worst = self.defects.listed.iter().min_by_key(|defect| defect.kind().0);
        let verdict = match worst {
            Some(defect) => Verdict::Defective(defect.clone()),
            None if self.signed && self.agreed.is_some() => Verdict::Intact,
            None => Verdict::Consistent,
        };
        Report {
            verdict,
            entries: self.leaves,
            head: self.tree.map(|tree| TreeHead { size: tree.size(), root: tree.root() }),
            anchored: self.agreed,
            defects: self.defects.listed,
            more_defects: self.defects.more,
            warnings: self.warnings.listed,
            more_warnings: self.warnings.more,
        }
    }
}
