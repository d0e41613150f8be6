//! Why a terminal does not open: each reason with its own code, a sentence and a log line.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{
    HubOptions, Terminal, World, eventually,
    hostile::HostileSsh,
    hub::bind_free_port,
    proxy::{Fault, FaultProxy},
    terminal::{Connect, Refused, upgrade},
    unique,
    world::Reachable,
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Opens a terminal that must be refused; the code, after checking sentence and log line.
async fn refused(world: &World, connect: &Connect) -> anyhow::Result<(String, String)> {
    let body = match Terminal::try_open(&world.admin, connect).await {
        Ok(Err(Refused { body, .. })) => body,
        Ok(Ok(_)) => anyhow::bail!("the terminal opened"),
        Err(error) => return Err(error.context("expected a problem before the upgrade")),
    };
    let (code, detail) = (body["code"].as_str().unwrap_or_default(), body["detail"].as_str().unwrap_or_default());
    ensure!(!code.is_empty() && detail.len() > 10, "not a problem for a person: {body}");
    let request_id = body["request_id"].as_str().context("no request id")?;
    world.hub.wait_for_log(&[request_id, code]).await?;
    Ok((code.to_owned(), detail.to_owned()))
}

#[tokio::test]
async fn targets_that_do_not_answer_each_have_their_code() -> anyhow::Result<()> {
    let world =
        World::start(HubOptions { terminal: [("connect_timeout_seconds", 2)].into(), ..HubOptions::default() }).await?;
    let credential = world.credential("password", "root", &json!({ "password": unique("planted") })).await?;
    let group = world.group().await?;
    let silent = FaultProxy::start("127.0.0.1:1").await?;
    silent.set(Fault::Silence);
    let closed = openpam_tests::hub::free_address().await?.port();
    for (host, port, codes) in [
        ("127.0.0.1", closed, &["target_refused"][..]),
        ("127.0.0.1", silent.address().port(), &["target_timed_out", "ssh_handshake_failed"][..]),
        ("no-such-name.invalid", 22, &["target_name_not_found"][..]),
    ] {
        let target = world.target(host, port, &group, &[&credential]).await?;
        let (code, _) = refused(&world, &Connect::new(&target, &credential)).await?;
        ensure!(codes.contains(&code.as_str()), "{host}:{port}: expected one of {codes:?}, got {code}");
    }
    let (code, _) = refused(&world, &Connect::new(&uuid::Uuid::now_v7().to_string(), &credential)).await?;
    ensure!(matches!(code.as_str(), "not_found" | "target_not_found"), "an unknown target: {code}");
    Ok(())
}

#[tokio::test]
async fn a_host_key_that_nobody_trusted_or_that_changed_is_refused_with_both_fingerprints() -> anyhow::Result<()> {
    let world = World::default().await?;
    let server = world.stack.password_target().clone();
    let reachable = world.password_target().await?;
    let fresh = world.target(&server.host, server.port, &reachable.group_id, &[&reachable.credential_id]).await?;
    let (code, _) = refused(&world, &Connect::new(&fresh, &reachable.credential_id)).await?;
    assert_eq!(code, "host_key_unknown", "never blind trust");
    // The same name and keys, but another machine behind it.
    let other = world.stack.certificate_target();
    world.admin.patch(&format!("/admin/targets/{}", reachable.target_id), &json!({ "port": other.port })).await?;
    let (code, detail) = refused(&world, &reachable.connect()).await?;
    assert_eq!(code, "host_key_mismatch");
    ensure!(detail.matches("SHA256:").count() >= 2, "both fingerprints are needed to judge: {detail}");
    Ok(())
}

#[tokio::test]
async fn messages_that_are_not_understood_are_answered_each_and_logged_once() -> anyhow::Result<()> {
    let world = World::default().await?;
    let mut terminal = world.password_target().await?.open(&world.admin).await?;
    for _ in 0..3 {
        terminal.send(&json!([])).await?;
    }
    for _ in 0..3 {
        let error = terminal.message("a complaint", |message| message["code"] == "malformed_message").await?;
        ensure!(error["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{error}");
    }
    let session_id = terminal.session_id();
    world.hub.wait_for_log(&[&session_id, "malformed_message", "request_id"]).await?;
    assert_eq!(world.hub.log().matches("message not understood").count(), 1, "one line a socket");
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_is_in_no_answer() -> anyhow::Result<()> {
    let world = World::default().await?;
    let server = world.stack.password_target().clone();
    let wrong = unique("wrong-password");
    let credential_id = world.credential("password", &server.username, &json!({ "password": wrong })).await?;
    let group_id = world.group().await?;
    let target_id = world.target(&server.host, server.port, &group_id, &[&credential_id]).await?;
    world.trust_host_keys(&target_id).await?;
    let (code, _) = refused(&world, &Connect::new(&target_id, &credential_id)).await?;
    assert_eq!(code, "ssh_auth_failed");
    let record = world.admin.record().lock().expect("no holder of the lock panics").clone();
    ensure!(!record.contains(&wrong) && !world.hub.log().contains(&wrong), "the password is in an answer or the log");
    Ok(())
}

#[tokio::test]
async fn who_may_not_and_what_is_switched_off_is_refused_before_anything_is_dialled() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let outsider = world.person(&[], &[]).await?;
    reachable.preflight(&outsider.client).await?.problem(StatusCode::NOT_FOUND, "target_not_found")?;
    // The console asks no further: the denial must be in the trail already.
    let entries = world.admin.get("/audit/entries?limit=50").await?;
    let denials = entries["items"].as_array().context("no entries")?.iter().filter(|entry| {
        entry["action"] == "session.authorize"
            && entry["outcome"] == "denied"
            && entry["actor"].to_string().contains(&outsider.id)
    });
    let denials = denials.collect::<Vec<_>>();
    ensure!(denials.len() == 1, "a denial by preflight is not in the trail: {entries}");
    // What is allowed is written when it is opened, once.
    assert_eq!(reachable.preflight(&world.admin).await?.status, StatusCode::NO_CONTENT);
    let allowed = world.admin.list("/audit/entries?action=session.authorize&outcome=success").await?;
    ensure!(allowed.is_empty(), "a preflight opened nothing: {allowed:?}");
    let refusal =
        Terminal::try_open(&outsider.client, &reachable.connect()).await?.err().context("an outsider connected")?;
    assert_eq!(refusal.status, 404, "{refusal:?}");
    // Nor does the answer tell a target with two credentials, or of another protocol, from none at all.
    let two = world.target("192.0.2.1", 22, &reachable.group_id, &[]).await?;
    let target = format!("/admin/targets/{two}");
    for change in [json!({ "enabled": false }), json!({ "enabled": true, "protocol": "rdp" })] {
        world.admin.patch(&target, &change).await?;
        for id in [two.clone(), uuid::Uuid::now_v7().to_string()] {
            let path = format!("/targets/{id}/preflight");
            let answer = outsider.client.call(Method::POST, &path, Some(&json!({}))).await?;
            answer.problem(StatusCode::NOT_FOUND, "target_not_found").with_context(|| format!("{change}"))?;
        }
    }
    let denied = world.admin.list("/audit/entries?action=session.authorize&outcome=denied").await?;
    assert_eq!(denied.len(), 4, "each attempt on a target that exists is in the trail: {denied:?}");
    let stranger = Terminal::try_open(&world.admin.stranger(), &reachable.connect())
        .await?
        .err()
        .context("a stranger connected")?;
    assert_eq!((stranger.status, &stranger.body["code"]), (401, &json!("unauthenticated")));
    let other = world.credential("password", "root", &json!({ "password": unique("planted") })).await?;
    let (code, _) = refused(&world, &Connect::new(&reachable.target_id, &other)).await?;
    assert_eq!(code, "credential_not_allowed");
    world.admin.patch(&format!("/admin/targets/{}", reachable.target_id), &json!({ "reason_required": true })).await?;
    let (code, _) = refused(&world, &reachable.connect()).await?;
    assert_eq!(code, "reason_required");
    let mut connect = reachable.connect();
    connect.reason = Some("ticket\u{1b}]0;4711".to_owned());
    let (code, detail) = refused(&world, &connect).await?;
    assert_eq!((code.as_str(), detail.starts_with("reason: ")), ("invalid_input", true), "{detail}");
    connect.reason = Some("ticket 4711".to_owned());
    let terminal = Terminal::open(&world.admin, &connect).await?;
    assert_eq!(world.session(&terminal.session_id()).await?["reason"], "ticket 4711");
    world.admin.patch(&format!("/admin/targets/{}", reachable.target_id), &json!({ "enabled": false })).await?;
    let (code, _) = refused(&world, &connect).await?;
    assert_eq!(code, "target_disabled");
    Ok(())
}

#[tokio::test]
async fn another_origin_and_a_missing_subprotocol_are_refused() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let path = format!("/api/ws/connect/ssh/{}?credential_id={}", reachable.target_id, reachable.credential_id);
    for origin in [None, Some("http://evil.test"), Some("null")] {
        let refusal = upgrade(&world.admin, &path, origin)
            .await?
            .err()
            .with_context(|| format!("origin {origin:?} connected"))?;
        assert_eq!((refusal.status, &refusal.body["code"]), (403, &json!("origin_mismatch")), "{origin:?}");
    }
    let plain = world.admin.send(world.admin.request(Method::GET, &path)).await?;
    plain.problem(StatusCode::BAD_REQUEST, "upgrade_required")?;
    Ok(())
}

#[tokio::test]
async fn what_a_vault_cannot_give_is_said_precisely() -> anyhow::Result<()> {
    let world = World::default().await?;
    let server = world.stack.password_target().clone();
    let group = world.group().await?;
    let vault = openpam_tests::vault::VaultAdmin::new(&world.stack.servers.openbao)?;
    let without_field = format!("shared/{}", unique("no-field"));
    vault.put(&without_field, &json!({ "other": "x" })).await?;
    for (path, codes) in [
        (format!("shared/{}", unique("missing")), &["vault_path_missing"][..]),
        (format!("forbidden/{}", unique("x")), &["vault_permission_denied", "vault_path_not_allowed"][..]),
        (without_field.clone(), &["vault_field_missing"][..]),
    ] {
        let body = json!({ "name": unique("c"), "kind": "password", "username": server.username, "vault_path": path });
        let created = world.admin.call(Method::POST, "/admin/credentials", Some(&body)).await?;
        if !created.status.is_success() {
            ensure!(
                codes.contains(&created.code().as_str()) || created.status == StatusCode::UNPROCESSABLE_ENTITY,
                "{created:?}"
            );
            continue;
        }
        let credential = openpam_tests::world::id(&created.json()?)?;
        let target = world.target(&server.host, server.port, &group, &[&credential]).await?;
        world.trust_host_keys(&target).await?;
        let (code, _) = refused(&world, &Connect::new(&target, &credential)).await?;
        ensure!(codes.contains(&code.as_str()), "{path}: expected {codes:?}, got {code}");
    }
    vault.remove(&without_field).await
}

#[tokio::test]
async fn a_vault_that_is_down_refuses_sessions_and_readiness_but_no_sign_in_and_comes_back() -> anyhow::Result<()> {
    let stack = openpam_tests::Stack::load()?;
    let (proxy, address) = FaultProxy::in_front_of(&stack.servers.openbao.address).await?;
    let world = World::start(HubOptions { vault_address: Some(address), ..HubOptions::default() }).await?;
    let reachable: Reachable = world.password_target().await?;
    for fault in [Fault::Refuse, Fault::Silence] {
        proxy.set(fault);
        let (code, _) = refused(&world, &reachable.connect()).await?;
        assert_eq!(code, "vault_unavailable", "{fault:?}");
        // The vault's state is known for a second before it is asked again.
        openpam_tests::eventually("readiness names the vault", std::time::Duration::from_secs(10), || async {
            let ready = world.admin.send(world.admin.request(Method::GET, "/readyz")).await?;
            Ok((ready.status == StatusCode::SERVICE_UNAVAILABLE).then_some(()))
        })
        .await?;
        // A vault that is down never blocks login or audit.
        world.admin.stranger().sign_in(&world.options.tenant, "admin", &world.admin_password).await?;
        world.admin.get("/audit/entries").await?;
        proxy.set(Fault::None);
        openpam_tests::eventually("a session opens again", std::time::Duration::from_secs(60), || async {
            Ok(reachable.open(&world.admin).await.ok())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_target_that_stops_in_the_handshake_is_let_go_of() -> anyhow::Result<()> {
    let options = HubOptions { terminal: [("connect_timeout_seconds", 1)].into(), ..HubOptions::default() };
    let world = World::start(options).await?;
    let listener = bind_free_port().await?;
    let port = listener.local_addr()?.port();
    let group_id = world.group().await?;
    let credential_id = world.credential("password", "root", &json!({ "password": unique("planted") })).await?;
    let target_id = world.target("127.0.0.1", port, &group_id, &[&credential_id]).await?;
    let mute = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(b"SSH-2.0-mute\r\n").await?;
        let mut said = Vec::new();
        // Returns when the hub closes.
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await?.ok();
        anyhow::Ok(said)
    });
    let (code, _) = refused(&world, &Connect::new(&target_id, &credential_id)).await?;
    assert_eq!(code, "ssh_handshake_failed");
    let said = mute.await?.context("the hub kept a connection whose handshake had timed out")?;
    ensure!(said.starts_with(b"SSH-2.0-OpenPAM"), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn a_target_that_talks_without_end_instead_of_opening_a_shell_is_cut_off() -> anyhow::Result<()> {
    let world = World::default().await?;
    let hostile = HostileSsh::start().await?;
    let credential = world.credential("password", "root", &json!({ "password": unique("planted") })).await?;
    let group = world.group().await?;
    let target = world.target("127.0.0.1", hostile.address().port(), &group, &[&credential]).await?;
    world.trust_host_keys(&target).await?;
    let started = std::time::Instant::now();
    let (code, _) = refused(&world, &Connect::new(&target, &credential)).await?;
    assert_eq!(code, "pty_refused");
    ensure!(started.elapsed() < Duration::from_secs(15), "cut off by the clock: {:?}", started.elapsed());
    ensure!(hostile.said() > 0, "it said nothing, so this proves nothing");
    // Cut off means that it cannot go on talking into the hub.
    eventually("it is silent", Duration::from_secs(10), || async {
        let before = hostile.said();
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok((hostile.said() == before).then_some(()))
    })
    .await?;
    let session = world.admin.list("/sessions").await?;
    assert_eq!((&session[0]["status"], &session[0]["error_code"]), (&json!("failed"), &json!("pty_refused")));
    Ok(())
}
