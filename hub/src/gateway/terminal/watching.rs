//! The front door of those who watch or join a running session.

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use openpam_ids::SessionId;
use serde::Deserialize;
use utoipa_axum::routes;

use super::{
    elsewhere::{self, Arriving},
    http::accept,
    open, participant,
};
use crate::{
    context::{Actor, Context},
    domains::{
        access::Denial,
        sessions::{self, ParticipantKind},
    },
    http::{Access, Json, Path, Problem, ProblemBody, Query, Routes},
    state::Hub,
};

pub(super) fn routes() -> Routes {
    // The permission depends on how somebody takes part: the use case decides.
    Routes::new().add(Access::SignedIn, routes!(watch)).add(Access::SignedIn, routes!(foresee))
}

/// How somebody wants to take part in a session.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct WatchQuery {
    /// `watch` (the default) to look; `join` to be able to ask for the keyboard.
    #[serde(default)]
    mode: ParticipantKind,
}

/// A running session from its present screen on, as a WebSocket with the subprotocol
/// `openpam.terminal.v1`, whichever hub carries it. Needs `session.watch`, or `session.join` to join. Refusals are
/// problems before the upgrade.
#[utoipa::path(get, path = "/api/ws/watch/{session_id}", tag = "terminal",
    params(("session_id" = SessionId, Path), WatchQuery),
    responses((status = 101, description = "the session's socket"), (status = 400, body = ProblemBody),
              (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
              (status = 409, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn watch(
    State(hub): State<Hub>,
    context: Context,
    Path(session_id): Path<SessionId>,
    Query(query): Query<WatchQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let arriving = Arriving::of(&request);
    let upgrade = accept(&hub, &context, request).await?;
    let seat = match sessions::take_seat(&hub, &context, session_id, query.mode).await {
        Ok(seat) => seat,
        Err(why) => return arriving.pass_on(&hub, &context, session_id, query.mode, why).await,
    };
    let visits = hub.terminals().visits(session_id).ok_or_else(not_ready)?;
    let span = tracing::Span::current();
    Ok(upgrade
        .on_failed_upgrade(move |error| tracing::info!(%session_id, %error, "the browser did not take the upgrade"))
        .on_upgrade(move |socket| async move {
            let serving = participant::serve(hub.clone(), seat, visits, socket);
            hub.lifecycle().spawn_child(tracing::Instrument::instrument(serving, span));
        }))
}

/// How somebody would take part in a session.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
struct WatchPreflight {
    #[serde(default)]
    mode: ParticipantKind,
}

/// Whether a session could be watched: a browser cannot read why an upgrade was refused.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/watch", tag = "terminal", params(("id" = SessionId, Path)),
    request_body = WatchPreflight,
    responses((status = 204, description = "it could"), (status = 403, body = ProblemBody),
              (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
              (status = 503, body = ProblemBody)))]
async fn foresee(
    State(hub): State<Hub>,
    context: Context,
    Path(session_id): Path<SessionId>,
    headers: HeaderMap,
    Json(body): Json<WatchPreflight>,
) -> Result<Response, Problem> {
    if !matches!(context.principal.actor, Actor::User(_)) {
        return Err(open::denied(Denial::NotAPerson));
    }
    if let Err(why) = sessions::foresee_participation(&hub, &context, session_id, body.mode).await {
        return elsewhere::foresee(&hub, &context, &headers, session_id, body.mode, why).await;
    }
    hub.terminals().visits(session_id).ok_or_else(not_ready)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn not_ready() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "session_not_ready",
        "This session is being opened, or ends just now. Try again in a moment.",
    )
}
