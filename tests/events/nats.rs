//! NATS JetStream: every event is in the stream, once, whoever is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use async_nats::jetstream::{
    self,
    consumer::{PullConsumer, pull},
};
use futures::StreamExt as _;
use openpam_tests::{HubOptions, Stack, World, eventually, nats::OwnNats};
use serde_json::{Value, json};

use super::{impatient, publish, publish_until_it_fails, state_becomes};

/// What the doctor says of NATS: state and message.
async fn doctor(world: &World) -> anyhow::Result<(String, String)> {
    let config = world.hub.folder().join("hub.toml");
    let mut doctor = tokio::process::Command::new(openpam_tests::hub::binary()?);
    let said = doctor.args(["doctor", "--json", "--config"]).arg(config).output().await?.stdout;
    let report: Value = serde_json::from_slice(&said)?;
    let check = report["checks"].as_array().context("no checks")?.iter().find(|check| check["name"] == "nats");
    let text = |field: &str| check.and_then(|check| check[field].as_str()).unwrap_or_default().to_owned();
    Ok((text("state"), text("message")))
}

const STREAM: &str = "OPENPAM_EVENTS";

async fn stream(nats: &OwnNats) -> anyhow::Result<jetstream::stream::Stream> {
    Ok(jetstream::new(nats.client().await?).get_stream(STREAM).await?)
}

/// A consumer that the server remembers.
async fn consumer(nats: &OwnNats, filter: &str) -> anyhow::Result<PullConsumer> {
    let config = pull::Config {
        durable_name: Some("suite".to_owned()),
        filter_subject: filter.to_owned(),
        ack_wait: Duration::from_secs(2),
        ..pull::Config::default()
    };
    Ok(stream(nats).await?.get_or_create_consumer("suite", config).await?)
}

/// What a consumer took: how often each id came, and what it says.
#[derive(Default)]
struct Taken {
    events: BTreeMap<String, Value>,
    messages: usize,
    subjects: BTreeSet<String>,
}

impl Taken {
    /// Takes what is there within a moment, and says so to the server.
    async fn take(&mut self, consumer: &PullConsumer) -> anyhow::Result<()> {
        let mut batch = consumer.fetch().max_messages(500).expires(Duration::from_millis(500)).messages().await?;
        while let Some(message) = batch.next().await {
            let message = message.map_err(|error| anyhow::anyhow!("{error}"))?;
            let event: Value = serde_json::from_slice(&message.payload)?;
            let id = event["id"].as_str().context("no id")?.to_owned();
            let headers = message.headers.as_ref().context("no headers")?;
            ensure!(headers.get("Nats-Msg-Id").is_some_and(|known| known.as_str() == id), "{headers:?}");
            ensure!(headers.get("content-type").is_some_and(|kind| kind.as_str() == "application/cloudevents+json"));
            if let Some(before) = self.events.insert(id.clone(), event.clone()) {
                ensure!(before == event, "{id} is not the same the second time");
            }
            self.messages += 1;
            self.subjects.insert(message.subject.to_string());
            message.double_ack().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        }
        Ok(())
    }
}

async fn world(nats: &OwnNats, mut options: HubOptions) -> anyhow::Result<World> {
    nats.configure(&mut options);
    World::start(options).await
}

#[tokio::test]
async fn every_event_is_in_the_stream_once_under_its_tenant_and_type() -> anyhow::Result<()> {
    let nats = OwnNats::start(&Stack::load()?).await?;
    let world = world(&nats, HubOptions::default()).await?;
    let event = publish(&world.admin, "build.done", &json!({ "number": 1 })).await?;
    let told = state_becomes(&world.admin, &event, "succeeded").await?;
    assert_eq!(told["deliveries"][0]["subscriber"], "nats");
    let tenant = world.database.by_hand("select tenant_id::text from tenants").await?;
    let consumer = consumer(&nats, &format!("openpam.events.{tenant}.build.>")).await?;
    let mut taken = Taken::default();
    taken.take(&consumer).await?;
    assert_eq!(taken.subjects, BTreeSet::from([format!("openpam.events.{tenant}.build.done")]));
    assert_eq!(taken.events[&event]["data"], json!({ "number": 1 }));
    assert_eq!(taken.events[&event]["tenantid"], tenant.as_str());

    let (state, message) = doctor(&world).await?;
    ensure!(state == "ok" && message.contains("within 3600 s once"), "{state}: {message}");

    // Delivered again, as by a hub that died before it could write that it was delivered.
    let before = stream(&nats).await?.info().await?.state.messages;
    let again = "update event_deliveries set state = 'pending', finished_at = null, next_attempt_at = now()";
    world.database.by_hand(again).await?;
    eventually("all are delivered again", Duration::from_secs(20), || async {
        let event = world.admin.get(&format!("/events/{event}")).await?;
        Ok((event["deliveries"][0]["state"] == "succeeded" && event["deliveries"][0]["attempts"] == 2).then_some(()))
    })
    .await?;
    assert_eq!(stream(&nats).await?.info().await?.state.messages, before, "the server keeps each once");
    Ok(())
}

#[tokio::test]
async fn a_bus_that_is_down_holds_up_nothing_and_gets_what_it_missed() -> anyhow::Result<()> {
    let mut nats = OwnNats::start(&Stack::load()?).await?;
    nats.kill().await?;
    // The hub starts without it, people sign in, and acts are as quick as ever.
    let world = world(&nats, impatient()).await?;
    let began = tokio::time::Instant::now();
    let event = publish(&world.admin, "build.done", &json!({})).await?;
    world.person(&[], &[]).await?;
    ensure!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    world.hub.wait_for_log(&["events wait for NATS"]).await?;
    // Longer than all attempts that a webhook would have had.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let waiting = world.admin.get(&format!("/events/{event}")).await?;
    assert_eq!((&waiting["delivery_state"], &waiting["deliveries"][0]["attempts"]), (&json!("pending"), &json!(0)));
    let (state, message) = doctor(&world).await?;
    ensure!(state == "failed", "{state}: {message}");
    nats.start_again().await?;
    state_becomes(&world.admin, &event, "succeeded").await?;
    Ok(())
}

/// How often each is killed.
const ROUNDS: usize = 3;

#[tokio::test]
async fn whenever_nats_or_a_hub_is_killed_nothing_is_lost_and_nothing_comes_twice() -> anyhow::Result<()> {
    let mut nats = OwnNats::start(&Stack::load()?).await?;
    let mut world = world(&nats, HubOptions::default()).await?;
    publish(&world.admin, "load.begins", &json!({})).await?;
    eventually("the hub has made the stream", Duration::from_secs(20), || async { Ok(stream(&nats).await.ok()) })
        .await?;
    consumer(&nats, "openpam.events.*.load.test").await?;
    let mut acknowledged = BTreeMap::<String, u64>::new();
    for round in 0..ROUNDS {
        let client = world.admin.at(world.hub.url());
        let loading = tokio::spawn(publish_until_it_fails(client, round));
        tokio::time::sleep(Duration::from_millis(500 + 200 * round as u64)).await;
        nats.kill().await?;
        tokio::time::sleep(Duration::from_millis(400)).await;
        nats.start_again().await?;
        tokio::time::sleep(Duration::from_millis(600 + 900 * round as u64)).await;
        world.hub.kill().await?;
        let made = loading.await?;
        ensure!(made.len() > 5, "only {} events were published", made.len());
        acknowledged.extend(made);
        world.hub = world.another_hub().await?;
    }
    let wanted = acknowledged.keys().cloned().collect::<BTreeSet<_>>();
    let mut taken = Taken::default();
    // What a hub had taken when it died is taken over after its lease.
    let end = tokio::time::Instant::now() + Duration::from_secs(100);
    while !wanted.iter().all(|id| taken.events.contains_key(id)) {
        let missing = wanted.iter().filter(|id| !taken.events.contains_key(*id)).count();
        ensure!(tokio::time::Instant::now() < end, "{missing} of {} do not arrive", wanted.len());
        taken.take(&consumer(&nats, "openpam.events.*.load.test").await?).await?;
    }
    for (id, number) in &acknowledged {
        ensure!(taken.events[id]["data"]["number"] == json!(number), "{id} tells something else");
    }
    // For a consumer that looks at the id, no fact is there twice; for the stream neither.
    let numbers = taken.events.values().map(|event| event["data"]["number"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!(numbers.len(), taken.events.len(), "a fact has two ids");
    assert_eq!(taken.messages, taken.events.len(), "an event is in the stream twice");
    println!("{} acknowledged, {} in the stream, {ROUNDS} times each killed", wanted.len(), taken.messages);
    Ok(())
}
