//! The spool: what waits on this machine's disk for a store that is down. Encrypted already, synchronized
//! to the disk before it counts, bounded in size, of one hub alone. What it holds survives the hub.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use anyhow::Context as _;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use openpam_ids::{SessionId, TenantId};
use openpam_recordings::{
    MAX_SEGMENT_BYTES,
    dir::{MANIFEST_NAME, parse_segment_name, segment_name},
};
use openpam_telemetry::names;
use tokio::sync::Notify;
use uuid::Uuid;

use super::Error;
use crate::context::Clock;

/// The file that says that a hub uses the spool.
const LOCK: &str = "lock";
/// The end of the name of a file that is not written to its end.
const PARTIAL: &str = ".partial";
/// The end of the name of a file that the store will never take.
const REJECTED: &str = ".rejected";

/// A segment or the manifest of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub(super) tenant: TenantId,
    pub(super) session: SessionId,
    /// Its file name.
    pub(super) name: String,
}

impl Part {
    pub(super) fn segment(tenant: TenantId, session: SessionId, seq: u32) -> Self {
        Self { tenant, session, name: segment_name(seq) }
    }

    pub(super) fn manifest(tenant: TenantId, session: SessionId) -> Self {
        Self { tenant, session, name: MANIFEST_NAME.to_owned() }
    }

    /// Its number, where it is a segment.
    pub(super) fn seq(&self) -> Option<u32> {
        parse_segment_name(&self.name)
    }

    /// Each recording's parts in order, the manifest last: digits sort before letters.
    fn order(one: &Self, other: &Self) -> std::cmp::Ordering {
        (one.session.as_uuid(), &one.name).cmp(&(other.session.as_uuid(), &other.name))
    }

    fn file(&self, folder: &Path) -> PathBuf {
        folder.join(self.tenant.to_string()).join(self.session.to_string()).join(&self.name)
    }
}

#[derive(Debug, Clone)]
struct Waiting {
    part: Part,
    size: u64,
    since: DateTime<Utc>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes on the disk, those being written included, and what was set aside not.
    bytes: u64,
    /// What may be uploaded, the oldest first: it is noted in the database.
    queue: VecDeque<Waiting>,
    /// What is on the disk.
    there: HashMap<Part, u64>,
    /// What is being written to it.
    writing: HashSet<Part>,
    /// Bytes of what was set aside.
    aside: HashMap<(TenantId, SessionId), u64>,
    /// How often in a row a part could not be read, and since when.
    unread: HashMap<Part, (u32, DateTime<Utc>)>,
    /// What waited for too long when it was looked at last.
    overdue: Overdue,
}

/// The spool. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    place: String,
    most: u64,
    state: Mutex<State>,
    came: Notify,
    /// Locked as long as this process lives.
    _lock: File,
}

impl Spool {
    /// Takes the folder for this process and lists what a process before left.
    ///
    /// # Errors
    /// When another hub uses it, or it cannot be written.
    pub(super) fn open(folder: &Path, most: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = fs::canonicalize(folder)?;
        let lock = File::create(folder.join(LOCK))?;
        lock.try_lock().context("another hub uses it: each needs a spool of its own")?;
        let mut state = State::default();
        let (waiting, aside) = found(&folder, true)?;
        state.aside = aside;
        for waiting in waiting {
            state.bytes = state.bytes.saturating_add(waiting.size);
            state.there.insert(waiting.part.clone(), waiting.size);
            state.queue.push_back(waiting);
        }
        if !state.queue.is_empty() {
            tracing::warn!(parts = state.queue.len(), bytes = state.bytes, "the spool holds what is to be stored yet");
        }
        let place = format!("{}:{}", host_name(), folder.display());
        let inner = Inner { folder, place, most, state: Mutex::new(state), came: Notify::new(), _lock: lock };
        let spool = Self { inner: Arc::new(inner) };
        let _ = spool.report(None);
        Ok(spool)
    }

    /// Bytes that count against what may wait. What was set aside has room of its own, as much again: it may lie there
    /// for as long as recordings are kept.
    fn taken(&self, state: &State) -> u64 {
        let aside = state.aside.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        state.bytes.saturating_add(aside.saturating_sub(self.inner.most))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is, for a person.
    pub(super) fn place(&self) -> &str {
        &self.inner.place
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// Writes a part to the disk for good. The same again is fine.
    ///
    /// # Errors
    /// When it is full, or the disk fails.
    pub(super) async fn keep(&self, part: &Part, bytes: Bytes) -> Result<(), Error> {
        let size = bytes.len() as u64;
        {
            let mut state = self.state();
            if state.there.contains_key(part) {
                // An attempt before was written, and could not be noted. One part has one content.
                return Ok(());
            }
            if self.taken(&state).saturating_add(size) > self.inner.most {
                return Err(Error::SpoolFull);
            }
            if !state.writing.insert(part.clone()) {
                return Err(Error::Store("the spool is slow: an attempt before still writes".to_owned()));
            }
            state.bytes += size;
        }
        // All of it off the task: whoever gives up waiting leaves nothing half counted.
        let (spool, part) = (self.clone(), part.clone());
        let written = tokio::task::spawn_blocking(move || {
            let written = write(&part.file(&spool.inner.folder), &bytes);
            let mut state = spool.state();
            state.writing.remove(&part);
            match &written {
                Ok(()) => drop(state.there.insert(part, size)),
                Err(_) => state.bytes = state.bytes.saturating_sub(size),
            }
            drop(state);
            let _ = spool.report(None);
            written
        });
        let written = written.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        written.map_err(|error| Error::Store(format!("it does not answer, and the spool failed: {error}")))
    }

    /// Lets a part be uploaded, once the database knows that it waits here; `false` where the disk has none.
    pub(super) fn admit(&self, part: Part, now: DateTime<Utc>) -> bool {
        let mut state = self.state();
        let Some(size) = state.there.get(&part).copied() else { return false };
        if !state.queue.iter().any(|waiting| waiting.part == part) {
            state.queue.push_back(Waiting { part, size, since: now });
        }
        drop(state);
        self.inner.came.notify_one();
        true
    }

    /// The next part to be uploaded, of a recording that is none of these.
    pub(super) fn next(&self, but: &HashSet<SessionId>) -> Option<Part> {
        let state = self.state();
        let mut parts = state.queue.iter().map(|waiting| &waiting.part);
        parts.find(|part| !but.contains(&part.session)).cloned()
    }

    /// Lets a recording wait behind the others, its parts in their order.
    pub(super) fn postpone(&self, session: SessionId) {
        let mut state = self.state();
        let (its, others) = state.queue.drain(..).partition::<Vec<_>, _>(|waiting| waiting.part.session == session);
        state.queue = others.into_iter().chain(its).collect();
    }

    /// Whether nothing waits to be uploaded.
    pub(super) fn is_idle(&self) -> bool {
        self.state().queue.is_empty()
    }

    /// Whether the largest segment would not fit any more.
    pub(super) fn is_full(&self) -> bool {
        self.taken(&self.state()).saturating_add(MAX_SEGMENT_BYTES as u64) > self.inner.most
    }

    /// Whether something of a recording is here: what follows it has to wait behind.
    pub(super) fn holds(&self, tenant: TenantId, session: SessionId) -> bool {
        let state = self.state();
        state.aside.contains_key(&(tenant, session)) || state.there.keys().any(|part| part.session == session)
    }

    /// Whether the part is here.
    pub(super) fn has(&self, part: &Part) -> bool {
        self.state().there.contains_key(part)
    }

    /// The parts of a recording that wait to be uploaded, in order.
    pub(super) fn waiting_of(&self, session: SessionId) -> Vec<Part> {
        let state = self.state();
        let parts = state.queue.iter().map(|waiting| &waiting.part);
        parts.filter(|part| part.session == session).cloned().collect()
    }

    /// Recordings of which something was set aside.
    pub(super) fn aside(&self) -> Vec<(TenantId, SessionId)> {
        self.state().aside.keys().copied().collect()
    }

    /// Counts that a part could not be read; says how often in a row that was, and since when.
    pub(super) fn not_read(&self, part: &Part, now: DateTime<Utc>) -> (u32, DateTime<Utc>) {
        let mut state = self.state();
        let unread = state.unread.entry(part.clone()).or_insert((0, now));
        unread.0 = unread.0.saturating_add(1);
        *unread
    }

    /// Whether something of a recording was set aside: what follows it can never be stored.
    pub(super) fn has_aside(&self, tenant: TenantId, session: SessionId) -> bool {
        self.state().aside.contains_key(&(tenant, session))
    }

    /// Waits until something is admitted.
    pub(super) async fn came(&self) {
        self.inner.came.notified().await;
    }

    /// The bytes of a part, if it waits here.
    pub(super) async fn read(&self, part: &Part) -> Result<Option<Bytes>, Error> {
        if !self.state().there.contains_key(part) {
            return Ok(None);
        }
        let file = part.file(&self.inner.folder);
        let read = tokio::task::spawn_blocking(move || read(&file)).await;
        match read.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(bytes) => {
                self.state().unread.remove(part);
                Ok(Some(bytes.into()))
            }
            // Uploaded since.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Store(format!("the spool failed: {error}"))),
        }
    }

    /// Removes a part that is in the store, or that nobody needs.
    pub(super) async fn remove(&self, part: &Part) -> Result<(), Error> {
        self.leave(part, false, |file| {
            fs::remove_file(file)?;
            // The folder goes with its last file.
            let _ = file.parent().map(fs::remove_dir);
            Ok(())
        })
        .await
    }

    /// Sets a part aside that the store will never take, for a person to look at, until its recording is deleted. One
    /// that cannot even be renamed is left alone until the next start.
    pub(super) async fn reject(&self, part: &Part) -> Result<(), Error> {
        let moved = self.leave(part, true, |file| {
            let mut name = file.as_os_str().to_owned();
            name.push(REJECTED);
            fs::rename(file, name)
        });
        if let Err(error) = moved.await {
            tracing::error!(session_id = %part.session, part = %part.name, %error,
                "what waited in the spool cannot be set aside");
            self.left(part, true);
        }
        Ok(())
    }

    /// Lets what was set aside of a recording wait to be uploaded once more: what kept it from that may have passed. What
    /// cannot be renamed stays aside, and keeps nothing else there.
    ///
    /// # Errors
    /// When something of it stays aside: to be tried again.
    pub(super) async fn take_back(&self, tenant: TenantId, session: SessionId) -> Result<(), Error> {
        let folder = self.inner.folder.join(tenant.to_string()).join(session.to_string());
        let done = tokio::task::spawn_blocking(move || restore(&folder)).await;
        let restored = done.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let restored = restored.map_err(|error| Error::Store(format!("the spool failed: {error}")))?;
        let mut state = self.state();
        match restored.stays {
            0 => drop(state.aside.remove(&(tenant, session))),
            bytes => drop(state.aside.insert((tenant, session), bytes)),
        }
        for (name, size, since) in restored.parts {
            let part = Part { tenant, session, name };
            if state.there.insert(part.clone(), size).is_none() {
                state.bytes = state.bytes.saturating_add(size);
                state.queue.push_back(Waiting { part, size, since });
            }
        }
        // Each recording's parts in order.
        state.queue.make_contiguous().sort_by(|one, other| Part::order(&one.part, &other.part));
        drop(state);
        let _ = self.report(None);
        self.inner.came.notify_one();
        match restored.failure {
            Some(error) => Err(Error::Store(format!("the spool failed: {error}"))),
            None => Ok(()),
        }
    }

    /// Deletes all that is here of a recording that is deleted.
    pub(super) async fn forget(&self, tenant: TenantId, session: SessionId) -> Result<(), Error> {
        let folder = self.inner.folder.join(tenant.to_string()).join(session.to_string());
        let done = tokio::task::spawn_blocking(move || fs::remove_dir_all(folder)).await;
        match done.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::Store(format!("the spool failed: {error}"))),
        }
        let mut state = self.state();
        let there = state.there.extract_if(|part, _| part.session == session).map(|(_, size)| size).sum::<u64>();
        state.aside.remove(&(tenant, session));
        state.bytes = state.bytes.saturating_sub(there);
        state.queue.retain(|waiting| waiting.part.session != session);
        state.unread.retain(|part, _| part.session != session);
        drop(state);
        let _ = self.report(None);
        Ok(())
    }

    async fn leave(
        &self,
        part: &Part,
        aside: bool,
        act: impl FnOnce(&Path) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        let file = part.file(&self.inner.folder);
        let done = tokio::task::spawn_blocking(move || act(&file)).await;
        match done.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::Store(format!("the spool failed: {error}"))),
        }
        self.left(part, aside);
        Ok(())
    }

    /// The part waits no longer.
    fn left(&self, part: &Part, aside: bool) {
        let mut state = self.state();
        let size = state.there.remove(part).unwrap_or_default();
        state.bytes = state.bytes.saturating_sub(size);
        if aside {
            *state.aside.entry((part.tenant, part.session)).or_default() += size;
        }
        state.unread.remove(part);
        state.queue.retain(|waiting| waiting.part != *part);
        drop(state);
        let _ = self.report(None);
    }

    /// Shows size and age in the metrics; at this moment, and with how long other hubs wait, what waits longer.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub(super) fn report(&self, at: Option<(DateTime<Utc>, TimeDelta)>) -> Overdue {
        let mut state = self.state();
        metrics::gauge!(names::RECORDING_SPOOL_BYTES).set(state.bytes as f64);
        metrics::gauge!(names::RECORDING_SPOOL_ASIDE_BYTES).set(state.aside.values().sum::<u64>() as f64);
        let oldest = state.queue.iter().map(|waiting| waiting.since).min();
        let now = at.map_or_else(|| Clock.now(), |(now, _)| now);
        let age = oldest.map_or(0, |since| (now - since).num_seconds().max(0));
        metrics::gauge!(names::RECORDING_SPOOL_AGE).set(age as f64);
        if let Some((now, wait)) = at {
            let late = state.queue.iter().filter(|waiting| now - waiting.since > wait).collect::<Vec<_>>();
            let recordings = late.iter().map(|waiting| waiting.part.session).collect::<HashSet<_>>().len();
            state.overdue = Overdue { parts: late.len(), recordings, oldest: oldest.unwrap_or(now) };
            metrics::gauge!(names::RECORDING_SPOOL_OVERDUE).set(state.overdue.parts as f64);
        }
        state.overdue
    }

    /// What waits here, for who looks after it.
    pub(super) fn standing(&self) -> SpoolStanding {
        let state = self.state();
        let oldest = state.queue.iter().map(|waiting| waiting.since).min();
        SpoolStanding {
            place: self.inner.place.clone(),
            bytes: state.bytes,
            aside_bytes: state.aside.values().sum(),
            oldest,
            overdue_parts: state.overdue.parts,
        }
    }
}

/// What waits for longer than other hubs wait for it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Overdue {
    pub(super) parts: usize,
    pub(super) recordings: usize,
    pub(super) oldest: DateTime<Utc>,
}

/// How a spool stands.
#[derive(Debug, Clone)]
pub struct SpoolStanding {
    /// Host and folder.
    pub place: String,
    /// Bytes that wait for the store.
    pub bytes: u64,
    /// Bytes that were set aside.
    pub aside_bytes: u64,
    /// Since when what waits longest does.
    pub oldest: Option<DateTime<Utc>>,
    /// Parts that wait longer than other hubs wait for them.
    pub overdue_parts: usize,
}

/// What is in a spool's folder, whoever uses it: for the doctor.
///
/// # Errors
/// When it cannot be read.
pub(super) fn look(folder: &Path) -> std::io::Result<SpoolStanding> {
    let (waiting, aside) = found(folder, false)?;
    Ok(SpoolStanding {
        place: folder.display().to_string(),
        bytes: waiting.iter().map(|waiting| waiting.size).sum(),
        aside_bytes: aside.values().sum(),
        oldest: waiting.iter().map(|waiting| waiting.since).min(),
        overdue_parts: 0,
    })
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Some(name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "this machine".to_owned())
}

/// Writes a file for good: its content, its name, and the names of its folders are on the disk.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().ok_or_else(|| std::io::Error::other("a file without a folder"))?;
    fs::create_dir_all(folder)?;
    let mut partial = file.as_os_str().to_owned();
    partial.push(PARTIAL);
    let mut opened = File::create(&partial)?;
    opened.write_all(bytes)?;
    opened.sync_all()?;
    fs::rename(&partial, file)?;
    for folder in folder.ancestors().take(3) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_SEGMENT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What was set aside, in bytes.
type Aside = HashMap<(TenantId, SessionId), u64>;

/// What a process before left, each recording's parts in order, the manifest last; and what was set aside. What was not
/// written to its end goes, where the folder is taken.
fn found(folder: &Path, tidy: bool) -> std::io::Result<(Vec<Waiting>, Aside)> {
    let (mut all, mut aside) = (Vec::new(), Aside::new());
    for (tenant, tenant_folder) in folders(folder)? {
        for (session, session_folder) in folders(&tenant_folder)? {
            for entry in fs::read_dir(&session_folder)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                if name.ends_with(PARTIAL) {
                    // Nobody was told that this is kept.
                    if tidy {
                        fs::remove_file(entry.path())?;
                    }
                    continue;
                }
                let metadata = entry.metadata()?;
                if name.ends_with(REJECTED) {
                    *aside.entry((TenantId::from(tenant), SessionId::from(session))).or_default() += metadata.len();
                }
                if !metadata.is_file() || (name != MANIFEST_NAME && parse_segment_name(&name).is_none()) {
                    continue;
                }
                let since = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH).into();
                let part = Part { tenant: TenantId::from(tenant), session: SessionId::from(session), name };
                all.push(Waiting { part, size: metadata.len(), since });
            }
        }
    }
    all.sort_by(|one, other| Part::order(&one.part, &other.part));
    Ok((all, aside))
}

/// What was set aside and has its name back, and what has not.
#[derive(Debug, Default)]
struct Restored {
    /// Names, sizes, and since when they are there.
    parts: Vec<(String, u64, DateTime<Utc>)>,
    /// Bytes that stay aside.
    stays: u64,
    /// Why the first of them does.
    failure: Option<std::io::Error>,
}

/// Gives what was set aside in a folder its name back.
fn restore(folder: &Path) -> std::io::Result<Restored> {
    let mut restored = Restored::default();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(restored),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(name) = name.strip_suffix(REJECTED) else { continue };
        let metadata = entry.metadata()?;
        let file = folder.join(name);
        if !metadata.is_file() || (name != MANIFEST_NAME && parse_segment_name(name).is_none()) {
            continue;
        }
        // Something else has the name already: that one counts.
        if file.is_file() {
            continue;
        }
        if let Err(error) = fs::rename(entry.path(), &file) {
            restored.stays = restored.stays.saturating_add(metadata.len());
            restored.failure.get_or_insert(error);
            continue;
        }
        let since = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH).into();
        restored.parts.push((name.to_owned(), metadata.len(), since));
    }
    File::open(folder)?.sync_all()?;
    Ok(restored)
}

fn folders(folder: &Path) -> std::io::Result<Vec<(Uuid, PathBuf)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|name| Uuid::parse_str(name).ok());
        if let Some(id) = id.filter(|_| entry.path().is_dir()) {
            all.push((id, entry.path()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(session: u128, name: &str) -> Part {
        let id = Uuid::from_u128(session);
        Part { tenant: TenantId::from(Uuid::from_u128(1)), session: SessionId::from(id), name: name.to_owned() }
    }

    #[tokio::test]
    async fn what_is_kept_is_there_after_the_process_and_comes_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        assert!(Spool::open(folder.path(), 1 << 20).is_err(), "two hubs must not share a spool");
        let names = [MANIFEST_NAME.to_owned(), segment_name(10), segment_name(9)];
        for name in &names {
            spool.keep(&part(7, name), Bytes::from_static(b"sealed")).await.unwrap();
        }
        assert_eq!(spool.next(&HashSet::new()), None, "what is not noted is not uploaded");
        fs::write(folder.path().join(part(7, "x").tenant.to_string()).join("junk"), "junk").unwrap();
        drop(spool);
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        assert_eq!(spool.bytes(), 18);
        for name in [segment_name(9), segment_name(10), MANIFEST_NAME.to_owned()] {
            let next = spool.next(&HashSet::new()).unwrap();
            assert_eq!(next, part(7, &name));
            assert_eq!(spool.read(&next).await.unwrap().unwrap(), Bytes::from_static(b"sealed"));
            spool.remove(&next).await.unwrap();
            assert_eq!(spool.read(&next).await.unwrap(), None);
        }
        assert_eq!((spool.next(&HashSet::new()), spool.bytes()), (None, 0));
    }

    #[tokio::test]
    async fn it_takes_no_more_than_it_may_and_the_same_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 10).unwrap();
        let bytes = Bytes::from_static(b"sealed");
        let first = part(1, &segment_name(0));
        spool.keep(&first, bytes.clone()).await.unwrap();
        spool.keep(&first, bytes.clone()).await.unwrap();
        assert_eq!(spool.bytes(), 6);
        let full = spool.keep(&part(1, &segment_name(1)), bytes.clone()).await;
        assert!(matches!(full, Err(Error::SpoolFull)), "{full:?}");
        spool.admit(first.clone(), Clock.now());
        spool.admit(first.clone(), Clock.now());
        spool.reject(&first).await.unwrap();
        assert_eq!(spool.next(&HashSet::new()), None);
        // What is set aside has room of its own, as much again; what is more takes the room of others. Also after a
        // restart.
        let second = part(1, &segment_name(1));
        spool.keep(&second, bytes.clone()).await.unwrap();
        spool.reject(&second).await.unwrap();
        drop(spool);
        let spool = Spool::open(folder.path(), 10).unwrap();
        assert_eq!((spool.next(&HashSet::new()), spool.bytes()), (None, 0), "what was rejected is set aside");
        let full = spool.keep(&part(2, &segment_name(1)), Bytes::from_static(b"nine byte")).await;
        assert!(matches!(full, Err(Error::SpoolFull)), "{full:?}");
        spool.keep(&part(2, &segment_name(1)), Bytes::from_static(b"8 bytes.")).await.unwrap();
        assert_eq!(spool.aside(), [(first.tenant, first.session)]);
        assert!(spool.holds(first.tenant, first.session), "what follows waits behind it");
        let mut rejected = first.file(&folder.path().canonicalize().unwrap()).into_os_string();
        rejected.push(REJECTED);
        assert!(Path::new(&rejected).exists());
        // With its recording it goes.
        spool.forget(first.tenant, first.session).await.unwrap();
        assert!(!Path::new(&rejected).exists() && spool.aside().is_empty() && spool.bytes() == 8);
    }

    #[tokio::test]
    async fn what_was_set_aside_is_taken_back_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let parts = [segment_name(3), segment_name(4), MANIFEST_NAME.to_owned()].map(|name| part(7, &name));
        for part in &parts {
            spool.keep(part, Bytes::from_static(b"sealed")).await.unwrap();
        }
        spool.reject(&parts[0]).await.unwrap();
        spool.reject(&parts[2]).await.unwrap();
        drop(spool);
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        assert_eq!(spool.waiting_of(parts[0].session), [parts[1].clone()]);
        spool.take_back(parts[0].tenant, parts[0].session).await.unwrap();
        assert_eq!(spool.waiting_of(parts[0].session), parts);
        assert_eq!((spool.bytes(), spool.aside()), (18, vec![]));
        assert!(!spool.has_aside(parts[0].tenant, parts[0].session));
        assert_eq!(spool.read(&parts[2]).await.unwrap().unwrap(), Bytes::from_static(b"sealed"));
        // Of a recording of which nothing was, nothing comes.
        spool.take_back(parts[0].tenant, SessionId::from(Uuid::from_u128(8))).await.unwrap();
        assert_eq!(spool.bytes(), 18);
    }

    #[tokio::test]
    async fn what_waits_for_too_long_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let (now, wait) = (Clock.now(), TimeDelta::days(7));
        for (session, seq, days) in [(1, 0, 9), (1, 1, 8), (2, 0, 1)] {
            let part = part(session, &segment_name(seq));
            spool.keep(&part, Bytes::from_static(b"sealed")).await.unwrap();
            spool.admit(part, now - TimeDelta::days(days));
        }
        let overdue = spool.report(Some((now, wait)));
        assert_eq!((overdue.parts, overdue.recordings), (2, 1));
        assert_eq!(overdue.oldest, now - TimeDelta::days(9));
        spool.reject(&part(2, &segment_name(0))).await.unwrap();
        let standing = spool.standing();
        assert_eq!((standing.bytes, standing.aside_bytes, standing.overdue_parts), (12, 6, 2));
        assert_eq!(standing.oldest, Some(now - TimeDelta::days(9)));
        // Somebody else who looks takes nothing, and removes nothing.
        let looked = look(folder.path()).unwrap();
        assert_eq!((looked.bytes, looked.aside_bytes), (12, 6));
        for seq in [0, 1] {
            spool.remove(&part(1, &segment_name(seq))).await.unwrap();
        }
        assert_eq!(spool.report(Some((now, wait))).parts, 0);
    }

    #[tokio::test]
    async fn what_cannot_be_taken_back_keeps_nothing_else_aside_and_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let parts = [3, 4, 5].map(|seq| part(7, &segment_name(seq)));
        for part in &parts {
            spool.keep(part, Bytes::from_static(b"sealed")).await.unwrap();
            spool.reject(part).await.unwrap();
        }
        // A folder has the name of the second.
        let second = parts[1].file(&folder.path().canonicalize().unwrap());
        fs::create_dir_all(second.join("full")).unwrap();
        let (tenant, session) = (parts[0].tenant, parts[0].session);
        assert!(spool.take_back(tenant, session).await.is_err());
        assert_eq!(spool.waiting_of(session), [parts[0].clone(), parts[2].clone()]);
        assert!(spool.has_aside(tenant, session));
        assert_eq!(spool.state().aside[&(tenant, session)], 6);
        fs::remove_dir_all(&second).unwrap();
        spool.take_back(tenant, session).await.unwrap();
        assert_eq!(spool.waiting_of(session), parts);
        assert!(!spool.has_aside(tenant, session) && spool.bytes() == 18);
    }

    #[tokio::test]
    async fn a_read_that_succeeds_ends_the_row_of_those_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let first = part(1, &segment_name(0));
        spool.keep(&first, Bytes::from_static(b"sealed")).await.unwrap();
        let (now, later) = (Clock.now(), Clock.now() + chrono::TimeDelta::hours(2));
        assert_eq!(spool.not_read(&first, now), (1, now));
        assert!(spool.read(&first).await.unwrap().is_some());
        assert_eq!(spool.not_read(&first, later), (1, later));
    }

    #[tokio::test]
    async fn what_cannot_even_be_set_aside_waits_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let first = part(1, &segment_name(0));
        spool.keep(&first, Bytes::from_static(b"sealed")).await.unwrap();
        spool.admit(first.clone(), Clock.now());
        // A folder in its place can be neither read nor replaced.
        let file = first.file(&folder.path().canonicalize().unwrap());
        let mut rejected = file.clone().into_os_string();
        rejected.push(REJECTED);
        fs::create_dir_all(Path::new(&rejected).join("full")).unwrap();
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(spool.read(&first).await.is_err());
        let (now, later) = (Clock.now(), Clock.now() + chrono::TimeDelta::hours(2));
        assert_eq!((spool.not_read(&first, now), spool.not_read(&first, later)), ((1, now), (2, now)));
        spool.reject(&first).await.unwrap();
        assert_eq!(spool.next(&HashSet::new()), None);
        assert!(!spool.admit(first.clone(), Clock.now()) && spool.holds(first.tenant, first.session));
    }
}
