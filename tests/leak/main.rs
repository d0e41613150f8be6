//! Secrets that the suite knows are planted everywhere they may go, a whole story is played with
//! every detail logged, and then they are looked for everywhere they must not be.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use http::Method;
use openpam_tests::{
    HubOptions, World, client::COOKIE, eventually, stack::read_trimmed, unique, webhook::Receiver, world::Reachable,
};
use serde_json::json;

/// The ways in which a secret could be written.
fn spellings(secret: &str) -> Vec<String> {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(secret);
    vec![secret.to_owned(), hex, base64, secret.escape_debug().to_string()]
}

/// Names of the secrets that `place` contains.
fn found_in(place: &str, secrets: &[(String, String)]) -> Vec<String> {
    let leaked = secrets.iter().filter(|(_, secret)| spellings(secret).iter().any(|text| place.contains(text)));
    leaked.map(|(name, _)| name.clone()).collect()
}

/// The middle lines of a private key: its armour is no secret.
fn key_lines(key: &str) -> Vec<(String, String)> {
    let lines = key.lines().filter(|line| !line.starts_with("-----") && line.len() > 40);
    // The first lines of an OpenSSH key hold the public part.
    lines.skip(2).map(|line| ("a private key".to_owned(), line.to_owned())).collect()
}

#[tokio::test]
async fn no_planted_secret_is_in_logs_answers_the_database_metrics_or_the_process() -> anyhow::Result<()> {
    let options = HubOptions {
        log_filter: "info,openpam=trace,openpam_hub=trace,openpam_lifecycle=trace,tower_http=trace".to_owned(),
        ..HubOptions::default()
    };
    let world = World::start(options).await?;
    let server = world.stack.password_target().clone();
    let mut secrets = vec![
        ("the administrator's password".to_owned(), world.admin_password.clone()),
        ("the password in the vault".to_owned(), world.ssh_password()?),
        ("the vault token of the stack".to_owned(), world.stack.servers.openbao.admin_token.clone()),
        ("the client secret".to_owned(), read_trimmed(&world.stack.servers.oidc.client_secret_file)?),
        ("the owner's database password".to_owned(), read_trimmed(&world.stack.servers.postgres.owner_password_file)?),
        (
            "the application's database password".to_owned(),
            read_trimmed(&world.stack.servers.postgres.app_password_file)?,
        ),
        ("the wrapping token".to_owned(), read_trimmed(&world.hub.folder().join("wrapped_secret_id"))?),
    ];
    // Shown once by contract, or kept by the browser: never in a log, the database or another answer.
    let mut shown_once = Vec::new();

    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    shown_once.push(("a resume token".to_owned(), terminal.resume().1));
    let path = format!("/api/v1/sessions/{}/resume", terminal.session_id());
    let request = world.admin.request(Method::POST, &path).header("idempotency-key", unique("key"));
    let token = world.admin.send(request.json(&json!({}))).await?.json()?;
    shown_once.push(("a resume token".to_owned(), token["resume_token"].as_str().context("no token")?.to_owned()));
    terminal.run("echo typed; exit").await.ok();
    let key = std::fs::read_to_string(&server.private_keys["ed25519"])?;
    secrets.extend(key_lines(&key));
    let credential_id = world.credential("private_key", &server.username, &json!({ "private_key": key })).await?;
    let target_id = world.target(&server.host, server.port, &reachable.group_id, &[&credential_id]).await?;
    world.trust_host_keys(&target_id).await?;
    Reachable {
        target_id: target_id.clone(),
        credential_id: credential_id.clone(),
        group_id: reachable.group_id.clone(),
    }
    .open(&world.admin)
    .await?;
    world.certificate_target().await?.open(&world.admin).await?;
    for wrong in [unique("wrong-secret"), unique("rotated-secret")] {
        let body = json!({ "secret": { "password": wrong } });
        world.admin.put(&format!("/admin/credentials/{}/secret", reachable.credential_id), Some(&body)).await?;
        let _ = reachable.open(&world.admin).await;
        world
            .admin
            .post(
                &format!("/admin/credentials/{}/test", reachable.credential_id),
                &json!({ "target_id": reachable.target_id }),
            )
            .await?;
        secrets.push(("a password written through the hub".to_owned(), wrong));
    }
    // A secret in the wrong field, in a malformed body, as a name that does not exist.
    let misplaced = unique("misplaced-secret");
    secrets.push(("a misplaced secret".to_owned(), misplaced.clone()));
    let body = json!({ "name": "x", "kind": "password", "username": "x", "secret": misplaced });
    world.admin.call(Method::POST, "/admin/credentials", Some(&body)).await?;
    world.admin.stranger().try_sign_in(&world.options.tenant, "admin", &misplaced).await?;
    world.admin.stranger().try_sign_in(&world.options.tenant, &misplaced, "x").await?;
    for body in [json!({ "kind": misplaced }), json!({ "secret": { "password": [misplaced] } }), json!(misplaced)] {
        world.admin.call(Method::POST, "/admin/credentials", Some(&body)).await?;
    }
    let number = "47110815004711";
    secrets.push(("a password that is a number".to_owned(), number.to_owned()));
    let body = json!({ "tenant": world.options.tenant, "username": "admin", "password": number.parse::<u64>()? });
    world.admin.stranger().call(Method::POST, "/auth/local", Some(&body)).await?;
    let malformed = format!("{{\"secret\":{{\"password\":\"{misplaced}\"");
    let request =
        world.admin.request(Method::POST, "/api/v1/admin/credentials").header("content-type", "application/json");
    world.admin.send(request.body(malformed)).await?;

    let receiver = Receiver::start().await?;
    let hook = json!({ "name": "hook", "url": receiver.url(), "event_types": ["*"] });
    let hook = world.admin.post("/admin/webhooks", &hook).await?;
    let hook_id = openpam_tests::world::id(&hook)?;
    let rotated = world.admin.post(&format!("/admin/webhooks/{hook_id}/secret"), &json!({})).await?;
    for shown in [hook, rotated] {
        let secret = shown["secret"].as_str().and_then(|text| text.strip_prefix("whsec_")).context("no secret")?;
        shown_once.push(("a webhook's secret".to_owned(), secret.to_owned()));
    }

    let person = world.person(&[], &[&reachable.group_id]).await?;
    secrets.push(("a person's password".to_owned(), person.password.clone()));
    shown_once.push(("a session cookie".to_owned(), person.client.cookie(COOKIE).context("no cookie")?));
    let account = json!({ "name": unique("sa"), "roles": ["auditor"] });
    let account = openpam_tests::world::id(&world.admin.post("/admin/service-accounts", &account).await?)?;
    let token = json!({ "name": "t", "scopes": [], "expires_at": (chrono::Utc::now() + chrono::TimeDelta::days(30)).to_rfc3339() });
    let token = world.admin.post(&format!("/admin/service-accounts/{account}/tokens"), &token).await?;
    let token = token["token"].as_str().context("no token")?.to_owned();
    world.admin.with_token(&token).get("/audit/entries").await?;
    shown_once.push(("an API token".to_owned(), token));
    for path in [
        "/audit/entries",
        "/audit",
        "/sessions",
        "/admin/credentials",
        "/admin/users",
        "/admin/targets",
        "/admin/system",
        "/admin/webhooks",
        "/events",
    ] {
        world.admin.list(path).await.ok();
        world.admin.call(Method::GET, path, None).await?;
    }
    let metrics = world.admin.send(world.admin.request(Method::GET, "/metrics")).await?.text;

    eventually("the webhook was told of the person", Duration::from_secs(10), || async {
        Ok((!receiver.events("openpam.user.created")?.is_empty()).then_some(()))
    })
    .await?;
    let messages = receiver.messages();
    let sent = messages.iter().map(|one| format!("{one:?} {}\n", String::from_utf8_lossy(&one.body)));
    let sent = sent.collect::<String>();

    let answers = world.admin.record().lock().expect("no holder of the lock panics").clone();
    let everything = secrets.iter().chain(&shown_once).cloned().collect::<Vec<_>>();
    let process = |file: &str| {
        std::fs::read(format!("/proc/{}/{file}", world.hub.pid()))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let dump = world.database.dump()?;
    ensure!(dump.contains("COPY public.users"), "the dump has no rows, so it proves nothing");
    ensure!(world.hub.log().lines().count() > 50, "the log is too short to prove anything");
    // The search works: what is there is found.
    assert_eq!(found_in(&dump, &[("the tenant's slug".to_owned(), world.options.tenant.clone())]).len(), 1);
    let kept = files(&world.options.recordings.as_ref().context("nothing is recorded")?.0)?;
    ensure!(kept.len() > 1_000, "there is no recording, so it proves nothing");
    for (place, text, sought) in [
        ("a recording's file", kept, &everything),
        ("the hub's log", world.hub.log(), &everything),
        ("the database", dump, &everything),
        ("an answer", answers, &secrets),
        ("what webhooks were sent", sent, &everything),
        ("the metrics", metrics, &everything),
        ("the process's environment", process("environ")?, &everything),
        ("the process's arguments", process("cmdline")?, &everything),
    ] {
        let leaked = found_in(&text, sought);
        ensure!(leaked.is_empty(), "{place} has {leaked:?}");
    }
    Ok(())
}

/// All that is in a folder, one file after the other.
fn files(folder: &Path) -> anyhow::Result<String> {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        all +=
            &if path.is_dir() { files(&path)? } else { String::from_utf8_lossy(&std::fs::read(&path)?).into_owned() };
    }
    Ok(all)
}

#[test]
fn the_search_finds_a_secret_in_every_spelling() {
    let secrets = [("it".to_owned(), "planted-secret".to_owned())];
    for text in ["a planted-secret b", "706c616e7465642d736563726574", "cGxhbnRlZC1zZWNyZXQ"] {
        assert_eq!(found_in(text, &secrets), ["it"], "{text}");
    }
    assert_eq!(found_in("nothing", &secrets), [] as [String; 0]);
}
