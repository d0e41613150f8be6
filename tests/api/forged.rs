//! Identity tokens that the real provider never sends.

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode, header};
use openpam_tests::{
    Client, HubOptions, World,
    client::COOKIE,
    forger::{Forger, Signature},
    stack::read_trimmed,
};
use serde_json::{Value, json};
use url::Url;

/// Begins a sign-in; state and nonce as the provider sees them.
async fn begin(client: &Client) -> anyhow::Result<(String, String)> {
    begin_towards(client, "/").await
}

/// Begins a sign-in that leads to `path`.
async fn begin_towards(client: &Client, path: &str) -> anyhow::Result<(String, String)> {
    let path: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    let begun = client.call(Method::GET, &format!("/auth/login?return_to={path}"), None).await?;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text);
    let to = Url::parse(begun.headers.get(header::LOCATION).context("no Location")?.to_str()?)?;
    let of = |name: &str| to.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    Ok((of("state").context("no state")?, of("nonce").context("no nonce")?))
}

/// Comes back with a code; where the hub sends the browser then, and whether it is signed in.
async fn finish(client: &Client, query: &str) -> anyhow::Result<(String, bool)> {
    let answer = client.call(Method::GET, &format!("/auth/callback?{query}"), None).await?;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let to = answer.headers.get(header::LOCATION).context("no Location")?.to_str()?.to_owned();
    Ok((to, client.cookie(COOKIE).is_some()))
}

async fn world_with_forger() -> anyhow::Result<(World, Forger, String)> {
    let forger = Forger::start().await?;
    let world = World::start(HubOptions { issuer: Some(forger.issuer()), ..HubOptions::default() }).await?;
    let secret = read_trimmed(&world.stack.servers.oidc.client_secret_file)?;
    Ok((world, forger, secret))
}

/// Claims that are right in every way.
fn good_claims(world: &World, forger: &Forger, nonce: &str) -> Value {
    let now = chrono::Utc::now().timestamp();
    json!({
        "iss": forger.issuer(), "aud": world.stack.servers.oidc.client_id, "sub": "pairwise", "oid": "mallory",
        "tid": world.stack.servers.oidc.tenant_id, "nonce": nonce, "iat": now, "exp": now + 300,
        "preferred_username": "mallory@corp.test", "name": "Mallory", "groups": [],
    })
}

#[tokio::test]
async fn a_token_that_is_wrong_in_one_way_signs_nobody_in_and_leaves_no_account() -> anyhow::Result<()> {
    let (world, forger, secret) = world_with_forger().await?;
    let now = chrono::Utc::now().timestamp();
    let cases: &[(&str, &str, Value, &str)] = &[
        ("another nonce", "nonce", json!("of-another-sign-in"), "id_token_invalid"),
        ("no nonce", "nonce", Value::Null, "id_token_invalid"),
        ("another issuer", "iss", json!("http://127.0.0.1:1/other"), "id_token_invalid"),
        ("another audience", "aud", json!("another-client"), "id_token_invalid"),
        ("one of several audiences", "aud", json!(["openpam", "another-client"]), "id_token_invalid"),
        ("another directory", "tid", json!("00000000-0000-4000-8000-000000000000"), "tenant_not_allowed"),
        ("no directory", "tid", Value::Null, "tenant_not_allowed"),
        ("no person", "oid", Value::Null, "id_token_invalid"),
        ("expired beyond the allowance", "exp", json!(now - 90), "id_token_invalid"),
        ("issued in the future beyond the allowance", "iat", json!(now + 120), "id_token_invalid"),
    ];
    for (what, claim, value, expected) in cases {
        let client = world.admin.stranger();
        let (state, nonce) = begin(&client).await?;
        let mut claims = good_claims(&world, &forger, &nonce);
        claims[claim] = value.clone();
        forger.will_send(&claims, Signature::Good, &secret)?;
        let (to, signed_in) = finish(&client, &format!("code=c&state={state}")).await?;
        ensure!(!signed_in && to.contains(&format!("error={expected}")), "{what}: sent to {to}");
    }
    for signature in [Signature::Stranger, Signature::ClientSecret, Signature::None] {
        let client = world.admin.stranger();
        let (state, nonce) = begin(&client).await?;
        forger.will_send(&good_claims(&world, &forger, &nonce), signature, &secret)?;
        let (to, signed_in) = finish(&client, &format!("code=c&state={state}")).await?;
        ensure!(!signed_in && to.contains("error=id_token_invalid"), "{signature:?}: sent to {to}");
    }
    let people = world.admin.list("/admin/users?q=mallory").await?;
    ensure!(people.is_empty(), "a refused token made an account: {people:?}");
    Ok(())
}

#[tokio::test]
async fn a_new_key_under_the_old_ones_id_is_learned() -> anyhow::Result<()> {
    let (world, mut forger, secret) = world_with_forger().await?;
    for round in ["with the first key", "with the second key", "with the third key"] {
        let client = world.admin.stranger();
        let (state, nonce) = begin(&client).await?;
        // Between the redirect and the way back: the hub has asked for the keys a moment ago.
        if round != "with the first key" {
            forger.start_anew()?;
        }
        forger.will_send(&good_claims(&world, &forger, &nonce), Signature::Good, &secret)?;
        let (to, signed_in) = finish(&client, &format!("code=c&state={state}")).await?;
        ensure!(signed_in && to == "/", "{round}: sent to {to}");
    }
    Ok(())
}

#[tokio::test]
async fn a_group_that_is_called_like_a_directory_groups_id_takes_nobody_out_of_it() -> anyhow::Result<()> {
    let (world, forger, secret) = world_with_forger().await?;
    let operators = world.stack.servers.oidc.groups.get("operators").context("no operators")?.clone();
    for name in [operators.as_str(), "staff", "Staff (Directory)"] {
        world.admin.post("/admin/groups", &json!({ "name": name, "roles": [] })).await?;
    }
    for round in ["first", "second"] {
        let client = world.admin.stranger();
        let (state, nonce) = begin(&client).await?;
        let mut claims = good_claims(&world, &forger, &nonce);
        claims["groups"] = json!([operators, "STAFF", "Team", "team"]);
        forger.will_send(&claims, Signature::Good, &secret)?;
        let (to, signed_in) = finish(&client, &format!("code=c&state={state}")).await?;
        ensure!(signed_in && to == "/", "{round}: sent to {to}");
        let me = client.get("/auth/me").await?;
        assert_eq!(me["roles"], json!(["operator"]), "{round}: {me}");
        let groups = me["groups"].as_array().context("no groups")?;
        let names = groups.iter().filter_map(|group| group["name"].as_str()).collect::<Vec<_>>();
        ensure!(names.len() == 4 && names.contains(&format!("{operators} (directory)").as_str()), "{round}: {names:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_right_token_signs_in_also_with_a_clock_within_the_allowance() -> anyhow::Result<()> {
    let (world, forger, secret) = world_with_forger().await?;
    let now = chrono::Utc::now().timestamp();
    for (what, issued, expires) in
        [("a right one", now, now + 300), ("a fast clock", now + 45, now + 345), ("a slow clock", now - 345, now - 45)]
    {
        let client = world.admin.stranger();
        let (state, nonce) = begin(&client).await?;
        let mut claims = good_claims(&world, &forger, &nonce);
        claims["iat"] = json!(issued);
        claims["exp"] = json!(expires);
        forger.will_send(&claims, Signature::Good, &secret)?;
        let (to, signed_in) = finish(&client, &format!("code=c&state={state}")).await?;
        ensure!(signed_in && to == "/", "{what}: sent to {to}");
    }
    // A response that names another issuer is not for this provider (RFC 9207).
    let client = world.admin.stranger();
    let (state, nonce) = begin(&client).await?;
    forger.will_send(&good_claims(&world, &forger, &nonce), Signature::Good, &secret)?;
    let (to, signed_in) = finish(&client, &format!("code=c&state={state}&iss=http%3A%2F%2F127.0.0.1%3A1")).await?;
    ensure!(!signed_in && to.contains("error=id_token_invalid"), "another issuer in the response: sent to {to}");
    Ok(())
}

#[tokio::test]
async fn a_sign_in_that_took_too_long_or_was_refused_says_so() -> anyhow::Result<()> {
    let (world, forger, secret) = world_with_forger().await?;
    let client = world.admin.stranger();
    let (state, nonce) = begin(&client).await?;
    forger.will_send(&good_claims(&world, &forger, &nonce), Signature::Good, &secret)?;
    world.database.by_hand("update oidc_flows set expires_at = now() - interval '1 second'").await?;
    let (to, signed_in) = finish(&client, &format!("code=c&state={state}")).await?;
    ensure!(!signed_in && to.contains("error=login_expired"), "sent to {to}");
    // The provider's own words come from the browser: they are not repeated.
    let (state, _) = begin(&client).await?;
    let (to, signed_in) =
        finish(&client, &format!("error=access_denied&error_description=planted&state={state}")).await?;
    ensure!(!signed_in && to.contains("error=login_refused") && !to.contains("planted"), "sent to {to}");
    ensure!(!to.contains("return_to"), "sent to {to}");
    // The next attempt leads where the first would have.
    for (wanted, kept) in [("/ledger?q=a&b", true), ("//evil.example/", false)] {
        let (state, _) = begin_towards(&client, wanted).await?;
        let (to, signed_in) = finish(&client, &format!("error=access_denied&state={state}")).await?;
        let to = Url::parse("http://hub.invalid")?.join(&to)?;
        let return_to = to.query_pairs().find(|(name, _)| name == "return_to").map(|(_, path)| path.into_owned());
        ensure!(!signed_in && return_to.as_deref() == kept.then_some(wanted), "sent to {to}");
    }
    // Nor is anything told to a browser whose flow it is not.
    let (state, _) = begin_towards(&client, "/ledger").await?;
    let (to, _) = finish(&world.admin.stranger(), &format!("error=access_denied&state={state}")).await?;
    ensure!(to.contains("error=") && !to.contains("ledger"), "sent to {to}");
    Ok(())
}

#[tokio::test]
async fn a_provider_that_goes_away_in_the_middle_is_said_and_the_sign_in_can_be_tried_again() -> anyhow::Result<()> {
    let (world, forger, _) = world_with_forger().await?;
    let client = world.admin.stranger();
    let (state, _) = begin(&client).await?;
    drop(forger);
    let (to, signed_in) = finish(&client, &format!("code=c&state={state}")).await?;
    ensure!(!signed_in && to.contains("error=identity_provider_unavailable"), "sent to {to}");
    client.sign_in(&world.options.tenant, "admin", &world.admin_password).await?;
    Ok(())
}

#[tokio::test]
async fn a_cookie_that_was_there_before_the_sign_in_is_worth_nothing_after_it() -> anyhow::Result<()> {
    let world = World::default().await?;
    let person = world.person(&[], &[]).await?;
    // Session fixation: an attacker plants a cookie of their own making, or of their own sign-in.
    let attacker = world.person(&[], &[]).await?.client.cookie(COOKIE).context("no cookie")?;
    for planted in [attacker.clone(), format!("{}x", attacker), "planted".to_owned()] {
        let victim = world.admin.stranger();
        victim.set_cookie(COOKIE, &planted);
        victim.sign_in(&world.options.tenant, &person.username, &person.password).await?;
        let fresh = victim.cookie(COOKIE).context("no cookie")?;
        ensure!(fresh != planted, "the planted cookie serves on");
        let thief = world.admin.stranger();
        thief.set_cookie(COOKIE, &planted);
        let seen = thief.call(Method::GET, "/auth/me", None).await?;
        ensure!(!seen.text.contains(&person.username), "the planted cookie shows the victim: {}", seen.text);
    }
    // A fresh secret ends the old one after its moment of grace.
    let before = person.client.cookie(COOKIE).context("no cookie")?;
    person.client.post("/auth/refresh", &json!({})).await?;
    ensure!(person.client.cookie(COOKIE).is_some_and(|after| after != before), "a refresh kept the cookie's secret");
    world
        .database
        .by_hand(&format!(
            "update auth_sessions set rotated_at = now() - interval '31 seconds' where user_id = '{}'",
            person.id
        ))
        .await?;
    let old = world.admin.stranger();
    old.set_cookie(COOKIE, &before);
    old.call(Method::GET, "/auth/me", None).await?.problem(StatusCode::UNAUTHORIZED, "unauthenticated")?;
    person.client.get("/auth/me").await?;
    Ok(())
}
