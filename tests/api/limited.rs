//! What tokens with a limit reach beyond it.

use anyhow::Context as _;
use http::{Method, StatusCode};
use openpam_tests::{Client, World, unique, world::id};
use serde_json::json;

/// A public key like any machine's.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS";

/// A program with the role of an administrator, and a token that is limited to these permissions.
async fn limited_to(world: &World, scopes: &[&str]) -> anyhow::Result<Client> {
    let account = json!({ "name": unique("sa"), "roles": ["admin"] });
    let account = id(&world.admin.post("/admin/service-accounts", &account).await?)?;
    let expires_at = (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let body = json!({ "name": unique("token"), "scopes": scopes, "expires_at": expires_at });
    let made = world.admin.post(&format!("/admin/service-accounts/{account}/tokens"), &body).await?;
    Ok(world.admin.stranger().with_token(made["token"].as_str().context("no token")?))
}

#[tokio::test]
async fn a_token_limited_to_webhooks_sends_no_events_that_it_may_not_read() -> anyhow::Result<()> {
    let world = World::default().await?;
    let webhook = json!({ "name": unique("hook"), "url": "https://example.com/hook", "event_types": ["*"] });
    let limited = limited_to(&world, &["event.manage"]).await?;
    let answer = limited.call(Method::POST, "/admin/webhooks", Some(&webhook)).await?;
    answer.problem(StatusCode::FORBIDDEN, "beyond_scope")?;
    let wider = limited_to(&world, &["event.manage", "event.read"]).await?;
    let made = wider.post("/admin/webhooks", &webhook).await?;
    let path = format!("/admin/webhooks/{}", id(&made)?);
    let change = json!({ "url": "https://example.com/other" });
    let answer = limited.call(Method::PATCH, &path, Some(&change)).await?;
    answer.problem(StatusCode::FORBIDDEN, "beyond_scope")?;
    assert_eq!(world.admin.get(&path).await?["url"], "https://example.com/hook");
    wider.patch(&path, &change).await?;
    Ok(())
}

#[tokio::test]
async fn a_token_limited_to_settings_deletes_no_recordings() -> anyhow::Result<()> {
    let world = World::default().await?;
    let limited = limited_to(&world, &["settings.manage", "settings.read"]).await?;
    let change = json!({ "recording": { "retention_days": 1 } });
    let answer = limited.call(Method::PATCH, "/admin/settings", Some(&change)).await?;
    answer.problem(StatusCode::FORBIDDEN, "beyond_scope")?;
    limited.patch("/admin/settings", &json!({ "motd": "hello" })).await?;
    let answer = limited.call(Method::PATCH, "/admin/settings", Some(&json!({ "nonsense": 1 }))).await?;
    answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    let wider = limited_to(&world, &["settings.manage", "recording.purge"]).await?;
    wider.patch("/admin/settings", &change).await?;
    assert_eq!(world.admin.get("/admin/settings").await?["recording"]["retention_days"], 1);
    Ok(())
}

#[tokio::test]
async fn a_token_limited_to_targets_shows_no_password_to_a_machine_of_its_own() -> anyhow::Result<()> {
    let world = World::default().await?;
    let limited = limited_to(&world, &["target.manage", "infrastructure.read"]).await?;
    let wider = limited_to(&world, &["target.manage", "credential.manage", "infrastructure.read"]).await?;
    let reachable = world.password_target().await?;
    let target = format!("/admin/targets/{}", reachable.target_id);
    let before = world.admin.get(&target).await?;
    let (host, port) = (before["host"].clone(), before["port"].as_u64().context("no port")?);
    let other = world.stack.certificate_target().clone();
    let zone = before["zone_id"].clone();
    let new = |credentials: &[&str], groups: &[&str]| {
        json!({ "name": unique("t"), "protocol": "ssh", "host": other.host, "port": other.port, "zone_id": zone,
                "credential_ids": credentials, "group_ids": groups })
    };
    for (method, path, body) in [
        (Method::PATCH, target.clone(), json!({ "port": other.port })),
        (Method::PATCH, target.clone(), json!({ "host": "192.0.2.1" })),
        (Method::PATCH, target.clone(), json!({ "host_key_policy": "host_ca" })),
        (Method::PATCH, target.clone(), json!({ "legacy_algorithms": true })),
        (Method::PATCH, target.clone(), json!({ "credential_ids": [reachable.credential_id] })),
        (Method::PATCH, target.clone(), json!({ "group_ids": [] })),
        (Method::POST, format!("{target}/host-keys"), json!({ "public_key": KEY, "kind": "host" })),
        (Method::POST, "/admin/targets".to_owned(), new(&[&reachable.credential_id], &[])),
        (Method::POST, "/admin/targets".to_owned(), new(&[], &[&reachable.group_id])),
    ] {
        let answer = limited.call(method.clone(), &path, Some(&body)).await?;
        answer.problem(StatusCode::FORBIDDEN, "beyond_scope").with_context(|| format!("{method} {path} {body}"))?;
    }
    let after = world.admin.get(&target).await?;
    assert_eq!((&after["host"], after["port"].as_u64()), (&host, Some(port)));
    assert_eq!(after["credential_ids"], before["credential_ids"]);
    // What leads no credential astray is theirs.
    limited.patch(&target, &json!({ "description": "seen", "tags": ["x"], "enabled": false })).await?;
    limited.post("/admin/targets", &new(&[], &[])).await?;
    wider.patch(&target, &json!({ "port": other.port })).await?;
    wider.post(&format!("{target}/host-keys"), &json!({ "public_key": KEY, "kind": "host" })).await?;
    wider.post("/admin/targets", &new(&[&reachable.credential_id], &[])).await?;
    Ok(())
}
