//! Access ends when it should, and nothing stays active for ever.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use openpam_tests::{HubOptions, World};
use serde_json::json;

/// How soon a socket must be closed once access has ended.
const AT_ONCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_operator_ends_a_session_with_a_reason_at_once() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let operator = world.person(&["operator"], &[]).await?;
    let mut terminal = reachable.open(&person.client).await?;
    let path = format!("/sessions/{}/terminate", terminal.session_id());
    let started = Instant::now();
    operator.client.post(&path, &json!({ "reason": "end of the exercise" })).await?;
    let ended = terminal.end(Duration::from_secs(5)).await?;
    ensure!(started.elapsed() < AT_ONCE, "the socket was closed after {:?}", started.elapsed());
    assert_eq!(ended.code, 4003, "{ended:?}");
    let message = ended.message.context("nobody said why")?;
    assert_eq!(message["reason"], format!("{} ended this session: end of the exercise", operator.username));
    world.session_becomes(&terminal.session_id(), "terminated").await?;
    // The trail says who it was, and does not say that it was the session's person.
    let trail = world.admin.list("/audit/entries?action=session.end").await?;
    let entry = trail.first().context("no end in the trail")?;
    let session = world.session(&terminal.session_id()).await?;
    assert_eq!(
        (&entry["actor"]["type"], &entry["object"]["name"]),
        (&json!("system"), &session["target_name"]),
        "{entry}"
    );
    assert_eq!(entry["detail"]["message"], message["reason"], "{entry}");
    let again = operator.client.call(http::Method::POST, &path, Some(&json!({ "reason": "again" }))).await?;
    again.problem(http::StatusCode::CONFLICT, &again.code())?;
    Ok(())
}

#[tokio::test]
async fn an_ordinary_user_cannot_end_the_session_of_another() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let owner = world.person(&[], &[&reachable.group_id]).await?;
    let other = world.person(&[], &[&reachable.group_id]).await?;
    let mut terminal = reachable.open(&owner.client).await?;
    let path = format!("/sessions/{}/terminate", terminal.session_id());
    let answer = other.client.call(http::Method::POST, &path, Some(&json!({ "reason": "mine" }))).await?;
    ensure!(matches!(answer.status.as_u16(), 403 | 404), "{answer:?}");
    terminal.run("true").await?;
    Ok(())
}

#[tokio::test]
async fn a_user_who_is_disabled_loses_the_terminal_at_once() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let mut terminal = reachable.open(&person.client).await?;
    let started = Instant::now();
    world.admin.patch(&format!("/admin/users/{}", person.id), &json!({ "enabled": false })).await?;
    let ended = terminal.end(Duration::from_secs(5)).await?;
    ensure!(started.elapsed() < AT_ONCE, "the socket was closed after {:?}", started.elapsed());
    assert_eq!(ended.code, 4001, "{ended:?}");
    person
        .client
        .call(http::Method::GET, "/auth/me", None)
        .await?
        .problem(http::StatusCode::UNAUTHORIZED, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn who_leaves_the_group_or_whose_target_is_disabled_loses_the_terminal_at_once() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let mut terminal = reachable.open(&person.client).await?;
    let started = Instant::now();
    world.admin.delete(&format!("/admin/groups/{}/members/{}", reachable.group_id, person.id)).await?;
    assert_eq!(terminal.end(Duration::from_secs(5)).await?.code, 4001);
    ensure!(started.elapsed() < AT_ONCE, "after leaving the group: {:?}", started.elapsed());
    let mut terminal = reachable.open(&world.admin).await?;
    let started = Instant::now();
    world.admin.patch(&format!("/admin/targets/{}", reachable.target_id), &json!({ "enabled": false })).await?;
    assert_eq!(terminal.end(Duration::from_secs(5)).await?.code, 4001);
    ensure!(started.elapsed() < AT_ONCE, "after disabling the target: {:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn signing_out_ends_the_terminals_of_that_sign_in() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let mut terminal = reachable.open(&person.client).await?;
    person.client.post("/auth/logout", &json!({})).await?;
    assert_eq!(terminal.end(Duration::from_secs(5)).await?.code, 4001);
    Ok(())
}

#[tokio::test]
async fn a_quiet_terminal_ends_after_its_idle_time_and_a_long_one_after_its_maximum() -> anyhow::Result<()> {
    let world = World::start(HubOptions {
        terminal: [("idle_timeout_seconds", 2), ("max_duration_seconds", 6)].into(),
        ..HubOptions::default()
    })
    .await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let ended = terminal.end(Duration::from_secs(10)).await?;
    assert_eq!(ended.code, 4008, "{ended:?}");
    let mut terminal = reachable.open(&world.admin).await?;
    let started = Instant::now();
    let ended = loop {
        // Keys keep it from being idle.
        if terminal.type_bytes(b" ".to_vec()).await.is_err() || started.elapsed() > Duration::from_secs(12) {
            break terminal.end(Duration::from_secs(1)).await?;
        }
        if let Ok(ended) = terminal.end(Duration::from_millis(500)).await {
            break ended;
        }
    };
    assert_eq!(ended.code, 4001, "{ended:?}");
    ensure!(started.elapsed() > Duration::from_secs(4), "ended after {:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_second_hub_closes_the_sessions_of_one_that_was_killed() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session_id = terminal.session_id();
    world.hub.kill().await?;
    assert_eq!(terminal.end(Duration::from_secs(5)).await?.code, 1006);
    let second = world.another_hub().await?;
    let admin = world.admin.at(second.url());
    let session = openpam_tests::eventually("the session is closed", Duration::from_secs(90), || async {
        let session = admin.get(&format!("/sessions/{session_id}")).await?;
        Ok((session["status"] != "active").then_some(session))
    })
    .await?;
    assert_eq!(session["status"], "failed");
    assert_eq!(session["error_code"], "hub_lost");
    Ok(())
}

#[tokio::test]
async fn a_hub_that_is_asked_to_stop_ends_its_sessions_and_succeeds() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session_id = terminal.session_id();
    let status = world.hub.terminate().await?;
    ensure!(status.success(), "the hub ended with {status}");
    let ended = terminal.end(Duration::from_secs(5)).await?;
    ensure!(ended.code != 1006, "nobody was told: {ended:?}");
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let mut connection = world.database.as_tenant(tenant).await?;
    let active: i64 = sqlx::Row::get(
        &sqlx::query("select count(*) from sessions where status = 'active'").fetch_one(&mut connection).await?,
        0,
    );
    assert_eq!(active, 0, "session {session_id} is still active after the hub has stopped");
    Ok(())
}
