//! What an attacker tries: forged addresses, forged log lines, paths out of the UI, bytes that a
//! database does not take, guessing who exists by the clock.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode, header};
use openpam_tests::{Client, Database, HubOptions, Stack, World, client::COOKIE, hub::Prepared, unique, world::id};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Sends these bytes to the hub and reads what comes until it closes.
async fn raw(world: &World, request: &[u8]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(world.hub.url().trim_start_matches("http://")).await?;
    // A hub that has heard enough may close while more is sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(20), reading).await.context("the hub did not close")?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The client address in the trail of a fresh sign-in that claims to be forwarded for `forwarded`.
async fn address_in_trail(world: &World, forwarded: &str) -> anyhow::Result<String> {
    let client = world.admin.stranger();
    let body = json!({ "tenant": world.options.tenant, "username": "admin", "password": world.admin_password });
    let request = client.request(Method::POST, "/api/v1/auth/local").header("x-forwarded-for", forwarded);
    client.send(request.json(&body)).await?.ok(StatusCode::OK)?;
    let entries = world.admin.get("/audit/entries?action=identity.login&limit=1").await?;
    Ok(entries["items"][0]["client_ip"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_address_is_believed_from_trusted_proxies_only() -> anyhow::Result<()> {
    let world = World::default().await?;
    assert_eq!(address_in_trail(&world, "203.0.113.9").await?, "127.0.0.1", "nobody is trusted");
    let world = World::start(HubOptions { trusted_proxies: vec!["127.0.0.0/8"], ..HubOptions::default() }).await?;
    for (forwarded, expected) in [
        ("203.0.113.9", "203.0.113.9"),
        // Only the last hop was written by the proxy; the rest is what the client says.
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 127.0.0.2", "203.0.113.9"),
        ("nonsense", "127.0.0.1"),
        ("203.0.113.9, nonsense", "127.0.0.1"),
    ] {
        assert_eq!(address_in_trail(&world, forwarded).await?, expected, "{forwarded}");
    }
    Ok(())
}

#[tokio::test]
async fn a_forged_address_does_not_get_around_the_rate_limit() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.identity.insert("login_attempts_per_ip_per_minute", 5);
    let world = World::start(options).await?;
    let client = world.admin.stranger();
    let mut limited = false;
    for attempt in 0..20 {
        let body = json!({ "tenant": world.options.tenant, "username": unique("name"), "password": "wrong" });
        let request = client
            .request(Method::POST, "/api/v1/auth/local")
            .header("x-forwarded-for", format!("203.0.113.{attempt}"));
        limited |= client.send(request.json(&body)).await?.status == StatusCode::TOO_MANY_REQUESTS;
    }
    ensure!(limited, "twenty attempts from twenty forged addresses were all admitted");
    Ok(())
}

#[tokio::test]
async fn no_path_leads_out_of_the_ui() -> anyhow::Result<()> {
    let world = World::default().await?;
    for path in [
        "/../../../../../../etc/passwd",
        "/..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/../../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/..\\..\\Cargo.toml",
        "//etc/passwd",
        "/etc/passwd%00.html",
        "/api/docs/../../etc/passwd",
        "/.git/config",
    ] {
        let answer =
            raw(&world, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        ensure!(answer.starts_with("HTTP/1.1 "), "{path}: {answer:.80}");
        for leaked in ["root:", "[package]", "[core]"] {
            ensure!(!answer.contains(leaked), "{path} leads to a file: {answer:.200}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn heads_that_are_too_large_or_not_http_end_their_connection_and_nothing_else() -> anyhow::Result<()> {
    let world = World::default().await?;
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(256 * 1024));
    let answer = raw(&world, large.as_bytes()).await?;
    ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer:.80}");
    let many = (0..500).map(|number| format!("X-{number}: x\r\n")).collect::<String>();
    let answer = raw(&world, format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes()).await?;
    ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer:.80}");
    for nonsense in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"SSH-2.0-scanner\r\n\r\n", b"\0\0\0\0\r\n\r\n"]
    {
        let answer = raw(&world, nonsense).await?;
        ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer:.80}");
    }
    world.admin.get("/auth/me").await?;
    Ok(())
}

#[tokio::test]
async fn methods_that_a_client_makes_up_are_refused_and_do_not_fill_the_metrics() -> anyhow::Result<()> {
    let world = World::default().await?;
    for method in ["PLANTED1", "PLANTED2", "TRACE", "CONNECT"] {
        for path in ["/", "/api/v1/sessions"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let answer = raw(&world, request.as_bytes()).await?;
            let status = answer.split(' ').nth(1).unwrap_or_default();
            ensure!(matches!(status, "400" | "401" | "404" | "405" | "501"), "{method} {path}: {answer:.80}");
        }
    }
    let metrics = world.admin.send(world.admin.request(Method::GET, "/metrics")).await?.text;
    ensure!(metrics.contains("openpam_http_requests_total") && !metrics.contains("PLANTED"), "{metrics:.2000}");
    Ok(())
}

#[tokio::test]
async fn nobody_can_write_a_line_into_the_log() -> anyhow::Result<()> {
    let world = World::start(HubOptions { log_format: "human", ..HubOptions::default() }).await?;
    let forged = "\n2026-01-01T00:00:00Z  INFO forged: forged line\r\u{1b}]0;planted\u{7}";
    let encoded = url::form_urlencoded::byte_serialize(forged.as_bytes()).collect::<String>();
    let client = world.admin.stranger();
    client.try_sign_in(&world.options.tenant, forged, "wrong password").await?;
    client.try_sign_in(forged, "admin", "wrong password").await?;
    for path in
        ["/sessions?status=", "/targets?q=", "/targets/", "/auth/callback?state=x&error=", "/auth/login?return_to="]
    {
        world.admin.call(Method::GET, &format!("{path}{encoded}"), None).await?;
    }
    for (path, body) in [
        ("/admin/zones", json!({ "name": forged, "type": "hub" })),
        ("/admin/zones", json!({ "name": "x", "type": forged })),
        ("/admin/users", json!({ "username": forged, "display_name": forged, "password": "x", "roles": [forged] })),
        ("/admin/credentials", json!({ "name": forged, "kind": "ssh_ca", "username": forged, "ssh_role": forged })),
    ] {
        world.admin.call(Method::POST, path, Some(&body)).await?;
    }
    let group = world.group().await?;
    let credential = world.credential("password", "x", &json!({ "password": unique("planted") })).await?;
    let target = world.target("127.0.0.1", 1, &group, &[&credential]).await?;
    let terminate = json!({ "reason": forged });
    world.admin.call(Method::POST, &format!("/sessions/{target}/terminate"), Some(&terminate)).await?;
    let mut connect = openpam_tests::terminal::Connect::new(&target, &credential);
    connect.reason = Some(forged.to_owned());
    ensure!(openpam_tests::Terminal::try_open(&world.admin, &connect).await?.is_err(), "it is no reason");
    connect.reason = Some(forged.chars().filter(|letter| *letter == '\n' || !letter.is_control()).collect());
    ensure!(openpam_tests::Terminal::try_open(&world.admin, &connect).await?.is_err(), "port 1 has an SSH server");
    world.hub.wait_for_log(&["target_refused"]).await?;
    let log = world.hub.log();
    let lines =
        log.lines().filter(|line| line.starts_with("2026-01-01") || line.contains("\u{1b}]0;")).collect::<Vec<_>>();
    ensure!(lines.is_empty(), "lines that a client wrote: {lines:#?}");
    Ok(())
}

#[tokio::test]
async fn bytes_that_the_database_does_not_take_are_refused_and_not_an_error_of_the_hub() -> anyhow::Result<()> {
    let world = World::default().await?;
    let document = world.admin.send(world.admin.request(Method::GET, "/api/openapi.json")).await?.json()?;
    let mut wrong = Vec::new();
    for (path, item) in document["paths"].as_object().context("no paths")? {
        if !path.starts_with("/api/v1/") || path.contains("/auth/") {
            continue;
        }
        let path = path.replace("{id}", &uuid::Uuid::nil().to_string());
        for parameter in item["get"]["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] != "query" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap_or_default();
            for value in ["%00", "%FF", "%F0%9F%98%80%00", "'", "%25", "99999999999999999999", "-1"] {
                let request = world.admin.request(Method::GET, &format!("{path}?{name}={value}"));
                let answer = world.admin.send(request).await?;
                if answer.status.is_server_error() {
                    wrong.push(format!("{}: {} {}", answer.asked, answer.status, answer.text));
                }
            }
        }
    }
    let nul = "a\0b";
    for (path, body) in [
        ("/admin/zones", json!({ "name": nul, "description": nul, "type": "hub" })),
        ("/admin/sites", json!({ "name": nul, "code": nul, "description": nul })),
        ("/admin/groups", json!({ "name": nul, "description": nul, "roles": [] })),
        (
            "/admin/users",
            json!({ "username": nul, "display_name": nul, "email": nul, "password": "long enough", "roles": [] }),
        ),
        ("/admin/service-accounts", json!({ "name": nul, "description": nul, "roles": [] })),
        (
            "/admin/credentials",
            json!({ "name": nul, "description": nul, "kind": "ssh_ca", "username": nul, "ssh_role": nul }),
        ),
        (
            "/admin/targets",
            json!({ "name": nul, "description": nul, "protocol": "ssh", "host": nul, "port": 22,
                                   "zone_id": uuid::Uuid::nil(), "tags": [nul], "group_ids": [], "credential_ids": [] }),
        ),
        ("/auth/local", json!({ "tenant": nul, "username": nul, "password": nul })),
    ] {
        let answer = world.admin.call(Method::POST, path, Some(&body)).await?;
        if !answer.status.is_client_error() {
            wrong.push(format!("{}: {} {}", answer.asked, answer.status, answer.text));
        }
    }
    let zone = world.zone().await?;
    for body in [json!({ "description": nul }), json!({ "name": nul })] {
        let answer = world.admin.call(Method::PATCH, &format!("/admin/zones/{zone}"), Some(&body)).await?;
        if !answer.status.is_client_error() {
            wrong.push(format!("{}: {} {}", answer.asked, answer.status, answer.text));
        }
    }
    let reachable = world.password_target().await?;
    let preflight = json!({ "credential_id": reachable.credential_id, "reason": nul });
    let path = format!("/targets/{}/preflight", reachable.target_id);
    let answer = world.admin.call(Method::POST, &path, Some(&preflight)).await?;
    ensure!(answer.status.is_client_error(), "{answer:?}");
    let terminal = reachable.open(&world.admin).await?;
    let path = format!("/sessions/{}/terminate", terminal.session_id());
    let answer = world.admin.call(Method::POST, &path, Some(&json!({ "reason": nul }))).await?;
    ensure!(answer.status.is_client_error(), "{answer:?}");
    let settings = world.admin.call(Method::PATCH, "/admin/settings", Some(&json!({ "motd": nul }))).await?;
    ensure!(settings.status.is_client_error(), "{settings:?}");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn the_clock_does_not_tell_who_exists() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.identity.insert("login_attempts_per_account", 1_000);
    let world = World::start(options).await?;
    let person = world.person(&[], &[]).await?;
    let disabled = world.person(&[], &[]).await?;
    world.admin.patch(&format!("/admin/users/{}", disabled.id), &json!({ "enabled": false })).await?;
    let client = world.admin.stranger();
    let names = [person.username.as_str(), disabled.username.as_str(), "nobody-at-all"];
    // The best of several: what the work takes when nothing else disturbs it.
    let mut best = [Duration::MAX; 4];
    for _ in 0..8 {
        for (index, name) in names.iter().enumerate() {
            let started = Instant::now();
            client.try_sign_in(&world.options.tenant, name, "wrong password").await?;
            best[index] = best[index].min(started.elapsed());
        }
        let started = Instant::now();
        client.try_sign_in("no-such-tenant", "admin", "wrong password").await?;
        best[3] = best[3].min(started.elapsed());
    }
    let (least, most) = (best.iter().min().context("none")?, best.iter().max().context("none")?);
    // Without the work a refusal takes a tenth of this; the rest is what a busy machine does.
    ensure!(*most < *least * 4, "known, disabled, unknown, unknown tenant: {best:?}");
    Ok(())
}

#[tokio::test]
async fn over_https_the_cookie_is_bound_to_the_host_and_the_browser_told_to_stay() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let database = Database::create(&stack).await?;
    let options = HubOptions { public_scheme: "https", ..HubOptions::default() };
    let prepared = Prepared::new(&stack, &database, &options).await?;
    prepared.run(&["migrate"], None).await?;
    let password = unique("admin-password");
    let tenant = options.tenant.as_str();
    let arguments = ["admin", "create", "--tenant", tenant, "--username", "admin", "--password-file", "-"];
    prepared.run(&arguments, Some(&password)).await?;
    let hub = prepared.start().await?;
    let client = Client::new(hub.url())?;
    let public = hub.url().replacen("http://", "https://", 1);
    let secure = client.with_origin(Some(&public));
    let answer = secure.try_sign_in(tenant, "admin", &password).await?;
    answer.ok(StatusCode::OK)?;
    let cookie = answer.headers.get(header::SET_COOKIE).context("no cookie")?.to_str()?.to_owned();
    ensure!(cookie.starts_with("__Host-openpam="), "{cookie:.20}");
    let flags = cookie.to_lowercase();
    for flag in ["; secure", "; httponly", "; samesite=lax", "; path=/"] {
        ensure!(flags.contains(flag), "{flag} is missing: {flags}");
    }
    ensure!(!flags.contains("domain="), "{flags}");
    let lasting = answer.headers.get(header::STRICT_TRANSPORT_SECURITY).context("no Strict-Transport-Security")?;
    ensure!(lasting.to_str()?.contains("max-age=31536000"), "{lasting:?}");
    secure.get("/auth/me").await?;
    // Under the plain name, and from the plain origin, it is worth nothing.
    let value = secure.cookie("__Host-openpam").context("no cookie")?;
    let plain = Client::new(hub.url())?;
    plain.set_cookie(COOKIE, &value);
    plain.call(Method::GET, "/auth/me", None).await?.problem(StatusCode::UNAUTHORIZED, "unauthenticated")?;
    let other = secure.with_origin(Some(hub.url())).call(Method::POST, "/auth/logout", Some(&json!({}))).await?;
    other.problem(StatusCode::FORBIDDEN, "origin_mismatch")?;
    Ok(())
}

#[tokio::test]
async fn a_number_where_a_password_belongs_is_in_no_answer_and_no_log() -> anyhow::Result<()> {
    let world = World::default().await?;
    let client = world.admin.stranger();
    for body in [
        json!({ "tenant": world.options.tenant, "username": "admin", "password": 471_100_815 }),
        json!({ "tenant": world.options.tenant, "username": "admin", "password": ["471100815"] }),
    ] {
        let answer = client.call(Method::POST, "/auth/local", Some(&body)).await?;
        answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
        ensure!(!answer.text.contains("471100815"), "{answer:?}");
    }
    let body = json!({ "name": "x", "kind": "471100815", "username": "x" });
    let answer = world.admin.call(Method::POST, "/admin/credentials", Some(&body)).await?;
    ensure!(answer.status == StatusCode::UNPROCESSABLE_ENTITY && !answer.text.contains("471100815"), "{answer:?}");
    let request_id = answer.json()?["request_id"].as_str().unwrap_or_default().to_owned();
    world.hub.wait_for_log(&[&request_id]).await?;
    ensure!(!world.hub.log().contains("471100815"), "the number is in the log");
    Ok(())
}

#[tokio::test]
async fn a_cookie_and_a_token_of_one_tenant_open_nothing_in_another() -> anyhow::Result<()> {
    let world = World::default().await?;
    let (other_slug, other) = world.another_tenant().await?;
    let other_tenant = world.database.tenant_id(&other_slug).await?.simple().to_string();
    let cookie = world.admin.cookie(COOKIE).context("no cookie")?;
    let foreign = other.cookie(COOKIE).context("no cookie")?;
    // The tenant is part of the cookie: exchanging it makes the rest worth nothing.
    for forged in [
        cookie.replacen(cookie.split('.').next().unwrap_or_default(), foreign.split('.').next().unwrap_or_default(), 1),
        cookie.replace('.', ""),
        format!("{cookie}.{other_tenant}"),
    ] {
        let thief = world.admin.stranger();
        thief.set_cookie(COOKIE, &forged);
        let answer = thief.call(Method::GET, "/auth/me", None).await?;
        ensure!(answer.status == StatusCode::UNAUTHORIZED, "{forged:.20}…: {answer:?}");
    }
    let plain = world.admin.request(Method::GET, "/api/v1/auth/me").header(header::AUTHORIZATION, "Basic eDp5");
    let answer = world.admin.send(plain).await?;
    ensure!(answer.status == StatusCode::OK, "an unknown scheme is not a credential; the cookie is: {answer:?}");
    Ok(())
}

#[tokio::test]
async fn the_ssh_authority_signs_for_a_tenants_own_roles_only() -> anyhow::Result<()> {
    let world = World::default().await?;
    let (slug, other) = world.another_tenant().await?;
    let role = world.stack.servers.openbao.ssh_role.clone();
    let body = |role: &str| {
        json!({ "name": unique("ca"), "kind": "ssh_ca", "username": world.stack.certificate_target().username,
                "ssh_role": role })
    };
    // The role belongs to the first tenant: whoever gets it signed gets into that tenant's machines.
    for foreign in [role.as_str(), world.options.tenant.as_str(), &format!("{slug}x")] {
        let answer = other.call(Method::POST, "/admin/credentials", Some(&body(foreign))).await?;
        let problem = answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
        assert_eq!(problem["errors"][0]["field"], "ssh_role", "{foreign}: {problem}");
    }
    let credential = id(&other.post("/admin/credentials", &body(&format!("{slug}.people"))).await?)?;
    // Nor does one that came past that check.
    world
        .database
        .by_hand(&format!("update credentials set ssh_role = '{role}' where credential_id = '{credential}'"))
        .await?;
    let zone = id(&other.post("/admin/zones", &json!({ "name": "z", "type": "hub" })).await?)?;
    let server = world.stack.certificate_target();
    let target = json!({ "name": "t", "protocol": "ssh", "host": server.host, "port": server.port, "zone_id": zone,
                         "credential_ids": [credential] });
    let target = id(&other.post("/admin/targets", &target).await?)?;
    let scan = other.post(&format!("/admin/targets/{target}/scan"), &json!({})).await?;
    for key in scan["keys"].as_array().context("no keys")? {
        let body = json!({ "public_key": key["public_key"], "kind": "host" });
        other.post(&format!("/admin/targets/{target}/host-keys"), &body).await?;
    }
    let connect = openpam_tests::terminal::Connect::new(&target, &credential);
    let refused = openpam_tests::Terminal::try_open(&other, &connect).await?.err().context("a shell opened")?;
    assert_eq!(refused.body["code"], "vault_role_not_allowed", "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_limited_token_makes_nothing_that_can_do_more() -> anyhow::Result<()> {
    let world = World::default().await?;
    let account =
        id(&world.admin.post("/admin/service-accounts", &json!({ "name": unique("sa"), "roles": ["admin"] })).await?)?;
    let tokens = format!("/admin/service-accounts/{account}/tokens");
    let days = |days| (chrono::Utc::now() + chrono::TimeDelta::days(days)).to_rfc3339();
    let token = async |client: &openpam_tests::Client, scopes: &[&str], expires_at: String| {
        let body = json!({ "name": unique("token"), "scopes": scopes, "expires_at": expires_at });
        client.call(Method::POST, &tokens, Some(&body)).await
    };
    let made = token(&world.admin, &["identity.manage", "identity.read"], days(2)).await?.ok(StatusCode::CREATED)?;
    let limited = world.admin.stranger().with_token(made["token"].as_str().context("no token")?);
    for (scopes, expires_at) in [(&[][..], days(1)), (&["audit.read"][..], days(1)), (&["identity.read"][..], days(3))]
    {
        token(&limited, scopes, expires_at).await?.problem(StatusCode::FORBIDDEN, "beyond_scope")?;
    }
    token(&limited, &["identity.read"], days(1)).await?.ok(StatusCode::CREATED)?;
    let group = id(&world.admin.post("/admin/groups", &json!({ "name": unique("g"), "roles": ["admin"] })).await?)?;
    // A group without a role opens targets all the same.
    let open = world.group().await?;
    let plain = world.person(&[], &[]).await?;
    let admin = world.person(&["admin"], &[]).await?;
    let other = json!({ "name": unique("sa"), "roles": ["admin"] });
    let other = id(&world.admin.post("/admin/service-accounts", &other).await?)?;
    let its_token = json!({ "name": unique("token"), "scopes": [], "expires_at": days(1) });
    let its_token = id(&world.admin.post(&format!("/admin/service-accounts/{other}/tokens"), &its_token).await?)?;
    let sign_in = admin.client.get("/auth/me").await?["auth_session"]["id"].as_str().context("no id")?.to_owned();
    let person = |roles: &[&str], groups: &[&str]| json!({ "username": unique("p"), "display_name": "P", "password": unique("a-password"), "roles": roles, "group_ids": groups });
    for (method, path, body) in [
        (Method::POST, "/admin/users".to_owned(), person(&["auditor"], &[])),
        (Method::POST, "/admin/users".to_owned(), person(&[], &[&group])),
        (Method::POST, "/admin/groups".to_owned(), json!({ "name": unique("g"), "roles": ["operator"] })),
        (Method::POST, "/admin/service-accounts".to_owned(), json!({ "name": unique("sa"), "roles": ["auditor"] })),
        (Method::PATCH, format!("/admin/users/{}", plain.id), json!({ "roles": ["admin"] })),
        (Method::PATCH, format!("/admin/users/{}", plain.id), json!({ "group_ids": [group] })),
        (Method::PATCH, format!("/admin/groups/{group}"), json!({ "name": unique("renamed") })),
        (Method::PUT, format!("/admin/groups/{group}/members/{}", plain.id), json!({})),
        (Method::PUT, format!("/admin/groups/{open}/members/{}", plain.id), json!({})),
        (Method::POST, "/admin/users".to_owned(), person(&[], &[&open])),
        (Method::POST, format!("/admin/users/{}/password", plain.id), json!({ "password": unique("a-password") })),
        (Method::POST, format!("/admin/users/{}/password", admin.id), json!({ "password": unique("a-password") })),
        (Method::DELETE, format!("/admin/users/{}", admin.id), json!(null)),
        (Method::DELETE, format!("/admin/users/{}/sessions", admin.id), json!(null)),
        (Method::DELETE, format!("/admin/users/{}/sessions/{sign_in}", admin.id), json!(null)),
        (Method::DELETE, format!("/admin/groups/{group}"), json!(null)),
        (Method::DELETE, format!("/admin/groups/{open}"), json!(null)),
        (Method::DELETE, format!("/admin/service-accounts/{account}"), json!(null)),
        (Method::DELETE, format!("/admin/service-accounts/{other}"), json!(null)),
        (Method::DELETE, format!("/admin/service-accounts/{other}/tokens/{its_token}"), json!(null)),
    ] {
        let answer = limited.call(method.clone(), &path, Some(&body)).await?;
        answer.problem(StatusCode::FORBIDDEN, "beyond_scope").with_context(|| format!("{method} {path} {body}"))?;
    }
    limited.post("/admin/users", &person(&[], &[])).await?;
    limited.delete(&format!("/admin/users/{}/sessions", plain.id)).await?;
    ensure!(admin.client.get("/auth/me").await?["roles"].to_string().contains("admin"));
    ensure!(world.admin.get("/auth/me").await?["roles"].to_string().contains("admin"));
    Ok(())
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_with_a_code_and_logged() -> anyhow::Result<()> {
    let world = World::default().await?;
    let head =
        "POST /api/v1/auth/local HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let answer = raw(&world, head.as_bytes()).await?;
    ensure!(answer.starts_with("HTTP/1.1 408") && answer.contains("application/problem+json"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    ensure!(body.contains("request_timed_out"), "{body}");
    let (_, request_id) = body.split_once("\"request_id\":\"").context("no request id")?;
    let request_id = request_id.split('"').next().context("no request id")?;
    world.hub.wait_for_log(&[request_id, "request_timed_out"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_head_that_stalls_is_written_down_and_counted() -> anyhow::Result<()> {
    let world = World::default().await?;
    let answer = raw(&world, b"GET / HTTP/1.1\r\nhost: x\r\n").await?;
    ensure!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    world.hub.wait_for_log(&["127.0.0.1", "slow_head"]).await?;
    Ok(())
}

#[tokio::test]
async fn strangers_of_one_address_give_way_to_the_next() -> anyhow::Result<()> {
    let world = World::default().await?;
    world.admin.get("/auth/me").await?;
    let address = world.hub.url().trim_start_matches("http://").to_owned();
    let mut held = Vec::new();
    for _ in 0..600 {
        held.push(TcpStream::connect(&address).await?);
    }
    let read = tokio::time::timeout(Duration::from_secs(5), held[0].read(&mut [0])).await;
    ensure!(matches!(read, Ok(Ok(0) | Err(_))), "the first of 600 still has its place");
    let last = held.last_mut().context("none is held")?;
    last.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(5), last.read_exact(&mut answer)).await??;
    ensure!(&answer == b"HTTP/1.1 200", "{}", answer.escape_ascii());
    // Who is signed in goes on over the connection that they have.
    world.admin.get("/auth/me").await?;
    Ok(())
}

#[tokio::test]
async fn requests_that_are_given_up_leave_no_transaction_to_the_next() -> anyhow::Result<()> {
    let world = World::default().await?;
    for number in 0..1_500_u64 {
        let asked = world.admin.get("/targets");
        // The moments of a transaction's beginning are among these.
        let _ = tokio::time::timeout(Duration::from_micros(300 + number % 100 * 30), asked).await;
    }
    for _ in 0..40 {
        world.admin.get("/targets").await?;
    }
    let log = world.hub.log();
    let warned = log.lines().filter(|line| line.contains("already a transaction in progress")).collect::<Vec<_>>();
    ensure!(warned.is_empty(), "{} of {warned:?}", warned.len());
    Ok(())
}

#[tokio::test]
async fn for_strangers_nothing_is_compressed_anew() -> anyhow::Result<()> {
    let world = World::default().await?;
    let answer = async |client: &Client, path: &str| {
        let request = client.request(Method::GET, path).header(header::ACCEPT_ENCODING, "gzip, zstd");
        client.send(request).await
    };
    let stranger = world.admin.stranger();
    for path in ["/api/openapi.json", "/"] {
        let answer = answer(&stranger, path).await?;
        assert_eq!(answer.headers[header::CONTENT_ENCODING], "gzip", "{path} is compressed once, for all");
        assert_eq!(answer.headers[header::VARY], "accept-encoding", "{path}");
    }
    let metrics = answer(&stranger, "/metrics").await?;
    ensure!(metrics.text.len() > 2_000, "too small to be compressed: {}", metrics.text.len());
    ensure!(!metrics.headers.contains_key(header::CONTENT_ENCODING), "{:?}", metrics.headers);
    let listed = answer(&world.admin, "/api/v1/permissions").await?;
    assert_eq!((listed.status, &listed.headers[header::CONTENT_ENCODING]), (StatusCode::OK, &"gzip".parse()?));
    Ok(())
}

#[tokio::test]
async fn who_is_refused_without_end_does_not_fill_the_trail() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let path = format!("/targets/{}/preflight", reachable.target_id);
    let (mut denied, mut limited) = (0, 0_u64);
    for _ in 0..45 {
        let body = json!({ "credential_id": uuid::Uuid::now_v7().to_string(), "reason": "x".repeat(900) });
        let answer = person.client.call(Method::POST, &path, Some(&body)).await?;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            answer.problem(StatusCode::TOO_MANY_REQUESTS, "rate_limited")?;
            ensure!(answer.headers.contains_key(header::RETRY_AFTER), "no Retry-After");
            limited += 1;
        } else {
            answer.problem(StatusCode::FORBIDDEN, "credential_not_allowed")?;
            denied += 1;
        }
    }
    ensure!(limited > 0 && denied >= 30, "{denied} denied, {limited} limited");
    let rows = world.database.by_hand("select count(*) from audit_events where action = 'session.authorize'").await?;
    ensure!(rows.split_whitespace().any(|word| word == denied.to_string()), "{denied} denied, in the trail: {rows}");
    // Nor does it tell a target that is hidden from one that is none.
    let unknown = format!("/targets/{}/preflight", uuid::Uuid::now_v7());
    let answer = person.client.call(Method::POST, &unknown, Some(&json!({}))).await?;
    answer.problem(StatusCode::TOO_MANY_REQUESTS, "rate_limited")?;
    // How many were not written down is told with the next that is.
    let body = json!({ "credential_id": uuid::Uuid::now_v7().to_string() });
    openpam_tests::eventually("another denial is written down", Duration::from_secs(10), || async {
        let answer = person.client.call(Method::POST, &path, Some(&body)).await?;
        Ok((answer.status == StatusCode::FORBIDDEN).then_some(()))
    })
    .await?;
    let told = world.database.by_hand("select detail->>'left_out' from audit_events where detail ? 'left_out'").await?;
    let left_out = told.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).sum::<u64>();
    ensure!(left_out > limited, "{limited} refused, of which the trail tells: {told}");
    // What they may, they still may; and nobody else is held up.
    let body = json!({ "credential_id": reachable.credential_id });
    person.client.post(&path, &body).await?;
    let other = world.person(&[], &[]).await?;
    let refused = other.client.call(Method::POST, &path, Some(&body)).await?;
    refused.problem(StatusCode::NOT_FOUND, "target_not_found")?;
    Ok(())
}

#[tokio::test]
async fn a_repeated_request_is_answered_only_to_who_may_still_make_it() -> anyhow::Result<()> {
    let world = World::default().await?;
    let person = world.person(&["admin"], &[]).await?;
    let body = json!({ "name": unique("zone"), "type": "hub" });
    let repeat = async || {
        let request = person.client.request(Method::POST, "/api/v1/admin/zones").header("idempotency-key", "one-key");
        person.client.send(request.json(&body)).await
    };
    let first = repeat().await?.ok(StatusCode::CREATED)?;
    let second = repeat().await?;
    assert_eq!(second.headers.get("idempotency-replayed").map(|value| value.as_bytes()), Some(&b"true"[..]));
    assert_eq!(second.ok(StatusCode::CREATED)?, first);
    world.admin.patch(&format!("/admin/users/{}", person.id), &json!({ "roles": [] })).await?;
    let third = repeat().await?;
    ensure!(!third.status.is_success() && !third.text.contains(&id(&first)?), "{third:?}");
    Ok(())
}
