//! Twenty sessions that end at the same moment.

use std::time::Duration;

use anyhow::ensure;
use futures::future::try_join_all;
use tokio::time::Instant;

use super::{
    Plan,
    keys::{type_key, typing_line},
    recorder::{Both, Side},
};
use crate::{
    line::Line,
    process::cpu_seconds,
    report::Report,
    statistics::{Spread, percentile},
};

const SESSIONS: usize = 20;
/// What each has recorded before: less than a segment, and some eight of them.
const LITTLE: u64 = 256 << 10;
const MUCH: u64 = 32 << 20;
/// How long what they cause is measured.
const AFTER: Duration = Duration::from_secs(5);
/// Between two keys of somebody who goes on typing: enough keys in that time for their 99th percentile.
const PAUSE: Duration = Duration::from_millis(10);
/// CPU seconds that recordings of any length may add, a twentieth of one processor.
const LIMIT_SECONDS: f64 = 0.25;
/// What the echo of the one who types on may lose.
const ECHO_LIMIT: f64 = 1.5;

/// What one closing of all caused.
struct Closed {
    cpu: f64,
    echo_p99: f64,
}

/// CPU and echo while all of them end, with recordings of two lengths and without.
///
/// # Errors
/// When a line ends early.
pub async fn closing(both: &Both<'_>, plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let repetitions = plan.repetitions.min(5);
    for (bytes, name) in [(LITTLE, "256 KiB"), (MUCH, "32 MiB")] {
        let (mut cpu, mut echo, mut added) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..repetitions {
            let without = once(&both.plain, bytes, false).await?;
            let with = once(&both.recorded, bytes, true).await?;
            cpu.push((without.cpu, with.cpu));
            added.push(with.cpu - without.cpu);
            echo.push((without.echo_p99, with.echo_p99));
        }
        let what = format!("{SESSIONS} sessions of {name} end at once");
        report.contrast(&format!("{what}: hub's CPU in the 5 s after"), "s", &cpu);
        report.limit(&format!("{what}: CPU that recording adds"), "s", Spread::of(added), LIMIT_SECONDS);
        report.compare(&format!("{what}: echo of another, p99"), "µs", &echo, ECHO_LIMIT);
    }
    Ok(())
}

async fn once(side: &Side<'_>, bytes: u64, recorded: bool) -> anyhow::Result<Closed> {
    let route = side.route();
    let mut typist = typing_line(&route).await?;
    let lines = (0..SESSIONS).map(|_| async {
        let mut line = Line::open(&route).await?;
        line.settle().await?;
        // One line that is written anew again and again: much to record, little for the database to find.
        let program = format!("yes 'unit after unit is compiled and linked' | tr '\\n' '\\r' | head -c {bytes}");
        line.send(format!("{program}; printf '\\nEN%s\\n' D\n")).await?;
        line.until(b"END\r\n$ ").await?;
        anyhow::Ok(line)
    });
    let mut lines = try_join_all(lines).await?;
    if recorded {
        // What they said is stored and indexed, as it is in the middle of a long session.
        side.indexed(lines.iter_mut().chain([&mut typist])).await?;
    }
    // The last segment of each is open, and has something in it.
    for line in &mut lines {
        line.send("echo la''st\n").await?;
        line.until(b"last\r\n$ ").await?;
    }
    let before = cpu_seconds(side.pid())?;
    let begun = Instant::now();
    let ends = lines.into_iter().map(Line::close);
    let typing = async {
        let mut times = Vec::new();
        let mut ticks = tokio::time::interval(PAUSE);
        while begun.elapsed() < AFTER {
            ticks.tick().await;
            times.push(type_key(&mut typist).await?);
        }
        anyhow::Ok((times, cpu_seconds(side.pid())? - before))
    };
    let (_, typed) = tokio::join!(futures::future::join_all(ends), typing);
    let (mut times, cpu) = typed?;
    ensure!(times.len() >= 200, "only {} keys were typed meanwhile", times.len());
    typist.close().await;
    Ok(Closed { cpu, echo_p99: percentile(&mut times, 0.99) })
}
