//! The store of recordings: it takes, gives back, refuses to overwrite, and locks as configured.

use std::path::Path;

use super::Report;
use crate::{
    config::{Config, ObjectLock, Recording, RecordingStore},
    context::{Clock, Ids},
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
        spool(recording, report);
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

fn spool(recording: &Recording, report: &mut Report) {
    let Some(folder) = recording.spool_directory.as_deref() else {
        if recording.required {
            report.warning(
                SPOOL,
                "there is no recording.spool_directory: sessions end when the store is down for half a minute",
                "name a folder on a disk of this machine",
            );
        } else {
            report.skipped(SPOOL, "there is no recording.spool_directory");
        }
        return;
    };
    match std::fs::metadata(Path::new(folder)) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return report.failed(SPOOL, format!("{folder} is no folder"), "name a folder"),
        // The hub makes it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return report.ok(SPOOL, format!("{folder} will be made"));
        }
        Err(error) => return report.failed(SPOOL, format!("{folder}: {error}"), "let the hub's user use it"),
    }
    let standing = match Storage::look_into_spool(Path::new(folder)) {
        Ok(standing) => standing,
        Err(error) => return report.failed(SPOOL, format!("{folder}: {error}"), "let the hub's user use it"),
    };
    let seconds = standing.oldest.map_or(0, |since| (Clock.now() - since).num_seconds().max(0)).unsigned_abs();
    let (bytes, aside) = (standing.bytes, standing.aside_bytes);
    if seconds > recording.spool_wait_seconds {
        report.failed(
            SPOOL,
            format!("{folder}: {bytes} bytes wait for the store, the oldest for {} hours", seconds / 3_600),
            "bring the store back, or the hub that has this spool: other hubs close recordings without what waits for longer \
             than recording.spool_wait_seconds",
        );
    } else if aside > 0 {
        report.warning(
            SPOOL,
            format!("{folder}: {aside} bytes were set aside, which the store will never take"),
            "look for recording.spool_aside in the ledger, keep or remove the files that end with .rejected",
        );
    } else if bytes > 0 {
        report.warning(
            SPOOL,
            format!("{folder}: {bytes} bytes wait for the store, the oldest for {} minutes", seconds / 60),
            "look whether the store answers, and whether the hub that has this spool runs",
        );
    } else {
        report.ok(SPOOL, format!("{folder} is empty"));
    }
}
