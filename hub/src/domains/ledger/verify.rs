//! Verification of what is stored, on the machine that has the database: entries against what was signed, rows
//! against their entries, contents against their digests, and what was left out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use openpam_ids::TenantId;
use openpam_ledger::{
    Anchors, Frontier, Hash, Kind, LedgerName, Log, Report, Signers, TILE_WIDTH, TreeHead, Verdict, Verifier,
    VerifierKey,
};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    anchor::{BUCKET, FILE},
    contents::{Check, Told},
    cosigned::verify_cosignatures,
    error::LedgerError,
    guards::verify_guards,
    proofs,
    range::{self, Range},
    store::{
        self,
        read::{self, Tree},
        verify as read_all,
    },
    system::{Length, SystemWalk, vouched},
    tiles::verify_tiles,
};
use crate::db::{Db, set_scope, tenant_slug};

/// Entries that are looked at together: whole tiles.
const CHUNK: i64 = 40 * TILE_WIDTH as i64;
/// Findings that are listed of a log; more are counted.
const MAX_FINDINGS: usize = 100;
/// Checkpoints of one portion of entries: there is one for each size at most.
const MAX_NOTES: i64 = 2 * CHUNK;
/// Events get their places within a second. Where one has none after this time, something is wrong.
const PLACED_WITHIN_SECONDS: f64 = 60.0;
/// Entries are signed within a second. How often it is looked for a checkpoint that speaks for the last ones, and how
/// long between. No time that is stored counts: whoever rewrites entries rewrites that too.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Behind each tree.
const END: i64 = i64::MAX;

/// What to verify, and against what.
#[derive(Debug, Default)]
pub struct Scope {
    /// Slug of the only tenant; without one all, and the system's log.
    pub tenant: Option<String>,
    /// The first place.
    pub start: Option<u64>,
    /// The last place, which is looked at too.
    pub end: Option<u64>,
    /// Keys to trust, and no others; without any those that the database names.
    pub trusted: Vec<[u8; 32]>,
    /// Signed checkpoints that were kept elsewhere.
    pub anchored: Vec<String>,
    /// The name that the configuration gives the ledger, where it gives one.
    pub name: Option<String>,
    /// Names that it had before restores.
    pub former_names: Vec<String>,
    /// Whether the file that the hub anchors in is among them: then it must have all that the database says it took.
    pub anchor_file: bool,
    /// Signed checkpoints that the bucket has, where there is one and it could be read; likewise.
    pub bucket: Option<Vec<String>>,
    /// Keys of the witnesses whose signatures are looked at.
    pub witnesses: Vec<VerifierKey>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the kind.
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

/// What came of one log.
#[derive(Debug)]
pub struct Outcome {
    /// The tenant's slug, `system`, `anchor` (the file and what was given), `bucket`, `database`, or `witness` and a name.
    pub name: String,
    /// Stable name of the verdict: `intact`, `consistent` (nothing is signed yet), or the worst of the findings.
    pub verdict: &'static str,
    /// How many entries were looked at.
    pub entries: u64,
    /// Up to which place a signed checkpoint agrees with what is there.
    pub anchored: Option<u64>,
    /// The tree as it stands.
    pub head: Option<TreeHead>,
    /// What is wrong: the first of it.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
    /// What may have an innocent reason.
    pub warnings: Vec<String>,
    /// When no hub gave places. Whoever has the database could change then what waited.
    pub holes: Vec<String>,
    /// Entries whose content was erased.
    pub erased: u64,
    /// Events and row changes that wait for their places.
    pub waiting: i64,
    /// Row changes that neither the application's role nor the owner made: how many, and the first of them.
    pub by_hand: Option<(u64, String)>,
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) listed: Vec<Finding>,
    more: u64,
}

impl Findings {
    pub(super) fn add(&mut self, code: &'static str, message: String) {
        if self.listed.len() < MAX_FINDINGS {
            self.listed.push(Finding { code, message });
        } else {
            self.more += 1;
        }
    }
}

/// Verifies. An outcome for each log: whoever asks decides what to do about those that are not intact.
///
/// # Errors
/// When the database does not answer, the tenant does not exist, or there is no ledger yet.
pub async fn verify(db: &Db, scope: &Scope) -> Result<Vec<Outcome>, LedgerError> {
    // Like any other: whoever has the database is not to know who looks.
    let mut connection = db.dedicated("openpam-hub").await?;
    read_all::prepare_connection(&mut connection).await?;
    let name = read_all::name(&mut connection).await?.ok_or(LedgerError::NoLedger)?;
    let ledger = LedgerName::new(&name).ok_or(LedgerError::Stored("its name is none"))?;
    let mut log_keys = scope.trusted.clone();
    if log_keys.is_empty() {
        for key in store::keys(&mut connection).await? {
            let key = key.public_key.as_slice().try_into();
            log_keys.push(key.map_err(|_| LedgerError::Stored("a key has another length"))?);
        }
    }
    let signers = Signers::Trusted { log_keys, witnesses: Vec::new(), needed: 0 };
    let tenants = match &scope.tenant {
        Some(slug) => vec![db.tenant_by_slug(slug).await?.ok_or_else(|| LedgerError::NoTenant(slug.clone()))?],
        None => db.tenant_ids().await?,
    };
    let elsewhere = scope.anchored.iter().chain(scope.bucket.iter().flatten());
    let context = Against { ledger, signers, anchored: by_origin(elsewhere) };
    let mut outcomes = Vec::new();
    let renamed = scope.name.as_ref().filter(|configured| **configured != name);
    let known = scope.tenant.is_none().then(|| tenants.iter().map(|id| id.as_uuid()).collect::<BTreeSet<_>>());
    if !scope.anchored.is_empty() || scope.anchor_file || renamed.is_some() {
        let taken = if scope.anchor_file { store::anchored(&mut connection, FILE).await? } else { HashMap::default() };
        let kept = Kept { name: "anchor", notes: by_origin(&scope.anchored), taken };
        let renamed = renamed.map(|to| format!("the database's ledger is {name}, the configuration's {to}"));
        outcomes.push(verify_anchor(&context.ledger, scope, known.as_ref(), kept, renamed));
    }
    if let Some(notes) = &scope.bucket {
        let taken = store::anchored(&mut connection, BUCKET).await?;
        let kept = Kept { name: BUCKET, notes: by_origin(notes), taken };
        outcomes.push(verify_anchor(&context.ledger, scope, known.as_ref(), kept, None));
    }
    let mut guards = Findings::default();
    let entries = verify_guards(&mut connection, db.ledger_role(), &mut guards).await?;
    outcomes.push(outcome_of("database".to_owned(), entries, guards));
    // Whatever is asked for: a log without its checkpoints is told by the system's alone.
    let mut system = SystemWalk::new(&context);
    system.advance(&mut connection).await?;
    let mut lengths = BTreeMap::new();
    for tenant_id in tenants {
        let (outcome, length) = verify_tenant(&mut connection, tenant_id, scope, &context, system.signed()).await?;
        lengths.insert(tenant_id.as_uuid(), length);
        outcomes.push(outcome);
    }
    outcomes.push(system.finish(&mut connection, &lengths, scope.tenant.is_none()).await?);
    outcomes.extend(verify_cosignatures(&mut connection, &context.ledger, &scope.witnesses).await?);
    Ok(outcomes)
}

/// What one anchor has, and what it took by the database's account.
struct Kept {
    name: &'static str,
    notes: HashMap<String, Vec<String>>,
    taken: HashMap<String, i64>,
}

/// The checkpoints that were kept elsewhere: each is of a log that is here, and none is missing that was `taken`. A
/// ledger under another name, or without a tenant, would otherwise be held against none of them.
fn verify_anchor(
    ledger: &LedgerName,
    scope: &Scope,
    tenants: Option<&BTreeSet<Uuid>>,
    kept: Kept,
    renamed: Option<String>,
) -> Outcome {
    let (mut findings, mut warnings) = (Findings::default(), Vec::new());
    if let Some(message) = renamed {
        findings.add("name_differs", message);
    }
    let former = scope.former_names.iter().filter_map(|name| LedgerName::new(name)).collect::<Vec<_>>();
    let mut origins = kept.notes.iter().collect::<Vec<_>>();
    origins.sort();
    for (origin, notes) in origins {
        let is_here = match ledger.log(origin) {
            Some(Log::Tenant(tenant_id)) => tenants.is_none_or(|tenants| tenants.contains(&tenant_id)),
            Some(Log::System) => true,
            None => false,
        };
        if let Some(before) = former.iter().find(|former| !is_here && former.log(origin).is_some()) {
            let most = notes.iter().filter_map(|note| size_of(note)).max().unwrap_or(0);
            warnings.push(format!(
                "{origin}: the former ledger {before} went to {most} entries there, and nothing here is held against it"
            ));
        } else if !is_here {
            let count = notes.len();
            let message = format!("{count} checkpoints of {origin:?}, and no log here, of {ledger}, has that name");
            findings.add("anchor_unused", message);
        }
    }
    let mut taken = kept.taken.iter().collect::<Vec<_>>();
    taken.sort();
    for (origin, size) in taken {
        let notes = kept.notes.get(origin).into_iter().flatten();
        let has = notes.filter_map(|note| size_of(note)).max().unwrap_or(0);
        if has < size.cast_unsigned() {
            let message = format!("it took a checkpoint of {size} entries of {origin}, and goes to {has}");
            findings.add("anchor_incomplete", message);
        }
    }
    let entries = kept.notes.values().map(|notes| notes.len() as u64).sum();
    Outcome { warnings, ..outcome_of(kept.name.to_owned(), entries, findings) }
}

pub(super) struct Against {
    pub(super) ledger: LedgerName,
    pub(super) signers: Signers,
    anchored: HashMap<String, Vec<String>>,
}

impl Against {
    pub(super) fn anchored(&self, log: Log) -> impl Iterator<Item = &str> {
        self.anchored.get(&self.ledger.origin(log)).into_iter().flatten().map(String::as_str)
    }

    pub(super) fn read<'n>(&self, log: Log, notes: impl Iterator<Item = &'n str>) -> Anchors {
        Anchors::read(&self.signers, &self.ledger, log, notes.map(str::as_bytes))
    }
}

/// Checkpoints by the log that they name in their first line.
fn by_origin<'n>(notes: impl IntoIterator<Item = &'n String>) -> HashMap<String, Vec<String>> {
    let mut sorted = HashMap::<String, Vec<String>>::new();
    for note in notes {
        let origin = note.lines().next().unwrap_or_default().to_owned();
        sorted.entry(origin).or_default().push(note.clone());
    }
    sorted
}

async fn verify_tenant(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    scope: &Scope,
    against: &Against,
    system: i64,
) -> Result<(Outcome, Length), LedgerError> {
    let mut tx = connection.begin().await?;
    read_all::hold_still(&mut tx).await?;
    set_scope(&mut tx, &tenant_id.to_string(), "system", "audit verify").await?;
    let name = tenant_slug(&mut tx).await?;
    let stored = read_all::end(&mut tx).await?;
    let head = store::head(&mut tx).await?;
    let (size, frontier) = head.unwrap_or((0, Frontier::new().to_bytes()));
    let signed = read_all::last_checkpoint(&mut tx, None).await?.map_or(0, |(size, _)| size.cast_unsigned());
    let length = Length { entries: stored.cast_unsigned(), signed };
    let whole = scope.start.is_none() && scope.end.is_none();
    let log = Log::Tenant(tenant_id.as_uuid());
    let (bounds, begun) = if whole {
        let anchors = against.read(log, against.anchored(log));
        let verifier = Some(Verifier::new(tenant_id.as_uuid(), anchors));
        ((0, stored.max(size)), Range { verifier, findings: Findings::default(), last: None })
    } else {
        let bounds = range::bounds(scope, stored.max(size));
        (bounds, range::begin(&mut tx, against, tenant_id.as_uuid(), bounds, (stored, system)).await?)
    };
    let Range { verifier, findings, last } = begun;
    let own_users = read_all::own_users(&mut tx).await?;
    let mut walk = Walk {
        tenant_id: tenant_id.as_uuid(),
        verifier,
        findings,
        told: Told::default(),
        placed: [0; 2],
        by_hand: None,
        own_users,
        against,
        system,
    };
    let (first, end) = bounds;
    let mut at = first;
    while at < end && walk.verifier.is_some() {
        // Chunks end where tiles do.
        let until = ((at / CHUNK + 1) * CHUNK).min(end);
        walk.chunk(&mut tx, at, until, size, whole).await?;
        at = until;
    }
    let mut waiting = 0;
    if whole {
        // Where as many have places as there are, none is without one.
        let without = if read_all::counts(&mut tx).await? == walk.placed {
            read_all::Unsequenced::default()
        } else {
            read_all::unsequenced(&mut tx, PLACED_WITHIN_SECONDS).await?
        };
        waiting = without.waiting;
        walk.without_place(&without);
        walk.add_anchors(&mut tx, end, END).await?;
        verify_tiles(&mut tx, Tree::Tenant, stored.cast_unsigned(), &mut walk.findings).await?;
        if let Some((reason, since)) = store::damaged::own_damage(&mut tx).await? {
            walk.findings.add("damaged", format!("since {since} a hub cannot give places here: {reason}"));
        }
    }
    let behind = last.map(|last| (end, last));
    walk.told.explain(&mut tx, behind, &mut walk.findings).await?;
    let Walk { verifier, mut findings, mut told, by_hand, .. } = walk;
    let Some(verifier) = verifier else {
        tx.rollback().await?;
        return Ok((outcome_of(name, 0, findings), length));
    };
    let report = verifier.finish();
    if whole {
        let stored_head = Frontier::from_bytes(&frontier).map(|tree| TreeHead { size: tree.size(), root: tree.root() });
        if report.head.is_some() && stored_head != report.head {
            findings
                .add("head_differs", format!("the stored head speaks of {size} entries, and of others than there are"));
        } else if report.head.is_none() && stored_head.map(|head| head.size) != Some(stored.cast_unsigned()) {
            findings.add("head_differs", format!("the stored head speaks of {size} entries, {stored} are there"));
        }
    }
    tx.rollback().await?;
    if whole {
        let spoken_for = report.anchored.unwrap_or(0);
        let is_late = spoken_for < length.entries
            && !(length.signed < length.entries && is_signed_soon(connection, tenant_id, against, report.head).await?);
        // Without its checkpoints a log proves nothing: who deleted them may have written it anew.
        if is_late {
            let count = length.entries - spoken_for;
            let message = format!("no checkpoint speaks for {count} entries from {spoken_for} on");
            findings.add("unsigned", message);
        }
    }
    let mut outcome = outcome(name, report, findings, told.erased(), waiting);
    outcome.by_hand = by_hand;
    outcome.holes = told.holes();
    Ok((outcome, length))
}

/// Whether a checkpoint comes that speaks for this tree: a hub that runs signs what it has just given places.
async fn is_signed_soon(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    against: &Against,
    head: Option<TreeHead>,
) -> Result<bool, LedgerError> {
    let Some(head) = head else { return Ok(false) };
    let log = Log::Tenant(tenant_id.as_uuid());
    for _ in 0..LOOKS {
        let mut tx = connection.begin().await?;
        set_scope(&mut tx, &tenant_id.to_string(), "system", "audit verify").await?;
        if let Some((_, note)) = read_all::last_checkpoint(&mut tx, None).await? {
            let later = against.read(log, std::iter::once(note.as_str())).heads().next();
            if let Some(later) = later.filter(|later| later.size >= head.size) {
                return proofs::goes_on(&mut tx, Tree::Tenant, &head, &later).await;
            }
        }
        tx.rollback().await?;
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(false)
}

/// What came of something that is no log, or of which there is nothing to look at.
pub(super) fn outcome_of(name: String, entries: u64, findings: Findings) -> Outcome {
    Outcome {
        name,
        verdict: findings.listed.first().map_or("intact", |finding| finding.code),
        entries,
        anchored: None,
        head: None,
        findings: findings.listed,
        more: findings.more,
        warnings: Vec::new(),
        holes: Vec::new(),
        erased: 0,
        waiting: 0,
        by_hand: None,
    }
}

/// What came of a log: what its verifier reports, and what was found beside.
pub(super) fn outcome(name: String, report: Report, own: Findings, erased: u64, waiting: i64) -> Outcome {
    let mut findings = Findings::default();
    for defect in &report.defects {
        findings.add(defect.code(), defect.to_string());
    }
    findings.more += report.more_defects + own.more;
    for finding in own.listed {
        findings.add(finding.code, finding.message);
    }
    let verdict = match &report.verdict {
        Verdict::Defective(defect) => defect.code(),
        verdict => findings.listed.first().map_or(verdict.code(), |finding| finding.code),
    };
    let warnings = report.warnings.iter().map(|warning| format!("{}: {warning}", warning.code())).collect();
    let (anchored, head) = (report.anchored, report.head);
    Outcome { verdict, anchored, head, warnings, erased, waiting, ..outcome_of(name, report.entries, findings) }
}

/// The way along one tenant's log.
struct Walk<'a> {
    tenant_id: Uuid,
    verifier: Option<Verifier>,
    findings: Findings,
    told: Told,
    /// Events and row changes that have places.
    placed: [i64; 2],
    by_hand: Option<(u64, String)>,
    /// Users of the database that are OpenPAM's own.
    own_users: [String; 2],
    against: &'a Against,
    /// Leaves of the system's log that a signed checkpoint speaks for.
    system: i64,
}

impl Walk<'_> {
    fn log(&self) -> Log {
        Log::Tenant(self.tenant_id)
    }

    /// The checkpoints of trees that are larger than `behind` and not larger than `end`, and what the system's log has
    /// of them.
    async fn add_anchors(&mut self, connection: &mut PgConnection, behind: i64, end: i64) -> Result<(), LedgerError> {
        let notes = read_all::checkpoints(connection, behind, end, MAX_NOTES).await?;
        let leaves = read_all::own_leaves(connection, self.system, behind, end).await?;
        let anchors = self.against.read(self.log(), notes.iter().map(String::as_str));
        let leaves = vouched(self.against, self.log(), &leaves);
        if let Some(verifier) = &mut self.verifier {
            // They come in the order of their sizes, so that none is too late.
            let _ = verifier.anchors(anchors);
            let _ = verifier.anchors(leaves);
        }
        Ok(())
    }

    fn without_place(&mut self, without: &read_all::Unsequenced) {
        if let Some(one) = without.one {
            let message = format!("{} events or row changes were left out, one of them is {one}", without.left_out);
            self.findings.add("unsequenced", message);
        }
        if let Some(one) = without.late_one {
            let message = format!(
                "{} events or row changes wait for their places for longer than {PLACED_WITHIN_SECONDS} s, or are of a \
                 time to come; one of them is {one}",
                without.late
            );
            self.findings.add("waiting", message);
        }
    }

    async fn chunk(
        &mut self,
        connection: &mut PgConnection,
        first: i64,
        end: i64,
        size: i64,
        whole: bool,
    ) -> Result<(), LedgerError> {
        if whole {
            self.add_anchors(connection, first, end).await?;
        }
        let stored = read_all::entries(connection, first, end).await?;
        let kept = kept_hashes(connection, first, end, size).await?;
        let Some(verifier) = &mut self.verifier else { return Ok(()) };
        let mut entries = HashMap::with_capacity(stored.len());
        let mut next = first;
        for row in &stored {
            for missing in next..row.seq {
                if let Some(hash) = kept.get(&missing) {
                    verifier.absent(missing.cast_unsigned(), *hash);
                }
            }
            next = row.seq + 1;
            let leaf = || read::hash(&row.leaf_hash).ok();
            let hash = kept.get(&row.seq).copied().or_else(leaf);
            if let Some(entry) = verifier.entry(row.seq.cast_unsigned(), &row.canonical, hash) {
                if entry.event_id != row.event_id || entry.kind as i16 != row.kind {
                    self.findings.add("event_misnamed", format!("entry {} is filed under another event", row.seq));
                }
                self.told.time(&entry);
                entries.insert(row.seq, (entry, row.canonical.as_slice()));
            }
        }
        for missing in next..end {
            if let Some(hash) = kept.get(&missing) {
                verifier.absent(missing.cast_unsigned(), *hash);
            }
        }
        let mut check = Check {
            verifier,
            findings: &mut self.findings,
            entries: &entries,
            told: &mut self.told,
            seen: BTreeSet::new(),
        };
        let Against { ledger, signers, .. } = self.against;
        let has = |kind: Kind| stored.iter().any(|row| row.kind == kind as i16);
        let [events, changes] = &mut self.placed;
        if has(Kind::Event) {
            read_all::events(connection, first, end, |seq, row| {
                *events += 1;
                check.event(seq, &row, ledger, signers);
            })
            .await?;
        }
        if has(Kind::RowChange) {
            let (own_users, by_hand) = (&self.own_users, &mut self.by_hand);
            read_all::changes(connection, first, end, |seq, row| {
                *changes += 1;
                let erased = row.salts.is_none().then(|| row.is_empty());
                if erased.is_none() && !own_users.contains(&row.database_user) {
                    // Whatever it says of who acted: whoever has the database can set that as they like.
                    let one = || format!("the first is entry {seq}, by the database's user {}", row.database_user);
                    by_hand.get_or_insert_with(|| (0, one())).0 += 1;
                }
                check.row(seq, Kind::RowChange, &row.contents(), erased, |digests| row.draft_with(digests));
            })
            .await?;
        }
        let seen = check.seen;
        for row in stored.iter().filter(|row| !seen.contains(&row.seq)) {
            let what = if row.kind == Kind::Event as i16 { "event" } else { "row change" };
            self.findings.add("event_missing", format!("the {what} {} of entry {} was removed", row.event_id, row.seq));
        }
        Ok(())
    }
}

/// The hashes that the tiles have of these places.
async fn kept_hashes(
    connection: &mut PgConnection,
    first: i64,
    end: i64,
    size: i64,
) -> Result<HashMap<i64, Hash>, LedgerError> {
    let width = TILE_WIDTH as i64;
    let mut kept = HashMap::new();
    for (index, hashes) in read_all::leaf_tiles(connection, first / width, (end + width - 1) / width).await? {
        for (at, bytes) in (index * width..).zip(hashes.chunks_exact(32)) {
            if (first..end).contains(&at) && at < size {
                kept.insert(at, read::hash(bytes)?);
            }
        }
    }
    Ok(kept)
}

/// The size that a note's second line names.
fn size_of(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

impl Outcome {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && matches!(self.verdict, "intact" | "consistent")
    }
}
