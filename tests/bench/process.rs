//! What a process has cost so far, from /proc.

use anyhow::Context as _;

/// Ticks a second of the CPU times in /proc (`USER_HZ`, 100 on every Linux architecture in use).
const TICKS: f64 = 100.0;

/// CPU seconds, user and system, of all threads of a process: proc(5), /proc/pid/stat fields 14 and 15.
///
/// # Errors
/// When the process is gone.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; the fields after it are numbers.
    let (_, rest) = stat.rsplit_once(") ").context("/proc/pid/stat has no name")?;
    let fields = rest.split(' ').skip(11).take(2).map(str::parse::<f64>).collect::<Result<Vec<_>, _>>()?;
    Ok(fields.iter().sum::<f64>() / TICKS)
}
