//! What a writer takes comes out again, as it was and no more than that.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use openpam_recordings::{
    Check, ClosedBy, Completeness, Completer, Content, Defect, Due, Echo, Exit, Frontier, GapReason, Hash, Limits,
    MAX_HEADER_BYTES, MAX_RECORD_BYTES, Outcome, Recipient, RecipientKey, RecipientPrivateKey, Record, Role, Segment,
    SegmentHeader, Session, SessionKey, SignedManifest, TimedRecord, Verdict, WriteError, Writer,
};
use support::{
    Seeded, Stored, escrow_key, recipients, sample, sample_of, session, sign, signer, tenant_key, verify, writer,
};

fn records_of(bytes: &[u8], key: &RecipientPrivateKey) -> Vec<String> {
    let segment = Segment::parse(bytes).unwrap();
    let opened = segment.open(&SessionKey::unwrap(segment.header(), key).unwrap()).unwrap();
    opened.records().map(|timed| format!("{:?}", timed.unwrap())).collect()
}

#[test]
fn every_recipient_reads_every_segment_by_itself_and_in_order() {
    let stored = sample(1, 3);
    for key in [tenant_key(), escrow_key()] {
        for (number, bytes) in stored.segments.iter().enumerate().rev() {
            let start = number as u64 * 15_000_000;
            let mut expected = vec![
                (0, Record::Snapshot { cols: 80, rows: 24, text: "\u{1b}[H\u{1b}[2J$ " }),
                (0, Record::Resize { cols: 80, rows: 24 }),
                (1_000, Record::Input(b"sudo ls\r")),
                (2_000, Record::Output(b"[sudo] password: ")),
                (2_500_000, Record::MaskedInput(8)),
                (2_500_000, Record::Marker("sudo")),
                (2_600_001, Record::Output("Grüße, segment ".as_bytes())),
            ];
            let number_text = number.to_string();
            expected.push((2_600_002, Record::Output(number_text.as_bytes())));
            expected.push((9_000_000, Record::Gap { bytes: 1_000 + number as u64, reason: GapReason::RateCap }));
            if number == 2 {
                expected.push((14_000_000, Record::Exit(Exit::Status(0))));
            }
            let expected = expected
                .into_iter()
                .map(|(at, record)| format!("{:?}", TimedRecord { at: start + at, record }))
                .collect::<Vec<_>>();
            assert_eq!(records_of(bytes, &key), expected);
        }
    }
}

#[test]
fn a_manifest_knows_the_list_of_its_segments_without_them() {
    for count in [0, 1, 5] {
        let stored = sample(1, count);
        let signed = SignedManifest::parse(&stored.manifest).unwrap();
        let hashes = stored.segments.iter().map(|bytes| Segment::parse(bytes).unwrap().hash()).collect::<Vec<_>>();
        assert!(signed.lists(hashes.iter().copied()), "{count}");
        assert!(!signed.lists(hashes.iter().copied().chain([Hash([1; 32])])), "{count}: one more");
        if let Some((_, fewer)) = hashes.split_last() {
            assert!(!signed.lists(fewer.iter().copied()), "{count}: one less");
            let mut other = hashes.clone();
            other[0] = Hash([1; 32]);
            assert!(!signed.lists(other), "{count}: another one");
        }
        if count > 1 {
            assert!(!signed.lists(hashes.iter().rev().copied()), "{count}: in another order");
        }
    }
}

#[test]
fn the_level_changes_how_much_is_stored_and_nothing_else() {
    let (mut small, mut fast) = (writer(1, "test: small"), writer(2, "test: fast"));
    fast.set_level(-5);
    let mut stored = Vec::new();
    for writer in [&mut small, &mut fast] {
        for number in 0..20_000 {
            let _ = writer.output(number, format!("{}\r\n", 10_000_000 + number).as_bytes()).unwrap();
        }
        stored.push(writer.close_segment(20_000).unwrap().unwrap().bytes);
    }
    assert!(stored[0].len() < stored[1].len(), "{} and {} bytes", stored[0].len(), stored[1].len());
    let records = stored.iter().map(|bytes| records_of(bytes, &tenant_key())).collect::<Vec<_>>();
    assert_eq!(records[0], records[1]);
}

#[test]
fn a_whole_recording_is_intact_with_a_key_and_without() {
    let stored = sample(1, 5);
    let report = verify(&stored.segments, Some(&stored.manifest), None);
    assert_eq!(report.verdict, Verdict::Intact, "{:?}", report.findings);
    assert_eq!(
        (report.structure, report.chain, report.merkle, report.signature, report.decryption),
        (Check::Passed, Check::Passed, Check::Passed, Check::Passed, Check::NotDone)
    );
    assert_eq!((report.completeness, report.segments), (Completeness::Complete, 5));
    for key in [tenant_key(), escrow_key()] {
        let report = verify(&stored.segments, Some(&stored.manifest), Some(&key));
        assert_eq!((report.verdict, report.decryption), (Verdict::Intact, Check::Passed));
    }
}

#[test]
fn masked_input_is_nowhere_in_a_recording() {
    let stored = sample(1, 1);
    let text = records_of(&stored.segments[0], &tenant_key()).concat();
    assert!(text.contains("MaskedInput(8)"));
    assert!(!text.contains("hunter2"));
    assert!(!text.contains(&format!("{:?}", b"hunter2")));
}

#[test]
fn a_recording_without_a_record_has_a_manifest_all_the_same() {
    let writer = writer(1, "empty");
    let finished = writer.finish(3, Outcome::Failed, signer()).unwrap();
    assert!(finished.segment.is_none());
    let manifest = sign(finished.manifest).to_bytes();
    let report = verify::<Vec<u8>>(&[], Some(&manifest), None);
    assert_eq!((report.verdict, report.segments), (Verdict::Intact, 0));
    assert_eq!(verify::<Vec<u8>>(&[], None, None).verdict, Verdict::Empty);
}

#[test]
fn a_segment_is_due_after_its_time_or_its_size() {
    let mut writer = writer(1, "due");
    assert_eq!(writer.due_at(), None);
    assert_eq!(writer.output(5_000_000, b"a").unwrap(), Due::NotYet);
    assert_eq!(writer.due_at(), Some(20_000_000));
    assert_eq!(writer.output(19_999_999, b"b").unwrap(), Due::NotYet);
    assert_eq!(writer.output(20_000_000, b"c").unwrap(), Due::Now);
    let sealed = writer.close_segment(20_000_001).unwrap().unwrap();
    assert_eq!((sealed.header.seq, sealed.header.from, sealed.header.until), (0, 5_000_000, 20_000_001));
    assert_eq!(writer.close_segment(30_000_000).unwrap(), None, "silence makes no segments");

    let block = vec![b'x'; 1 << 20];
    for expected in [Due::NotYet, Due::NotYet, Due::NotYet, Due::Now] {
        assert_eq!(writer.output(21_000_000, &block).unwrap(), expected);
    }
    assert_eq!(writer.output(21_000_000, &block[..1_000_000]).unwrap(), Due::Now);
    assert_eq!(writer.output(21_000_000, &block).unwrap_err(), WriteError::SegmentFull);
    let sealed = writer.close_segment(21_000_000).unwrap().unwrap();
    assert_eq!((sealed.header.seq, sealed.header.records), (1, 5));
    assert_eq!(writer.output(21_000_000, &block).unwrap(), Due::NotYet);
}

#[test]
fn a_record_that_is_too_long_is_refused_and_leaves_no_trace() {
    let mut writer = writer(1, "long");
    let long = vec![0; MAX_RECORD_BYTES + 1];
    assert_eq!(writer.output(0, &long).unwrap_err(), WriteError::RecordTooLong(MAX_RECORD_BYTES + 1));
    assert_eq!(writer.close_segment(0).unwrap(), None);
}

#[test]
fn a_clock_that_goes_back_does_not_change_the_order() {
    let mut writer = writer(1, "clock");
    let _ = writer.output(100, b"one").unwrap();
    let _ = writer.output(50, b"two").unwrap();
    let _ = writer.output(120, b"three").unwrap();
    let first = writer.close_segment(10).unwrap().unwrap();
    let _ = writer.output(7, b"four").unwrap();
    let finished = writer.finish(3, Outcome::Ended, signer()).unwrap();
    let second = finished.segment.unwrap();
    let key = tenant_key();
    let times = |bytes: &[u8]| records_of(bytes, &key).iter().map(|text| text.contains("at: 120")).collect::<Vec<_>>();
    assert!(records_of(&first.bytes, &key)[1].contains("at: 100"));
    assert_eq!(times(&first.bytes), [false, false, true]);
    assert_eq!(times(&second.bytes), [true]);
    assert_eq!(finished.manifest.ended_at, 120);
    let manifest = sign(finished.manifest).to_bytes();
    assert_eq!(verify(&[first.bytes, second.bytes], Some(&manifest), Some(&key)).verdict, Verdict::Intact);
}

#[test]
fn a_writer_may_move_between_threads() {
    fn moves<T: Send>(_: T) {}
    moves(writer(1, "thread"));
}

#[test]
fn many_chunks_of_any_content_survive() {
    let mut writer = writer(1, "chunks");
    let mut expected = Vec::new();
    let mut noise = [0_u8; 10_000];
    for round in 0..300_u64 {
        let Ok(()) = openpam_recordings::random::TryRng::try_fill_bytes(&mut Seeded::new("noise"), &mut noise);
        let bytes = if round % 2 == 0 { &noise[..] } else { &[b'y'; 4_000] };
        expected.extend_from_slice(bytes);
        let _ = writer.output(round, bytes).unwrap();
    }
    let sealed = writer.close_segment(300).unwrap().unwrap();
    let segment = Segment::parse(&sealed.bytes).unwrap();
    let opened = segment.open(&SessionKey::unwrap(segment.header(), &tenant_key()).unwrap()).unwrap();
    let read = opened.records().fold(Vec::new(), |mut all, timed| {
        if let Record::Output(bytes) = timed.unwrap().record {
            all.extend_from_slice(bytes);
        }
        all
    });
    assert!(read == expected, "the content differs");
}

#[test]
fn a_recording_needs_recipients_that_can_be_encrypted_to() {
    let new = |recipients: &[Recipient]| {
        Writer::new(session(1), recipients, Limits::default(), &mut Seeded::new("recipients")).map(|_| ())
    };
    assert_eq!(new(&[]), Err(WriteError::Recipients(0)));
    assert_eq!(new(&[recipients()[0]; 17]), Err(WriteError::Recipients(17)));
    assert_eq!(new(&[recipients()[0]; 16]), Ok(()));
    // A point of low order gives a shared secret that everybody knows (RFC 7748 §6.1).
    let low_order = Recipient { role: Role::Tenant, key: RecipientKey([0; 32]) };
    assert_eq!(new(&[recipients()[0], low_order]), Err(WriteError::RecipientKey(low_order)));
}

#[test]
fn two_recordings_of_one_session_share_no_key() {
    let key = tenant_key();
    let sealed = ["one", "two"].map(|seed| {
        let mut writer = writer(1, seed);
        let _ = writer.output(0, b"same").unwrap();
        writer.close_segment(1).unwrap().unwrap()
    });
    assert_ne!(sealed[0].header.commitment, sealed[1].header.commitment);
    let first = SessionKey::unwrap(&sealed[0].header, &key).unwrap();
    let second = Segment::parse(&sealed[1].bytes).unwrap();
    assert_eq!(second.open(&first).unwrap_err(), Defect::KeyCommitment { seq: 0 });
}

#[test]
fn the_running_head_is_the_root_over_the_segments_so_far() {
    let (sealed, manifest) = sample_of(1, "head", 9);
    let mut tree = Frontier::new();
    for segment in &sealed {
        assert!(tree.push(segment.hash));
        assert_eq!((segment.head.segments, segment.head.root), (segment.header.seq + 1, tree.root()));
    }
    assert_eq!(manifest.root, tree.root());
    assert_eq!(manifest.dropped_bytes, 9 * 1_000 + 36);
}

#[test]
fn the_completer_closes_what_a_dead_writer_left_without_a_key() {
    let Stored { segments, .. } = sample(1, 4);
    let report = verify(&segments, None, None);
    assert_eq!((report.verdict, report.completeness), (Verdict::Incomplete, Completeness::Unknown));
    assert_eq!((report.chain, report.merkle, report.signature), (Check::Passed, Check::NotDone, Check::NotDone));

    let mut completer = Completer::new(session(1));
    for bytes in &segments {
        let segment = Segment::parse(bytes).unwrap();
        completer.append(segment.header(), segment.hash()).unwrap();
    }
    let head = completer.head();
    let manifest = completer.finish(0, Outcome::Lost, signer());
    assert_eq!((head.segments, head.root, manifest.closed_by), (4, manifest.root, ClosedBy::Completer));
    let manifest = sign(manifest).to_bytes();
    let report = verify(&segments, Some(&manifest), Some(&escrow_key()));
    assert_eq!((report.verdict, report.completeness), (Verdict::Intact, Completeness::Completed));
}

#[test]
fn the_completer_refuses_what_does_not_follow_and_goes_on_without_it() {
    let stored = sample(1, 4);
    let other = sample(2, 4);
    let parse = |bytes: &[u8]| {
        let segment = Segment::parse(bytes).unwrap();
        (segment.header().clone(), segment.hash())
    };
    let (first, first_hash) = parse(&stored.segments[0]);
    let (second, second_hash) = parse(&stored.segments[1]);
    let (third, third_hash) = parse(&stored.segments[2]);
    let (foreign, foreign_hash) = parse(&other.segments[1]);
    let mut completer = Completer::new(session(1));
    completer.append(&first, first_hash).unwrap();
    assert_eq!(completer.append(&first, first_hash), Err(Defect::Duplicated { seq: 0 }));
    assert_eq!(completer.append(&third, third_hash), Err(Defect::Missing { first: 1, count: 1 }));
    assert_eq!(completer.append(&foreign, foreign_hash).unwrap_err().code(), "other_session");
    let forged = SegmentHeader { previous: Hash([7; 32]), ..second.clone() };
    assert_eq!(completer.append(&forged, second_hash), Err(Defect::ChainBroken { seq: 1 }));
    let other_key = SegmentHeader { commitment: Hash([7; 32]), ..second.clone() };
    assert_eq!(completer.append(&other_key, second_hash), Err(Defect::InconsistentHeader { seq: 1 }));
    completer.append(&second, second_hash).unwrap();
    let manifest = sign(completer.finish(40_000_000, Outcome::Lost, signer())).to_bytes();
    assert_eq!(verify(&stored.segments[..2], Some(&manifest), None).verdict, Verdict::Intact);
}

#[test]
fn the_container_carries_a_desktop_as_well() {
    let desktop = Session { content: Content::Guacamole, ..session(1) };
    let mut writer = Writer::new(desktop, &recipients(), Limits::default(), &mut Seeded::new("desktop")).unwrap();
    let _ = writer.output(1, b"4.size,1.0,4.1024,3.768;").unwrap();
    let _ = writer.input(2, b"5.mouse,2.10,2.20,1.1;", Echo::On).unwrap();
    let _ = writer.output(3, b"4.sync,4.1000;").unwrap();
    let finished = writer.finish(4, Outcome::Ended, signer()).unwrap();
    let bytes = finished.segment.unwrap().bytes;
    assert_eq!(records_of(&bytes, &tenant_key()).len(), 3);
    let report = verify(&[bytes], Some(&sign(finished.manifest).to_bytes()), Some(&tenant_key()));
    assert_eq!((report.verdict, report.session.unwrap().content), (Verdict::Intact, Content::Guacamole));
}

#[test]
fn a_header_is_read_from_the_front_alone() {
    let Stored { segments, .. } = sample(1, 2);
    let whole = Segment::parse(&segments[1]).unwrap();
    let front = &segments[1][..segments[1].len().min(MAX_HEADER_BYTES)];
    let (header, length) = SegmentHeader::parse(front).unwrap();
    assert_eq!((&header, length), (whole.header(), 156 + 2 * 113));
    assert_eq!(header.stored_bytes(), segments[1].len() as u64);
    assert_eq!(MAX_HEADER_BYTES, 156 + 16 * 113);
}

#[test]
fn what_could_hold_a_key_does_not_print_it() {
    let key = tenant_key();
    assert_eq!(format!("{key:?}"), "RecipientPrivateKey([REDACTED])");
    assert!(format!("{:?}", writer(1, "print")).contains("SessionKey([REDACTED])"));
    let mut writer = writer(1, "print");
    let _ = writer.input(0, b"terminal content", Echo::On).unwrap();
    assert!(!format!("{writer:?}").contains(&format!("{:?}", b"terminal content").replace(['[', ']'], "")));
    let again = RecipientPrivateKey::from_bytes(key.to_bytes().as_ref()).unwrap();
    assert_eq!(again.public(), key.public());
    assert!(RecipientPrivateKey::from_bytes(&[1; 31]).is_none());
}
