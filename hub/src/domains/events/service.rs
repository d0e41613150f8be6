//! Publishing, and delivering afterwards.

use std::collections::{BTreeSet, HashMap};

use openpam_ids::{DeliveryId, EventId, TenantId, UserId, WebhookId};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    error::EventsError,
    store::{self, Attempted, NewEvent},
    types::{
        Delivery, DeliveryState, Due, Event, Filter, Published, Subscriber, Subscription, TEST_TYPE, is_reserved,
        is_type, matches,
    },
};
use crate::{
    context::{Clock, Context, Ids},
    db::DbError,
    domains::audit,
    http::{FieldError, has_nul},
    state::Hub,
};

type Result<T> = std::result::Result<T, EventsError>;

/// Bytes of a payload that others send.
const MAX_PAYLOAD: usize = 32 * 1024;
/// Bytes of the circumstances that others send.
const MAX_CONTEXT: usize = 4 * 1024;
/// Bytes of the other texts that others send.
const MAX_TEXT: usize = 200;
/// How far from now others may say that something happened.
const MAX_AGE_DAYS: i64 = 30;
/// Events that are dispatched together.
const DISPATCHED_TOGETHER: i64 = 500;
/// Tenants or subscribers that are looked at together.
const MAX_WORK: i32 = 1_000;
/// Dead letters that one request begins anew.
const MAX_REVIVED: i64 = 10_000;
/// Characters of an error that are kept.
const MAX_ERROR: usize = 500;

/// Publishes a fact in the transaction of the act it tells of: both commit, or neither.
///
/// # Errors
/// When the row cannot be written; the caller's transaction is then lost too.
pub async fn publish(
    connection: &mut PgConnection,
    context: &Context,
    event: &Event,
) -> std::result::Result<EventId, DbError> {
    let id: EventId = Ids.fresh();
    let of = event.event_type();
    let payload = serde_json::to_value(event).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let (subject, facts) = (event.subject(), facts(context));
    let new = NewEvent {
        id,
        tenant_id: context.tenant_id,
        event_type: of.name,
        source: event.source(),
        subject: Some(&subject),
        occurred_at: None,
        correlation_id: correlation(&context.request_id),
        schema_version: of.version,
        payload: &payload,
        context: &facts,
        ingested_by: None,
    };
    store::insert(connection, &new).await?;
    Ok(id)
}

/// Empties the names of a person in what was published, as the owner of the database: of all, or of what is older. How many
/// events it was. Their subscribers have what they got.
///
/// # Errors
/// When the database refuses, as it does whoever is not the owner.
pub async fn erase(
    connection: &mut PgConnection,
    user_id: UserId,
    before: Option<chrono::DateTime<chrono::Utc>>,
) -> std::result::Result<u64, DbError> {
    Ok(store::erase(connection, user_id.as_uuid(), before).await?)
}

/// The request's id, where it is one: tasks of the hub have a name with spaces there.
fn correlation(request_id: &str) -> Option<&str> {
    let fits =
        !request_id.is_empty() && request_id.len() <= MAX_TEXT && request_id.bytes().all(|b| b.is_ascii_graphic());
    fits.then_some(request_id)
}

/// Who acted, under which request.
fn facts(context: &Context) -> Value {
    let actor = &context.principal.actor;
    json!({
        "actor": { "type": actor.kind(), "id": actor.id(), "name": context.principal.name },
        "request_id": &*context.request_id,
    })
}

/// What others say of the circumstances; what the hub knows wins.
fn with_facts(told: Option<&Value>, context: &Context) -> Value {
    let mut all = told.and_then(Value::as_object).cloned().unwrap_or_default();
    if let Value::Object(known) = facts(context) {
        all.extend(known);
    }
    Value::Object(all)
}

/// What others send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ingested {
    pub(super) event_type: String,
    pub(super) source: String,
    pub(super) subject: Option<String>,
    pub(super) occurred_at: Option<chrono::DateTime<chrono::Utc>>,
    pub(super) correlation_id: Option<String>,
    pub(super) schema_version: Option<i32>,
    pub(super) payload: Value,
    pub(super) context: Option<Value>,
}

/// Publishes what somebody else tells; the event, and whether it is a new one. A repeat under the same correlation
/// finds the first.
pub(super) async fn ingest(hub: &Hub, context: &Context, new: Ingested) -> Result<(Published, bool)> {
    validate(&new, hub.clock().now())?;
    let id: EventId = hub.ids().fresh();
    let facts = with_facts(new.context.as_ref(), context);
    let event = NewEvent {
        id,
        tenant_id: context.tenant_id,
        event_type: &new.event_type,
        source: &new.source,
        subject: new.subject.as_deref(),
        occurred_at: new.occurred_at,
        correlation_id: new.correlation_id.as_deref(),
        schema_version: new.schema_version.unwrap_or(1),
        payload: &new.payload,
        context: &facts,
        // Whoever has the permission is a person or a program.
        ingested_by: Some(context.principal.actor.id().unwrap_or(Uuid::nil())),
    };
    let mut tx = hub.db().begin(context).await?;
    let is_new = store::insert(&mut tx, &event).await?;
    let id = if is_new {
        let event = audit::Event::success("event.ingest")
            .on("event", id, &new.event_type)
            .with("source", new.source.as_str())
            .with("correlation_id", new.correlation_id.as_deref());
        audit::record(&mut tx, context, event).await?;
        id
    } else {
        store::first_of(&mut tx, &event).await?.ok_or(EventsError::NotFound)?
    };
    let published = store::find(&mut tx, id).await?.ok_or(EventsError::NotFound)?;
    tx.commit().await.map_err(DbError::from)?;
    Ok((published, is_new))
}

fn validate(new: &Ingested, now: chrono::DateTime<chrono::Utc>) -> Result<()> {
    let mut errors = Vec::new();
    let mut add = |field: &'static str, code: &'static str, message: String| {
        errors.push(FieldError { field: field.into(), code: code.into(), message });
    };
    if !is_type(&new.event_type) {
        add(
            "event_type",
            "malformed",
            "must be words of a-z, 0-9 and _ with dots between them, such as build.done".into(),
        );
    } else if is_reserved(&new.event_type, "") {
        add("event_type", "reserved", "is a type that only the hub itself publishes".into());
    }
    let plain = |text: &str| (1..=MAX_TEXT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let form = || format!("must be 1 to {MAX_TEXT} printable ASCII characters without spaces");
    if !plain(&new.source) {
        add("source", "malformed", form());
    } else if is_reserved("x.y", &new.source) {
        add("source", "reserved", "is the hub's own: name the program that tells the event".into());
    }
    for (field, text) in [("subject", &new.subject), ("correlation_id", &new.correlation_id)] {
        if text.as_deref().is_some_and(|text| !plain(text)) {
            add(field, "malformed", form());
        }
    }
    if new.schema_version.is_some_and(|version| !(1..=1_000_000).contains(&version)) {
        add("schema_version", "out_of_range", "must be between 1 and 1000000".into());
    }
    if let Some(at) = new.occurred_at
        && !(now - chrono::TimeDelta::days(MAX_AGE_DAYS)..=now + chrono::TimeDelta::minutes(5)).contains(&at)
    {
        add("occurred_at", "out_of_range", format!("must be within the last {MAX_AGE_DAYS} days"));
    }
    if !new.payload.is_object() {
        add("payload", "malformed", "must be a JSON object".into());
    } else if new.payload.to_string().len() > MAX_PAYLOAD {
        add("payload", "too_large", format!("must not be larger than {} KiB", MAX_PAYLOAD / 1024));
    }
    if let Some(told) = &new.context {
        if !told.is_object() {
            add("context", "malformed", "must be a JSON object".into());
        } else if told.to_string().len() > MAX_CONTEXT {
            add("context", "too_large", format!("must not be larger than {} KiB", MAX_CONTEXT / 1024));
        }
    }
    for (field, told) in [("payload", Some(&new.payload)), ("context", new.context.as_ref())] {
        if told.is_some_and(|told| has_nul(told.to_string().as_bytes())) {
            add(field, "malformed", "must not contain NUL".into());
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(EventsError::Invalid(errors)) }
}

/// Events that match, newest first.
pub(super) async fn list(
    hub: &Hub,
    context: &Context,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Published>> {
    let mut tx = hub.db().begin(context).await?;
    Ok(store::list(&mut tx, filter, before, limit).await?)
}

/// One event with its deliveries.
pub(super) async fn get(hub: &Hub, context: &Context, id: EventId) -> Result<(Published, Vec<Delivery>)> {
    let mut tx = hub.db().begin(context).await?;
    let event = store::find(&mut tx, id).await?.ok_or(EventsError::NotFound)?;
    Ok((event, store::deliveries(&mut tx, id).await?))
}

/// Delivers an event again: where it failed, or to everybody who is a subscriber now.
pub(super) async fn replay(hub: &Hub, context: &Context, id: EventId, everywhere: bool) -> Result<()> {
    let mut tx = hub.db().begin(context).await?;
    let event = store::find(&mut tx, id).await?.ok_or(EventsError::NotFound)?;
    let revived = if everywhere {
        store::dispatch_again(&mut tx, id).await?;
        None
    } else {
        let revived = store::revive(&mut tx, Some(id), None, MAX_REVIVED).await?.len();
        if revived == 0 {
            return Err(EventsError::NothingToReplay);
        }
        store::settle(&mut tx, &[id]).await?;
        Some(revived)
    };
    let trail = audit::Event::success("event.replay")
        .on("event", id, &event.event_type)
        .with("everywhere", everywhere)
        .with("deliveries", revived);
    audit::record(&mut tx, context, trail).await?;
    tx.commit().await.map_err(DbError::from)?;
    hub.events().wake_dispatcher();
    hub.events().wake_senders();
    Ok(())
}

/// Begins the dead letters of a webhook anew, the oldest first; how many, at most 10,000. The caller's transaction
/// also holds the audit event.
///
/// # Errors
/// When the database fails.
pub async fn replay_failed(connection: &mut PgConnection, webhook: WebhookId) -> Result<usize> {
    let revived = store::revive(connection, None, Some(webhook), MAX_REVIVED).await?;
    let events = revived.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    store::settle(connection, &events).await?;
    Ok(revived.len())
}

/// Tenants that have events without deliveries.
///
/// # Errors
/// When the database fails.
pub async fn tenants_with_new(hub: &Hub) -> Result<Vec<TenantId>> {
    let mut connection = hub.db().unscoped().await?;
    Ok(store::tenants_with_new(&mut connection, MAX_WORK).await?)
}

/// Subscribers with deliveries that are due.
///
/// # Errors
/// When the database fails.
pub async fn due(hub: &Hub) -> Result<Vec<Due>> {
    let mut connection = hub.db().unscoped().await?;
    Ok(store::due(&mut connection, MAX_WORK).await?)
}

/// Gives the oldest new events of the transaction's tenant their deliveries; whether there may be more.
///
/// # Errors
/// When the database fails.
pub async fn dispatch(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    subscriptions: &[Subscription],
) -> Result<bool> {
    let new = store::take_new(connection, DISPATCHED_TOGETHER).await?;
    let deliveries = new
        .iter()
        .flat_map(|(id, event_type)| {
            subscriptions
                .iter()
                .filter(|wanted| matches(&wanted.event_types, event_type))
                .map(|wanted| (*id, wanted.subscriber))
        })
        .collect::<Vec<_>>();
    let events = new.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    if !deliveries.is_empty() {
        store::insert_deliveries(connection, tenant_id, &deliveries).await?;
    }
    store::mark_dispatched(connection, &events).await?;
    store::settle(connection, &events).await?;
    Ok(i64::try_from(events.len()).is_ok_and(|count| count == DISPATCHED_TOGETHER))
}

/// A delivery that this hub has taken, with its event.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Which.
    pub id: DeliveryId,
    /// Which attempt this is, from 1 on.
    pub attempt: i32,
    /// What to deliver.
    pub event: Published,
}

/// Takes deliveries of a subscriber that are due, those that wait longest first. Commit before they are tried. Whoever
/// does not [`complete`] one within the lease has lost it to another.
///
/// # Errors
/// When the database fails.
pub async fn claim(
    connection: &mut PgConnection,
    subscriber: Subscriber,
    most: i64,
    lease: std::time::Duration,
) -> Result<Vec<Claim>> {
    let claimed = store::claim(connection, subscriber, most, lease.as_secs_f64()).await?;
    if claimed.is_empty() {
        return Ok(Vec::new());
    }
    let ids = claimed.iter().map(|(_, _, event)| *event).collect::<Vec<_>>();
    let events = store::find_all(connection, &ids).await?;
    let mut events = events.into_iter().map(|event| (event.id, event)).collect::<HashMap<_, _>>();
    let claims = claimed
        .into_iter()
        .filter_map(|(id, attempt, event)| Some(Claim { id, attempt, event: events.remove(&event)? }));
    Ok(claims.collect())
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The subscriber has it.
    Delivered {
        /// HTTP status, where there is one.
        status: Option<u16>,
    },
    /// It went wrong, and is tried again after the pause.
    Retry {
        /// HTTP status, where there is one.
        status: Option<u16>,
        /// Why, for a person.
        error: String,
        /// Pause.
        after: std::time::Duration,
    },
    /// It went wrong for the last time.
    Dead {
        /// HTTP status, where there is one.
        status: Option<u16>,
        /// Why, for a person.
        error: String,
    },
}

/// Writes what came of an attempt. Nothing where another hub has taken the delivery over.
///
/// # Errors
/// When the database fails; the delivery is then due again after its lease.
pub async fn complete(connection: &mut PgConnection, claim: &Claim, outcome: &Outcome) -> Result<()> {
    let (state, status, error, retry) = match outcome {
        Outcome::Delivered { status } => (DeliveryState::Succeeded, status, None, 0.0),
        Outcome::Retry { status, error, after } => (DeliveryState::Pending, status, Some(error), after.as_secs_f64()),
        Outcome::Dead { status, error } => (DeliveryState::Failed, status, Some(error), 0.0),
    };
    let error = error.map(|error| error.chars().take(MAX_ERROR).collect::<String>());
    let done = Attempted {
        id: claim.id,
        attempt: claim.attempt,
        state,
        status: status.map(i32::from),
        error: error.as_deref(),
        retry_seconds: retry,
    };
    // The event before its delivery, as whoever dispatches it again does.
    store::lock(connection, &[claim.event.id]).await?;
    if let Some(event) = store::complete(connection, &done).await? {
        store::count_attempt(connection, event, error.as_deref()).await?;
        store::settle(connection, &[event]).await?;
    }
    Ok(())
}

/// Says of some of the tenant's events behind `after` how far they were delivered, where the last delivery went with its
/// webhook. The last of them, where there may be more.
///
/// # Errors
/// When the database fails.
pub async fn settle_some(connection: &mut PgConnection, after: Uuid) -> Result<Option<Uuid>> {
    let events = store::unsettled(connection, after, DISPATCHED_TOGETHER).await?;
    store::settle(connection, &events).await?;
    Ok(events.last().map(EventId::as_uuid))
}

/// An event to try a subscriber with. It is in no outbox.
pub fn test_event(context: &Context) -> Published {
    Published {
        id: Ids.fresh(),
        tenant_id: context.tenant_id,
        event_type: TEST_TYPE.to_owned(),
        source: "openpam/events".to_owned(),
        subject: None,
        occurred_at: Clock.now(),
        correlation_id: correlation(&context.request_id).map(str::to_owned),
        schema_version: 1,
        payload: json!({ "message": "This is a test of a webhook." }),
        context: facts(context),
        delivery_state: DeliveryState::Pending.name().to_owned(),
        delivery_attempts: 0,
        last_error: None,
    }
}

/// Removes what is done and old; how many at once.
pub(super) async fn forget(hub: &Hub) -> Result<i32> {
    let days = i32::try_from(hub.config().events.retention_days).unwrap_or(i32::MAX);
    let mut connection = hub.db().unscoped().await?;
    Ok(store::forget(&mut connection, days, 1_000).await?)
}
