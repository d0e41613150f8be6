//! Images of rows through the API: what an act changed, a row's history, changes by hand.

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{World, eventually, unique};
use serde_json::{Value, json};

#[tokio::test]
async fn images_of_rows_are_given_to_auditors_without_secrets() -> anyhow::Result<()> {
    let world = World::default().await?;
    let auditor = world.person(&["auditor"], &[]).await?.client;
    let (name, password) = (unique("person"), unique("planted-password"));
    let made = json!({ "username": name, "display_name": "Ada", "password": password, "roles": [], "group_ids": [] });
    let id = world.admin.post("/admin/users", &made).await?["id"].as_str().context("no id")?.to_owned();
    world.admin.patch(&format!("/admin/users/{id}"), &json!({ "display_name": "Grace" })).await?;

    // What an act changed.
    let entries = auditor.list(&format!("/audit/entries?action=user.update&object_id={id}")).await?;
    let event = entries[0]["id"].as_str().context("no id")?;
    let changes = auditor.get(&format!("/audit/events/{event}/changes")).await?;
    let change = changes["items"].as_array().and_then(|items| items.iter().find(|item| item["table"] == "users"));
    let change = change.with_context(|| format!("no image of the account: {changes}"))?;
    assert_eq!((&change["operation"], &change["row_id"]), (&json!("update"), &json!(id)), "{changes}");
    assert_eq!((&change["before"]["display_name"], &change["after"]["display_name"]), (&json!("Ada"), &json!("Grace")));
    ensure!(change["actor"].as_str().is_some_and(|actor| actor.starts_with("user:")), "{change}");
    ensure!(changes["more"] == false && change["after"].get("password_hash").is_none(), "{changes}");

    // A row's history, page by page, the last first.
    let path = format!("/audit/changes?table=users&row_id={id}");
    let all = auditor.list(&path).await?;
    let operations = all.iter().filter_map(|change| change["operation"].as_str()).collect::<Vec<_>>();
    ensure!(operations.first() == Some(&"update") && operations.last() == Some(&"insert"), "{operations:?}");
    ensure!(all.last().is_some_and(|first| first["before"].is_null()), "an insertion has a row before: {all:?}");
    let page = auditor.get(&format!("{path}&limit=1")).await?;
    let next = page["next_cursor"].as_str().context("no next page")?;
    let second = auditor.get(&format!("{path}&limit=1&cursor={next}")).await?;
    // A place may have come meanwhile.
    assert_eq!((&page["items"][0]["id"], &second["items"][0]["id"]), (&all[0]["id"], &all[1]["id"]));
    ensure!(!json!(all).to_string().contains("$argon2"), "an image has a hash");

    // The entry of the ledger has them too.
    let seq = eventually("the change has its place", std::time::Duration::from_secs(10), || async {
        Ok(auditor.list(&path).await?[0]["seq"].as_u64())
    })
    .await?;
    let entry = auditor.get(&format!("/audit/entries/{seq}")).await?;
    assert_eq!((&entry["kind"], &entry["row_change"]["id"]), (&json!("row_change"), &all[0]["id"]), "{entry}");
    assert_eq!(entry["row_change"]["after"]["display_name"], "Grace");

    // By hand in the database.
    // What the owner's commands did is told too: here the first administrator was made.
    let commands = auditor.list("/audit/changes?by_hand=true").await?;
    ensure!(commands.iter().all(|change| change["database_user"] == "openpam_owner"), "{commands:?}");
    world.database.by_hand(&format!("update users set display_name = 'Mallory' where user_id = '{id}'")).await?;
    let by_hand = auditor.list("/audit/changes?by_hand=true").await?;
    ensure!(by_hand.len() == commands.len() + 1 && by_hand[0]["actor"].is_null(), "{by_hand:?}");
    assert_eq!(
        (&by_hand[0]["database_user"], &by_hand[0]["after"]["display_name"]),
        (&json!("postgres"), &json!("Mallory"))
    );

    // Who may not read the trail, another tenant, and what names no row.
    let (_, other) = world.another_tenant().await?;
    let answer = other.call(Method::GET, &format!("/audit/events/{event}/changes"), None::<&Value>).await?;
    answer.problem(StatusCode::NOT_FOUND, "not_found")?;
    ensure!(other.list(&path).await?.is_empty(), "another tenant sees the row");
    ensure!(other.list("/audit/changes?by_hand=true").await?.iter().all(|change| change["row_id"] != json!(id)));
    let nobody = world.person(&[], &[]).await?.client;
    nobody.call(Method::GET, &path, None::<&Value>).await?.problem(StatusCode::FORBIDDEN, "forbidden")?;
    for query in ["", "?table=users", "?by_hand=false", "?by_hand=true&table=users&row_id=x"] {
        let answer = auditor.call(Method::GET, &format!("/audit/changes{query}"), None::<&Value>).await?;
        answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    }
    Ok(())
}
