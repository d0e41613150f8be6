//! A recording of an hour that nobody had to wait for: written by the recorder's own writer with times of
//! its own, put where a hub that died would have left it, then closed and indexed by the hub itself.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, ensure};
use aws_lc_rs::rand::SystemRandom;
use openpam_recordings::{
    Content, Due, Limits, Recipient, RecipientKey, Role, SealedSegment, Session, Writer, dir::segment_name, random,
};
use openpam_tests::{World, eventually};
use uuid::Uuid;

/// How long it is.
pub const SECONDS: u64 = 3_600;
/// A segment is closed after this, as in the hub.
pub const SEGMENT_SECONDS: u64 = 15;
/// In every twentieth segment a program floods the terminal: as much as one segment holds, just not cut.
pub const FLOOD_EVERY: u64 = 20;
const FLOOD_BYTES_PER_SECOND: usize = 270 << 10;
/// Lines a second of a program that logs.
const LOG_LINES: usize = 40;
const ROWS: usize = 24;
const MICROS: u64 = 1_000_000;

/// Whether this second is one of a flood.
pub fn is_flood(second: u64) -> bool {
    second / SEGMENT_SECONDS % FLOOD_EVERY == FLOOD_EVERY - 1
}

/// What the target says in a second, for a seek to be checked by: the first row always tells which second
/// it is, and the rows below are scrolled, drawn anew or still.
fn output(second: u64) -> String {
    let mut text = String::new();
    if second == 0 {
        // The first row stays: below it is what scrolls.
        let _ = write!(text, "\x1b[2J\x1b[2;{ROWS}r\x1b[{ROWS};1H");
    }
    if is_flood(second) {
        let mut number = 0;
        while text.len() < FLOOD_BYTES_PER_SECOND {
            number += 1;
            let _ = write!(text, "\r\n\x1b[32mbuild\x1b[0m of second {second}, unit {number:06}: compiled and linked");
        }
    } else {
        match second / 60 % 3 {
            // Logs.
            0 => {
                for number in 0..LOG_LINES {
                    let level = ["\x1b[32mINFO", "\x1b[33mWARN", "\x1b[1;31mERROR"][number * number % 7 % 3];
                    let _ = write!(
                        text,
                        "\r\n\x1b[2m{:02}:{:02}\x1b[0m {level}\x1b[0m request {second}/{number} took {} ms",
                        second / 60,
                        second % 60,
                        second * 31 % 997
                    );
                }
            }
            // A program that draws its screen anew each second.
            1 => {
                for row in 2..ROWS {
                    let share = (second * 7 + row as u64 * 13) % 60;
                    let _ = write!(
                        text,
                        "\x1b[{row};1H\x1b[K\x1b[36m{:>5}\x1b[0m worker {row:<3} \x1b[7m{:share$}\x1b[0m {share} %",
                        second + row as u64,
                        "",
                        share = usize::try_from(share).unwrap_or_default(),
                    );
                }
                let _ = write!(text, "\x1b[{ROWS};1H");
            }
            // A shell in which little happens.
            _ => {
                if second.is_multiple_of(10) {
                    let _ = write!(text, "\r\n$ echo {second}\r\n{second}\r\n$ ");
                }
            }
        }
    }
    let _ = write!(text, "\x1b7\x1b[1;1H\x1b[2K\x1b[7m second {second} \x1b[0m\x1b8");
    text
}

/// The segments.
fn segments(session: Session, recipients: &[Recipient]) -> anyhow::Result<Vec<SealedSegment>> {
    let system = SystemRandom::new();
    let mut writer = Writer::new(session, recipients, Limits::default(), &mut random::Secure(&system))?;
    let mut sealed = Vec::new();
    let _ = writer.resize(0, 80, u16::try_from(ROWS)?)?;
    for second in 0..SECONDS {
        let (at, text) = (second * MICROS, output(second));
        // What is said in a second comes in pieces, as from a real program, and all of it at its beginning.
        for piece in text.as_bytes().chunks(16 << 10) {
            let due = writer.output(at, piece)?;
            ensure!(
                due == Due::NotYet || (second + 1).is_multiple_of(SEGMENT_SECONDS),
                "a segment is cut at {second} s"
            );
        }
        if (second + 1).is_multiple_of(SEGMENT_SECONDS) {
            sealed.extend(writer.close_segment((second + 1) * MICROS - 1)?);
        }
    }
    Ok(sealed)
}

/// Who can read recordings of the tenant.
async fn recipients(world: &World) -> anyhow::Result<Vec<Recipient>> {
    let mut recipients = Vec::new();
    for (role, purpose) in [(Role::Tenant, "tenant"), (Role::Escrow, "escrow")] {
        let ask = format!(
            "select encode(public_key, 'hex') from recording_keys where purpose = '{purpose}' and retired_at is null"
        );
        let hex = world.database.by_hand(&ask).await?;
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
        let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
        let key = RecipientKey(bytes.try_into().ok().with_context(|| format!("no {purpose} key: {hex}"))?);
        recipients.push(Recipient { role, key });
    }
    Ok(recipients)
}

/// Makes it, and waits until the hub has closed and indexed it; its session's id.
///
/// # Errors
/// When the hub does not take it for one of its own.
pub async fn hour(world: &World) -> anyhow::Result<String> {
    // The first session makes the tenant's keys, and is what the row of this one is made after.
    let mut terminal = world.password_target().await?.open(&world.admin).await?;
    let model = terminal.session_id();
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(30)).await?;
    world.session_becomes(&model, "completed").await?;
    let now = chrono::Utc::now();
    let started = now - chrono::TimeDelta::seconds(i64::try_from(SECONDS)? + 3_600);
    let started_at = u64::try_from(started.timestamp_micros())?;
    let tenant_id = world.database.tenant_id(&world.options.tenant).await?;
    let session_id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, started_at / MICROS, 0));
    let session = Session { tenant_id, session_id, content: Content::Terminal, started_at };
    let sealed = segments(session, &recipients(world).await?)?;
    let root = &world.options.recordings.as_ref().context("no recordings")?.0;
    let folder = root.join(tenant_id.to_string()).join(session_id.to_string());
    std::fs::create_dir_all(&folder)?;
    for segment in &sealed {
        std::fs::write(folder.join(segment_name(segment.header.seq)), &segment.bytes)?;
    }
    let from = format!("timestamptz 'epoch' + interval '1 microsecond' * {started_at}");
    let rows = format!(
        "insert into sessions (session_id, tenant_id, hub_id, user_id, user_name, target_id, target_name, credential_name,
                               decision_id, protocol, status, error_code, start_time, end_time, recording_path)
         select '{session_id}', tenant_id, hub_id, user_id, user_name, target_id, target_name, credential_name, decision_id,
                protocol, 'failed', 'hub_lost', {from}, {from} + interval '{SECONDS} s', '{tenant_id}/{session_id}'
         from sessions where session_id = '{model}';
         insert into recordings (session_id, tenant_id, required, path, started_at)
         values ('{session_id}', '{tenant_id}', true, '{tenant_id}/{session_id}', {from});
         insert into recording_index (tenant_id, session_id) values ('{tenant_id}', '{session_id}');"
    );
    world.database.by_hand(&format!("begin; set local session_replication_role = replica; {rows} commit;")).await?;
    let recording = eventually("the hub has closed the hour", Duration::from_secs(120), || async {
        let recording = world.admin.get(&format!("/sessions/{session_id}/recording")).await?;
        Ok((recording["state"] == "completed").then_some(recording))
    })
    .await?;
    ensure!(recording["verification"]["verdict"] == "intact", "{}", recording["verification"]);
    ensure!(recording["segments"].as_array().map(Vec::len) == Some(sealed.len()), "{recording}");
    eventually("the hub has indexed the hour", Duration::from_secs(600), || async {
        let recording = world.admin.get(&format!("/sessions/{session_id}/recording")).await?;
        Ok((recording["index"]["done"] == true).then_some(()))
    })
    .await?;
    Ok(session_id.to_string())
}
