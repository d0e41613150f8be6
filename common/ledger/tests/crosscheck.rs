//! Trees and proofs beside two other implementations: what one makes the others make too, and accept.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
use openpam_ledger::*;
use proptest::prelude::*;
use sha2::Sha256;
use support::*;
use tlog_tiles::tlog;

/// Hashes as `tlog_tiles` stores them, in one row.
#[derive(Default)]
struct Row(Vec<tlog::Hash>);

impl tlog::HashReader for Row {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        indexes.iter().map(|index| self.0.get(*index as usize).copied().ok_or(tlog::Error::IndexesNotInTree)).collect()
    }
}

/// The same leaves in three trees.
struct Three {
    own: Stored,
    row: Row,
    memory: MemoryBackedTree<Sha256, Vec<u8>>,
}

impl Three {
    fn new(count: u64) -> Self {
        let own = Stored::new(TENANT, count);
        let (mut row, mut memory) = (Row::default(), MemoryBackedTree::new());
        for (seq, entry) in (0..).zip(&own.entries) {
            let hashes = tlog::stored_hashes(seq, entry, &row).unwrap();
            row.0.extend(hashes);
            memory.push(entry.clone());
        }
        Self { own, row, memory }
    }
}

fn foreign(hashes: &[Hash]) -> Vec<tlog::Hash> {
    hashes.iter().map(|hash| tlog::Hash(hash.0)).collect()
}

fn joined(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn root_hash(head: &TreeHead) -> RootHash<Sha256> {
    RootHash::new(head.root.0.into(), head.size)
}

#[test]
fn roots_and_proofs_are_those_of_two_other_implementations() {
    for size in 1..=70_u64 {
        let three = Three::new(size);
        let head = three.own.head(size as usize);
        assert_eq!(tlog::tree_hash(size, &three.row).unwrap().0, head.root.0);
        assert_eq!(three.memory.root().as_bytes().as_slice(), head.root.0);
        for index in 0..size {
            let proof = three.own.proof(&Plan::inclusion(index, size).unwrap());
            assert_eq!(foreign(&proof), tlog::prove_record(size, index, &three.row).unwrap());
            assert_eq!(joined(&proof), three.memory.prove_inclusion(index as usize).as_bytes());
        }
        for old in 1..=size {
            let proof = three.own.proof(&Plan::consistency(old, size).unwrap());
            assert_eq!(foreign(&proof), tlog::prove_tree(size, old, &three.row).unwrap());
            assert_eq!(joined(&proof), three.memory.prove_consistency((size - old) as usize).as_bytes());
        }
    }
}

fn hashes() -> impl Strategy<Value = Vec<Hash>> {
    proptest::collection::vec(any::<[u8; 32]>().prop_map(Hash), 0..10)
}

/// What somebody does to a good proof.
#[derive(Debug, Clone)]
enum Change {
    Nothing,
    Other(Vec<Hash>),
    Drop(prop::sample::Index),
    Double(prop::sample::Index),
    Flip(prop::sample::Index, u8),
}

impl Change {
    fn apply(&self, proof: &mut Vec<Hash>) {
        match self {
            Self::Nothing => {}
            Self::Other(hashes) => proof.clone_from(hashes),
            Self::Drop(at) if !proof.is_empty() => drop(proof.remove(at.index(proof.len()))),
            Self::Double(at) if !proof.is_empty() => {
                let at = at.index(proof.len());
                proof.insert(at, proof[at]);
            }
            Self::Flip(at, bit) if !proof.is_empty() => {
                let at = at.index(proof.len());
                proof[at].0[usize::from(bit / 8)] ^= 1 << (bit % 8);
            }
            _ => {}
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Nothing),
        hashes().prop_map(Change::Other),
        any::<prop::sample::Index>().prop_map(Change::Drop),
        any::<prop::sample::Index>().prop_map(Change::Double),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_three_agree_on_whether_a_leaf_is_proven(
        size in 1..200_u64, index in any::<prop::sample::Index>(), claimed in 0..210_u64, same in any::<bool>(),
        change in change(),
    ) {
        let own = Stored::new(TENANT, size);
        let index = index.index(size as usize) as u64;
        let head = own.head(size as usize);
        let claimed = if same { index } else { claimed };
        let mut proof = own.proof(&Plan::inclusion(index, size).unwrap());
        change.apply(&mut proof);
        let leaf = own.hashes[index as usize];
        let ours = verify_inclusion(&leaf, claimed, size, &head.root, &proof).is_ok();
        let theirs =
            tlog::check_record(&foreign(&proof), size, tlog::Hash(head.root.0), claimed, tlog::Hash(leaf.0)).is_ok();
        prop_assert_eq!(ours, theirs);
        let others = InclusionProof::<Sha256>::try_from_bytes(joined(&proof)).unwrap();
        let entry = &own.entries[index as usize];
        prop_assert_eq!(ours, root_hash(&head).verify_inclusion(entry, claimed, &others).is_ok());
        if matches!(change, Change::Nothing) {
            prop_assert_eq!(ours, claimed == index);
        }
    }

    #[test]
    fn all_three_agree_on_whether_a_tree_goes_on(
        size in 1..200_u64, old in any::<prop::sample::Index>(), claimed in 1..200_u64, same in any::<bool>(),
        change in change(),
    ) {
        let own = Stored::new(TENANT, size);
        let old = old.index(size as usize) as u64 + 1;
        let new = own.head(size as usize);
        let mut proof = own.proof(&Plan::consistency(old, size).unwrap());
        change.apply(&mut proof);
        let before = TreeHead { size: if same { old } else { claimed }, root: own.head(old as usize).root };
        let ours = verify_consistency(&before, &new, &proof).is_ok();
        let theirs = tlog::check_tree(
            &foreign(&proof), new.size, tlog::Hash(new.root.0), before.size, tlog::Hash(before.root.0),
        );
        prop_assert_eq!(ours, theirs.is_ok());
        let others = ConsistencyProof::<Sha256>::try_from_bytes(joined(&proof)).unwrap();
        prop_assert_eq!(ours, root_hash(&new).verify_consistency(&root_hash(&before), &others).is_ok());
    }
}
