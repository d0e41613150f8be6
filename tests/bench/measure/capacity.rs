//! Many sessions at the same time.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use openpam_tests::hub::resident_kib;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Plan,
    keys::{type_key, typing_line},
};
use crate::{
    line::{Line, Route},
    process::cpu_seconds,
    report::Report,
    statistics::{Spread, percentile},
};

/// Sessions opened at the same time.
pub(super) const AT_A_TIME: usize = 8;
/// Sessions at which the slope begins.
const FEW: usize = 100;
/// People who type while the others are idle.
const ACTIVE: usize = 50;
/// Keys a person types a second, and for how long.
const KEYS_PER_SECOND: u32 = 5;
const TYPING: Duration = Duration::from_secs(10);
/// Memory is read when it has not moved by more than this for a second.
const CALM_KIB: u64 = 64;

/// Resident memory of the hub with 1, 100 and the plan's number of idle sessions; leaves them open.
///
/// # Errors
/// When a session is refused.
pub async fn idle_memory(plan: &Plan, report: &mut Report) -> anyhow::Result<JoinSet<()>> {
    let route = Route::Hub(plan.through.clone());
    let (mut idle, end) = (JoinSet::new(), CancellationToken::new());
    let mut resident = Vec::new();
    let empty = calm_kib(plan.hub).await?;
    report.note("hub's memory, no session", "MiB", Spread::of([empty as f64 / 1024.0]));
    for count in [1, FEW, plan.sessions] {
        let kib = open_idle(plan.hub, &route, count, &mut idle, &end, Duration::ZERO).await?;
        report.note(&format!("hub's memory, {count} idle"), "MiB", Spread::of([kib / 1024.0]));
        resident.push(kib);
    }
    let slope = (resident[2] - resident[1]) / (plan.sessions - FEW) as f64;
    report.limit(&format!("memory per idle session, {FEW} to {}", plan.sessions), "KiB", Spread::of([slope]), 100.0);
    anyhow::ensure!(idle.try_join_next().is_none(), "an idle session ended");
    Ok(idle)
}

/// Opens sessions until there are `count`, which stay until `end`, lets some time pass, and reads the hub's memory in KiB.
pub(super) async fn open_idle(
    pid: u32,
    route: &Route,
    count: usize,
    idle: &mut JoinSet<()>,
    end: &CancellationToken,
    pause: Duration,
) -> anyhow::Result<f64> {
    let mut opened = stream::iter(idle.len()..count).map(|_| Line::open(route)).buffer_unordered(AT_A_TIME);
    while let Some(line) = opened.try_next().await? {
        idle.spawn(line.idle(end.clone()));
    }
    tokio::time::sleep(pause).await;
    Ok(calm_kib(pid).await? as f64)
}

/// With the idle sessions of [`idle_memory`] still there: fifty people type.
///
/// # Errors
/// When a session is refused or ends.
pub async fn capacity(plan: &Plan, idle: &mut JoinSet<()>, report: &mut Report) -> anyhow::Result<()> {
    let count = idle.len();
    for route in plan.routes() {
        let through_hub = matches!(route, Route::Hub(_));
        let lines = stream::iter(0..ACTIVE)
            .map(|_| typing_line(&route))
            .buffer_unordered(AT_A_TIME)
            .try_collect::<Vec<_>>()
            .await?;
        let cpu = cpu_seconds(plan.hub)?;
        let begun = Instant::now();
        let people = lines.into_iter().enumerate().map(|(number, line)| type_like_a_person(line, number));
        let mut round_trips = try_join_all(people).await?.concat();
        let load = (cpu_seconds(plan.hub)? - cpu) / begun.elapsed().as_secs_f64() * 100.0;
        let who = if through_hub { "hub" } else { "ssh" };
        let sessions = format!("{count} idle + {ACTIVE} active, {who}");
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            report.note(
                &format!("{sessions}: key to echo, {name}"),
                "µs",
                Spread::of([percentile(&mut round_trips, share)]),
            );
        }
        if through_hub {
            report.note(&format!("{sessions}: hub's CPU"), "% of a core", Spread::of([load]));
        }
    }
    anyhow::ensure!(idle.try_join_next().is_none(), "an idle session ended while others typed");
    Ok(())
}

/// Round trips in microseconds.
async fn type_like_a_person(mut line: Line, number: usize) -> anyhow::Result<Vec<f64>> {
    let pause = Duration::from_secs(1) / KEYS_PER_SECOND;
    // Nobody waits for anybody: spread over the first pause.
    tokio::time::sleep(pause * u32::try_from(number)? / u32::try_from(ACTIVE)?).await;
    let mut round_trips = Vec::new();
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(pause);
    while begun.elapsed() < TYPING {
        ticks.tick().await;
        round_trips.push(type_key(&mut line).await?);
    }
    line.close().await;
    Ok(round_trips)
}

/// Resident memory once it stands still.
async fn calm_kib(pid: u32) -> anyhow::Result<u64> {
    let mut last = resident_kib(pid)?;
    let mut calm = 0;
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = resident_kib(pid)?;
        calm = if now.abs_diff(last) <= CALM_KIB { calm + 1 } else { 0 };
        last = now;
        if calm == 5 {
            break;
        }
    }
    Ok(last)
}
