//! Where segments and manifests are kept: a folder, or an S3-compatible object store with a spool on
//! this machine's disk for the time when it is down. One object each, written once.

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
use object_store::path::Path;
use openpam_ids::{SessionId, TenantId};
use openpam_recordings::{
    MAX_MANIFEST_BYTES, MAX_SEGMENT_BYTES, SealedSegment,
    dir::{MANIFEST_NAME, MAX_SEGMENTS, parse_segment_name, segment_name},
};
use openpam_telemetry::names;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{
    Error,
    spool::{self, Part, Spool, SpoolStanding},
};
use crate::{
    config::{ObjectLock, Recording, RecordingStore},
    objects::Objects,
};

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
    objects: Objects,
    /// The folder, where it is one.
    folder: Option<PathBuf>,
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
        let (objects, folder) = match (config.store, &config.directory) {
            (RecordingStore::Local, None) => return Ok(None),
            (RecordingStore::Local, Some(folder)) => {
                std::fs::create_dir_all(folder).with_context(|| format!("cannot keep recordings in {folder}"))?;
                (Objects::folder(folder, &config.s3_prefix)?, Some(PathBuf::from(folder)))
            }
            (RecordingStore::S3, _) => {
                (Objects::bucket(&config.bucket()).context("the object store of recordings")?, None)
            }
        };
        let inner = Inner { objects, folder, spool: None, down: AtomicBool::new(false), looked: Mutex::new(None) };
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

    /// How this hub's spool stands, where there is one.
    pub fn spool_standing(&self) -> Option<SpoolStanding> {
        self.inner.spool.as_ref().map(Spool::standing)
    }

    /// What is in the folder of a spool, whichever hub uses it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look_into_spool(folder: &FilePath) -> std::io::Result<SpoolStanding> {
        spool::look(folder)
    }

    fn path(&self, tenant: TenantId, session: SessionId, name: &str) -> Path {
        self.inner.objects.place([tenant.to_string(), session.to_string(), name.to_owned()])
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
        Ok(self.inner.objects.put(&self.path(part.tenant, part.session, &part.name), bytes).await?)
    }

    async fn get_at(&self, path: &Path, most: usize) -> Result<Option<Bytes>, Error> {
        Ok(self.inner.objects.get(path, most).await?)
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
        let folder = self.inner.objects.place([tenant.to_string()]);
        Ok(self.inner.objects.has_any(&folder).await?)
    }

    /// The numbers of the segments that the store has of a recording, in order: for whoever takes it elsewhere.
    ///
    /// # Errors
    /// When the store does not answer, or has more than a recording can have.
    pub async fn stored_segments(&self, tenant: TenantId, session: SessionId) -> Result<Vec<u32>, Error> {
        let folder = self.inner.objects.place([tenant.to_string(), session.to_string()]);
        let names = self.inner.objects.names(&folder).await?;
        let mut segments = names.iter().filter_map(|name| parse_segment_name(name)).collect::<Vec<_>>();
        if segments.len() > MAX_SEGMENTS {
            return Err(Error::Store(format!("there are more than {MAX_SEGMENTS} segments in {folder}")));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// As [`Self::segment`], of the store alone.
    ///
    /// # Errors
    /// When the store does not answer, or it is too large.
    pub async fn stored_segment(&self, tenant: TenantId, session: SessionId, seq: u32) -> Result<Option<Bytes>, Error> {
        self.get_at(&self.path(tenant, session, &segment_name(seq)), MAX_SEGMENT_BYTES).await
    }

    /// Whether the store has a segment, without reading it.
    pub(super) async fn has_segment(&self, tenant: TenantId, session: SessionId, seq: u32) -> Result<bool, Error> {
        Ok(self.inner.objects.has(&self.path(tenant, session, &segment_name(seq))).await?)
    }

    /// As [`Self::manifest`], of the store alone.
    ///
    /// # Errors
    /// When the store does not answer, or it is too large.
    pub async fn stored_manifest(&self, tenant: TenantId, session: SessionId) -> Result<Option<Bytes>, Error> {
        self.get_at(&self.path(tenant, session, MANIFEST_NAME), MAX_MANIFEST_BYTES).await
    }

    /// Until when the store lets nobody delete the recording, where it is locked. The manifest was stored
    /// last, so that its lock ends last.
    pub(super) async fn locked_until(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        Ok(self.inner.objects.locked_until(&self.path(tenant, session, MANIFEST_NAME)).await?)
    }

    /// Deletes all that is stored of a recording, for good: every version, where the store keeps several.
    pub(super) async fn delete(&self, tenant: TenantId, session: SessionId) -> Result<(), Error> {
        let folder = self.inner.objects.place([tenant.to_string(), session.to_string()]);
        Ok(self.inner.objects.delete_below(&folder).await?)
    }

    /// Deletes one part, which belongs to no recording that is kept.
    pub(super) async fn delete_part(&self, part: &Part) -> Result<(), Error> {
        Ok(self.inner.objects.delete(&self.path(part.tenant, part.session, &part.name)).await?)
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
        self.inner.objects.answers().await
    }

    /// Whether the bucket has object lock; `None` for a folder.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn has_lock(&self) -> Result<Option<bool>, Error> {
        Ok(self.inner.objects.has_lock().await?)
    }

    /// The object lock of what is stored.
    pub fn lock_mode(&self) -> Option<&'static str> {
        self.inner.objects.lock_mode()
    }

    /// Writes a small object, reads it back, tries to overwrite it, and deletes it.
    ///
    /// # Errors
    /// With the first of these that did not go as it must, in words.
    pub async fn try_out(&self, id: Uuid) -> Result<(), String> {
        self.inner.objects.try_out(id).await
    }
}
