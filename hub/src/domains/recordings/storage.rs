//! Where segments and manifests are kept: a folder for now. One object each, written once.

use std::{path::Path as FilePath, sync::Arc};

use bytes::Bytes;
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, local::LocalFileSystem, path::Path,
};
use openpam_ids::{SessionId, TenantId};
use openpam_recordings::{MAX_MANIFEST_BYTES, MAX_SEGMENT_BYTES, SealedSegment, dir::segment_name};

use super::Error;

/// The file's name of a manifest.
const MANIFEST: &str = "manifest";

/// A store of recordings.
#[derive(Debug, Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
}

impl Storage {
    /// Keeps recordings below a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn local(folder: &FilePath) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { store: Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)) })
    }

    fn path(tenant: TenantId, session: SessionId, name: &str) -> Path {
        Path::from_iter([tenant.to_string(), session.to_string(), name.to_owned()])
    }

    /// Stores a segment. The same again is fine, another one of this number is not.
    pub(super) async fn put_segment(
        &self,
        tenant: TenantId,
        session: SessionId,
        segment: &SealedSegment,
    ) -> Result<(), Error> {
        self.put(&Self::path(tenant, session, &segment_name(segment.header.seq)), segment.bytes.clone()).await
    }

    /// Stores the manifest, once.
    pub(super) async fn put_manifest(&self, tenant: TenantId, session: SessionId, bytes: Vec<u8>) -> Result<(), Error> {
        self.put(&Self::path(tenant, session, MANIFEST), bytes.into()).await
    }

    async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), Error> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(path, PutPayload::from_bytes(bytes.clone()), options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {
                // An attempt before arrived although it was not answered, or something is badly wrong.
                let there = self.get(path, bytes.len()).await?;
                if there == Some(bytes) { Ok(()) } else { Err(Error::Occupied(path.to_string())) }
            }
            Err(error) => Err(Error::Store(error.to_string())),
        }
    }

    async fn get(&self, path: &Path, most: usize) -> Result<Option<Bytes>, Error> {
        let found = match self.store.get(path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Error::Store(error.to_string())),
        };
        if found.meta.size > most as u64 {
            return Err(Error::TooLarge(path.to_string()));
        }
        found.bytes().await.map(Some).map_err(|error| Error::Store(error.to_string()))
    }

    /// A segment's bytes, if it is there.
    pub(super) async fn segment(&self, tenant: TenantId, session: SessionId, seq: u32) -> Result<Option<Bytes>, Error> {
        self.get(&Self::path(tenant, session, &segment_name(seq)), MAX_SEGMENT_BYTES).await
    }

    /// The manifest's bytes, if it is there.
    pub(super) async fn manifest(&self, tenant: TenantId, session: SessionId) -> Result<Option<Bytes>, Error> {
        self.get(&Self::path(tenant, session, MANIFEST), MAX_MANIFEST_BYTES).await
    }
}
