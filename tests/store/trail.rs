//! Every mutating call leaves an audit event and the images of what it changed, found by the
//! request id of its answer.

use anyhow::{Context as _, ensure};
use http::Method;
use openpam_tests::{Answer, World, unique, world::id};
use serde_json::{Value, json};
use sqlx::{PgConnection, Row as _};

/// What one request left behind.
struct Trace {
    actions: Vec<String>,
    tables: Vec<String>,
}

async fn trace(connection: &mut PgConnection, answer: &Answer) -> anyhow::Result<Trace> {
    let request_id = answer.headers.get("x-request-id").context("an answer without x-request-id")?.to_str()?;
    let actions = sqlx::query("select action || ' ' || actor_name from audit_events where request_id = $1")
        .bind(request_id)
        .fetch_all(&mut *connection)
        .await?;
    let tables = sqlx::query("select distinct table_name || ' ' || operation from row_changes where request_id = $1")
        .bind(request_id)
        .fetch_all(connection)
        .await?;
    let texts = |rows: Vec<sqlx::postgres::PgRow>| rows.iter().map(|row| row.get(0)).collect();
    Ok(Trace { actions: texts(actions), tables: texts(tables) })
}

/// One step of the story: method, path, body, and the table whose image must be there.
type Step<'a> = (Method, String, Value, Option<&'a str>);

async fn walk(world: &World, connection: &mut PgConnection, steps: Vec<Step<'_>>) -> anyhow::Result<()> {
    for (method, path, body, table) in steps {
        let body = (!body.is_null()).then_some(&body);
        let answer = world.admin.call(method, &path, body).await?;
        answer.success()?;
        let left = trace(connection, &answer).await?;
        ensure!(!left.actions.is_empty(), "{} left no audit event", answer.asked);
        ensure!(left.actions.iter().all(|action| action.ends_with(" admin")), "{}: {:?}", answer.asked, left.actions);
        if let Some(table) = table {
            ensure!(
                left.tables.iter().any(|name| name == table),
                "{}: expected an image of {table}, got {:?}",
                answer.asked,
                left.tables
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_mutating_call_leaves_an_audit_event_and_images() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let mut connection = world.database.as_tenant(tenant).await?;
    let (post, patch, delete, put) = (Method::POST, Method::PATCH, Method::DELETE, Method::PUT);
    let person = world.person(&[], &[]).await?;
    let (group, zone) = (world.group().await?, world.zone().await?);
    let spare = world.zone().await?;
    let server = world.stack.password_target();
    let credential = world.credential("password", "root", &json!({ "password": unique("planted") })).await?;
    let target = world.target(&server.host, server.port, &group, &[&credential]).await?;
    let account = id(&world
        .admin
        .post("/admin/service-accounts", &json!({ "name": unique("sa"), "roles": ["auditor"] }))
        .await?)?;
    let public_key = openpam_tests::stack::read_trimmed(&server.host_keys["ed25519"])?;
    let password = unique("password");
    let hook = |name: &str| json!({ "name": name, "url": "https://hook.invalid/", "event_types": ["nothing.at_all"] });
    let webhook = id(&world.admin.post("/admin/webhooks", &hook("first")).await?)?;
    let told = json!({ "event_type": "build.done", "source": "suite", "payload": {} });
    let event = world.admin.post("/events", &told).await?["event_id"].as_str().context("no event_id")?.to_owned();
    walk(
        &world,
        &mut connection,
        vec![
            (post.clone(), "/admin/zones".into(), json!({ "name": unique("z"), "type": "hub" }), Some("zones insert")),
            (patch.clone(), format!("/admin/zones/{zone}"), json!({ "description": "changed" }), Some("zones update")),
            (delete.clone(), format!("/admin/zones/{spare}"), Value::Null, Some("zones delete")),
            (post.clone(), "/admin/sites".into(), json!({ "name": unique("s"), "code": unique("S") }), Some("sites insert")),
            (post.clone(), "/admin/groups".into(), json!({ "name": unique("g"), "roles": [] }), Some("groups insert")),
            (patch.clone(), format!("/admin/groups/{group}"), json!({ "description": "changed" }), Some("groups update")),
            (put.clone(), format!("/admin/groups/{group}/members/{}", person.id), Value::Null, Some("group_memberships insert")),
            (delete.clone(), format!("/admin/groups/{group}/members/{}", person.id), Value::Null, Some("group_memberships delete")),
            (
                post.clone(),
                "/admin/users".into(),
                json!({ "username": unique("u"), "display_name": "U", "password": password, "roles": [], "group_ids": [] }),
                Some("users insert"),
            ),
            (patch.clone(), format!("/admin/users/{}", person.id), json!({ "display_name": "Changed" }), Some("users update")),
            (post.clone(), format!("/admin/users/{}/password", person.id), json!({ "password": password }), None),
            (post.clone(), format!("/admin/users/{}/unlock", person.id), Value::Null, None),
            (delete.clone(), format!("/admin/users/{}/sessions", person.id), Value::Null, None),
            (patch.clone(), format!("/admin/service-accounts/{account}"), json!({ "description": "changed" }), Some("service_accounts update")),
            (
                post.clone(),
                format!("/admin/service-accounts/{account}/tokens"),
                json!({ "name": "t", "scopes": [], "expires_at": (chrono::Utc::now() + chrono::TimeDelta::days(30)).to_rfc3339() }),
                Some("api_tokens insert"),
            ),
            (patch.clone(), format!("/admin/targets/{target}"), json!({ "description": "changed" }), Some("targets update")),
            (post.clone(), format!("/admin/targets/{target}/scan"), json!({}), None),
            (
                post.clone(),
                format!("/admin/targets/{target}/host-keys"),
                json!({ "public_key": public_key, "kind": "host" }),
                Some("target_host_keys insert"),
            ),
            (post.clone(), format!("/admin/targets/{target}/test"), json!({}), None),
            (patch.clone(), format!("/admin/credentials/{credential}"), json!({ "description": "changed" }), Some("credentials update")),
            (put.clone(), format!("/admin/credentials/{credential}/secret"), json!({ "secret": { "password": unique("planted") } }), None),
            (patch.clone(), "/admin/settings".into(), json!({ "motd": "hello" }), Some("settings ")),
            (post.clone(), "/admin/webhooks".into(), hook("second"), Some("webhooks insert")),
            (patch.clone(), format!("/admin/webhooks/{webhook}"), json!({ "description": "changed" }), Some("webhooks update")),
            (post.clone(), format!("/admin/webhooks/{webhook}/secret"), json!({}), Some("webhooks update")),
            (post.clone(), format!("/admin/webhooks/{webhook}/test"), json!({}), None),
            (post.clone(), format!("/admin/webhooks/{webhook}/replay"), json!({}), None),
            (delete.clone(), format!("/admin/webhooks/{webhook}"), Value::Null, Some("webhooks delete")),
            (post.clone(), "/events".into(), told, None),
            (post.clone(), format!("/events/{event}/replay"), json!({ "everywhere": true }), None),
            (delete.clone(), format!("/admin/targets/{target}"), Value::Null, Some("targets delete")),
            (delete.clone(), format!("/admin/credentials/{credential}"), Value::Null, Some("credentials delete")),
            (delete.clone(), format!("/admin/service-accounts/{account}"), Value::Null, Some("service_accounts delete")),
            (delete.clone(), format!("/admin/groups/{group}"), Value::Null, Some("groups delete")),
            (delete, format!("/admin/users/{}", person.id), Value::Null, Some("users delete")),
        ]
        .into_iter()
        // The first change of settings may insert the row or change it.
        .map(|(method, path, body, table)| (method, path, body, table.filter(|name| !name.ends_with(' '))))
        .collect(),
    )
    .await?;
    let keys = sqlx::query(
        "select distinct key from row_changes, jsonb_object_keys(coalesce(after_image, before_image)) key
         where key ~ 'hash|secret|password|private'",
    )
    .fetch_all(&mut connection)
    .await?;
    ensure!(
        keys.is_empty(),
        "images have the columns {:?}",
        keys.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>()
    );
    Ok(())
}

#[tokio::test]
async fn a_refused_change_leaves_no_row_and_no_image() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let mut connection = world.database.as_tenant(tenant).await?;
    let person = world.person(&[], &[]).await?;
    let body = json!({ "name": unique("z"), "type": "hub" });
    let answer = person.client.call(Method::POST, "/admin/zones", Some(&body)).await?;
    answer.problem(http::StatusCode::FORBIDDEN, "forbidden")?;
    ensure!(trace(&mut connection, &answer).await?.tables.is_empty(), "a refused call changed rows");
    let zones: i64 = sqlx::query("select count(*) from zones").fetch_one(&mut connection).await?.get(0);
    assert_eq!(zones, 0);
    Ok(())
}

/// The newest entry of an action.
async fn newest(world: &World, action: &str) -> anyhow::Result<serde_json::Value> {
    let entries = world.admin.list(&format!("/audit/entries?action={action}")).await?;
    entries.into_iter().next().with_context(|| format!("no {action} in the trail"))
}

#[tokio::test]
async fn a_change_is_told_from_what_to_what_by_name() -> anyhow::Result<()> {
    let world = World::default().await?;
    let changes = async |action: &str| anyhow::Ok(newest(&world, action).await?["detail"]["changes"].clone());
    let person = world.person(&["auditor"], &[]).await?;
    let name = unique("group");
    let group = id(&world.admin.post("/admin/groups", &json!({ "name": name, "roles": [] })).await?)?;
    let change = json!({ "display_name": "Other", "email": "o@example.com", "roles": [], "group_ids": [group], "enabled": false });
    world.admin.patch(&format!("/admin/users/{}", person.id), &change).await?;
    let told = changes("user.update").await?;
    assert_eq!(told["roles"], json!([["auditor"], []]), "{told}");
    assert_eq!(told["enabled"], json!([true, false]), "{told}");
    assert_eq!(told["groups"], json!([[], [name]]), "{told}");
    assert_eq!((&told["display_name"][1], &told["email"][1]), (&json!("Other"), &json!("o@example.com")), "{told}");
    ensure!(told.get("username").is_none(), "what stayed is told as changed: {told}");

    world.admin.patch(&format!("/admin/groups/{group}"), &json!({ "roles": ["operator"] })).await?;
    assert_eq!(changes("group.update").await?, json!({ "roles": [[], ["operator"]] }));
    // What they have through the group already is given to them, too: it stays when they leave the group.
    world.admin.patch(&format!("/admin/users/{}", person.id), &json!({ "roles": ["operator"] })).await?;
    assert_eq!(changes("user.update").await?, json!({ "roles": [[], ["operator"]] }));
    let site = unique("site");
    let site_id = id(&world.admin.post("/admin/sites", &json!({ "name": site, "code": unique("S") })).await?)?;
    world.admin.patch(&format!("/admin/sites/{site_id}"), &json!({ "description": "new" })).await?;
    assert_eq!(changes("site.update").await?, json!({ "description": ["", "new"] }));
    let zone = world.zone().await?;
    world.admin.patch(&format!("/admin/zones/{zone}"), &json!({ "type": "satellite", "site_id": site_id })).await?;
    assert_eq!(changes("zone.update").await?, json!({ "type": ["hub", "satellite"], "site": [null, site] }));
    world.admin.patch("/admin/settings", &json!({ "motd": "hello" })).await?;
    assert_eq!(changes("settings.update").await?, json!({ "motd": [null, "hello"] }));
    let credential = world.credential("password", "root", &json!({ "password": unique("planted") })).await?;
    world.admin.patch(&format!("/admin/credentials/{credential}"), &json!({ "username": "admin" })).await?;
    assert_eq!(changes("credential.update").await?, json!({ "username": ["root", "admin"] }));
    Ok(())
}

#[tokio::test]
async fn the_trail_says_who_could_reach_a_machine_and_what_a_test_came_to() -> anyhow::Result<()> {
    let world = World::default().await?;
    let group = |name: &str| json!({ "name": name, "roles": [] });
    let [one, two] = [unique("one"), unique("two")];
    let ids = [
        id(&world.admin.post("/admin/groups", &group(&one)).await?)?,
        id(&world.admin.post("/admin/groups", &group(&two)).await?)?,
    ];
    let credential = world.credential("password", "x", &json!({ "password": "planted-wrong" })).await?;
    let target = world.target("127.0.0.1", 1, &ids[0], &[&credential]).await?;
    assert_eq!(newest(&world, "target.create").await?["detail"]["groups_added"], json!([one]));
    let path = format!("/admin/targets/{target}");
    world.admin.patch(&path, &json!({ "group_ids": [ids[1]], "reason_required": true, "port": 2 })).await?;
    let entry = newest(&world, "target.update").await?;
    let expected = json!({ "address_changed": true, "groups_added": [two], "groups_removed": [one],
                           "changes": { "address": ["127.0.0.1:1", "127.0.0.1:2"], "reason_required": [false, true] } });
    assert_eq!(entry["detail"], expected, "{entry}");
    world.admin.patch(&path, &json!({ "description": "only this" })).await?;
    let expected = json!({ "address_changed": false, "changes": { "description": ["", "only this"] } });
    assert_eq!(newest(&world, "target.update").await?["detail"], expected);
    let person = world.person(&[], &[]).await?;
    world.admin.put(&format!("/admin/groups/{}/members/{}", ids[1], person.id), None).await?;
    assert_eq!(newest(&world, "group.member_add").await?["detail"]["user"], person.username.as_str());

    let result = world.admin.post(&format!("{path}/test"), &json!({ "credential_id": credential })).await?;
    assert_eq!(result["ok"], false, "{result}");
    let entry = newest(&world, "target.test.result").await?;
    assert_eq!((&entry["outcome"], &entry["detail"]["stage"]), (&json!("failure"), &json!("connect")), "{entry}");
    assert_eq!(
        (&entry["detail"]["code"], &entry["detail"]["credential_id"]),
        (&json!("target_refused"), &json!(credential))
    );
    Ok(())
}

#[tokio::test]
async fn the_credentials_of_a_target_keep_their_order() -> anyhow::Result<()> {
    let world = World::default().await?;
    let group = world.group().await?;
    let mut credentials = Vec::new();
    for _ in 0..3 {
        credentials.push(world.credential("password", "x", &json!({ "password": "planted-x" })).await?);
    }
    let person = world.person(&[], &[&group]).await?;
    let target = world.target("192.0.2.1", 22, &group, &[]).await?;
    for order in [[2, 0, 1], [1, 2, 0], [0, 1, 2]] {
        let wanted = order.map(|place| credentials[place].clone());
        world.admin.patch(&format!("/admin/targets/{target}"), &json!({ "credential_ids": wanted })).await?;
        let admin = world.admin.get(&format!("/admin/targets/{target}")).await?;
        assert_eq!(admin["credential_ids"], json!(wanted), "{admin}");
        let offered = person.client.get(&format!("/targets/{target}")).await?;
        let offered = offered["credentials"].as_array().context("no credentials")?.iter().map(|it| it["id"].clone());
        assert_eq!(offered.collect::<Vec<_>>(), wanted.map(serde_json::Value::from));
    }
    Ok(())
}
