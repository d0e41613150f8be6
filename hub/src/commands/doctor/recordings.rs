//! The store of recordings: it takes, gives back, refuses to overwrite, and locks as configured.

use std::path::Path;

use super::Report;
use crate::{
    config::{Config, ObjectLock, RecordingStore},
    context::Ids,
    domains::recordings::Storage,
};

const STORE: &str = "recording_store";
const LOCK: &str = "recording_lock";
const SPOOL: &str = "recording_spool";

pub(super) async fn examine(config: &Config, report: &mut Report) {
    let recording = &config.recording;
    let storage = match Storage::connect(recording) {
        Ok(Some(storage)) => storage,
        Ok(None) => {
            report.skipped(STORE, "sessions are not recorded: there is no recording.directory");
            return;
        }
        Err(error) => {
            report.failed(STORE, format!("{error:#}"), "correct [recording]");
            return;
        }
    };
    let place = match recording.store {
        RecordingStore::Local => recording.directory.clone().unwrap_or_default(),
        RecordingStore::S3 => format!("the bucket {}", recording.s3_bucket),
    };
    match storage.try_out(Ids.fresh()).await {
        Ok(()) => report.ok(STORE, format!("{place} takes, gives back, and does not overwrite")),
        Err(reason) => report.failed(
            STORE,
            format!("{place}: {reason}"),
            "check address, credentials and rights: get, put, delete, list, and the same of versions",
        ),
    }
    if recording.store == RecordingStore::S3 {
        lock(&storage, recording.object_lock, recording.object_lock_days, report).await;
        spool(recording.spool_directory.as_deref(), recording.required, report);
    }
}

async fn lock(storage: &Storage, wanted: ObjectLock, days: u64, report: &mut Report) {
    match (wanted, storage.has_lock().await) {
        (ObjectLock::None, Ok(_)) => report.ok(LOCK, "what is stored is not locked, as configured"),
        (_, Ok(Some(true))) => report.ok(
            LOCK,
            format!("what is stored is locked for {days} day(s): {}", storage.lock_mode().unwrap_or_default()),
        ),
        (_, Ok(_)) => report.failed(
            LOCK,
            "recording.object_lock is set, and the bucket has no object lock",
            "make a bucket with object lock; some stores cannot add it later",
        ),
        (ObjectLock::None, Err(_)) => report.skipped(LOCK, "not configured"),
        (_, Err(error)) => report.failed(
            LOCK,
            format!("whether the bucket has object lock is not known: {error}"),
            "allow s3:GetBucketObjectLockConfiguration",
        ),
    }
}

fn spool(folder: Option<&str>, required: bool, report: &mut Report) {
    match folder {
        None if required => report.warning(
            SPOOL,
            "there is no recording.spool_directory: sessions end when the store is down for half a minute",
            "name a folder on a disk of this machine",
        ),
        None => report.skipped(SPOOL, "there is no recording.spool_directory"),
        Some(folder) => match std::fs::metadata(Path::new(folder)) {
            Ok(metadata) if metadata.is_dir() => report.ok(SPOOL, format!("{folder} is there")),
            Ok(_) => report.failed(SPOOL, format!("{folder} is no folder"), "name a folder"),
            // The hub makes it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                report.ok(SPOOL, format!("{folder} will be made"));
            }
            Err(error) => report.failed(SPOOL, format!("{folder}: {error}"), "let the hub's user use it"),
        },
    }
}
