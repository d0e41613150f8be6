//! The front door of terminals.

use axum::{
    extract::{
        FromRequestParts as _, Request, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use http::{HeaderMap, StatusCode};
use openpam_ids::{CredentialId, SessionId, TargetId};
use openpam_secret::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use super::{
    attachments::{Arrival, Visit},
    messages::{self, SUBPROTOCOL},
    open::{self, Wish},
    resume,
    socket::MAX_MESSAGE,
};
use crate::{
    context::{Actor, Context},
    domains::access::Denial,
    http::{Access, Json, OptionalJson, Path, Problem, ProblemBody, Query, Routes, same_origin},
    state::Hub,
};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .add(Access::SignedIn, routes!(connect))
        .add(Access::SignedIn, routes!(preflight))
        .add(Access::SignedIn, routes!(resume_session))
}

/// What a browser says when it opens a terminal or comes back to one.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ConnectQuery {
    /// As whom; may be left out when the target has one credential.
    credential_id: Option<CredentialId>,
    /// Columns, 1 to 1000.
    #[serde(default = "default_cols")]
    cols: u16,
    /// Rows, 1 to 1000.
    #[serde(default = "default_rows")]
    rows: u16,
    /// Why, where the target asks for it; at most 1000 characters.
    reason: Option<String>,
    /// To come back: the session.
    session_id: Option<SessionId>,
    /// To come back: the token of `ready` or of the resume request. Works once.
    resume_token: Option<String>,
    /// To come back: bytes received so far.
    #[serde(default)]
    offset: u64,
}

fn default_cols() -> u16 {
    80
}

fn default_rows() -> u16 {
    24
}

/// A terminal on a target, as a WebSocket with the subprotocol `openpam.terminal.v1`. Refusals are
/// problems before the upgrade.
#[utoipa::path(get, path = "/api/ws/connect/ssh/{target_id}", tag = "terminal",
    params(("target_id" = TargetId, Path), ConnectQuery),
    responses((status = 101, description = "the terminal's socket"), (status = 400, body = ProblemBody),
              (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
              (status = 502, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn connect(
    State(hub): State<Hub>,
    context: Context,
    Path(target_id): Path<TargetId>,
    Query(query): Query<ConnectQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let upgrade = accept(&hub, &context, request).await?;
    if !messages::is_valid_size(query.cols, query.rows) {
        return Err(Problem::invalid_field("cols", "out_of_range", "columns and rows must be between 1 and 1000"));
    }
    let size = (query.cols, query.rows);
    let sign_in = context.principal.auth_session;
    let (session_id, visits, offset) = match query.session_id {
        Some(session_id) => {
            let token = query.resume_token.unwrap_or_default();
            let visits = resume::redeem(&hub, &context, session_id, target_id, &token).await?;
            (session_id, visits, Some(query.offset))
        }
        None => {
            let wish = Wish {
                target_id,
                credential_id: query.credential_id,
                cols: query.cols,
                rows: query.rows,
                reason: query.reason,
            };
            let session_id = open::open(&hub, &context, wish).await?;
            let visits = hub.terminals().visits(session_id).ok_or_else(resume::gone)?;
            (session_id, visits, None)
        }
    };
    Ok(upgrade
        .on_failed_upgrade(move |error| tracing::info!(%session_id, %error, "the browser did not take the upgrade"))
        .on_upgrade(move |socket| async move {
            let screen = match offset {
                Some(offset) => resume::screen_for(&hub, &visits, offset).await,
                None => None,
            };
            // Fails when the session ended meanwhile: the socket then closes by itself.
            let _ = visits.send(Visit::Browser(Box::new(Arrival { socket, offset, sign_in, size, screen }))).await;
        }))
}

/// Checks who asks and how, before anything is opened.
pub(super) async fn accept(hub: &Hub, context: &Context, request: Request) -> Result<WebSocketUpgrade, Problem> {
    if !matches!(context.principal.actor, Actor::User(_)) {
        return Err(open::denied(Denial::NotAPerson));
    }
    if !same_origin(hub, request.headers()) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "origin_mismatch",
            "This request comes from another site. Use the address the hub is configured with.",
        ));
    }
    let offered = offers_subprotocol(request.headers());
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(not_an_upgrade)?;
    if !offered {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "subprotocol_required",
            "The WebSocket must offer the subprotocol openpam.terminal.v1.",
        ));
    }
    Ok(upgrade
        .protocols([SUBPROTOCOL])
        // A little more than the session accepts, so that it can say what was wrong.
        .max_message_size(MAX_MESSAGE + 1024)
        .max_frame_size(MAX_MESSAGE + 1024)
        // Small buffers: thousands of idle terminals hold one each.
        .read_buffer_size(1024)
        .write_buffer_size(32 * 1024)
        .max_write_buffer_size(2 * 1024 * 1024))
}

fn offers_subprotocol(headers: &HeaderMap) -> bool {
    headers
        .get_all(http::header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|offered| offered.trim() == SUBPROTOCOL)
}

fn not_an_upgrade(rejection: WebSocketUpgradeRejection) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "upgrade_required", "Open this address as a WebSocket.").caused_by(&rejection)
}

/// What a terminal would be opened with.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct Preflight {
    credential_id: Option<CredentialId>,
    cols: u16,
    rows: u16,
    reason: Option<String>,
}

impl Default for Preflight {
    fn default() -> Self {
        Self { credential_id: None, cols: default_cols(), rows: default_rows(), reason: None }
    }
}

/// Whether a terminal would be opened: a browser cannot read why an upgrade was refused.
#[utoipa::path(post, path = "/api/v1/targets/{id}/preflight", tag = "terminal", params(("id" = TargetId, Path)),
    request_body = Option<Preflight>,
    responses((status = 204, description = "it would"), (status = 403, body = ProblemBody),
              (status = 404, body = ProblemBody), (status = 422, body = ProblemBody),
              (status = 503, body = ProblemBody)))]
async fn preflight(
    State(hub): State<Hub>,
    context: Context,
    Path(target_id): Path<TargetId>,
    OptionalJson(body): OptionalJson<Preflight>,
) -> Result<StatusCode, Problem> {
    let wish =
        Wish { target_id, credential_id: body.credential_id, cols: body.cols, rows: body.rows, reason: body.reason };
    open::preflight(&hub, &context, &wish).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a browser needs to come back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ResumeToken {
    session_id: SessionId,
    /// Works once, for this person, until the next one is issued.
    resume_token: String,
}

/// Lets one's own session be continued, on another page load: authorised again.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/resume", tag = "terminal", params(("id" = SessionId, Path)),
    responses((status = 200, body = ResumeToken), (status = 403, body = ProblemBody),
              (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn resume_session(
    State(hub): State<Hub>,
    context: Context,
    Path(session_id): Path<SessionId>,
) -> Result<Json<ResumeToken>, Problem> {
    let token = resume::issue(&hub, &context, session_id).await?;
    Ok(Json(ResumeToken { session_id, resume_token: token.expose_secret().to_owned() }))
}
