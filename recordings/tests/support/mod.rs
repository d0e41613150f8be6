//! Keys from fixed seeds, deterministic randomness and a sample recording.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::convert::Infallible;

use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use openpam_recordings::{
    Content, Echo, Exit, GapReason, Limits, Manifest, Outcome, Recipient, RecipientPrivateKey, Report, Role,
    SealedSegment, Session, SignedManifest, SignerKey, Signers, Verifier, Writer,
    random::{TryCryptoRng, TryRng},
};
use uuid::Uuid;

/// SHA-256 of a seed and a counter.
pub struct Seeded {
    seed: &'static str,
    counter: u64,
}

impl Seeded {
    pub fn new(seed: &'static str) -> Self {
        Self { seed, counter: 0 }
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for piece in to.chunks_mut(32) {
            let block = [self.seed.as_bytes(), &self.counter.to_be_bytes()].concat();
            piece.copy_from_slice(&digest::digest(&digest::SHA256, &block).as_ref()[..piece.len()]);
            self.counter += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Seeded {}

pub fn private_key(seed: &'static str) -> RecipientPrivateKey {
    let mut secret = [0; 32];
    let Ok(()) = Seeded::new(seed).try_fill_bytes(&mut secret);
    RecipientPrivateKey::derive(&secret)
}

pub fn tenant_key() -> RecipientPrivateKey {
    private_key("test: tenant")
}

pub fn escrow_key() -> RecipientPrivateKey {
    private_key("test: escrow")
}

pub fn recipients() -> [Recipient; 2] {
    [
        Recipient { role: Role::Tenant, key: tenant_key().public() },
        Recipient { role: Role::Escrow, key: escrow_key().public() },
    ]
}

fn key_pair(seed: &'static str) -> Ed25519KeyPair {
    let mut secret = [0; 32];
    let Ok(()) = Seeded::new(seed).try_fill_bytes(&mut secret);
    Ed25519KeyPair::from_seed_unchecked(&secret).unwrap()
}

pub fn signer_of(seed: &'static str) -> SignerKey {
    SignerKey(key_pair(seed).public_key().as_ref().try_into().unwrap())
}

pub fn signer() -> SignerKey {
    signer_of("test: signer")
}

pub fn sign_as(seed: &'static str, manifest: Manifest) -> SignedManifest {
    let signature = key_pair(seed).sign(&manifest.to_be_signed());
    manifest.into_signed(signature.as_ref()).unwrap()
}

pub fn sign(manifest: Manifest) -> SignedManifest {
    sign_as("test: signer", manifest)
}

pub fn session(number: u128) -> Session {
    Session {
        tenant_id: Uuid::from_u128(0x0193_e6a0_0000_7000_8000_0000_0000_00aa),
        session_id: Uuid::from_u128(0x0193_e6a0_0000_7000_8000_0000_0000_0000 + number),
        content: Content::Terminal,
        started_at: 1_764_000_000_000_000,
    }
}

pub fn writer(number: u128, seed: &'static str) -> Writer {
    Writer::new(session(number), &recipients(), Limits::default(), &mut Seeded::new(seed)).unwrap()
}

/// A stored recording.
#[derive(Clone)]
pub struct Stored {
    pub segments: Vec<Vec<u8>>,
    pub manifest: Vec<u8>,
}

/// Segments with all kinds of records, and a manifest.
pub fn sample_of(number: u128, seed: &'static str, segments: u64) -> (Vec<SealedSegment>, Manifest) {
    let mut writer = writer(number, seed);
    let mut sealed = Vec::new();
    for segment in 0..segments {
        let start = segment * 15_000_000;
        let _ = writer.snapshot(start, 80, 24, "\u{1b}[H\u{1b}[2J$ ").unwrap();
        let _ = writer.resize(start, 80, 24).unwrap();
        let _ = writer.input(start + 1_000, b"sudo ls\r", Echo::On).unwrap();
        let _ = writer.output(start + 2_000, b"[sudo] password: ").unwrap();
        let _ = writer.input(start + 2_500_000, b"hunter2\r", Echo::Off).unwrap();
        let _ = writer.marker(start + 2_500_000, "sudo").unwrap();
        let _ = writer.output(start + 2_600_001, "Gr\u{fc}\u{df}e, segment ".as_bytes()).unwrap();
        let _ = writer.output(start + 2_600_002, segment.to_string().as_bytes()).unwrap();
        let _ = writer.gap(start + 9_000_000, 1_000 + segment, GapReason::RateCap).unwrap();
        if segment + 1 < segments {
            sealed.push(writer.close_segment(start + 14_000_000).unwrap().unwrap());
        } else {
            let _ = writer.exit(start + 14_000_000, Exit::Status(0)).unwrap();
        }
    }
    let finished = writer.finish(segments * 15_000_000, Outcome::Ended, signer()).unwrap();
    sealed.extend(finished.segment);
    (sealed, finished.manifest)
}

pub fn sample(number: u128, segments: u64) -> Stored {
    let (sealed, manifest) = sample_of(number, "test: sample", segments);
    Stored {
        segments: sealed.into_iter().map(|segment| segment.bytes.to_vec()).collect(),
        manifest: sign(manifest).to_bytes(),
    }
}

/// Verifies as an auditor would who trusts the signer; with a key or without.
pub fn verify<B: AsRef<[u8]>>(segments: &[B], manifest: Option<&[u8]>, key: Option<&RecipientPrivateKey>) -> Report {
    let trusted = [signer()];
    let mut verifier = Verifier::new(Signers::Trusted(&trusted));
    if let Some(key) = key {
        verifier = verifier.with_key(key);
    }
    for segment in segments {
        verifier.segment(segment.as_ref());
    }
    verifier.finish(manifest)
}
