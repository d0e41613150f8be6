//! Opening a recording of a flood at its end.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use openpam_tests::{World, eventually};

use crate::{
    report::Report,
    statistics::{Spread, percentile},
};

/// What the recording shows, and what it shows for `--quick`.
pub const BYTES: u64 = 264 << 20;
pub const FEW_BYTES: u64 = 32 << 20;
/// How long the hub may take for the list of segments and for the last one.
const LIMIT_MILLIS: f64 = 300.0;

/// Records a flood, waits until it is indexed, and opens it at its end.
///
/// # Errors
/// When it is not recorded, indexed or opened.
pub async fn flooded(world: &World, bytes: u64, repetitions: usize, report: &mut Report) -> anyhow::Result<()> {
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.keep_output = false;
    terminal.type_line(&format!("seq 10000000 99999999 | head -c {bytes}")).await?;
    let begun = Instant::now();
    while terminal.received < bytes {
        terminal.until_received(bytes.min(terminal.received + (4 << 20))).await?;
    }
    report.note("a flood is recorded", "MB/s", Spread::of([bytes as f64 / 1e6 / begun.elapsed().as_secs_f64()]));
    terminal.drain(Duration::from_secs(1)).await?;
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(30)).await?;
    let ended = Instant::now();
    eventually("it is indexed", Duration::from_secs(900), || async {
        let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
        Ok((recording["index"]["done"] == true).then_some(()))
    })
    .await?;
    report.note("from its end until it is indexed", "s", Spread::of([ended.elapsed().as_secs_f64()]));
    let (mut lists, mut segments) = (Vec::new(), Vec::new());
    for _ in 0..repetitions {
        let begun = Instant::now();
        let index = world.admin.get(&format!("/sessions/{session}/recording/player")).await?;
        lists.push(begun.elapsed().as_secs_f64() * 1_000.0);
        let list = index["segments"].as_array().context("no segments")?;
        for number in [list.len() - 1, list.len() / 2] {
            let url = list[number]["url"].as_str().context("no url")?.trim_start_matches("/api/v1").to_owned();
            let begun = Instant::now();
            world.admin.text(&url).await?;
            segments.push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    let what = format!("a recording of {} MiB", bytes >> 20);
    report.limit(
        &format!("{what}: list of segments, p95"),
        "ms",
        Spread::of([percentile(&mut lists, 0.95)]),
        LIMIT_MILLIS,
    );
    report.limit(
        &format!("{what}: a segment at its end or middle, p95"),
        "ms",
        Spread::of([percentile(&mut segments, 0.95)]),
        LIMIT_MILLIS,
    );
    Ok(())
}
