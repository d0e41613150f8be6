//! Recordings that were written once and must stay readable for ever, and folders.
//!
//! `OPENPAM_BLESS=1 cargo test -p openpam-recordings --test golden` writes them anew. Do that only
//! when a version of the format is added, or where a new zstd compresses the same records to other
//! bytes; never to make a change of the reader pass.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::{
    path::{Path, PathBuf},
    sync::Once,
};

use openpam_recordings::{
    Completeness, Completer, Outcome, Segment, SessionKey, Signers, Verdict, Verifier,
    asciicast::{Exporter, Header},
    dir::{Folder, FolderError, MANIFEST_NAME, parse_segment_name, segment_name},
};
use support::{Stored, escrow_key, sample, session, sign, signer, tenant_key};

const EXPORT_NAME: &str = "export.cast";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A recording's folder, its segments and its manifest.
type Recording = (&'static str, Vec<Vec<u8>>, Option<Vec<u8>>);

fn recordings() -> [Recording; 3] {
    let Stored { segments, manifest } = sample(1, 3);
    let mut completer = Completer::new(session(1));
    for bytes in &segments[..2] {
        let segment = Segment::parse(bytes).unwrap();
        completer.append(segment.header(), segment.hash()).unwrap();
    }
    let completed = sign(completer.finish(29_000_000, Outcome::Lost, signer())).to_bytes();
    [
        ("v1-running", segments[..2].to_vec(), None),
        ("v1-completed", segments[..2].to_vec(), Some(completed)),
        ("v1-complete", segments, Some(manifest)),
    ]
}

fn write(folder: &Path, segments: &[Vec<u8>], manifest: Option<&[u8]>) {
    std::fs::create_dir_all(folder).unwrap();
    for (seq, bytes) in (0..).zip(segments) {
        std::fs::write(folder.join(segment_name(seq)), bytes).unwrap();
    }
    if let Some(manifest) = manifest {
        std::fs::write(folder.join(MANIFEST_NAME), manifest).unwrap();
    }
}

fn export(folder: &Folder) -> String {
    let key = escrow_key();
    let header = Header { timestamp: 1_764_000_000, title: Some("golden".into()), term_type: Some("xterm-256color") };
    let mut exporter = Exporter::new(Vec::new(), header, 0);
    let mut end = 0;
    for seq in &folder.segments {
        let bytes = folder.segment(*seq).unwrap();
        let segment = Segment::parse(&bytes).unwrap();
        let opened = segment.open(&SessionKey::unwrap(segment.header(), &key).unwrap()).unwrap();
        opened.records().for_each(|timed| exporter.record(&timed.unwrap()).unwrap());
        end = segment.header().until;
    }
    String::from_utf8(exporter.finish(end).unwrap()).unwrap()
}

/// Before any test reads, and once only.
fn bless_if_asked() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("OPENPAM_BLESS").is_none() {
            return;
        }
        for (name, segments, manifest) in recordings() {
            let _ = std::fs::remove_dir_all(golden(name));
            write(&golden(name), &segments, manifest.as_deref());
        }
        let export = export(&Folder::open(&golden("v1-complete")).unwrap());
        std::fs::write(golden(EXPORT_NAME), export).unwrap();
    });
}

#[test]
fn recordings_of_version_1_read_as_they_were_written() {
    bless_if_asked();
    let trusted = [signer()];
    for (name, verdict, completeness, segments) in [
        ("v1-complete", Verdict::Intact, Completeness::Complete, 3),
        ("v1-completed", Verdict::Intact, Completeness::Completed, 2),
        ("v1-running", Verdict::Incomplete, Completeness::Unknown, 2),
    ] {
        let folder = Folder::open(&golden(name)).unwrap();
        for key in [tenant_key(), escrow_key()] {
            let verifier = Verifier::new(Signers::Trusted(&trusted)).with_key(&key);
            let report = folder.verify(verifier).unwrap();
            assert_eq!(
                (&report.verdict, report.completeness, report.segments),
                (&verdict, completeness, segments),
                "{name}: {:?}",
                report.findings
            );
        }
    }
    let exported = export(&Folder::open(&golden("v1-complete")).unwrap());
    assert_eq!(exported, std::fs::read_to_string(golden(EXPORT_NAME)).unwrap());
}

#[test]
fn the_writer_still_writes_the_same_bytes() {
    bless_if_asked();
    for (name, segments, manifest) in recordings() {
        let folder = Folder::open(&golden(name)).unwrap();
        for (seq, bytes) in (0..).zip(&segments) {
            assert!(folder.segment(seq).unwrap() == *bytes, "{name}: segment {seq} differs: see above how to bless");
        }
        assert!(folder.manifest().unwrap() == manifest, "{name}: the manifest differs: see above how to bless");
    }
}

#[test]
fn a_name_stands_for_one_segment_only() {
    assert_eq!(segment_name(42), "0000000042.segment");
    for seq in [0, 1, u32::MAX] {
        assert_eq!(parse_segment_name(&segment_name(seq)), Some(seq));
    }
    for name in ["42.segment", "0000000042", "00000000042.segment", "+000000042.segment", "9999999999.segment", ""] {
        assert_eq!(parse_segment_name(name), None, "{name}");
    }
}

#[test]
fn a_folder_is_read_no_further_than_the_format_allows() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("folder");
    let _ = std::fs::remove_dir_all(&root);
    let Stored { segments, manifest } = sample(1, 2);
    write(&root, &segments, Some(&manifest));
    std::fs::write(root.join("notes.txt"), "not part of it").unwrap();
    let trusted = [signer()];
    let verifier = || Verifier::new(Signers::Trusted(&trusted));
    let folder = Folder::open(&root).unwrap();
    assert_eq!((folder.segments.as_slice(), folder.has_manifest, folder.other_files), (&[0, 1][..], true, 1));
    assert_eq!(folder.verify(verifier()).unwrap().verdict, Verdict::Intact);

    // A sparse file of a terabyte is refused after six megabytes.
    let huge = std::fs::OpenOptions::new().write(true).open(root.join(segment_name(1))).unwrap();
    huge.set_len(1 << 40).unwrap();
    assert_eq!(folder.verify(verifier()).unwrap().verdict.code(), "trailing_bytes");
    let manifest = std::fs::OpenOptions::new().write(true).open(root.join(MANIFEST_NAME)).unwrap();
    manifest.set_len(1 << 40).unwrap();
    std::fs::remove_file(root.join(segment_name(1))).unwrap();
    std::fs::write(root.join(segment_name(1)), &segments[1]).unwrap();
    assert_eq!(folder.verify(verifier()).unwrap().verdict.code(), "malformed_manifest");

    std::fs::remove_file(root.join(segment_name(1))).unwrap();
    std::fs::create_dir(root.join(segment_name(1))).unwrap();
    assert!(matches!(folder.verify(verifier()), Err(FolderError::NotAFile(_))));
    assert!(matches!(Folder::open(&root.join("nothing")), Err(FolderError::Io { .. })));
}
