//! The ledger's anchors: there is one, and each takes what it is given.

use std::{fs::OpenOptions, io::ErrorKind, path::Path};

use super::Report;
use crate::{
    config::{Bucket, Ledger, ObjectLock},
    context::Ids,
    objects::Objects,
};

const ANCHOR: &str = "ledger_anchor";
const BUCKET: &str = "ledger_bucket";
const LOCK: &str = "ledger_bucket_lock";

pub(super) async fn examine(config: &Ledger, report: &mut Report) {
    if !config.is_anchored() {
        report.warning(
            ANCHOR,
            "the ledger's checkpoints are kept in the database alone: nobody can tell that it was rolled back",
            "set ledger.anchor_s3_bucket, or ledger.anchor_file on storage where the database's administrator has no \
             hand",
        );
    }
    if let Some(file) = &config.anchor_file {
        examine_file(file, report);
    }
    if let Some(bucket) = config.anchor_bucket() {
        examine_bucket(&bucket, report).await;
    }
}

async fn examine_bucket(bucket: &Bucket, report: &mut Report) {
    let name = &bucket.name;
    let objects = match Objects::bucket(bucket) {
        Ok(objects) => objects,
        Err(error) => {
            report.failed(BUCKET, format!("{error:#}"), "correct ledger.anchor_s3_…");
            return;
        }
    };
    match objects.try_out(Ids.fresh()).await {
        Ok(()) => report.ok(BUCKET, format!("the bucket {name} takes, gives back, and does not overwrite")),
        Err(reason) => report.failed(
            BUCKET,
            format!("the bucket {name}: {reason}"),
            "check address, credentials and rights: get, put, list, the same of versions, and for this check delete",
        ),
    }
    match (bucket.object_lock, objects.has_lock().await) {
        (ObjectLock::None, _) => report.warning(
            LOCK,
            "checkpoints are not locked: whoever has the bucket can remove them",
            "use a bucket with object lock, and ledger.anchor_object_lock = \"compliance\"",
        ),
        (_, Ok(Some(true))) => report.ok(
            LOCK,
            format!(
                "checkpoints are locked for {} day(s): {}",
                bucket.object_lock_days,
                objects.lock_mode().unwrap_or_default()
            ),
        ),
        (_, Ok(_)) => report.failed(
            LOCK,
            "ledger.anchor_object_lock is set, and the bucket has no object lock",
            "make a bucket with object lock; some stores cannot add it later",
        ),
        (_, Err(error)) => report.failed(
            LOCK,
            format!("whether the bucket has object lock is not known: {error}"),
            "allow s3:GetBucketObjectLockConfiguration",
        ),
    }
}

fn examine_file(file: &str, report: &mut Report) {
    let path = Path::new(file);
    // Without writing: what is there stays as it is, and what is not there is made by the hub.
    match OpenOptions::new().append(true).open(path) {
        Ok(_) => report.ok(ANCHOR, format!("{file}: takes checkpoints")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if folder.is_dir() {
                report.ok(ANCHOR, format!("{file}: is made with the first checkpoint"));
            } else {
                report.failed(ANCHOR, format!("{}: is no folder", folder.display()), "make the folder of the anchor");
            }
        }
        Err(error) => report.failed(
            ANCHOR,
            format!("{file}: {error}"),
            "let the hub's user append to ledger.anchor_file: without its anchor a hub signs nothing",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    async fn state(anchor_file: Option<String>) -> State {
        let mut report = Report::default();
        examine(&Ledger { anchor_file, ..Ledger::default() }, &mut report).await;
        report.checks[0].state
    }

    #[tokio::test]
    async fn an_anchor_is_asked_for_and_must_take_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name).display().to_string());
        assert_eq!(state(None).await, State::Warning);
        assert_eq!(state(path("not/there/anchor")).await, State::Failed);
        assert_eq!(state(path("anchor")).await, State::Ok);
        assert!(!folder.path().join("anchor").exists(), "looking makes nothing");
        std::fs::write(folder.path().join("anchor"), "").unwrap();
        assert_eq!(state(path("anchor")).await, State::Ok);
        assert_eq!(state(Some(folder.path().display().to_string())).await, State::Failed, "a folder takes no lines");
    }
}
