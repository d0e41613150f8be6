//! A vault that is sealed, has a certificate of a private CA, keeps things in a namespace, or ends
//! the hub's login.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{
    HubOptions, Stack, Terminal, World, eventually,
    hub::Prepared,
    openbao::OwnOpenBao,
    proxy::{Fault, FaultProxy},
    unique,
    vault::VaultAdmin,
};
use serde_json::{Value, json};

/// A world whose hub uses an OpenBao of its own.
async fn with_own_vault(role: Value) -> anyhow::Result<(World, OwnOpenBao)> {
    let mut stack = Stack::load()?;
    let vault = OwnOpenBao::start(&stack, &role).await?;
    stack.servers.openbao = vault.server().clone();
    Ok((World::start_with(stack, HubOptions::default()).await?, vault))
}

/// The code with which a terminal does not open.
async fn refusal(world: &World, reachable: &openpam_tests::world::Reachable) -> anyhow::Result<String> {
    let refused = Terminal::try_open(&world.admin, &reachable.connect()).await?.err().context("the terminal opened")?;
    let detail = refused.body["detail"].as_str().unwrap_or_default();
    ensure!(detail.len() > 10 && !detail.contains("openpam/"), "not for a person: {}", refused.body);
    world.hub.wait_for_log(&[refused.body["request_id"].as_str().unwrap_or("no id")]).await?;
    Ok(refused.body["code"].as_str().unwrap_or_default().to_owned())
}

/// The code with which a secret is not stored.
async fn not_stored(world: &World) -> anyhow::Result<String> {
    let body = json!({
        "name": unique("credential"), "kind": "password", "username": "x", "secret": { "password": unique("planted") },
    });
    let answer = world.admin.call(Method::POST, "/admin/credentials", Some(&body)).await?;
    ensure!(!answer.status.is_success(), "the secret was stored: {answer:?}");
    let code = answer.code();
    answer.problem(answer.status, &code)?;
    let listed = world.admin.list("/admin/credentials").await?;
    ensure!(listed.iter().all(|credential| credential["name"] != body["name"]), "a credential without its secret");
    Ok(code)
}

#[tokio::test]
async fn a_namespace_and_a_private_ca_serve_and_a_sealed_vault_says_so() -> anyhow::Result<()> {
    let (world, vault) = with_own_vault(json!({})).await?;
    // Stored through the hub, read for the terminal, and a certificate signed: all in the namespace, over TLS.
    let reachable = world.password_target().await?;
    reachable.open(&world.admin).await?;
    let body = json!({
        "name": unique("ca"), "kind": "ssh_ca", "username": "somebody", "ssh_role": vault.server().ssh_role,
    });
    let certificate = openpam_tests::world::id(&world.admin.post("/admin/credentials", &body).await?)?;
    let patch = json!({ "credential_ids": [reachable.credential_id, certificate] });
    world.admin.patch(&format!("/admin/targets/{}", reachable.target_id), &patch).await?;
    let mut signed = reachable.clone();
    signed.credential_id = certificate;
    // The target does not know this CA, but the vault has signed.
    assert_eq!(refusal(&world, &signed).await?, "ssh_auth_failed");

    vault.seal().await?;
    assert_eq!(refusal(&world, &reachable).await?, "vault_sealed");
    assert_eq!(not_stored(&world).await?, "vault_sealed");
    let preflight = eventually("the vault's state is asked again", Duration::from_secs(5), || async {
        let answer = reachable.preflight(&world.admin).await?;
        Ok((answer.status != StatusCode::NO_CONTENT).then_some(answer))
    })
    .await?;
    preflight.problem(StatusCode::SERVICE_UNAVAILABLE, "vault_sealed")?;
    let ready = world.admin.send(world.admin.request(Method::GET, "/readyz")).await?;
    ensure!(ready.status == StatusCode::SERVICE_UNAVAILABLE && ready.text.contains("sealed"), "{ready:?}");
    // What is sealed blocks neither sign-in nor trail.
    world.admin.stranger().sign_in(&world.options.tenant, "admin", &world.admin_password).await?;
    world.admin.get("/audit/entries").await?;
    vault.unseal().await?;
    eventually("a terminal opens again", Duration::from_secs(20), || async {
        Ok(reachable.open(&world.admin).await.ok())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_not_accepted() -> anyhow::Result<()> {
    let mut stack = Stack::load()?;
    let (vault, stranger) =
        tokio::try_join!(OwnOpenBao::start(&stack, &Value::Null), OwnOpenBao::start(&stack, &Value::Null))?;
    stack.servers.openbao = vault.server().clone();
    let world = World::start_with(stack.clone(), HubOptions::default()).await?;
    let reachable = world.password_target().await?;
    // The same vault, but the hub is told to trust another authority.
    let prepared = Prepared::new(&world.stack, &world.database, &world.options).await?;
    let file = prepared.folder().join("hub.toml");
    let ca = |server: &openpam_tests::stack::OpenBao| server.ca_file.clone().unwrap_or_default().display().to_string();
    let text = std::fs::read_to_string(&file)?.replace(&ca(vault.server()), &ca(stranger.server()));
    std::fs::write(&file, text)?;
    let hub = prepared.spawn()?;
    let client = world.admin.at(hub.url());
    let answer = eventually("the hub answers", Duration::from_secs(20), || async {
        Ok(reachable.preflight(&client).await.ok())
    })
    .await?;
    answer.problem(StatusCode::SERVICE_UNAVAILABLE, "vault_unavailable")?;
    Ok(())
}

#[tokio::test]
async fn a_login_that_reaches_its_maximum_or_is_revoked_is_made_again() -> anyhow::Result<()> {
    let (world, vault) = with_own_vault(json!({ "token_ttl": "2s", "token_max_ttl": "4s" })).await?;
    let reachable = world.password_target().await?;
    let logins = || world.hub.log().matches("logged in to the vault").count();
    let first = logins();
    // Two lives of a token later: terminals open all the time.
    eventually("the hub has logged in again, twice", Duration::from_secs(30), || async {
        reachable.open(&world.admin).await.context("while the login is renewed")?;
        Ok((logins() >= first + 2).then_some(()))
    })
    .await?;
    vault.revoke_logins().await?;
    reachable.open(&world.admin).await.context("after the hub's login was revoked")?;
    Ok(())
}

#[tokio::test]
async fn a_wrapping_token_that_somebody_used_stops_the_start_with_a_clear_message() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let world = World::default().await?;
    let prepared = Prepared::new(&stack, &world.database, &world.options).await?;
    let token = openpam_tests::stack::read_trimmed(&prepared.folder().join("wrapped_secret_id"))?;
    let thief = openpam_tests::stack::OpenBao { admin_token: token.clone(), ..stack.servers.openbao.clone() };
    VaultAdmin::new(&thief)?.call(Method::POST, "sys/wrapping/unwrap", Some(&json!({}))).await?;
    let mut hub = prepared.spawn()?;
    let status = hub.wait(Duration::from_secs(20)).await?;
    ensure!(!status.success(), "the hub started although its secret id was read by somebody else");
    let log = hub.wait_for_log(&["vault_wrapping_token_used"]).await?;
    ensure!(log.contains("Revoke it"), "it does not say what to do: {log}");
    ensure!(!hub.log().contains(&token), "the wrapping token is in the log");
    Ok(())
}

#[tokio::test]
async fn what_the_vault_refuses_or_does_not_answer_is_not_stored_and_said() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let (proxy, address) = FaultProxy::in_front_of(&stack.servers.openbao.address).await?;
    let world = World::start(HubOptions { vault_address: Some(address), ..HubOptions::default() }).await?;
    proxy.set(Fault::Refuse);
    assert_eq!(not_stored(&world).await?, "vault_unavailable");
    proxy.set(Fault::Silence);
    assert_eq!(not_stored(&world).await?, "vault_unavailable");
    proxy.set(Fault::None);
    drop(world);

    // A role without the right to write.
    let mut stack = Stack::load()?;
    let vault = OwnOpenBao::start(&stack, &json!({ "token_policies": ["default"] })).await?;
    stack.servers.openbao = vault.server().clone();
    let world = World::start_with(stack, HubOptions::default()).await?;
    assert_eq!(not_stored(&world).await?, "vault_permission_denied");
    let body = json!({
        "name": unique("reference"), "kind": "password", "username": "x", "vault_path": format!("shared/{}", unique("x")),
    });
    let credential_id = openpam_tests::world::id(&world.admin.post("/admin/credentials", &body).await?)?;
    let server = world.stack.password_target().clone();
    let group_id = world.group().await?;
    let target_id = world.target(&server.host, server.port, &group_id, &[&credential_id]).await?;
    world.trust_host_keys(&target_id).await?;
    let reachable = openpam_tests::world::Reachable { target_id, credential_id, group_id };
    assert_eq!(refusal(&world, &reachable).await?, "vault_permission_denied");
    Ok(())
}

#[tokio::test]
async fn a_vault_that_says_it_is_well_and_fails_is_not_ready_until_it_answers() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let (proxy, address) = FaultProxy::in_front_of(&stack.servers.openbao.address).await?;
    let options = HubOptions { vault_address: Some(address), recordings: None, ..HubOptions::default() };
    let world = World::start(options).await?;
    let reachable = world.password_target().await?;
    let ready = async || world.admin.send(world.admin.request(Method::GET, "/readyz")).await;
    assert_eq!(ready().await?.status, StatusCode::OK);

    // Health and login answer; what secrets are in fails.
    proxy.set(Fault::Answer { within: "/data/", status: "500 Internal Server Error" });
    for _ in 0..2 {
        assert_eq!(refusal(&world, &reachable).await?, "vault_unavailable");
    }
    let told = eventually("the hub says that it is not ready", Duration::from_secs(10), || async {
        let answer = ready().await?;
        Ok((answer.status == StatusCode::SERVICE_UNAVAILABLE).then_some(answer))
    })
    .await?;
    assert_eq!(told.json()?["vault"], json!({ "ok": false, "state": "unavailable" }));
    reachable.preflight(&world.admin).await?.problem(StatusCode::SERVICE_UNAVAILABLE, "vault_unavailable")?;
    // It stays so although nobody opens anything, and ends as soon as the vault answers, although nobody does.
    for _ in 0..7 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ready().await?.status, StatusCode::SERVICE_UNAVAILABLE, "ready while the vault fails");
    }
    proxy.set(Fault::None);
    eventually("the hub is ready again", Duration::from_secs(15), || async {
        Ok((ready().await?.status == StatusCode::OK).then_some(()))
    })
    .await?;
    assert_eq!(reachable.preflight(&world.admin).await?.status, StatusCode::NO_CONTENT);
    reachable.open(&world.admin).await?;

    // What stands before the vault says 503: the vault is not sealed, and nobody should go to unseal it.
    proxy.set(Fault::Answer { within: "/v1/", status: "503 Service Unavailable" });
    let preflight = eventually("the vault's state is asked again", Duration::from_secs(5), || async {
        let answer = reachable.preflight(&world.admin).await?;
        Ok((answer.status != StatusCode::NO_CONTENT).then_some(answer))
    })
    .await?;
    preflight.problem(StatusCode::SERVICE_UNAVAILABLE, "vault_unavailable")?;
    assert_eq!(refusal(&world, &reachable).await?, "vault_unavailable");
    Ok(())
}

#[tokio::test]
async fn a_secret_of_a_hub_that_died_before_the_commit_is_removed_from_the_vault() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let vault = VaultAdmin::new(&world.stack.servers.openbao)?;
    let kept = world.credential("password", "x", &json!({ "password": unique("kept") })).await?;
    // The hub reads this table after it has asked the vault and before it commits.
    let mut owner = world.database.owner().await?;
    let mut lock = sqlx::Connection::begin(&mut owner).await?;
    sqlx::query("lock table target_credentials in access exclusive mode").execute(&mut *lock).await?;
    let body = json!({
        "name": unique("lost"), "kind": "password", "username": "x", "secret": { "password": unique("planted") },
    });
    let client = world.admin.clone();
    let storing = tokio::spawn(async move { client.call(Method::POST, "/admin/credentials", Some(&body)).await });
    let path = eventually("the hub has noted what it will write", Duration::from_secs(10), || async {
        let path = world.database.by_hand("select vault_path from vault_orphans").await?;
        Ok((!path.is_empty()).then_some(path))
    })
    .await?;
    eventually("the secret is in the vault", Duration::from_secs(10), || async { Ok(vault.get(&path).await.ok()) })
        .await?;
    world.hub.kill().await?;
    ensure!(storing.await?.is_err(), "the hub answered although it was killed");
    lock.rollback().await?;
    vault.get(&path).await.context("the secret should be left behind")?;
    world.database.by_hand("update vault_orphans set created_at = now() - interval '11 minutes'").await?;
    let second = world.another_hub().await?;
    eventually("the secret is removed", Duration::from_secs(20), || async {
        Ok(vault.get(&path).await.is_err().then_some(()))
    })
    .await?;
    eventually("nothing is noted any more", Duration::from_secs(5), || async {
        Ok((world.database.by_hand("select count(*) from vault_orphans").await? == "0").then_some(()))
    })
    .await?;
    let admin = world.admin.at(second.url());
    let trail = admin.get("/audit/entries?action=credential.secret.clean_up").await?;
    assert_eq!(trail["items"].as_array().map(Vec::len), Some(1), "{trail}");
    // What has its credential stays.
    vault.get(&format!("{}/{}/{kept}", world.stack.servers.openbao.kv_prefix, world.options.tenant)).await?;
    Ok(())
}

/// How often the vault's paths are noted as without a credential.
async fn noted(world: &World) -> anyhow::Result<String> {
    world.database.by_hand("select count(*) from vault_orphans").await
}

#[tokio::test]
async fn a_reference_that_gets_a_secret_of_its_own_leaves_none_when_the_hub_dies() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let vault = VaultAdmin::new(&world.stack.servers.openbao)?;
    let body = json!({
        "name": unique("reference"), "kind": "password", "username": "x", "vault_path": format!("shared/{}", unique("x")),
    });
    let credential = openpam_tests::world::id(&world.admin.post("/admin/credentials", &body).await?)?;
    let path = format!("{}/{}/{credential}", world.stack.servers.openbao.kv_prefix, world.options.tenant);
    // What the hub does after it has asked the vault and before it commits takes for ever.
    let slow = "create function slow() returns trigger language plpgsql as
                    'begin perform pg_sleep(600); return old; end';
                create trigger slow before delete on vault_orphans for each row execute function slow()";
    world.database.by_hand(slow).await?;
    let (client, change) = (world.admin.clone(), json!({ "password": unique("planted") }));
    let secret = format!("/admin/credentials/{credential}/secret");
    let storing = tokio::spawn(async move { client.call(Method::PUT, &secret, Some(&change)).await });
    eventually("the secret is in the vault", Duration::from_secs(10), || async { Ok(vault.get(&path).await.ok()) })
        .await?;
    assert_eq!(noted(&world).await?, "1", "the vault has a secret that nobody will look for");
    world.hub.kill().await?;
    ensure!(storing.await?.is_err(), "the hub answered although it was killed");
    world
        .database
        .by_hand(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and query like 'delete from vault_orphans%'",
        )
        .await?;
    let end = "drop function slow cascade; update vault_orphans set created_at = now() - interval '11 minutes'";
    world.database.by_hand(end).await?;
    let _second = world.another_hub().await?;
    eventually("the secret is removed and forgotten", Duration::from_secs(20), || async {
        Ok((vault.get(&path).await.is_err() && noted(&world).await? == "0").then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_credential_is_deleted_while_the_vault_is_down_and_its_secret_follows() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let (proxy, address) = FaultProxy::in_front_of(&stack.servers.openbao.address).await?;
    let world = World::start(HubOptions { vault_address: Some(address), ..HubOptions::default() }).await?;
    let vault = VaultAdmin::new(&world.stack.servers.openbao)?;
    let credential = world.credential("password", "x", &json!({ "password": unique("planted") })).await?;
    let path = format!("{}/{}/{credential}", world.stack.servers.openbao.kv_prefix, world.options.tenant);
    vault.get(&path).await.context("the secret is not where it should be")?;
    proxy.set(Fault::Refuse);
    world.admin.delete(&format!("/admin/credentials/{credential}")).await?;
    vault.get(&path).await.context("who removed it?")?;
    assert_eq!(noted(&world).await?, "1");
    proxy.set(Fault::None);
    world.database.by_hand("update vault_orphans set created_at = now() - interval '11 minutes'").await?;
    // Another one that cannot be removed does not keep this one there.
    world
        .database
        .by_hand(
            "insert into vault_orphans (tenant_id, credential_id, vault_path, created_at)
             select tenant_id, gen_random_uuid(), 'elsewhere/nobody', now() - interval '1 hour' from tenants",
        )
        .await?;
    let _second = world.another_hub().await?;
    eventually("the secret is removed", Duration::from_secs(20), || async {
        Ok(vault.get(&path).await.is_err().then_some(()))
    })
    .await?;
    Ok(())
}
