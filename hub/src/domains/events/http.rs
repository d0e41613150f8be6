//! Events over HTTP.

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_ids::{DeliveryId, EventId, WebhookId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{
    service::{self, Ingested},
    types::{Delivery, DeliveryState, Filter, Published, event_types},
};
use crate::{
    context::Context,
    http::{Access, Json, Page, PageQuery, Path, Problem, ProblemBody, Query, Routes},
    permissions::Permission,
    state::Hub,
};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .add(Access::Permission(Permission::EventRead), routes!(list_events))
        .add(Access::Permission(Permission::EventPublish), routes!(ingest_event))
        .add(Access::Permission(Permission::EventRead), routes!(list_event_types))
        .add(Access::Permission(Permission::EventRead), routes!(get_event))
        .add(Access::Permission(Permission::EventManage), routes!(replay_event))
}

/// A fact that was published.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PlatformEvent)]
struct EventBody {
    event_id: EventId,
    event_type: String,
    source: String,
    /// What it is about, as `collection/id`.
    subject: Option<String>,
    occurred_at: DateTime<Utc>,
    /// The request that it comes from, or what its sender said.
    correlation_id: Option<String>,
    schema_version: i32,
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    payload: Value,
    /// Who acted, under which request.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    context: Value,
    delivery_state: DeliveryState,
    /// Attempts to deliver it, to all subscribers together.
    delivery_attempts: i32,
    last_error: Option<String>,
}

impl From<Published> for EventBody {
    fn from(event: Published) -> Self {
        Self {
            event_id: event.id,
            event_type: event.event_type,
            source: event.source,
            subject: event.subject,
            occurred_at: event.occurred_at,
            correlation_id: event.correlation_id,
            schema_version: event.schema_version,
            payload: event.payload,
            context: event.context,
            delivery_state: DeliveryState::from_name(&event.delivery_state),
            delivery_attempts: event.delivery_attempts,
            last_error: event.last_error,
        }
    }
}

/// An event on its way to one subscriber.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EventDelivery)]
struct DeliveryBody {
    id: DeliveryId,
    /// `webhook`, `nats` or `sns`.
    subscriber: String,
    webhook_id: Option<WebhookId>,
    state: DeliveryState,
    attempts: i32,
    /// While it is pending: when it is tried again.
    next_attempt_at: Option<DateTime<Utc>>,
    last_attempt_at: Option<DateTime<Utc>>,
    /// The last HTTP status.
    last_status: Option<i32>,
    last_error: Option<String>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        let state = DeliveryState::from_name(&delivery.state);
        Self {
            id: delivery.id,
            subscriber: delivery.subscriber,
            webhook_id: delivery.webhook_id,
            state,
            attempts: delivery.attempts,
            next_attempt_at: (state == DeliveryState::Pending).then_some(delivery.next_attempt_at),
            last_attempt_at: delivery.last_attempt_at,
            last_status: delivery.last_status,
            last_error: delivery.last_error,
            finished_at: delivery.finished_at,
        }
    }
}

/// An event with its deliveries.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct EventDetail {
    #[serde(flatten)]
    event: EventBody,
    /// At most 500.
    deliveries: Vec<DeliveryBody>,
}

/// Filters of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Items a page, 1 to 200.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Exact type (`openpam.session.started`) or a prefix that ends with a dot (`openpam.session.`).
    event_type: Option<String>,
    /// Exact source.
    source: Option<String>,
    /// What it is about, as `collection/id`.
    subject: Option<String>,
    /// What it belongs to.
    correlation_id: Option<String>,
    /// How far it was delivered.
    delivery_state: Option<DeliveryState>,
    /// From this moment on.
    from: Option<DateTime<Utc>>,
    /// Before this moment.
    to: Option<DateTime<Utc>>,
}

/// Published events, newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventsQuery),
    responses((status = 200, body = Page<EventBody>), (status = 403, body = ProblemBody)))]
async fn list_events(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<EventsQuery>,
) -> Result<Json<Page<EventBody>>, Problem> {
    let cursor = PageQuery { limit: query.limit, cursor: query.cursor }.cursor::<Uuid>()?;
    let filter = Filter {
        event_type: query.event_type,
        source: query.source,
        subject: query.subject,
        correlation_id: query.correlation_id,
        state: query.delivery_state,
        from: query.from,
        to: query.to,
    };
    let events = service::list(&hub, &context, &filter, cursor.after, cursor.fetch()).await?;
    Ok(Json(Page::of(events, cursor.limit, |event| event.id)))
}

/// What to publish.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct IngestEvent {
    /// Words of a-z, 0-9 and _ with dots between them, such as `build.done`. Types of the hub's own are refused.
    event_type: String,
    /// The program that tells it.
    source: String,
    /// What it is about, as `collection/id`.
    subject: Option<String>,
    /// Now, when it is left out.
    occurred_at: Option<DateTime<Utc>>,
    /// A repeat with the same type, source and correlation by the same principal is answered with the first event.
    correlation_id: Option<String>,
    /// 1, when it is left out.
    schema_version: Option<i32>,
    /// At most 32 KiB. Never a secret.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    payload: Value,
    /// Circumstances, at most 4 KiB. The hub adds `actor` and `request_id`.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    context: Option<Value>,
}

/// Publishes an event of one's own.
#[utoipa::path(post, path = "/api/v1/events", tag = "events", request_body = IngestEvent,
    responses((status = 201, body = EventBody), (status = 200, body = EventBody, description = "It was there already"),
              (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn ingest_event(
    State(hub): State<Hub>,
    context: Context,
    Json(body): Json<IngestEvent>,
) -> Result<(StatusCode, Json<EventBody>), Problem> {
    let new = Ingested {
        event_type: body.event_type,
        source: body.source,
        subject: body.subject,
        occurred_at: body.occurred_at,
        correlation_id: body.correlation_id,
        schema_version: body.schema_version,
        payload: body.payload,
        context: body.context,
    };
    let (event, is_new) = service::ingest(&hub, &context, new).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(event.into())))
}

/// A type of event that the hub publishes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EventType)]
struct TypeBody {
    event_type: &'static str,
    schema_version: i32,
    /// JSON Schema (2020-12) of the payload.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    schema: Value,
}

/// Types that the hub publishes, with the schemas of their payloads.
#[utoipa::path(get, path = "/api/v1/events/types", tag = "events",
    responses((status = 200, body = Page<TypeBody>), (status = 403, body = ProblemBody)))]
async fn list_event_types() -> Result<Json<Page<TypeBody>>, Problem> {
    let items = event_types().iter().map(|one| {
        let schema = serde_json::from_str(one.schema).map_err(|error| Problem::internal(&error))?;
        Ok(TypeBody { event_type: one.name, schema_version: one.version, schema })
    });
    Ok(Json(Page { items: items.collect::<Result<_, Problem>>()?, next_cursor: None }))
}

/// One event with its deliveries.
#[utoipa::path(get, path = "/api/v1/events/{event_id}", tag = "events", params(("event_id" = EventId, Path)),
    responses((status = 200, body = EventDetail), (status = 404, body = ProblemBody)))]
async fn get_event(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<EventId>,
) -> Result<Json<EventDetail>, Problem> {
    let (event, deliveries) = service::get(&hub, &context, id).await?;
    Ok(Json(EventDetail { event: event.into(), deliveries: deliveries.into_iter().map(Into::into).collect() }))
}

/// Where to deliver an event again.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
struct ReplayEvent {
    /// To everybody who is a subscriber now, instead of where it failed.
    #[serde(default)]
    everywhere: bool,
}

/// Delivers an event again.
#[utoipa::path(post, path = "/api/v1/events/{event_id}/replay", tag = "events", params(("event_id" = EventId, Path)),
    request_body = ReplayEvent,
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
              (status = 409, body = ProblemBody)))]
async fn replay_event(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<EventId>,
    Json(body): Json<ReplayEvent>,
) -> Result<StatusCode, Problem> {
    service::replay(&hub, &context, id, body.everywhere).await?;
    Ok(StatusCode::NO_CONTENT)
}
