//! Whatever is done to a recording: no panic, and never the verdict that it is whole.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::LazyLock;

use openpam_recordings::{
    Exit, GapReason, MAX_RECORD_BYTES, Outcome, Record, Report, Segment, SessionKey, SignedManifest, Signers,
    TimedRecord, Verdict, Verifier,
    asciicast::{Exporter, Header},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use support::{Stored, recipients, sample, sign, signer, tenant_key, verify, writer};

static WHOLE: LazyLock<Stored> = LazyLock::new(|| sample(1, 6));
static OTHER: LazyLock<Stored> = LazyLock::new(|| sample(2, 6));

/// One thing that somebody does to stored files.
#[derive(Debug, Clone)]
enum Tampering {
    Flip(Index, Index, u8),
    Overwrite(Index, Index, Vec<u8>),
    Truncate(Index, Index),
    Append(Index, Vec<u8>),
    Remove(Index, Index, usize),
    Insert(Index, Index, Vec<u8>),
    Drop(Index),
    Duplicate(Index, Index),
    Swap(Index, Index),
    Foreign(Index, Index),
    /// The front of one segment on the rest of another.
    Splice(Index, Index, Index),
    ManifestFlip(Index, u8),
    ManifestTruncate(Index),
    ManifestAppend(Vec<u8>),
    ManifestForeign,
}

impl Tampering {
    fn apply(&self, stored: &mut Stored) {
        let segments = &mut stored.segments;
        if segments.is_empty() {
            return;
        }
        let count = segments.len();
        match self {
            Self::Flip(segment, at, bit) => flip(&mut segments[segment.index(count)], at, *bit),
            Self::Overwrite(segment, at, bytes) => {
                let target = &mut segments[segment.index(count)];
                let at = at.index(target.len() + 1);
                for (target, byte) in target[at..].iter_mut().zip(bytes) {
                    *target = *byte;
                }
            }
            Self::Truncate(segment, at) => {
                let target = &mut segments[segment.index(count)];
                target.truncate(at.index(target.len() + 1));
            }
            Self::Append(segment, bytes) => segments[segment.index(count)].extend_from_slice(bytes),
            Self::Remove(segment, at, length) => {
                let target = &mut segments[segment.index(count)];
                let at = at.index(target.len() + 1);
                let end = (at + length).min(target.len());
                target.drain(at..end);
            }
            Self::Insert(segment, at, bytes) => {
                let target = &mut segments[segment.index(count)];
                let at = at.index(target.len() + 1);
                target.splice(at..at, bytes.iter().copied());
            }
            Self::Drop(segment) => drop(segments.remove(segment.index(count))),
            Self::Duplicate(segment, at) => {
                let copy = segments[segment.index(count)].clone();
                segments.insert(at.index(count + 1), copy);
            }
            Self::Swap(left, right) => segments.swap(left.index(count), right.index(count)),
            Self::Foreign(from, to) => {
                segments[to.index(count)] = OTHER.segments[from.index(OTHER.segments.len())].clone();
            }
            Self::Splice(from, to, at) => {
                let front = segments[from.index(count)].clone();
                let target = &mut segments[to.index(count)];
                let at = at.index(front.len().min(target.len()) + 1);
                target[..at].copy_from_slice(&front[..at]);
            }
            Self::ManifestFlip(at, bit) => flip(&mut stored.manifest, at, *bit),
            Self::ManifestTruncate(at) => stored.manifest.truncate(at.index(stored.manifest.len() + 1)),
            Self::ManifestAppend(bytes) => stored.manifest.extend_from_slice(bytes),
            Self::ManifestForeign => stored.manifest = OTHER.manifest.clone(),
        }
    }
}

fn flip(target: &mut [u8], at: &Index, bit: u8) {
    if !target.is_empty() {
        let at = at.index(target.len());
        target[at] ^= 1 << bit;
    }
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let index = any::<Index>;
    let bytes = || vec(any::<u8>(), 1..40);
    prop_oneof![
        (index(), index(), 0..8_u8).prop_map(|(segment, at, bit)| Tampering::Flip(segment, at, bit)),
        (index(), index(), bytes()).prop_map(|(segment, at, bytes)| Tampering::Overwrite(segment, at, bytes)),
        (index(), index()).prop_map(|(segment, at)| Tampering::Truncate(segment, at)),
        (index(), bytes()).prop_map(|(segment, bytes)| Tampering::Append(segment, bytes)),
        (index(), index(), 1..200_usize).prop_map(|(segment, at, length)| Tampering::Remove(segment, at, length)),
        (index(), index(), bytes()).prop_map(|(segment, at, bytes)| Tampering::Insert(segment, at, bytes)),
        index().prop_map(Tampering::Drop),
        (index(), index()).prop_map(|(segment, at)| Tampering::Duplicate(segment, at)),
        (index(), index()).prop_map(|(left, right)| Tampering::Swap(left, right)),
        (index(), index()).prop_map(|(from, to)| Tampering::Foreign(from, to)),
        (index(), index(), index()).prop_map(|(from, to, at)| Tampering::Splice(from, to, at)),
        (index(), 0..8_u8).prop_map(|(at, bit)| Tampering::ManifestFlip(at, bit)),
        index().prop_map(Tampering::ManifestTruncate),
        bytes().prop_map(Tampering::ManifestAppend),
        Just(Tampering::ManifestForeign),
    ]
}

fn is_whole(report: &Report) -> bool {
    matches!(report.verdict, Verdict::Intact | Verdict::Consistent)
}

fn verify_trusting_all(stored: &Stored) -> Report {
    let mut verifier = Verifier::new(Signers::Any);
    stored.segments.iter().for_each(|segment| verifier.segment(segment));
    verifier.finish(Some(&stored.manifest))
}

/// A record that owns its bytes.
#[derive(Debug, Clone)]
enum Owned {
    Output(Vec<u8>),
    Input(Vec<u8>),
    MaskedInput(u64),
    Resize(u16, u16),
    Marker(String),
    Snapshot(u16, u16, String),
    Exit(Option<u32>),
    Signal(String),
    Gap(u64),
}

impl Owned {
    fn record(&self) -> Record<'_> {
        match self {
            Self::Output(bytes) => Record::Output(bytes),
            Self::Input(bytes) => Record::Input(bytes),
            Self::MaskedInput(count) => Record::MaskedInput(*count),
            Self::Resize(cols, rows) => Record::Resize { cols: *cols, rows: *rows },
            Self::Marker(label) => Record::Marker(label),
            Self::Snapshot(cols, rows, text) => Record::Snapshot { cols: *cols, rows: *rows, text },
            Self::Exit(None) => Record::Exit(Exit::Unknown),
            Self::Exit(Some(status)) => Record::Exit(Exit::Status(*status)),
            Self::Signal(name) => Record::Exit(Exit::Signal(name)),
            Self::Gap(bytes) => Record::Gap { bytes: *bytes, reason: GapReason::RateCap },
        }
    }
}

fn owned() -> impl Strategy<Value = Owned> {
    prop_oneof![
        vec(any::<u8>(), 0..3_000).prop_map(Owned::Output),
        vec(any::<u8>(), 0..20).prop_map(Owned::Input),
        any::<u64>().prop_map(Owned::MaskedInput),
        any::<(u16, u16)>().prop_map(|(cols, rows)| Owned::Resize(cols, rows)),
        any::<String>().prop_map(Owned::Marker),
        any::<(u16, u16, String)>().prop_map(|(cols, rows, text)| Owned::Snapshot(cols, rows, text)),
        any::<Option<u32>>().prop_map(Owned::Exit),
        any::<String>().prop_map(Owned::Signal),
        (0..u64::MAX).prop_map(Owned::Gap),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_recording_is_never_whole(steps in vec(tampering(), 1..4), decrypt in any::<bool>()) {
        let mut stored = WHOLE.clone();
        steps.iter().for_each(|step| step.apply(&mut stored));
        prop_assume!(stored.segments != WHOLE.segments || stored.manifest != WHOLE.manifest);
        let key = tenant_key();
        let report = verify(&stored.segments, Some(&stored.manifest), decrypt.then_some(&key));
        prop_assert!(!is_whole(&report), "{report:?}");
        prop_assert!(!report.findings.is_empty());
        prop_assert!(!is_whole(&verify_trusting_all(&stored)));
        // Without the manifest it cannot be whole, changed or not.
        prop_assert!(!is_whole(&verify(&stored.segments, None, decrypt.then_some(&key))));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..600), magic in any::<bool>()) {
        let mut segment = bytes.clone();
        let mut manifest = bytes;
        if magic {
            segment.splice(..segment.len().min(10), *b"OPAMSEG\0\0\x01");
            manifest.splice(..manifest.len().min(10), *b"OPAMMAN\0\0\x01");
        }
        let key = tenant_key();
        let report = verify(&[segment], Some(&manifest), Some(&key));
        prop_assert!(!is_whole(&report));
    }

    #[test]
    fn what_a_manifest_says_has_one_form_only(at in any::<Index>(), byte in any::<u8>()) {
        let mut bytes = WHOLE.manifest.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(signed) = SignedManifest::parse(&bytes) {
            prop_assert_eq!(signed.to_bytes(), bytes);
        }
    }

    #[test]
    fn whatever_is_recorded_comes_out_again(
        events in vec((owned(), 0..2_000_000_u64, prop::bool::weighted(0.1)), 0..60),
    ) {
        let mut writer = writer(3, "property");
        let (mut at, mut sealed, mut expected) = (0, Vec::new(), Vec::new());
        for (owned, delay, close) in &events {
            at += delay;
            let _ = writer.record(at, owned.record()).unwrap();
            expected.push(format!("{at} {:?}", owned.record()));
            if *close {
                sealed.extend(writer.close_segment(at).unwrap());
            }
        }
        let finished = writer.finish(at, Outcome::Ended, signer()).unwrap();
        sealed.extend(finished.segment);
        let key = tenant_key();
        let mut read = Vec::new();
        for segment in &sealed {
            let segment = Segment::parse(&segment.bytes).unwrap();
            let opened = segment.open(&SessionKey::unwrap(segment.header(), &key).unwrap()).unwrap();
            read.extend(opened.records().map(|timed| timed.map(|timed| format!("{} {:?}", timed.at, timed.record)).unwrap()));
        }
        prop_assert_eq!(read, expected);
        let segments = sealed.into_iter().map(|segment| segment.bytes).collect::<Vec<_>>();
        let report = verify(&segments, Some(&sign(finished.manifest).to_bytes()), Some(&key));
        prop_assert_eq!(report.verdict, Verdict::Intact);
    }
}

/// Microseconds of an interval as it is written: seconds, a point, six digits.
fn micros(interval: &str) -> u64 {
    let (seconds, fraction) = interval.split_once('.').unwrap();
    assert_eq!(fraction.len(), 6);
    seconds.parse::<u64>().unwrap() * 1_000_000 + fraction.parse::<u64>().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_recorded_can_be_exported_with_its_times(
        events in vec((owned(), 0..2_000_000_u64), 0..60),
    ) {
        let mut exporter = Exporter::new(Vec::new(), Header::default(), 0);
        let mut at = 0;
        for (owned, delay) in &events {
            at += delay;
            exporter.record(&TimedRecord { at, record: owned.record() }).unwrap();
        }
        let text = String::from_utf8(exporter.finish(at).unwrap()).unwrap();
        let mut lines = text.lines();
        let header: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        prop_assert_eq!(&header["version"], 3);
        let mut elapsed = 0;
        for line in lines {
            let event: (f64, String, String) = serde_json::from_str(line).unwrap();
            prop_assert!(["o", "i", "r", "m", "x"].contains(&event.1.as_str()));
            elapsed += micros(line[1..].split(',').next().unwrap());
        }
        prop_assert!(elapsed <= at);
    }

    #[test]
    fn exported_output_is_what_was_recorded_wherever_it_was_cut(
        text in any::<String>(), cuts in vec(any::<Index>(), 0..8),
    ) {
        let bytes = text.as_bytes();
        let mut cuts = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect::<Vec<_>>();
        cuts.sort_unstable();
        let mut exporter = Exporter::new(Vec::new(), Header::default(), 0);
        for pair in cuts.windows(2) {
            exporter.record(&TimedRecord { at: 0, record: Record::Output(&bytes[pair[0]..pair[1]]) }).unwrap();
        }
        let exported = String::from_utf8(exporter.finish(0).unwrap()).unwrap();
        let output = exported
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str::<(f64, String, String)>(line).unwrap().2)
            .collect::<String>();
        prop_assert_eq!(output, text);
    }
}

#[test]
fn the_longest_record_survives() {
    let mut writer = writer(3, "longest");
    let _ = writer.output(0, &vec![0x1b; MAX_RECORD_BYTES]).unwrap();
    let sealed = writer.close_segment(0).unwrap().unwrap();
    assert!(sealed.bytes.len() < 2_000);
    assert_eq!(sealed.header.recipients().collect::<Vec<_>>(), recipients());
    assert_eq!(verify(&[sealed.bytes], None, Some(&tenant_key())).verdict, Verdict::Incomplete);
}
