//! Anchors: checkpoints that are kept where the database's superuser has no hand. A log that was cut off, or
//! rolled back with all of its checkpoints, is told by them alone.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use openpam_ledger::{Checkpoint, Frontier, LedgerName, Log, Note, RangeProof, TreeHead};
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;

use super::{
    error::LedgerError,
    keys::Signer,
    proofs,
    store::{self, read::Tree},
};
use crate::{context::Actor, db::set_scope};

/// Bytes of one line of the file.
const MAX_LINE: u64 = 256 << 10;
/// How long the leader waits for the file: less than the silence after which another leads.
const WAIT: Duration = Duration::from_secs(2);
/// The file's name among anchors.
pub(super) const FILE: &str = "file";

/// One checkpoint, as it stands in the file: a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    at: DateTime<Utc>,
    origin: String,
    size: u64,
    note: String,
}

/// The largest checkpoint of each log.
type Largest = BTreeMap<String, TreeHead>;

/// A file to which checkpoints are appended. It may be on a disk of the network that hangs, and it may be large:
/// what is done to it is done aside, and nothing is begun again before it is through.
#[derive(Debug)]
pub(super) struct FileAnchor {
    path: PathBuf,
    reading: Option<JoinHandle<io::Result<Largest>>>,
    appending: Option<JoinHandle<io::Result<()>>>,
}

impl FileAnchor {
    pub(super) fn new(path: &str) -> Self {
        Self { path: PathBuf::from(path), reading: None, appending: None }
    }

    /// The largest checkpoint of each log. Of a last line that was not written whole nothing counts.
    async fn largest(&mut self) -> Result<Largest, LedgerError> {
        let path = self.path.clone();
        finish(&mut self.reading, move || largest(&path)).await
    }

    async fn append(&mut self, lines: Vec<Line>, is_new: bool) -> Result<(), LedgerError> {
        // What is left of the one before is not what these lines are.
        if self.appending.as_ref().is_some_and(|before| !before.is_finished()) {
            return Err(timed_out().into());
        }
        self.appending = None;
        let path = self.path.clone();
        finish(&mut self.appending, move || append(&path, &lines, is_new)).await
    }
}

fn timed_out() -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}

/// What came of the work under way, or of this one where there is none. Whoever asks does not wait for long, and may
/// ask again.
async fn finish<T: Send + 'static>(
    under_way: &mut Option<JoinHandle<io::Result<T>>>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, LedgerError> {
    let task = under_way.get_or_insert_with(|| tokio::task::spawn_blocking(work));
    let done = tokio::time::timeout(WAIT, task).await.map_err(|_| timed_out())?;
    *under_way = None;
    Ok(done.map_err(io::Error::other)??)
}

fn largest(path: &Path) -> io::Result<Largest> {
    let mut largest = Largest::new();
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(largest),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    loop {
        text.clear();
        if io::Read::take(&mut reader, MAX_LINE).read_line(&mut text)? == 0 {
            return Ok(largest);
        }
        let Ok(line) = serde_json::from_str::<Line>(&text) else { continue };
        let checkpoint = Note::parse(line.note.as_bytes()).and_then(|note| Checkpoint::parse(note.text()));
        let Ok(checkpoint) = checkpoint else { continue };
        let head = checkpoint.head();
        let known = largest.entry(checkpoint.origin().to_owned()).or_insert(head);
        if head.size >= known.size {
            *known = head;
        }
    }
}

/// A file that had something and is gone is not begun anew.
fn append(path: &Path, lines: &[Line], is_new: bool) -> io::Result<()> {
    let mut file = OpenOptions::new().create(is_new).append(true).open(path)?;
    // Behind a line that was not written whole, on one of its own.
    let mut text = String::from("\n");
    for line in lines {
        text.push_str(&serde_json::to_string(line)?);
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match path.parent().filter(|_| is_new) {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// What came of a comparison.
#[derive(Debug)]
pub(super) enum Compared {
    /// The stored logs go on from what is anchored: the largest size of each that is.
    Fits(BTreeMap<String, u64>),
    /// They do not, or the file is not the one that took their checkpoints.
    Differs {
        /// The first log that does not.
        origin: String,
        /// How.
        reason: &'static str,
    },
}

/// Whether the stored logs go as far as what was anchored, and are of the same history; and whether the anchor
/// still has what it took. What `former` ledgers of this database have there counts for nothing else.
pub(super) async fn compare(
    connection: &mut PgConnection,
    ledger: &LedgerName,
    former: &[LedgerName],
    anchor: &mut FileAnchor,
) -> Result<Compared, LedgerError> {
    let differs = |origin, reason| Ok(Compared::Differs { origin, reason });
    let largest = anchor.largest().await?;
    let mut tx = connection.begin().await?;
    for (origin, size) in store::anchored(&mut tx, FILE).await? {
        if largest.get(&origin).is_none_or(|head| head.size < size.cast_unsigned()) {
            return differs(origin, "the anchor has not what it took: it is gone, shortened or another one");
        }
    }
    for (origin, anchored) in &largest {
        let Some(log) = ledger.log(origin) else {
            if former.iter().any(|former| former.log(origin).is_some()) {
                continue;
            }
            return differs(origin.clone(), "the anchor has another ledger's checkpoints");
        };
        let (tree, reaches) = match log {
            Log::Tenant(tenant_id) => {
                set_scope(&mut tx, &tenant_id.to_string(), &Actor::System.to_string(), "ledger").await?;
                let frontier = store::head(&mut tx).await?.and_then(|(_, bytes)| Frontier::from_bytes(&bytes));
                (Tree::Tenant, frontier.unwrap_or_default().size() >= anchored.size)
            }
            // Its leaves tell how far it goes.
            Log::System => (Tree::System, true),
        };
        let fits = match root_at(&mut tx, tree, anchored.size).await {
            Ok(stored) => reaches && stored == *anchored,
            Err(LedgerError::Stored(_)) => false,
            Err(error) => return Err(error),
        };
        if !fits {
            return differs(origin.clone(), "the ledger does not go on from what is anchored");
        }
    }
    tx.rollback().await?;
    Ok(Compared::Fits(largest.into_iter().map(|(origin, head)| (origin, head.size)).collect()))
}

/// The root that the stored tree had when it had `size` leaves.
pub(super) async fn root_at(connection: &mut PgConnection, tree: Tree, size: u64) -> Result<TreeHead, LedgerError> {
    let fits = |_| LedgerError::NoSuchPlace;
    let nodes = RangeProof::nodes(size, size, size).map_err(fits)?;
    let hashes = proofs::read(connection, tree, size, &nodes).await?;
    let before = RangeProof::from_nodes(size, size, size, &hashes).map_err(fits)?.before();
    Ok(TreeHead { size, root: before.root() })
}

/// Appends the last checkpoint of each log that is larger than what the anchor `has`, by its own account. How many
/// there were.
pub(super) async fn send(
    connection: &mut PgConnection,
    epoch: i64,
    (ledger, signer): (&LedgerName, &Signer),
    anchor: &mut FileAnchor,
    has: &mut BTreeMap<String, u64>,
    now: DateTime<Utc>,
) -> Result<usize, LedgerError> {
    let mut lines = Vec::new();
    for (tenant_id, size, note) in store::latest_checkpoints(connection).await? {
        let log = tenant_id.map_or(Log::System, Log::Tenant);
        let origin = ledger.origin(log);
        let size = size.cast_unsigned();
        // What the key has not signed is somebody else's.
        if has.get(&origin).is_none_or(|known| *known < size) && signer.has_signed(ledger, log, &note) {
            lines.push(Line { at: now, origin, size, note });
        }
    }
    if lines.is_empty() {
        return Ok(0);
    }
    let sizes = lines.iter().map(|line| (line.origin.clone(), line.size)).collect::<Vec<_>>();
    anchor.append(lines, has.is_empty()).await?;
    // Only now: what is noted as anchored is in the file.
    let mut tx = connection.begin().await?;
    store::fence(&mut tx, epoch).await?;
    for (origin, size) in &sizes {
        store::set_anchored(&mut tx, FILE, origin, size.cast_signed()).await?;
    }
    tx.commit().await?;
    let count = sizes.len();
    has.extend(sizes);
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_hangs_is_not_waited_for_and_not_asked_twice() {
        let (release, held) = std::sync::mpsc::sync_channel::<u8>(1);
        let mut under_way = None;
        let is_late = |result: Result<u8, LedgerError>| match result {
            Err(LedgerError::Anchor(error)) => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        };
        let begun = tokio::time::Instant::now();
        assert!(is_late(finish(&mut under_way, move || held.recv().map_err(io::Error::other)).await));
        assert!(begun.elapsed() < Duration::from_secs(3), "the leader would have been silent for too long");
        release.send(7).unwrap();
        let found = finish(&mut under_way, || Ok(9)).await.unwrap();
        assert_eq!(found, 7, "it was asked again before it was through");
        assert_eq!(finish(&mut under_way, || Ok(9)).await.unwrap(), 9);
    }

    fn line(size: u64) -> Line {
        let ledger = LedgerName::new("x/ledger").unwrap();
        let root = openpam_ledger::leaf_hash(&size.to_be_bytes());
        let checkpoint = Checkpoint::new(&ledger, Log::System, TreeHead { size, root });
        let note = format!("{}\n\u{2014} x/ledger/system AAAAAAA=\n", checkpoint.to_text());
        Line { at: DateTime::UNIX_EPOCH, origin: checkpoint.origin().to_owned(), size, note }
    }

    #[test]
    fn the_largest_counts_and_a_line_that_is_not_whole_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        assert!(largest(&path).unwrap().is_empty(), "there is no file yet");
        assert!(append(&path, &[line(3)], false).is_err(), "what is gone is not begun anew");
        append(&path, &[line(3), line(7)], true).unwrap();
        append(&path, &[line(5)], false).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":\"20").unwrap();
        assert_eq!(largest(&path).unwrap()["x/ledger/system"].size, 7);
        append(&path, &[line(9)], false).unwrap();
        assert_eq!(largest(&path).unwrap()["x/ledger/system"].size, 9, "what follows a broken line counts");
    }
}
