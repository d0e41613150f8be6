//! The ledger's part of a bundle: checked by itself, and refused when anything in it was changed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use openpam_ledger::*;
use support::*;

const RANGES: [(u64, u64); 3] = [(0, 3), (7, 8), (20, 33)];

/// A bundle with some of a ledger's entries; their names are held back where `names` says so.
fn bundle(names: bool) -> Vec<u8> {
    let (stored, other) = (Stored::new(TENANT, 40), Stored::new(OTHER_TENANT, 9));
    let texts = [(other.log(), other.head(9)), (stored.log(), stored.head(33))]
        .map(|(log, head)| Checkpoint::new(&ledger(), log, head).to_text());
    let leaves = texts.map(|text| leaf_hash(text.as_bytes()));
    let head = TreeHead { size: 2, root: node_hash(&leaves[0], &leaves[1]) };
    let system = sign(Log::System, head, &hub()).to_text();

    let mut writer = BundleWriter::new(Vec::new()).unwrap();
    writer.section("about", b"not of the ledger").unwrap();
    let mut part = LedgerWriter::new(&mut writer, &ledger(), TENANT, &stored.note(33)).unwrap();
    part.consistent(&stored.note(25), &stored.proof(&Plan::consistency(25, 33).unwrap())).unwrap();
    part.consistent(&stored.note(40), &stored.proof(&Plan::consistency(33, 40).unwrap())).unwrap();
    for (first, end) in RANGES {
        part.range(&stored.range(first, end, 33)).unwrap();
        for seq in first..end {
            let contents = contents(seq);
            let given = contents.iter().filter(|(field, ..)| names || *field != Field::ActorName);
            let given = given.map(|(field, salt, bytes)| Content { field: *field, salt: *salt, bytes });
            part.entry(&stored.entries[seq as usize], &given.collect::<Vec<_>>()).unwrap();
        }
    }
    part.finish(Some((&system, 1, &leaves[..1]))).unwrap();
    writer.section("recording/0", b"not of the ledger").unwrap();
    writer.finish().unwrap()
}

fn sections(bytes: &[u8]) -> Vec<Section> {
    let mut reader = BundleReader::new(bytes).unwrap();
    std::iter::from_fn(|| reader.section().unwrap()).collect()
}

fn verify_by(signers: Signers, sections: &[Section]) -> (EvidenceReport, Vec<u64>) {
    let mut evidence = Evidence::new(signers, Some(ledger()));
    let mut seen = Vec::new();
    for section in sections {
        let own = evidence.section(&section.name, &section.body, &mut |entry, _| seen.push(entry.seq));
        assert_eq!(own, section.name.starts_with("ledger/"));
    }
    (evidence.finish(), seen)
}

fn verify(sections: &[Section]) -> EvidenceReport {
    verify_by(signers(), sections).0
}

#[test]
fn what_was_written_is_intact_and_was_seen() {
    let (report, seen) = verify_by(signers(), &sections(&bundle(true)));
    assert_eq!((&report.verdict, &report.defects), (&Verdict::Intact, &vec![]));
    assert_eq!(seen, RANGES.iter().flat_map(|(first, end)| *first..*end).collect::<Vec<_>>());
    assert_eq!(report.about, Some((ledger(), TENANT)));
    assert_eq!(report.checkpoint.unwrap().checkpoint.head().size, 33);
    assert_eq!(report.system.unwrap().checkpoint.head().size, 2);
    assert_eq!(report.ranges.iter().map(|range| range.entries).collect::<Vec<_>>(), [3, 1, 13]);
    let all = seen.iter().map(|seq| contents(*seq).len() as u64).sum::<u64>();
    assert_eq!((report.contents, report.withheld), (all, 0));
}

#[test]
fn content_that_was_erased_or_held_back_changes_no_proof() {
    let report = verify(&sections(&bundle(false)));
    assert_eq!((report.verdict, report.withheld > 0), (Verdict::Intact, true));
}

#[test]
fn without_trusted_keys_a_bundle_is_consistent_at_best() {
    let all = sections(&bundle(true));
    assert_eq!(verify_by(Signers::Any, &all).0.verdict, Verdict::Consistent);
    let other = Signers::Trusted { log_keys: vec![Signing::new(9).public()], witnesses: vec![], needed: 0 };
    assert_eq!(verify_by(other, &all).0.verdict.code(), "not_signed");
    let mut evidence = Evidence::new(signers(), LedgerName::new("other.example.com/ledger"));
    all.iter().for_each(|section| {
        evidence.section(&section.name, &section.body, &mut |_, _| {});
    });
    assert_eq!(evidence.finish().verdict.code(), "other_origin");
    assert_eq!(verify(&[]).verdict.code(), "not_signed", "nothing is proven by nothing");
}

#[test]
fn no_changed_byte_of_any_section_goes_unnoticed() {
    let all = sections(&bundle(true));
    for (number, section) in all.iter().enumerate() {
        if !section.name.starts_with("ledger/") {
            continue;
        }
        for at in 0..section.body.len() {
            let mut changed = all.clone();
            changed[number].body[at] ^= 1 << (at % 8);
            let report = verify(&changed);
            // The name in `about` is for a reader who expects none.
            let named = section.name == "ledger/about" && report.about.is_some_and(|(name, _)| name != ledger());
            assert!(named || matches!(report.verdict, Verdict::Defective(_)), "{} byte {at}", section.name);
        }
        let mut cut = all.clone();
        if cut[number].body.pop().is_some() {
            assert!(matches!(verify(&cut).verdict, Verdict::Defective(_)), "{} cut", section.name);
        }
    }
}

#[test]
fn a_section_in_the_wrong_place_is_refused() {
    let all = sections(&bundle(true));
    let at = |name: &str| all.iter().position(|section| section.name == name).unwrap();
    for name in
        ["ledger/about", "ledger/checkpoint", "ledger/ranges/0001/bounds", "ledger/ranges/0001/entries/00000000"]
    {
        let mut without = all.clone();
        without.remove(at(name));
        assert!(matches!(verify(&without).verdict, Verdict::Defective(_)), "{name}");
    }
    let mut unknown = all.clone();
    unknown[at("ledger/system")].name = "ledger/other".into();
    assert_eq!(verify(&unknown).verdict.code(), "section");
    // The entries of one range with the bounds of another.
    let mut exchanged = all.clone();
    exchanged[at("ledger/ranges/0000/bounds")].body = all[at("ledger/ranges/0002/bounds")].body.clone();
    assert!(matches!(verify(&exchanged).verdict, Verdict::Defective(_)));
}

#[test]
fn changed_content_and_a_fork_are_named() {
    let stored = Stored::new(TENANT, 40);
    let write = |note: &str, proof: &[Hash], content: &[u8]| {
        let mut writer = BundleWriter::new(Vec::new()).unwrap();
        let mut part = LedgerWriter::new(&mut writer, &ledger(), TENANT, &stored.note(33)).unwrap();
        part.consistent(note, proof).unwrap();
        part.range(&stored.range(1, 2, 33)).unwrap();
        let (field, salt, _) = contents(1).remove(0);
        part.entry(&stored.entries[1], &[Content { field, salt, bytes: content }]).unwrap();
        part.finish(None).unwrap();
        verify(&sections(&writer.finish().unwrap()))
    };
    let proof = stored.proof(&Plan::consistency(25, 33).unwrap());
    let (_, _, content) = contents(1).remove(0);
    assert_eq!(write(&stored.note(25), &proof, &content).verdict, Verdict::Intact);
    let changed = write(&stored.note(25), &proof, b"{}");
    assert_eq!(changed.verdict, Verdict::Defective(Defect::Content { seq: 1, field: "detail" }));
    let forged = |size| sign(stored.log(), TreeHead { size, root: leaf_hash(b"forged") }, &hub()).to_text();
    assert_eq!(write(&forged(33), &[], &content).verdict, Verdict::Defective(Defect::Forked { size: 33 }));
    assert_eq!(write(&forged(25), &proof, &content).verdict, Verdict::Defective(Defect::Inconsistent { size: 25 }));
}

#[test]
fn entries_with_much_content_go_on_in_another_section() {
    let stored = Stored::new(TENANT, 40);
    let mut writer = BundleWriter::new(Vec::new()).unwrap();
    let mut part = LedgerWriter::new(&mut writer, &ledger(), TENANT, &stored.note(40)).unwrap();
    part.range(&stored.range(0, 40, 40)).unwrap();
    let large = vec![b'x'; 700 << 10];
    for entry in &stored.entries {
        part.entry(entry, &[Content { field: Field::Detail, salt: Salt([0; 32]), bytes: &large }]).unwrap();
    }
    let too_large = vec![0; MAX_CONTENT_BYTES + 1];
    let content = Content { field: Field::Detail, salt: Salt([0; 32]), bytes: &too_large };
    assert_eq!(part.entry(&stored.entries[0], &[content]).unwrap_err().code(), "bundle_too_large");
    part.finish(None).unwrap();
    let all = sections(&writer.finish().unwrap());
    assert_eq!(all.len(), 3 + 40);
    let report = verify(&all);
    assert_eq!((report.verdict.code(), report.contents), ("content_tampered", 40));
    assert!(report.ranges[0].defects.iter().all(|defect| matches!(defect, Defect::Content { .. })));
}
