//! Whatever is done to a ledger: no panic, one encoding for each value, and never the verdict that it is
//! intact.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::LazyLock;

use openpam_ledger::*;
use proptest::{collection::vec, prelude::*, sample::Index};
use support::*;
use uuid::Uuid;

const COUNT: u64 = 40;
const SIZES: &[usize] = &[0, 7, 16, 31, 40];
static WHOLE: LazyLock<Stored> = LazyLock::new(|| Stored::new(TENANT, COUNT));

/// One thing that somebody does to stored rows.
#[derive(Debug, Clone)]
enum Tampering {
    Flip(Index, Index, u8),
    Truncate(Index, Index),
    Append(Index, Vec<u8>),
    Remove(Index, Index),
    Swap(Index, Index),
    Move(Index, Index),
    Double(Index, Index),
    Renumber(Index, u64),
    Replace(Index, u8),
    Foreign(Index),
    Cut(Index),
    Kept(Index, u8),
    KeptFits(Index),
    NoteFlip(Index, Index, u8),
    NoteForeign(Index),
}

impl Tampering {
    fn apply(&self, stored: &mut Rows) {
        let rows = &mut stored.rows;
        if rows.is_empty() {
            return;
        }
        let count = rows.len();
        match self {
            Self::Flip(row, at, bit) => flip(&mut rows[row.index(count)].1, at, *bit),
            Self::Truncate(row, at) => {
                let bytes = &mut rows[row.index(count)].1;
                bytes.truncate(at.index(bytes.len() + 1));
            }
            Self::Append(row, more) => rows[row.index(count)].1.extend_from_slice(more),
            Self::Remove(first, end) => {
                let (one, other) = (first.index(count), end.index(count));
                rows.drain(one.min(other)..one.max(other));
            }
            Self::Swap(one, other) => {
                let (one, other) = (one.index(count), other.index(count));
                let bytes = rows[one].1.clone();
                rows[one].1 = std::mem::replace(&mut rows[other].1, bytes);
            }
            Self::Move(from, to) => {
                let row = rows.remove(from.index(count));
                rows.insert(to.index(count), row);
            }
            Self::Double(row, to) => rows.insert(to.index(count), rows[row.index(count)].clone()),
            Self::Renumber(row, seq) => rows[row.index(count)].0 = *seq,
            Self::Replace(row, variant) => {
                let row = &mut rows[row.index(count)];
                row.1 = entry(TENANT, row.0.min(1 << 40), *variant);
            }
            Self::Foreign(row) => {
                let row = &mut rows[row.index(count)];
                row.1 = entry(OTHER_TENANT, row.0.min(1 << 40), 0);
            }
            Self::Cut(at) => rows.truncate(at.index(count)),
            Self::Kept(at, bit) => {
                if let Some(kept) = &mut stored.kept {
                    let at = at.index(kept.len());
                    kept[at].0[usize::from(bit / 8)] ^= 1 << (bit % 8);
                }
            }
            // Whoever changes a row may change its hash too.
            Self::KeptFits(row) => {
                let (seq, bytes) = &rows[row.index(count)];
                if let Some(kept) = stored.kept.as_mut().and_then(|kept| kept.get_mut(*seq as usize)) {
                    *kept = leaf_hash(bytes);
                }
            }
            Self::NoteFlip(note, at, bit) => {
                let note = &mut stored.notes[note.index(SIZES.len())];
                let mut bytes = note.clone().into_bytes();
                flip(&mut bytes, at, *bit);
                *note = String::from_utf8_lossy(&bytes).into_owned();
            }
            Self::NoteForeign(note) => {
                let at = note.index(SIZES.len());
                stored.notes[at] = Stored::new(OTHER_TENANT, COUNT).note(SIZES[at]);
            }
        }
    }
}

fn flip(bytes: &mut [u8], at: &Index, bit: u8) {
    if !bytes.is_empty() {
        bytes[at.index(bytes.len())] ^= 1 << (bit % 8);
    }
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let index = any::<Index>;
    prop_oneof![
        (index(), index(), any::<u8>()).prop_map(|(row, at, bit)| Tampering::Flip(row, at, bit)),
        (index(), index()).prop_map(|(row, at)| Tampering::Truncate(row, at)),
        (index(), vec(any::<u8>(), 1..40)).prop_map(|(row, more)| Tampering::Append(row, more)),
        (index(), index()).prop_map(|(first, end)| Tampering::Remove(first, end)),
        (index(), index()).prop_map(|(one, other)| Tampering::Swap(one, other)),
        (index(), index()).prop_map(|(from, to)| Tampering::Move(from, to)),
        (index(), index()).prop_map(|(row, to)| Tampering::Double(row, to)),
        (index(), prop_oneof![0..50_u64, any::<u64>()]).prop_map(|(row, seq)| Tampering::Renumber(row, seq)),
        (index(), any::<u8>()).prop_map(|(row, variant)| Tampering::Replace(row, variant)),
        index().prop_map(Tampering::Foreign),
        index().prop_map(Tampering::Cut),
        (index(), any::<u8>()).prop_map(|(at, bit)| Tampering::Kept(at, bit)),
        index().prop_map(Tampering::KeptFits),
        (index(), index(), any::<u8>()).prop_map(|(note, at, bit)| Tampering::NoteFlip(note, at, bit)),
        index().prop_map(Tampering::NoteForeign),
    ]
}

prop_compose! {
    fn any_entry()(
        (seq, time) in (0..MAX_TREE_SIZE, 0..=i64::MAX as u64),
        ids in any::<[u128; 3]>(),
        (kind, outcome, actor) in (0..2_usize, 0..3_usize, 0..5_usize),
        action in "[a-z_][a-z0-9_]{0,20}(\\.[a-z_][a-z0-9_]{0,20}){1,4}",
        object in proptest::option::of(("[a-z_][a-z0-9_]{0,40}", "\\PC{0,60}")),
        request in "\\PC{0,60}",
        digests in vec(proptest::option::of(any::<[u8; 32]>()), 7),
    ) -> (Vec<u8>, bool) {
        let kind = Kind::ALL[kind];
        let digests = Field::ALL.iter().zip(digests).fold(Digests::default(), |all, (field, digest)| match digest {
            Some(digest) => all.with(*field, Hash(digest)),
            None => all,
        });
        let entry = Entry {
            seq,
            tenant_id: Uuid::from_u128(ids[0]),
            event_id: Uuid::from_u128(ids[1]),
            time,
            kind,
            actor: Actor {
                kind: ActorKind::ALL[actor],
                id: (ids[2] % 3 != 0).then(|| Uuid::from_u128(ids[2].max(1))),
            },
            action: &action,
            outcome: if kind == Kind::Event { Outcome::ALL[outcome] } else { Outcome::Success },
            object: object.as_ref().map(|(kind, id)| Object { kind, id }),
            request_id: &request,
            digests,
        };
        let bytes = entry.encode().unwrap();
        let same = Entry::parse(&bytes) == Ok(entry);
        (bytes, same)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_entry_survives_and_has_one_encoding((bytes, same) in any_entry(), changes in vec(any::<(Index, u8)>(), 1..4)) {
        prop_assert!(same);
        prop_assert!(bytes.len() <= MAX_ENTRY_BYTES);
        let mut changed = bytes.clone();
        changes.iter().for_each(|(at, bit)| flip(&mut changed, at, *bit));
        if let Ok(entry) = Entry::parse(&changed) {
            prop_assert_eq!(entry.encode().unwrap(), changed);
        }
    }

    #[test]
    fn bytes_of_anybody_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..400), from in 0..60_usize) {
        // Half of them begin as the real thing does.
        let real = [entry(TENANT, 3, 0), WHOLE.note(7).into_bytes(), WHOLE.range(3, 9, 40).to_bytes()];
        for front in real.iter().map(|real| &real[..from.min(real.len())]).chain([&[][..]]) {
            let input = [front, &bytes].concat();
            if let Ok(entry) = Entry::parse(&input) {
                prop_assert_eq!(entry.encode().unwrap(), input.clone());
            }
            if let Ok(note) = Note::parse(&input) {
                prop_assert_eq!(note.to_text().into_bytes(), input.clone());
            }
            if let Some(proof) = RangeProof::from_bytes(&input) {
                prop_assert_eq!(proof.to_bytes(), input.clone());
            }
            if let Some(frontier) = Frontier::from_bytes(&input) {
                prop_assert_eq!(frontier.to_bytes(), input.clone());
            }
            if let Ok(mut reader) = BundleReader::new(input.as_slice()) {
                while let Ok(Some(_)) = reader.section() {}
            }
            let mut evidence = Evidence::new(Signers::Any, None);
            for name in ["about", "checkpoint", "consistent/0", "ranges/0/bounds", "ranges/0/entries/0", "system"] {
                evidence.section(&format!("ledger/{name}"), &input, &mut |_, _| {});
            }
            prop_assert_ne!(evidence.finish().verdict, Verdict::Intact);
        }
    }

    #[test]
    fn a_note_that_is_read_has_one_form(text in "(\\PC{0,10}\n){0,4}\n(— [a-z]{1,5} [A-Za-z0-9+/]{0,12}={0,2}\n){0,3}") {
        if let Ok(note) = Note::parse(text.as_bytes()) {
            prop_assert_eq!(note.to_text(), text);
        }
    }

    #[test]
    fn a_checkpoint_that_is_read_has_one_form(text in "\\PC{0,10}\n[0-9]{1,20}\n[A-Za-z0-9+/]{43}=\n(\\PC{0,5}\n){0,3}") {
        if let Ok(checkpoint) = Checkpoint::parse(&text) {
            prop_assert_eq!(checkpoint.to_text(), text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ledger_that_was_tampered_with_is_never_intact(changes in vec(tampering(), 1..5), kept in any::<bool>()) {
        let whole = Rows::of(&WHOLE, SIZES, kept);
        let mut stored = whole.clone();
        changes.iter().for_each(|change| change.apply(&mut stored));
        let report = stored.verify();
        let same = stored.rows == whole.rows && stored.notes == whole.notes;
        if same && stored.kept == whole.kept {
            prop_assert_eq!(report.verdict, Verdict::Intact);
        } else if stored.rows != whole.rows && stored.notes.last() == whole.notes.last() {
            prop_assert!(matches!(report.verdict, Verdict::Defective(_)), "{:?}", report);
        } else if stored.rows != whole.rows || stored.kept != whole.kept {
            // Without the last checkpoint: something is still wrong with it.
            prop_assert!(matches!(report.verdict, Verdict::Defective(_)), "{:?}", report);
        }
        prop_assert!(report.defects.len() <= MAX_FINDINGS);
    }

    #[test]
    fn a_range_that_was_tampered_with_is_never_intact(
        bounds in (0..=COUNT, 0..=COUNT), changes in vec(tampering(), 0..3), proof_change in proptest::option::of(any::<(Index, u8)>()),
    ) {
        let (first, end) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
        let proof = WHOLE.range(first, end, COUNT);
        let mut bytes = proof.to_bytes();
        if let Some((at, bit)) = proof_change {
            flip(&mut bytes, &at, bit);
        }
        let mut rows = Rows::of(&WHOLE, &[COUNT as usize], false);
        rows.rows = rows.rows[first as usize..end as usize].to_vec();
        let own = rows.rows.clone();
        let anchors = rows.anchors(TENANT);
        for change in changes.iter().filter(|change| !matches!(change, Tampering::NoteFlip(..) | Tampering::NoteForeign(_))) {
            change.apply(&mut rows);
        }
        let verifier = RangeProof::from_bytes(&bytes).and_then(|proof| Verifier::range(TENANT, anchors, proof).ok());
        if let Some(mut verifier) = verifier {
            rows.rows.iter().for_each(|(seq, bytes)| {
                verifier.entry(*seq, bytes, None);
            });
            let intact = verifier.finish().verdict == Verdict::Intact;
            prop_assert_eq!(intact, rows.rows == own && bytes == proof.to_bytes());
        } else {
            prop_assert_ne!(bytes, proof.to_bytes());
        }
    }
}
