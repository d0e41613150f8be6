//! Anchors: checkpoints that are kept where the database's superuser has no hand. A log that was cut off, or
//! rolled back with all of its checkpoints, is told by them alone.
//!
//! Each is read and written aside, and none waits for another: one that hangs holds up neither the leader nor the
//! others. INVARIANT: a leader signs nothing before it has held the stored logs against every anchor.

mod bucket;
mod file;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use metrics::{counter, gauge};
use openpam_ledger::{Checkpoint, Frontier, LedgerName, Log, Note, RangeProof, Signers, TreeHead};
use openpam_telemetry::names;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant, timeout},
};

use super::{
    error::LedgerError,
    keys::Signer,
    proofs,
    state::AnchorState,
    store::{self, read::Tree},
};
use crate::{config::Ledger as Config, context::Actor, db::set_scope, objects::Objects, state::Hub};

/// How long the leader waits for what it has just begun. With every anchor there can be, less than the silence after
/// which another leads.
const GRACE: Duration = Duration::from_millis(200);
/// After this time it is told that an anchor does not answer. It is waited for nevertheless.
pub(super) const SLOW: Duration = Duration::from_secs(5);
/// Between looks at an anchor that cannot be read, or that has another ledger.
const AGAIN: Duration = Duration::from_secs(2);
/// The names of anchors, in the database too.
pub(super) const FILE: &str = "file";
pub(super) const BUCKET: &str = "bucket";

/// Why an anchor did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnchorError {
    /// It had something, and is gone.
    #[error("it is gone")]
    Gone,
    /// It does not answer, or refuses; why.
    #[error("{0}")]
    Failed(String),
}

impl From<serde_json::Error> for AnchorError {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// One checkpoint, as it stands in an anchor: a line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    at: DateTime<Utc>,
    origin: String,
    size: u64,
    note: String,
}

impl Line {
    fn to_json(&self) -> Result<String, AnchorError> {
        Ok(serde_json::to_string(self)?)
    }

    /// The checkpoint of a line, and its note; nothing where it has none.
    fn parse(text: &[u8]) -> Option<(Checkpoint, String)> {
        let line = serde_json::from_slice::<Self>(text).ok()?;
        let note = Note::parse(line.note.as_bytes()).ok()?;
        Some((Checkpoint::parse(note.text()).ok()?, line.note))
    }
}

/// Whose checkpoints count: those of this ledger's logs that its keys have signed. Whoever may write into an anchor, and
/// has none of the keys, hides nothing by what they put there.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    ledger: LedgerName,
    signers: Signers,
}

impl Trust {
    pub(super) fn new(ledger: &LedgerName, signer: &Signer) -> Self {
        Self { ledger: ledger.clone(), signers: signer.signers() }
    }

    /// Another ledger's are not judged here.
    fn counts(&self, origin: &str, note: &str) -> bool {
        let log = self.ledger.log(origin);
        log.is_none_or(|log| self.signers.verify(&self.ledger, log, note.as_bytes()).is_ok())
    }
}

/// Whether the checkpoint of that origin counts; where nobody's keys are known, any does.
fn counts(trust: Option<&Trust>, origin: &str, note: &str) -> bool {
    trust.is_none_or(|trust| trust.counts(origin, note))
}

/// The largest checkpoint of each log. There is one, except where somebody put another one of its size there.
type Largest = BTreeMap<String, Vec<TreeHead>>;

/// What keeps checkpoints.
#[derive(Debug, Clone)]
enum Place {
    /// A file to which lines are appended.
    File(PathBuf),
    /// A bucket in which each is an object.
    Bucket(Objects),
}

impl Place {
    /// It may be on a disk of the network that hangs, and it may be large.
    async fn largest(self, trust: Trust) -> Result<Largest, AnchorError> {
        match self {
            Self::File(path) => blocking(move || file::largest(&path, Some(&trust))).await,
            Self::Bucket(objects) => bucket::largest(&objects, Some(&trust)).await,
        }
    }

    async fn append(self, lines: Vec<Line>, is_new: bool) -> Result<(), AnchorError> {
        match self {
            Self::File(path) => blocking(move || file::append(&path, &lines, is_new)).await,
            Self::Bucket(objects) => bucket::append(&objects, &lines).await,
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AnchorError> + Send + 'static,
) -> Result<T, AnchorError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| AnchorError::Failed(error.to_string()))?
}

/// The signed notes that the bucket of the configuration has: the largest checkpoint of each log. Why it cannot be read,
/// in words; `None` where there is no bucket.
pub async fn bucket_notes(config: &Config) -> Result<Option<Vec<String>>, String> {
    let Some(bucket) = config.anchor_bucket() else { return Ok(None) };
    let objects = Objects::bucket(&bucket).map_err(|error| format!("{error:#}"))?;
    bucket::notes(&objects).await.map(Some).map_err(|error| error.to_string())
}

/// Work that goes on aside.
#[derive(Debug)]
pub(super) struct Aside<T> {
    take: oneshot::Receiver<T>,
    pub(super) since: Instant,
}

impl<T> Aside<T> {
    /// What came of it, where it is through within that time; of work that was given up, that.
    pub(super) async fn within(&mut self, time: Duration) -> Option<Result<T, AnchorError>> {
        let done = timeout(time, &mut self.take).await.ok()?;
        Some(done.map_err(|_| AnchorError::Failed("it was given up".to_owned())))
    }
}

/// What an anchor does at the moment.
#[derive(Debug)]
enum Work {
    Nothing,
    /// What an earlier leadership began: what comes of it says nothing.
    Stale(Aside<()>),
    Reading(Aside<Result<Largest, AnchorError>>),
    /// Lines, and how far it goes with them, by log.
    Appending(Aside<Result<(), AnchorError>>, Vec<(String, u64)>),
}

/// An anchor, for the life of the process. Nothing is begun again before it is through.
#[derive(Debug)]
pub(super) struct Anchor {
    name: &'static str,
    place: Place,
    interval: Duration,
    work: Work,
    /// When checkpoints are sent again. `None` while the stored ledger is not held against it.
    next: Option<Instant>,
    /// When it is read again.
    again: Instant,
    /// How far it goes, by its own account.
    has: BTreeMap<String, u64>,
}

impl Anchor {
    fn new(name: &'static str, place: Place, interval: Duration) -> Self {
        let has = BTreeMap::new();
        Self { name, place, interval, work: Work::Nothing, next: None, again: Instant::now(), has }
    }

    /// Those of the configuration.
    pub(super) fn configured(hub: &Hub) -> Vec<Self> {
        let config = &hub.config().ledger;
        let interval = Duration::from_secs(config.anchor_interval_seconds);
        let file = config.anchor_file.as_deref().map(|path| (FILE, Place::File(PathBuf::from(Path::new(path)))));
        let bucket = hub.ledger().bucket().map(|objects| (BUCKET, Place::Bucket(objects.clone())));
        file.into_iter().chain(bucket).map(|(name, place)| Self::new(name, place, interval)).collect()
    }

    /// Another hub may have led meanwhile: what is known of it is known no longer.
    pub(super) fn begin_to_lead(&mut self, hub: &Hub) {
        let before = std::mem::replace(&mut self.work, Work::Nothing);
        self.work = match before {
            Work::Nothing => Work::Nothing,
            Work::Stale(aside) => Work::Stale(aside),
            Work::Reading(Aside { take, since }) => Work::Stale(aside(hub, async { drop(take.await) }, since)),
            Work::Appending(Aside { take, since }, _) => Work::Stale(aside(hub, async { drop(take.await) }, since)),
        };
        (self.next, self.again, self.has) = (None, Instant::now(), BTreeMap::new());
        hub.ledger().note_anchor(self.name, AnchorState::Unknown);
    }

    fn note(&self, hub: &Hub, state: AnchorState) -> bool {
        note_state(hub, self.name, state)
    }

    fn fails(&self, hub: &Hub, error: &dyn std::fmt::Display) {
        if !self.note(hub, AnchorState::Unavailable) {
            return;
        }
        let anchor = self.name;
        match self.next {
            Some(_) => tracing::error!(anchor, %error, "checkpoints could not be anchored; trying again later"),
            // Not being able to look is no proof of anything; the checkpoints wait.
            None => tracing::error!(anchor, %error, "the anchor cannot be read: nothing is signed"),
        }
    }

    fn late(&self, hub: &Hub, since: Instant) {
        if since.elapsed() > SLOW {
            self.fails(hub, &"it does not answer in time");
        }
    }

    /// Whether the stored ledger goes on from what is anchored, as far as is known by now. Where it does not, the
    /// database was rolled back, and signing would be a fork.
    pub(super) async fn fits(
        &mut self,
        hub: &Hub,
        connection: &mut PgConnection,
        epoch: i64,
        trust: &Trust,
    ) -> Result<bool, LedgerError> {
        if self.next.is_some() {
            return Ok(true);
        }
        let mut wait = Duration::ZERO;
        if matches!(self.work, Work::Nothing) {
            if Instant::now() < self.again {
                return Ok(false);
            }
            self.work = Work::Reading(aside(hub, self.place.clone().largest(trust.clone()), Instant::now()));
            wait = GRACE;
        }
        let since = match &mut self.work {
            Work::Nothing => return Ok(false),
            Work::Stale(before) => match before.within(wait).await {
                None => before.since,
                Some(_) => {
                    self.work = Work::Nothing;
                    return Ok(false);
                }
            },
            Work::Appending(before, _) => match before.within(wait).await {
                None => before.since,
                Some(_) => {
                    self.work = Work::Nothing;
                    return Ok(false);
                }
            },
            Work::Reading(reading) => match reading.within(wait).await {
                None => reading.since,
                Some(largest) => {
                    (self.work, self.again) = (Work::Nothing, Instant::now() + AGAIN);
                    return match largest.flatten() {
                        Ok(largest) => self.hold_against(hub, connection, epoch, (&trust.ledger, &largest)).await,
                        Err(error) => {
                            self.fails(hub, &error);
                            Ok(false)
                        }
                    };
                }
            },
        };
        self.late(hub, since);
        Ok(false)
    }

    async fn hold_against(
        &mut self,
        hub: &Hub,
        connection: &mut PgConnection,
        epoch: i64,
        (ledger, largest): (&LedgerName, &Largest),
    ) -> Result<bool, LedgerError> {
        let former = &hub.config().ledger.former_names;
        let former = former.iter().filter_map(|name| LedgerName::new(name)).collect::<Vec<_>>();
        match compare(connection, epoch, (ledger, &former), self.name, largest).await? {
            Compared::Fits(sizes) => {
                (self.has, self.next) = (sizes, Some(Instant::now()));
                self.note(hub, AnchorState::Available);
                Ok(true)
            }
            Compared::Differs { origin, reason } => {
                if self.note(hub, AnchorState::Differs) {
                    let anchor = self.name;
                    tracing::error!(
                        anchor,
                        origin,
                        reason,
                        "the ledger is not the one that is anchored: nothing is signed"
                    );
                }
                Ok(false)
            }
        }
    }

    /// Sends what is due, and notes what has arrived.
    pub(super) async fn send(
        &mut self,
        hub: &Hub,
        connection: &mut PgConnection,
        epoch: i64,
        signed: (&LedgerName, &Signer),
    ) -> Result<(), LedgerError> {
        let Some(due) = self.next else { return Ok(()) };
        let mut wait = Duration::ZERO;
        if matches!(self.work, Work::Nothing) && Instant::now() >= due {
            self.next = Some(Instant::now() + self.interval);
            let lines = self.news(connection, signed, hub.clock().now()).await?;
            if lines.is_empty() {
                return Ok(());
            }
            let sizes = lines.iter().map(|line| (line.origin.clone(), line.size)).collect();
            let appending = self.place.clone().append(lines, self.has.is_empty());
            self.work = Work::Appending(aside(hub, appending, Instant::now()), sizes);
            wait = GRACE;
        }
        let Work::Appending(appending, sizes) = &mut self.work else { return Ok(()) };
        let Some(done) = appending.within(wait).await else {
            let since = appending.since;
            self.late(hub, since);
            return Ok(());
        };
        let sizes = std::mem::take(sizes);
        self.work = Work::Nothing;
        match done.flatten() {
            Ok(()) => {
                note_anchored(connection, epoch, self.name, &sizes).await?;
                counter!(names::LEDGER_ANCHORED, "anchor" => self.name).increment(sizes.len() as u64);
                self.has.extend(sizes);
                self.note(hub, AnchorState::Available);
            }
            Err(error) => {
                self.fails(hub, &error);
                if matches!(error, AnchorError::Gone) {
                    // What is gone is held against the ledger anew.
                    (self.next, self.again) = (None, Instant::now());
                }
            }
        }
        Ok(())
    }

    /// The last checkpoint of each log that is larger than what the anchor has.
    async fn news(
        &self,
        connection: &mut PgConnection,
        (ledger, signer): (&LedgerName, &Signer),
        now: DateTime<Utc>,
    ) -> Result<Vec<Line>, LedgerError> {
        let mut lines = Vec::new();
        for (tenant_id, size, note) in store::latest_checkpoints(connection).await? {
            let log = tenant_id.map_or(Log::System, Log::Tenant);
            let origin = ledger.origin(log);
            let size = size.cast_unsigned();
            // What the key has not signed is somebody else's.
            if self.has.get(&origin).is_none_or(|known| *known < size) && signer.has_signed(ledger, log, &note) {
                lines.push(Line { at: now, origin, size, note });
            }
        }
        Ok(lines)
    }
}

/// How an anchor or a witness fares; `true` where it is news.
pub(super) fn note_state(hub: &Hub, name: &str, state: AnchorState) -> bool {
    gauge!(names::LEDGER_ANCHOR_AVAILABLE, "anchor" => name.to_owned()).set(match state {
        AnchorState::Available => 1.0,
        AnchorState::Unknown | AnchorState::Unavailable | AnchorState::Differs => 0.0,
    });
    hub.ledger().note_anchor(name, state)
}

/// Begins it.
pub(super) fn aside<T: Send + 'static>(
    hub: &Hub,
    work: impl Future<Output = T> + Send + 'static,
    since: Instant,
) -> Aside<T> {
    let (give, take) = oneshot::channel();
    hub.lifecycle().spawn_child(async move {
        // Nobody waits for it where the process is about to end.
        let _ = give.send(work.await);
    });
    Aside { take, since }
}

/// Only afterwards: what is noted as anchored is there.
async fn note_anchored(
    connection: &mut PgConnection,
    epoch: i64,
    name: &str,
    sizes: &[(String, u64)],
) -> Result<(), LedgerError> {
    let mut tx = connection.begin().await?;
    store::fence(&mut tx, epoch).await?;
    for (origin, size) in sizes {
        store::set_anchored(&mut tx, name, origin, size.cast_signed()).await?;
    }
    Ok(tx.commit().await?)
}

/// What came of a comparison.
#[derive(Debug)]
enum Compared {
    /// The stored logs go on from what is anchored: the largest size of each that is.
    Fits(BTreeMap<String, u64>),
    /// They do not, or the anchor is not the one that took their checkpoints.
    Differs {
        /// The first log that does not.
        origin: String,
        /// How.
        reason: &'static str,
    },
}

/// Whether the stored logs go as far as what was anchored, and are of the same history; and whether the anchor
/// still has what it took. What `former` ledgers of this database have there counts for nothing else.
async fn compare(
    connection: &mut PgConnection,
    epoch: i64,
    (ledger, former): (&LedgerName, &[LedgerName]),
    name: &str,
    largest: &Largest,
) -> Result<Compared, LedgerError> {
    let mut tx = connection.begin().await?;
    // With very many logs it takes long. Who would lead after the silence waits for its end, and hears of this leader then.
    store::fence(&mut tx, epoch).await?;
    let compared = compare_all(&mut tx, (ledger, former), name, largest).await?;
    store::fence(&mut tx, epoch).await?;
    tx.commit().await?;
    Ok(compared)
}

async fn compare_all(
    connection: &mut PgConnection,
    (ledger, former): (&LedgerName, &[LedgerName]),
    name: &str,
    largest: &Largest,
) -> Result<Compared, LedgerError> {
    let differs = |origin, reason| Ok(Compared::Differs { origin, reason });
    let size = |origin: &String| largest.get(origin).into_iter().flatten().map(|head| head.size).max();
    for (origin, taken) in store::anchored(connection, name).await? {
        if size(&origin).is_none_or(|size| size < taken.cast_unsigned()) {
            return differs(origin, "the anchor has not what it took: it is gone, shortened or another one");
        }
    }
    for (origin, heads) in largest {
        let Some(log) = ledger.log(origin) else {
            if former.iter().any(|former| former.log(origin).is_some()) {
                continue;
            }
            return differs(origin.clone(), "the anchor has another ledger's checkpoints");
        };
        for anchored in heads {
            if !has_tree(connection, log, *anchored).await? {
                return differs(origin.clone(), "the ledger does not go on from what is anchored");
            }
        }
    }
    Ok(Compared::Fits(largest.keys().filter_map(|origin| Some((origin.clone(), size(origin)?))).collect()))
}

/// Whether the stored log once was that tree.
async fn has_tree(connection: &mut PgConnection, log: Log, anchored: TreeHead) -> Result<bool, LedgerError> {
    let (tree, reaches) = match log {
        Log::Tenant(tenant_id) => {
            set_scope(connection, &tenant_id.to_string(), &Actor::System.to_string(), "ledger").await?;
            let frontier = store::head(connection).await?.and_then(|(_, bytes)| Frontier::from_bytes(&bytes));
            (Tree::Tenant, frontier.unwrap_or_default().size() >= anchored.size)
        }
        // Its leaves tell how far it goes.
        Log::System => (Tree::System, true),
    };
    match root_at(connection, tree, anchored.size).await {
        Ok(stored) => Ok(reaches && stored == anchored),
        Err(LedgerError::Stored(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The root that the stored tree had when it had `size` leaves.
pub(super) async fn root_at(connection: &mut PgConnection, tree: Tree, size: u64) -> Result<TreeHead, LedgerError> {
    let fits = |_| LedgerError::NoSuchPlace;
    let nodes = RangeProof::nodes(size, size, size).map_err(fits)?;
    let hashes = proofs::read(connection, tree, size, &nodes).await?;
    let before = RangeProof::from_nodes(size, size, size, &hashes).map_err(fits)?.before();
    Ok(TreeHead { size, root: before.root() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_anchor_that_hangs_is_not_waited_for() {
        let (give, take) = oneshot::channel();
        let mut work = Aside { take, since: Instant::now() };
        assert!(work.within(GRACE).await.is_none());
        assert!(work.since.elapsed() < Duration::from_secs(1), "the leader would have been silent for too long");
        give.send(7).unwrap();
        assert_eq!(work.within(Duration::ZERO).await.unwrap().unwrap(), 7, "what was begun counts");
        let (give, take) = oneshot::channel::<u8>();
        drop(give);
        let mut given_up = Aside { take, since: Instant::now() };
        assert!(given_up.within(Duration::ZERO).await.unwrap().is_err(), "it would be waited for without end");
    }

    pub(super) fn line(size: u64) -> Line {
        let ledger = LedgerName::new("x/ledger").unwrap();
        let root = openpam_ledger::leaf_hash(&size.to_be_bytes());
        let checkpoint = Checkpoint::new(&ledger, Log::System, TreeHead { size, root });
        let note = format!("{}\n\u{2014} x/ledger/system AAAAAAA=\n", checkpoint.to_text());
        Line { at: DateTime::UNIX_EPOCH, origin: checkpoint.origin().to_owned(), size, note }
    }
}
