//! Local accounts and tokens: sign-in, lock-out, revocation.

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode, header};
use openpam_tests::{HubOptions, World, unique, world::id};
use serde_json::json;

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_are_answered_alike() -> anyhow::Result<()> {
    let world = World::default().await?;
    let person = world.person(&[], &[]).await?;
    let tenant = &world.options.tenant;
    let client = world.admin.stranger();
    let mut answers = Vec::new();
    for (tenant, username) in
        [(tenant.as_str(), person.username.as_str()), (tenant, "nobody-at-all"), ("no-such-tenant", "admin")]
    {
        let answer = client.try_sign_in(tenant, username, "wrong password").await?;
        let mut body = answer.problem(StatusCode::UNAUTHORIZED, "invalid_credentials")?;
        body["request_id"] = json!(null);
        answers.push(body);
    }
    ensure!(answers.windows(2).all(|pair| pair[0] == pair[1]), "the answers tell users apart: {answers:?}");
    ensure!(client.cookie_header().is_empty(), "a failed sign-in set a cookie");
    Ok(())
}

#[tokio::test]
async fn too_many_failures_lock_the_name_whether_it_exists_or_not() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.identity.insert("login_attempts_per_account", 3);
    let world = World::start(options).await?;
    let person = world.person(&[], &[]).await?;
    let client = world.admin.stranger();
    let mut last = Vec::new();
    for username in [person.username.as_str(), "nobody-at-all"] {
        for _ in 0..3 {
            client
                .try_sign_in(&world.options.tenant, username, "wrong")
                .await?
                .problem(StatusCode::UNAUTHORIZED, "invalid_credentials")?;
        }
        let locked = client.try_sign_in(&world.options.tenant, username, &person.password).await?;
        ensure!(locked.headers.contains_key(header::RETRY_AFTER), "no Retry-After");
        let mut body = locked.problem(StatusCode::TOO_MANY_REQUESTS, "locked_out")?;
        body["request_id"] = json!(null);
        last.push(body);
    }
    assert_eq!(last[0], last[1], "the lock-out tells users apart");
    world.admin.post(&format!("/admin/users/{}/unlock", person.id), &json!({})).await?;
    client.sign_in(&world.options.tenant, &person.username, &person.password).await?;
    Ok(())
}

#[tokio::test]
async fn one_address_may_not_try_for_ever() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.identity.insert("login_attempts_per_ip_per_minute", 5);
    let world = World::start(options).await?;
    let client = world.admin.stranger();
    for attempt in 0..20 {
        let answer = client.try_sign_in(&world.options.tenant, &unique("name"), "wrong").await?;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            answer.problem(StatusCode::TOO_MANY_REQUESTS, "rate_limited")?;
            ensure!(attempt <= 6, "limited only after {attempt} attempts");
            return Ok(());
        }
    }
    anyhow::bail!("twenty attempts a minute although five are configured")
}

#[tokio::test]
async fn signing_out_and_revoking_end_a_sign_in() -> anyhow::Result<()> {
    let world = World::default().await?;
    let person = world.person(&[], &[]).await?;
    let second = world.admin.stranger();
    second.sign_in(&world.options.tenant, &person.username, &person.password).await?;
    let sessions = person.client.list("/auth/sessions").await?;
    assert_eq!(sessions.len(), 2);
    let other = sessions.iter().find(|session| session["current"] == false).context("no other sign-in")?;
    person.client.delete(&format!("/auth/sessions/{}", id(other)?)).await?;
    second.call(Method::GET, "/auth/me", None).await?.problem(StatusCode::UNAUTHORIZED, "unauthenticated")?;
    let kept = person.client.cookie(openpam_tests::client::COOKIE).context("no cookie")?;
    person.client.post("/auth/logout", &json!({})).await?;
    ensure!(person.client.cookie_header().is_empty(), "the cookie was not taken back");
    let replay = world.admin.stranger();
    replay.set_cookie(openpam_tests::client::COOKIE, &kept);
    replay.call(Method::GET, "/auth/me", None).await?.problem(StatusCode::UNAUTHORIZED, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn the_cookie_is_kept_from_scripts_and_other_sites() -> anyhow::Result<()> {
    let world = World::default().await?;
    let client = world.admin.stranger();
    let answer = client.try_sign_in(&world.options.tenant, "admin", &world.admin_password).await?;
    let cookie = answer.headers.get(header::SET_COOKIE).context("no cookie")?.to_str()?.to_lowercase();
    for part in ["httponly", "samesite=lax", "path=/"] {
        ensure!(cookie.contains(part), "{part} is missing: {cookie}");
    }
    ensure!(!cookie.contains("domain="), "{cookie}");
    Ok(())
}

#[tokio::test]
async fn a_token_is_shown_once_limited_to_its_scopes_and_ends_when_revoked() -> anyhow::Result<()> {
    let world = World::default().await?;
    let account = id(&world
        .admin
        .post("/admin/service-accounts", &json!({ "name": unique("sa"), "roles": ["auditor"] }))
        .await?)?;
    let path = format!("/admin/service-accounts/{account}/tokens");
    let body = json!({ "name": "t", "scopes": ["audit.read"], "expires_at": (chrono::Utc::now() + chrono::TimeDelta::days(30)).to_rfc3339() });
    let made = world.admin.post(&path, &body).await?;
    let token = made["token"].as_str().context("the token was not shown")?.to_owned();
    ensure!(token.starts_with("opat_"), "a token without its prefix");
    ensure!(!world.admin.get(&path).await?.to_string().contains(&token), "the token was shown twice");
    let program = world.admin.with_token(&token);
    program.get("/audit/entries").await?;
    program.call(Method::GET, "/admin/users", None).await?.problem(StatusCode::FORBIDDEN, "forbidden")?;
    world.admin.delete(&format!("{path}/{}", id(&made)?)).await?;
    program.call(Method::GET, "/audit/entries", None).await?.problem(StatusCode::UNAUTHORIZED, "unauthenticated")?;
    Ok(())
}
