//! Webhooks: signed, once for a consumer that looks at the id, and nobody waits for one that is down.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{World, eventually, unique, webhook::Receiver, world::id};
use serde_json::json;

use super::{SOON, arrive, impatient, publish, state_becomes, webhook};

#[tokio::test]
async fn a_webhook_gets_a_signed_cloud_event_of_what_it_asked_for() -> anyhow::Result<()> {
    let world = World::default().await?;
    let receiver = Receiver::start().await?;
    let (id, secret) = webhook(&world.admin, &receiver.url(), &["openpam.user.*"]).await?;
    publish(&world.admin, "build.done", &json!({})).await?;
    let person = world.person(&[], &[]).await?;
    let created = arrive(&receiver, "openpam.user.created", 1).await?.remove(0);
    assert_eq!(created["specversion"], "1.0");
    assert_eq!(created["source"], "openpam/identity");
    assert_eq!(created["subject"], format!("users/{}", person.id));
    assert_eq!(created["data"]["username"], person.username.as_str());
    let event = created["id"].as_str().context("no id")?;
    let message = receiver
        .messages()
        .into_iter()
        .find(|message| message.header("webhook-id") == Some(event))
        .context("the message has the event's id")?;
    message.verify(&secret)?;
    assert_eq!(message.header("content-type"), Some("application/cloudevents+json"));
    let detail = state_becomes(&world.admin, event, "succeeded").await?;
    assert_eq!(detail["deliveries"][0]["webhook_id"], id.as_str());
    assert_eq!(detail["deliveries"][0]["last_status"], 204);
    ensure!(receiver.events("build.done")?.is_empty(), "it did not ask for that");

    // Another secret signs from now on; the first one does not.
    let rotated = world.admin.post(&format!("/admin/webhooks/{id}/secret"), &json!({})).await?;
    let rotated = rotated["secret"].as_str().context("no secret")?;
    let tried = world.admin.post(&format!("/admin/webhooks/{id}/test"), &json!({})).await?;
    ensure!(tried["delivered"] == true && tried["status"] == 204, "{tried}");
    let test = receiver.messages().pop().context("nothing came")?;
    test.verify(rotated)?;
    ensure!(test.verify(&secret).is_err(), "the secret before still signs");
    let listed = world.admin.text("/admin/webhooks").await?;
    ensure!(!listed.contains(&secret) && !listed.contains(rotated), "the secret is shown again");
    Ok(())
}

#[tokio::test]
async fn one_that_is_down_holds_up_no_other_and_its_dead_letters_are_replayed() -> anyhow::Result<()> {
    let world = World::start(impatient()).await?;
    let (down, well) = (Receiver::start().await?, Receiver::start().await?);
    down.silence(true);
    let (dead_id, _) = webhook(&world.admin, &down.url(), &["build.*"]).await?;
    webhook(&world.admin, &well.url(), &["build.*"]).await?;
    let began = tokio::time::Instant::now();
    let mut published = Vec::new();
    for number in 0..20 {
        published.push(publish(&world.admin, "build.done", &json!({ "number": number })).await?);
    }
    arrive(&well, "build.done", 20).await?;
    ensure!(began.elapsed() < SOON, "the one that is well waited {:?}", began.elapsed());

    let failed = eventually("all are dead letters of the other", Duration::from_secs(60), || async {
        let failed = world.admin.list("/events?delivery_state=failed").await?;
        Ok((failed.len() == 20).then_some(failed))
    })
    .await?;
    ensure!(failed.iter().all(|event| event["last_error"] == "it did not answer in time"), "{:?}", failed[0]);
    let detail = world.admin.get(&format!("/events/{}", published[0])).await?;
    let attempts = detail["deliveries"].as_array().context("no deliveries")?.iter();
    let mut attempts = attempts.map(|one| (one["state"].clone(), one["attempts"].clone())).collect::<Vec<_>>();
    attempts.sort_by_key(|(state, _)| state.to_string());
    assert_eq!(attempts, [(json!("failed"), json!(3)), (json!("succeeded"), json!(1))]);

    down.silence(false);
    let one = &published[7];
    world.admin.post(&format!("/events/{one}/replay"), &json!({})).await?;
    state_becomes(&world.admin, one, "succeeded").await?;
    let again = world.admin.call(Method::POST, &format!("/events/{one}/replay"), Some(&json!({}))).await?;
    again.problem(StatusCode::CONFLICT, "nothing_to_replay")?;
    let rest = world.admin.post(&format!("/admin/webhooks/{dead_id}/replay"), &json!({})).await?;
    assert_eq!(rest["deliveries"], 19);
    for event in &published {
        state_becomes(&world.admin, event, "succeeded").await?;
    }
    ensure!(well.events("build.done")?.len() == 20, "the one that had them got them again");
    let trail = world.admin.list("/audit/entries?action=event.replay").await?;
    ensure!(trail.len() == 1, "{trail:?}");

    // Everywhere: whoever is a subscriber now.
    world.admin.post(&format!("/events/{one}/replay"), &json!({ "everywhere": true })).await?;
    arrive(&well, "build.done", 21).await?;
    Ok(())
}

#[tokio::test]
async fn nothing_is_sent_where_it_must_not_go() -> anyhow::Result<()> {
    let world = World::start(impatient()).await?;
    for (url, code) in [
        ("http://169.254.169.254/latest/meta-data", "target_address_refused"),
        ("https://[fe80::1]/", "target_address_refused"),
        ("http://10.0.0.1/", "malformed"),
        ("ftp://example.com/", "malformed"),
        ("https://name:word@example.com/", "malformed"),
    ] {
        let body = json!({ "name": unique("hook"), "url": url, "event_types": ["*"] });
        let answer = world.admin.call(Method::POST, "/admin/webhooks", Some(&body)).await?;
        let problem = answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
        assert_eq!(problem["errors"][0]["code"], code, "{url}");
    }
    let (first, second) = (Receiver::start().await?, Receiver::start().await?);
    first.redirect(&second.url());
    webhook(&world.admin, &first.url(), &["build.done"]).await?;
    let event = publish(&world.admin, "build.done", &json!({})).await?;
    let failed = state_becomes(&world.admin, &event, "failed").await?;
    assert_eq!(failed["deliveries"][0]["last_status"], 307);
    ensure!(second.messages().is_empty(), "the redirect was followed");
    // As a hand in psql might have stored it: judged when it is connected to.
    world.database.by_hand("update webhooks set url = 'https://169.254.169.254/'").await?;
    let event = publish(&world.admin, "build.done", &json!({})).await?;
    let failed = state_becomes(&world.admin, &event, "failed").await?;
    let error = failed["last_error"].as_str().unwrap_or_default();
    ensure!(error.contains("refused"), "{failed}");
    Ok(())
}

#[tokio::test]
async fn over_tls_only_who_has_a_certificate_of_a_known_ca_gets_anything() -> anyhow::Result<()> {
    let (known, unknown) = (Receiver::start_with_tls().await?, Receiver::start_with_tls().await?);
    let mut options = impatient();
    let ca = known.ca_file().context("it has a CA")?;
    options.events.insert("webhook_ca_file", format!("{:?}", ca.display().to_string()));
    let world = World::start(options).await?;
    webhook(&world.admin, &known.url(), &["build.done"]).await?;
    let (forged, _) = webhook(&world.admin, &unknown.url(), &["build.done"]).await?;
    publish(&world.admin, "build.done", &json!({})).await?;
    arrive(&known, "build.done", 1).await?;
    let tried = world.admin.post(&format!("/admin/webhooks/{forged}/test"), &json!({})).await?;
    let error = tried["error"].as_str().unwrap_or_default();
    ensure!(error.contains("certificate"), "{tried}");
    ensure!(unknown.messages().is_empty(), "it was sent something");
    Ok(())
}

#[tokio::test]
async fn unless_it_is_allowed_nothing_is_sent_to_the_hubs_own_machine() -> anyhow::Result<()> {
    let mut options = impatient();
    options.events.remove("webhook_loopback");
    let world = World::start(options).await?;
    let receiver = Receiver::start().await?;
    let of = |url: &str| json!({ "name": unique("hook"), "url": url, "event_types": ["*"] });
    for (url, code) in [
        (receiver.url().as_str(), "target_address_refused"),
        ("https://[::1]/", "target_address_refused"),
        ("http://localhost/", "malformed"),
    ] {
        let answer = world.admin.call(Method::POST, "/admin/webhooks", Some(&of(url))).await?;
        let problem = answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
        assert_eq!(problem["errors"][0]["code"], code, "{url}");
    }
    // A name tells nothing; where it leads to counts, whenever it is connected to.
    let hook = id(&world.admin.post("/admin/webhooks", &of("https://localhost:1/")).await?)?;
    let tried = world.admin.post(&format!("/admin/webhooks/{hook}/test"), &json!({})).await?;
    let error = tried["error"].as_str().unwrap_or_default();
    ensure!(error.contains("the hub's own machine"), "{tried}");
    Ok(())
}

#[tokio::test]
async fn a_webhook_that_is_switched_off_waits_and_one_that_is_removed_leaves_nothing_open() -> anyhow::Result<()> {
    let world = World::start(impatient()).await?;
    let receiver = Receiver::start().await?;
    receiver.answer(500);
    let (id, _) = webhook(&world.admin, &receiver.url(), &["build.done"]).await?;
    let event = publish(&world.admin, "build.done", &json!({})).await?;
    arrive(&receiver, "build.done", 1).await?;
    world.admin.patch(&format!("/admin/webhooks/{id}"), &json!({ "enabled": false })).await?;
    receiver.answer(204);
    let path = format!("/events/{event}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let waiting = world.admin.get(&path).await?;
    ensure!(waiting["delivery_state"] != "succeeded", "it was sent to although it is switched off: {waiting}");
    world.admin.delete(&format!("/admin/webhooks/{id}")).await?;
    let left = state_becomes(&world.admin, &event, "succeeded").await?;
    assert_eq!(left["deliveries"], json!([]));
    Ok(())
}

#[tokio::test]
async fn another_tenants_webhook_gets_nothing() -> anyhow::Result<()> {
    let world = World::default().await?;
    let (_, other) = world.another_tenant().await?;
    let (theirs, ours) = (Receiver::start().await?, Receiver::start().await?);
    webhook(&other, &theirs.url(), &["*"]).await?;
    webhook(&world.admin, &ours.url(), &["*"]).await?;
    publish(&world.admin, "build.done", &json!({})).await?;
    arrive(&ours, "build.done", 1).await?;
    // What comes later through the same hub has come: so would this.
    publish(&other, "build.other", &json!({})).await?;
    arrive(&theirs, "build.other", 1).await?;
    ensure!(theirs.events("build.done")?.is_empty() && ours.events("build.other")?.is_empty());
    Ok(())
}
