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
    let tenant = world.options.tenant.as_str();
    for (tenant, username) in [(tenant, person.username.as_str()), (tenant, "nobody-at-all"), ("no-such-tenant", "a")] {
        for _ in 0..3 {
            client
                .try_sign_in(tenant, username, "wrong")
                .await?
                .problem(StatusCode::UNAUTHORIZED, "invalid_credentials")?;
        }
        let locked = client.try_sign_in(tenant, username, &person.password).await?;
        ensure!(locked.headers.contains_key(header::RETRY_AFTER), "no Retry-After");
        let mut body = locked.problem(StatusCode::TOO_MANY_REQUESTS, "locked_out")?;
        body["request_id"] = json!(null);
        last.push(body);
    }
    assert_eq!(last[0], last[1], "the lock-out tells users apart");
    assert_eq!(last[0], last[2], "the lock-out tells tenants apart");
    world.admin.post(&format!("/admin/users/{}/unlock", person.id), &json!({})).await?;
    client.sign_in(&world.options.tenant, &person.username, &person.password).await?;
    Ok(())
}

#[tokio::test]
async fn a_name_written_otherwise_has_no_attempts_of_its_own() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.identity.insert("login_attempts_per_account", 3);
    let world = World::start(options).await?;
    let password = "a long enough password";
    let username = unique("simi");
    let user = json!({ "username": username, "display_name": "Simi", "password": password, "roles": [] });
    world.admin.post("/admin/users", &user).await?;
    let (client, tenant) = (world.admin.stranger(), world.options.tenant.as_str());
    for name in [username.clone(), username.to_uppercase(), username.replacen('i', "İ", 1)] {
        client.try_sign_in(tenant, &name, "wrong").await?.problem(StatusCode::UNAUTHORIZED, "invalid_credentials")?;
    }
    for name in [username.clone(), username.replace('i', "İ"), username.replacen("imi", "imİ", 1)] {
        let answer = client.try_sign_in(tenant, &name, password).await?;
        answer.problem(StatusCode::TOO_MANY_REQUESTS, "locked_out").with_context(|| name.clone())?;
    }
    Ok(())
}

#[tokio::test]
async fn somebody_with_many_sign_ins_is_signed_out_everywhere_and_a_thousand_is_the_most() -> anyhow::Result<()> {
    let world = World::default().await?;
    let person = world.person(&[], &[]).await?;
    let more = |count: u32| {
        format!(
            "insert into auth_sessions (auth_session_id, tenant_id, user_id, secret_hash, expires_at, user_agent)
             select gen_random_uuid(), tenant_id, user_id, sha256(gen_random_uuid()::text::bytea),
                    now() + interval '1 hour', 'test'
             from users, generate_series(1, {count}) where user_id = '{}'",
            person.id
        )
    };
    let live = format!("select count(*) from auth_sessions where user_id = '{}' and revoked_at is null", person.id);
    world.database.by_hand(&more(2_500)).await?;
    let client = world.admin.stranger();
    client.sign_in(&world.options.tenant, &person.username, &person.password).await?;
    assert_eq!(world.database.by_hand(&live).await?, "1000", "the oldest give way");
    client.get("/auth/me").await.context("the newest is kept")?;
    world.database.by_hand(&more(2_500)).await?;
    world.admin.delete(&format!("/admin/users/{}/sessions", person.id)).await?;
    assert_eq!(world.database.by_hand(&live).await?, "0");
    Ok(())
}

/// Fails three times with the password of `username`, which locks it.
async fn lock(world: &World, username: &str) -> anyhow::Result<()> {
    let client = world.admin.stranger();
    for _ in 0..3 {
        let answer = client.try_sign_in(&world.options.tenant, username, "wrong").await?;
        answer.problem(StatusCode::UNAUTHORIZED, "invalid_credentials")?;
    }
    client
        .try_sign_in(&world.options.tenant, username, "wrong")
        .await?
        .problem(StatusCode::TOO_MANY_REQUESTS, "locked_out")?;
    Ok(())
}

async fn lockable_world() -> anyhow::Result<World> {
    let mut options = HubOptions::default();
    options.identity.insert("login_attempts_per_account", 3);
    World::start(options).await
}

#[tokio::test]
async fn who_may_see_people_sees_who_is_locked_and_nobody_else_does() -> anyhow::Result<()> {
    let world = lockable_world().await?;
    let (person, other) = (world.person(&[], &[]).await?, world.person(&[], &[]).await?);
    let path = format!("/admin/users/{}", person.id);
    assert_eq!(world.admin.get(&path).await?["locked_until"], json!(null));
    let before = chrono::Utc::now();
    lock(&world, &person.username.to_uppercase()).await?;

    let shown = world.admin.get(&path).await?["locked_until"].clone();
    let until = chrono::DateTime::parse_from_rfc3339(shown.as_str().context("the lock is not shown")?)?;
    ensure!(until > before + chrono::TimeDelta::seconds(290), "locked until {until}, which is too soon");
    let listed = world.admin.list("/admin/users").await?;
    let of = |id: &str| listed.iter().find(|user| user["id"] == id).map(|user| user["locked_until"].clone());
    assert_eq!(of(&person.id), Some(shown), "the list says something else than the user's page");
    assert_eq!(of(&other.id), Some(json!(null)), "somebody else is shown as locked");

    let stranger = world.admin.stranger();
    for (client, status, code) in
        [(&stranger, StatusCode::UNAUTHORIZED, "unauthenticated"), (&other.client, StatusCode::FORBIDDEN, "forbidden")]
    {
        let answer = client.call(Method::GET, &path, None).await?;
        ensure!(!answer.text.contains("locked"), "{}", answer.text);
        answer.problem(status, code)?;
        client.call(Method::POST, &format!("{path}/unlock"), Some(&json!({}))).await?.problem(status, code)?;
    }

    world.admin.post(&format!("{path}/unlock"), &json!({})).await?;
    assert_eq!(world.admin.get(&path).await?["locked_until"], json!(null), "unlocked, and still shown as locked");
    world.admin.stranger().sign_in(&world.options.tenant, &person.username, &person.password).await?;
    let entries = world.admin.list(&format!("/audit/entries?action=user.unlock&object_id={}", person.id)).await?;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["detail"]["had_failures"], json!(true));
    ensure!(entries[0]["detail"]["locked_until"].is_string(), "{entries:?}");
    Ok(())
}

#[tokio::test]
async fn a_limited_token_unlocks_nobody_who_is_more_than_it() -> anyhow::Result<()> {
    let world = World::default().await?;
    let account =
        world.admin.post("/admin/service-accounts", &json!({ "name": unique("sa"), "roles": ["admin"] })).await?;
    let body = json!({ "name": "t", "scopes": ["identity.manage"], "expires_at": (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339() });
    let made = world.admin.post(&format!("/admin/service-accounts/{}/tokens", id(&account)?), &body).await?;
    let program = world.admin.with_token(made["token"].as_str().context("no token")?);
    let (plain, auditor) = (world.person(&[], &[]).await?, world.person(&["auditor"], &[]).await?);
    program.post(&format!("/admin/users/{}/unlock", plain.id), &json!({})).await?;
    let refused = program.call(Method::POST, &format!("/admin/users/{}/unlock", auditor.id), Some(&json!({}))).await?;
    refused.problem(StatusCode::FORBIDDEN, "beyond_scope")?;
    Ok(())
}

#[tokio::test]
async fn the_only_administrator_is_unlocked_from_the_command_line() -> anyhow::Result<()> {
    let world = lockable_world().await?;
    lock(&world, "admin").await?;
    let tenant = world.options.tenant.as_str();
    let unlock = async |tenant: &str, username: &str| {
        world.hub.command(&["admin", "unlock", "--tenant", tenant, "--username", username], None).await
    };
    let said = unlock(tenant, "Admin").await?;
    ensure!(said.contains("is unlocked; it was locked until 2"), "{said}");
    let client = world.admin.stranger();
    client.sign_in(tenant, "admin", &world.admin_password).await?;
    let entries = world.admin.list("/audit/entries?action=user.unlock").await?;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(
        (&entries[0]["actor"]["type"], &entries[0]["actor"]["name"], &entries[0]["object"]["name"]),
        (&json!("system"), &json!("openpam admin unlock"), &json!("admin"))
    );
    let said = unlock(tenant, "admin").await?;
    ensure!(said.contains("was not locked"), "{said}");
    for (tenant, username, expected) in
        [("no-such", "admin", "there is no tenant no-such"), (tenant, "nobody", "has no local account nobody")]
    {
        let refused = unlock(tenant, username).await.err().context("it should fail")?.to_string();
        ensure!(refused.contains(expected), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn a_role_that_sees_every_tenant_may_not_work_on_accounts_from_the_command_line() -> anyhow::Result<()> {
    let world = lockable_world().await?;
    let (other, stranger) = world.another_tenant().await?;
    lock(&world, "admin").await?;
    let (socket, user) =
        world.stack.servers.postgres.superuser.as_ref().map(|it| (&it.socket, &it.user)).context("no superuser")?;
    let port = world.stack.servers.postgres.owner_url.parse::<url::Url>()?.port().context("no port")?;
    let url = format!("postgres://{user}@localhost:{port}/{}?host={socket}", world.database.name());
    for arguments in [
        &["admin", "unlock", "--tenant", &other, "--username", "admin"][..],
        &["admin", "create", "--tenant", &other, "--username", "admin", "--password-file", "-", "--if-missing"],
    ] {
        let environment = [("OPENPAM_DATABASE__OWNER_URL", &*url)];
        let refused = world.hub.command_with(arguments, Some("a long enough passphrase"), &environment).await;
        let refused = refused.err().with_context(|| format!("{arguments:?} should fail"))?.to_string();
        ensure!(refused.contains("would see every tenant"), "{arguments:?}: {refused}");
    }
    let answer = world.admin.stranger().try_sign_in(&world.options.tenant, "admin", &world.admin_password).await?;
    ensure!(answer.status != StatusCode::OK, "an account of another tenant was unlocked");
    drop(stranger);
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
