//! Any bytes as the files of a recording: no panic, and never a verdict that something is whole which nobody signed.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use openpam_recordings::{Segment, SessionKey, SignedManifest, Signers, Verdict, Verifier};
use support::{signer, tenant_key};

/// What parts of the input end with: the last one is the manifest.
const BETWEEN: &[u8] = b"\xff\x00--\x00\xff";

fuzz_target!(|bytes: &[u8]| {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        parts.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    let (trusted, key) = ([signer()], tenant_key());
    let mut verifier = Verifier::new(Signers::Trusted(&trusted)).with_key(&key);
    for part in &parts {
        verifier.segment(part);
    }
    let report = verifier.finish(Some(rest));
    if report.verdict == Verdict::Intact {
        // Only the key of the tests signs, and only the corpus has something that it signed.
        assert!(SignedManifest::parse(rest).is_ok_and(|signed| signed.verify().is_ok()));
    }
    for part in parts.iter().chain([&rest, &bytes]) {
        let _ = SignedManifest::parse(part).map(|signed| signed.verify());
        let Ok(segment) = Segment::parse(part) else { continue };
        if let Ok(key) = SessionKey::unwrap(segment.header(), &key)
            && let Ok(opened) = segment.open(&key)
        {
            let _ = opened.check();
        }
    }
});
