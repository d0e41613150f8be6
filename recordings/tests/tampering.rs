//! Each kind of tampering has its own verdict.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use openpam_recordings::{
    Check, Completeness, Completer, Defect, Echo, Head, Limits, MAX_PLAIN_BYTES, Outcome, Report, Role, SealedSegment,
    Signers, Verdict, Verifier, Writer,
};
use support::{
    Seeded, Stored, escrow_key, private_key, recipients, sample, sample_of, session, sign, sign_as, signer, signer_of,
    tenant_key, verify, writer,
};

/// Offsets of header fields, as `FORMAT.md` gives them.
const VERSION_AT: usize = 8;
const CONTENT_AT: usize = 10;
const RECIPIENTS_AT: usize = 11;
const STARTED_AT: usize = 48;
const FROM_AT: usize = 56;
const PLAIN_BYTES_AT: usize = 72;
const BODY_BYTES_AT: usize = 76;
const PREVIOUS_AT: usize = 92;
const COMMITMENT_AT: usize = 124;
const FIRST_WRAP_AT: usize = 156 + 65;
const BODY_AT: usize = 156 + 2 * 113;

fn public(stored: &Stored) -> Report {
    verify(&stored.segments, Some(&stored.manifest), None)
}

fn private(stored: &Stored) -> Report {
    verify(&stored.segments, Some(&stored.manifest), Some(&tenant_key()))
}

/// The verdict without a key and with one.
fn codes(stored: &Stored) -> [&'static str; 2] {
    [public(stored).verdict.code(), private(stored).verdict.code()]
}

fn changed(change: impl FnOnce(&mut Stored)) -> Stored {
    let mut stored = sample(1, 5);
    assert_eq!(codes(&stored), ["intact", "intact"]);
    change(&mut stored);
    stored
}

#[test]
fn a_truncated_segment() {
    let whole = sample(1, 5);
    for length in 0..whole.segments[2].len() {
        let mut stored = whole.clone();
        stored.segments[2].truncate(length);
        let report = public(&stored);
        assert_eq!(report.verdict, Verdict::Defective(Defect::Truncated), "{length} bytes");
        assert_eq!(report.structure, Check::Failed);
        assert!(!report.findings.iter().any(|finding| finding.defect.code() == "missing"), "it is there, but broken");
    }
}

#[test]
fn a_changed_body_shows_in_the_chain_and_in_decryption() {
    let stored = changed(|stored| stored.segments[2][BODY_AT + 3] ^= 1);
    let report = public(&stored);
    assert_eq!(report.verdict, Verdict::Defective(Defect::ChainBroken { seq: 3 }));
    assert_eq!((report.structure, report.chain, report.merkle), (Check::Passed, Check::Failed, Check::Failed));
    assert_eq!(report.signature, Check::Passed, "the manifest itself is genuine");
    let report = private(&stored);
    assert_eq!(report.verdict, Verdict::Defective(Defect::DecryptionFailed { seq: 2 }));
    assert_eq!(report.decryption, Check::Failed);
}

#[test]
fn a_changed_last_segment_shows_through_the_manifest_or_the_key() {
    let stored = changed(|stored| *stored.segments[4].last_mut().unwrap() ^= 1);
    assert_eq!(codes(&stored), ["last_segment_altered", "decryption_failed"]);
    // Nothing follows it, and nothing was signed: only a key shows it.
    assert_eq!(verify(&stored.segments, None, None).verdict, Verdict::Incomplete);
    assert_eq!(verify(&stored.segments, None, Some(&escrow_key())).verdict.code(), "decryption_failed");
}

#[test]
fn a_changed_previous_hash() {
    assert_eq!(public(&changed(|stored| stored.segments[0][PREVIOUS_AT] ^= 1)).verdict.code(), "chain_broken");
    assert_eq!(public(&changed(|stored| stored.segments[3][PREVIOUS_AT] ^= 1)).verdict.code(), "chain_broken");
}

#[test]
fn a_changed_wrapped_key() {
    let stored = changed(|stored| stored.segments[0][FIRST_WRAP_AT] ^= 1);
    assert_eq!(codes(&stored), ["chain_broken", "wrapped_key_altered"]);
    // Another recipient's wrap is authenticated with the rest of the header.
    let report = verify(&stored.segments, Some(&stored.manifest), Some(&escrow_key()));
    assert_eq!(report.verdict.code(), "decryption_failed");
}

#[test]
fn a_header_that_contradicts_the_others() {
    for at in [STARTED_AT + 7, COMMITMENT_AT, CONTENT_AT] {
        let stored = changed(|stored| stored.segments[2][at] ^= 3);
        assert_eq!(public(&stored).verdict.code(), "inconsistent_header", "byte {at}");
    }
    let early = changed(|stored| stored.segments[2][FROM_AT..FROM_AT + 8].fill(0));
    assert_eq!(public(&early).verdict.code(), "inconsistent_header", "it begins before the one before it ends");
}

#[test]
fn reordered_segments() {
    let stored = changed(|stored| stored.segments.swap(1, 2));
    assert_eq!(public(&stored).verdict, Verdict::Defective(Defect::Reordered { seq: 1 }));
    assert_eq!(private(&stored).verdict.code(), "reordered");
}

#[test]
fn a_duplicated_segment() {
    let stored = changed(|stored| stored.segments.insert(2, stored.segments[1].clone()));
    assert_eq!(public(&stored).verdict, Verdict::Defective(Defect::Duplicated { seq: 1 }));
}

#[test]
fn two_segments_for_one_place() {
    let stored = changed(|stored| {
        stored.segments.insert(2, stored.segments[1].clone());
        *stored.segments[2].last_mut().unwrap() ^= 1;
    });
    assert_eq!(public(&stored).verdict, Verdict::Defective(Defect::Conflicting { seq: 1 }));
}

#[test]
fn missing_segments_at_the_beginning_in_the_middle_and_at_the_end() {
    for (range, first) in [(0..1, 0), (2..4, 2), (4..5, 4), (0..5, 0)] {
        let count = range.len() as u32;
        let stored = changed(|stored| drop(stored.segments.drain(range)));
        let report = public(&stored);
        assert_eq!(report.verdict, Verdict::Defective(Defect::Missing { first, count }));
        assert_eq!(report.merkle, Check::Failed);
    }
    // Without a manifest nobody can say what followed the last segment.
    let stored = sample(1, 5);
    assert_eq!(verify(&stored.segments[..3], None, Some(&tenant_key())).verdict, Verdict::Incomplete);
    assert_eq!(verify(&stored.segments[1..], None, None).verdict.code(), "missing");
}

#[test]
fn segments_cut_from_the_end_of_a_running_session_show_through_the_ledgers_head() {
    let (sealed, manifest) = sample_of(1, "test: sample", 5);
    let with_head = |segments: &[SealedSegment], manifest: Option<&[u8]>, head: Head| {
        let trusted = [signer()];
        let mut verifier = Verifier::new(Signers::Trusted(&trusted)).with_head(head);
        segments.iter().for_each(|segment| verifier.segment(&segment.bytes));
        verifier.finish(manifest)
    };
    let noted = sealed[2].head;
    for length in 3..=5 {
        let report = with_head(&sealed[..length], None, noted);
        assert_eq!((report.verdict, report.head), (Verdict::Incomplete, Check::Passed), "{length} segments");
    }
    let report = with_head(&sealed[..2], None, noted);
    assert_eq!(
        (report.verdict, report.head),
        (Verdict::Defective(Defect::Missing { first: 2, count: 1 }), Check::Failed)
    );
    let manifest = sign(manifest).to_bytes();
    let report = with_head(&sealed, Some(&manifest), noted);
    assert_eq!((report.verdict, report.head), (Verdict::Intact, Check::Passed));

    // Another recording, whole and signed, in place of the one that the ledger knows.
    let (other, other_manifest) = sample_of(1, "another", 5);
    let report = with_head(&other, Some(&sign(other_manifest).to_bytes()), noted);
    assert_eq!(report.verdict, Verdict::Defective(Defect::HeadMismatch { segments: 3 }));

    // A completer that came after the end was cut signs fewer segments than the ledger knows.
    let mut completer = Completer::new(session(1));
    sealed[..2].iter().for_each(|segment| completer.append(&segment.header, segment.hash).unwrap());
    let completed = sign(completer.finish(0, Outcome::Lost, signer())).to_bytes();
    let report = with_head(&sealed[..2], Some(&completed), noted);
    assert_eq!(report.verdict, Verdict::Defective(Defect::Missing { first: 2, count: 1 }));
}

#[test]
fn every_head_of_the_ledger_is_compared_and_has_a_verdict_of_its_own() {
    let (sealed, manifest) = sample_of(1, "test: sample", 5);
    let with = |segments: &[SealedSegment], manifest: Option<&[u8]>, heads: &[Head]| {
        let trusted = [signer()];
        let mut verifier = Verifier::new(Signers::Trusted(&trusted)).with_ledger(heads.iter().copied());
        segments.iter().for_each(|segment| verifier.segment(&segment.bytes));
        verifier.finish(manifest)
    };
    let manifest = sign(manifest).to_bytes();
    let heads = [sealed[4].head, sealed[1].head, sealed[2].head];
    let report = with(&sealed, Some(&manifest), &heads);
    assert_eq!((report.verdict, report.ledger), (Verdict::Intact, Check::Passed));
    assert_eq!(with(&sealed, Some(&manifest), &[]).ledger, Check::NotDone);
    // Store, database and manifest may agree on something else: one head is enough to tell.
    let (other, other_manifest) = sample_of(1, "another", 5);
    let other_manifest = sign(other_manifest).to_bytes();
    for known in [&heads[..], &heads[2..], &heads[..1]] {
        let report = with(&other, Some(&other_manifest), known);
        let segments = known.iter().map(|head| head.segments).min().unwrap();
        assert_eq!(report.verdict, Verdict::Defective(Defect::LedgerMismatch { segments }));
        assert_eq!((report.ledger, report.merkle, report.signature), (Check::Failed, Check::Passed, Check::Passed));
    }
    let mut bent = heads;
    bent[0].root.0[0] ^= 1;
    let report = with(&sealed, Some(&manifest), &bent);
    assert_eq!(report.verdict, Verdict::Defective(Defect::LedgerMismatch { segments: 5 }), "the earlier ones fit");
    // Cut off while nobody had closed it.
    let report = with(&sealed[..2], None, &heads);
    assert_eq!(report.verdict, Verdict::Defective(Defect::Missing { first: 2, count: 3 }));
    assert_eq!(report.ledger, Check::Failed);
}

#[test]
fn a_closed_recording_without_its_manifest_is_told_from_a_running_session() {
    let (sealed, manifest) = sample_of(1, "test: sample", 3);
    let manifest = sign(manifest).to_bytes();
    let of = |segments: &[SealedSegment], manifest: Option<&[u8]>| {
        let trusted = [signer()];
        let mut verifier = Verifier::new(Signers::Trusted(&trusted)).closed();
        segments.iter().for_each(|segment| verifier.segment(&segment.bytes));
        verifier.finish(manifest)
    };
    assert_eq!(of(&sealed, Some(&manifest)).verdict, Verdict::Intact);
    let report = of(&sealed, None);
    assert_eq!(report.verdict, Verdict::Defective(Defect::ManifestMissing));
    assert_eq!((report.chain, report.signature), (Check::Passed, Check::NotDone));
    assert_eq!(of(&[], None).verdict, Verdict::Defective(Defect::ManifestMissing));
    // A segment that is damaged as well does not hide it.
    let report = of(&sealed[1..], None);
    let codes = report.findings.iter().map(|finding| finding.defect.code()).collect::<Vec<_>>();
    assert!(codes.contains(&"manifest_missing") && codes.contains(&"missing"), "{codes:?}");
    // Of a running session none is expected.
    assert_eq!(
        verify(&sealed.iter().map(|it| it.bytes.to_vec()).collect::<Vec<_>>(), None, None).verdict,
        Verdict::Incomplete
    );
}

#[test]
fn a_segment_of_another_session() {
    let other = sample(2, 5);
    for place in 0..5 {
        let stored = changed(|stored| stored.segments[place] = other.segments[place].clone());
        assert_eq!(public(&stored).verdict.code(), "other_session", "segment {place}");
        assert_eq!(private(&stored).verdict.code(), "other_session", "segment {place}");
    }
}

#[test]
fn a_whole_recording_under_the_name_of_another() {
    let stored = sample(2, 3);
    let trusted = [signer()];
    let mut verifier =
        Verifier::new(Signers::Trusted(&trusted)).of_session(session(1).tenant_id, session(1).session_id);
    stored.segments.iter().for_each(|segment| verifier.segment(segment));
    let report = verifier.finish(Some(&stored.manifest));
    assert_eq!(report.verdict.code(), "foreign_manifest");
    assert!(report.findings.iter().any(|finding| finding.defect.code() == "other_session"));
}

#[test]
fn a_segment_of_another_recording_of_the_same_session() {
    let mut stored = sample(1, 5);
    stored.segments[2] = sample_of(1, "another", 5).0[2].bytes.to_vec();
    assert_eq!(codes(&stored), ["inconsistent_header", "inconsistent_header"]);
}

#[test]
fn a_foreign_manifest() {
    let stored = changed(|stored| stored.manifest = sample(2, 5).manifest);
    let report = public(&stored);
    assert_eq!(report.verdict, Verdict::Defective(Defect::ForeignManifest { session_id: session(2).session_id }));
    assert_eq!((report.merkle, report.completeness), (Check::NotDone, Completeness::Unknown));
}

#[test]
fn a_genuine_manifest_of_fewer_or_other_segments() {
    let shorter = changed(|stored| stored.manifest = sample(1, 3).manifest);
    assert_eq!(public(&shorter).verdict, Verdict::Defective(Defect::Surplus { seq: 3 }));
    let other = changed(|stored| stored.manifest = sign(sample_of(1, "another", 5).1).to_bytes());
    assert_eq!(public(&other).verdict.code(), "inconsistent_header");
    let (_, mut manifest) = sample_of(1, "test: sample", 5);
    manifest.root.0[0] ^= 1;
    let other_root = changed(|stored| stored.manifest = sign(manifest.clone()).to_bytes());
    assert_eq!(public(&other_root).verdict, Verdict::Defective(Defect::RootMismatch));
    manifest.root.0[0] ^= 1;
    manifest.dropped_bytes = 0;
    let silent_gap = changed(|stored| stored.manifest = sign(manifest).to_bytes());
    assert_eq!(
        public(&silent_gap).verdict,
        Verdict::Defective(Defect::ManifestMismatch { field: "number of dropped bytes" })
    );
}

#[test]
fn a_changed_manifest() {
    let whole = sample(1, 5);
    for at in 0..whole.manifest.len() {
        let mut stored = whole.clone();
        stored.manifest[at] ^= 1;
        let report = public(&stored);
        let expected: &[&str] = match at {
            0..=7 | 11 => &["malformed_manifest"],
            8 | 9 => &["unknown_version"],
            16..=47 => &["foreign_manifest"],
            _ => &["signature_invalid", "malformed_manifest"],
        };
        assert!(expected.contains(&report.verdict.code()), "byte {at}: {}", report.verdict.code());
        assert_eq!(report.merkle, Check::NotDone, "byte {at}");
    }
    for length in 0..whole.manifest.len() {
        let mut stored = whole.clone();
        stored.manifest.truncate(length);
        assert_eq!(public(&stored).verdict.code(), "malformed_manifest", "{length} bytes");
    }
    let longer = changed(|stored| stored.manifest.push(0));
    assert_eq!(public(&longer).verdict.code(), "malformed_manifest");
}

#[test]
fn a_manifest_signed_by_somebody_else() {
    let stored = changed(|stored| {
        let (_, mut manifest) = sample_of(1, "test: sample", 5);
        manifest.signer = signer_of("mallory");
        stored.manifest = sign_as("mallory", manifest).to_bytes();
    });
    let report = public(&stored);
    assert_eq!(report.verdict, Verdict::Defective(Defect::UntrustedSigner { signer: signer_of("mallory") }));
    assert_eq!((report.merkle, report.signature), (Check::Passed, Check::Failed));

    // Who trusts everybody learns no more than that it fits together.
    let mut verifier = Verifier::new(Signers::Any);
    stored.segments.iter().for_each(|segment| verifier.segment(segment));
    assert_eq!(verifier.finish(Some(&stored.manifest)).verdict, Verdict::Consistent);

    let (_, manifest) = sample_of(1, "test: sample", 5);
    assert_eq!(manifest.clone().into_signed(&[0; 64]), Err(Defect::SignatureInvalid));
    assert_eq!(manifest.into_signed(&[0; 3]), Err(Defect::SignatureInvalid));
}

#[test]
fn the_wrong_key() {
    let stored = sample(1, 5);
    let report = verify(&stored.segments, Some(&stored.manifest), Some(&private_key("mallory")));
    assert_eq!(report.verdict, Verdict::Defective(Defect::WrongKey { seq: 0 }));
    assert_eq!((report.chain, report.merkle, report.signature), (Check::Passed, Check::Passed, Check::Passed));
    assert_eq!(report.decryption, Check::Failed);
}

#[test]
fn trailing_bytes() {
    let stored = changed(|stored| stored.segments[2].extend_from_slice(b"garbage"));
    assert_eq!(public(&stored).verdict, Verdict::Defective(Defect::TrailingBytes { bytes: 7 }));
}

#[test]
fn lengths_above_the_limit() {
    for at in [PLAIN_BYTES_AT, BODY_BYTES_AT] {
        let stored = changed(|stored| stored.segments[2][at..at + 4].fill(0xff));
        assert_eq!(public(&stored).verdict, Verdict::Defective(Defect::Oversize));
    }
    let just_above = (MAX_PLAIN_BYTES as u32 + 1).to_be_bytes();
    let stored = changed(|stored| stored.segments[2][PLAIN_BYTES_AT..PLAIN_BYTES_AT + 4].copy_from_slice(&just_above));
    assert_eq!(public(&stored).verdict, Verdict::Defective(Defect::Oversize));
    let no_tag = changed(|stored| stored.segments[2][BODY_BYTES_AT..BODY_BYTES_AT + 4].copy_from_slice(&[0, 0, 0, 15]));
    assert_eq!(public(&no_tag).verdict.code(), "malformed_header");
}

#[test]
fn an_unknown_version() {
    let stored = changed(|stored| stored.segments[2][VERSION_AT + 1] = 2);
    assert_eq!(public(&stored).verdict, Verdict::Defective(Defect::UnknownVersion { version: 2 }));
    let report = public(&changed(|stored| stored.manifest[VERSION_AT + 1] = 2));
    assert_eq!(report.verdict, Verdict::Defective(Defect::UnknownVersion { version: 2 }));
}

#[test]
fn a_file_that_is_something_else() {
    let stored = changed(|stored| stored.segments[2] = b"#!/bin/sh\n".to_vec());
    assert_eq!(public(&stored).verdict, Verdict::Defective(Defect::NotASegment));
    for value in [0, 17, 255] {
        let stored = changed(|stored| stored.segments[2][RECIPIENTS_AT] = value);
        assert_eq!(public(&stored).verdict, Verdict::Defective(Defect::MalformedHeader { field: "recipients" }));
    }
    let content = changed(|stored| stored.segments[2][CONTENT_AT] = 9);
    assert_eq!(public(&content).verdict, Verdict::Defective(Defect::MalformedHeader { field: "content" }));
}

#[test]
fn findings_are_bounded() {
    let stored = changed(|stored| stored.segments.iter_mut().for_each(|segment| segment.truncate(9)));
    let report = public(&stored);
    assert!(report.findings.iter().all(|finding| !finding.defect.to_string().is_empty()));
    let mut verifier = Verifier::new(Signers::Any);
    (0..1_000).for_each(|_| verifier.segment(b"nothing"));
    let report = verifier.finish(None);
    assert_eq!((report.findings.len(), report.omitted_findings), (100, 900));
    assert_eq!(report.verdict.code(), "not_a_segment");
}

/// A recorder that wraps one key to one recipient and another to the next could show each of them
/// another session; the commitment prevents it.
#[test]
fn recipients_cannot_be_given_different_keys() {
    let of = |seed: &'static str| {
        let mut writer = writer(1, seed);
        let _ = writer.input(0, b"x", Echo::On).unwrap();
        writer.close_segment(1).unwrap().unwrap().bytes.to_vec()
    };
    let (first, second) = (of("one"), of("two"));
    let mut mixed = first.clone();
    let escrow = 156 + 113..156 + 2 * 113;
    mixed[escrow.clone()].copy_from_slice(&second[escrow]);
    assert_eq!(verify(&[mixed.clone()], None, Some(&escrow_key())).verdict.code(), "wrapped_key_altered");
    mixed[COMMITMENT_AT..COMMITMENT_AT + 32].copy_from_slice(&second[COMMITMENT_AT..COMMITMENT_AT + 32]);
    assert_eq!(verify(&[mixed], None, Some(&escrow_key())).verdict.code(), "decryption_failed");
}

#[test]
fn a_role_cannot_be_changed() {
    let stored = changed(|stored| stored.segments[0][156] = Role::Escrow as u8);
    assert_eq!(codes(&stored), ["inconsistent_header", "inconsistent_header"]);
    let report = private(&stored);
    assert!(report.findings.iter().any(|finding| finding.defect.code() == "wrapped_key_altered"));
}

#[test]
fn a_session_that_is_signed_with_gaps_says_how_much_is_not_there() {
    let mut writer = Writer::new(session(1), &recipients(), Limits::default(), &mut Seeded::new("gap")).unwrap();
    let _ = writer.gap(1, 4_096, openpam_recordings::GapReason::Unavailable).unwrap();
    let finished = writer.finish(2, Outcome::Failed, signer()).unwrap();
    let manifest = sign(finished.manifest).to_bytes();
    let report = verify(&[finished.segment.unwrap().bytes], Some(&manifest), None);
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!(report.manifest.unwrap().dropped_bytes, 4_096, "known without a key");
}
