//! The terminal's performance beside a direct OpenSSH client: same machine, same sshd, same key,
//! one run. `deploy/dev bench` builds what it needs and starts it; ratios are what counts, since the
//! machine differs.
//!
//! Arguments: names of measurements (all without), `--quick` for fewer repetitions and 200 sessions,
//! `--unrecorded` for sessions that are not recorded, `--json FILE` for the numbers.

mod bare;
mod line;
mod measure;
mod process;
mod report;
mod statistics;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use measure::{Both, Plan, Side};
use openpam_tests::{HubOptions, World};
use report::Report;
use serde_json::json;

/// Names of the measurements, in the order in which they run.
const NAMES: [&str; 11] =
    ["keys", "bulk", "opening", "interrupt", "capacity", "recorder", "closing", "search", "flood", "seek", "ledger"];
/// Those that compare with a hub that does not record.
const BESIDE_UNRECORDED: [&str; 2] = ["recorder", "closing"];
/// Those that are about recordings.
const NEED_RECORDINGS: [&str; 4] = ["recorder", "closing", "flood", "seek"];

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
        if found.unrecorded {
            found.names.retain(|name| !NEED_RECORDINGS.contains(&name.as_str()));
        }
    }
    if let Some(name) = found.names.iter().find(|name| found.unrecorded && NEED_RECORDINGS.contains(&name.as_str())) {
        bail!("{name} is about recordings: without --unrecorded");
    }
    Ok(found)
}

fn main() -> anyhow::Result<()> {
    let given = std::env::args().skip(1).collect::<Vec<_>>();
    match given.split_first() {
        // As many threads as the hub has.
        Some((first, rest)) if first == bare::ARGUMENT => tokio::runtime::Runtime::new()?.block_on(bare::serve(rest)),
        // One thread: the client shares the machine with what it measures.
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure_all()),
    }
}

async fn measure_all() -> anyhow::Result<()> {
    let arguments = arguments()?;
    let mut options = HubOptions {
        terminal: [("max_sessions", 4_000), ("max_sessions_per_person", 4_000), ("idle_timeout_seconds", 3_600)].into(),
        ..HubOptions::default()
    };
    let unrecorded = HubOptions { recordings: None, tenant: openpam_tests::unique("t"), ..options.clone() };
    if arguments.unrecorded {
        options.recordings = None;
    } else {
        // What a hub that died left is closed and indexed soon.
        options.recording.insert("abandoned_after_seconds", "15".to_owned());
    }
    let world = World::start(options).await?;
    let through = through(&world).await?;
    let beside = if arguments.names.iter().any(|name| BESIDE_UNRECORDED.contains(&name.as_str())) {
        let world = World::start(unrecorded).await?;
        Some((self::through(&world).await?, world))
    } else {
        None
    };
    let both = beside.as_ref().map(|(unrecorded_through, unrecorded)| Both {
        recorded: Side { world: &world, through: through.clone() },
        plain: Side { world: unrecorded, through: unrecorded_through.clone() },
    });
    let plan = Plan {
        direct: line::Direct::new(&world.stack)?,
        through: through.clone(),
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
            "recorder" | "closing" => {
                let both = both.as_ref().context("no hub beside")?;
                if name == "recorder" {
                    measure::recorder(both, &plan, &mut report).await?;
                } else {
                    measure::closing(both, &plan, &mut report).await?;
                }
            }
            "flood" => {
                let (bytes, repetitions) = if arguments.quick { (measure::FEW_BYTES, 3) } else { (measure::BYTES, 10) };
                measure::flooded(&world, bytes, repetitions, &mut report).await?;
            }
            "seek" => {
                let seeks = if arguments.quick { measure::FEW_SEEKS } else { measure::SEEKS };
                measure::seek(&world, seeks, &mut report).await?;
            }
            "ledger" => {
                let (repetitions, events) = if arguments.quick { (3, 50_000) } else { (7, 200_000) };
                measure::ledger(&world, repetitions, events, &mut report).await?;
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

/// A target of the hub with the key that a direct ssh uses too.
async fn through(world: &World) -> anyhow::Result<line::Through> {
    let key = std::fs::read_to_string(line::key(&world.stack)?)?;
    let server = world.stack.password_target().clone();
    let credential_id = world.credential("private_key", &server.username, &json!({ "private_key": key })).await?;
    let group = world.group().await?;
    let target_id = world.target(&server.host, server.port, &group, &[&credential_id]).await?;
    world.trust_host_keys(&target_id).await?;
    Ok(line::Through { client: world.admin.clone(), target_id, credential_id })
}
