//! A hub or PostgreSQL that is killed in the middle of load: what was acknowledged arrives, once for who looks at the
//! id.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use openpam_tests::{HubOptions, Stack, World, eventually, postgres::OwnPostgres, webhook::Receiver};
use serde_json::{Value, json};

use super::{publish_until_it_fails, webhook};

/// How often the hub is killed.
const ROUNDS: usize = 3;

#[tokio::test]
async fn whenever_a_hub_is_killed_every_acknowledged_event_arrives() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    for (key, value) in [("webhook_timeout_seconds", 1), ("retry_base_seconds", 1), ("retry_max_seconds", 2)] {
        options.events.insert(key, value.to_string());
    }
    let mut world = World::start(options).await?;
    let receiver = Receiver::start().await?;
    webhook(&world.admin, &receiver.url(), &["load.*"]).await?;
    let mut acknowledged = BTreeMap::<String, u64>::new();
    for round in 0..ROUNDS {
        let client = world.admin.at(world.hub.url());
        let loading = tokio::spawn(publish_until_it_fails(client, round));
        tokio::time::sleep(Duration::from_millis(700 + 300 * round as u64)).await;
        world.hub.kill().await?;
        let made = loading.await?;
        ensure!(made.len() > 5, "only {} events were published", made.len());
        acknowledged.extend(made);
        world.hub = world.another_hub().await?;
    }
    let (all, again) = arrive_all(&receiver, &acknowledged).await?;
    println!("{} acknowledged, {all} arrived, {again} of them again, {ROUNDS} hubs killed", acknowledged.len());
    Ok(())
}

#[tokio::test]
async fn whenever_postgresql_is_killed_every_acknowledged_event_arrives() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let mut postgres = OwnPostgres::start(&stack).await?;
    let mut options = HubOptions::default();
    for (key, value) in [("webhook_timeout_seconds", 1), ("retry_base_seconds", 1), ("retry_max_seconds", 2)] {
        options.events.insert(key, value.to_string());
    }
    let world = World::start_with(postgres.in_stack(&stack), options).await?;
    let receiver = Receiver::start().await?;
    webhook(&world.admin, &receiver.url(), &["load.*"]).await?;
    let client = world.admin.at(world.hub.url());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let loading = tokio::spawn(async move {
        let mut stopped = stopped;
        let (mut made, mut refused) = (Vec::new(), 0_u64);
        for number in 0_u64.. {
            if stopped.try_recv().is_ok() {
                break;
            }
            let body = json!({ "event_type": "load.test", "source": "suite", "payload": { "number": number } });
            // An answer that is none acknowledges nothing; the hub lives on.
            match client.post("/events", &body).await {
                Ok(event) => made.push((event["event_id"].as_str().unwrap_or_default().to_owned(), number)),
                Err(_) => {
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        (made, refused)
    });
    for round in 0..ROUNDS {
        tokio::time::sleep(Duration::from_millis(700 + 300 * round as u64)).await;
        postgres.kill().await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        postgres.start_again().await?;
        eventually("events are taken again", Duration::from_secs(60), || async {
            let body = json!({ "event_type": "after.test", "source": "suite", "payload": {} });
            Ok(world.admin.post("/events", &body).await.ok())
        })
        .await?;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.send(()).ok().context("the load ended by itself")?;
    let (made, refused) = loading.await?;
    ensure!(made.len() > 50 && refused > 0, "{} were acknowledged, {refused} refused", made.len());
    let acknowledged = made.into_iter().collect::<BTreeMap<_, _>>();
    let (all, again) = arrive_all(&receiver, &acknowledged).await?;
    println!("{} acknowledged, {refused} refused, {all} arrived, {again} of them again", acknowledged.len());
    Ok(())
}

/// Waits until all that was acknowledged has arrived, and looks at it; how many arrived, and how often again.
async fn arrive_all(receiver: &Receiver, acknowledged: &BTreeMap<String, u64>) -> anyhow::Result<(usize, usize)> {
    let wanted = acknowledged.keys().cloned().collect::<BTreeSet<_>>();
    // What a hub had taken when it died is taken over after its lease.
    let events = eventually("all arrive", Duration::from_secs(90), || async {
        let events = receiver.events("load.test")?;
        let ids = events.iter().filter_map(|event| event["id"].as_str().map(str::to_owned)).collect::<BTreeSet<_>>();
        Ok(wanted.is_subset(&ids).then_some(events))
    })
    .await?;
    let mut by_id = BTreeMap::<String, Value>::new();
    for event in &events {
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        if let Some(before) = by_id.insert(id.clone(), event["data"].clone()) {
            ensure!(before == event["data"], "{id} is not the same the second time");
        }
    }
    for (id, number) in acknowledged {
        ensure!(by_id[id]["number"] == json!(number), "{id} tells something else: {}", by_id[id]);
    }
    // For a consumer that looks at the id, no fact is there twice.
    let numbers = by_id.values().map(|data| data["number"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!(numbers.len(), by_id.len(), "a fact has two ids");
    Ok((by_id.len(), events.len() - by_id.len()))
}
