//! Files that were written once and must stay readable for ever, here and by a reader that was made from
//! `FORMAT.md` alone.
//!
//! `OPENPAM_BLESS=1 cargo test -p openpam-ledger --test golden` writes them anew. Do that only when a
//! version of the format is added; never to make a change of the reader pass.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

use openpam_ledger::*;
use support::*;

const BUNDLE: &str = "v1.bundle";
const KEYS: &str = "v1.keys";
const REPORT: &str = "v1.report";
const SIZE: usize = 300;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A log with more than one tile, a name that was erased, a witness, other checkpoints, the system's.
fn bundle() -> Vec<u8> {
    let stored = Stored::new(TENANT, 310);
    let other = Stored::new(OTHER_TENANT, 5);
    let (signing, key) = witness(11);
    let mut note = sign(stored.log(), stored.head(SIZE), &hub());
    signing.sign(&mut note, &key, 1_764_000_123);
    let texts = [(other.log(), other.head(5)), (other.log(), other.head(5)), (stored.log(), stored.head(SIZE))]
        .map(|(log, head)| Checkpoint::new(&ledger(), log, head).to_text());
    let leaves = texts.map(|text| leaf_hash(text.as_bytes()));
    let left = node_hash(&leaves[0], &leaves[1]);
    let system = sign(Log::System, TreeHead { size: 3, root: node_hash(&left, &leaves[2]) }, &hub()).to_text();

    let mut writer = BundleWriter::new(Vec::new()).unwrap();
    let mut part = LedgerWriter::new(&mut writer, &ledger(), TENANT, &note.to_text()).unwrap();
    for size in [0, 255, 310] {
        let (old, new) = (size.min(SIZE) as u64, size.max(SIZE) as u64);
        let proof = if size == 0 { vec![] } else { stored.proof(&Plan::consistency(old, new).unwrap()) };
        part.consistent(&stored.note(size), &proof).unwrap();
    }
    for (first, end) in [(0, 20), (250, 262), (299, 300), (300, 300)] {
        part.range(&stored.range(first, end, SIZE as u64)).unwrap();
        for seq in first..end {
            let contents = contents(seq);
            let given = contents.iter().filter(|(field, ..)| seq != 2 || *field != Field::ActorName);
            let given = given.map(|(field, salt, bytes)| Content { field: *field, salt: *salt, bytes });
            part.entry(&stored.entries[seq as usize], &given.collect::<Vec<_>>()).unwrap();
        }
    }
    part.finish(Some((&system, 2, &[left]))).unwrap();
    writer.finish().unwrap()
}

/// The keys to trust: the log's, the witness's.
fn keys() -> String {
    let log = Checkpoint::new(&ledger(), Log::Tenant(TENANT), Stored::new(TENANT, 0).head(0));
    let system = Checkpoint::new(&ledger(), Log::System, Stored::new(TENANT, 0).head(0));
    let public = hub().public();
    format!("{}\n{}\n{}\n", log.log_key(public).unwrap(), system.log_key(public).unwrap(), witness(11).1)
}

/// What a reader has to find, in lines.
fn read(bytes: &[u8]) -> (EvidenceReport, String) {
    let keys = std::fs::read_to_string(golden(KEYS)).unwrap();
    let keys = keys.lines().map(|line| VerifierKey::parse(line).unwrap()).collect::<Vec<_>>();
    let signers = Signers::Trusted { log_keys: vec![*keys[0].public()], witnesses: vec![keys[2].clone()], needed: 0 };
    let mut lines = String::new();
    let mut reader = BundleReader::new(bytes).unwrap();
    let mut evidence = Evidence::new(signers, Some(ledger()));
    while let Some(section) = reader.section().unwrap() {
        evidence.section(&section.name, &section.body, &mut |entry, contents| {
            let object = entry.object.map_or_else(|| "-".to_owned(), |object| format!("{}:{}", object.kind, object.id));
            let actor = entry.actor.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
            let contents = contents
                .iter()
                .map(|content| format!("{}={}", content.field.name(), String::from_utf8_lossy(content.bytes)));
            writeln!(
                lines,
                "{} {} {} {} {} {} {} {} {} {} {} {}",
                entry.seq,
                entry.event_id,
                entry.time,
                entry.kind.name(),
                entry.actor.kind.name(),
                actor,
                entry.action,
                entry.outcome.name(),
                object,
                if entry.request_id.is_empty() { "-" } else { entry.request_id },
                entry.digests.iter().map(|(field, _)| field.name()).collect::<Vec<_>>().join(","),
                contents.collect::<Vec<_>>().join(","),
            )
            .unwrap();
        });
    }
    let report = evidence.finish();
    let checkpoint = report.checkpoint.clone().unwrap();
    writeln!(lines, "checkpoint {} {}", checkpoint.checkpoint.head().size, checkpoint.checkpoint.head().root).unwrap();
    checkpoint.witnesses.iter().for_each(|(name, time)| writeln!(lines, "witness {name} {time}").unwrap());
    writeln!(lines, "system {}", report.system.clone().unwrap().checkpoint.head().size).unwrap();
    writeln!(lines, "contents {} withheld {}", report.contents, report.withheld).unwrap();
    (report, lines)
}

/// Before any test reads, and once only.
fn bless_if_asked() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("OPENPAM_BLESS").is_none() {
            return;
        }
        std::fs::create_dir_all(golden("")).unwrap();
        let bundle = bundle();
        std::fs::write(golden(KEYS), keys()).unwrap();
        std::fs::write(golden(REPORT), read(&bundle).1).unwrap();
        std::fs::write(golden(BUNDLE), bundle).unwrap();
    });
}

#[test]
fn a_bundle_of_version_1_reads_as_it_was_written() {
    bless_if_asked();
    let (report, lines) = read(&std::fs::read(golden(BUNDLE)).unwrap());
    assert_eq!((report.verdict, report.defects), (Verdict::Intact, vec![]));
    assert_eq!(lines, std::fs::read_to_string(golden(REPORT)).unwrap());
}

#[test]
fn the_writer_still_writes_the_same_bytes() {
    bless_if_asked();
    assert!(std::fs::read(golden(BUNDLE)).unwrap() == bundle(), "the bundle differs: see above how to bless");
    assert_eq!(std::fs::read_to_string(golden(KEYS)).unwrap(), keys());
}

/// The reader in Python shares nothing with this crate but `FORMAT.md`.
fn python(bundle: &Path) -> (bool, String) {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader.py");
    let output = Command::new("python3").arg(reader).arg(bundle).arg(golden(KEYS)).output().unwrap();
    let said = if output.status.success() { &output.stdout } else { &output.stderr };
    (output.status.success(), String::from_utf8_lossy(said).into_owned())
}

#[test]
fn another_reader_finds_the_same_in_it_and_refuses_what_was_changed() {
    bless_if_asked();
    assert_eq!(python(&golden(BUNDLE)), (true, std::fs::read_to_string(golden(REPORT)).unwrap()));

    // One change in each section, with the container's hashes made to fit.
    let mut reader = BundleReader::new(std::fs::File::open(golden(BUNDLE)).unwrap()).unwrap();
    let sections = std::iter::from_fn(|| reader.section().unwrap()).collect::<Vec<_>>();
    for number in 0..sections.len() {
        if sections[number].body.is_empty() {
            continue;
        }
        let mut writer = BundleWriter::new(Vec::new()).unwrap();
        for (at, section) in sections.iter().enumerate() {
            let mut body = section.body.clone();
            if at == number {
                let middle = body.len() / 2;
                body[middle] ^= 1;
            }
            writer.section(&section.name, &body).unwrap();
        }
        let name = format!("changed-{number}.bundle");
        let changed = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&changed, writer.finish().unwrap()).unwrap();
        let (accepted, said) = python(&changed);
        assert!(!accepted && said.contains("refused: "), "{}: {said}", sections[number].name);
    }
}
