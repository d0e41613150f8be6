//! Where segments and manifests are kept: a folder, or an S3-compatible object store with a spool on
//! this machine's disk for the time when it is down. One object each, written once.

mod s3;

use std::{
    path::{Path as FilePath, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, local::LocalFileSystem, path::Path,
};
use openpam_ids::{SessionId, TenantId};
use openpam_recordings::{
    MAX_MANIFEST_BYTES, MAX_SEGMENT_BYTES, SealedSegment,
    dir::{MANIFEST_NAME, segment_name},
};
use openpam_telemetry::names;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{
    Error,
    spool::{Part, Spool},
};
use crate::config::{ObjectLock, Recording, RecordingStore};

/// Where the doctor writes.
const DOCTOR: &str = ".doctor";
/// How long the store may take for one object where a spool can have it instead.
const ATTEMPT: Duration = Duration::from_secs(4);
/// How long a look whether the store answers may take, and how long its answer holds.
const LOOK: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Where something is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// In the store.
    Stored,
    /// In this hub's spool, on its way.
    Spooled,
}

/// Whether the store takes what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreHealth {
    /// It answers.
    Available,
    /// It does not, and what should be stored waits in the spool.
    Spooling,
    /// It does not.
    Unavailable,
}

impl StoreHealth {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Spooling => "spooling",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether it is well.
    pub fn is_available(self) -> bool {
        self == Self::Available
    }
}

/// A store of recordings.
#[derive(Debug, Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ObjectStore>,
    /// Below which path of it.
    prefix: Path,
    /// The folder, where it is one.
    folder: Option<PathBuf>,
    s3: Option<s3::S3>,
    spool: Option<Spool>,
    /// It failed: what is to be stored goes to the spool at once, until the spool gets rid of something.
    down: AtomicBool,
    looked: Mutex<Option<(Instant, bool)>>,
}

impl Storage {
    /// Opens what the configuration names; `None` where nothing is recorded.
    ///
    /// # Errors
    /// When it cannot be used at all. A store that does not answer is not such a case.
    pub async fn open(config: &Recording) -> anyhow::Result<Option<Self>> {
        let Some(mut storage) = Self::connect(config)? else { return Ok(None) };
        if let (Some(folder), Some(inner)) = (&config.spool_directory, Arc::get_mut(&mut storage.inner))
            && config.store == RecordingStore::S3
        {
            let spool = Spool::open(FilePath::new(folder), config.spool_max_bytes);
            inner.spool = Some(spool.with_context(|| format!("cannot use the spool {folder}"))?);
        }
        if config.object_lock != ObjectLock::None {
            match storage.has_lock().await {
                Ok(Some(false)) => {
                    anyhow::bail!("recording.object_lock: the bucket {} has no object lock", config.s3_bucket)
                }
                Ok(_) => {}
                // What is put names its lock: a bucket without one refuses it.
                Err(error) => tracing::warn!(%error, "whether the bucket has object lock is not known yet"),
            }
        }
        Ok(Some(storage))
    }

    /// As [`Self::open`], without the spool and without asking anything: for the doctor.
    ///
    /// # Errors
    /// When it cannot be used at all.
    pub fn connect(config: &Recording) -> anyhow::Result<Option<Self>> {
        let (store, folder, s3): (Arc<dyn ObjectStore>, _, _) = match (config.store, &config.directory) {
            (RecordingStore::Local, None) => return Ok(None),
            (RecordingStore::Local, Some(folder)) => {
                std::fs::create_dir_all(folder).with_context(|| format!("cannot keep recordings in {folder}"))?;
                let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true).with_automatic_cleanup(true);
                (Arc::new(store), Some(PathBuf::from(folder)), None)
            }
            (RecordingStore::S3, _) => {
                let (store, s3) = s3::open(config).context("the object store of recordings")?;
                (Arc::new(store), None, Some(s3))
            }
        };
        let inner = Inner {
            store,
            prefix: Path::from(config.s3_prefix.as_str()),
            folder,
            s3,
            spool: None,
            down: AtomicBool::new(false),
            looked: Mutex::new(None),
        };
        Ok(Some(Self { inner: Arc::new(inner) }))
    }

    /// The spool, where there is one.
    pub(super) fn spool(&self) -> Option<&Spool> {
        self.inner.spool.as_ref()
    }

    /// Bytes that wait in this hub's spool.
    pub fn spool_bytes(&self) -> u64 {
        self.inner.spool.as_ref().map_or(0, Spool::bytes)
    }

    fn place(&self, parts: impl IntoIterator<Item = String>) -> Path {
        let below = Path::from_iter(parts);
        let whole = self.inner.prefix.parts().chain(below.parts());
        Path::from_iter(whole)
    }

    fn path(&self, tenant: TenantId, session: SessionId, name: &str) -> Path {
        self.place([tenant.to_string(), session.to_string(), name.to_owned()])
    }

    /// Stores a segment. The same again is fine, another one of this number is not.
    pub(super) async fn put_segment(
        &self,
        tenant: TenantId,
        session: SessionId,
        segment: &SealedSegment,
    ) -> Result<Placed, Error> {
        // In order: what follows something that waits, waits behind it.
        let behind = self.inner.spool.as_ref().is_some_and(|spool| spool.holds(tenant, session));
        self.keep(Part::segment(tenant, session, segment.header.seq), segment.bytes.clone(), behind).await
    }

    /// Stores the manifest, once; `behind` what waits in the spool, where some of it does.
    pub(super) async fn put_manifest(
        &self,
        tenant: TenantId,
        session: SessionId,
        bytes: Vec<u8>,
        behind: bool,
    ) -> Result<Placed, Error> {
        self.keep(Part::manifest(tenant, session), bytes.into(), behind).await
    }

    /// Stores it, or lets it wait in the spool while the store is down.
    async fn keep(&self, part: Part, bytes: Bytes, behind: bool) -> Result<Placed, Error> {
        let Some(spool) = &self.inner.spool else { return self.put(&part, bytes).await.map(|()| Placed::Stored) };
        // With nothing to upload, nobody else would notice that the store is back.
        if !behind && (!self.inner.down.load(Ordering::Relaxed) || spool.is_idle()) {
            let put = timeout(ATTEMPT, self.put(&part, bytes.clone())).await;
            match put.unwrap_or_else(|_| Err(Error::Store("it does not answer in time".to_owned()))) {
                Ok(()) => {
                    self.rose();
                    return Ok(Placed::Stored);
                }
                Err(error @ Error::Store(_)) => self.fell(&error),
                Err(error) => return Err(error),
            }
        }
        spool.keep(&part, bytes).await?;
        Ok(Placed::Spooled)
    }

    fn fell(&self, error: &Error) {
        metrics::gauge!(names::RECORDING_STORE_AVAILABLE).set(0.0);
        if !self.inner.down.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the store of recordings is down: what is recorded waits in the spool");
        }
    }

    /// Notes that the store took something of the spool again.
    pub(super) fn rose(&self) {
        metrics::gauge!(names::RECORDING_STORE_AVAILABLE).set(1.0);
        if self.inner.down.swap(false, Ordering::Relaxed) {
            tracing::info!("the store of recordings is back");
        }
    }

    /// Puts it into the store itself.
    pub(super) async fn put(&self, part: &Part, bytes: Bytes) -> Result<(), Error> {
        self.put_at(&self.path(part.tenant, part.session, &part.name), bytes).await
    }

    async fn put_at(&self, path: &Path, bytes: Bytes) -> Result<(), Error> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.inner.store.put_opts(path, PutPayload::from_bytes(bytes.clone()), options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {
                // An attempt before arrived although it was not answered, or something is badly wrong.
                match self.get_at(path, bytes.len()).await {
                    Ok(there) if there.as_ref() == Some(&bytes) => Ok(()),
                    Ok(_) | Err(Error::TooLarge(_)) => Err(Error::Occupied(path.to_string())),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(Error::Store(openpam_telemetry::with_causes(&error))),
        }
    }

    async fn get_at(&self, path: &Path, most: usize) -> Result<Option<Bytes>, Error> {
        let found = match self.inner.store.get(path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Error::Store(openpam_telemetry::with_causes(&error))),
        };
        if found.meta.size > most as u64 {
            return Err(Error::TooLarge(path.to_string()));
        }
        found.bytes().await.map(Some).map_err(|error| Error::Store(openpam_telemetry::with_causes(&error)))
    }

    async fn get(&self, part: &Part, most: usize) -> Result<Option<Bytes>, Error> {
        if let Some(spool) = &self.inner.spool
            && let Some(bytes) = spool.read(part).await?
        {
            return Ok(Some(bytes));
        }
        self.get_at(&self.path(part.tenant, part.session, &part.name), most).await
    }

    /// A segment's bytes, if it is there.
    pub(super) async fn segment(&self, tenant: TenantId, session: SessionId, seq: u32) -> Result<Option<Bytes>, Error> {
        self.get(&Part::segment(tenant, session, seq), MAX_SEGMENT_BYTES).await
    }

    /// The manifest's bytes, if it is there.
    pub(super) async fn manifest(&self, tenant: TenantId, session: SessionId) -> Result<Option<Bytes>, Error> {
        self.get(&Part::manifest(tenant, session), MAX_MANIFEST_BYTES).await
    }

    /// Whether the store has anything at all of a tenant.
    pub(super) async fn has_any(&self, tenant: TenantId) -> Result<bool, Error> {
        let folder = self.place([tenant.to_string()]);
        let first = self.inner.store.list(Some(&folder)).try_next().await;
        first.map(|found| found.is_some()).map_err(|error| Error::Store(openpam_telemetry::with_causes(&error)))
    }

    /// As [`Self::segment`], of the store alone.
    pub(super) async fn stored_segment(
        &self,
        tenant: TenantId,
        session: SessionId,
        seq: u32,
    ) -> Result<Option<Bytes>, Error> {
        self.get_at(&self.path(tenant, session, &segment_name(seq)), MAX_SEGMENT_BYTES).await
    }

    /// Whether the store has a segment, without reading it.
    pub(super) async fn has_segment(&self, tenant: TenantId, session: SessionId, seq: u32) -> Result<bool, Error> {
        match self.inner.store.head(&self.path(tenant, session, &segment_name(seq))).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(Error::Store(openpam_telemetry::with_causes(&error))),
        }
    }

    /// As [`Self::manifest`], of the store alone.
    pub(super) async fn stored_manifest(&self, tenant: TenantId, session: SessionId) -> Result<Option<Bytes>, Error> {
        self.get_at(&self.path(tenant, session, MANIFEST_NAME), MAX_MANIFEST_BYTES).await
    }

    /// Until when the store lets nobody delete the recording, where it is locked. The manifest was stored
    /// last, so that its lock ends last.
    pub(super) async fn locked_until(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        match &self.inner.s3 {
            Some(s3) => s3.locked_until(self.path(tenant, session, MANIFEST_NAME).as_ref()).await,
            None => Ok(None),
        }
    }

    /// Deletes all that is stored of a recording, for good: every version, where the store keeps several.
    pub(super) async fn delete(&self, tenant: TenantId, session: SessionId) -> Result<(), Error> {
        self.delete_below(&self.place([tenant.to_string(), session.to_string()])).await
    }

    /// Deletes one part, which belongs to no recording that is kept.
    pub(super) async fn delete_part(&self, part: &Part) -> Result<(), Error> {
        let path = self.path(part.tenant, part.session, &part.name);
        if let Some(s3) = &self.inner.s3 {
            return s3.delete_below(path.as_ref()).await;
        }
        self.delete_at(&path).await
    }

    /// Deletes an object where there is no more than one version of it.
    async fn delete_at(&self, path: &Path) -> Result<(), Error> {
        match self.inner.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::Store(openpam_telemetry::with_causes(&error))),
        }
    }

    async fn delete_below(&self, folder: &Path) -> Result<(), Error> {
        if let Some(s3) = &self.inner.s3 {
            return s3.delete_below(&format!("{folder}/")).await;
        }
        let failed = |error: object_store::Error| Error::Store(openpam_telemetry::with_causes(&error));
        let objects: Vec<_> = self.inner.store.list(Some(folder)).try_collect().await.map_err(failed)?;
        for object in objects {
            self.delete_at(&object.location).await?;
        }
        Ok(())
    }

    /// Whether it takes what it is given, as far as that is known without storing anything.
    pub async fn health(&self) -> StoreHealth {
        if self.inner.down.load(Ordering::Relaxed) {
            let full = self.inner.spool.as_ref().is_none_or(Spool::is_full);
            return if full { StoreHealth::Unavailable } else { StoreHealth::Spooling };
        }
        let known = *self.inner.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = match known {
            Some((at, answers)) if at.elapsed() < LOOK_AGAIN => answers,
            _ => {
                let answers = matches!(timeout(LOOK, self.look()).await, Ok(true));
                *self.inner.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), answers));
                metrics::gauge!(names::RECORDING_STORE_AVAILABLE).set(if answers { 1.0 } else { 0.0 });
                answers
            }
        };
        if answers { StoreHealth::Available } else { StoreHealth::Unavailable }
    }

    async fn look(&self) -> bool {
        if let Some(folder) = &self.inner.folder {
            return tokio::fs::metadata(folder).await.is_ok_and(|metadata| metadata.is_dir());
        }
        let nothing = self.place([DOCTOR.to_owned(), "nothing".to_owned()]);
        matches!(self.inner.store.head(&nothing).await, Ok(_) | Err(object_store::Error::NotFound { .. }))
    }

    /// Whether the bucket has object lock; `None` for a folder.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn has_lock(&self) -> Result<Option<bool>, Error> {
        match &self.inner.s3 {
            Some(s3) => s3.has_lock().await.map(Some),
            None => Ok(None),
        }
    }

    /// The object lock of what is stored.
    pub fn lock_mode(&self) -> Option<&'static str> {
        self.inner.s3.as_ref().and_then(s3::S3::lock_mode)
    }

    /// Writes a small object, reads it back, tries to overwrite it, and deletes it.
    ///
    /// # Errors
    /// With the first of these that did not go as it must, in words.
    pub async fn try_out(&self, id: Uuid) -> Result<(), String> {
        let folder = self.place([DOCTOR.to_owned(), id.to_string()]);
        let path = self.place([DOCTOR.to_owned(), id.to_string(), "probe".to_owned()]);
        let first = Bytes::from_static(b"openpam doctor");
        let words = |what: &'static str| move |error: Error| format!("{what}: {error}");
        self.put_at(&path, first.clone()).await.map_err(words("nothing can be written"))?;
        let read = self.get_at(&path, 64).await.map_err(words("what was written cannot be read"))?;
        let overwritten = self.put_at(&path, Bytes::from_static(b"overwritten")).await;
        self.delete_below(&folder).await.map_err(words("what was written cannot be deleted"))?;
        if read != Some(first) {
            return Err("what was written reads differently".to_owned());
        }
        match overwritten {
            Err(Error::Occupied(_)) => Ok(()),
            Ok(()) => Err("what is there can be overwritten: the store does not know If-None-Match".to_owned()),
            Err(error) => Err(format!("whether it refuses to overwrite is not known: {error}")),
        }
    }
}
