//! Stores of objects, each written once: a folder, or an S3-compatible bucket with object lock where it has one.
//! Recordings are kept in one, and checkpoints of the ledger.

mod s3;

use std::{path::Path as FilePath, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, local::LocalFileSystem, path::Path,
};
use tokio::time::timeout;
use uuid::Uuid;

pub use s3::Version;

use crate::config::Bucket;

/// Where the doctor writes. Nothing there is locked.
const PROBES: &str = ".doctor";
/// Pages of the list of a folder's folders, and of what is read of a folder to find its first object that counts.
const MAX_PAGES: usize = 100;
/// How long a store may take to say whether it has object lock.
const LOOK: Duration = Duration::from_secs(5);

/// Why a store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not answer, or refuses; why.
    #[error("{0}")]
    Failed(String),
    /// Something else is in this place.
    #[error("it holds something else at {0}")]
    Occupied(String),
    /// What is in this place is larger than it may be.
    #[error("the object {0} is larger than it may be")]
    TooLarge(String),
}

type Result<T> = std::result::Result<T, Error>;

fn failed(error: object_store::Error) -> Error {
    Error::Failed(openpam_telemetry::with_causes(&error))
}

/// A store of objects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Below which path of it.
    prefix: Path,
    s3: Option<s3::S3>,
}

impl Objects {
    /// A folder, which is there.
    ///
    /// # Errors
    /// When it is not.
    pub fn folder(folder: impl AsRef<FilePath>, prefix: &str) -> anyhow::Result<Self> {
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { store: Arc::new(store), prefix: Path::from(prefix), s3: None })
    }

    /// A bucket. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When it cannot be used at all.
    pub fn bucket(config: &Bucket) -> anyhow::Result<Self> {
        let (store, s3) = s3::open(config)?;
        Ok(Self { store: Arc::new(store), prefix: Path::from(config.prefix.as_str()), s3: Some(s3) })
    }

    /// The path of these parts.
    pub fn place(&self, parts: impl IntoIterator<Item = String>) -> Path {
        let below = Path::from_iter(parts);
        let whole = self.prefix.parts().chain(below.parts());
        Path::from_iter(whole)
    }

    /// Puts an object. The same again is fine, another one in its place is not.
    pub async fn put(&self, path: &Path, bytes: Bytes) -> Result<()> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(path, PutPayload::from_bytes(bytes.clone()), options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {
                // An attempt before arrived although it was not answered, or something is badly wrong.
                match self.get(path, bytes.len()).await {
                    Ok(there) if there.as_ref() == Some(&bytes) => Ok(()),
                    Ok(_) | Err(Error::TooLarge(_)) => Err(Error::Occupied(path.to_string())),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// An object of at most so many bytes, if it is there.
    pub async fn get(&self, path: &Path, most: usize) -> Result<Option<Bytes>> {
        let found = match self.store.get(path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if found.meta.size > most as u64 {
            return Err(Error::TooLarge(path.to_string()));
        }
        found.bytes().await.map(Some).map_err(failed)
    }

    /// Whether there is an object, without reading it.
    pub async fn has(&self, path: &Path) -> Result<bool> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Whether there is anything at all below a path.
    pub async fn has_any(&self, folder: &Path) -> Result<bool> {
        self.store.list(Some(folder)).try_next().await.map(|found| found.is_some()).map_err(failed)
    }

    /// The names of the objects directly below a path, in no order.
    pub async fn names(&self, folder: &Path) -> Result<Vec<String>> {
        let found = self.store.list(Some(folder)).map_err(failed).try_filter_map(|object| async move {
            // What is further below belongs to something else.
            let mut below = object.location.prefix_match(folder).into_iter().flatten();
            let name = below.next().map(|part| part.as_ref().to_owned());
            Ok(name.filter(|_| below.next().is_none()))
        });
        found.try_collect().await
    }

    /// Whether it answers.
    pub async fn answers(&self) -> bool {
        self.has(&self.place([PROBES.to_owned(), "nothing".to_owned()])).await.is_ok()
    }

    /// Deletes an object for good, every version of it.
    pub async fn delete(&self, path: &Path) -> Result<()> {
        match &self.s3 {
            Some(s3) => s3.delete_below(path.as_ref()).await,
            None => self.delete_at(path).await,
        }
    }

    /// Deletes an object where there is no more than one version of it.
    async fn delete_at(&self, path: &Path) -> Result<()> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Deletes all that is below a path for good: every version, where the store keeps several.
    pub async fn delete_below(&self, folder: &Path) -> Result<()> {
        if let Some(s3) = &self.s3 {
            return s3.delete_below(&format!("{folder}/")).await;
        }
        let objects: Vec<_> = self.store.list(Some(folder)).try_collect().await.map_err(failed)?;
        for object in objects {
            self.delete_at(&object.location).await?;
        }
        Ok(())
    }

    /// The names of the folders directly below a path in a bucket, also of those whose objects are hidden by
    /// marks of deletion.
    pub async fn folders(&self, folder: &Path) -> Result<Vec<String>> {
        let prefix = if folder.as_ref().is_empty() { String::new() } else { format!("{folder}/") };
        let (s3, mut names, mut from) = (self.versioned()?, Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let page = s3.versions(&prefix, true, from.as_ref()).await?;
            let name = |folder: &String| folder.strip_prefix(&prefix)?.strip_suffix('/').map(str::to_owned);
            names.extend(page.folders.iter().filter_map(name));
            from = page.next;
            if from.is_none() {
                return Ok(names);
            }
        }
        Err(Error::Failed("its list of folders does not end".to_owned()))
    }

    /// What is below a path in a bucket, in the order of the keys: each version, those too that a newer one or a mark
    /// of deletion hides. Whoever has read enough stops asking.
    pub fn versions(&self, folder: &Path) -> Result<Versions<'_>> {
        Ok(Versions { s3: self.versioned()?, prefix: format!("{folder}/"), from: None, pages: 0, is_through: false })
    }

    /// One version's bytes; `None` where it is gone.
    pub async fn version(&self, version: &Version) -> Result<Option<Bytes>> {
        self.versioned()?.version(version).await
    }

    fn versioned(&self) -> Result<&s3::S3> {
        self.s3.as_ref().ok_or_else(|| Error::Failed("a folder has no versions".to_owned()))
    }

    /// Until when the store lets nobody delete the object, where it is locked.
    pub async fn locked_until(&self, path: &Path) -> Result<Option<DateTime<Utc>>> {
        match &self.s3 {
            Some(s3) => s3.locked_until(path.as_ref()).await,
            None => Ok(None),
        }
    }

    /// Whether the bucket has object lock; `None` for a folder.
    pub async fn has_lock(&self) -> Result<Option<bool>> {
        let Some(s3) = &self.s3 else { return Ok(None) };
        // Asked at the start of a hub, which a store that hangs must not hold up.
        let answer = timeout(LOOK, s3.has_lock()).await;
        answer.unwrap_or_else(|_| Err(Error::Failed("it does not answer in time".to_owned()))).map(Some)
    }

    /// The object lock of what is stored.
    pub fn lock_mode(&self) -> Option<&'static str> {
        self.s3.as_ref().and_then(s3::S3::lock_mode)
    }

    /// Writes a small object, reads it back, tries to overwrite it, and deletes it.
    ///
    /// # Errors
    /// With the first of these that did not go as it must, in words.
    pub async fn try_out(&self, id: Uuid) -> std::result::Result<(), String> {
        let folder = self.place([PROBES.to_owned(), id.to_string()]);
        let path = self.place([PROBES.to_owned(), id.to_string(), "probe".to_owned()]);
        let first = Bytes::from_static(b"openpam doctor");
        let words = |what: &'static str| move |error: Error| format!("{what}: {error}");
        self.put(&path, first.clone()).await.map_err(words("nothing can be written"))?;
        let read = self.get(&path, 64).await.map_err(words("what was written cannot be read"))?;
        let overwritten = self.put(&path, Bytes::from_static(b"overwritten")).await;
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

/// A walk through the versions below a path.
#[derive(Debug)]
pub struct Versions<'s> {
    s3: &'s s3::S3,
    prefix: String,
    from: Option<s3::Marker>,
    pages: usize,
    is_through: bool,
}

impl Versions<'_> {
    /// The next of them, up to a thousand; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Version>>> {
        if self.is_through {
            return Ok(None);
        }
        if self.pages == MAX_PAGES {
            return Err(Error::Failed(format!("the list of {} does not end", self.prefix)));
        }
        let page = self.s3.versions(&self.prefix, false, self.from.as_ref()).await?;
        self.pages += 1;
        self.is_through = page.next.is_none();
        self.from = page.next;
        Ok(Some(page.versions))
    }
}
