//! Sessions over HTTP.

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_ids::{CredentialId, ParticipantId, SessionId, TargetId, UserId};
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;
use uuid::Uuid;

use super::{
    Participant, ParticipantKind, RecordingKept, Session, SessionFilter, SessionStatus, participation, service,
};
use crate::{
    context::Context,
    domains::targets::Protocol,
    http::{Access, Json, OptionalJson, Page, PageQuery, Path, Problem, ProblemBody, Query, Routes},
    permissions::Permission,
    state::Hub,
};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .add(Access::SignedIn, routes!(list_sessions))
        .add(Access::SignedIn, routes!(get_session))
        .add(Access::SignedIn, routes!(list_participants))
        .add(Access::SignedIn, routes!(terminate_session))
        .add(Access::Permission(Permission::SessionReadAll), routes!(list_session_logs))
}

/// Longest text to look for, in characters.
const MAX_TEXT: usize = 200;

/// One connection of a person to a target.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Session)]
struct SessionBody {
    id: SessionId,
    user_id: UserId,
    user_name: String,
    target_id: Option<TargetId>,
    target_name: String,
    credential_id: Option<CredentialId>,
    credential_name: String,
    #[schema(value_type = Protocol)]
    protocol: String,
    status: SessionStatus,
    start_time: DateTime<Utc>,
    end_time: Option<DateTime<Utc>>,
    /// Bytes of input.
    bytes_sent: i64,
    /// Bytes of output.
    bytes_received: i64,
    client_ip: Option<String>,
    reason: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    exit_status: Option<i32>,
    /// The signal that ended the program, such as `KILL`.
    exit_signal: Option<String>,
    recording_path: Option<String>,
    /// Whether a legal hold keeps its recording; told to those who may play every recording.
    recording_held: bool,
    /// What the last verification found wrong with its recording, the stable name of a verdict; told to the same.
    recording_defect: Option<String>,
    /// Whether a browser is connected; known on the hub that carries the session.
    attached: bool,
}

impl SessionBody {
    fn of(hub: &Hub, context: &Context, session: Session) -> Self {
        let knows = service::knows_recordings(context);
        let live = hub.live().get(session.id);
        let (sent, received) = live.as_ref().map_or((0, 0), |live| live.bytes());
        Self {
            id: session.id,
            user_id: session.user_id,
            user_name: session.user_name,
            target_id: session.target_id,
            target_name: session.target_name,
            credential_id: session.credential_id,
            credential_name: session.credential_name,
            protocol: session.protocol,
            status: SessionStatus::from_name(&session.status),
            start_time: session.start_time,
            end_time: session.end_time,
            bytes_sent: session.bytes_sent.max(sent),
            bytes_received: session.bytes_received.max(received),
            client_ip: session.client_ip.map(|network| network.ip().to_string()),
            reason: session.reason,
            error_code: session.error_code,
            error_message: session.error_message,
            exit_status: session.exit_status,
            exit_signal: session.exit_signal,
            recording_path: session.recording_path,
            recording_held: knows && session.recording_held,
            recording_defect: session.recording_defect.filter(|_| knows),
            attached: live.is_some_and(|live| live.is_attached()),
        }
    }
}

/// Filters of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct SessionsQuery {
    /// Items a page, 1 to 200.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Whose.
    user_id: Option<UserId>,
    /// Where to.
    target_id: Option<TargetId>,
    /// In which state.
    status: Option<SessionStatus>,
    /// Begun at or after.
    from: Option<DateTime<Utc>>,
    /// Begun before.
    to: Option<DateTime<Utc>>,
    /// Part of the names or the reason.
    q: Option<String>,
    /// By what is kept of their recordings: `recorded` or `not_recorded`; and, for those who may play every recording,
    /// `held`, `damaged` (as the last verification found) or `deleted`.
    #[param(inline)]
    recording: Option<RecordingKept>,
}

/// Sessions, newest first: one's own, or everybody's with `session.read_all`.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", params(SessionsQuery),
    responses((status = 200, body = Page<SessionBody>), (status = 422, body = ProblemBody)))]
async fn list_sessions(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<SessionsQuery>,
) -> Result<Json<Page<SessionBody>>, Problem> {
    page(&hub, &context, query).await
}

/// Session logs, newest first, for auditors.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(SessionsQuery),
    responses((status = 200, body = Page<SessionBody>), (status = 403, body = ProblemBody)))]
async fn list_session_logs(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<SessionsQuery>,
) -> Result<Json<Page<SessionBody>>, Problem> {
    page(&hub, &context, query).await
}

async fn page(hub: &Hub, context: &Context, query: SessionsQuery) -> Result<Json<Page<SessionBody>>, Problem> {
    let cursor = PageQuery { limit: query.limit, cursor: query.cursor }.cursor::<Uuid>()?;
    if query.from.zip(query.to).is_some_and(|(from, to)| to < from) {
        return Err(Problem::invalid_field("to", "out_of_range", "must not be before `from`"));
    }
    if query.q.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT) {
        return Err(Problem::invalid_field("q", "too_long", "must have at most 200 characters"));
    }
    let filter = SessionFilter {
        user_id: query.user_id,
        target_id: query.target_id,
        status: query.status,
        from: query.from,
        to: query.to,
        text: query.q.filter(|text| !text.trim().is_empty()),
        recording: query.recording,
    };
    let sessions = service::list(hub, context, filter, cursor.after, cursor.fetch()).await?;
    let page = Page::<Session>::of(sessions, cursor.limit, |session| session.id);
    let items = page.items.into_iter().map(|session| SessionBody::of(hub, context, session)).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// One session.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", tag = "sessions", params(("id" = SessionId, Path)),
    responses((status = 200, body = SessionBody), (status = 404, body = ProblemBody)))]
async fn get_session(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
) -> Result<Json<SessionBody>, Problem> {
    let session = service::get(&hub, &context, id).await?;
    Ok(Json(SessionBody::of(&hub, &context, session)))
}

/// Somebody who watched or joined a session.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Participant)]
struct ParticipantBody {
    id: ParticipantId,
    user_id: UserId,
    user_name: String,
    kind: ParticipantKind,
    /// Whether the session's person was told.
    visible: bool,
    began_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    /// Why they left: `left`, `session_ended`, `hub_lost`, or the code of the access they lost.
    end_code: Option<String>,
    /// When they were last allowed to type.
    input_granted_at: Option<DateTime<Utc>>,
    /// Bytes they typed.
    bytes_sent: i64,
}

impl From<Participant> for ParticipantBody {
    fn from(participant: Participant) -> Self {
        Self {
            id: participant.id,
            user_id: participant.user_id,
            user_name: participant.user_name,
            kind: ParticipantKind::from_name(&participant.kind),
            visible: participant.visible,
            began_at: participant.began_at,
            ended_at: participant.ended_at,
            end_code: participant.end_code,
            input_granted_at: participant.input_granted_at,
            bytes_sent: participant.bytes_sent,
        }
    }
}

/// Who watched or joined a session, at most 1000. The session's own person is not shown those whom a
/// setting hides.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/participants", tag = "sessions",
    params(("id" = SessionId, Path)),
    responses((status = 200, body = Page<ParticipantBody>), (status = 404, body = ProblemBody)))]
async fn list_participants(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
) -> Result<Json<Page<ParticipantBody>>, Problem> {
    let items = participation::participants(&hub, &context, id).await?;
    Ok(Json(Page { items: items.into_iter().map(ParticipantBody::from).collect(), next_cursor: None }))
}

/// Why a session is ended.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
struct TerminateSession {
    /// Shown to the person whose session it is; at most 1000 characters. May be left out for one's own.
    #[serde(default)]
    reason: Option<String>,
}

/// Ends a session: one's own, or anybody's with `session.terminate`.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/terminate", tag = "sessions", params(("id" = SessionId, Path)),
    request_body = Option<TerminateSession>,
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
              (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn terminate_session(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
    OptionalJson(body): OptionalJson<TerminateSession>,
) -> Result<StatusCode, Problem> {
    service::terminate(&hub, &context, id, body.reason.as_deref().unwrap_or_default()).await?;
    Ok(StatusCode::NO_CONTENT)
}
