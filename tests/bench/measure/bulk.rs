//! A lot of output, read as fast as it comes.

use anyhow::Context as _;

use super::Plan;
use crate::{line::Line, process::cpu_seconds, report::Report};

/// Bytes that the program writes; the terminal adds a carriage return to each line.
const BYTES: usize = 100_000_000;
const MEGABYTE: f64 = 1e6;

/// Throughput, and CPU seconds of OpenSSH's client and of the hub.
///
/// # Errors
/// When a line ends.
pub async fn bulk(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let [direct, hub] = plan.routes();
    let mut direct = Line::open(&direct).await?;
    let mut hub = Line::open(&hub).await?;
    let client = direct.client_pid().context("ssh ended")?;
    direct.settle().await?;
    hub.settle().await?;
    let (mut speed, mut cost) = (Vec::new(), Vec::new());
    for _ in 0..plan.repetitions {
        let by_ssh = measured_flood(&mut direct, client).await?;
        let by_hub = measured_flood(&mut hub, plan.hub).await?;
        speed.push((by_ssh.0, by_hub.0));
        cost.push((by_ssh.1, by_hub.1));
    }
    report.at_least("bulk output", "MB/s", &speed, 0.95);
    report.compare("CPU per 100 MB", "s", &cost, 2.0);
    direct.close().await;
    hub.close().await;
    Ok(())
}

/// Megabytes a second and CPU seconds of `pid` for 100 MB.
async fn measured_flood(line: &mut Line, pid: u32) -> anyhow::Result<(f64, f64)> {
    let cpu = cpu_seconds(pid)?;
    let begun = std::time::Instant::now();
    let bytes = flood(line, Said::OneLine).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let per_100_megabytes = 100.0 * MEGABYTE / bytes as f64;
    Ok((bytes as f64 / MEGABYTE / seconds, (cpu_seconds(pid)? - cpu) * per_100_megabytes))
}

/// What a flood consists of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Said {
    /// The same line again and again.
    OneLine,
    /// Numbers, one a line.
    Numbers,
}

/// 100 MB of output; bytes that came.
pub(super) async fn flood(line: &mut Line, said: Said) -> anyhow::Result<u64> {
    let program = match said {
        Said::OneLine => "yes 'the quick brown fox jumps over the lazy dog and then does it once again 0123456'",
        Said::Numbers => "seq 10000000 99999999",
    };
    line.send(format!("{program} | head -c {BYTES}; printf 'EN%s\\n' D\n")).await?;
    line.until(b"END\r\n").await
}
