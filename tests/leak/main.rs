//! Secrets that the suite knows are planted everywhere they may go, a whole story is played with
//! every detail logged, and then they are looked for everywhere they must not be.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use http::{Method, StatusCode, header};
use openpam_tests::{
    Client, HubOptions, World,
    client::COOKIE,
    control::{Directory, sign_in_at_provider},
    eventually,
    stack::read_trimmed,
    unique,
    webhook::Receiver,
    world::Reachable,
};
use serde_json::{Value, json};

/// The ways in which a secret could be written.
fn spellings(secret: &str) -> Vec<String> {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let percent = |upper: bool| {
        let byte = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ if upper => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        };
        secret.bytes().map(byte).collect::<String>()
    };
    let form = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = Value::from(secret).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let mut all = vec![
        secret.to_owned(),
        hex.to_uppercase(),
        hex,
        percent(true),
        percent(false),
        form,
        json,
        secret.escape_debug().to_string(),
    ];
    for before in 0..3 {
        all.push(inside_base64(&STANDARD_NO_PAD, secret, before));
        all.push(inside_base64(&URL_SAFE_NO_PAD, secret, before));
    }
    all
}

/// What every base64 text has that holds the secret behind so many bytes (modulo three): without the characters that
/// also hold bits of what is before it or after it.
fn inside_base64(engine: &impl base64::Engine, secret: &str, before: usize) -> String {
    let text = engine.encode([vec![0; before].as_slice(), secret.as_bytes()].concat());
    let (first, end) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
    text[first..end].to_owned()
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

/// A request that must be refused because of what it says; the answer is looked through later.
async fn refused(client: &Client, method: Method, path: &str, body: &Value) -> anyhow::Result<()> {
    let answer = client.call(method, path, Some(body)).await?;
    ensure!(answer.status.is_client_error(), "{}: {} {}", answer.asked, answer.status, answer.text);
    Ok(())
}

/// Whether something in the text looks like a JSON Web Token (RFC 7519): whoever holds one is that person.
fn has_web_token(text: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    text.match_indices("eyJ").any(|(at, _)| {
        let head = text[at..].bytes().take_while(|byte| is_of_token(*byte)).count();
        head > 20 && text[at + head..].starts_with(".eyJ")
    })
}

/// Signs in through the provider and asks it once more. What the browser had, and what the hub alone had.
async fn through_the_provider(world: &World) -> anyhow::Result<(Planted, Planted)> {
    let directory = Directory::new(&world.stack)?;
    directory.reset().await?;
    let client = world.admin.stranger();
    let begun = client.call(Method::GET, "/auth/login?return_to=/", None).await?;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text);
    let to = begun.headers.get(header::LOCATION).context("no Location")?.to_str()?.to_owned();
    let mut browser = Planted::new();
    for cookie in client.cookie_header().split("; ") {
        let (name, value) = cookie.split_once('=').context("no cookie of the sign-in")?;
        browser.push((format!("the cookie {name} of the sign-in"), value.to_owned()));
    }
    let back = sign_in_at_provider(&to, world.stack.directory_user("alice")?, client.url()).await?;
    for name in ["code", "state"] {
        let value = back.query_pairs().find(|(key, _)| key == name).with_context(|| format!("no {name}"))?.1;
        browser.push((format!("the provider's {name}"), value.into_owned()));
    }
    let answer = client.send(client.request(Method::GET, back.as_str())).await?;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    browser.push(("a cookie before its renewal".to_owned(), client.cookie(COOKIE).context("not signed in")?));
    client.post("/auth/refresh", &json!({})).await?;
    assert_eq!(client.get("/auth/me").await?["user"]["source"], "oidc");
    browser.push(("a cookie after its renewal".to_owned(), client.cookie(COOKIE).context("not signed in")?));
    let given = directory.call(Method::GET, "/tokens", &json!({})).await?;
    let mut hub = Planted::new();
    for token in given["tokens"].as_array().context("no tokens")? {
        let text = |key: &str| token[key].as_str().map(str::to_owned).context("no text");
        hub.push((text("kind")?, text("value")?));
    }
    hub.retain(|(name, _)| name.ends_with("Token"));
    for kind in ["AccessToken", "RefreshToken"] {
        ensure!(hub.iter().any(|(name, value)| name == kind && value.len() > 20), "the provider gave no {kind}");
    }
    Ok((browser, hub))
}

/// Secrets with what they are.
type Planted = Vec<(String, String)>;

#[tokio::test]
async fn no_planted_secret_is_in_logs_answers_the_database_metrics_or_the_process() -> anyhow::Result<()> {
    // Everything that can be logged: whoever looks for a fault asks for that.
    let options = HubOptions { log_filter: "trace".to_owned(), ..HubOptions::default() };
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
    terminal.run("echo typed").await?;
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(10)).await?;
    let (browser, providers) = through_the_provider(&world).await?;
    shown_once.extend(browser);
    secrets.extend(providers);
    let key = std::fs::read_to_string(&server.private_keys["ed25519"])?;
    secrets.extend(key_lines(&key));
    let credential_id = world.credential("private_key", &server.username, &json!({ "private_key": key })).await?;
    let target_id = world.target(&server.host, server.port, &reachable.group_id, &[&credential_id]).await?;
    world.trust_host_keys(&target_id).await?;
    let with_key = Reachable { target_id, credential_id, group_id: reachable.group_id.clone() };
    with_key.open(&world.admin).await?;
    let (kind, file) =
        server.private_keys.iter().find(|(kind, _)| kind.ends_with("encrypted")).context("no such key")?;
    let key = std::fs::read_to_string(file)?;
    secrets.extend(key_lines(&key));
    let passphrase = read_trimmed(server.passphrase_file.as_ref().context("an encrypted key without a passphrase")?)?;
    let secret = json!({ "private_key": key, "passphrase": passphrase });
    secrets.push(("the passphrase of a key".to_owned(), passphrase));
    let credential_id = world.credential("private_key", &server.username, &secret).await?;
    let target_id = world.target(&server.host, server.port, &reachable.group_id, &[&credential_id]).await?;
    world.trust_host_keys(&target_id).await?;
    let encrypted = Reachable { target_id, credential_id, group_id: reachable.group_id.clone() };
    encrypted.open(&world.admin).await.with_context(|| format!("with the {kind} key"))?;
    let wrong = unique("wrong-passphrase");
    let body = json!({ "secret": { "private_key": key, "passphrase": wrong } });
    secrets.push(("a wrong passphrase".to_owned(), wrong));
    refused(&world.admin, Method::PUT, &format!("/admin/credentials/{}/secret", encrypted.credential_id), &body)
        .await?;
    world.certificate_target().await?.open(&world.admin).await?;
    for wrong in [unique("wrong-secret"), unique("rotated-secret")] {
        let body = json!({ "secret": { "password": wrong } });
        world.admin.put(&format!("/admin/credentials/{}/secret", reachable.credential_id), Some(&body)).await?;
        ensure!(reachable.open(&world.admin).await.is_err(), "a wrong password opens a terminal");
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
    refused(&world.admin, Method::POST, "/admin/credentials", &body).await?;
    for (username, password) in [("admin", &*misplaced), (&misplaced, "x")] {
        let answer = world.admin.stranger().try_sign_in(&world.options.tenant, username, password).await?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text);
    }
    for body in [json!({ "kind": misplaced }), json!({ "secret": { "password": [misplaced] } }), json!(misplaced)] {
        refused(&world.admin, Method::POST, "/admin/credentials", &body).await?;
    }
    let number = "47110815004711";
    secrets.push(("a password that is a number".to_owned(), number.to_owned()));
    let body = json!({ "tenant": world.options.tenant, "username": "admin", "password": number.parse::<u64>()? });
    refused(&world.admin.stranger(), Method::POST, "/auth/local", &body).await?;
    let malformed = format!("{{\"secret\":{{\"password\":\"{misplaced}\"");
    let request =
        world.admin.request(Method::POST, "/api/v1/admin/credentials").header("content-type", "application/json");
    assert_eq!(world.admin.send(request.body(malformed)).await?.status, StatusCode::BAD_REQUEST);

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
        "/admin/webhooks",
        "/events",
    ] {
        ensure!(!world.admin.list(path).await?.is_empty(), "{path} lists nothing, so it proves nothing");
    }
    world.admin.get("/admin/system").await?;
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
    let log = world.hub.log();
    ensure!(log.lines().count() > 50, "the log is too short to prove anything");
    ensure!(log.contains("\"level\":\"DEBUG\""), "the log has no details, so it proves little");
    // The search works: what is there is found.
    assert_eq!(found_in(&dump, &[("the tenant's slug".to_owned(), world.options.tenant.clone())]).len(), 1);
    let kept = files(&world.options.recordings.as_ref().context("nothing is recorded")?.0)?;
    ensure!(kept.len() > 1_000, "there is no recording, so it proves nothing");
    for (place, text, sought) in [
        ("a recording's file", kept, &everything),
        ("the hub's log", log, &everything),
        ("the database", dump, &everything),
        ("an answer", answers, &secrets),
        ("what webhooks were sent", sent, &everything),
        ("the metrics", metrics, &everything),
        ("the process's environment", process("environ")?, &everything),
        ("the process's arguments", process("cmdline")?, &everything),
    ] {
        let leaked = found_in(&text, sought);
        ensure!(leaked.is_empty(), "{place} has {leaked:?}");
        ensure!(!has_web_token(&text), "{place} has a web token");
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
    for text in
        ["a planted-secret b", "706c616e7465642d736563726574", "706C616E7465642D736563726574", "cGxhbnRlZC1zZWNyZXQ"]
    {
        assert_eq!(found_in(text, &secrets), ["it"], "{text}");
    }
    assert_eq!(found_in("nothing", &secrets), [] as [String; 0]);
    // Inside something longer, whatever is before and after it.
    let odd = "p~\u{7f}ä?>secret/+&\"";
    let secrets = [("it".to_owned(), odd.to_owned())];
    for before in ["", "a", "ab", "abc", "user:", "\u{ff}\u{ff}"] {
        for after in ["", "z", "\u{ff}yz"] {
            let whole = format!("{before}{odd}{after}");
            for text in [STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                assert_eq!(found_in(&text, &secrets), ["it"], "{before:?} {after:?}");
            }
        }
    }
    let url = url::Url::parse_with_params("http://host/", [("q", odd)]).expect("a URL");
    let json = json!({ "secret": odd }).to_string();
    let lower = "p~%7f%c3%a4%3f%3esecret%2f%2b%26%22";
    for text in [url.as_str(), &lower.to_uppercase().replace("SECRET", "secret").replace("P~", "p~"), lower, &json] {
        assert_eq!(found_in(text, &secrets), ["it"], "{text}");
    }
    assert!(has_web_token("x eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiIxIn0.c2ln"));
    assert!(!has_web_token("eyJ eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ"));
}
