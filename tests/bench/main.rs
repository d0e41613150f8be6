//! The terminal's performance beside a direct OpenSSH client: same machine, same sshd, same key,
//! one run. `deploy/dev bench` builds what it needs and starts it; ratios are what counts, since the
//! machine differs.
//!
//! Arguments: names of measurements (all without), `--quick` for fewer repetitions and 200 sessions,
//! `--unrecorded` for sessions that are not recorded, `--json FILE` for the numbers.

mod line;
mod measure;
mod process;
mod report;
mod statistics;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use measure::Plan;
use openpam_tests::{HubOptions, World};
use report::Report;
use serde_json::json;

/// Names of the measurements, in the order in which they run.
const NAMES: [&str; 7] = ["keys", "bulk", "opening", "interrupt", "capacity", "search", "seek"];

struct Arguments {
    names: Vec<String>,
    quick: bool,
    unrecorded: bool,
    json: Option<PathBuf>,
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut found = Arguments { names: Vec::new(), quick: false, unrecorded: false, json: None };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--quick" => found.quick = true,
            "--unrecorded" => found.unrecorded = true,
            "--json" => found.json = Some(given.next().context("--json needs a file")?.into()),
            name if NAMES.contains(&name) => found.names.push(argument),
            other => bail!("unknown argument {other}; known: --quick, --unrecorded, --json FILE, {}", NAMES.join(", ")),
        }
    }
    if found.names.is_empty() {
        found.names = NAMES.map(str::to_owned).to_vec();
    }
    Ok(found)
}

// One thread: the client shares the machine with what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = arguments()?;
    let mut options = HubOptions {
        terminal: [("max_sessions", 4_000), ("idle_timeout_seconds", 3_600)].into(),
        ..HubOptions::default()
    };
    if arguments.unrecorded {
        options.recordings = None;
    }
    let world = World::start(options).await?;
    let key = std::fs::read_to_string(line::key(&world.stack)?)?;
    let server = world.stack.password_target().clone();
    let credential_id = world.credential("private_key", &server.username, &json!({ "private_key": key })).await?;
    let group = world.group().await?;
    let target_id = world.target(&server.host, server.port, &group, &[&credential_id]).await?;
    world.trust_host_keys(&target_id).await?;
    let plan = Plan {
        direct: line::Direct::new(&world.stack)?,
        through: line::Through { client: world.admin.clone(), target_id, credential_id },
        hub: world.hub.pid(),
        repetitions: if arguments.quick { 3 } else { 7 },
        sessions: if arguments.quick { 200 } else { 1_000 },
    };
    let mut report = Report::default();
    for name in &arguments.names {
        match name.as_str() {
            "keys" => measure::keys(&plan, &mut report).await?,
            "bulk" => measure::bulk(&plan, &mut report).await?,
            "opening" => measure::opening(&plan, &mut report).await?,
            "interrupt" => measure::interrupt(&plan, &mut report).await?,
            "seek" => {
                let (bytes, repetitions) = if arguments.quick { (measure::FEW_BYTES, 3) } else { (measure::BYTES, 10) };
                measure::seek(&world, bytes, repetitions, &mut report).await?;
            }
            "search" => {
                let (sessions, repetitions) = if arguments.quick { (1_000, 5) } else { (10_000, 20) };
                measure::search(&world, sessions, repetitions, &mut report).await?;
            }
            _ => {
                let mut idle = measure::idle_memory(&plan, &mut report).await?;
                measure::capacity(&plan, &mut idle, &mut report).await?;
            }
        }
    }
    println!("{}", report.table());
    if let Some(file) = arguments.json {
        std::fs::write(&file, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
