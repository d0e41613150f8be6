//! Webhooks over HTTP.

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_ids::WebhookId;
use openpam_secret::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use super::{
    service,
    types::{Webhook, WebhookChange, WebhookFields},
};
use crate::{
    context::Context,
    http::{Access, Json, Page, Path, Problem, ProblemBody, Query, Routes, SearchQuery},
    permissions::Permission,
    state::Hub,
};

pub(crate) fn routes() -> Routes {
    let manage = Access::Permission(Permission::EventManage);
    Routes::new()
        .add(manage, routes!(list_webhooks, create_webhook))
        .add(manage, routes!(get_webhook, update_webhook, delete_webhook))
        .add(manage, routes!(rotate_webhook_secret))
        .add(manage, routes!(test_webhook))
        .add(manage, routes!(replay_webhook))
}

/// An address that gets events.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Webhook)]
struct WebhookBody {
    id: WebhookId,
    name: String,
    description: String,
    url: String,
    /// Exact types, families that end with `.*`, or `*`.
    event_types: Vec<String>,
    /// While it is not, events that wait for it go on waiting, and new ones do not come.
    enabled: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// Events that wait for it.
    pending: i64,
    /// Events that could not be delivered to it: dead letters.
    failed: i64,
    last_success_at: Option<DateTime<Utc>>,
}

impl From<Webhook> for WebhookBody {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id,
            name: webhook.name,
            description: webhook.description,
            url: webhook.url,
            event_types: webhook.event_types,
            enabled: webhook.enabled,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
            pending: webhook.pending,
            failed: webhook.failed,
            last_success_at: webhook.last_success_at,
        }
    }
}

/// A webhook that was just made.
#[derive(Serialize, utoipa::ToSchema)]
struct CreatedWebhook {
    #[serde(flatten)]
    webhook: WebhookBody,
    /// Signs what it gets (Standard Webhooks). Shown this once.
    secret: String,
}

/// Webhooks by name.
#[utoipa::path(get, path = "/api/v1/admin/webhooks", tag = "events", params(SearchQuery),
    responses((status = 200, body = Page<WebhookBody>), (status = 403, body = ProblemBody)))]
async fn list_webhooks(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Page<WebhookBody>>, Problem> {
    let cursor = query.cursor()?;
    let webhooks = service::list(&hub, &context, query.text(), cursor.after.clone(), cursor.fetch()).await?;
    Ok(Json(Page::by_name(webhooks, cursor.limit, |webhook: &Webhook| (webhook.name.as_str(), webhook.id))))
}

/// A webhook to make.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct CreateWebhook {
    name: String,
    #[serde(default)]
    description: String,
    /// Begins with `https://`; plain http is for this machine only.
    url: String,
    /// Exact types, families that end with `.*`, or `*`.
    event_types: Vec<String>,
    #[serde(default = "yes")]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

/// Makes a webhook. The answer has its secret, this once.
#[utoipa::path(post, path = "/api/v1/admin/webhooks", tag = "events", request_body = CreateWebhook,
    responses((status = 201, body = CreatedWebhook), (status = 403, body = ProblemBody),
              (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn create_webhook(
    State(hub): State<Hub>,
    context: Context,
    Json(body): Json<CreateWebhook>,
) -> Result<(StatusCode, Json<CreatedWebhook>), Problem> {
    let fields = WebhookFields {
        name: body.name,
        description: body.description,
        url: body.url,
        event_types: body.event_types,
        enabled: body.enabled,
    };
    let (webhook, secret) = service::create(&hub, &context, fields).await?;
    let created = CreatedWebhook { webhook: webhook.into(), secret: secret.expose_secret().to_owned() };
    Ok((StatusCode::CREATED, Json(created)))
}

/// One webhook.
#[utoipa::path(get, path = "/api/v1/admin/webhooks/{id}", tag = "events", params(("id" = WebhookId, Path)),
    responses((status = 200, body = WebhookBody), (status = 404, body = ProblemBody)))]
async fn get_webhook(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<WebhookId>,
) -> Result<Json<WebhookBody>, Problem> {
    Ok(Json(service::get(&hub, &context, id).await?.into()))
}

/// What to change; absent fields stay.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct UpdateWebhook {
    name: Option<String>,
    description: Option<String>,
    url: Option<String>,
    event_types: Option<Vec<String>>,
    enabled: Option<bool>,
}

/// Changes a webhook.
#[utoipa::path(patch, path = "/api/v1/admin/webhooks/{id}", tag = "events", params(("id" = WebhookId, Path)),
    request_body = UpdateWebhook,
    responses((status = 200, body = WebhookBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
              (status = 422, body = ProblemBody)))]
async fn update_webhook(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<WebhookId>,
    Json(body): Json<UpdateWebhook>,
) -> Result<Json<WebhookBody>, Problem> {
    let change = WebhookChange {
        name: body.name,
        description: body.description,
        url: body.url,
        event_types: body.event_types,
        enabled: body.enabled,
    };
    Ok(Json(service::update(&hub, &context, id, change).await?.into()))
}

/// Removes a webhook, with what waits for it.
#[utoipa::path(delete, path = "/api/v1/admin/webhooks/{id}", tag = "events", params(("id" = WebhookId, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn delete_webhook(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<WebhookId>,
) -> Result<StatusCode, Problem> {
    service::delete(&hub, &context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A secret that signs what a webhook gets.
#[derive(Serialize, utoipa::ToSchema)]
struct WebhookSecret {
    /// Shown this once.
    secret: String,
}

/// Gives a webhook another secret, at once. The answer has it, this once.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/secret", tag = "events", params(("id" = WebhookId, Path)),
    responses((status = 200, body = WebhookSecret), (status = 404, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn rotate_webhook_secret(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<WebhookId>,
) -> Result<Json<WebhookSecret>, Problem> {
    let secret = service::rotate_secret(&hub, &context, id).await?;
    Ok(Json(WebhookSecret { secret: secret.expose_secret().to_owned() }))
}

/// What trying a webhook came to.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct WebhookTest {
    delivered: bool,
    /// HTTP status, where there was an answer.
    status: Option<u16>,
    /// Why it went wrong.
    error: Option<String>,
    milliseconds: u64,
}

/// Sends a webhook an event of the type `openpam.test`.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/test", tag = "events", params(("id" = WebhookId, Path)),
    responses((status = 200, body = WebhookTest), (status = 404, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn test_webhook(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<WebhookId>,
) -> Result<Json<WebhookTest>, Problem> {
    let tried = service::test(&hub, &context, id).await?;
    Ok(Json(WebhookTest {
        delivered: tried.attempt.error.is_none(),
        status: tried.attempt.status,
        error: tried.attempt.error,
        milliseconds: tried.milliseconds,
    }))
}

/// How much is delivered again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct WebhookReplay {
    /// Deliveries that begin anew, at most 10,000 at once.
    deliveries: usize,
}

/// Delivers again what could not be delivered to a webhook.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/replay", tag = "events", params(("id" = WebhookId, Path)),
    responses((status = 200, body = WebhookReplay), (status = 404, body = ProblemBody)))]
async fn replay_webhook(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<WebhookId>,
) -> Result<Json<WebhookReplay>, Problem> {
    Ok(Json(WebhookReplay { deliveries: service::replay(&hub, &context, id).await? }))
}
