//! Watching and joining a running session: from its present screen on, without slowing it down,
//! nobody unseen where policy says so, and nobody typing without consent.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{Client, HubOptions, Terminal, World, eventually, world::Person};
use serde_json::{Value, json};

/// How soon a socket must be closed once access has ended.
pub(super) const AT_ONCE: Duration = Duration::from_secs(1);

pub(super) fn participants(message: &Value) -> bool {
    message["type"] == "participants"
}

/// Those who joined, by name, with their right to type.
pub(super) fn joined(message: &Value, name: &str, input: &str) -> bool {
    let people = message["joined"].as_array().into_iter().flatten();
    participants(message) && people.into_iter().any(|one| one["name"] == name && one["input"] == input)
}

pub(super) fn error(code: &str) -> impl Fn(&Value) -> bool {
    move |message| message["type"] == "error" && message["code"] == code
}

pub(super) async fn rows(world: &World, session: &str) -> anyhow::Result<Vec<Value>> {
    world.admin.list(&format!("/sessions/{session}/participants")).await
}

pub(super) async fn actions(world: &World, session: &str) -> anyhow::Result<Vec<String>> {
    let entries = world.admin.list(&format!("/audit/entries?object_id={session}&action=session.")).await?;
    Ok(entries.iter().filter_map(|entry| entry["action"].as_str().map(str::to_owned)).collect())
}

pub(super) async fn preflight(client: &Client, session: &str, mode: &str) -> anyhow::Result<openpam_tests::Answer> {
    client.call(Method::POST, &format!("/sessions/{session}/watch"), Some(&json!({ "mode": mode }))).await
}

/// Somebody who joined and was let type, and what the owner's terminal was told last.
pub(super) async fn let_type(owner: &mut Terminal, operator: &Person) -> anyhow::Result<Terminal> {
    let session = owner.session_id();
    let mut guest = Terminal::watch(&operator.client, &session, "join").await?;
    guest.send(&json!({ "type": "request_input" })).await?;
    // Their name alone may be in what was said of their last visit.
    let participant = guest.ready["participant"].clone();
    let asks = |message: &Value| {
        let people = message["joined"].as_array().into_iter().flatten();
        participants(message)
            && people.into_iter().any(|one| one["participant"] == participant && one["input"] == "asked")
    };
    owner.message("the request", asks).await?;
    owner.send(&json!({ "type": "input", "participant": participant, "allowed": true })).await?;
    guest.message("the right to type", |message| joined(message, &operator.username, "granted")).await?;
    Ok(guest)
}

#[tokio::test]
async fn watchers_see_the_present_screen_then_what_follows_and_are_seen_and_audited() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let [auditor, second] = [world.person(&["auditor"], &[]).await?, world.person(&["auditor"], &[]).await?];
    let mut terminal = reachable.open(&person.client).await?;
    let session = terminal.session_id();
    terminal.run("clear; printf '\\033[31mred''dish\\033[0m\\n'").await?;
    terminal.resize(100, 30).await?;
    terminal.run("stty size").await?;
    preflight(&auditor.client, &session, "watch").await?.success()?;

    let mut watcher = Terminal::watch(&auditor.client, &session, "watch").await?;
    assert_eq!((&watcher.ready["snapshot"], &watcher.ready["offset"]), (&json!(true), &json!(0)), "{}", watcher.ready);
    assert_eq!((&watcher.ready["cols"], &watcher.ready["rows"]), (&json!(100), &json!(30)), "{}", watcher.ready);
    assert_eq!((&watcher.ready["user_name"], &watcher.ready["recorded"]), (&json!(person.username), &json!(true)));
    ensure!(watcher.ready.get("resume_token").is_none(), "a watcher can take the session over: {}", watcher.ready);
    let screen = String::from_utf8_lossy(&watcher.until(b"30 100").await?).into_owned();
    ensure!(screen.contains("reddish") && screen.contains("\u{1b}[31m"), "the colour is lost: {screen:?}");
    let told = terminal.message("who watches", participants).await?;
    assert_eq!(told, json!({ "type": "participants", "watching": [auditor.username], "joined": [] }));

    // Two of them, and a size that changes between two pieces of output.
    let mut other = Terminal::watch(&second.client, &session, "watch").await?;
    terminal.run("echo follow''ing").await?;
    terminal.resize(90, 25).await?;
    terminal.run("stty size").await?;
    for watcher in [&mut watcher, &mut other] {
        watcher.until(b"following").await?;
        watcher.message("the size", |message| message["type"] == "size" && message["cols"] == 90).await?;
        watcher.until(b"25 90").await?;
    }
    let metrics = world.admin.send(world.admin.request(Method::GET, "/metrics")).await?.text;
    ensure!(metrics.contains("openpam_session_participants{kind=\"watch\"} 2"), "{metrics}");

    // One leaves, one stays to the end, which is told.
    watcher.send(&json!({ "type": "disconnect" })).await?;
    assert_eq!(watcher.end(Duration::from_secs(5)).await?.code, 1000);
    terminal.message("that one left", |message| message["watching"] == json!([second.username])).await?;
    terminal.run("true").await?;
    terminal.type_line("exit 3").await?;
    let ended = other.end(Duration::from_secs(10)).await?;
    assert_eq!(ended.code, 1000, "{ended:?}");
    let exit = ended.message.context("the end was not told")?;
    assert_eq!((&exit["type"], &exit["status"]), (&json!("exit"), &json!(3)), "{exit}");

    eventually("both ends are written", Duration::from_secs(5), || async {
        let rows = rows(&world, &session).await?;
        let codes = rows.iter().filter_map(|row| row["end_code"].as_str()).collect::<Vec<_>>();
        Ok((codes == ["left", "session_ended"]).then_some(()))
    })
    .await?;
    let rows = rows(&world, &session).await?;
    assert_eq!((&rows[0]["user_name"], &rows[0]["kind"]), (&json!(auditor.username), &json!("watch")), "{rows:?}");
    let trail = world.admin.list(&format!("/audit/entries?object_id={session}&action=session.watch")).await?;
    assert_eq!(trail.len(), 2, "{trail:?}");
    assert_eq!(
        (&trail[0]["detail"]["decided_by"], &trail[0]["detail"]["visible"]),
        (&json!("session.watch"), &json!(true))
    );
    let ends = world.admin.list(&format!("/audit/entries?object_id={session}&action=session.watch_end")).await?;
    ensure!(ends.len() == 2 && ends.iter().all(|end| end["detail"]["seconds"].is_u64()), "{ends:?}");
    Ok(())
}

#[tokio::test]
async fn a_watcher_who_does_not_read_slows_nobody_down_and_gets_a_fresh_screen() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let auditor = world.person(&["auditor"], &[]).await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    let mut slow = Terminal::watch(&auditor.client, &session, "watch").await?;
    (slow.acknowledge, slow.keep_output, terminal.keep_output) = (false, false, false);
    let start = terminal.received;
    terminal.type_line("yes | head -c 12000000; printf 'THE %s' END").await?;
    // Well beyond all buffers, while the watcher neither reads nor acknowledges.
    terminal.until_received(start + 10_000_000).await?;
    terminal.keep_output = true;
    terminal.until(b"THE END").await?;
    let before = world.hub.resident_kib()?;

    // Reading again without acknowledging, they get what they have credit for, and no more.
    slow.drain(Duration::from_millis(700)).await?;
    ensure!(slow.received <= 400 * 1024, "{} bytes without an acknowledgement", slow.received);
    slow.keep_output = true;
    slow.acknowledge = true;
    slow.output.clear();
    let first = slow.ready["offset"].clone();
    slow.ack().await?;
    slow.until(b"THE END").await?;
    ensure!(slow.ready["snapshot"] == true && slow.ready["offset"] != first, "no fresh screen: {}", slow.ready);
    ensure!(slow.received < 1_000_000, "what was missed was sent after all: {} bytes", slow.received);
    terminal.run("echo still''here").await?;
    slow.until(b"stillhere").await?;
    let after = world.hub.resident_kib()?;
    ensure!(after < before + 24 * 1024, "the hub grew from {before} to {after} KiB");
    Ok(())
}

#[tokio::test]
async fn what_a_watcher_types_or_resizes_is_refused_and_does_nothing() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let auditor = world.person(&["auditor"], &[]).await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    let mut watcher = Terminal::watch(&auditor.client, &session, "watch").await?;
    watcher.type_line("touch /tmp/never; echo INTRUDER").await?;
    watcher.message("a refusal", error("read_only")).await?;
    watcher.resize(40, 10).await?;
    watcher.message("a refusal", error("read_only")).await?;
    watcher.send(&json!({ "type": "request_input" })).await?;
    watcher.message("a refusal", error("message_not_allowed")).await?;
    let own = watcher.ready["participant"].clone();
    watcher.send(&json!({ "type": "input", "participant": own, "allowed": true })).await?;
    watcher.message("a refusal", error("message_not_allowed")).await?;
    // Nor can the owner hand the keyboard to who did not ask.
    terminal.send(&json!({ "type": "input", "participant": own, "allowed": true })).await?;
    terminal.message("a refusal", error("nobody_asks")).await?;
    watcher.type_line("echo INTRUDER").await?;
    watcher.message("a refusal", error("read_only")).await?;
    let size = terminal.run("stty size").await?;
    assert_eq!(size.trim(), "24 80");
    ensure!(openpam_tests::terminal::find(&terminal.output, b"INTRUDER").is_none(), "what was typed arrived");
    let screen = terminal.run("echo done").await?;
    ensure!(!screen.contains("INTRUDER"), "{screen}");
    Ok(())
}

#[tokio::test]
async fn who_may_watch_and_what_a_refusal_says() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let [owner, other] = [world.person(&[], &[&reachable.group_id]).await?, world.person(&[], &[]).await?];
    let [operator, auditor] = [world.person(&["operator"], &[]).await?, world.person(&["auditor"], &[]).await?];
    let (_, stranger) = world.another_tenant().await?;
    let mut terminal = reachable.open(&owner.client).await?;
    let session = terminal.session_id();
    let nobody = uuid::Uuid::now_v7().to_string();
    for (client, session, mode, status, code) in [
        (&owner.client, &session, "watch", 403, "forbidden"),
        (&other.client, &session, "watch", 404, "not_found"),
        (&operator.client, &session, "watch", 403, "forbidden"),
        (&auditor.client, &session, "join", 403, "forbidden"),
        (&stranger, &session, "watch", 404, "not_found"),
        (&auditor.client, &nobody, "watch", 404, "not_found"),
    ] {
        let status = StatusCode::from_u16(status)?;
        preflight(client, session, mode).await?.problem(status, code)?;
        let refused = Terminal::try_watch(client, session, mode).await?.err().context("it was not refused")?;
        assert_eq!((refused.status, &refused.body["code"]), (status.as_u16(), &json!(code)), "{refused:?}");
    }
    preflight(&operator.client, &session, "join").await?.success()?;
    preflight(&auditor.client, &session, "peek").await?.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    let denied = world.admin.list(&format!("/audit/entries?object_id={session}&outcome=denied")).await?;
    ensure!(denied.iter().filter(|entry| entry["action"] == "session.watch").count() == 4, "{denied:?}");
    // From another site, with the auditor's own cookie.
    let path = format!("/api/ws/watch/{session}");
    let evil = openpam_tests::terminal::upgrade(&auditor.client, &path, Some("https://evil.example")).await?;
    assert_eq!(evil.err().context("another site may watch")?.body["code"], "origin_mismatch");

    let second = world.another_hub().await?;
    let elsewhere = preflight(&auditor.client.at(second.url()), &session, "watch").await?;
    elsewhere.problem(StatusCode::CONFLICT, "session_on_another_hub")?;
    ensure!(elsewhere.text.contains("Open the console of that hub"), "{}", elsewhere.text);

    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(5)).await?;
    world.session_becomes(&session, "completed").await?;
    preflight(&auditor.client, &session, "watch").await?.problem(StatusCode::CONFLICT, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn who_loses_the_right_no_longer_watches_within_a_second_and_the_session_goes_on() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    for change in ["roles", "disabled", "logout"] {
        let auditor = world.person(&["auditor"], &[]).await?;
        let mut watcher = Terminal::watch(&auditor.client, &session, "watch").await?;
        let started = Instant::now();
        let user = format!("/admin/users/{}", auditor.id);
        match change {
            "roles" => drop(world.admin.patch(&user, &json!({ "roles": ["operator"] })).await?),
            "disabled" => drop(world.admin.patch(&user, &json!({ "enabled": false })).await?),
            _ => drop(auditor.client.post("/auth/logout", &json!({})).await?),
        }
        let ended = watcher.end(Duration::from_secs(5)).await?;
        ensure!(started.elapsed() < AT_ONCE, "{change}: closed after {:?}", started.elapsed());
        let expected = if change == "roles" { "access_denied" } else { "signed_out" };
        assert_eq!((ended.code, ended.reason.as_str()), (4001, expected), "{change}: {ended:?}");
        terminal.run("true").await?;
    }
    eventually("the rows are closed", Duration::from_secs(5), || async {
        let rows = rows(&world, &session).await?;
        let codes = rows.iter().filter_map(|row| row["end_code"].as_str().map(str::to_owned)).collect::<Vec<_>>();
        Ok((codes == ["access_denied", "signed_out", "signed_out"]).then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_end_with_a_reason_reaches_the_person_and_the_watcher_from_another_hub_too() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let [auditor, operator] = [world.person(&["auditor"], &[]).await?, world.person(&["operator"], &[]).await?];
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    let mut watcher = Terminal::watch(&auditor.client, &session, "watch").await?;
    let path = format!("/sessions/{session}/terminate");
    for (reason, code) in
        [("", "required"), ("  \n", "required"), ("bell\u{7}", "malformed"), (&*"x".repeat(1001), "too_long")]
    {
        let answer = operator.client.call(Method::POST, &path, Some(&json!({ "reason": reason }))).await?;
        answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
        ensure!(answer.text.contains(code), "{reason:?}: {}", answer.text);
    }
    let second = world.another_hub().await?;
    let started = Instant::now();
    operator.client.at(second.url()).post(&path, &json!({ "reason": "end of the exercise" })).await?;
    for terminal in [&mut terminal, &mut watcher] {
        let ended = terminal.end(Duration::from_secs(5)).await?;
        ensure!(started.elapsed() < AT_ONCE * 2, "closed after {:?}", started.elapsed());
        assert_eq!(ended.code, 4003, "{ended:?}");
        let exit = ended.message.context("nobody said why")?;
        assert_eq!(exit["reason"], format!("{} ended this session: end of the exercise", operator.username), "{exit}");
    }
    Ok(())
}

#[tokio::test]
async fn who_joins_types_only_with_consent_and_the_recording_says_who_typed() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let operator = world.person(&["operator"], &[]).await?;
    // Who joins is shown whatever the setting says about watchers.
    world.admin.patch("/admin/settings", &json!({ "watch_visible": false })).await?;
    let mut terminal = reachable.open(&person.client).await?;
    let session = terminal.session_id();
    let mut guest = Terminal::watch(&operator.client, &session, "join").await?;
    let told = terminal.message("who joined", participants).await?;
    assert_eq!(told["joined"][0]["name"], json!(operator.username), "{told}");
    assert_eq!(told["joined"][0]["input"], "none", "{told}");
    guest.type_line("echo TOO''EARLY").await?;
    guest.message("a refusal", error("read_only")).await?;

    // Refused, then allowed.
    guest.send(&json!({ "type": "request_input" })).await?;
    terminal.message("the request", |message| joined(message, &operator.username, "asked")).await?;
    guest.type_line("echo TOO''EARLY").await?;
    guest.message("a refusal", error("read_only")).await?;
    let participant = guest.ready["participant"].clone();
    terminal.send(&json!({ "type": "input", "participant": participant, "allowed": false })).await?;
    guest.message("the refusal", |message| joined(message, &operator.username, "none")).await?;
    guest.cut();
    let mut guest = let_type(&mut terminal, &operator).await?;
    guest.type_line("echo by-the-gu''est").await?;
    terminal.until(b"by-the-guest").await?;
    guest.until(b"by-the-guest").await?;
    terminal.run("echo by-the-own''er").await?;

    // Its size is the owner's, and what the guest typed does not count as the owner's input.
    guest.resize(40, 10).await?;
    assert_eq!(terminal.run("stty size").await?.trim(), "24 80");

    // Taken back at once.
    let participant = guest.ready["participant"].clone();
    terminal.send(&json!({ "type": "input", "participant": participant, "allowed": false })).await?;
    guest.message("that it was taken back", |message| joined(message, &operator.username, "none")).await?;
    guest.type_line("echo TOO''LATE").await?;
    guest.message("a refusal", error("read_only")).await?;
    let screen = terminal.run("echo done").await?;
    ensure!(!screen.contains("TOO"), "{screen}");
    terminal.type_line("exit").await?;
    guest.end(Duration::from_secs(10)).await?;

    let export = eventually("the recording is complete", Duration::from_secs(20), || async {
        let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
        if recording["state"] != "complete" {
            return Ok(None);
        }
        Ok(Some(world.admin.text(&format!("/sessions/{session}/recording/export")).await?))
    })
    .await?;
    let mut marks = Vec::new();
    for line in export.lines().skip(1) {
        let event: (f64, String, String) = serde_json::from_str(line)?;
        if event.1 == "m" {
            marks.push(event.2);
        }
    }
    let (guest_name, owner_name) = (&operator.username, &person.username);
    assert_eq!(
        marks,
        [
            format!("{guest_name} joined"),
            format!("{guest_name} left"),
            format!("{guest_name} joined"),
            format!("{guest_name} types"),
            format!("{owner_name} types"),
        ]
    );
    ensure!(!export.contains("TOO"), "what was refused is in the recording");
    let actions = actions(&world, &session).await?;
    for (action, times) in [
        ("session.join", 2),
        ("session.input_request", 2),
        ("session.input_refuse", 1),
        ("session.input_grant", 1),
        ("session.input_take_back", 1),
    ] {
        assert_eq!(actions.iter().filter(|one| *one == action).count(), times, "{action} in {actions:?}");
    }
    let grants = world.admin.list(&format!("/audit/entries?object_id={session}&action=session.input_grant")).await?;
    assert_eq!(grants[0]["actor"]["id"], json!(person.id), "the consent is the owner's: {grants:?}");
    eventually("the rows are closed", Duration::from_secs(5), || async {
        let rows = rows(&world, &session).await?;
        Ok(rows.iter().all(|row| !row["ended_at"].is_null()).then_some(()))
    })
    .await?;
    let rows = rows(&world, &session).await?;
    ensure!(rows[1]["bytes_sent"].as_i64().is_some_and(|sent| sent > 10), "{rows:?}");
    ensure!(rows[0]["input_granted_at"].is_null() && !rows[1]["input_granted_at"].is_null(), "{rows:?}");
    Ok(())
}

#[tokio::test]
async fn who_takes_the_right_to_type_back_stops_what_was_pasted_before() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let owner = world.person(&[], &[&reachable.group_id]).await?;
    let operator = world.person(&["operator"], &[&reachable.group_id]).await?;
    let mut terminal = reachable.open(&owner.client).await?;
    terminal.until(b"$ ").await?;
    let mut guest = let_type(&mut terminal, &operator).await?;
    // A few seconds' worth of commands, each of which counts.
    let commands = "count=$((count + 1))\n".repeat(3_000);
    let pasted = Instant::now();
    guest.type_bytes(commands.into_bytes()).await?;
    terminal.until(b"count=$((count + 1))").await?;
    let participant = guest.ready["participant"].clone();
    terminal.send(&json!({ "type": "input", "participant": participant, "allowed": false })).await?;
    guest.message("that it was taken back", |message| joined(message, &operator.username, "none")).await?;
    let taken_back = pasted.elapsed();
    // Half a command may stand there, and pieces of the paste may still be on their way.
    terminal.interrupt_when_quiet().await?;
    let counted = terminal.run("echo counted $count").await?;
    let counted = counted.rsplit("counted ").next().and_then(|count| count.trim().parse::<u64>().ok());
    let counted = counted.with_context(|| "no count".to_owned())?;
    // 8 KiB a second, and a piece that was on its way; the whole is 63,000 bytes.
    let most = (taken_back.as_secs_f64() * 8_192.0 + 1_024.0) / 21.0;
    ensure!(counted > 0 && (counted as f64) <= most, "{counted} commands ran in {taken_back:?}");
    // Nor does the rest come when they may type again.
    guest.cut();
    let mut guest = let_type(&mut terminal, &operator).await?;
    guest.type_line("echo again $count by-the-gu''est").await?;
    let said = String::from_utf8_lossy(&terminal.until(b"by-the-guest").await?).into_owned();
    ensure!(said.contains(&format!("again {counted} ")), "{said}");
    Ok(())
}

#[tokio::test]
async fn the_right_to_type_ends_when_its_owner_is_gone_and_comes_back_without_a_byte_lost() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let operator = world.person(&["operator"], &[]).await?;
    let mut terminal = reachable.open(&person.client).await?;
    let mut guest = let_type(&mut terminal, &operator).await?;
    guest.type_line("echo by-the-gu''est").await?;
    terminal.until(b"by-the-guest").await?;
    let typed = terminal.ready["input"].clone();
    let mut connect = reachable.connect();
    connect.resume = Some(terminal.resume());
    terminal.cut();
    guest.message("that it ended", |message| joined(message, &operator.username, "none")).await?;
    guest.type_line("echo TOO''LATE").await?;
    guest.message("a refusal", error("read_only")).await?;
    let mut terminal = Terminal::open(&person.client, &connect).await?;
    let told = terminal.message("who is there", participants).await?;
    ensure!(joined(&told, &operator.username, "none"), "{told}");
    // What the owner's browser sent, and nothing of what the guest typed.
    let sent = terminal.ready["input"].as_u64().context("no count of input")?;
    ensure!(typed == 0 && sent > 0 && sent < 60, "{sent} bytes of input are the owner's");
    ensure!(!terminal.run("echo done").await?.contains("TOO"), "what was typed without consent arrived");
    Ok(())
}

#[tokio::test]
async fn a_setting_hides_watchers_from_the_person_and_from_the_recording_and_not_from_the_ledger() -> anyhow::Result<()>
{
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let operator = world.person(&["operator"], &[&reachable.group_id]).await?;
    let auditor = world.person(&["auditor"], &[]).await?;
    world.admin.patch("/admin/settings", &json!({ "watch_visible": false })).await?;
    let mut terminal = reachable.open(&operator.client).await?;
    let session = terminal.session_id();
    let mut watcher = Terminal::watch(&auditor.client, &session, "watch").await?;
    terminal.run("echo on''ward").await?;
    watcher.until(b"onward").await?;
    watcher.cut();
    eventually("that they left is written", Duration::from_secs(5), || async {
        Ok(rows(&world, &session).await?.first().filter(|row| row["end_code"] == "left").map(drop))
    })
    .await?;
    terminal.run("true").await?;
    let told = terminal.messages.iter().find(|message| participants(message));
    ensure!(told.is_none(), "the person is told something: {told:?}");
    ensure!(rows(&world, &session).await?.len() == 1, "the row is missing");
    // The operator sees every session, and so its participants; a plain person would not see this one.
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let mut plain = reachable.open(&person.client).await?;
    let plain_session = plain.session_id();
    let mut hidden = Terminal::watch(&auditor.client, &plain_session, "watch").await?;
    let shown = person.client.list(&format!("/sessions/{plain_session}/participants")).await?;
    ensure!(shown.is_empty(), "{shown:?}");
    plain.type_line("exit").await?;
    hidden.end(Duration::from_secs(5)).await?;
    let export = eventually("the recording is complete", Duration::from_secs(20), || async {
        let recording = world.admin.get(&format!("/sessions/{plain_session}/recording")).await?;
        if recording["state"] != "complete" {
            return Ok(None);
        }
        Ok(Some(world.admin.text(&format!("/sessions/{plain_session}/recording/export")).await?))
    })
    .await?;
    ensure!(!export.contains(&auditor.username), "the recording names who watched unseen");
    let trail = world.admin.list(&format!("/audit/entries?object_id={plain_session}&action=session.watch")).await?;
    assert_eq!(trail[0]["detail"]["visible"], false, "{trail:?}");
    Ok(())
}

#[tokio::test]
async fn places_are_limited_and_given_back() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.terminal.insert("max_watchers", 2);
    let world = World::start(options).await?;
    let reachable = world.password_target().await?;
    let terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    let first = Terminal::watch(&world.admin, &session, "watch").await?;
    let _second = Terminal::watch(&world.admin, &session, "watch").await?;
    let refused = Terminal::try_watch(&world.admin, &session, "watch").await?.err().context("a third was let in")?;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("too_many_watchers")), "{refused:?}");
    first.cut();
    eventually("the place is free", Duration::from_secs(5), || async {
        let answer = preflight(&world.admin, &session, "watch").await?;
        Ok((answer.status == StatusCode::NO_CONTENT).then_some(()))
    })
    .await?;
    Terminal::watch(&world.admin, &session, "watch").await?;
    Ok(())
}

#[tokio::test]
async fn after_kill_9_nobody_watches_for_ever() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let reachable = world.password_target().await?;
    let terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    let _watcher = Terminal::watch(&world.admin, &session, "watch").await?;
    world.hub.kill().await?;
    // As if it were silent for long.
    let silent =
        "update hubs set last_seen_at = now() - interval '1 hour' where hub_id in (select hub_id from sessions)";
    world.database.by_hand(silent).await?;
    let second = world.another_hub().await?;
    let admin = world.admin.at(second.url());
    let row = eventually("the row is closed", Duration::from_secs(45), || async {
        let rows = admin.list(&format!("/sessions/{session}/participants")).await?;
        Ok(rows.first().filter(|row| !row["ended_at"].is_null()).cloned())
    })
    .await?;
    assert_eq!(row["end_code"], "hub_lost", "{row}");
    let ends = admin.list(&format!("/audit/entries?object_id={session}&action=session.watch_end")).await?;
    ensure!(ends.len() == 1, "{ends:?}");
    Ok(())
}
