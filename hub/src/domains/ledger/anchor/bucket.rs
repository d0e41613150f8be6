//! A bucket as an anchor: each checkpoint is an object of its own, locked for as long as the configuration says.
//!
//! `<prefix>/<ledger>/system/<key>` and `<prefix>/<ledger>/tenants/<tenant>/<key>`, where slashes of the ledger's name
//! are `_`. A key begins with how much the tree lacks to the largest number, so that the store lists the largest tree
//! first: however old the ledger is, one page tells it.
//!
//! Whoever may do everything in a bucket with compliance lock can still hide an object behind a mark of deletion or a
//! newer version, and cannot remove a version. So versions are read, marks ignored, and every version of the largest
//! checkpoint counts: two of them with different roots fit no ledger.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use openpam_ledger::{LedgerName, Log, TreeHead};
use tokio::time::{Duration, timeout};

use super::{AnchorError, Largest, Line, Trust, counts};
use crate::objects::{self, Objects};

/// Bytes of an object: a checkpoint with its signatures.
const MAX_BYTES: usize = 256 << 10;
/// Ledgers in one place of a bucket: the present one, and those before restores.
const MAX_LEDGERS: usize = 64;
/// Versions of a log that are read to find its largest checkpoint. Only somebody else's are in front of it.
const MAX_READ: usize = 1_000;
/// Logs that are read, or checkpoints that are put, at the same time.
const AT_ONCE: usize = 8;
/// How long all of it may take.
const READING: Duration = Duration::from_secs(120);
const PUTTING: Duration = Duration::from_secs(60);

const SYSTEM: &str = "system";
const TENANTS: &str = "tenants";
const ENDING: &str = ".json";

impl From<objects::Error> for AnchorError {
    fn from(error: objects::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The largest checkpoint of a log: each version of it, as a tree and as the signed note.
type Found = BTreeMap<String, Vec<(TreeHead, String)>>;

fn in_time<T>(result: Result<Result<T, AnchorError>, tokio::time::error::Elapsed>) -> Result<T, AnchorError> {
    result.unwrap_or_else(|_| Err(AnchorError::Failed("it does not answer in time".to_owned())))
}

/// The largest checkpoint of each log.
pub(super) async fn largest(objects: &Objects, trust: Option<&Trust>) -> Result<Largest, AnchorError> {
    let found = read(objects, trust).await?;
    let heads = |found: Vec<(TreeHead, String)>| {
        let mut heads = found.into_iter().map(|(head, _)| head).collect::<Vec<_>>();
        heads.dedup();
        heads
    };
    Ok(found.into_iter().map(|(origin, found)| (origin, heads(found))).collect())
}

/// The same as signed notes.
pub(super) async fn notes(objects: &Objects) -> Result<Vec<String>, AnchorError> {
    let found = read(objects, None).await?;
    Ok(found.into_values().flatten().map(|(_, note)| note).collect())
}

async fn read(objects: &Objects, trust: Option<&Trust>) -> Result<Found, AnchorError> {
    in_time(timeout(READING, read_all(objects, trust)).await)
}

async fn read_all(objects: &Objects, trust: Option<&Trust>) -> Result<Found, AnchorError> {
    let mut logs = Vec::new();
    let ledgers = objects.folders(&objects.place([])).await?;
    // The doctor's folder is none.
    let ledgers = ledgers.into_iter().filter(|name| !name.starts_with('.')).collect::<Vec<_>>();
    if ledgers.len() > MAX_LEDGERS {
        return Err(AnchorError::Failed(format!("there are more than {MAX_LEDGERS} folders where it keeps ledgers")));
    }
    for ledger in ledgers {
        let tenants = objects.folders(&objects.place([ledger.clone(), TENANTS.to_owned()])).await?;
        logs.push(objects.place([ledger.clone(), SYSTEM.to_owned()]));
        logs.extend(tenants.into_iter().map(|tenant| objects.place([ledger.clone(), TENANTS.to_owned(), tenant])));
    }
    let reading = logs.into_iter().map(|log| {
        let objects = objects.clone();
        async move { read_log(&objects, &log, trust).await }
    });
    let found = futures::stream::iter(reading).buffer_unordered(AT_ONCE);
    found.try_filter_map(|found| async { Ok(found) }).try_collect().await
}

/// The largest checkpoint of the log in a folder, in each of its versions.
async fn read_log(
    objects: &Objects,
    folder: &Path,
    trust: Option<&Trust>,
) -> Result<Option<(String, Vec<(TreeHead, String)>)>, AnchorError> {
    let mut versions = objects.versions(folder)?;
    let (mut log, mut found, mut read) = (String::new(), Vec::new(), 0);
    let mut of_key = String::new();
    while let Some(page) = versions.next().await? {
        for version in page {
            if !found.is_empty() && version.key != of_key {
                return Ok(Some((log, found)));
            }
            let name = version.key.strip_prefix(folder.as_ref()).and_then(|name| name.strip_prefix('/'));
            let Some(size) = name.and_then(size_of) else { continue };
            if read == MAX_READ {
                let message = format!("{MAX_READ} versions in {folder} are no checkpoints of this log");
                return Err(AnchorError::Failed(message));
            }
            read += 1;
            let bytes = objects.version(&version).await?.filter(|bytes| bytes.len() <= MAX_BYTES);
            let Some((checkpoint, note)) = bytes.and_then(|bytes| Line::parse(&bytes)) else { continue };
            if checkpoint.head().size != size
                || !is_of(checkpoint.origin(), folder, objects)
                || !counts(trust, checkpoint.origin(), &note)
            {
                continue;
            }
            of_key.clone_from(&version.key);
            checkpoint.origin().clone_into(&mut log);
            found.push((checkpoint.head(), note));
        }
    }
    Ok((!found.is_empty()).then_some((log, found)))
}

/// Whether the log of that origin is kept in that folder.
fn is_of(origin: &str, folder: &Path, objects: &Objects) -> bool {
    folder_of(origin, objects).is_some_and(|own| own == *folder)
}

/// Where the checkpoints of a log are.
fn folder_of(origin: &str, objects: &Objects) -> Option<Path> {
    let (name, log) = match origin.strip_suffix("/system") {
        Some(name) => (name, Log::System),
        None => {
            let (name, tenant) = origin.rsplit_once("/tenants/")?;
            (name, Log::Tenant(tenant.parse().ok()?))
        }
    };
    let ledger = LedgerName::new(name).filter(|ledger| ledger.origin(log) == origin)?;
    let ledger = ledger.to_string().replace('/', "_");
    Some(match log {
        Log::System => objects.place([ledger, SYSTEM.to_owned()]),
        Log::Tenant(tenant) => objects.place([ledger, TENANTS.to_owned(), tenant.to_string()]),
    })
}

fn key_of(size: u64) -> String {
    format!("{:016x}-{size}{ENDING}", u64::MAX - size)
}

/// The tree that a key is of.
fn size_of(key: &str) -> Option<u64> {
    let size = key.strip_suffix(ENDING)?.split_once('-')?.1.parse().ok()?;
    (key_of(size) == key).then_some(size)
}

/// Puts each of them. What is there already, from an attempt before, is fine where it is the same tree.
pub(super) async fn append(objects: &Objects, lines: &[Line]) -> Result<(), AnchorError> {
    let putting = lines.iter().cloned().map(|line| {
        let objects = objects.clone();
        async move { put(&objects, &line).await }
    });
    let all = futures::stream::iter(putting).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>();
    in_time(timeout(PUTTING, all).await)?;
    Ok(())
}

async fn put(objects: &Objects, line: &Line) -> Result<(), AnchorError> {
    let folder = folder_of(&line.origin, objects);
    let folder = folder.ok_or_else(|| AnchorError::Failed(format!("{} is no log's origin", line.origin)))?;
    let path = Path::from_iter(folder.parts().chain(Path::from(key_of(line.size)).parts()));
    let text = line.to_json()? + "\n";
    match objects.put(&path, text.clone().into_bytes().into()).await {
        Err(objects::Error::Occupied(place)) => {
            let there = objects.get(&path, MAX_BYTES).await?;
            let there = there.and_then(|bytes| Line::parse(&bytes)).map(|(checkpoint, _)| checkpoint);
            let own = Line::parse(text.as_bytes()).map(|(checkpoint, _)| checkpoint);
            if there.is_some() && there == own {
                return Ok(());
            }
            Err(AnchorError::Failed(format!("something else is at {place}")))
        }
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::line, *};

    #[test]
    fn the_largest_tree_is_the_first_in_the_order_of_keys() {
        let mut keys = [1_u64, 9, 10, 255, 256, 4_000_000_000].map(key_of);
        keys.sort();
        assert_eq!(keys.iter().filter_map(|key| size_of(key)).next(), Some(4_000_000_000));
        assert_eq!(keys.last().and_then(|key| size_of(key)), Some(1));
        for none in ["", "1", "fffffffffffffffe-2.json", "fffffffffffffffe-1", "fffffffffffffffe-01.json"] {
            assert_eq!(size_of(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn a_checkpoint_is_put_once_and_another_of_its_size_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::folder(folder.path(), "p").unwrap();
        append(&objects, &[line(3), line(7)]).await.unwrap();
        append(&objects, &[line(7)]).await.unwrap();
        let place = folder.path().join("p/x_ledger/system").join(key_of(7));
        assert!(Line::parse(&std::fs::read(&place).unwrap()).is_some_and(|(there, _)| there.head().size == 7));
        let mut other = line(7);
        other.note = other.note.replacen("\n7\n", "\n8\n", 1);
        std::fs::write(&place, other.to_json().unwrap()).unwrap();
        let refused = append(&objects, &[line(7)]).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("something else is at")));
    }

    #[test]
    fn each_log_has_a_folder_of_its_own_and_what_is_no_log_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::folder(folder.path(), "").unwrap();
        let path = |origin: &str| folder_of(origin, &objects).map(|path| path.to_string());
        let id = "0197a4b2-0000-7000-8000-000000000001";
        assert_eq!(path("x/ledger/system").as_deref(), Some("x_ledger/system"));
        assert_eq!(path(&format!("x/ledger/tenants/{id}")), Some(format!("x_ledger/tenants/{id}")));
        for none in ["x/ledger", "x/ledger/tenants/1", "/system", "x//system/", &format!("x/tenants/{{{id}}}")] {
            assert_eq!(path(none), None, "{none}");
        }
    }
}
