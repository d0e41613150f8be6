//! Delivers: gives new events their deliveries, and sends what is due. Every hub does; what one has taken the
//! others leave, until its lease is over.

use std::time::Duration;

use aws_lc_rs::rand::SecureRandom as _;
use futures::future::join_all;
use metrics::counter;
use openpam_ids::{TenantId, WebhookId};
use openpam_secret::SecretString;
use openpam_telemetry::names;

use super::{error::SubscriberError, service, store};
use crate::{
    context::Context,
    db::DbError,
    domains::events::{self, BackOff, Claim, Due, Outcome, Subscriber, Subscription},
    state::Hub,
};

/// Between looks while nothing is announced.
const LOOK: Duration = Duration::from_secs(1);
/// Transactions in which one tenant's new events are dispatched before others have their turn.
const MAX_ROUNDS: usize = 20;
/// Events that are under way to one subscriber at the same time.
const TOGETHER: i64 = 8;
/// How much longer than an attempt a lease is.
const SPARE: Duration = Duration::from_secs(30);
/// Longest pause after a round in which nothing was delivered: an address that is down takes no turn from others.
const PAUSE: Duration = Duration::from_secs(5);

/// Starts them.
pub fn start_tasks(hub: &Hub) {
    let dispatching = hub.clone();
    hub.lifecycle().supervise("event dispatcher", async move {
        let hub = dispatching;
        let mut failing = false;
        while !hub.lifecycle().is_ending() {
            let woken = tokio::time::timeout(LOOK, hub.events().new_events());
            tokio::select! {
                _ = woken => {}
                () = hub.lifecycle().soft().cancelled() => return,
            }
            note(dispatch(&hub).await, &mut failing, "events cannot be dispatched; trying again every second");
        }
    });
    let sending = hub.clone();
    hub.lifecycle().supervise("event senders", async move {
        let hub = sending;
        let mut failing = false;
        while !hub.lifecycle().is_ending() {
            let woken = tokio::time::timeout(LOOK, hub.events().due());
            tokio::select! {
                _ = woken => {}
                () = hub.lifecycle().soft().cancelled() => return,
            }
            note(start_due(&hub).await, &mut failing, "due events cannot be found; trying again every second");
        }
    });
}

/// Once per outage.
fn note(outcome: Result<(), SubscriberError>, failing: &mut bool, what: &'static str) {
    if let (Err(error), false) = (&outcome, *failing) {
        tracing::error!(%error, "{what}");
    }
    *failing = outcome.is_err();
}

async fn dispatch(hub: &Hub) -> Result<(), SubscriberError> {
    let mut more = false;
    for tenant_id in events::tenants_with_new(hub).await? {
        for round in 1..=MAX_ROUNDS {
            let mut tx = hub.db().begin(&system(tenant_id)).await?;
            let mut subscriptions = store::subscriptions(&mut tx).await?;
            let everything = |subscriber| Subscription { subscriber, event_types: vec!["*".to_owned()] };
            subscriptions.extend(hub.senders().buses().map(everything));
            let left = events::dispatch(&mut tx, tenant_id, &subscriptions).await?;
            tx.commit().await.map_err(DbError::from)?;
            if !left {
                break;
            }
            more |= round == MAX_ROUNDS;
        }
        hub.events().wake_senders();
    }
    if more {
        hub.events().wake_dispatcher();
    }
    Ok(())
}

/// Begins to send to every subscriber that has something due and is not being sent to.
async fn start_due(hub: &Hub) -> Result<(), SubscriberError> {
    for due in events::due(hub).await? {
        if hub.lifecycle().is_ending() {
            return Ok(());
        }
        // A hub without this bus leaves what is due to it to one that has it.
        if due.subscriber.webhook().is_none() && hub.senders().bus(due.subscriber).is_none() {
            continue;
        }
        let hub = hub.clone();
        hub.lifecycle().clone().spawn_child(async move {
            let Some(_turn) = hub.senders().begin(due) else { return };
            deliver(&hub, due).await;
        });
    }
    Ok(())
}

/// What a round came to.
enum Round {
    /// There may be more.
    More,
    /// Nothing is due.
    Nothing,
    /// Nothing was taken of what was sent.
    Refused,
}

async fn deliver(hub: &Hub, due: Due) {
    while !hub.lifecycle().is_ending() {
        let Some(permit) = hub.senders().permit(due).await else { return };
        let round = deliver_round(hub, due).await;
        drop(permit);
        match round {
            Ok(Round::More) => {}
            Ok(Round::Nothing) => return,
            Ok(Round::Refused) => pause(hub).await,
            Err(error) => {
                tracing::warn!(subscriber = ?due.subscriber, %error, "events cannot be delivered, trying again");
                pause(hub).await;
                return;
            }
        }
    }
}

async fn pause(hub: &Hub) {
    let pause = PAUSE.min(back_off(hub).base);
    let _ = tokio::time::timeout(pause, hub.lifecycle().soft().cancelled()).await;
}

async fn deliver_round(hub: &Hub, due: Due) -> Result<Round, SubscriberError> {
    match due.subscriber {
        Subscriber::Webhook(id) => webhook_round(hub, due, id).await,
        Subscriber::Nats | Subscriber::Sns => bus_round(hub, due).await,
    }
}

async fn webhook_round(hub: &Hub, due: Due, id: WebhookId) -> Result<Round, SubscriberError> {
    let context = system(due.tenant_id);
    let address = {
        let _turn = hub.senders().transaction().await;
        store::enabled_address(&mut *hub.db().begin(&context).await?, id).await?
    };
    let Some(address) = address else { return Ok(Round::Nothing) };
    // Before anything is taken: while the vault is down, events wait and lose no attempt.
    let key = service::key(hub, &address.vault_path).await?;
    let timeout = Duration::from_secs(hub.config().events.webhook_timeout_seconds);
    let claims = claim(hub, &context, due, TOGETHER, timeout).await?;
    if claims.is_empty() {
        return Ok(Round::Nothing);
    }
    let attempts = claims.iter().map(|claim| Box::pin(attempt(hub, &context, &address.url, &key, claim)));
    let mut taken = false;
    for outcome in join_all(attempts).await {
        taken |= outcome?;
    }
    Ok(if taken { Round::More } else { Round::Refused })
}

async fn bus_round(hub: &Hub, due: Due) -> Result<Round, SubscriberError> {
    let Some(bus) = hub.senders().bus(due.subscriber) else { return Ok(Round::Nothing) };
    // Before anything is taken: while it is down, events wait and lose no attempt.
    if !bus.is_ready().await {
        return Ok(Round::Refused);
    }
    let context = system(due.tenant_id);
    let claims = claim(hub, &context, due, bus.together(), bus.longest()).await?;
    if claims.is_empty() {
        return Ok(Round::Nothing);
    }
    let published = join_all(claims.iter().map(|claim| bus.publish(&claim.event))).await;
    let mut taken = false;
    let _turn = hub.senders().transaction().await;
    let mut tx = hub.db().begin(&context).await?;
    // In the order of the events' ids, as they were claimed: so does whoever else locks several.
    for (claim, sent) in claims.iter().zip(published) {
        let outcome = outcome(hub, claim, due.subscriber.kind(), sent.status, sent.error);
        events::complete(&mut tx, claim, &outcome).await?;
        taken |= matches!(outcome, Outcome::Delivered { .. });
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(if taken { Round::More } else { Round::Refused })
}

/// Takes deliveries for the time of an attempt, and commits that.
async fn claim(
    hub: &Hub,
    context: &Context,
    due: Due,
    most: i64,
    attempt: Duration,
) -> Result<Vec<Claim>, SubscriberError> {
    let _turn = hub.senders().transaction().await;
    let mut tx = hub.db().begin(context).await?;
    let claims = events::claim(&mut tx, due.subscriber, most, attempt + SPARE).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(claims)
}

/// Sends one event once, and writes what came of it; whether it was taken.
async fn attempt(
    hub: &Hub,
    context: &Context,
    url: &str,
    key: &SecretString,
    claim: &Claim,
) -> Result<bool, SubscriberError> {
    let sent = hub.senders().send(url, key, &claim.event, hub.clock().now()).await;
    let outcome = outcome(hub, claim, "webhook", sent.status, sent.error);
    let _turn = hub.senders().transaction().await;
    let mut tx = hub.db().begin(context).await?;
    events::complete(&mut tx, claim, &outcome).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(matches!(outcome, Outcome::Delivered { .. }))
}

/// What an attempt came to: delivered, to be tried again, or a dead letter.
fn outcome(hub: &Hub, claim: &Claim, kind: &'static str, status: Option<u16>, error: Option<String>) -> Outcome {
    let attempts = u32::try_from(claim.attempt).unwrap_or(1);
    let (label, outcome) = match error {
        None => ("delivered", Outcome::Delivered { status }),
        Some(error) if attempts >= hub.config().events.max_attempts => ("dead", Outcome::Dead { status, error }),
        Some(error) => {
            let after = back_off(hub).after(attempts, random(hub));
            ("retry", Outcome::Retry { status, error, after })
        }
    };
    counter!(names::EVENT_DELIVERIES, "subscriber" => kind, "outcome" => label).increment(1);
    outcome
}

fn back_off(hub: &Hub) -> BackOff {
    let config = &hub.config().events;
    BackOff {
        base: Duration::from_secs(config.retry_base_seconds),
        most: Duration::from_secs(config.retry_max_seconds),
    }
}

/// The longest pause, where there is no randomness to be had.
fn random(hub: &Hub) -> u32 {
    let mut bytes = [0_u8; 4];
    hub.random().fill(&mut bytes).map_or(u32::MAX, |()| u32::from_be_bytes(bytes))
}

fn system(tenant_id: TenantId) -> Context {
    Context::system(tenant_id, "events")
}
