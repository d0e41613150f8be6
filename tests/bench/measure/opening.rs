//! From nothing to the shell's first byte.

use std::time::Instant;

use futures::{StreamExt as _, stream};

use super::Plan;
use crate::{
    line::{Line, Route},
    report::Report,
    statistics::{Spread, percentile},
};

/// Opens on each route in one repetition.
const OPENS: usize = 15;
/// Opens in the measurement of throughput, and how many at a time.
const BURST: (usize, usize) = (100, 8);

/// Time to open one line, and lines opened a second.
///
/// # Errors
/// When a line is refused.
pub async fn opening(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let [direct, hub] = plan.routes();
    open(&direct).await?;
    open(&hub).await?;
    let (mut p50, mut p95, mut rate) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.repetitions {
        let (mut by_ssh, mut by_hub) = (Vec::new(), Vec::new());
        for _ in 0..OPENS {
            by_ssh.push(open(&direct).await?);
            by_hub.push(open(&hub).await?);
        }
        p50.push((percentile(&mut by_ssh, 0.5), percentile(&mut by_hub, 0.5)));
        p95.push((percentile(&mut by_ssh, 0.95), percentile(&mut by_hub, 0.95)));
    }
    for _ in 0..plan.repetitions.min(3) {
        rate.push((burst(&direct).await?, burst(&hub).await?));
    }
    report.compare("open to first byte, p50", "ms", &p50, 0.4);
    report.compare("open to first byte, p95", "ms", &p95, 0.4);
    report.at_least("opens a second, 8 at a time", "1/s", &rate, 1.0);
    report.note("opens a second through the hub", "1/s", Spread::of(rate.iter().map(|(_, hub)| *hub)));
    Ok(())
}

/// Milliseconds.
async fn open(route: &Route) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let line = Line::open(route).await?;
    let took = begun.elapsed();
    line.close().await;
    Ok(took.as_secs_f64() * 1e3)
}

/// Lines a second.
async fn burst(route: &Route) -> anyhow::Result<f64> {
    let (count, at_a_time) = BURST;
    let begun = Instant::now();
    let lines = stream::iter(0..count)
        .map(|_| Line::open(route))
        .buffer_unordered(at_a_time)
        .collect::<Vec<anyhow::Result<Line>>>()
        .await;
    let seconds = begun.elapsed().as_secs_f64();
    for line in lines {
        line?.close().await;
    }
    Ok(count as f64 / seconds)
}
