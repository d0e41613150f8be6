//! Every operation of the OpenAPI document as a stranger, as someone without rights, and as an
//! administrator of another tenant.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{Answer, Client, World, unique, world::id};
use serde_json::{Value, json};

/// One operation of the document.
struct Operation {
    method: Method,
    path: String,
    access: String,
}

async fn operations(client: &Client) -> anyhow::Result<Vec<Operation>> {
    let answer = client.send(client.request(Method::GET, "/api/openapi.json")).await?;
    let document = answer.ok(StatusCode::OK)?;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().context("no paths")? {
        for (method, operation) in item.as_object().context("a path is no object")? {
            let access = operation["x-openpam-access"]
                .as_str()
                .with_context(|| format!("{method} {path} has no access rule"))?;
            found.push(Operation {
                method: method.to_uppercase().parse()?,
                path: path.clone(),
                access: access.to_owned(),
            });
        }
    }
    ensure!(found.len() > 30, "the document has only {} operations", found.len());
    Ok(found)
}

/// The path with ids of things that exist in the first tenant, by the collection they stand in.
fn fill(path: &str, ids: &BTreeMap<&str, String>) -> String {
    let nobody = uuid::Uuid::nil().to_string();
    let mut filled = Vec::new();
    let mut collection = "";
    for segment in path.split('/') {
        if segment.starts_with('{') {
            let key = match (segment, collection) {
                ("{target_id}", _) => "targets",
                ("{id}", "sessions") if path.starts_with("/api/v1/auth/") => "sign-ins",
                _ => collection,
            };
            filled.push(ids.get(key).unwrap_or(&nobody).clone());
        } else {
            collection = segment;
            filled.push(segment.to_owned());
        }
    }
    filled.join("/")
}

async fn ask(client: &Client, operation: &Operation, path: &str) -> anyhow::Result<Answer> {
    let mut request = client.request(operation.method.clone(), path);
    if !matches!(operation.method, Method::GET | Method::DELETE) {
        request = request.json(&json!({}));
    }
    if path.starts_with("/api/ws/") {
        request = request
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", "openpam.terminal.v1");
    }
    client.send(request).await
}

/// A tenant with one of everything.
async fn things(world: &World) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let terminal = reachable.open(&person.client).await?;
    let account =
        id(&world.admin.post("/admin/service-accounts", &json!({ "name": unique("sa"), "roles": [] })).await?)?;
    let token = json!({ "name": "t", "scopes": [], "expires_at": (chrono::Utc::now() + chrono::TimeDelta::days(30)).to_rfc3339() });
    let token = world.admin.post(&format!("/admin/service-accounts/{account}/tokens"), &token).await?;
    let target = world.admin.get(&format!("/admin/targets/{}", reachable.target_id)).await?;
    let sign_ins = world.admin.list("/auth/sessions").await?;
    let sign_in = sign_ins.iter().find(|one| one["current"] == true).context("the administrator is not signed in")?;
    let event = json!({ "event_type": "build.done", "source": "suite", "payload": {} });
    let event = world.admin.post("/events", &event).await?;
    let hook = json!({ "name": unique("hook"), "url": "https://hook.invalid/", "event_types": ["nothing.at_all"] });
    let hook = id(&world.admin.post("/admin/webhooks", &hook).await?)?;
    let site = id(&world.admin.post("/admin/sites", &json!({ "name": unique("s"), "code": unique("S") })).await?)?;
    Ok(BTreeMap::from([
        ("targets", reachable.target_id.clone()),
        ("credentials", reachable.credential_id.clone()),
        ("groups", reachable.group_id.clone()),
        ("members", person.id.clone()),
        ("users", person.id.clone()),
        ("sessions", terminal.session_id()),
        ("sign-ins", id(sign_in)?),
        ("zones", id(&json!({ "id": target["zone_id"] }))?),
        ("sites", site),
        ("service-accounts", account),
        ("tokens", id(&token)?),
        ("host-keys", id(&target["host_keys"][0])?),
        ("events", event["event_id"].as_str().context("no event_id")?.to_owned()),
        ("webhooks", hook),
    ]))
}

#[tokio::test]
async fn every_operation_refuses_a_stranger_unless_it_is_public() -> anyhow::Result<()> {
    let world = World::default().await?;
    let ids = things(&world).await?;
    let stranger = world.admin.stranger();
    let mut wrong = Vec::new();
    for operation in operations(&world.admin).await?.iter().filter(|operation| operation.access != "public") {
        for client in [&stranger, &stranger.with_token("opat_not_a_token"), &stranger.with_origin(None)] {
            let answer = ask(client, operation, &fill(&operation.path, &ids)).await?;
            if answer.problem(StatusCode::UNAUTHORIZED, "unauthenticated").is_err() {
                wrong.push(format!("{}: {} {}", answer.asked, answer.status, answer.text));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn every_operation_with_a_permission_refuses_someone_without_it() -> anyhow::Result<()> {
    let world = World::default().await?;
    let ids = things(&world).await?;
    let person = world.person(&[], &[]).await?;
    let mut wrong = Vec::new();
    for operation in operations(&world.admin).await? {
        if matches!(operation.access.as_str(), "public" | "signed_in") {
            continue;
        }
        let answer = ask(&person.client, &operation, &fill(&operation.path, &ids)).await?;
        if answer.problem(StatusCode::FORBIDDEN, "forbidden").is_err() {
            wrong.push(format!("{}: {} {}", answer.asked, answer.status, answer.text));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Signing out, renewing one's sign-in and changing one's own password are about oneself, not about ids. The stream
/// has no end: tests/events reads it.
const ABOUT_ONESELF: &[&str] =
    &["/api/v1/auth/logout", "/api/v1/auth/password", "/api/v1/auth/refresh", "/api/v1/events/stream"];

#[tokio::test]
async fn no_operation_shows_or_changes_the_things_of_another_tenant() -> anyhow::Result<()> {
    let world = World::default().await?;
    let ids = things(&world).await?;
    let (_, other) = world.another_tenant().await?;
    let mut wrong = Vec::new();
    for operation in operations(&world.admin).await? {
        if operation.access == "public" || ABOUT_ONESELF.contains(&operation.path.as_str()) {
            continue;
        }
        let path = fill(&operation.path, &ids);
        let answer = ask(&other, &operation, &path).await?;
        let hidden = ids.values().filter(|id| !path.contains(id.as_str())).all(|id| !answer.text.contains(id.as_str()));
        let refused = !operation.path.contains('{') || !answer.status.is_success();
        let kind = answer.status.is_server_error();
        if !hidden || !refused || kind {
            wrong.push(format!("{}: {} {}", answer.asked, answer.status, answer.text));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    for path in ABOUT_ONESELF {
        let known = operations(&world.admin).await?.iter().any(|operation| operation.path == *path);
        ensure!(known, "{path} is skipped, and is not there");
    }
    // Nothing was changed either: everything is still there for its own tenant, and its administrator, whose sign-in the
    // other one tried to end, is still signed in.
    for path in ["targets", "credentials", "groups", "users", "zones", "sites", "service-accounts", "webhooks"] {
        world.admin.get(&format!("/admin/{path}/{}", ids[path])).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_list_is_paged_without_gaps_and_refuses_a_bad_page() -> anyhow::Result<()> {
    let world = World::default().await?;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(world.zone().await?);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.admin.get(&format!("/admin/zones?limit=3{cursor}")).await?;
        let items = page["items"].as_array().context("no items")?;
        ensure!(items.len() <= 3, "more than asked for: {page}");
        seen.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    made.sort();
    assert_eq!(seen, made);
    for query in ["limit=0", "limit=201", "limit=x", "cursor=@@", "cursor=e30"] {
        let answer = world.admin.call(Method::GET, &format!("/admin/zones?{query}"), None::<&Value>).await?;
        answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    }
    Ok(())
}

#[tokio::test]
async fn everyone_may_know_which_role_gives_what() -> anyhow::Result<()> {
    let world = World::default().await?;
    let person = world.person(&[], &[]).await?;
    let known = person.client.get("/permissions").await?;
    let auditor = world.person(&["auditor"], &[]).await?;
    let own = auditor.client.get("/auth/me").await?["permissions"].clone();
    let given = known["items"]
        .as_array()
        .context("no permissions")?
        .iter()
        .filter(|permission| permission["roles"].as_array().is_some_and(|roles| roles.contains(&json!("auditor"))));
    let mut given = given.map(|permission| permission["name"].clone()).collect::<Vec<_>>();
    let mut own = own.as_array().context("no permissions of one's own")?.clone();
    given.sort_by_key(Value::to_string);
    own.sort_by_key(Value::to_string);
    ensure!(given == own && !own.is_empty(), "the list says {given:?}, an auditor has {own:?}");
    Ok(())
}
