//! Each thing that somebody may do to a stored ledger is found, and called by its name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use openpam_ledger::*;
use support::*;
use uuid::Uuid;

/// Places, and what stands in them.
type Places = Vec<(u64, Vec<u8>)>;

const COUNT: usize = 40;
const SIZES: &[usize] = &[0, 8, 16, 30, 40];

fn rows(kept: bool) -> Rows {
    Rows::of(&Stored::new(TENANT, COUNT as u64), SIZES, kept)
}

/// The defects of rows to which that was done.
fn after(kept: bool, change: impl FnOnce(&mut Rows)) -> Vec<Defect> {
    let mut rows = rows(kept);
    change(&mut rows);
    let report = rows.verify();
    assert_eq!(matches!(report.verdict, Verdict::Defective(_)), !report.defects.is_empty());
    report.defects
}

#[test]
fn an_untouched_ledger_is_intact() {
    for kept in [true, false] {
        let report = rows(kept).verify();
        assert_eq!((report.verdict, report.anchored, report.entries), (Verdict::Intact, Some(40), 40));
        assert_eq!(report.head, Some(Stored::new(TENANT, 40).head(40)));
        assert_eq!((report.defects, report.warnings), (vec![], vec![]));
    }
    let empty = Rows { rows: vec![], kept: None, notes: vec![Stored::new(TENANT, 0).note(0)] };
    assert_eq!(empty.verify().verdict, Verdict::Intact);
}

#[test]
fn what_is_not_yet_signed_is_told_apart() {
    let stored = Stored::new(TENANT, 40);
    let report = Rows::of(&stored, &[8], true).verify();
    assert_eq!((report.verdict, report.anchored), (Verdict::Intact, Some(8)));
    let report = Rows::of(&stored, &[], true).verify();
    assert_eq!((report.verdict, report.anchored), (Verdict::Consistent, None));
    let rows = Rows::of(&stored, &[40], true);
    let notes = rows.notes.iter().map(String::as_bytes);
    let mut verifier = Verifier::new(TENANT, Anchors::read(&Signers::Any, &ledger(), stored.log(), notes));
    rows.rows.iter().for_each(|(seq, bytes)| assert!(verifier.entry(*seq, bytes, None).is_some()));
    assert_eq!(verifier.finish().verdict, Verdict::Consistent, "signatures were not checked");
}

#[test]
fn checkpoints_may_come_in_portions() {
    let stored = Stored::new(TENANT, 40);
    let other = sign(stored.log(), TreeHead { size: 30, root: leaf_hash(b"forged") }, &hub()).to_text();
    let verify = |portions: &[(u64, &[String])], first: usize| {
        let read =
            |notes: &[String]| Anchors::read(&signers(), &ledger(), stored.log(), notes.iter().map(String::as_bytes));
        let mut verifier = Verifier::new(TENANT, read(&[stored.note(first)]));
        let mut late = 0;
        for (seq, entry) in (0..).zip(&stored.entries) {
            for (_, notes) in portions.iter().filter(|(at, _)| *at == seq) {
                late += verifier.anchors(read(notes));
            }
            verifier.entry(seq, entry, None);
        }
        (verifier.finish(), late)
    };
    let (report, late) = verify(&[(10, &[stored.note(10), stored.note(20)]), (25, &[stored.note(40)])], 5);
    assert_eq!((report.verdict, report.anchored, late), (Verdict::Intact, Some(40), 0));
    let (report, late) = verify(&[(10, &[stored.note(9), stored.note(20)])], 5);
    assert_eq!((report.verdict, report.anchored, late), (Verdict::Intact, Some(20), 1));
    let (report, _) = verify(&[(10, &[other])], 30);
    assert_eq!(report.verdict, Verdict::Defective(Defect::Forked { size: 30 }));
    let (report, _) = verify(&[(10, &[stored.note(41 - 1).replacen("\n40\n", "\n41\n", 1)])], 5);
    assert_eq!(report.verdict.code(), "signature_invalid");
}

#[test]
fn a_changed_entry_is_named() {
    let change = |rows: &mut Rows| rows.rows[9].1 = entry(TENANT, 9, 1);
    assert_eq!(after(true, change), [Defect::Tampered { seq: 9 }]);
    assert_eq!(after(false, change), [Defect::Altered { from: 8, until: 16 }]);
    // Behind the last checkpoint only the hash tells.
    let mut rows = Rows::of(&Stored::new(TENANT, 40), &[30], true);
    rows.rows[35].1 = entry(TENANT, 35, 1);
    assert_eq!(rows.verify().defects, [Defect::Tampered { seq: 35 }]);
}

#[test]
fn an_entry_that_is_changed_together_with_its_hash_is_between_two_checkpoints() {
    let defects = after(true, |rows| {
        rows.rows[20].1 = entry(TENANT, 20, 1);
        rows.kept.as_mut().unwrap()[20] = leaf_hash(&entry(TENANT, 20, 1));
    });
    assert_eq!(defects, [Defect::Altered { from: 16, until: 30 }]);
}

#[test]
fn a_changed_hash_is_told_from_a_changed_entry() {
    let defects = after(true, |rows| rows.kept.as_mut().unwrap()[20] = leaf_hash(b"forged"));
    assert_eq!(defects, [Defect::StoredHash { seq: 20 }]);
}

#[test]
fn several_changes_are_all_named() {
    let defects = after(true, |rows| {
        rows.rows[3].1 = entry(TENANT, 3, 1);
        rows.rows[17].1 = entry(TENANT, 17, 1);
        rows.rows.remove(25);
        rows.kept.as_mut().unwrap()[33] = leaf_hash(b"forged");
    });
    assert_eq!(
        defects,
        [
            Defect::Tampered { seq: 3 },
            Defect::Tampered { seq: 17 },
            Defect::StoredHash { seq: 33 },
            Defect::Missing { first: 25, count: 1 },
        ]
    );
}

#[test]
fn missing_entries_are_named_and_the_rest_is_still_proven_where_hashes_are_kept() {
    let change = |rows: &mut Rows| drop(rows.rows.drain(10..13));
    assert_eq!(after(true, change), [Defect::Missing { first: 10, count: 3 }]);
    assert_eq!(after(false, change), [Defect::Missing { first: 10, count: 3 }]);
    let mut rows = rows(true);
    change(&mut rows);
    assert_eq!(rows.verify().anchored, Some(40));
    let mut without = support::Rows { kept: None, ..rows };
    assert_eq!(without.verify().anchored, Some(8), "nothing behind the hole is proven");
    // A change behind the hole is found with the hashes, and cannot be found without.
    without.rows[20].1 = entry(TENANT, 23, 1);
    assert_eq!(without.verify().defects, [Defect::Missing { first: 10, count: 3 }]);
    without.kept = Some(Stored::new(TENANT, 40).hashes);
    assert_eq!(without.verify().defects, [Defect::Tampered { seq: 23 }, Defect::Missing { first: 10, count: 3 }]);
    assert_eq!(after(true, |rows| drop(rows.rows.drain(0..40))), [Defect::Truncated { entries: 0, anchored: 40 }]);
    assert_eq!(after(false, |rows| drop(rows.rows.drain(0..1))), [Defect::Missing { first: 0, count: 1 }]);
}

#[test]
fn swapped_entries_are_named() {
    let swap = |rows: &mut Rows| {
        let (one, other) = (rows.rows[11].1.clone(), rows.rows[14].1.clone());
        (rows.rows[11].1, rows.rows[14].1) = (other, one);
    };
    let swapped = [Defect::Misplaced { at: 11, names: 14 }, Defect::Misplaced { at: 14, names: 11 }];
    assert_eq!(after(true, swap), swapped);
    assert_eq!(after(false, swap), [swapped.as_slice(), &[Defect::Altered { from: 8, until: 16 }]].concat());
    // In a file the places come in another order.
    assert_eq!(after(false, |rows| rows.rows.swap(11, 12)), [Defect::Reordered { seq: 11 }]);
    let moved = after(false, |rows| {
        let row = rows.rows.remove(2);
        rows.rows.push(row);
    });
    assert_eq!(moved, [Defect::Reordered { seq: 2 }]);
}

#[test]
fn swapped_entries_whose_places_are_forged_too_are_altered() {
    let defects = after(true, |rows| {
        let forged = |bytes: &[u8], seq| Entry { seq, ..Entry::parse(bytes).unwrap() }.encode().unwrap();
        let (one, other) = (forged(&rows.rows[14].1, 11), forged(&rows.rows[11].1, 14));
        (rows.rows[11].1, rows.rows[14].1) = (one, other);
    });
    assert_eq!(defects, [Defect::Tampered { seq: 11 }, Defect::Tampered { seq: 14 }]);
}

#[test]
fn a_repeated_entry_is_named() {
    assert_eq!(after(false, |rows| rows.rows.insert(6, rows.rows[5].clone())), [Defect::Duplicated { seq: 5 }]);
    assert_eq!(after(true, |rows| rows.rows.push((5, rows.rows[5].1.clone()))), [Defect::Duplicated { seq: 5 }]);
    let defects = after(true, |rows| rows.rows.insert(6, (5, entry(TENANT, 5, 1))));
    assert_eq!(defects, [Defect::Conflicting { seq: 5 }]);
    let copied = after(true, |rows| rows.rows[6].1 = rows.rows[5].1.clone());
    assert_eq!(copied, [Defect::Misplaced { at: 6, names: 5 }]);
}

#[test]
fn a_ledger_that_is_cut_off_behind_a_checkpoint_is_named() {
    for kept in [true, false] {
        let cut = |rows: &mut Rows| {
            rows.rows.truncate(33);
            rows.kept.as_mut().into_iter().for_each(|kept| kept.truncate(33));
        };
        assert_eq!(after(kept, cut), [Defect::Truncated { entries: 33, anchored: 40 }]);
    }
    // Whoever cuts the checkpoints too is found by one who has kept one elsewhere only.
    let cut = after(true, |rows| {
        rows.rows.truncate(30);
        rows.notes.truncate(4);
    });
    assert_eq!(cut, []);
}

#[test]
fn a_forked_checkpoint_is_named() {
    let mut other = Stored::new(TENANT, 40);
    other.entries[3] = entry(TENANT, 3, 1);
    other.hashes[3] = leaf_hash(&other.entries[3]);
    // Two roots for one size.
    assert_eq!(after(true, |rows| rows.notes.push(other.note(16))), [Defect::Forked { size: 16 }]);
    // A root of another history, where later ones are of this.
    assert_eq!(after(false, |rows| rows.notes.push(other.note(20))), [Defect::Forked { size: 20 }]);
    // The last one: nothing tells which of the two histories is the right one.
    let defects = after(true, |rows| {
        rows.notes.truncate(4);
        rows.notes.push(other.note(40));
    });
    assert_eq!(defects, [Defect::Altered { from: 30, until: 40 }]);
}

#[test]
fn a_checkpoint_that_does_not_count_is_named() {
    let stored = Stored::new(TENANT, 40);
    let forged = stored.note(40).replacen("\n40\n", "\n41\n", 1);
    let error = NoteError::SignatureInvalid { name: ledger().origin(stored.log()) };
    assert_eq!(after(true, |rows| rows.notes[4] = forged), [Defect::Checkpoint { number: 4, error }]);
    let by_another = sign(stored.log(), stored.head(40), &Signing::new(9)).to_text();
    let defects = after(true, |rows| rows.notes[4] = by_another);
    assert_eq!(defects, [Defect::Checkpoint { number: 4, error: NoteError::NotSigned }]);
    let other = Stored::new(OTHER_TENANT, 40);
    let origin = ledger().origin(other.log());
    let defects = after(true, |rows| rows.notes[4] = other.note(40));
    assert_eq!(defects, [Defect::Checkpoint { number: 4, error: NoteError::OtherOrigin { origin } }]);
    let defects = after(true, |rows| rows.notes[4] = "nonsense".into());
    assert_eq!(defects.iter().map(Defect::code).collect::<Vec<_>>(), ["note_malformed"]);
    // A signature for one tenant says nothing for another, though the key is the same.
    let moved = other.note(40).replace(&OTHER_TENANT.to_string(), &TENANT.to_string());
    let defects = after(true, |rows| rows.notes[4] = moved);
    assert_eq!(defects, [Defect::Checkpoint { number: 4, error: NoteError::NotSigned }]);
}

#[test]
fn entries_of_others_and_bytes_that_are_no_entries_are_named() {
    let defects = after(true, |rows| rows.rows[4].1 = entry(OTHER_TENANT, 4, 0));
    assert_eq!(defects, [Defect::OtherTenant { seq: 4, tenant_id: OTHER_TENANT }]);
    let defects = after(true, |rows| rows.rows[4].1 = b"nonsense".to_vec());
    assert_eq!(defects, [Defect::Malformed { seq: 4, error: EntryError::NotAnEntry }]);
    let defects = after(false, |rows| rows.rows[4].1.push(0));
    assert_eq!(
        defects,
        [Defect::Malformed { seq: 4, error: EntryError::Length }, Defect::Altered { from: 0, until: 8 }]
    );
}

#[test]
fn time_that_goes_back_is_a_warning() {
    let mut stored = Stored::new(TENANT, 10);
    let first = Entry::parse(&stored.entries[0]).unwrap().time;
    let dated =
        |seq: usize, time| Entry { time, ..Entry::parse(&Stored::new(TENANT, 10).entries[seq]).unwrap() }.encode();
    stored.entries[4] = dated(4, first + 2 * CLOCK_TOLERANCE).unwrap();
    stored.entries[5] = dated(5, first + CLOCK_TOLERANCE).unwrap();
    stored.hashes = stored.entries.iter().map(|entry| leaf_hash(entry)).collect();
    let report = Rows::of(&stored, &[10], true).verify();
    assert_eq!(report.verdict, Verdict::Intact);
    // Entry 5 is within the tolerance, those behind it are not.
    assert_eq!(report.warnings.len(), 4);
    assert_eq!(report.warnings[0], Warning::ClockWentBack { seq: 6, microseconds: 2 * CLOCK_TOLERANCE - 6_000 });
}

#[test]
fn a_flood_of_defects_is_counted_and_not_kept() {
    let stored = Stored::new(TENANT, 1_000);
    let mut rows = Rows::of(&stored, &[1_000], true);
    rows.rows.iter_mut().for_each(|(_, bytes)| bytes.push(0));
    let report = rows.verify();
    assert_eq!((report.defects.len(), report.more_defects), (MAX_FINDINGS, 900));
    let mut holes = Rows::of(&stored, &[1_000], false);
    holes.rows.retain(|(seq, _)| seq.is_multiple_of(2));
    let report = holes.verify();
    assert_eq!(report.defects.len() as u64 + report.more_defects, 500);
}

#[test]
fn a_range_is_proven_without_the_rest() {
    let stored = Stored::new(TENANT, 40);
    let rows = Rows::of(&stored, &[8, 20, 40], false);
    let verify = |first: u64, end: u64, change: &dyn Fn(&mut Places)| {
        let proof = stored.range(first, end, 40);
        let mut verifier = Verifier::range(TENANT, rows.anchors(TENANT), proof).unwrap();
        let mut own = rows.rows[first as usize..end as usize].to_vec();
        change(&mut own);
        own.iter().for_each(|(seq, bytes)| {
            verifier.entry(*seq, bytes, None);
        });
        verifier.finish()
    };
    for (first, end) in [(0, 40), (0, 1), (39, 40), (13, 14), (13, 29), (20, 20), (40, 40), (8, 20)] {
        let report = verify(first, end, &|_| {});
        assert_eq!((&report.verdict, report.entries), (&Verdict::Intact, end - first), "{first} {end}: {report:?}");
    }
    let defects = verify(13, 18, &|rows| rows[2].1 = entry(TENANT, 15, 1)).defects;
    assert_eq!(defects, [Defect::Altered { from: 13, until: 18 }]);
    let defects = verify(13, 29, &|rows| rows[2].1 = entry(TENANT, 15, 1)).defects;
    assert_eq!(defects, [Defect::Altered { from: 13, until: 20 }]);
    let defects = verify(13, 29, &|rows| drop(rows.remove(2))).defects;
    assert_eq!(defects, [Defect::Missing { first: 15, count: 1 }]);
    let defects = verify(13, 29, &|rows| drop(rows.pop())).defects;
    assert_eq!(defects, [Defect::Truncated { entries: 28, anchored: 29 }]);
    let defects = verify(13, 29, &|rows| rows.push((29, entry(TENANT, 29, 0)))).defects;
    assert_eq!(defects, [Defect::Surplus { seq: 29 }]);
    let defects = verify(13, 29, &|rows| rows.insert(0, (12, entry(TENANT, 12, 0)))).defects;
    assert_eq!(defects, [Defect::Surplus { seq: 12 }]);
    // A proof of a tree that nobody signed.
    let unsigned = Verifier::range(TENANT, rows.anchors(TENANT), stored.range(1, 2, 39));
    assert_eq!(unsigned.map(|_| ()).unwrap_err(), ProofError::OutOfRange);
}

#[test]
fn the_systems_ledger_tells_of_tenants_that_shrank_or_forked() {
    let stored = Stored::new(TENANT, 40);
    let other = Stored::new(OTHER_TENANT, 20);
    let text = |log, head| Checkpoint::new(&ledger(), log, head).to_text();
    let good = [
        text(stored.log(), stored.head(5)),
        text(other.log(), other.head(20)),
        text(stored.log(), stored.head(5)),
        text(stored.log(), stored.head(9)),
    ];
    let verify = |leaves: &[String]| {
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| assert!(tree.push(leaf_hash(leaf.as_bytes()))));
        let head = TreeHead { size: tree.size(), root: tree.root() };
        let note = sign(Log::System, head, &hub()).to_text();
        let anchors = Anchors::read(&signers(), &ledger(), Log::System, [note.as_bytes()]);
        let mut verifier = SystemVerifier::new(ledger(), anchors);
        (0..).zip(leaves).for_each(|(seq, leaf)| {
            verifier.leaf(seq, leaf.as_bytes(), None);
        });
        assert!(verifier.tenants().len() <= 2);
        verifier.finish()
    };
    assert_eq!(verify(&good).verdict, Verdict::Intact);
    let with = |leaf: String| verify(&[good.as_slice(), &[leaf]].concat()).defects;
    assert_eq!(with(text(stored.log(), stored.head(8))), [Defect::Shrunk { tenant_id: TENANT, before: 9, size: 8 }]);
    let forked = TreeHead { size: 9, root: leaf_hash(b"forged") };
    assert_eq!(with(text(stored.log(), forked)), [Defect::Forked { size: 9 }]);
    assert_eq!(with(text(Log::System, forked)), [Defect::NotATenantCheckpoint { seq: 4 }]);
    assert_eq!(with("nonsense".into()), [Defect::NotATenantCheckpoint { seq: 4 }]);
}

#[test]
fn every_defect_has_its_own_code_and_message() {
    let (seq, size, tenant_id) = (7, 9, Uuid::nil());
    let error = NoteError::NotSigned;
    let defects = [
        Defect::Checkpoint { number: 0, error: error.clone() },
        Defect::Forked { size },
        Defect::Malformed { seq, error: EntryError::Length },
        Defect::OtherTenant { seq, tenant_id },
        Defect::Misplaced { at: 1, names: 2 },
        Defect::Reordered { seq },
        Defect::Duplicated { seq },
        Defect::Conflicting { seq },
        Defect::Missing { first: 1, count: 2 },
        Defect::Tampered { seq },
        Defect::StoredHash { seq },
        Defect::Content { seq, field: "detail" },
        Defect::Altered { from: 1, until: 2 },
        Defect::Truncated { entries: 1, anchored: 2 },
        Defect::Surplus { seq },
        Defect::Inconsistent { size },
        Defect::NotInSystem { size },
        Defect::Section { name: "x".into() },
        Defect::Shrunk { tenant_id, before: 2, size: 1 },
        Defect::NotATenantCheckpoint { seq },
    ];
    let codes = defects.iter().map(Defect::code).collect::<std::collections::BTreeSet<_>>();
    let messages = defects.iter().map(Defect::to_string).collect::<std::collections::BTreeSet<_>>();
    assert_eq!((codes.len(), messages.len()), (defects.len(), defects.len()));
    assert_eq!(Defect::SystemCheckpoint { error }.code(), "not_signed");
}
