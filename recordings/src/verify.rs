//! Verification: are these the segments that were recorded, all of them, and in this order?
//!
//! Segments are given in the order in which they are stored, the manifest at the end. Structure,
//! chain, Merkle tree and signature need no key; decryption needs the private key of a recipient.
//! The [`Report`] says which of these were done. `FORMAT.md` says what each of them proves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use uuid::Uuid;

use openpam_merkle::Frontier;

use crate::{
    chain::Head,
    defect::Defect,
    header::{SegmentHeader, Session},
    keys::{Recipient, RecipientPrivateKey, SessionKey, SignerKey},
    layout::Hash,
    manifest::{ClosedBy, Manifest, SignedManifest},
    segment::Segment,
};

/// Findings that a report lists; more are counted.
const MAX_FINDINGS: usize = 100;

/// Whose signatures count.
#[derive(Debug, Clone, Copy)]
pub enum Signers<'k> {
    /// Only these.
    Trusted(&'k [SignerKey]),
    /// Any. Then the verdict is at best [`Verdict::Consistent`].
    Any,
}

/// What came of one kind of check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It was done, and all is right.
    Passed,
    /// It was done, and something is wrong.
    Failed,
    /// It was not done: what it needs was not there.
    NotDone,
}

/// Whether all of the recording is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// The writer closed it.
    Complete,
    /// The completer closed it, after the writer died: what was not stored by then is not there.
    Completed,
    /// There is no manifest, or none that counts: the session is running, or its writer died.
    Unknown,
}

/// The result in one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was signed is there and unchanged, and the signer is trusted.
    Intact,
    /// Everything fits together, but no signer was named whom to trust.
    Consistent,
    /// What is there fits together, but there is no manifest.
    Incomplete,
    /// There is nothing.
    Empty,
    /// Something is wrong; of several things the one that explains most.
    Defective(Defect),
}

impl Verdict {
    /// The stable name of this verdict.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Consistent => "consistent",
            Self::Incomplete => "incomplete",
            Self::Empty => "empty",
            Self::Defective(defect) => defect.code(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Intact => "the recording is whole and unchanged",
            Self::Consistent => "the recording fits together, but no signer was named whom to trust",
            Self::Incomplete => {
                "what is there fits together, but there is no manifest: the session is running or its recorder died; \
                 whether more was recorded behind the last segment cannot be told"
            }
            Self::Empty => "there is no recording here",
            Self::Defective(defect) => return defect.fmt(formatter),
        })
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which of the segments given, from 0; `None` where it is about the whole or the manifest.
    pub position: Option<usize>,
    /// What is wrong.
    pub defect: Defect,
}

/// What was checked, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The result in one word.
    pub verdict: Verdict,
    /// What was recorded, as far as anything says so.
    pub session: Option<Session>,
    /// How many segments of this recording are there.
    pub segments: u32,
    /// Whether each segment has the structure of one. Needs no key.
    pub structure: Check,
    /// Whether the segments follow from each other without a hole. Needs no key.
    pub chain: Check,
    /// Whether the segments are those that the manifest names. Needs no key.
    pub merkle: Check,
    /// Whether the segments begin with those of the head that was given. Needs no key.
    pub head: Check,
    /// Whether they begin with those of every head that the ledger has. Needs no key.
    pub ledger: Check,
    /// Whether the manifest's signature fits and its signer is trusted. Needs no key.
    pub signature: Check,
    /// Whether all content decrypts to well-formed records. Needs a recipient's private key.
    pub decryption: Check,
    /// Whether all of the recording is there.
    pub completeness: Completeness,
    /// The manifest, if it could be read.
    pub manifest: Option<Manifest>,
    /// What is wrong, the first hundred things.
    pub findings: Vec<Finding>,
    /// How many further findings are not listed.
    pub omitted_findings: usize,
}

#[derive(Debug, Default)]
struct Findings {
    listed: Vec<Finding>,
    omitted: usize,
    /// The one that explains most.
    first: Option<Defect>,
}

impl Findings {
    fn add(&mut self, position: Option<usize>, defect: Defect) {
        if self.first.as_ref().is_none_or(|first| defect.rank() < first.rank()) {
            self.first = Some(defect.clone());
        }
        if self.listed.len() < MAX_FINDINGS {
            self.listed.push(Finding { position, defect });
        } else {
            self.omitted += 1;
        }
    }
}

/// What is kept of a segment until the end.
#[derive(Debug)]
struct Link {
    position: usize,
    session: Session,
    seq: u32,
    hash: Hash,
    previous: Hash,
    /// Over what must be the same in all segments of a recording and in its manifest.
    common: Hash,
    from: u64,
    until: u64,
    records: u32,
    plain_bytes: u32,
    stored_bytes: u64,
    dropped_bytes: u64,
}

impl Link {
    fn new(position: usize, header: &SegmentHeader, hash: Hash) -> Self {
        Self {
            position,
            session: header.session,
            seq: header.seq,
            hash,
            previous: header.previous,
            common: common(&header.session, &header.commitment, header.recipients()),
            from: header.from,
            until: header.until,
            records: header.records,
            plain_bytes: header.plain_bytes,
            stored_bytes: header.stored_bytes(),
            dropped_bytes: header.dropped_bytes,
        }
    }
}

fn common(session: &Session, commitment: &Hash, recipients: impl Iterator<Item = Recipient>) -> Hash {
    let mut recipients_bytes = Vec::new();
    for recipient in recipients {
        recipients_bytes.push(recipient.role as u8);
        recipients_bytes.extend_from_slice(&recipient.key.0);
    }
    let start = session.started_at.to_be_bytes();
    Hash::of(&[&[session.content as u8], &session.identity(), &start, &commitment.0, &recipients_bytes])
}

/// Verifies one recording. Keeps about 200 bytes for each segment.
#[derive(Debug)]
pub struct Verifier<'k> {
    signers: Signers<'k>,
    key: Option<&'k RecipientPrivateKey>,
    expected: Option<(Uuid, Uuid)>,
    head: Option<Head>,
    /// Heads of the ledger.
    noted: Vec<Head>,
    is_closed: bool,
    /// The last data key that was unwrapped, and for which recording.
    unwrapped: Option<(Session, SessionKey)>,
    positions: usize,
    sound: Vec<Link>,
    undecrypted: bool,
    findings: Findings,
}

impl<'k> Verifier<'k> {
    /// Begins with no segment.
    pub fn new(signers: Signers<'k>) -> Self {
        Self {
            signers,
            key: None,
            expected: None,
            head: None,
            noted: Vec::new(),
            is_closed: false,
            unwrapped: None,
            positions: 0,
            sound: Vec::new(),
            undecrypted: false,
            findings: Findings::default(),
        }
    }

    /// Decrypts too, with the private key of a recipient.
    #[must_use]
    pub fn with_key(mut self, key: &'k RecipientPrivateKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Says which session it must be. Without, it is that of the manifest or of the first segment.
    #[must_use]
    pub fn of_session(mut self, tenant_id: Uuid, session_id: Uuid) -> Self {
        self.expected = Some((tenant_id, session_id));
        self
    }

    /// Compares with a head that is known from elsewhere, as from the ledger: it shows that segments
    /// are missing from the end even where there is no manifest.
    #[must_use]
    pub fn with_head(mut self, head: Head) -> Self {
        self.head = Some(head);
        self
    }

    /// Compares with heads that the ledger has: what was there when each of them was noted has to be there still, whatever
    /// store, database and manifest say now.
    #[must_use]
    pub fn with_ledger(mut self, heads: impl IntoIterator<Item = Head>) -> Self {
        self.noted.extend(heads);
        self.noted.sort_by_key(|head| head.segments);
        self
    }

    /// Says that the recording was closed: there must be a manifest.
    #[must_use]
    pub fn closed(mut self) -> Self {
        self.is_closed = true;
        self
    }

    /// Takes the next stored segment, whole.
    pub fn segment(&mut self, bytes: &[u8]) {
        let position = self.positions;
        self.positions += 1;
        let segment = match Segment::parse(bytes) {
            Ok(segment) => segment,
            Err(defect) => return self.findings.add(Some(position), defect),
        };
        if let Some(key) = self.key
            && let Err(defect) = self.decrypt(&segment, key)
        {
            self.undecrypted = true;
            self.findings.add(Some(position), defect);
        }
        self.sound.push(Link::new(position, segment.header(), segment.hash()));
    }

    fn decrypt(&mut self, segment: &Segment<'_>, private: &RecipientPrivateKey) -> Result<(), Defect> {
        let header = segment.header();
        let fits = |(session, key): &(Session, SessionKey)| {
            session.identity() == header.session.identity() && key.commitment() == header.commitment
        };
        if !self.unwrapped.as_ref().is_some_and(fits) {
            self.unwrapped = Some((header.session, SessionKey::unwrap(header, private)?));
        }
        match &self.unwrapped {
            Some((_, key)) => segment.open(key)?.check(),
            None => Err(Defect::WrongKey { seq: header.seq }),
        }
    }

    /// Takes the stored manifest, if there is one, and says what came of it all.
    pub fn finish(mut self, manifest: Option<&[u8]>) -> Report {
        let structure = self.check(self.positions > 0, self.sound.len() == self.positions);
        let decryption = self
            .check(self.key.is_some() && self.positions > 0, !self.undecrypted && self.sound.len() == self.positions);
        let parsed = manifest.and_then(|bytes| match SignedManifest::parse(bytes) {
            Ok(signed) => Some(signed),
            Err(defect) => {
                self.findings.add(None, defect);
                None
            }
        });
        if self.is_closed && manifest.is_none() {
            self.findings.add(None, Defect::ManifestMissing);
        }
        let fits = parsed.as_ref().is_some_and(|signed| signed.verify().is_ok());
        let identity = self.identity(parsed.as_ref().filter(|_| fits));
        let signature = self.signature(parsed.as_ref(), fits);
        // A manifest counts if it is genuine and of this recording.
        let counts = parsed.as_ref().map(SignedManifest::manifest).filter(|manifest| {
            if identity.is_some_and(|identity| identity != manifest.session.identity()) {
                self.findings.add(None, Defect::ForeignManifest { session_id: manifest.session.session_id });
                return false;
            }
            fits
        });
        let (own, whole) = self.order(identity, counts);
        let chain = self.check(self.positions > 0, whole);
        let merkle = match counts {
            Some(manifest) => self.merkle(manifest, &own),
            None => Check::NotDone,
        };
        let head = match self.head {
            Some(head) => self.check_head(head, &own),
            None => Check::NotDone,
        };
        let ledger = self.check_ledger(&own);
        let completeness = match counts.map(|manifest| manifest.closed_by) {
            Some(ClosedBy::Writer) => Completeness::Complete,
            Some(ClosedBy::Completer) => Completeness::Completed,
            None => Completeness::Unknown,
        };
        let verdict = match (self.findings.first.take(), counts, self.signers) {
            (Some(defect), ..) => Verdict::Defective(defect),
            (None, Some(_), Signers::Trusted(_)) => Verdict::Intact,
            (None, Some(_), Signers::Any) => Verdict::Consistent,
            (None, None, _) if self.positions == 0 => Verdict::Empty,
            (None, None, _) => Verdict::Incomplete,
        };
        Report {
            verdict,
            session: own.first().map(|link| link.session).or(parsed.as_ref().map(|signed| signed.manifest().session)),
            segments: own.len() as u32,
            structure,
            chain,
            merkle,
            head,
            ledger,
            signature,
            decryption,
            completeness,
            manifest: parsed.map(|signed| signed.manifest().clone()),
            findings: self.findings.listed,
            omitted_findings: self.findings.omitted,
        }
    }

    fn check(&self, done: bool, passed: bool) -> Check {
        match (done, passed) {
            (false, _) => Check::NotDone,
            (true, true) => Check::Passed,
            (true, false) => Check::Failed,
        }
    }

    /// Tenant and session of the recording that this should be.
    fn identity(&self, genuine: Option<&SignedManifest>) -> Option<[u8; 32]> {
        let of_links = || self.sound.iter().map(|link| link.session.identity());
        if let Some((tenant, session)) = self.expected {
            let mut identity = [0; 32];
            identity[..16].copy_from_slice(tenant.as_bytes());
            identity[16..].copy_from_slice(session.as_bytes());
            return Some(identity);
        }
        genuine
            .map(|signed| signed.manifest().session.identity())
            .filter(|signed| self.sound.is_empty() || of_links().any(|identity| identity == *signed))
            .or_else(|| of_links().next())
    }

    fn signature(&mut self, signed: Option<&SignedManifest>, fits: bool) -> Check {
        let Some(signed) = signed else { return Check::NotDone };
        if !fits {
            self.findings.add(None, Defect::SignatureInvalid);
            return Check::Failed;
        }
        let signer = signed.manifest().signer;
        match self.signers {
            Signers::Trusted(trusted) if !trusted.contains(&signer) => {
                self.findings.add(None, Defect::UntrustedSigner { signer });
                Check::Failed
            }
            _ => Check::Passed,
        }
    }

    /// Puts the segments of this recording in their order; says too whether they follow from each
    /// other without a hole.
    fn order(&mut self, identity: Option<[u8; 32]>, manifest: Option<&Manifest>) -> (Vec<Link>, bool) {
        let sound = std::mem::take(&mut self.sound);
        let before = self.findings.listed.len() + self.findings.omitted;
        let mut own = BTreeMap::<u32, Link>::new();
        // Where an unreadable or foreign segment stands, none is missing.
        let mut occupied = BTreeSet::new();
        let (mut next, mut expected_position) = (0_u32, 0);
        for link in sound {
            for _ in expected_position..link.position {
                occupied.insert(next);
                next = next.saturating_add(1);
            }
            expected_position = link.position + 1;
            let (position, seq) = (Some(link.position), link.seq);
            if identity.is_some_and(|identity| identity != link.session.identity()) {
                occupied.insert(next);
                next = next.saturating_add(1);
                self.findings.add(position, Defect::OtherSession { seq, session_id: link.session.session_id });
            } else if let Some(other) = own.get(&seq) {
                let same = other.hash == link.hash;
                self.findings
                    .add(position, if same { Defect::Duplicated { seq } } else { Defect::Conflicting { seq } });
            } else {
                if own.last_key_value().is_some_and(|(last, _)| seq < *last) {
                    self.findings.add(position, Defect::Reordered { seq });
                }
                next = seq.saturating_add(1);
                own.insert(seq, link);
            }
        }
        for _ in expected_position..self.positions {
            occupied.insert(next);
            next = next.saturating_add(1);
        }
        let own = own.into_values().collect::<Vec<_>>();
        self.holes(&own, &occupied, manifest);
        self.links(&own, manifest);
        let after = self.findings.listed.len() + self.findings.omitted;
        (own, after == before && occupied.is_empty())
    }

    fn holes(&mut self, own: &[Link], occupied: &BTreeSet<u32>, manifest: Option<&Manifest>) {
        let mut first = 0;
        let signed = manifest.map(|manifest| manifest.segments);
        // What a manifest or a head counts must be there; what a manifest does not count is surplus.
        let noted = self.noted.last().map_or(0, |head| head.segments);
        let end = signed.unwrap_or(0).max(self.head.map_or(0, |head| head.segments)).max(noted);
        let seqs = own.iter().map(|link| link.seq).filter(|seq| signed.is_none() || *seq < end);
        for seq in seqs.chain((end > 0).then_some(end)) {
            if seq > first {
                let count = seq - first - occupied.range(first..seq).count() as u32;
                if count > 0 {
                    self.findings.add(None, Defect::Missing { first, count });
                }
            }
            first = first.max(seq.saturating_add(1));
        }
        for link in own.iter().filter(|link| signed.is_some_and(|signed| link.seq >= signed)) {
            self.findings.add(Some(link.position), Defect::Surplus { seq: link.seq });
        }
    }

    fn links(&mut self, own: &[Link], manifest: Option<&Manifest>) {
        let common = manifest
            .filter(|manifest| manifest.segments > 0)
            .map(|manifest| common(&manifest.session, &manifest.commitment, manifest.recipients.iter().copied()))
            .or(own.first().map(|link| link.common));
        let mut before: Option<&Link> = None;
        for link in own {
            let (position, seq) = (Some(link.position), link.seq);
            let previous = before.filter(|before| before.seq.checked_add(1) == Some(seq));
            if Some(link.common) != common || previous.is_some_and(|previous| link.from < previous.until) {
                self.findings.add(position, Defect::InconsistentHeader { seq });
            }
            let follows = match previous {
                Some(previous) => link.previous == previous.hash,
                None => seq != 0 || link.previous == Hash::ZERO,
            };
            if !follows {
                self.findings.add(position, Defect::ChainBroken { seq });
            }
            before = Some(link);
        }
    }

    fn check_head(&mut self, head: Head, own: &[Link]) -> Check {
        let below = own.iter().take_while(|link| link.seq < head.segments);
        let tree = below.map(|link| link.hash).collect::<Frontier>();
        let passed = tree.size() == u64::from(head.segments) && tree.root() == head.root;
        if !passed {
            self.findings.add(None, Defect::HeadMismatch { segments: head.segments });
        }
        self.check(true, passed)
    }

    /// One pass over the segments, however many heads there are.
    fn check_ledger(&mut self, own: &[Link]) -> Check {
        let noted = std::mem::take(&mut self.noted);
        let mut links = own.iter().peekable();
        let mut tree = Frontier::default();
        let mut first = None;
        for head in &noted {
            while let Some(link) = links.next_if(|link| link.seq < head.segments) {
                // A tree that is full has another size than any head.
                let _ = tree.push(link.hash);
            }
            if tree.size() != u64::from(head.segments) || tree.root() != head.root {
                first.get_or_insert(head.segments);
            }
        }
        // What follows the first one that does not fit cannot fit either.
        if let Some(segments) = first {
            self.findings.add(None, Defect::LedgerMismatch { segments });
        }
        self.check(!noted.is_empty(), first.is_none())
    }

    fn merkle(&mut self, manifest: &Manifest, own: &[Link]) -> Check {
        let tree = own.iter().map(|link| link.hash).collect::<Frontier>();
        let mut passed = tree.root() == manifest.root && own.len() == manifest.segments as usize;
        if let Some(last) = own.last()
            && last.seq.checked_add(1) == Some(manifest.segments)
            && last.hash != manifest.last
        {
            self.findings.add(Some(last.position), Defect::LastSegmentAltered { seq: last.seq });
        }
        if !passed {
            self.findings.add(None, Defect::RootMismatch);
        }
        let sum = |of: fn(&Link) -> u64| own.iter().map(of).fold(0, u64::saturating_add);
        for (field, fits) in [
            ("last hash", own.last().map_or(Hash::ZERO, |link| link.hash) == manifest.last),
            ("number of records", sum(|link| link.records.into()) == manifest.records),
            ("number of plain bytes", sum(|link| link.plain_bytes.into()) == manifest.plain_bytes),
            ("number of stored bytes", sum(|link| link.stored_bytes) == manifest.stored_bytes),
            ("number of dropped bytes", sum(|link| link.dropped_bytes) == manifest.dropped_bytes),
            ("end", own.last().is_none_or(|link| link.until <= manifest.ended_at)),
        ] {
            if !fits {
                passed = false;
                self.findings.add(None, Defect::ManifestMismatch { field });
            }
        }
        self.check(true, passed)
    }
}
