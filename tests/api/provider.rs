//! Sign-in through the provider. These tests change it for everybody and run one after another.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode, header};
use openpam_tests::{
    Client, HubOptions, World,
    control::{Directory, sign_in_at_provider},
    eventually,
};
use serde_json::{Value, json};
use url::Url;

/// Begins at the hub, signs in at the provider; the address it sends the browser back to.
async fn come_back(world: &World, client: &Client, username: &str) -> anyhow::Result<Url> {
    let begun = client.call(Method::GET, "/auth/login?return_to=/", None).await?;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text);
    let to = begun.headers.get(header::LOCATION).context("no Location")?.to_str()?.to_owned();
    ensure!(to.contains("code_challenge=") && to.contains("nonce=") && to.contains("state="), "{to}");
    sign_in_at_provider(&to, world.stack.directory_user(username)?, client.url()).await
}

/// Follows the way back; where the hub sends the browser then.
async fn finish(client: &Client, back: &Url) -> anyhow::Result<String> {
    let answer = client.send(client.request(Method::GET, back.as_str())).await?;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    Ok(answer.headers.get(header::LOCATION).context("no Location")?.to_str()?.to_owned())
}

async fn sign_in(world: &World, username: &str) -> anyhow::Result<(Client, Value)> {
    let client = world.admin.stranger();
    let to = finish(&client, &come_back(world, &client, username).await?).await?;
    assert_eq!(to, "/", "the sign-in of {username} failed");
    let me = client.get("/auth/me").await?;
    Ok((client, me))
}

/// A sign-in that must fail: the code in the address of the login page.
async fn failure(world: &World, username: &str) -> anyhow::Result<String> {
    let client = world.admin.stranger();
    let to = finish(&client, &come_back(world, &client, username).await?).await?;
    ensure!(client.cookie(openpam_tests::client::COOKIE).is_none(), "a failed sign-in set a session cookie");
    error_code(&to)
}

fn error_code(to: &str) -> anyhow::Result<String> {
    let url = Url::parse("http://hub")?.join(to)?;
    ensure!(url.path() == "/login", "expected the login page, was sent to {to}");
    let (_, code) = url.query_pairs().find(|(name, _)| name == "error").with_context(|| format!("no error in {to}"))?;
    Ok(code.into_owned())
}

#[tokio::test]
async fn groups_give_roles_and_the_last_role_goes_with_the_claim() -> anyhow::Result<()> {
    let world = World::default().await?;
    let directory = Directory::new(&world.stack)?;
    directory.reset().await?;
    let (_, me) = sign_in(&world, "alice").await?;
    assert_eq!((&me["roles"], &me["user"]["source"]), (&json!(["admin"]), &json!("oidc")));
    assert_eq!(sign_in(&world, "dave").await?.1["roles"], json!([]));
    directory.change("alice", &json!({ "claim": "absent" })).await?;
    let (_, me) = sign_in(&world, "alice").await?;
    assert_eq!(me["roles"], json!([]), "a claim that is absent means no groups");
    directory.reset().await?;
    let (client, me) = sign_in(&world, "nora").await?;
    assert_eq!(me["oidc_groups_overage"], true, "too many groups for the token must be said");
    client.post("/auth/refresh", &json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn a_state_works_once_and_only_in_the_browser_that_began() -> anyhow::Result<()> {
    let world = World::default().await?;
    Directory::new(&world.stack)?.reset().await?;
    let client = world.admin.stranger();
    let back = come_back(&world, &client, "bob").await?;
    let thief = world.admin.stranger();
    ensure!(!error_code(&finish(&thief, &back).await?)?.is_empty(), "another browser finished the sign-in");
    let replayed = finish(&client, &back).await?;
    let client = world.admin.stranger();
    let back = come_back(&world, &client, "bob").await?;
    assert_eq!(finish(&client, &back).await?, "/");
    error_code(&finish(&client, &back).await?).context("a state was accepted twice")?;
    drop(replayed);
    let mut forged = back.clone();
    forged.set_query(Some("code=forged&state=forged"));
    error_code(&finish(&world.admin.stranger(), &forged).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_code_that_was_used_or_belongs_to_another_sign_in_is_refused() -> anyhow::Result<()> {
    let world = World::default().await?;
    Directory::new(&world.stack)?.reset().await?;
    let code_of = |back: &Url| back.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into_owned());
    let with_code = |back: &Url, code: &str| {
        let pairs =
            back.query_pairs().map(|(name, value)| (name.clone(), if name == "code" { code.into() } else { value }));
        let mut forged = back.clone();
        forged.set_query(Some(&url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()));
        forged
    };
    let (first, second, third) = (world.admin.stranger(), world.admin.stranger(), world.admin.stranger());
    let backs = (
        come_back(&world, &first, "bob").await?,
        come_back(&world, &second, "bob").await?,
        come_back(&world, &third, "bob").await?,
    );
    // PKCE: a code that somebody else's browser was given.
    let stolen = with_code(&backs.1, &code_of(&backs.0).context("no code")?);
    assert_eq!(error_code(&finish(&second, &stolen).await?)?, "login_code_rejected");
    let code = code_of(&backs.2).context("no code")?;
    assert_eq!(finish(&third, &backs.2).await?, "/");
    let fourth = world.admin.stranger();
    let used = with_code(&come_back(&world, &fourth, "bob").await?, &code);
    assert_eq!(error_code(&finish(&fourth, &used).await?)?, "login_code_rejected");
    Ok(())
}

#[tokio::test]
async fn a_refresh_at_a_hub_that_did_not_sign_the_person_in_keeps_the_claims_it_has() -> anyhow::Result<()> {
    let world = World::default().await?;
    let directory = Directory::new(&world.stack)?;
    directory.reset().await?;
    let (client, me) = sign_in(&world, "alice").await?;
    assert_eq!(me["roles"], json!(["admin"]));
    directory.change("alice", &json!({ "groups": [] })).await?;
    let second = world.another_hub().await?;
    let there = client.at(second.url());
    there.post("/auth/refresh", &json!({})).await?;
    assert_eq!(there.get("/auth/me").await?["roles"], json!(["admin"]), "the directory was asked without a token");
    // Where the token is, the directory is asked.
    client.post("/auth/refresh", &json!({})).await?;
    directory.reset().await?;
    assert_eq!(client.get("/auth/me").await?["roles"], json!([]));
    Ok(())
}

#[tokio::test]
async fn what_the_directory_takes_away_goes_while_the_person_works() -> anyhow::Result<()> {
    let options = HubOptions { identity: [("claims_refresh_seconds", 1)].into(), ..HubOptions::default() };
    let world = World::start(options).await?;
    let directory = Directory::new(&world.stack)?;
    directory.reset().await?;
    let (client, me) = sign_in(&world, "alice").await?;
    assert_eq!(me["roles"], json!(["admin"]));
    // Asking writes nothing down as long as the answer is the same.
    let images = "select count(*) from row_changes where table_name in ('users', 'groups', 'group_memberships')";
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = world.database.by_hand(images).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(world.database.by_hand(images).await?, before, "rows were written for nothing");
    // No page of hers asks for it: the hub does.
    directory.change("alice", &json!({ "groups": [] })).await?;
    let gone = eventually("the role is gone", Duration::from_secs(20), || async {
        Ok((client.get("/auth/me").await?["roles"] == json!([])).then_some(()))
    });
    let gone = gone.await;
    // It is an act, and in the trail as one.
    let told = world.admin.list("/audit/entries?action=identity.claims").await?;
    directory.change("alice", &json!({ "enabled": false })).await?;
    let out = eventually("she is signed out", Duration::from_secs(20), || async {
        let answer = client.call(Method::GET, "/auth/me", None).await?;
        Ok((answer.status == StatusCode::UNAUTHORIZED).then_some(()))
    });
    let out = out.await;
    directory.reset().await?;
    ensure!(told.len() == 1 && told[0]["detail"]["groups_left"].as_u64() >= Some(1), "{told:?}");
    gone.and(out)
}

#[tokio::test]
async fn two_pages_that_refresh_at_once_leave_the_browser_one_cookie() -> anyhow::Result<()> {
    let world = World::default().await?;
    Directory::new(&world.stack)?.reset().await?;
    let (client, _) = sign_in(&world, "bob").await?;
    let pages = [client.at(client.url()), client.at(client.url()), client.at(client.url())];
    let nothing = json!({});
    let asked = pages.iter().map(|page| page.call(Method::POST, "/auth/refresh", Some(&nothing)));
    let mut cookies = 0;
    for answer in futures::future::try_join_all(asked).await? {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        cookies += usize::from(answer.headers.contains_key(header::SET_COOKIE));
    }
    assert_eq!(cookies, 1, "whose cookie the browser keeps is a matter of luck");
    Ok(())
}

#[tokio::test]
async fn new_signing_keys_are_learned_and_wrong_clocks_are_refused() -> anyhow::Result<()> {
    let world = World::default().await?;
    let directory = Directory::new(&world.stack)?;
    directory.reset().await?;
    sign_in(&world, "bob").await?;
    directory.rotate_keys(true).await?;
    sign_in(&world, "bob").await.context("after the provider has new keys")?;
    directory.skew(30).await?;
    sign_in(&world, "bob").await.context("half a minute of skew")?;
    directory.skew(-7_200).await?;
    let code = failure(&world, "bob").await?;
    directory.reset().await?;
    assert_eq!(code, "id_token_invalid", "a token that expired an hour ago");
    Ok(())
}

#[tokio::test]
async fn a_foreign_tenant_of_the_provider_is_refused() -> anyhow::Result<()> {
    let options = HubOptions {
        allowed_tids: Some(vec!["00000000-0000-4000-8000-000000000000".to_owned()]),
        ..HubOptions::default()
    };
    let world = World::start(options).await?;
    Directory::new(&world.stack)?.reset().await?;
    let code = failure(&world, "bob").await?;
    ensure!(code.contains("tenant") || code.contains("tid"), "the code does not say why: {code}");
    Ok(())
}

#[tokio::test]
async fn a_user_disabled_at_the_provider_is_out_at_the_next_refresh() -> anyhow::Result<()> {
    let world = World::default().await?;
    let directory = Directory::new(&world.stack)?;
    directory.reset().await?;
    let (client, _) = sign_in(&world, "bob").await?;
    client.post("/auth/refresh", &json!({})).await?;
    directory.change("bob", &json!({ "enabled": false })).await?;
    let answer = client.call(Method::POST, "/auth/refresh", Some(&json!({}))).await?;
    directory.reset().await?;
    ensure!(answer.status == StatusCode::UNAUTHORIZED, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_provider_that_is_down_is_said_and_local_sign_in_works() -> anyhow::Result<()> {
    let closed = openpam_tests::hub::free_address().await?;
    let options = HubOptions { issuer: Some(format!("http://{closed}/tid/v2.0")), ..HubOptions::default() };
    let world = World::start(options).await?;
    let client = world.admin.stranger();
    let answer = client.call(Method::GET, "/auth/login", None).await?;
    let code = match answer.headers.get(header::LOCATION) {
        Some(to) => error_code(to.to_str()?)?,
        None => answer.code(),
    };
    ensure!(code.contains("unavailable"), "expected a code that says the provider is unavailable, got {code:?}");
    client.sign_in(&world.options.tenant, "admin", &world.admin_password).await?;
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

#[tokio::test]
async fn what_the_provider_gives_out_is_in_no_log_no_answer_and_no_row() -> anyhow::Result<()> {
    let options = HubOptions {
        log_filter: "info,openpam=trace,openpam_hub=trace,tower_http=trace".to_owned(),
        ..HubOptions::default()
    };
    let world = World::start(options).await?;
    let directory = Directory::new(&world.stack)?;
    directory.reset().await?;
    let client = world.admin.stranger();
    let back = come_back(&world, &client, "bob").await?;
    assert_eq!(finish(&client, &back).await?, "/");
    client.post("/auth/refresh", &json!({})).await?;
    client.get("/auth/me").await?;
    let cookie = client.cookie(openpam_tests::client::COOKIE).context("no cookie")?;
    client.post("/auth/logout", &json!({})).await?;

    let mut secrets = vec![("the session cookie".to_owned(), cookie)];
    for (name, value) in back.query_pairs().filter(|(name, _)| matches!(&**name, "code" | "state")) {
        secrets.push((name.into_owned(), value.into_owned()));
    }
    let given = directory.call(Method::GET, "/tokens", &json!({})).await?;
    for token in given["tokens"].as_array().context("no tokens")? {
        let text = |key: &str| token[key].as_str().map(str::to_owned).context("no text");
        secrets.push((text("kind")?, text("value")?));
    }
    for kind in ["code", "state", "AccessToken", "RefreshToken"] {
        ensure!(secrets.iter().any(|(name, value)| name == kind && value.len() > 20), "no {kind} was planted");
    }
    let log = world.hub.log();
    ensure!(log.contains("/api/v1/auth/callback"), "the log says nothing of the way back");
    let answers = client.record().lock().expect("no holder of the lock panics").clone();
    ensure!(answers.contains("bob"), "no answer was kept, so this proves nothing");
    // The browser carries code and state, and keeps the cookie; the provider's tokens are the hub's alone.
    let tokens = secrets.iter().filter(|(name, _)| name.ends_with("Token")).cloned().collect::<Vec<_>>();
    let dump = world.database.dump()?;
    for (place, text, sought) in
        [("the log", log, &secrets), ("the database", dump, &secrets), ("an answer", answers, &tokens)]
    {
        for (name, secret) in sought {
            ensure!(!text.contains(secret), "{place} has {name}");
        }
        ensure!(!has_web_token(&text), "{place} has a web token");
    }
    ensure!(has_web_token("x eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiIxIn0.c2ln"));
    Ok(())
}
