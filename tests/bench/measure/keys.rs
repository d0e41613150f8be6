//! From a key to its echo.

use anyhow::ensure;

use super::Plan;
use crate::{
    line::{Line, Route},
    process::cpu_seconds,
    report::Report,
    statistics::{Spread, percentile},
};

/// Keys typed on each route in one repetition.
const KEYS: usize = 4_000;
/// Keys typed on one route before it is the next one's turn: what else the machine does comes and goes within seconds
/// and must not fall on one route alone.
const TURN: usize = 500;

/// Round trips of single keys, one at a time, and what one costs the hub.
///
/// # Errors
/// When a line ends.
pub async fn keys(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let [direct, hub] = plan.routes();
    let bridge = plan.direct.bare_bridge().await?;
    let mut direct = typing_line(&direct).await?;
    let mut bare = typing_line(&Route::Bare(bridge.address)).await?;
    let mut hub = typing_line(&hub).await?;
    for line in [&mut direct, &mut bare, &mut hub] {
        type_keys(line, KEYS / 4).await?;
    }
    let (mut p50, mut p99, mut cost) = (Vec::new(), Vec::new(), Vec::new());
    let (mut least, mut own) = (Vec::new(), Vec::new());
    for _ in 0..plan.repetitions {
        let (mut by_ssh, mut by_bridge, mut by_hub) = (Vec::new(), Vec::new(), Vec::new());
        let mut spent = 0.0;
        for _ in 0..KEYS / TURN {
            by_ssh.extend(type_keys(&mut direct, TURN).await?);
            by_bridge.extend(type_keys(&mut bare, TURN).await?);
            let before = cpu_seconds(plan.hub)?;
            by_hub.extend(type_keys(&mut hub, TURN).await?);
            spent += cpu_seconds(plan.hub)? - before;
        }
        cost.push(spent / KEYS as f64 * 1e6);
        let bridge_p50 = percentile(&mut by_bridge, 0.5);
        least.push((percentile(&mut by_ssh, 0.5), bridge_p50));
        own.push((bridge_p50, percentile(&mut by_hub, 0.5)));
        p50.push((percentile(&mut by_ssh, 0.5), percentile(&mut by_hub, 0.5)));
        p99.push((percentile(&mut by_ssh, 0.99), percentile(&mut by_hub, 0.99)));
    }
    report.compare("key to echo, p50", "µs", &p50, 1.3);
    report.compare("key to echo, p99", "µs", &p99, 1.4);
    report.contrast("key to echo, p50, a bare bridge beside ssh", "µs", &least);
    report.contrast("key to echo, p50, the hub beside a bare bridge", "µs", &own);
    report.limit("hub's CPU per key", "µs", Spread::of(cost), 80.0);
    direct.close().await;
    bare.close().await;
    hub.close().await;
    Ok(())
}

/// A line whose terminal echoes every key at once and whose program reads none.
pub(super) async fn typing_line(route: &Route) -> anyhow::Result<Line> {
    let mut line = Line::open(route).await?;
    line.settle().await?;
    line.send("stty -icanon min 255 time 0; printf 'TYP%s\\n' ING; exec cat >/dev/null\n").await?;
    line.until(b"TYPING\r\n").await?;
    Ok(line)
}

/// Types keys one at a time; microseconds of each round trip.
pub(super) async fn type_keys(line: &mut Line, keys: usize) -> anyhow::Result<Vec<f64>> {
    let mut round_trips = Vec::with_capacity(keys);
    for _ in 0..keys {
        round_trips.push(type_key(line).await?);
    }
    Ok(round_trips)
}

/// One round trip in microseconds.
pub(super) async fn type_key(line: &mut Line) -> anyhow::Result<f64> {
    let begun = std::time::Instant::now();
    line.send(&b"x"[..]).await?;
    let echo = line.receive().await?;
    let took = begun.elapsed();
    ensure!(&echo[..] == b"x", "expected the echo of one key, got {echo:?}");
    Ok(took.as_secs_f64() * 1e6)
}
