//! How long recordings are kept: holds, purges by hand, purges by time, and who may.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{HubOptions, World, eventually, unique, world::Reachable};
use serde_json::{Value, json};

/// Lets a recording have ended some time ago.
pub(super) async fn end_ago(world: &World, session: &str, ago: &str) -> anyhow::Result<()> {
    world
        .database
        .by_hand(&format!(
            "begin; alter table recordings disable trigger recordings_final;
             update recordings set started_at = started_at - interval '{ago}', ended_at = ended_at - interval '{ago}'
             where session_id = '{session}';
             alter table recordings enable trigger recordings_final; commit; select 'done'"
        ))
        .await?;
    Ok(())
}

async fn recorded(world: &World, reachable: &Reachable) -> anyhow::Result<String> {
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(10)).await?;
    becomes(world, &session, "complete").await?;
    Ok(session)
}

async fn becomes(world: &World, session: &str, state: &str) -> anyhow::Result<Value> {
    let what = format!("the recording of {session} is {state}");
    eventually(&what, Duration::from_secs(40), || async {
        let kept = world.admin.get(&format!("/sessions/{session}/recording/retention")).await?;
        Ok((kept["state"] == state).then_some(kept))
    })
    .await
}

fn files(world: &World, session: &str) -> anyhow::Result<usize> {
    let root = &world.options.recordings.as_ref().context("no recordings")?.0;
    let mut files = 0;
    for tenant in std::fs::read_dir(root)? {
        let folder = tenant?.path().join(session);
        if folder.is_dir() {
            files += std::fs::read_dir(folder)?.count();
        }
    }
    Ok(files)
}

#[tokio::test]
async fn a_hold_keeps_a_recording_and_a_purge_leaves_its_root_and_a_trail() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let session = recorded(&world, &reachable).await?;
    let [operator, auditor, nobody] = [
        world.person(&["operator"], &[]).await?,
        world.person(&["auditor"], &[]).await?,
        world.person(&[], &[]).await?,
    ];
    let (_, stranger) = world.another_tenant().await?;
    let (hold, purge) = (format!("/sessions/{session}/recording/hold"), format!("/sessions/{session}/recording"));
    let reason = json!({ "reason": "case 4711" });
    // Who may not.
    for client in [&operator.client, &nobody.client] {
        for (method, path) in [(Method::POST, &hold), (Method::DELETE, &hold), (Method::DELETE, &purge)] {
            client.call(method, path, Some(&reason)).await?.problem(StatusCode::FORBIDDEN, "forbidden")?;
        }
    }
    for (method, path) in [(Method::POST, &hold), (Method::DELETE, &hold), (Method::DELETE, &purge)] {
        stranger.call(method, path, Some(&reason)).await?.problem(StatusCode::NOT_FOUND, "not_found")?;
    }
    auditor.client.call(Method::DELETE, &purge, Some(&reason)).await?.problem(StatusCode::FORBIDDEN, "forbidden")?;
    // Why is part of it.
    for bad in [json!({}), json!({ "reason": "  " }), json!({ "reason": "x".repeat(1_001) })] {
        for (method, path) in [(Method::POST, &hold), (Method::DELETE, &purge)] {
            let answer = world.admin.call(method, path, Some(&bad)).await?;
            answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
        }
    }
    world.admin.call(Method::DELETE, &hold, None).await?.problem(StatusCode::CONFLICT, "recording_not_held")?;
    // An auditor holds it; nobody deletes it.
    let held = auditor.client.post(&hold, &reason).await?;
    assert_eq!(held["hold"]["reason"], "case 4711");
    auditor.client.call(Method::POST, &hold, Some(&reason)).await?.problem(StatusCode::CONFLICT, "recording_held")?;
    world.admin.call(Method::DELETE, &purge, Some(&reason)).await?.problem(StatusCode::CONFLICT, "recording_held")?;
    let by_hand = world
        .database
        .by_hand(&format!(
            "update recordings set state = 'purging', purge_at = now() where session_id = '{session}' returning 'done'"
        ))
        .await;
    ensure!(by_hand.is_err(), "the database let a held recording be purged");
    let before = world.admin.get(&purge).await?;
    assert_eq!(before["verification"]["verdict"], "intact");

    world.admin.call(Method::DELETE, &hold, None).await?.success()?;
    let purged = world.admin.call(Method::DELETE, &purge, Some(&reason)).await?.ok(StatusCode::OK)?;
    assert_eq!(purged["state"], "purged", "{purged}");
    assert_eq!(purged["root"], before["root"], "its root stays");
    assert_eq!(files(&world, &session)?, 0);
    for part in ["", "/player", "/export"] {
        let answer = world.admin.call(Method::GET, &format!("{purge}{part}"), None).await?;
        answer.problem(StatusCode::CONFLICT, "recording_purged")?;
    }
    for (method, path) in [(Method::POST, &hold), (Method::DELETE, &purge)] {
        world.admin.call(method, path, Some(&reason)).await?.problem(StatusCode::CONFLICT, "recording_purged")?;
    }
    let left = world
        .database
        .by_hand(&format!(
            "select (select count(*) from recording_segments where session_id = '{session}')
                  + (select count(*) from recording_screens where session_id = '{session}') as left"
        ))
        .await?;
    assert_eq!(left, "0");
    let trail = world.admin.list(&format!("/audit/entries?object_id={session}&action=recording.")).await?;
    let find = |action: &str| {
        trail.iter().find(|entry| entry["action"] == action).with_context(|| format!("no {action}: {trail:#?}"))
    };
    for action in ["recording.hold", "recording.release", "recording.purge", "recording.purged"] {
        find(action)?;
    }
    let entry = find("recording.purge")?;
    assert_eq!(entry["detail"]["root"], before["root"], "{entry}");
    assert_eq!(entry["detail"]["segments"], json!(before["segments"].as_array().map_or(0, Vec::len)));
    assert_eq!(entry["detail"]["reason"], "case 4711");
    assert_eq!(find("recording.hold")?["actor"]["name"], auditor.username.as_str());
    Ok(())
}

#[tokio::test]
async fn what_is_older_than_the_tenant_wants_is_purged_and_a_purge_that_broke_off_goes_on() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let (old, held, young) =
        (recorded(&world, &reachable).await?, recorded(&world, &reachable).await?, recorded(&world, &reachable).await?);
    let running = reachable.open(&world.admin).await?.session_id();
    let reason = json!({ "reason": "case" });
    world.admin.post(&format!("/sessions/{held}/recording/hold"), &reason).await?;
    for bad in [0, 36_501] {
        let body = json!({ "recording": { "retention_days": bad } });
        let answer = world.admin.call(Method::PATCH, "/admin/settings", Some(&body)).await?;
        answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    }
    for session in [&old, &held] {
        end_ago(&world, session, "8 days").await?;
    }
    // Without a retention nothing is purged; with one, what is over it is.
    assert_eq!(becomes(&world, &old, "complete").await?["kept_until"], Value::Null);
    let body = json!({ "recording": { "retention_days": 7 } });
    let settings = world.admin.call(Method::PATCH, "/admin/settings", Some(&body)).await?.ok(StatusCode::OK)?;
    assert_eq!(settings["recording"]["retention_days"], 7);
    let until = becomes(&world, &young, "complete").await?["kept_until"].as_str().map(str::to_owned);
    let until = chrono::DateTime::parse_from_rfc3339(&until.context("no kept_until")?)?.to_utc();
    ensure!((6..=7).contains(&(until - chrono::Utc::now()).num_days()), "{until}");
    let purged = becomes(&world, &old, "purged").await?;
    assert_eq!(purged["purge"]["by"], "recording retention", "{purged}");
    assert_eq!(files(&world, &old)?, 0);
    for session in [&held, &young] {
        becomes(&world, session, "complete").await?;
        ensure!(files(&world, session)? >= 2);
    }
    becomes(&world, &running, "recording").await?;

    // As a hub leaves it that dies between the mark and the last object.
    world
        .database
        .by_hand(&format!(
            "update recordings set state = 'purging', purge_at = now(), purge_by_name = 'test', purge_reason = 'test'
             where session_id = '{young}' returning 'done'"
        ))
        .await?;
    becomes(&world, &young, "purged").await?;
    assert_eq!(files(&world, &young)?, 0);
    let trail = world.admin.list(&format!("/audit/entries?object_id={young}&action=recording.purged")).await?;
    assert_eq!(trail.len(), 1, "{trail:#?}");
    Ok(())
}

#[tokio::test]
async fn a_tenant_can_demand_recording_where_the_hub_does_not() -> anyhow::Result<()> {
    let world = World::start(HubOptions { recordings: None, ..HubOptions::default() }).await?;
    let reachable = world.password_target().await?;
    reachable.preflight(&world.admin).await?.success()?;
    let body = json!({ "recording": { "required": true } });
    let settings = world.admin.call(Method::PATCH, "/admin/settings", Some(&body)).await?.ok(StatusCode::OK)?;
    assert_eq!(settings["recording"], json!({ "required": true, "required_by_hub": false, "retention_days": null }));
    let refused = reachable.preflight(&world.admin).await?;
    refused.problem(StatusCode::SERVICE_UNAVAILABLE, "recording_unavailable")?;
    let opened = openpam_tests::Terminal::try_open(&world.admin, &reachable.connect()).await?;
    let refused = opened.err().context("it opened")?;
    assert_eq!((refused.status, refused.body["code"].as_str()), (503, Some("recording_unavailable")));
    Ok(())
}

#[tokio::test]
async fn the_command_lists_verifies_and_writes_recordings_of_a_hub_and_of_a_folder() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.run("echo on-the-com''mand-line").await?;
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(10)).await?;
    becomes(&world, &session, "complete").await?;
    let account = json!({ "name": unique("sa"), "roles": ["auditor"] });
    let account = openpam_tests::world::id(&world.admin.post("/admin/service-accounts", &account).await?)?;
    let token = json!({ "name": "t", "scopes": [], "expires_at": (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339() });
    let token = world.admin.post(&format!("/admin/service-accounts/{account}/tokens"), &token).await?;
    let token = token["token"].as_str().context("no token")?.to_owned();
    let binary = openpam_tests::hub::binary()?;
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(&binary);
        command.arg("recording").args(arguments).env_clear().env("OPENPAM_HUB", world.hub.url());
        let output = command.env("OPENPAM_TOKEN", &token).output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        anyhow::Ok((output.status.code(), said, String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    let (code, listed, error) = run(&["list", "--json", "--verify"]).await?;
    assert_eq!(code, Some(0), "{error}");
    let listed: Value = serde_json::from_str(&listed)?;
    assert_eq!((&listed[0]["session_id"], &listed[0]["verdict"]), (&json!(session), &json!("intact")), "{listed}");
    let (code, table, _) = run(&["list"]).await?;
    ensure!(code == Some(0) && table.contains(&session) && table.contains("complete"), "{table}");
    let (code, verified, _) = run(&["verify", "--session", &session]).await?;
    ensure!(code == Some(0) && verified.starts_with("intact"), "{verified}");
    let (code, shown, _) = run(&["cat", "--session", &session]).await?;
    ensure!(code == Some(0) && shown.contains("on-the-command-line"), "{shown}");
    let (code, cast, _) = run(&["export", "--session", &session]).await?;
    ensure!(code == Some(0) && cast.starts_with("{\"version\":3"), "{cast}");

    let root = world.options.recordings.as_ref().context("no recordings")?.0.clone();
    let folder = root.display().to_string();
    let (code, listed, error) = run(&["list", "--json", &folder]).await?;
    assert_eq!(code, Some(0), "{error}");
    let listed: Value = serde_json::from_str(&listed)?;
    assert_eq!((&listed[0]["session_id"], &listed[0]["verdict"]), (&json!(session), &json!("consistent")), "{listed}");
    // What is changed shows in both, by the exit code too.
    let path = listed[0]["path"].as_str().context("no path")?;
    let file = std::path::Path::new(path).join("0000000000.segment");
    let mut bytes = std::fs::read(&file)?;
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    std::fs::write(&file, &bytes)?;
    for arguments in [vec!["list", &folder], vec!["list", "--verify"], vec!["verify", "--session", &session]] {
        let (code, said, _) = run(&arguments).await?;
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
    }
    let (code, _, error) = run(&["list", "--hub", "http://pam.example.com"]).await?;
    ensure!(code == Some(1) && error.contains("https://"), "{error}");
    Ok(())
}
