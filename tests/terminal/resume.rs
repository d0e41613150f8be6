//! Coming back to a session: no byte lost, none repeated, and not for everybody.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{HubOptions, Terminal, World};
use serde_json::json;

#[tokio::test]
async fn a_counter_continues_without_a_gap_or_a_repetition() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    terminal.type_line("stty -echo; printf 'ST%s' 'ART'; for i in $(seq 1 4000); do echo $i; [ $((i % 50)) = 0 ] && sleep 0.02; done; printf 'STO%s' 'P'").await?;
    terminal.until(b"START").await?;
    let mut output = Vec::new();
    for cut in 1..=3_usize {
        output.extend(terminal.until(format!("\n{}\r", cut * 700).as_bytes()).await?);
        output.append(&mut terminal.output);
        let resume = terminal.resume();
        let session_id = terminal.session_id();
        terminal.cut();
        let mut connect = reachable.connect();
        connect.resume = Some(resume);
        terminal = Terminal::open(&world.admin, &connect).await.with_context(|| format!("coming back, time {cut}"))?;
        assert_eq!(terminal.session_id(), session_id, "another session instead of the same");
        ensure!(terminal.ready["snapshot"] != true, "a snapshot, although all bytes are recent");
    }
    output.extend(terminal.until(b"STOP").await?);
    let text = String::from_utf8(output)?;
    let numbers = text.trim_end_matches("STOP").lines().filter_map(|line| line.trim().parse::<u32>().ok());
    assert_eq!(numbers.collect::<Vec<_>>(), (1..=4000).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn a_resume_token_works_once_and_only_for_its_person() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let owner = world.person(&[], &[&reachable.group_id]).await?;
    let other = world.person(&[], &[&reachable.group_id]).await?;
    let terminal = reachable.open(&owner.client).await?;
    let resume = terminal.resume();
    terminal.cut();
    let mut connect = reachable.connect();
    connect.resume = Some((resume.0.clone(), "not-the-token".to_owned(), resume.2));
    ensure!(Terminal::try_open(&owner.client, &connect).await?.is_err(), "a wrong token was accepted");
    connect.resume = Some(resume.clone());
    let refused = Terminal::try_open(&other.client, &connect).await?.err().context("another person came back to it")?;
    ensure!(matches!(refused.status, 403 | 404), "{refused:?}");
    let mut terminal = Terminal::open(&owner.client, &connect).await?;
    terminal.run("true").await?;
    ensure!(Terminal::try_open(&owner.client, &connect).await?.is_err(), "a used token was accepted again");
    Ok(())
}

#[tokio::test]
async fn another_page_load_asks_for_a_token_and_takes_the_session_over() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut first = reachable.open(&world.admin).await?;
    first.run("kept=yes").await?;
    let session_id = first.session_id();
    let resumed = format!("/audit/entries?action=session.resume&object_id={session_id}");
    // One that is asked for and not used takes nothing up.
    world.admin.post(&format!("/sessions/{session_id}/resume"), &json!({})).await?;
    let token = world.admin.post(&format!("/sessions/{session_id}/resume"), &json!({})).await?;
    assert_eq!(world.admin.list(&resumed).await?.len(), 0, "nobody came back yet");
    let mut connect = reachable.connect();
    let text = token["resume_token"].as_str().context("no token")?.to_owned();
    connect.resume = Some((session_id, text, first.received));
    let mut second = Terminal::open(&world.admin, &connect).await?;
    assert_eq!(second.run("echo $kept").await?.trim(), "yes");
    let ended = first.end(Duration::from_secs(5)).await?;
    assert_eq!((ended.code, ended.reason.as_str()), (1000, "resumed_elsewhere"), "{ended:?}");
    let message = ended.message.context("the first page was not told why")?;
    assert_eq!(message["code"], "resumed_elsewhere", "{message}");
    // The session did not end with its first window.
    assert_eq!(second.run("echo $kept").await?.trim(), "yes");
    assert_eq!(world.admin.list(&resumed).await?.len(), 1, "coming back once is one entry");
    // A token that is not the newest takes nothing up either.
    connect.resume = Some((connect.resume.context("no token")?.0, "not-the-token".to_owned(), 0));
    ensure!(Terminal::try_open(&world.admin, &connect).await?.is_err(), "a wrong token was accepted");
    assert_eq!(world.admin.list(&resumed).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn access_is_decided_again_when_someone_comes_back() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let terminal = reachable.open(&person.client).await?;
    let mut connect = reachable.connect();
    connect.resume = Some(terminal.resume());
    terminal.cut();
    world.admin.delete(&format!("/admin/groups/{}/members/{}", reachable.group_id, person.id)).await?;
    ensure!(Terminal::try_open(&person.client, &connect).await?.is_err(), "came back although access was taken away");
    Ok(())
}

#[tokio::test]
async fn after_the_grace_period_there_is_nothing_to_come_back_to() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.terminal.insert("resume_grace_seconds", 1);
    let world = World::start(options).await?;
    let reachable = world.password_target().await?;
    let terminal = reachable.open(&world.admin).await?;
    let (session_id, resume) = (terminal.session_id(), terminal.resume());
    terminal.cut();
    let what = "the session ends";
    openpam_tests::eventually(what, Duration::from_secs(10), || async {
        let session = world.session(&session_id).await?;
        Ok((session["status"] != "active").then_some(()))
    })
    .await?;
    let mut connect = reachable.connect();
    connect.resume = Some(resume);
    let refused = Terminal::try_open(&world.admin, &connect).await?.err().context("came back to an ended session")?;
    ensure!(refused.status < 500, "{refused:?}");
    let answer = world.admin.call(Method::POST, &format!("/sessions/{session_id}/resume"), Some(&json!({}))).await?;
    ensure!(answer.status != StatusCode::OK && answer.status.is_client_error(), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn who_comes_back_too_late_gets_the_screen_and_not_a_megabyte() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    // A full-screen program whose beginning is no longer retained.
    let begin = "printf '\\033[?1049h\\033[2J\\033[Hthe ed''itor'";
    terminal
        .type_line(&format!(
            "stty -echo; {begin}; yes | head -c 6000000 | tr -d '\\n' ; printf '\\033[5;1Hlast li''ne'"
        ))
        .await?;
    let output = terminal.until(b"last line").await?;
    ensure!(output.len() > 2_000_000, "{} bytes", output.len());
    let (session_id, token, offset) = terminal.resume();
    terminal.cut();
    for early in [0, 100, offset - 1_500_000] {
        let mut connect = reachable.connect();
        let token = if early == 0 {
            token.clone()
        } else {
            let fresh = world.admin.post(&format!("/sessions/{session_id}/resume"), &json!({})).await?;
            fresh["resume_token"].as_str().context("no token")?.to_owned()
        };
        connect.resume = Some((session_id.clone(), token, early));
        let mut terminal = Terminal::open(&world.admin, &connect).await?;
        assert_eq!(terminal.ready["snapshot"], true, "{}", terminal.ready);
        let from = terminal.ready["offset"].as_u64().context("no offset")?;
        terminal.drain(Duration::from_millis(500)).await?;
        let screen = String::from_utf8_lossy(&terminal.output).into_owned();
        ensure!(screen.contains("last line"), "{screen:?}");
        ensure!(terminal.received - from < 100_000, "{} bytes for a screen", terminal.received - from);
        // The positions go on as if all had come.
        ensure!(terminal.received >= offset, "{} after {offset}", terminal.received);
        terminal.type_line("echo go''es on").await?;
        terminal.until(b"goes on").await?;
        let resume = terminal.resume();
        terminal.cut();
        // Coming back in time, nothing is drawn anew.
        let mut connect = reachable.connect();
        connect.resume = Some(resume);
        let mut terminal = Terminal::open(&world.admin, &connect).await?;
        assert_eq!(terminal.ready["snapshot"], false, "{}", terminal.ready);
        terminal.type_line("echo and o''n").await?;
        terminal.until(b"and on").await?;
        terminal.cut();
    }
    Ok(())
}
