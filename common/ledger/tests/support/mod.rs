//! A ledger to try things on.

#![allow(dead_code, reason = "each test uses a part of it")]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use openpam_ledger::*;
use uuid::Uuid;

pub const TENANT: Uuid = Uuid::from_u128(0x0193_5f00_0000_7000_8000_0000_0000_0001);
pub const OTHER_TENANT: Uuid = Uuid::from_u128(0x0193_5f00_0000_7000_8000_0000_0000_0002);
const START: u64 = 1_764_000_000_000_000;

pub fn ledger() -> LedgerName {
    LedgerName::new("pam.example.com/ledger").unwrap()
}

/// A key pair that is the same each time.
pub struct Signing(Ed25519KeyPair);

impl Signing {
    pub fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub fn public(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    pub fn sign(&self, note: &mut Note, key: &VerifierKey, time: u64) {
        let signature = self.0.sign(&key.to_be_signed(note.text(), time));
        note.add(key, time, signature.as_ref()).unwrap();
    }
}

/// The hub's key.
pub fn hub() -> Signing {
    Signing::new(1)
}

/// A witness with its key.
pub fn witness(seed: u8) -> (Signing, VerifierKey) {
    let signing = Signing::new(seed);
    let name = format!("witness.example.com/w{seed}");
    let key = VerifierKey::new(&name, KeyType::CosignatureV1, signing.public()).unwrap();
    (signing, key)
}

pub fn signers() -> Signers {
    Signers::Trusted { log_keys: vec![hub().public()], witnesses: vec![], needed: 0 }
}

/// The contents of entry `seq`: each other one has a name, some have images.
pub fn contents(seq: u64) -> Vec<(Field, Salt, Vec<u8>)> {
    let salt = |field: Field| {
        let mut salt = [field as u8; 32];
        salt[..8].copy_from_slice(&seq.to_be_bytes());
        Salt(salt)
    };
    let mut fields = vec![(Field::Detail, format!("{{\"number\":{seq}}}"))];
    if seq.is_multiple_of(2) {
        fields.push((Field::ActorName, "Ada Lovelace".to_owned()));
    }
    if seq % 5 == 3 {
        fields = vec![(Field::BeforeImage, "{\"name\":\"a\"}".into()), (Field::AfterImage, "{\"name\":\"b\"}".into())];
    }
    fields.sort();
    fields.into_iter().map(|(field, text)| (field, salt(field), text.into_bytes())).collect()
}

/// Entry `seq` of a tenant; `variant` is another one in its place.
pub fn entry(tenant_id: Uuid, seq: u64, variant: u8) -> Vec<u8> {
    let digests = contents(seq)
        .iter()
        .fold(Digests::default(), |all, (field, salt, bytes)| all.with(*field, field.digest(salt, bytes)));
    let id = seq.to_string();
    let row = seq % 5 == 3;
    Entry {
        seq,
        tenant_id,
        event_id: Uuid::from_u128((u128::from(seq) << 8) | u128::from(variant)),
        time: START + seq * 1_000,
        kind: if row { Kind::RowChange } else { Kind::Event },
        actor: match seq % 3 {
            0 => Actor { kind: ActorKind::User, id: Some(Uuid::from_u128(7)) },
            1 => Actor { kind: ActorKind::System, id: None },
            _ => Actor { kind: ActorKind::Database, id: None },
        },
        action: if row { "row.update" } else { "target.create" },
        outcome: if seq % 7 == 5 && !row { Outcome::Denied } else { Outcome::Success },
        object: (!seq.is_multiple_of(4)).then_some(Object { kind: "targets", id: &id }),
        request_id: if seq.is_multiple_of(3) { "0193-request" } else { "" },
        digests,
    }
    .encode()
    .unwrap()
}

/// A tenant's log as a hub keeps it.
#[derive(Clone)]
pub struct Stored {
    pub tenant_id: Uuid,
    pub entries: Vec<Vec<u8>>,
    pub hashes: Vec<Hash>,
}

impl Stored {
    pub fn new(tenant_id: Uuid, count: u64) -> Self {
        let entries = (0..count).map(|seq| entry(tenant_id, seq, 0)).collect::<Vec<_>>();
        let hashes = entries.iter().map(|entry| leaf_hash(entry)).collect();
        Self { tenant_id, entries, hashes }
    }

    pub fn log(&self) -> Log {
        Log::Tenant(self.tenant_id)
    }

    pub fn frontier(&self, size: usize) -> Frontier {
        let mut tree = Frontier::new();
        self.hashes[..size].iter().for_each(|hash| assert!(tree.push(*hash)));
        tree
    }

    pub fn head(&self, size: usize) -> TreeHead {
        let tree = self.frontier(size);
        TreeHead { size: tree.size(), root: tree.root() }
    }

    /// The checkpoint of that size, signed by the hub.
    pub fn note(&self, size: usize) -> String {
        sign(self.log(), self.head(size), &hub()).to_text()
    }

    pub fn node(&self, id: NodeId) -> Hash {
        let (first, count) = ((id.index << id.level) as usize, 1 << id.level);
        let mut tree = Frontier::new();
        self.hashes[first..first + count].iter().for_each(|hash| assert!(tree.push(*hash)));
        tree.root()
    }

    pub fn proof(&self, plan: &Plan) -> Vec<Hash> {
        plan.assemble(&plan.nodes().map(|id| self.node(id)).collect::<Vec<_>>()).unwrap()
    }

    pub fn range(&self, first: u64, end: u64, size: u64) -> RangeProof {
        let nodes = RangeProof::nodes(first, end, size).unwrap();
        let hashes = nodes.into_iter().map(|id| self.node(id)).collect::<Vec<_>>();
        RangeProof::from_nodes(first, end, size, &hashes).unwrap()
    }
}

pub fn sign(log: Log, head: TreeHead, signing: &Signing) -> Note {
    let checkpoint = Checkpoint::new(&ledger(), log, head);
    let mut note = checkpoint.to_note().unwrap();
    signing.sign(&mut note, &checkpoint.log_key(signing.public()).unwrap(), 0);
    note
}

/// What stands in a database or a file: places with entries, and hashes that are kept of them.
#[derive(Clone)]
pub struct Rows {
    pub rows: Vec<(u64, Vec<u8>)>,
    /// As the tiles have them; `None` where there are none.
    pub kept: Option<Vec<Hash>>,
    pub notes: Vec<String>,
}

impl Rows {
    /// All of it, with a checkpoint at each of these sizes.
    pub fn of(stored: &Stored, sizes: &[usize], kept: bool) -> Self {
        Self {
            rows: (0..).zip(stored.entries.iter().cloned()).collect(),
            kept: kept.then(|| stored.hashes.clone()),
            notes: sizes.iter().map(|size| stored.note(*size)).collect(),
        }
    }

    pub fn anchors(&self, tenant_id: Uuid) -> Anchors {
        let notes = self.notes.iter().map(String::as_bytes);
        Anchors::read(&signers(), &ledger(), Log::Tenant(tenant_id), notes)
    }

    /// As `openpam audit verify` does it: where a row is missing, its kept hash still counts.
    pub fn verify(&self) -> Report {
        let mut verifier = Verifier::new(TENANT, self.anchors(TENANT));
        let mut next = 0;
        for (seq, bytes) in &self.rows {
            let hashes = self.kept.as_ref().map_or(0, Vec::len) as u64;
            for absent in next..(*seq).min(hashes) {
                if let Some(hash) = self.kept.as_ref().and_then(|kept| kept.get(absent as usize)) {
                    verifier.absent(absent, *hash);
                }
            }
            let kept = self.kept.as_ref().and_then(|kept| kept.get(*seq as usize)).copied();
            verifier.entry(*seq, bytes, kept);
            next = next.max(seq.saturating_add(1));
        }
        verifier.finish()
    }
}

/// The codes of a report's defects, each once, in order.
pub fn codes(report: &Report) -> Vec<&'static str> {
    let mut codes = report.defects.iter().map(Defect::code).collect::<Vec<_>>();
    codes.sort_unstable();
    codes.dedup();
    codes
}
