//! Watching and joining through a hub that does not carry the session.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::StatusCode;
use openpam_tests::{HubOptions, Terminal, World, world::Person};
use serde_json::json;

use super::watch::{AT_ONCE, error, let_type, preflight, rows};

#[tokio::test]
async fn a_session_is_watched_and_joined_through_a_hub_that_does_not_carry_it() -> anyhow::Result<()> {
    let options = HubOptions { peers: true, trusted_proxies: vec!["127.0.0.0/8"], ..HubOptions::default() };
    let mut world = World::start(options).await?;
    let mut second = world.another_hub().await?;
    let reachable = world.password_target().await?;
    let owner = world.person(&[], &[&reachable.group_id]).await?;
    let there = |person: Person| Person { client: person.client.at(second.url()), ..person };
    let [auditor, operator] = [world.person(&["auditor"], &[]).await?, world.person(&["operator"], &[]).await?];
    let [auditor, operator, stranger] = [auditor, operator, owner.clone()].map(there);
    let mut terminal = reachable.open(&owner.client).await?;
    let session = terminal.session_id();
    terminal.run("clear; echo before''hand").await?;

    // Who may not is refused as everywhere, and once in the trail.
    preflight(&stranger.client, &session, "watch").await?.problem(StatusCode::FORBIDDEN, "forbidden")?;
    let refused = Terminal::try_watch(&stranger.client, &session, "watch").await?.err().context("not refused")?;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("forbidden")), "{refused:?}");
    let denied = world.admin.list(&format!("/audit/entries?object_id={session}&outcome=denied")).await?;
    assert_eq!(denied.len(), 2, "{denied:?}");
    let path = format!("/api/ws/watch/{session}");
    let evil = openpam_tests::terminal::upgrade(&auditor.client, &path, Some("https://evil.example")).await?;
    assert_eq!(evil.err().context("another site may watch")?.body["code"], "origin_mismatch");

    preflight(&auditor.client, &session, "watch").await?.success()?;
    let mut watcher = Terminal::watch(&auditor.client, &session, "watch").await?;
    watcher.until(b"beforehand").await?;
    terminal.message("who watches", |told| told["watching"] == json!([auditor.username])).await?;
    terminal.run("echo across''hubs").await?;
    watcher.until(b"acrosshubs").await?;
    watcher.type_line("echo INTRUDER").await?;
    watcher.message("a refusal", error("read_only")).await?;
    // Much of it, acknowledged from end to end.
    terminal.type_line("seq 200000; printf 'THE %s' END").await?;
    terminal.until(b"THE END").await?;
    watcher.until(b"THE END").await?;

    let mut guest = let_type(&mut terminal, &operator).await?;
    guest.type_line("echo typed''there").await?;
    terminal.until(b"typedthere").await?;
    let rows_now = rows(&world, &session).await?;
    assert_eq!(rows_now.iter().map(|row| row["kind"].clone()).collect::<Vec<_>>(), ["watch", "join"], "{rows_now:?}");
    let trail = world.admin.list(&format!("/audit/entries?object_id={session}&action=session.watch")).await?;
    let allowed = trail.iter().filter(|entry| entry["outcome"] == "success").collect::<Vec<_>>();
    assert_eq!(allowed.len(), 1, "{trail:?}");
    assert_eq!(allowed[0]["client_ip"], "127.0.0.1", "{trail:?}");

    // A right that is taken away ends it within a second, whichever hub it goes through.
    let started = Instant::now();
    world.admin.patch(&format!("/admin/users/{}", auditor.id), &json!({ "roles": ["operator"] })).await?;
    let ended = watcher.end(Duration::from_secs(5)).await?;
    ensure!(started.elapsed() < AT_ONCE, "closed after {:?}", started.elapsed());
    assert_eq!((ended.code, ended.reason.as_str()), (4001, "access_denied"), "{ended:?}");

    // The hub in between stops: the session goes on.
    second.terminate().await?;
    guest.end(Duration::from_secs(10)).await?;
    terminal.run("echo goes''on").await?;

    // A hub that does not answer is told apart from one that has no address, and one that stopped from both.
    let third = world.another_hub().await?;
    let admin = world.admin.at(third.url());
    world.hub.signal("STOP").await?;
    preflight(&admin, &session, "join").await?.problem(StatusCode::SERVICE_UNAVAILABLE, "session_hub_unreachable")?;
    world.hub.signal("CONT").await?;
    preflight(&admin, &session, "join").await?.success()?;
    world.hub.kill().await?;
    let stopped = format!("select hub_id from sessions where session_id = '{session}'");
    world.database.by_hand(&format!("update hubs set stopped_at = now() where hub_id = ({stopped})")).await?;
    let gone = preflight(&admin, &session, "join").await?;
    ensure!(gone.status == StatusCode::CONFLICT, "{gone:?}");
    Ok(())
}
