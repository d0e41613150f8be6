//! What an unkind client sends.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode, header};
use openpam_tests::{Client, World, terminal::PATIENCE, unique};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

fn address(url: &str) -> &str {
    url.trim_start_matches("http://")
}

#[tokio::test]
async fn each_kind_of_bad_body_has_its_status_and_code() -> anyhow::Result<()> {
    let world = World::default().await?;
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    for (kind, body, status, code) in [
        ("application/json", "{\"name\":", StatusCode::BAD_REQUEST, "malformed_json"),
        ("application/json", "", StatusCode::BAD_REQUEST, "malformed_json"),
        ("application/json", "{\"name\":5,\"type\":\"hub\"}", StatusCode::UNPROCESSABLE_ENTITY, "invalid_input"),
        ("application/json", "{\"name\":\"x\",\"type\":\"moon\"}", StatusCode::UNPROCESSABLE_ENTITY, "invalid_input"),
        ("text/plain", "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        ("application/json", large.as_str(), StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
    ] {
        let request = world.admin.request(Method::POST, "/api/v1/admin/zones");
        let answer = world.admin.send(request.header(header::CONTENT_TYPE, kind).body(body.to_owned())).await?;
        answer.problem(status, code).with_context(|| body.chars().take(60).collect::<String>())?;
    }
    // Who is still sending hears the answer all the same.
    for _ in 0..20 {
        let request = world.admin.request(Method::POST, "/api/v1/admin/zones");
        let request = request.header(header::CONTENT_TYPE, "application/json").body(large.clone());
        world.admin.send(request).await?.problem(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large")?;
    }
    // Who has not signed in has nothing to say that is long.
    let stranger = world.admin.stranger();
    let body = json!({ "tenant": world.options.tenant, "username": "x".repeat(20_000), "password": "x" });
    for (path, status, code) in [
        ("/auth/local", StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
        ("/auth/login", StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
        ("/admin/zones", StatusCode::UNAUTHORIZED, "unauthenticated"),
    ] {
        stranger.call(Method::POST, path, Some(&body)).await?.problem(status, code)?;
    }
    let body = json!({ "name": "", "type": "hub" });
    world
        .admin
        .call(Method::POST, "/admin/zones", Some(&body))
        .await?
        .problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    let name = unique("twice");
    let body = json!({ "name": name, "type": "hub" });
    world.admin.post("/admin/zones", &body).await?;
    let answer = world.admin.call(Method::POST, "/admin/zones", Some(&body)).await?;
    let problem = answer.problem(StatusCode::CONFLICT, "conflict")?;
    ensure!(problem["errors"][0]["field"] == "name", "a conflict names its field: {problem}");
    Ok(())
}

#[tokio::test]
async fn a_conflict_names_the_field_it_is_about() -> anyhow::Result<()> {
    let world = World::default().await?;
    let code = unique("site");
    world.admin.post("/admin/sites", &json!({ "name": unique("s"), "code": code })).await?;
    let user = json!({ "username": unique("u"), "password": "correct horse battery" });
    world.admin.post("/admin/users", &user).await?;
    for (path, body, field) in
        [("/admin/sites", json!({ "name": unique("s"), "code": code }), "code"), ("/admin/users", user, "username")]
    {
        let answer = world.admin.call(Method::POST, path, Some(&body)).await?;
        let problem = answer.problem(StatusCode::CONFLICT, "conflict")?;
        ensure!(problem["errors"][0]["field"] == field, "{path}: expected {field}: {problem}");
    }
    Ok(())
}

#[tokio::test]
async fn everybody_learns_whether_programs_may_write_the_clipboard() -> anyhow::Result<()> {
    let world = World::default().await?;
    let group = world.group().await?;
    let path = format!("/targets/{}", world.target("192.0.2.1", 22, &group, &[]).await?);
    let person = world.person(&[], &[&group]).await?;
    for allowed in [false, true] {
        world.admin.patch("/admin/settings", &json!({ "clipboard_write": allowed })).await?;
        let target = person.client.get(&path).await?;
        ensure!(target["clipboard_write"] == allowed, "expected {allowed}: {target}");
    }
    Ok(())
}

#[tokio::test]
async fn everybody_signed_in_is_told_what_the_administrator_says() -> anyhow::Result<()> {
    let world = World::default().await?;
    let person = world.person(&[], &[]).await?;
    for said in [json!("Maintenance at noon"), json!(null)] {
        world.admin.patch("/admin/settings", &json!({ "motd": said })).await?;
        assert_eq!(person.client.get("/motd").await?["motd"], said);
    }
    world
        .admin
        .stranger()
        .call(Method::GET, "/motd", None)
        .await?
        .problem(StatusCode::UNAUTHORIZED, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn unknown_addresses_methods_and_ids_are_problems_and_not_pages() -> anyhow::Result<()> {
    let world = World::default().await?;
    let unknown = uuid::Uuid::now_v7();
    for path in ["/nothing", "/targets/not-a-uuid", &format!("/targets/{unknown}"), &format!("/sessions/{unknown}")] {
        world.admin.call(Method::GET, path, None).await?.problem(StatusCode::NOT_FOUND, "not_found")?;
    }
    let answer = world.admin.call(Method::PUT, "/sessions", Some(&json!({}))).await?;
    answer.problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")?;
    Ok(())
}

#[tokio::test]
async fn a_change_with_a_cookie_needs_the_hubs_own_origin() -> anyhow::Result<()> {
    let world = World::default().await?;
    let body = json!({ "name": unique("z"), "type": "hub" });
    for origin in [None, Some("http://evil.test"), Some("null")] {
        let answer = world.admin.with_origin(origin).call(Method::POST, "/admin/zones", Some(&body)).await?;
        answer.problem(StatusCode::FORBIDDEN, "origin_mismatch")?;
    }
    world.admin.post("/admin/zones", &body).await?;
    Ok(())
}

#[tokio::test]
async fn a_repeated_post_with_its_key_answers_the_same_and_makes_one_thing() -> anyhow::Result<()> {
    let world = World::default().await?;
    let key = unique("key");
    let send = |body: Value| {
        let request = world.admin.request(Method::POST, "/api/v1/admin/zones").header("idempotency-key", &key);
        world.admin.send(request.json(&body))
    };
    let body = json!({ "name": unique("z"), "type": "hub" });
    let first = send(body.clone()).await?.ok(StatusCode::CREATED)?;
    let second = send(body).await?.ok(StatusCode::CREATED)?;
    assert_eq!(first["id"], second["id"]);
    assert_eq!(world.admin.list("/admin/zones").await?.len(), 1);
    let other = send(json!({ "name": unique("z"), "type": "hub" })).await?;
    ensure!(other.status.is_client_error(), "the same key with another body: {other:?}");
    Ok(())
}

#[tokio::test]
async fn a_key_belongs_to_its_principal_holds_at_the_same_time_and_keeps_nothing_secret() -> anyhow::Result<()> {
    let world = World::default().await?;
    let other = world.person(&["admin"], &[]).await?;
    let key = unique("key");
    let send = |client: &Client, path: &str, body: &Value| {
        let request = client.request(Method::POST, path).header("idempotency-key", &key).json(body);
        let client = client.clone();
        async move { client.send(request).await }
    };
    let body = json!({ "name": unique("z"), "type": "hub" });
    let zones = "/api/v1/admin/zones";
    let (left, right) = tokio::join!(send(&world.admin, zones, &body), send(&world.admin, zones, &body));
    for answer in [left?, right?] {
        ensure!(answer.status == StatusCode::CREATED || answer.code() == "idempotency_in_progress", "{answer:?}");
    }
    assert_eq!(world.admin.list("/admin/zones").await?.len(), 1, "two at the same time made two");
    let theirs = json!({ "name": unique("z"), "type": "hub" });
    send(&other.client, zones, &theirs).await?.ok(StatusCode::CREATED)?;
    // What failed may be tried again under its key.
    let key = unique("key");
    let retry = |name: &str| {
        let body = json!({ "name": name, "type": "hub" });
        world.admin.send(world.admin.request(Method::POST, zones).header("idempotency-key", &key).json(&body))
    };
    retry("").await?.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    retry(&unique("z")).await?.ok(StatusCode::CREATED)?;
    // A token that is shown once is in no table.
    let terminal = world.password_target().await?.open(&world.admin).await?;
    let path = format!("/api/v1/sessions/{}/resume", terminal.session_id());
    let token = send(&world.admin, &path, &json!({})).await?.ok(StatusCode::OK)?;
    let token = token["resume_token"].as_str().context("no token")?;
    let kept = world.database.by_hand("select string_agg(response::text, ' ') from idempotency_keys").await?;
    ensure!(kept.contains("hub") && !kept.contains(token), "the resume token is in the database");
    Ok(())
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() -> anyhow::Result<()> {
    let world = World::default().await?;
    for path in ["/", "/healthz", "/api/v1/auth/me", "/api/v1/nothing", "/api/openapi.json"] {
        let answer = world.admin.send(world.admin.request(Method::GET, path)).await?;
        let value = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ensure!(value("content-security-policy").contains("default-src 'none'"), "{path}: {:?}", answer.headers);
        ensure!(!value("content-security-policy").contains("script-src 'unsafe"), "{path}: {:?}", answer.headers);
        assert_eq!((value("x-content-type-options"), value("x-frame-options")), ("nosniff", "DENY"), "{path}");
        ensure!(!value("x-request-id").is_empty(), "{path} has no request id");
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_method_and_a_missing_sign_in_say_what_there_is() -> anyhow::Result<()> {
    let world = World::default().await?;
    let answer = world.admin.call(Method::PATCH, "/auth/me", Some(&json!({}))).await?;
    ensure!(answer.headers.get(header::ALLOW).is_some_and(|allow| allow.as_bytes().starts_with(b"GET")), "{answer:?}");
    answer.problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")?;
    let answer = world.admin.stranger().call(Method::GET, "/auth/me", None).await?;
    let scheme = answer.headers.get(header::WWW_AUTHENTICATE);
    ensure!(scheme.is_some_and(|scheme| scheme.as_bytes().starts_with(b"Bearer")), "{answer:?}");
    answer.problem(StatusCode::UNAUTHORIZED, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn a_body_may_be_left_out_where_nothing_in_it_is_required() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let target = &reachable.target_id;
    let answer = world.admin.call(Method::POST, &format!("/targets/{target}/preflight"), None).await?;
    ensure!(answer.status != StatusCode::UNSUPPORTED_MEDIA_TYPE && answer.status.as_u16() < 500, "{answer:?}");
    let answer = world.admin.call(Method::POST, &format!("/admin/targets/{target}/test"), None).await?;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let mut terminal = reachable.open(&world.admin).await?;
    let path = format!("/sessions/{}/terminate", terminal.session_id());
    let answer = world.admin.call(Method::POST, &path, None).await?;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
    terminal.end(PATIENCE).await?;
    // What is there must be JSON all the same.
    let request = world.admin.request(Method::POST, &format!("/api/v1{path}")).body("reason=x");
    world.admin.send(request).await?.problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")?;
    Ok(())
}

#[tokio::test]
async fn every_name_is_on_one_page_whatever_its_lower_case_is() -> anyhow::Result<()> {
    let world = World::default().await?;
    // Final sigma and the dotted capital I have another lower case here than in the database.
    let names = ["ΟΔΟΣ", "ΟΔΟΤ", "İ", "iz", "I", "ẞ", "ǅ"].map(|name| format!("{name} {}", unique("zone")));
    for name in &names {
        world.admin.post("/admin/zones", &json!({ "name": name, "type": "hub" })).await?;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..100 {
        let page = world.admin.get(&format!("/admin/zones?limit=1{cursor}")).await?;
        seen.extend(
            page["items"].as_array().into_iter().flatten().filter_map(|zone| zone["name"].as_str().map(str::to_owned)),
        );
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    for name in &names {
        assert_eq!(seen.iter().filter(|other| *other == name).count(), 1, "{name} in {seen:?}");
    }
    Ok(())
}

#[tokio::test]
async fn frames_outside_the_protocol_end_the_terminal_and_not_the_hub() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    for (text, code) in [
        ("{", "malformed_message"),
        (r#"{"type":"shell"}"#, "unknown_message"),
        (r#"{"type":"resize","cols":0,"rows":1}"#, "invalid_size"),
        (r#"{"type":"resize","cols":1001,"rows":1}"#, "invalid_size"),
    ] {
        terminal.send_message(Message::text(text)).await?;
        let complaint = terminal.message(code, |message| message["type"] == "error").await?;
        assert_eq!(complaint["code"], code, "{text}: {complaint}");
        ensure!(complaint["message"].as_str().is_some_and(|message| !message.is_empty()), "{text}: {complaint}");
    }
    // None of it cost the session.
    terminal.run("true").await?;
    let mut terminal = reachable.open(&world.admin).await?;
    // A text frame whose payload is no UTF-8, masked with zeros (RFC 6455 §5.2, §8.1).
    terminal.stream().write_all(&[0x81, 0x82, 0, 0, 0, 0, 0xC3, 0x28]).await?;
    terminal.stream().flush().await?;
    let ended = terminal.end(PATIENCE).await?;
    assert_eq!((ended.code, ended.reason.as_str()), (1007, "invalid_utf8"), "{ended:?}");
    let mut terminal = reachable.open(&world.admin).await?;
    let _ = terminal.send_message(Message::Binary(vec![b'x'; 8 * 1024 * 1024].into())).await;
    let ended = terminal.end(PATIENCE).await?;
    assert_eq!((ended.code, ended.reason.as_str()), (1009, "message_too_large"), "{ended:?}");
    reachable.open(&world.admin).await?.run("true").await?;
    Ok(())
}

#[tokio::test]
async fn a_slow_head_is_cut_off_and_half_open_sockets_do_not_hold_others_up() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let cookie = world.admin.cookie_header();
    let mut half_open = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address(world.admin.url())).await?;
        let head = format!(
            "GET /api/ws/connect/ssh/{} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
            reachable.target_id
        );
        stream.write_all(head.as_bytes()).await?;
        half_open.push(stream);
    }
    reachable.open(&world.admin).await?.run("true").await?;
    for stream in &mut half_open {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        ensure!(ended.is_ok(), "a half-open upgrade was still open after 20 s");
    }
    // One that says nothing, and ones that could become either version of HTTP.
    for beginning in ["", "P", "PRI * HTTP/2.", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut silent = TcpStream::connect(address(world.admin.url())).await?;
        silent.write_all(beginning.as_bytes()).await?;
        half_open.push(silent);
    }
    for stream in half_open.iter_mut().skip(100) {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        ensure!(ended.is_ok(), "a silent connection was still open after 20 s");
    }
    let mut loris = TcpStream::connect(address(world.admin.url())).await?;
    loris.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await?;
    let mut rest = Vec::new();
    let closed = async {
        loop {
            // One more header byte a second, for ever.
            let read = tokio::time::timeout(Duration::from_secs(1), loris.read_to_end(&mut rest)).await;
            if read.is_ok() || loris.write_all(b"X").await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.context("a slow loris was served for 20 s")?;
    Ok(())
}
