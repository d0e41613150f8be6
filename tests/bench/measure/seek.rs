//! Seeking in an hour-long recording, in the console in a real browser.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio};

use anyhow::{Context as _, ensure};
use openpam_tests::{World, unique};
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use super::hour::{FLOOD_EVERY, SECONDS, SEGMENT_SECONDS, hour};
use crate::{
    report::Report,
    statistics::{Spread, percentile},
};

/// Seeks of each kind, and for `--quick`.
pub const SEEKS: usize = 24;
pub const FEW_SEEKS: usize = 20;
/// How long a seek may take, from the click until the moment's screen is painted.
const LIMIT_MILLIS: f64 = 300.0;
/// Environment variable with the file that tells the browser's part what to do.
const JOB_VARIABLE: &str = "OPENPAM_BENCH_SEEK";

/// What the browser measured, in milliseconds.
#[derive(Debug, Deserialize)]
struct Measured {
    /// Seeks by kind: from the click until the right screen is painted.
    seeks: BTreeMap<String, Vec<f64>>,
    /// Of the seeks that had to load: what a segment took to come.
    loads: BTreeMap<String, Vec<f64>>,
    /// From the page's address until the moment's screen is painted.
    opens: Vec<f64>,
}

/// Kinds of seeks in their order in the report, with what is said of them.
const KINDS: [(&str, &str); 5] = [
    ("forward", "forward, not loaded yet"),
    ("backward", "backward, not loaded yet"),
    ("within", "within the segment"),
    ("warm", "to and fro, loaded before"),
    ("flood", "to the end of 4 MiB of flood, not loaded yet"),
];

/// Makes the recording and lets the browser seek in it.
///
/// # Errors
/// When a seek does not show the right screen.
pub async fn seek(world: &World, seeks: usize, report: &mut Report) -> anyhow::Result<()> {
    let session = hour(world).await?;
    let (cookie_name, cookie_value) = world
        .admin
        .cookie_header()
        .split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .context("not signed in")?;
    let folder = std::env::temp_dir().join(unique("openpam-bench-seek"));
    std::fs::create_dir(&folder)?;
    let (job, result) = (folder.join("job.json"), folder.join("result.json"));
    let what = json!({
        "url": world.hub.url(), "cookie": { "name": cookie_name, "value": cookie_value }, "session": session,
        "seconds": SECONDS, "segment_seconds": SEGMENT_SECONDS, "flood_every": FLOOD_EVERY, "seeks": seeks, "result": result,
    });
    std::fs::write(&job, what.to_string())?;
    let browser = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("browser");
    let status = Command::new(browser.join("node_modules/.bin/playwright"))
        .args(["test", "--config", "bench/playwright.config.ts"])
        .current_dir(&browser)
        .env(JOB_VARIABLE, &job)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .context("Playwright cannot be run: `deploy/dev bench seek` installs it")?;
    ensure!(status.success(), "the browser's part ended with {status}");
    let measured: Measured = serde_json::from_slice(&std::fs::read(&result)?)?;
    std::fs::remove_dir_all(&folder)?;
    for (kind, said) in KINDS {
        let mut times = measured.seeks.get(kind).cloned().unwrap_or_default();
        ensure!(times.len() >= 12, "{} seeks {said}", times.len());
        let name = format!("seek in an hour, {said}");
        report.note(&format!("{name}: p50"), "ms", Spread::of([percentile(&mut times, 0.5)]));
        report.limit(&format!("{name}: p95"), "ms", Spread::of([percentile(&mut times, 0.95)]), LIMIT_MILLIS);
        report.limit(
            &format!("{name}: slowest of {}", times.len()),
            "ms",
            Spread::of([percentile(&mut times, 1.0)]),
            LIMIT_MILLIS,
        );
        if let Some(loads) = measured.loads.get(kind).filter(|loads| !loads.is_empty()) {
            report.note(&format!("{name}: of it until the segment is there"), "ms", Spread::of(loads.iter().copied()));
        }
    }
    report.note("a page that opens at a moment of an hour", "ms", Spread::of(measured.opens));
    Ok(())
}
