//! Ctrl-C while a program floods a reader that is slower than it.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::Plan;
use crate::{
    line::{Line, PATIENCE, Pace, Route},
    report::Report,
    statistics::Spread,
};

/// Bytes a second that the reader takes.
const READER: f64 = 2e6;
/// How long the flood lasts before it is interrupted.
const FLOOD: Duration = Duration::from_secs(3);
const GOAL: f64 = 0.35;

/// Seconds from Ctrl-C to the prompt.
///
/// # Errors
/// When a line ends or the program is never interrupted.
pub async fn interrupt(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let [direct, hub] = plan.routes();
    let mut both = Vec::new();
    for _ in 0..plan.repetitions {
        both.push((once(&direct).await?, once(&hub).await?));
    }
    report.note("Ctrl-C under a flood, ssh", "s", Spread::of(both.iter().map(|(ssh, _)| *ssh)));
    report.limit("Ctrl-C under a flood, hub", "s", Spread::of(both.iter().map(|(_, hub)| *hub)), GOAL);
    Ok(())
}

async fn once(route: &Route) -> anyhow::Result<f64> {
    let mut line = Line::open(route).await?;
    line.settle().await?;
    line.send("yes\n").await?;
    let mut pace = Pace::new(READER);
    ensure!(!line.until_slowly(b"no such output", &mut pace, FLOOD).await?, "yes said something else");
    let begun = Instant::now();
    line.send(&b"\x03"[..]).await?;
    ensure!(line.until_slowly(b"^C\r\n$ ", &mut pace, PATIENCE).await?, "Ctrl-C had no effect");
    let took = begun.elapsed().as_secs_f64();
    line.close().await;
    Ok(took)
}
