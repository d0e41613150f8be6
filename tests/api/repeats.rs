//! A request that is sent again with its `Idempotency-Key`: after the hub died, and where its answer held a secret.

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{Answer, Client, World, unique, world::id};
use serde_json::{Value, json};

async fn send(client: &Client, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
    let request = client.request(Method::POST, &format!("/api/v1{path}")).header("idempotency-key", key);
    client.send(request.json(body)).await
}

/// Lets answers be kept no more: what a key has is then what a hub leaves that dies between its commit and its answer.
const NO_ANSWERS: &str = "create function lost() returns trigger language plpgsql as
        'begin raise exception ''the answer is lost''; end';
    create trigger lost before update on idempotency_keys for each row
        when (new.status is not null) execute function lost()";

#[tokio::test]
async fn what_a_hub_had_done_before_it_was_killed_is_not_done_again() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    world.database.by_hand(NO_ANSWERS).await?;
    let event = json!({ "event_type": "build.done", "source": "suite", "payload": {} });
    let zone = json!({ "name": unique("zone"), "type": "hub" });
    for (path, body) in [("/events", &event), ("/admin/zones", &zone)] {
        send(&world.admin, path, path, body).await?.success()?;
    }
    world.hub.kill().await?;
    world.database.by_hand("drop function lost cascade").await?;
    let hub = world.another_hub().await?;
    let admin = world.admin.at(hub.url());
    assert_eq!(admin.list("/events?event_type=build.done").await?.len(), 1);
    // As long as a hub may still work on it, nobody knows.
    let early = send(&admin, "/events", "/events", &event).await?;
    early.problem(StatusCode::CONFLICT, "idempotency_in_progress")?;
    world.database.by_hand("update idempotency_keys set created_at = now() - interval '3 minutes'").await?;
    for (path, body) in [("/events", &event), ("/admin/zones", &zone)] {
        let again = send(&admin, path, path, body).await?;
        again.problem(StatusCode::CONFLICT, "idempotency_answer_lost")?;
    }
    assert_eq!(admin.list("/events?event_type=build.done").await?.len(), 1, "it was done again");
    Ok(())
}

#[tokio::test]
async fn what_a_hub_had_only_begun_when_it_was_killed_is_done_by_the_next() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    // The zone's insert waits, and with it the request.
    let mut owner = world.database.owner().await?;
    let mut lock = sqlx::Connection::begin(&mut owner).await?;
    sqlx::query("lock table zones in access exclusive mode").execute(&mut *lock).await?;
    let (client, zone) = (world.admin.clone(), json!({ "name": unique("zone"), "type": "hub" }));
    let (key, body) = (unique("key"), zone.clone());
    let asked = key.clone();
    let asking = tokio::spawn(async move { send(&client, "/admin/zones", &asked, &body).await });
    openpam_tests::eventually("the key is claimed", std::time::Duration::from_secs(10), || async {
        Ok((world.database.by_hand("select count(*) from idempotency_keys").await? == "1").then_some(()))
    })
    .await?;
    world.hub.kill().await?;
    ensure!(asking.await?.is_err(), "the hub answered although it was killed");
    lock.rollback().await?;
    world.database.by_hand("update idempotency_keys set created_at = now() - interval '3 minutes'").await?;
    let hub = world.another_hub().await?;
    let admin = world.admin.at(hub.url());
    openpam_tests::eventually("the dead hub's transaction is gone", std::time::Duration::from_secs(10), || async {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and query ilike 'insert into zones%' and state <> 'idle'";
        Ok((world.database.by_hand(waiting).await? == "0").then_some(()))
    })
    .await?;
    send(&admin, "/admin/zones", &key, &zone).await?.ok(StatusCode::CREATED)?;
    Ok(())
}

#[tokio::test]
async fn a_secret_that_was_shown_once_is_neither_kept_nor_made_twice() -> anyhow::Result<()> {
    let world = World::default().await?;
    let account = json!({ "name": unique("sa"), "roles": [] });
    let account = id(&world.admin.post("/admin/service-accounts", &account).await?)?;
    let tokens = format!("/admin/service-accounts/{account}/tokens");
    let expires_at = (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let token = json!({ "name": "t", "scopes": [], "expires_at": expires_at });
    let hook = json!({ "name": unique("hook"), "url": "https://hook.invalid/", "event_types": ["nothing.at_all"] });
    let mut shown = Vec::new();
    for (path, body, field) in [(&*tokens, &token, "token"), ("/admin/webhooks", &hook, "secret")] {
        let key = unique("key");
        let first = send(&world.admin, path, &key, body).await?.ok(StatusCode::CREATED)?;
        shown.push(first[field].as_str().with_context(|| format!("{path} showed no secret"))?.to_owned());
        let again = send(&world.admin, path, &key, body).await?;
        again.problem(StatusCode::CONFLICT, "idempotency_secret_shown")?;
        assert_eq!(world.admin.list(path).await?.len(), 1, "{path}: two were made");
        // What is wrong may be mended and sent again under its key.
        let key = unique("key");
        let wrong = send(&world.admin, path, &key, &json!({ "name": "" })).await?;
        ensure!(wrong.status == StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
        let mut other = body.clone();
        other["name"] = unique("other").into();
        send(&world.admin, path, &key, &other).await?.ok(StatusCode::CREATED)?;
    }
    let hook = world.admin.list("/admin/webhooks").await?;
    let path = format!("/admin/webhooks/{}/secret", id(&hook[0])?);
    let key = unique("key");
    let first = send(&world.admin, &path, &key, &json!({})).await?.success()?;
    shown.push(first["secret"].as_str().context("no secret")?.to_owned());
    send(&world.admin, &path, &key, &json!({})).await?.problem(StatusCode::CONFLICT, "idempotency_secret_shown")?;
    let kept = world.database.by_hand("select string_agg(to_jsonb(k)::text, ' ') from idempotency_keys k").await?;
    ensure!(kept.len() > 100 && !shown.iter().any(|secret| kept.contains(secret)), "a secret is in the table: {kept}");
    Ok(())
}
