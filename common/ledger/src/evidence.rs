//! The ledger in a bundle: a tenant's checkpoint, ranges of entries with their proofs and with as much of
//! their content as is given out. It can be checked where nothing else is at hand.
//!
//! | section | |
//! |---|---|
//! | `ledger/about` | the ledger's name and the tenant |
//! | `ledger/checkpoint` | the signed note that everything is proven against |
//! | `ledger/consistent/NNNN` | other checkpoints, with the proof that they are of the same history |
//! | `ledger/ranges/NNNN/bounds` | a range proof |
//! | `ledger/ranges/NNNN/entries/NNNNNNNN` | the range's entries with content |
//! | `ledger/system` | the system's checkpoint, with the proof that it has the tenant's |

use std::io::Write;

use uuid::Uuid;

use openpam_merkle::leaf_hash;

use crate::{
    anchors::Anchors,
    bundle::{BundleError, BundleWriter},
    checkpoint::{LedgerName, Log, Signers, Verified},
    defect::Defect,
    digest::{Field, MAX_CONTENT_BYTES, SALT_BYTES, Salt},
    entry::{Entry, MAX_ENTRY_BYTES},
    layout::{Fields, Hash, hashes, put_hashes},
    note::NoteError,
    proof::{RangeProof, verify_consistency, verify_inclusion},
    report::{Findings, Report, Verdict},
    verify::Verifier,
};

const PREFIX: &str = "ledger/";
const TITLE: &str = "OpenPAM ledger 1";
/// Most checkpoints beside the first.
pub const MAX_CONSISTENT: usize = 1_000;
/// Most ranges of one bundle.
pub const MAX_RANGES: usize = 10_000;
/// From so many bytes on, the entries go on in another section.
const ENTRIES_BYTES: usize = 1 << 20;

/// Content of an entry, as it is kept beside the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content<'a> {
    /// Which.
    pub field: Field,
    /// The salt of its digest.
    pub salt: Salt,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Writes the ledger's sections. They come in the order of the methods.
pub struct LedgerWriter<'w, W> {
    to: &'w mut BundleWriter<W>,
    consistent: usize,
    ranges: usize,
    sections: usize,
    entries: Vec<u8>,
}

impl<'w, W: Write> LedgerWriter<'w, W> {
    /// Begins with the signed checkpoint of the tenant's log.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(
        to: &'w mut BundleWriter<W>,
        ledger: &LedgerName,
        tenant_id: Uuid,
        note: &str,
    ) -> Result<Self, BundleError> {
        to.section("ledger/about", format!("{TITLE}\n{ledger}\n{tenant_id}\n").as_bytes())?;
        to.section("ledger/checkpoint", note.as_bytes())?;
        Ok(Self { to, consistent: 0, ranges: 0, sections: 0, entries: Vec::new() })
    }

    /// Adds another checkpoint with the consistency proof between it and the first, whichever is larger.
    ///
    /// # Errors
    /// Where there are too many, or it cannot be written.
    pub fn consistent(&mut self, note: &str, proof: &[Hash]) -> Result<(), BundleError> {
        if self.consistent == MAX_CONSISTENT {
            return Err(BundleError::TooLarge("checkpoints"));
        }
        let mut body = Vec::new();
        put_hashes(&mut body, proof);
        body.extend_from_slice(note.as_bytes());
        self.to.section(&format!("ledger/consistent/{:04}", self.consistent), &body)?;
        self.consistent += 1;
        Ok(())
    }

    /// Begins a range; its entries follow.
    ///
    /// # Errors
    /// Where there are too many, or it cannot be written.
    pub fn range(&mut self, proof: &RangeProof) -> Result<(), BundleError> {
        self.flush()?;
        if self.ranges == MAX_RANGES {
            return Err(BundleError::TooLarge("ranges"));
        }
        self.to.section(&format!("ledger/ranges/{:04}/bounds", self.ranges), &proof.to_bytes())?;
        self.ranges += 1;
        self.sections = 0;
        Ok(())
    }

    /// Adds an entry with the content that is given out, in the order of the fields' numbers.
    ///
    /// # Errors
    /// Where it is too large, or cannot be written.
    pub fn entry(&mut self, canonical: &[u8], contents: &[Content<'_>]) -> Result<(), BundleError> {
        if canonical.len() > MAX_ENTRY_BYTES || contents.len() > Field::ALL.len() {
            return Err(BundleError::TooLarge("bytes in an entry"));
        }
        let size = contents.iter().map(|content| content.bytes.len()).sum::<usize>();
        if size > MAX_CONTENT_BYTES {
            return Err(BundleError::TooLarge("bytes in an entry's content"));
        }
        if !self.entries.is_empty() && self.entries.len() + size > ENTRIES_BYTES {
            self.flush()?;
        }
        self.entries.extend_from_slice(&(canonical.len() as u16).to_be_bytes());
        self.entries.extend_from_slice(canonical);
        self.entries.push(contents.len() as u8);
        for content in contents {
            self.entries.push(content.field as u8);
            self.entries.extend_from_slice(&content.salt.0);
            self.entries.extend_from_slice(&(content.bytes.len() as u32).to_be_bytes());
            self.entries.extend_from_slice(content.bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BundleError> {
        if !self.entries.is_empty() {
            let range = self.ranges.saturating_sub(1);
            self.to.section(&format!("ledger/ranges/{range:04}/entries/{:08}", self.sections), &self.entries)?;
            self.sections += 1;
            self.entries.clear();
        }
        Ok(())
    }

    /// Ends the ledger's sections; where there is one, with the system's checkpoint and the proof that leaf
    /// `index` of its tree is the text of the tenant's.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self, system: Option<(&str, u64, &[Hash])>) -> Result<(), BundleError> {
        self.flush()?;
        if let Some((note, index, proof)) = system {
            let mut body = index.to_be_bytes().to_vec();
            put_hashes(&mut body, proof);
            body.extend_from_slice(note.as_bytes());
            self.to.section("ledger/system", &body)?;
        }
        Ok(())
    }
}

/// What came of the ledger's part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceReport {
    /// The result in one word, over everything.
    pub verdict: Verdict,
    /// The ledger and the tenant, as the bundle names them.
    pub about: Option<(LedgerName, Uuid)>,
    /// The checkpoint that everything was proven against.
    pub checkpoint: Option<Verified>,
    /// The system's checkpoint that has it, where there is one.
    pub system: Option<Verified>,
    /// Of each range.
    pub ranges: Vec<Report>,
    /// How many pieces of content were checked.
    pub contents: u64,
    /// How many an entry has a digest of, and the bundle has not: erased, or not given out.
    pub withheld: u64,
    /// What is wrong beside the ranges: the first of it.
    pub defects: Vec<Defect>,
}

/// Who looks at entries while a bundle is verified. What it sees is proven only when the report says so.
pub type Visit<'v> = dyn FnMut(&Entry<'_>, &[Content<'_>]) + 'v;

/// Verifies the ledger's sections of a bundle.
pub struct Evidence {
    signers: Signers,
    expected: Option<LedgerName>,
    about: Option<(LedgerName, Uuid)>,
    checkpoint: Option<Verified>,
    text: String,
    system: Option<Verified>,
    anchors: Anchors,
    range: Option<(String, Verifier)>,
    ranges: Vec<Report>,
    contents: u64,
    withheld: u64,
    defects: Findings<Defect>,
}

impl Evidence {
    /// Begins. Give the ledger's name wherever the keys are trusted: without it a bundle may be of any
    /// ledger that has the same keys, and the report names it.
    pub fn new(signers: Signers, expected: Option<LedgerName>) -> Self {
        Self {
            signers,
            expected,
            about: None,
            checkpoint: None,
            text: String::new(),
            system: None,
            anchors: Anchors::default(),
            range: None,
            ranges: Vec::new(),
            contents: 0,
            withheld: 0,
            defects: Findings::default(),
        }
    }

    /// Takes the next section. `false` where it is none of the ledger's.
    pub fn section(&mut self, name: &str, body: &[u8], visit: &mut Visit<'_>) -> bool {
        let Some(name) = name.strip_prefix(PREFIX) else { return false };
        let parts = name.split('/').collect::<Vec<_>>();
        let taken = match parts.as_slice() {
            ["about"] => self.take_about(body),
            ["checkpoint"] => self.take_checkpoint(body),
            ["consistent", _] => self.take_consistent(body),
            ["ranges", range, "bounds"] => self.take_bounds(range, body),
            ["ranges", range, "entries", _] => self.take_entries(range, body, visit),
            ["system"] => self.take_system(body),
            _ => None,
        };
        if taken.is_none() {
            self.defects.add(Defect::Section { name: format!("{PREFIX}{name}") });
        }
        true
    }

    fn take_about(&mut self, body: &[u8]) -> Option<()> {
        let text = std::str::from_utf8(body).ok()?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (TITLE, name, tenant, None) = (lines.next()?, lines.next()?, lines.next()?, lines.next()) else {
            return None;
        };
        let tenant_id = Uuid::parse_str(tenant).ok().filter(|id| id.to_string() == tenant)?;
        self.about = Some((LedgerName::new(name)?, tenant_id));
        Some(())
    }

    /// The ledger whose signatures count, and the tenant.
    fn subject(&self) -> Option<(LedgerName, Uuid)> {
        let (named, tenant_id) = self.about.clone()?;
        Some((self.expected.clone().unwrap_or(named), tenant_id))
    }

    fn take_checkpoint(&mut self, note: &[u8]) -> Option<()> {
        let (ledger, tenant_id) = self.subject()?;
        self.anchors = Anchors::read(&self.signers, &ledger, Log::Tenant(tenant_id), [note]);
        match self.signers.verify(&ledger, Log::Tenant(tenant_id), note) {
            Ok(verified) => {
                self.text = verified.checkpoint.to_text();
                self.checkpoint = Some(verified);
            }
            Err(error) => self.defects.add(Defect::Checkpoint { number: 0, error }),
        }
        Some(())
    }

    fn take_consistent(&mut self, body: &[u8]) -> Option<()> {
        let (ledger, tenant_id) = self.subject()?;
        let mut fields = Fields(body);
        let proof = hashes(&mut fields)?;
        let number = self.anchors.heads.len();
        if number > MAX_CONSISTENT {
            return None;
        }
        let first = self.checkpoint.as_ref()?.checkpoint.head();
        match self.signers.verify(&ledger, Log::Tenant(tenant_id), fields.0) {
            Ok(verified) => {
                let head = verified.checkpoint.head();
                let (old, new) = if head.size < first.size { (head, first) } else { (first, head) };
                if verify_consistency(&old, &new, &proof).is_ok() {
                    self.anchors.heads.insert((head.size, head.root));
                } else if head.size == first.size {
                    self.defects.add(Defect::Forked { size: head.size });
                } else {
                    self.defects.add(Defect::Inconsistent { size: head.size });
                }
            }
            Err(error) => self.defects.add(Defect::Checkpoint { number, error }),
        }
        Some(())
    }

    fn take_bounds(&mut self, range: &str, body: &[u8]) -> Option<()> {
        self.end_range();
        let (_, tenant_id) = self.subject()?;
        let proof = RangeProof::from_bytes(body).filter(|_| self.ranges.len() < MAX_RANGES)?;
        let mut anchors = self.anchors.clone();
        // They are reported once, beside the ranges.
        anchors.defects = Findings::default();
        self.range = Some((range.to_owned(), Verifier::range(tenant_id, anchors, proof).ok()?));
        Some(())
    }

    fn take_entries(&mut self, range: &str, body: &[u8], visit: &mut Visit<'_>) -> Option<()> {
        let (_, verifier) = self.range.as_mut().filter(|(open, _)| open == range)?;
        let mut fields = Fields(body);
        while !fields.0.is_empty() {
            let length = fields.u16().filter(|length| usize::from(*length) <= MAX_ENTRY_BYTES)?;
            let canonical = fields.take(length.into())?;
            let contents = contents(&mut fields)?;
            // Each entry stands where it says; what does not parse, where it would come next.
            let seq = Entry::parse(canonical).map_or(verifier.next(), |entry| entry.seq);
            let Some(entry) = verifier.entry(seq, canonical, None) else { continue };
            for content in &contents {
                verifier.content(&entry, content.field, &content.salt, content.bytes);
            }
            let there = contents.iter().filter(|content| entry.digests.get(content.field).is_some()).count();
            self.contents += contents.len() as u64;
            self.withheld += (entry.digests.iter().count() - there) as u64;
            visit(&entry, &contents);
        }
        Some(())
    }

    fn take_system(&mut self, body: &[u8]) -> Option<()> {
        let (ledger, _) = self.subject()?;
        let mut fields = Fields(body);
        let (index, proof) = (fields.u64()?, hashes(&mut fields)?);
        match self.signers.verify(&ledger, Log::System, fields.0) {
            Ok(verified) => {
                let head = verified.checkpoint.head();
                let leaf = leaf_hash(self.text.as_bytes());
                match verify_inclusion(&leaf, index, head.size, &head.root, &proof) {
                    Ok(()) => self.system = Some(verified),
                    Err(_) => self.defects.add(Defect::NotInSystem { size: head.size }),
                }
            }
            Err(error) => self.defects.add(Defect::SystemCheckpoint { error }),
        }
        Some(())
    }

    fn end_range(&mut self) {
        if let Some((_, verifier)) = self.range.take() {
            self.ranges.push(verifier.finish());
        }
    }

    /// The result. Take it only when the bundle was read to its end.
    pub fn finish(mut self) -> EvidenceReport {
        self.end_range();
        if self.checkpoint.is_none() && self.defects.listed.is_empty() {
            self.defects.add(Defect::Checkpoint { number: 0, error: NoteError::NotSigned });
        }
        let own = self.defects.listed.iter().chain(self.ranges.iter().flat_map(|report| &report.defects));
        let verdict = match own.min_by_key(|defect| defect.kind().0) {
            Some(defect) => Verdict::Defective(defect.clone()),
            None if self.signers == Signers::Any => Verdict::Consistent,
            None => Verdict::Intact,
        };
        EvidenceReport {
            verdict,
            about: self.about,
            checkpoint: self.checkpoint,
            system: self.system,
            ranges: self.ranges,
            contents: self.contents,
            withheld: self.withheld,
            defects: self.defects.listed,
        }
    }
}

fn contents<'b>(fields: &mut Fields<'b>) -> Option<Vec<Content<'b>>> {
    let count = fields.u8()?;
    let mut contents = Vec::new();
    let mut last = 0;
    for _ in 0..count {
        let number = fields.u8().filter(|number| *number > last)?;
        let field = Field::from_number(number)?;
        let salt = Salt(fields.array::<SALT_BYTES>()?);
        let length = usize::try_from(fields.u32()?).ok().filter(|length| *length <= MAX_CONTENT_BYTES)?;
        contents.push(Content { field, salt, bytes: fields.take(length)? });
        last = number;
    }
    Some(contents)
}
