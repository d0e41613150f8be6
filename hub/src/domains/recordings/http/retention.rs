//! Routes of how long recordings are kept.

use axum::extract::State;
use chrono::{DateTime, Utc};
use openpam_ids::SessionId;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;
use uuid::Uuid;

use super::{
    super::{
        player,
        retention::{self, Retention},
        types::{ListedRecording, RecordingFilter},
    },
    hex,
};
use crate::{
    context::Context,
    http::{Access, Json, Page, PageQuery, Path, Problem, ProblemBody, Query, Routes},
    permissions::Permission,
    state::Hub,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(Access::Permission(Permission::RecordingPlay), routes!(list_recordings))
        .add(Access::SignedIn, routes!(get_retention))
        .add(Access::Permission(Permission::RecordingHold), routes!(hold_recording))
        .add(Access::Permission(Permission::RecordingHold), routes!(release_recording))
        .add(Access::Permission(Permission::RecordingPurge), routes!(purge_recording))
}

/// The state of a recording.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum RecordingState {
    Recording,
    Complete,
    Completed,
    Empty,
    Purging,
    Purged,
}

impl RecordingState {
    const fn name(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Complete => "complete",
            Self::Completed => "completed",
            Self::Empty => "empty",
            Self::Purging => "purging",
            Self::Purged => "purged",
        }
    }
}

/// A recording, without its segments and without verifying it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RecordingSummary {
    session_id: SessionId,
    #[schema(value_type = RecordingState)]
    state: String,
    required: bool,
    path: String,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    duration_seconds: f64,
    segments: i32,
    records: i64,
    plain_bytes: i64,
    stored_bytes: i64,
    dropped_bytes: i64,
    /// Merkle root over the segments (RFC 6962), hexadecimal.
    root: Option<String>,
    /// Whether a legal hold keeps it.
    held: bool,
    /// What the last verification found wrong: the stable name of a verdict.
    defect: Option<String>,
    /// Why it could not be purged yet.
    purge_error: Option<String>,
}

impl From<ListedRecording> for RecordingSummary {
    fn from(recording: ListedRecording) -> Self {
        Self {
            session_id: recording.session_id,
            state: recording.state,
            required: recording.required,
            path: recording.path,
            started_at: recording.started_at,
            ended_at: recording.ended_at,
            duration_seconds: player::seconds(recording.duration_us),
            segments: recording.segments,
            records: recording.records,
            plain_bytes: recording.plain_bytes,
            stored_bytes: recording.stored_bytes,
            dropped_bytes: recording.dropped_bytes,
            root: recording.root.as_deref().map(hex),
            held: recording.held,
            defect: recording.defect,
            purge_error: recording.purge_error,
        }
    }
}

/// Filters of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct RecordingsQuery {
    /// Items a page, 1 to 200.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// In which state.
    state: Option<RecordingState>,
    /// Whether a legal hold keeps it.
    held: Option<bool>,
    /// Whether the last verification found something wrong with it. What nobody verified counts as sound.
    damaged: Option<bool>,
}

/// Everybody's recordings, newest first.
#[utoipa::path(get, path = "/api/v1/recordings", tag = "recordings", params(RecordingsQuery),
    responses((status = 200, body = Page<RecordingSummary>), (status = 422, body = ProblemBody)))]
async fn list_recordings(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<RecordingsQuery>,
) -> Result<Json<Page<RecordingSummary>>, Problem> {
    let cursor = PageQuery { limit: query.limit, cursor: query.cursor }.cursor::<Uuid>()?;
    let state = query.state.map(RecordingState::name);
    let filter = RecordingFilter { state, held: query.held, damaged: query.damaged };
    let recordings = retention::list(&hub, &context, filter, cursor.after, cursor.fetch()).await?;
    Ok(Json(Page::of(recordings, cursor.limit, |recording: &ListedRecording| recording.session_id.as_uuid())))
}

/// A legal hold.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RecordingHold {
    at: DateTime<Utc>,
    by: String,
    reason: String,
}

/// A purge: begun, and done when `purged_at` is there.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RecordingPurge {
    at: DateTime<Utc>,
    by: String,
    reason: String,
    purged_at: Option<DateTime<Utc>>,
}

/// How a recording is kept.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RecordingRetention)]
struct RetentionBody {
    #[schema(value_type = RecordingState)]
    state: String,
    ended_at: Option<DateTime<Utc>>,
    segments: i32,
    stored_bytes: i64,
    /// Merkle root over the segments (RFC 6962), hexadecimal; stays after a purge.
    root: Option<String>,
    /// When it will be purged; null where it is kept for ever, runs, or is held.
    kept_until: Option<DateTime<Utc>>,
    hold: Option<RecordingHold>,
    purge: Option<RecordingPurge>,
    /// Why it could not be purged yet.
    purge_error: Option<String>,
    /// Segments that wait in the spool of a hub because the store was down.
    spooled_segments: i64,
    /// Where they wait.
    spool: Option<String>,
}

impl From<Retention> for RetentionBody {
    fn from(Retention { kept, kept_until }: Retention) -> Self {
        Self {
            state: kept.state,
            ended_at: kept.ended_at,
            segments: kept.segments,
            stored_bytes: kept.stored_bytes,
            root: kept.root.as_deref().map(hex),
            kept_until,
            hold: kept.hold_at.map(|at| RecordingHold {
                at,
                by: kept.hold_by_name.unwrap_or_default(),
                reason: kept.hold_reason.unwrap_or_default(),
            }),
            purge: kept.purge_at.map(|at| RecordingPurge {
                at,
                by: kept.purge_by_name.unwrap_or_default(),
                reason: kept.purge_reason.unwrap_or_default(),
                purged_at: kept.purged_at,
            }),
            purge_error: kept.purge_error,
            spooled_segments: kept.spooled,
            spool: kept.spool,
        }
    }
}

/// How a session's recording is kept, and until when.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/recording/retention", tag = "recordings",
    params(("id" = SessionId, Path)),
    responses((status = 200, body = RetentionBody), (status = 404, body = ProblemBody)))]
async fn get_retention(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
) -> Result<Json<RetentionBody>, Problem> {
    Ok(Json(retention::get(&hub, &context, id).await?.into()))
}

/// Why a recording is held or purged.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct RecordingReason {
    /// For the trail; 1 to 1000 characters.
    #[serde(default)]
    reason: String,
}

/// Puts a recording under legal hold: nothing purges it until it is released.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/recording/hold", tag = "recordings",
    params(("id" = SessionId, Path)), request_body = RecordingReason,
    responses((status = 200, body = RetentionBody), (status = 404, body = ProblemBody),
              (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn hold_recording(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
    Json(body): Json<RecordingReason>,
) -> Result<Json<RetentionBody>, Problem> {
    Ok(Json(retention::hold(&hub, &context, id, &body.reason).await?.into()))
}

/// Lifts a legal hold.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}/recording/hold", tag = "recordings",
    params(("id" = SessionId, Path)),
    responses((status = 200, body = RetentionBody), (status = 404, body = ProblemBody),
              (status = 409, body = ProblemBody)))]
async fn release_recording(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
) -> Result<Json<RetentionBody>, Problem> {
    Ok(Json(retention::release(&hub, &context, id).await?.into()))
}

/// Purges a recording: deletes it from the store, for good. Its row, its root and the trail stay.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}/recording", tag = "recordings",
    params(("id" = SessionId, Path)), request_body = RecordingReason,
    responses((status = 200, body = RetentionBody), (status = 404, body = ProblemBody),
              (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn purge_recording(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
    Json(body): Json<RecordingReason>,
) -> Result<Json<RetentionBody>, Problem> {
    Ok(Json(retention::purge(&hub, &context, id, &body.reason).await?.into()))
}
