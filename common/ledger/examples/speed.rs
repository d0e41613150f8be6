//! How fast the ledger's core is on one core: `cargo run --release -p openpam-ledger --example speed`.

use std::{
    error::Error,
    io::{Write as _, stdout},
    time::Instant,
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use openpam_ledger::{
    Actor, ActorKind, Anchors, Checkpoint, Digests, Entry, Field, Hash, Kind, LedgerName, Log, Object, Outcome, Salt,
    Signers, Tiler, TreeHead, Verdict, Verifier, leaf_hash,
};
use uuid::Uuid;

const ENTRIES: u64 = 200_000;
/// Entries between two checkpoints: one second of a busy hub.
const BETWEEN: u64 = 1_000;
const ROUNDS: usize = 5;
const TENANT: Uuid = Uuid::from_u128(1);

/// An event as most are: a person, a target, a request, and digests of names, address and detail.
fn entry(seq: u64) -> Result<Vec<u8>, Box<dyn Error>> {
    let fields = [Field::ActorName, Field::ObjectName, Field::ClientAddress, Field::Detail];
    let digests = fields.into_iter().fold(Digests::default(), |all, field| {
        all.with(field, field.digest(&Salt([field as u8; 32]), &seq.to_be_bytes()))
    });
    let object_id = Uuid::from_u128(u128::from(seq)).to_string();
    Ok(Entry {
        seq,
        tenant_id: TENANT,
        event_id: Uuid::from_u128(u128::from(seq) << 64),
        time: 1_764_000_000_000_000 + seq * 1_000,
        kind: Kind::Event,
        actor: Actor { kind: ActorKind::User, id: Some(Uuid::from_u128(9)) },
        action: "session.open",
        outcome: Outcome::Success,
        object: Some(Object { kind: "target", id: &object_id }),
        request_id: "01935f00-0000-7000-8000-000000000001",
        digests,
    }
    .encode()?)
}

/// Prints the best of some rounds, as entries a second.
fn measure(name: &str, mut round: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        round()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    writeln!(stdout(), "{name:<52} {:>12.0} entries/s", ENTRIES as f64 / best)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let ledger = LedgerName::new("pam.example.com/ledger").ok_or("not a name")?;
    let signing = Ed25519KeyPair::from_seed_unchecked(&[1; 32])?;
    let public: [u8; 32] = signing.public_key().as_ref().try_into()?;
    let entries = (0..ENTRIES).map(entry).collect::<Result<Vec<_>, _>>()?;
    let kept = entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<Hash>>();
    let bytes = entries.iter().map(Vec::len).sum::<usize>() as u64 / ENTRIES;
    writeln!(stdout(), "{ENTRIES} entries of {bytes} bytes, a checkpoint each {BETWEEN}, best of {ROUNDS}")?;

    let mut notes = Vec::new();
    measure("encode, with four salted digests", || (0..ENTRIES).try_for_each(|seq| entry(seq).map(|_| ())))?;
    measure("sequence: hash, tree, tiles, signed checkpoints", || {
        notes.clear();
        let mut tiler = Tiler::new();
        for entry in &entries {
            tiler.push(leaf_hash(entry)).ok_or("full")?;
            let size = tiler.tree().size();
            if size.is_multiple_of(BETWEEN) {
                let head = TreeHead { size, root: tiler.tree().root() };
                let checkpoint = Checkpoint::new(&ledger, Log::Tenant(TENANT), head);
                let mut note = checkpoint.to_note()?;
                let key = checkpoint.log_key(public)?;
                let signature = signing.sign(&key.to_be_signed(note.text(), 0));
                note.add(&key, 0, signature.as_ref())?;
                notes.push(note.to_text());
            }
        }
        Ok(())
    })?;
    let signers = Signers::Trusted { log_keys: vec![public], witnesses: Vec::new(), needed: 0 };
    let verify = |name: &str, with_kept: bool| {
        measure(name, || {
            let anchors = Anchors::read(&signers, &ledger, Log::Tenant(TENANT), notes.iter().map(String::as_bytes));
            let mut verifier = Verifier::new(TENANT, anchors);
            for (seq, (entry, kept)) in (0..).zip(entries.iter().zip(&kept)) {
                verifier.entry(seq, entry, with_kept.then_some(*kept));
            }
            let report = verifier.finish();
            if report.verdict == Verdict::Intact { Ok(()) } else { Err("not intact".into()) }
        })
    };
    verify("verify, signatures included", false)?;
    verify("verify against kept hashes too", true)?;
    Ok(())
}
