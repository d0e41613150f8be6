//! `openpam recording list`: the recordings of a hub, or those below a folder.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use openpam_recordings::{Signers, Verdict, Verifier, dir::Folder};
use serde_json::{Value, json};

use super::{
    remote::{Api, Remote},
    verified,
};

/// Recordings that are listed of a folder.
const MAX_RECORDINGS: usize = 100_000;
/// Folders below the one that is named: a store has tenants and sessions.
const DEPTH: usize = 2;

/// What to list.
#[derive(Debug)]
pub struct List {
    /// A folder; without one the hub is asked.
    pub folder: Option<PathBuf>,
    /// The hub.
    pub remote: Option<Remote>,
    /// Whether the hub verifies each.
    pub verify: bool,
    /// How many of a hub.
    pub limit: usize,
    /// One JSON array instead of a table.
    pub json: bool,
}

/// Lists; failure when one that was verified is not whole.
///
/// # Errors
/// When folder or hub cannot be read.
pub async fn list(list: List) -> anyhow::Result<ExitCode> {
    let rows = match (&list.folder, &list.remote) {
        (Some(folder), _) => below(folder)?,
        (None, Some(remote)) => of_hub(&remote.open()?, list.limit, list.verify).await?,
        (None, None) => anyhow::bail!("name a folder, or a hub (--hub)"),
    };
    print(&rows, list.json)?;
    let bad = rows.iter().any(|row| row["defective"] == true);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn of_hub(api: &Api, limit: usize, verify: bool) -> anyhow::Result<Vec<Value>> {
    let mut rows = api.list("/recordings", limit).await?;
    for row in rows.iter_mut().filter(|_| verify) {
        let stored = !matches!(row["state"].as_str(), Some("purging" | "purged"));
        if let (Some(session), true) = (row["session_id"].as_str(), stored) {
            let session = session.to_owned();
            let recording = verified(api, &session, |_| Ok(())).await?;
            let verdict = recording["verification"]["verdict"].clone();
            // One that was closed has a manifest: its hub says where that is missing.
            row["defective"] = json!(!matches!(verdict.as_str(), Some("intact" | "incomplete" | "empty")));
            row["verdict"] = verdict;
        }
    }
    Ok(rows)
}

/// Every recording in the folder and below it, in the order of their paths.
fn below(folder: &Path) -> anyhow::Result<Vec<Value>> {
    let mut folders = vec![(folder.to_owned(), 0)];
    let mut rows = Vec::new();
    while let Some((folder, depth)) = folders.pop() {
        let found = Folder::open(&folder)?;
        if !found.segments.is_empty() || found.has_manifest {
            rows.push(row(&folder, &found)?);
            anyhow::ensure!(rows.len() <= MAX_RECORDINGS, "there are more than {MAX_RECORDINGS} recordings");
        }
        if depth < DEPTH {
            let entries = fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push((entry.path(), depth + 1));
                }
            }
        }
    }
    rows.sort_by(|one, other| one["path"].as_str().cmp(&other["path"].as_str()));
    Ok(rows)
}

fn row(path: &Path, folder: &Folder) -> anyhow::Result<Value> {
    let report = folder.verify(Verifier::new(Signers::Any))?;
    let manifest = report.manifest.as_ref();
    let state = match manifest {
        None => "recording",
        Some(manifest) if manifest.segments == 0 => "empty",
        Some(manifest) if manifest.closed_by == openpam_recordings::ClosedBy::Completer => "completed",
        Some(_) => "complete",
    };
    let started = report.session.and_then(|session| {
        chrono::DateTime::from_timestamp_micros(i64::try_from(session.started_at).unwrap_or_default())
    });
    #[expect(clippy::cast_precision_loss, reason = "seconds for a person")]
    let seconds = manifest.map(|manifest| manifest.ended_at as f64 / 1e6);
    Ok(json!({
        "session_id": report.session.map(|session| session.session_id.to_string()),
        "state": state,
        "path": path.display().to_string(),
        "started_at": started.map(|at| at.to_rfc3339()),
        "duration_seconds": seconds,
        "segments": report.segments,
        "stored_bytes": manifest.map(|manifest| manifest.stored_bytes),
        "verdict": report.verdict.code(),
        "defective": matches!(report.verdict, Verdict::Defective(_)),
    }))
}

fn print(rows: &[Value], as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        return writeln!(out, "{}", serde_json::to_string_pretty(rows)?);
    }
    writeln!(out, "{:<37}{:<11}{:<21}{:>9}{:>9}  VERDICT", "SESSION", "STATE", "STARTED", "SECONDS", "SEGMENTS")?;
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        let seconds =
            row["duration_seconds"].as_f64().map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}"));
        let started = text("started_at").chars().take(19).collect::<String>();
        let held = if row["held"] == true { " (held)" } else { "" };
        writeln!(
            out,
            "{:<37}{:<11}{started:<21}{seconds:>9}{:>9}  {}{held}",
            text("session_id"),
            text("state"),
            row["segments"],
            text("verdict")
        )?;
    }
    Ok(())
}
