//! A whole recording, and anything that is done to its files: it is whole only where nothing was changed.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use openpam_recordings::{Head, Signers, Verdict, Verifier};
use support::{Stored, sample_of, sign, signer, tenant_key};

static WHOLE: LazyLock<(Stored, Vec<Head>)> = LazyLock::new(|| of(1));
static OTHER: LazyLock<(Stored, Vec<Head>)> = LazyLock::new(|| of(2));

fn of(number: u128) -> (Stored, Vec<Head>) {
    let (sealed, manifest) = sample_of(number, "test: sample", 6);
    let heads = sealed.iter().map(|segment| segment.head).collect();
    let segments = sealed.into_iter().map(|segment| segment.bytes.to_vec()).collect();
    (Stored { segments, manifest: sign(manifest).to_bytes() }, heads)
}

/// One act: which, on which file, where, with what.
type Act = (u8, u8, u16, u8);

fn apply((act, file, at, value): Act, segments: &mut Vec<Vec<u8>>, manifest: &mut Vec<u8>) {
    let count = segments.len();
    let other = &OTHER.0;
    if act >= 200 {
        let place = usize::from(at) % manifest.len().max(1);
        match act % 4 {
            0 if !manifest.is_empty() => manifest[place] ^= value,
            1 => manifest.truncate(place),
            2 => manifest.push(value),
            _ => manifest.clone_from(&other.manifest),
        }
        return;
    }
    if count == 0 {
        return;
    }
    let number = usize::from(file) % count;
    let to = usize::from(value) % count;
    let length = segments[number].len();
    let place = usize::from(at) % length.max(1);
    match act % 9 {
        0 if length > 0 => segments[number][place] ^= value,
        1 => segments[number].truncate(place),
        2 => segments[number].push(value),
        3 => drop(segments.remove(number)),
        4 => segments.swap(number, to),
        5 => segments.insert(to, segments[number].clone()),
        6 => segments[number].clone_from(&other.segments[to % other.segments.len()]),
        7 if length > 0 => drop(segments[number].remove(place)),
        8 => {
            let front = segments[to].clone();
            let place = place.min(front.len());
            segments[number][..place].copy_from_slice(&front[..place]);
        }
        _ => {}
    }
}

fuzz_target!(|input: (bool, bool, Vec<Act>)| {
    let (opened, headed, acts) = input;
    let (whole, heads) = &*WHOLE;
    let Stored { mut segments, mut manifest } = whole.clone();
    for act in acts.into_iter().take(64) {
        apply(act, &mut segments, &mut manifest);
    }
    let (trusted, key) = ([signer()], tenant_key());
    let mut verifier = Verifier::new(Signers::Trusted(&trusted));
    if opened {
        verifier = verifier.with_key(&key);
    }
    if headed {
        verifier = verifier.with_ledger(heads.iter().copied()).closed();
    }
    for segment in &segments {
        verifier.segment(segment);
    }
    let unchanged = |stored: &Stored| segments == stored.segments && manifest == stored.manifest;
    let is_whole = unchanged(whole) || (!headed && unchanged(&OTHER.0));
    let report = verifier.finish(Some(&manifest));
    assert_eq!(report.verdict == Verdict::Intact, is_whole, "{report:?}");
});
