//! A hub that is killed at any moment leaves recordings that verify.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use openpam_tests::{HubOptions, World, eventually};

/// How many hubs are killed. The suite has few, so that it stays quick.
const ROUNDS: usize = 4;
/// Environment variable with another number of rounds.
const ROUNDS_VARIABLE: &str = "OPENPAM_CRASH_ROUNDS";
/// A hub is killed within this time after its session began.
const LIFETIME: Duration = Duration::from_secs(4);
/// What runs in the sessions, in turn: segments that fill at once, segments that compress well, silence.
const LOADS: [&str; 3] = ["base64 /dev/urandom", "yes", "cat"];

#[tokio::test]
async fn whenever_a_hub_is_killed_what_was_stored_verifies_and_is_closed() -> anyhow::Result<()> {
    let rounds = match std::env::var(ROUNDS_VARIABLE) {
        Ok(text) => text.parse().with_context(|| format!("{ROUNDS_VARIABLE} is no number"))?,
        Err(_) => ROUNDS,
    };
    let mut options = HubOptions::default();
    options.recording.insert("abandoned_after_seconds", "15".to_owned());
    let mut world = World::start(options).await?;
    let reachable = world.password_target().await?;
    let mut killed = Vec::new();
    for round in 0..rounds {
        let admin = world.admin.at(world.hub.url());
        let mut terminal = reachable.open(&admin).await?;
        let session = terminal.session_id();
        terminal.keep_output = false;
        terminal.type_line(LOADS[round % LOADS.len()]).await?;
        let share = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
        // What it says is read and acknowledged until then.
        if let Ok(ended) = tokio::time::timeout(LIFETIME.mul_f64(share), terminal.drain(LIFETIME * 2)).await {
            ended?;
        }
        let stored = format!("select count(*) from recording_segments where session_id = '{session}'");
        let stored: usize = world.database.by_hand(&stored).await?.parse()?;
        world.hub.kill().await?;
        world.hub = world.another_hub().await?;
        killed.push((session, stored));
    }
    let admin = world.admin.at(world.hub.url());
    let mut most = 0;
    for (session, stored) in &killed {
        let what = format!("the recording of {session} is closed");
        let recording = eventually(&what, Duration::from_secs(90), || async {
            // A hub counts as dead after a while; the test does not wait that long.
            world.database.by_hand("update hubs set last_seen_at = now() - interval '1 hour' where stopped_at is null and last_seen_at < now() - interval '3 seconds'").await?;
            let recording = admin.get(&format!("/sessions/{session}/recording")).await?;
            Ok((recording["state"] == "completed").then_some(recording))
        })
        .await?;
        let segments = recording["segments"].as_array().map_or(0, Vec::len);
        ensure!(recording["verification"]["verdict"] == "intact", "{session}: {}", recording["verification"]);
        ensure!(segments >= *stored && segments >= 1, "{session}: {segments} of {stored} stored segments are left");
        most = most.max(segments);
    }
    ensure!(most >= 2, "no session lived long enough to say anything");
    println!("{rounds} hubs killed, all recordings verify, the longest has {most} segments");
    Ok(())
}

/// At most so much of a session is missing when its hub was killed.
const MOST_MISSING: Duration = Duration::from_secs(15);
/// What the test's own clock, the target's and the way between them may add.
const SLACK: Duration = Duration::from_millis(1_500);

/// What the target says every so often, whatever else it says: the time.
const CLOCKS: [&str; 3] = [
    "while :; do echo at-$(date +%s%3N); sleep 0.2; done",
    "while :; do echo at-$(date +%s%3N); head -c 30000 /dev/urandom | base64; done",
    "while :; do echo at-$(date +%s%3N); seq 20000; done",
];

#[tokio::test]
async fn of_a_hub_that_is_killed_at_most_the_last_fifteen_seconds_are_missing() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.recording.insert("abandoned_after_seconds", "15".to_owned());
    let mut world = World::start(options).await?;
    let reachable = world.password_target().await?;
    let mut running = Vec::new();
    for clock in CLOCKS {
        let mut terminal = reachable.open(&world.admin).await?;
        let session = terminal.session_id();
        terminal.keep_output = false;
        terminal.type_line(clock).await?;
        let reading = tokio::spawn(async move { terminal.drain(Duration::from_secs(120)).await.map(drop) });
        running.push((session, reading));
    }
    // Longer than a segment may be open, so that the first ones are closed by the clock.
    let share = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
    tokio::time::sleep(Duration::from_secs(17) + Duration::from_secs(12).mul_f64(share)).await;
    world.hub.kill().await?;
    let killed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    world.hub = world.another_hub().await?;
    let admin = world.admin.at(world.hub.url());
    for ((session, reading), clock) in running.into_iter().zip(CLOCKS) {
        reading.abort();
        let recording = eventually(&format!("the recording of {session} is closed"), Duration::from_secs(90), || async {
            world.database.by_hand("update hubs set last_seen_at = now() - interval '1 hour' where stopped_at is null and last_seen_at < now() - interval '3 seconds'").await?;
            let recording = admin.get(&format!("/sessions/{session}/recording")).await?;
            Ok((recording["state"] == "completed").then_some(recording))
        })
        .await?;
        ensure!(recording["verification"]["verdict"] == "intact", "{session}: {}", recording["verification"]);
        let export = admin.text(&format!("/sessions/{session}/recording/export")).await?;
        // The command itself is echoed: what follows there is no number.
        let said = export.split("at-").skip(1).filter_map(|rest| rest.get(..13)?.parse().ok());
        let last: u64 = said.max().with_context(|| format!("{clock}: nothing of it is recorded"))?;
        let missing = killed.saturating_sub(Duration::from_millis(last));
        println!("{clock}: the last {missing:?} are missing");
        ensure!(missing <= MOST_MISSING + SLACK, "{clock}: the last {missing:?} are missing");
    }
    Ok(())
}

#[tokio::test]
async fn a_hub_that_was_taken_for_dead_stores_nothing_behind_a_closed_recording() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.recording.insert("abandoned_after_seconds", "15".to_owned());
    let folder = options.recordings.clone().context("no folder of recordings")?;
    let world = World::start(options).await?;
    let other = world.another_hub().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.keep_output = false;
    terminal.type_line("base64 /dev/urandom").await?;
    // It stops in the middle of a flood, with much to be stored yet.
    ensure!(tokio::time::timeout(LIFETIME, terminal.drain(LIFETIME * 2)).await.is_err(), "the flood ended");
    world.hub.signal("STOP").await?;
    let client = world.admin.at(other.url());
    let closed = eventually("the recording is closed", Duration::from_secs(90), || async {
        world.database.by_hand("update hubs set last_seen_at = now() - interval '1 hour' where stopped_at is null and last_seen_at < now() - interval '7 seconds'").await?;
        let recording = client.get(&format!("/sessions/{session}/recording")).await?;
        Ok((recording["state"] == "completed").then_some(recording))
    })
    .await?;
    world.hub.signal("CONT").await?;
    terminal.end(Duration::from_secs(60)).await?;
    world.hub.wait_for_log(&["the recording was closed meanwhile"]).await?;
    let segments = closed["segments"].as_array().map_or(0, Vec::len);
    let path = folder.0.join(closed["path"].as_str().context("no path")?);
    let mut there = Vec::new();
    for entry in std::fs::read_dir(&path)? {
        there.push(entry?.file_name().to_string_lossy().into_owned());
    }
    let stored = there.iter().filter(|name| name.ends_with(".segment")).count();
    ensure!(stored == segments && segments >= 2, "{segments} segments belong to it, and there is {there:?}");
    let again = client.get(&format!("/sessions/{session}/recording")).await?;
    ensure!(again["verification"]["verdict"] == "intact", "{}", again["verification"]);
    for (action, times) in [("recording.close", 1), ("recording.spool_lost", 0)] {
        let entries = client.list(&format!("/audit/entries?object_id={session}&action={action}")).await?;
        ensure!(entries.len() == times, "{action}: {entries:?}");
    }
    Ok(())
}

#[tokio::test]
async fn while_a_recording_is_closed_nothing_more_is_noted_and_a_completer_that_died_is_followed() -> anyhow::Result<()>
{
    let mut options = HubOptions::default();
    options.recording.insert("abandoned_after_seconds", "15".to_owned());
    let world = World::start(options).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.keep_output = false;
    terminal.type_line("head -c 6000000 /dev/urandom | base64").await?;
    terminal.until_received(8_000_000).await?;
    let segments = async || {
        let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
        anyhow::Ok(recording["segments"].as_array().map_or(0, Vec::len))
    };
    eventually("what was said is stored", Duration::from_secs(30), || async {
        Ok((segments().await? >= 2).then_some(()))
    })
    .await?;
    // As if another hub had come to sign what is there, and died before it did.
    let marked = format!("update recordings set closing_at = now() where session_id = '{session}' returning segments");
    let noted: usize = world.database.by_hand(&marked).await?.parse()?;
    terminal.type_line("head -c 60000000 /dev/urandom | base64").await?;
    let ended = terminal.end(Duration::from_secs(60)).await?;
    assert_eq!(ended.code, 4500, "{ended:?}");
    let recording = eventually("the recording is closed", Duration::from_secs(90), || async {
        let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
        Ok((recording["state"] == "completed").then_some(recording))
    })
    .await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
    assert_eq!(recording["segments"].as_array().map_or(0, Vec::len), noted);
    Ok(())
}

#[tokio::test]
async fn a_segment_that_the_store_lost_is_waited_for_then_told_and_keeps_no_other_recording() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.recording.insert("abandoned_after_seconds", "15".to_owned());
    options.recording.insert("spool_wait_seconds", "45".to_owned());
    let folder = options.recordings.clone().context("no folder of recordings")?;
    let mut world = World::start(options).await?;
    let reachable = world.password_target().await?;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut terminal = reachable.open(&world.admin).await?;
        terminal.keep_output = false;
        terminal.type_line("head -c 12000000 /dev/urandom | base64").await?;
        terminal.until_received(16_000_000).await?;
        let session = terminal.session_id();
        world.has_segments(&session, 3, Duration::from_secs(30)).await?;
        sessions.push((session, terminal));
    }
    world.hub.kill().await?;
    // The older one lost its second segment.
    let session = &sessions[0].0;
    let path = world.database.by_hand(&format!("select path from recordings where session_id = '{session}'")).await?;
    std::fs::remove_file(folder.0.join(path).join("0000000001.segment"))?;
    // Somebody put a segment of the other one behind its last.
    let path = format!("select path from recordings where session_id = '{}'", sessions[1].0);
    let path = folder.0.join(world.database.by_hand(&path).await?);
    let number = |number: usize| path.join(format!("{number:010}.segment"));
    let free = (0..).find(|seq| !number(*seq).exists()).unwrap_or_default();
    std::fs::copy(number(0), number(free))?;
    let second = world.another_hub().await?;
    let client = world.admin.at(second.url());
    let ended = "update hubs set last_seen_at = now() - interval '1 hour' where stopped_at is null and last_seen_at < now() - interval '3 seconds'";
    let closed = async |session: &str, seconds: u64| {
        eventually(&format!("{session} is closed"), Duration::from_secs(seconds), || async {
            world.database.by_hand(ended).await?;
            let recording = client.get(&format!("/sessions/{session}/recording")).await?;
            Ok((recording["state"] == "completed").then_some(recording))
        })
        .await
    };
    let other = closed(&sessions[1].0, 60).await?;
    assert_eq!(other["verification"]["verdict"], "intact", "{other}");
    let waiting = client.get(&format!("/sessions/{session}/recording")).await?;
    assert_eq!(waiting["state"], "recording", "one look was enough to sign it away");
    let why = "select closing_error from recordings where session_id = ";
    let why = world.database.by_hand(&format!("{why} '{session}'")).await?;
    ensure!(why.contains("segment 1"), "{why}");
    // What the store said is for the log.
    ensure!(waiting["closing_error"].as_str().is_some_and(|error| !error.contains("segment 1")), "{waiting}");
    let recording = closed(session, 180).await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
    assert_eq!(
        (recording["segments"].as_array().map_or(0, Vec::len), &recording["closing_error"]),
        (1, &serde_json::Value::Null)
    );
    let lost = client.list(&format!("/audit/entries?object_id={session}&action=recording.segments_lost")).await?;
    assert_eq!(lost.len(), 1, "{lost:?}");
    ensure!(lost[0]["detail"]["segments"][0] == 1 && lost[0]["detail"]["count"].as_i64() >= Some(2), "{lost:?}");
    Ok(())
}
