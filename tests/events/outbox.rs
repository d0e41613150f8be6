//! What is published, by the hub and by others.

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{World, unique, world::id};
use serde_json::{Value, json};

use super::publish;

async fn events(world: &World, query: &str) -> anyhow::Result<Vec<Value>> {
    world.admin.list(&format!("/events?{query}")).await
}

#[tokio::test]
async fn sessions_and_accounts_are_told_of_with_who_did_it() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&["auditor"], &[&reachable.group_id]).await?;
    let mut terminal = reachable.open(&person.client).await?;
    let session = terminal.session_id();
    terminal.send(&json!({ "type": "disconnect" })).await?;
    world.session_becomes(&session, "completed").await?;

    let told = events(&world, &format!("subject=sessions/{session}")).await?;
    let types = told.iter().map(|event| event["event_type"].as_str().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(types, ["openpam.session.ended", "openpam.session.started"], "newest first: {told:?}");
    for event in &told {
        assert_eq!(event["source"], "openpam/sessions");
        assert_eq!(event["payload"]["user_id"], person.id.as_str());
        assert_eq!(event["payload"]["target_id"], reachable.target_id.as_str());
        assert_eq!(event["context"]["actor"]["id"], person.id.as_str());
    }
    assert_eq!(told[0]["payload"]["status"], "completed");

    world.admin.patch(&format!("/admin/users/{}", person.id), &json!({ "roles": [] })).await?;
    world.admin.patch(&format!("/admin/users/{}", person.id), &json!({ "enabled": false })).await?;
    world.admin.delete(&format!("/admin/users/{}", person.id)).await?;
    let told = events(&world, &format!("subject=users/{}", person.id)).await?;
    let types = told.iter().map(|event| event["event_type"].as_str().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(
        types,
        [
            "openpam.user.deleted",
            "openpam.user.disabled",
            "openpam.user.updated",
            "openpam.user.updated",
            "openpam.user.signed_in",
            "openpam.user.created",
        ]
    );
    assert_eq!(told[3]["payload"]["changed"], json!(["roles"]));
    assert_eq!(told[5]["payload"]["roles"], json!(["auditor"]));
    // Without subscribers there is nothing to do.
    super::state_becomes(&world.admin, told[0]["event_id"].as_str().context("no id")?, "succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn an_act_that_does_not_come_about_tells_nothing() -> anyhow::Result<()> {
    let world = World::default().await?;
    let person = world.person(&[], &[]).await?;
    let before = events(&world, "event_type=openpam.user.").await?.len();
    let body = json!({
        "username": person.username, "display_name": "Again", "email": null, "password": unique("password-long"),
        "roles": [], "group_ids": [],
    });
    let answer = world.admin.call(Method::POST, "/admin/users", Some(&body)).await?;
    answer.problem(StatusCode::CONFLICT, "conflict")?;
    assert_eq!(events(&world, "event_type=openpam.user.").await?.len(), before);
    Ok(())
}

#[tokio::test]
async fn a_repeat_finds_the_first_and_what_is_the_hubs_own_is_refused() -> anyhow::Result<()> {
    let world = World::default().await?;
    let body = |payload: &str| json!({ "event_type": "build.done", "source": "ci", "correlation_id": "run-7", "payload": { "text": payload } });
    let first = world.admin.call(Method::POST, "/events", Some(&body("one"))).await?;
    let first = first.ok(StatusCode::CREATED)?;
    let again = world.admin.call(Method::POST, "/events", Some(&body("two"))).await?;
    let again = again.ok(StatusCode::OK)?;
    assert_eq!((&again["event_id"], &again["payload"]), (&first["event_id"], &json!({ "text": "one" })));
    assert_eq!(events(&world, "source=ci").await?.len(), 1);

    for (event_type, source, field) in [
        ("openpam.session.started", "ci", "event_type"),
        ("openpam.user.created", "ci", "event_type"),
        ("build.done", "openpam/sessions", "source"),
        ("build", "ci", "event_type"),
        ("build.done", "with space", "source"),
    ] {
        let body = json!({ "event_type": event_type, "source": source, "payload": {} });
        let answer = world.admin.call(Method::POST, "/events", Some(&body)).await?;
        let problem = answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let large = json!({ "event_type": "a.b", "source": "ci", "payload": { "text": "x".repeat(40_000) } });
    let answer = world.admin.call(Method::POST, "/events", Some(&large)).await?;
    answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    let told = json!({ "event_type": "a.b", "source": "ci", "payload": {},
                       "context": { "branch": "main", "actor": { "type": "system" } } });
    let told = world.admin.post("/events", &told).await?;
    assert_eq!(told["context"]["branch"], "main");
    assert_eq!(told["context"]["actor"]["type"], "user", "nobody says who they are: {told}");
    // Small on the wire, large in the database.
    let numbers = json!({ "event_type": "a.b", "source": "ci", "payload": { "numbers": vec![1e300; 2_000] } });
    let answer = world.admin.call(Method::POST, "/events", Some(&numbers)).await?;
    answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    Ok(())
}

#[tokio::test]
async fn a_service_account_publishes_with_the_permission_and_reads_only_its_tenant() -> anyhow::Result<()> {
    let world = World::default().await?;
    let account = json!({ "name": unique("program"), "roles": ["admin"] });
    let account = id(&world.admin.post("/admin/service-accounts", &account).await?)?;
    let expires = (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let token = json!({ "name": "t", "scopes": ["event.publish"], "expires_at": expires });
    let token = world.admin.post(&format!("/admin/service-accounts/{account}/tokens"), &token).await?;
    let program = world.admin.with_token(token["token"].as_str().context("no token")?);
    let event = publish(&program, "build.done", &json!({})).await?;
    let answer = program.call(Method::GET, "/events", None).await?;
    answer.problem(StatusCode::FORBIDDEN, "forbidden")?;

    let found = world.admin.get(&format!("/events/{event}")).await?;
    assert_eq!(
        found["context"]["actor"],
        json!({ "type": "service_account", "id": account, "name": found["context"]["actor"]["name"] })
    );
    let (_, other) = world.another_tenant().await?;
    let answer = other.call(Method::GET, &format!("/events/{event}"), None).await?;
    answer.problem(StatusCode::NOT_FOUND, "not_found")?;
    let theirs = other.get("/events?source=suite").await?;
    ensure!(theirs["items"] == json!([]), "{theirs}");
    Ok(())
}

#[tokio::test]
async fn the_types_have_schemas() -> anyhow::Result<()> {
    let world = World::default().await?;
    let types = world.admin.list("/events/types").await?;
    ensure!(types.len() >= 7, "{types:?}");
    for one in types {
        ensure!(one["schema"]["required"].as_array().is_some_and(|required| !required.is_empty()), "{one}");
    }
    Ok(())
}

/// What is announced within a commit has a limit of its own (8,000 bytes); an event may be larger than that.
#[tokio::test]
async fn the_longest_event_that_there_can_be_is_published() -> anyhow::Result<()> {
    let world = World::default().await?;
    let event = json!({
        "event_type": format!("a{}", ".bcd".repeat(31)),
        "source": "s".repeat(200),
        "subject": "x".repeat(200),
        "correlation_id": unique("longest"),
        "payload": { "user_id": uuid::Uuid::nil().to_string(), "text": "y".repeat(30_000) },
    });
    let published = world.admin.post("/events", &event).await?;
    assert_eq!(published["event_type"], event["event_type"]);
    super::state_becomes(&world.admin, published["event_id"].as_str().context("no id")?, "succeeded").await?;
    Ok(())
}
