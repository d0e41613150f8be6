//! Any bytes as the records of a segment, which nobody without its key could put there: no panic, and time never goes back.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (from, plain) = input;
    let _ = openpam_recordings::decode_plain(plain, from);
});
