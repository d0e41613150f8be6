//! Events: published with the acts they tell of, delivered whatever crashes.

mod aws;
mod crashes;
mod delivery;
mod nats;
mod outbox;
mod stream;

use std::time::Duration;

use anyhow::Context as _;
use openpam_tests::{Client, HubOptions, eventually, unique, webhook::Receiver, world::id};
use serde_json::{Value, json};

/// How long a delivery may take that nothing is in the way of.
pub const SOON: Duration = Duration::from_secs(10);

/// Options under which what goes wrong is given up quickly.
pub fn impatient() -> HubOptions {
    let mut options = HubOptions::default();
    for (key, value) in
        [("max_attempts", 3), ("retry_base_seconds", 1), ("retry_max_seconds", 1), ("webhook_timeout_seconds", 1)]
    {
        options.events.insert(key, value.to_string());
    }
    options
}

/// Makes a webhook: its id and secret.
pub async fn webhook(client: &Client, url: &str, event_types: &[&str]) -> anyhow::Result<(String, String)> {
    let body = json!({ "name": unique("hook"), "url": url, "event_types": event_types });
    let made = client.post("/admin/webhooks", &body).await?;
    Ok((id(&made)?, made["secret"].as_str().context("no secret")?.to_owned()))
}

/// Publishes an event of one's own; its id.
pub async fn publish(client: &Client, event_type: &str, payload: &Value) -> anyhow::Result<String> {
    let body = json!({ "event_type": event_type, "source": "suite", "payload": payload });
    let made = client.post("/events", &body).await?;
    Ok(made["event_id"].as_str().context("no event_id")?.to_owned())
}

/// Publishes events, numbered within the round, until the hub answers no more: ids and numbers of those that it
/// acknowledged.
pub async fn publish_until_it_fails(client: Client, round: usize) -> Vec<(String, u64)> {
    let mut made = Vec::new();
    for number in 0_u64.. {
        let number = round as u64 * 1_000_000 + number;
        // The answer that does not come acknowledges nothing.
        let Ok(id) = publish(&client, "load.test", &json!({ "number": number })).await else { break };
        made.push((id, number));
    }
    made
}

/// Waits until the event has this delivery state.
pub async fn state_becomes(client: &Client, event: &str, state: &str) -> anyhow::Result<Value> {
    let what = format!("event {event} is {state}");
    eventually(&what, Duration::from_secs(30), || async {
        let event = client.get(&format!("/events/{event}")).await?;
        Ok((event["delivery_state"] == state).then_some(event))
    })
    .await
}

/// Waits until the receiver has so many events of a type.
pub async fn arrive(receiver: &Receiver, event_type: &str, count: usize) -> anyhow::Result<Vec<Value>> {
    let what = format!("{count} of {event_type} arrive");
    eventually(&what, SOON, || async {
        let events = receiver.events(event_type)?;
        Ok((events.len() >= count).then_some(events))
    })
    .await
}
