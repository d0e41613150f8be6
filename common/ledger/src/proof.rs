//! Proofs: that an entry is in a tree (RFC 9162 §2.1.3), that one tree is the beginning of another
//! (§2.1.4), and that a range of entries is all that a tree has there.
//!
//! Making a proof needs stored nodes, and where they are stored is not this crate's business: a [`Plan`]
//! names the nodes, the caller reads them, [`Plan::assemble`] makes the proof of them.

use openpam_merkle::{Frontier, NodeId, cover, fold, node_hash};

use crate::layout::{Fields, Hash, MAX_TREE_SIZE};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// What is to be proven cannot be: an index behind the tree's end, an older tree that is larger.
    #[error("the proof is about something that the tree cannot hold")]
    OutOfRange,
    /// The proof has too few or too many hashes.
    #[error("the proof has another length than a tree of this size needs")]
    WrongLength,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    RootMismatch,
}

impl ProofError {
    /// The stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange => "proof_out_of_range",
            Self::WrongLength => "proof_wrong_length",
            Self::RootMismatch => "proof_root_mismatch",
        }
    }
}

/// Which stored nodes a proof is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Each hash of the proof is the root over some perfect subtrees.
    parts: Vec<Vec<NodeId>>,
}

impl Plan {
    /// For the proof that leaf `index` is in the tree of `size` leaves.
    ///
    /// # Errors
    /// Where the tree has no such leaf.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, ProofError> {
        if index >= size || size > MAX_TREE_SIZE {
            return Err(ProofError::OutOfRange);
        }
        let mut parts = Vec::new();
        let (mut first, mut end) = (0, size);
        while end - first > 1 {
            let middle = first + split(end - first);
            if index < middle {
                parts.push(cover(middle, end));
                end = middle;
            } else {
                parts.push(cover(first, middle));
                first = middle;
            }
        }
        parts.reverse();
        Ok(Self { parts })
    }

    /// For the proof that the tree of `old` leaves is the beginning of the one of `new` leaves. The proof
    /// is empty where the two are of one size, and where the older is empty.
    ///
    /// # Errors
    /// Where the older tree is the larger one.
    pub fn consistency(old: u64, new: u64) -> Result<Self, ProofError> {
        if old > new || new > MAX_TREE_SIZE {
            return Err(ProofError::OutOfRange);
        }
        let mut parts = Vec::new();
        let (mut first, mut end) = (0, new);
        if old > 0 {
            while old != end {
                let middle = first + split(end - first);
                if old <= middle {
                    parts.push(cover(middle, end));
                    end = middle;
                } else {
                    parts.push(cover(first, middle));
                    first = middle;
                }
            }
            if first > 0 {
                parts.push(cover(first, end));
            }
        }
        parts.reverse();
        Ok(Self { parts })
    }

    /// The nodes to read, in the order in which [`assemble`](Self::assemble) takes them.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.parts.iter().flatten().copied()
    }

    /// The proof. `None` where there are not as many hashes as [`nodes`](Self::nodes).
    pub fn assemble(&self, hashes: &[Hash]) -> Option<Vec<Hash>> {
        let mut rest = hashes;
        let proof = self.parts.iter().map(|part| {
            let (own, others) = rest.split_at_checked(part.len())?;
            rest = others;
            fold(own)
        });
        let proof = proof.collect::<Option<_>>()?;
        rest.is_empty().then_some(proof)
    }
}

/// The largest power of two that is less than `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Checks that the leaf with this hash is the one at `index` of the tree (RFC 9162 §2.1.3.2).
///
/// # Errors
/// Where it is not proven.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, root: &Hash, proof: &[Hash]) -> Result<(), ProofError> {
    if index >= size || size > MAX_TREE_SIZE {
        return Err(ProofError::OutOfRange);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// A tree: its size and its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Checks that the old tree is the beginning of the new one (RFC 9162 §2.1.4.2). Of an empty tree there
/// is nothing to prove, but its root is still checked.
///
/// # Errors
/// Where it is not proven.
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, proof: &[Hash]) -> Result<(), ProofError> {
    if old.size > new.size || new.size > MAX_TREE_SIZE {
        return Err(ProofError::OutOfRange);
    }
    let same = |one: &Hash, other: &Hash| if one == other { Ok(()) } else { Err(ProofError::RootMismatch) };
    if old.size == 0 || old.size == new.size {
        if !proof.is_empty() {
            return Err(ProofError::WrongLength);
        }
        let expected = if old.size == 0 { Frontier::new().root() } else { new.root };
        return same(&old.root, &expected);
    }
    // The node where both trees part is the old root itself where the old tree is perfect.
    let mut siblings = proof.iter();
    let first = if old.size.is_power_of_two() { Some(&old.root) } else { siblings.next() };
    let first = *first.ok_or(ProofError::WrongLength)?;
    let shift = (old.size - 1).trailing_ones();
    let (mut node, mut last) = ((old.size - 1) >> shift, (new.size - 1) >> shift);
    let (mut old_root, mut new_root) = (first, first);
    for sibling in siblings {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node & 1 == 1 || node == last {
            old_root = node_hash(sibling, &old_root);
            new_root = node_hash(sibling, &new_root);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_root = node_hash(&new_root, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    same(&old_root, &old.root)?;
    same(&new_root, &new.root)
}

/// What a tree has before and behind the entries `[first, end)`: with their hashes in between it makes the
/// root, so that these are proven to be all there is between the two, and in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeProof {
    first: u64,
    end: u64,
    size: u64,
    /// Perfect subtrees over `[0, first)`, from left to right.
    left: Vec<Hash>,
    /// Perfect subtrees over `[end, size)`, from left to right.
    right: Vec<Hash>,
}

impl RangeProof {
    /// The nodes that the proof is made of, for [`from_nodes`](Self::from_nodes).
    ///
    /// # Errors
    /// Where the tree has no such range.
    pub fn nodes(first: u64, end: u64, size: u64) -> Result<Vec<NodeId>, ProofError> {
        if first > end || end > size || size > MAX_TREE_SIZE {
            return Err(ProofError::OutOfRange);
        }
        let mut nodes = cover(0, first);
        nodes.extend(cover(end, size));
        Ok(nodes)
    }

    /// The proof, of the hashes of [`nodes`](Self::nodes).
    ///
    /// # Errors
    /// Where the tree has no such range, or their number is another.
    pub fn from_nodes(first: u64, end: u64, size: u64, hashes: &[Hash]) -> Result<Self, ProofError> {
        if Self::nodes(first, end, size)?.len() != hashes.len() {
            return Err(ProofError::WrongLength);
        }
        let (left, right) = hashes.split_at(first.count_ones() as usize);
        Ok(Self { first, end, size, left: left.to_vec(), right: right.to_vec() })
    }

    /// The first entry of the range.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The entry behind the last one of the range.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The size of the tree that the range is of.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tree in front of the range: where adding the range's entries begins. Nothing is proven of it
    /// until a root is reached that is.
    pub fn before(&self) -> Frontier {
        Frontier::from_nodes(self.first, self.left.clone()).unwrap_or_default()
    }

    /// The whole tree, from the tree that ends with the range's last entry.
    ///
    /// # Errors
    /// Where that tree ends elsewhere.
    pub fn complete(&self, mut tree: Frontier) -> Result<Frontier, ProofError> {
        if tree.size() != self.end {
            return Err(ProofError::OutOfRange);
        }
        for (node, hash) in cover(self.end, self.size).iter().zip(&self.right) {
            if !tree.push_subtree(node.level, *hash) {
                return Err(ProofError::OutOfRange);
            }
        }
        Ok(tree)
    }

    /// First, end, size (8 bytes each, big-endian), then the hashes of [`nodes`](Self::nodes).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24 + 32 * (self.left.len() + self.right.len()));
        for number in [self.first, self.end, self.size] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for hash in self.left.iter().chain(&self.right) {
            bytes.extend_from_slice(&hash.0);
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes, and nothing else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (first, end, size) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let count = Self::nodes(first, end, size).ok()?.len();
        let hashes = (0..count).map(|_| fields.hash()).collect::<Option<Vec<_>>>()?;
        fields.0.is_empty().then(|| Self::from_nodes(first, end, size, &hashes).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openpam_merkle::leaf_hash;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    fn head(leaves: &[Hash]) -> TreeHead {
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| assert!(tree.push(*leaf)));
        TreeHead { size: tree.size(), root: tree.root() }
    }

    /// The hash of a node from the leaves under it.
    fn node(leaves: &[Hash], id: NodeId) -> Hash {
        let (first, count) = ((id.index << id.level) as usize, 1 << id.level);
        head(&leaves[first..first + count]).root
    }

    fn make(leaves: &[Hash], plan: &Plan) -> Vec<Hash> {
        let hashes = plan.nodes().map(|id| node(leaves, id)).collect::<Vec<_>>();
        assert_eq!(plan.assemble(&hashes[..hashes.len().saturating_sub(1)]).is_some(), hashes.is_empty());
        plan.assemble(&hashes).unwrap()
    }

    #[test]
    fn each_leaf_is_proven_in_each_tree_and_at_no_other_place() {
        let all = leaves(33);
        for size in 1..=33_u64 {
            let TreeHead { root, .. } = head(&all[..size as usize]);
            for index in 0..size {
                let leaf = all[index as usize];
                let proof = make(&all, &Plan::inclusion(index, size).unwrap());
                assert_eq!(verify_inclusion(&leaf, index, size, &root, &proof), Ok(()));
                for other in (0..size).filter(|other| *other != index) {
                    assert!(verify_inclusion(&leaf, other, size, &root, &proof).is_err(), "{index} {other} {size}");
                }
                let longer = [proof.as_slice(), &[leaf]].concat();
                assert_eq!(verify_inclusion(&leaf, index, size, &root, &longer), Err(ProofError::WrongLength));
                if let Some(shorter) = proof.len().checked_sub(1) {
                    let shorter = verify_inclusion(&leaf, index, size, &root, &proof[..shorter]);
                    assert_eq!(shorter, Err(ProofError::WrongLength));
                }
            }
            assert_eq!(Plan::inclusion(size, size), Err(ProofError::OutOfRange));
            assert_eq!(verify_inclusion(&root, size, size, &root, &[]), Err(ProofError::OutOfRange));
        }
    }

    #[test]
    fn each_tree_is_proven_to_be_the_beginning_of_each_later_one_only() {
        let all = leaves(33);
        let heads = (0..=33).map(|size| head(&all[..size])).collect::<Vec<_>>();
        for new in 0..=33_usize {
            for old in 0..=new {
                let proof = make(&all, &Plan::consistency(old as u64, new as u64).unwrap());
                assert_eq!(verify_consistency(&heads[old], &heads[new], &proof), Ok(()), "{old} {new}");
                let forged = TreeHead { root: leaf_hash(b"forged"), ..heads[old] };
                assert_eq!(verify_consistency(&forged, &heads[new], &proof), Err(ProofError::RootMismatch));
                let longer = [proof.as_slice(), &[all[0]]].concat();
                assert_eq!(verify_consistency(&heads[old], &heads[new], &longer), Err(ProofError::WrongLength));
                if let Some(shorter) = proof.len().checked_sub(1) {
                    let shorter = verify_consistency(&heads[old], &heads[new], &proof[..shorter]);
                    assert_eq!(shorter, Err(ProofError::WrongLength), "{old} {new}");
                }
            }
        }
        assert_eq!(Plan::consistency(2, 1), Err(ProofError::OutOfRange));
        assert_eq!(verify_consistency(&heads[2], &heads[1], &[]), Err(ProofError::OutOfRange));
    }

    #[test]
    fn each_range_with_its_entries_makes_the_root() {
        let all = leaves(20);
        let TreeHead { root, .. } = head(&all);
        for first in 0..=20_u64 {
            for end in first..=20 {
                let nodes = RangeProof::nodes(first, end, 20).unwrap();
                let hashes = nodes.into_iter().map(|id| node(&all, id)).collect::<Vec<_>>();
                let proof = RangeProof::from_nodes(first, end, 20, &hashes).unwrap();
                assert_eq!(RangeProof::from_bytes(&proof.to_bytes()), Some(proof.clone()));
                let mut tree = proof.before();
                assert_eq!(proof.complete(tree.clone()).is_err(), first != end);
                all[first as usize..end as usize].iter().for_each(|leaf| assert!(tree.push(*leaf)));
                assert_eq!(proof.complete(tree).unwrap().root(), root);
            }
        }
        assert_eq!(RangeProof::nodes(3, 2, 20), Err(ProofError::OutOfRange));
        assert_eq!(RangeProof::nodes(3, 21, 20), Err(ProofError::OutOfRange));
        assert_eq!(RangeProof::from_nodes(3, 5, 20, &[]), Err(ProofError::WrongLength));
    }

    #[test]
    fn the_largest_trees_overflow_nothing() {
        let hash = leaf_hash(b"x");
        let sizes = [MAX_TREE_SIZE, MAX_TREE_SIZE - 1, 1 << 62, (1 << 62) + 1, u64::MAX, 1 << 63];
        for size in sizes {
            for index in [0, 1, 1 << 61, size - 1, size] {
                let planned = Plan::inclusion(index, size).map(|plan| plan.parts.len());
                let longest = planned.unwrap_or_default();
                assert_eq!(planned.is_ok(), index < size && size <= MAX_TREE_SIZE);
                let proof = vec![hash; longest];
                let refused = verify_inclusion(&hash, index, size, &hash, &proof);
                assert!(matches!(refused, Err(ProofError::RootMismatch | ProofError::OutOfRange)));
                let (old, new) = (TreeHead { size: index, root: hash }, TreeHead { size, root: hash });
                let longest = Plan::consistency(index, size).map_or(0, |plan| plan.parts.len());
                assert!(longest <= crate::MAX_PROOF_HASHES);
                let refused = verify_consistency(&old, &new, &vec![hash; longest]);
                assert_eq!(refused.is_ok(), index == size && size <= MAX_TREE_SIZE);
            }
        }
    }
}
