//! Routes of recordings.

mod retention;
mod search;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use http::{HeaderValue, header};
use openpam_ids::{AuditEventId, SessionId};
use openpam_recordings::{Check, Completeness, Hash, Report};
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use super::{
    opened::{self, Reading},
    player::{self, PlayerIndex, PlayerSegment},
    service,
    types::{IndexState, Recording, SegmentEntry},
};
use crate::{
    context::Context,
    http::{Access, Json, Path, Problem, ProblemBody, Query, Routes},
    state::Hub,
};

/// Pieces of an export that wait for a slow reader.
const WAITING: usize = 2;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .add(Access::SignedIn, routes!(get_recording))
        .add(Access::SignedIn, routes!(export_recording))
        .add(Access::SignedIn, routes!(play_recording))
        .add(Access::SignedIn, routes!(play_segment))
        .merge(retention::routes())
        .add(Access::SignedIn, routes!(search::search_recordings))
}

/// The recording of a session.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Recording)]
struct RecordingBody {
    session_id: SessionId,
    /// `recording`, `complete`, `completed` or `empty`.
    state: String,
    /// Whether the session could not have gone on without it.
    required: bool,
    /// Where in the store it is.
    path: String,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    /// Seconds from the beginning to the end of what is stored.
    duration_seconds: f64,
    records: i64,
    /// Bytes before compression.
    plain_bytes: i64,
    /// Bytes in the store.
    stored_bytes: i64,
    /// Bytes that passed and were not recorded.
    dropped_bytes: i64,
    /// Merkle root over the segments (RFC 6962), hexadecimal.
    root: Option<String>,
    /// Why it could not be closed yet, where its hub left it open.
    closing_error: Option<String>,
    segments: Vec<SegmentBody>,
    verification: VerificationBody,
    index: IndexBody,
}

/// How far the text of a recording can be searched.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RecordingIndex)]
struct IndexBody {
    /// Segments that are indexed.
    segments: i32,
    /// Lines of text.
    lines: i32,
    /// There is more text than is indexed of one session: 200,000 lines, or 16 MiB; commands beyond that are, up
    /// to 50,000 lines or 4 MiB more.
    truncated: bool,
    /// A line or a command was longer than is indexed (16384 and 8192 characters), or a screen took too long to draw.
    cut: bool,
    /// Bytes that were typed and did not show on the screen: passwords, keys of full-screen programs, and what other
    /// output came between. The player's markers say when.
    unseen_keys: i64,
    /// How often Enter followed such keys and no command was found: what was entered is unknown.
    unseen_entries: i32,
    /// Stretches whose output was so fast that not every line of it is indexed: `[from, until]`, in seconds. Of
    /// those are the commands that were run, and the screen as it stood each second, at each key, and at the end.
    sampled: Vec<(f64, f64)>,
    /// Nothing more will be indexed.
    done: bool,
    /// Why it ends before the recording does: `recording_damaged`.
    error_code: Option<String>,
}

impl From<IndexState> for IndexBody {
    fn from(state: IndexState) -> Self {
        Self {
            segments: state.segments,
            lines: state.lines,
            truncated: state.truncated,
            cut: state.cut,
            unseen_keys: state.unseen_keys,
            unseen_entries: state.unseen_entries,
            sampled: state
                .sampled
                .chunks_exact(2)
                .map(|pair| (player::seconds(pair[0]), player::seconds(pair[1])))
                .collect(),
            done: state.done,
            error_code: state.error_code,
        }
    }
}

/// One stored segment.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RecordingSegment)]
struct SegmentBody {
    seq: i32,
    /// Microseconds since the beginning: its first record.
    from_us: i64,
    /// When it was closed.
    until_us: i64,
    records: i32,
    plain_bytes: i32,
    stored_bytes: i32,
    /// SHA-256, hexadecimal.
    hash: String,
}

/// What was verified just now, without opening the recording.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RecordingVerification)]
struct VerificationBody {
    /// `intact`, `incomplete`, `empty`, `not_done` where it takes longer than a request should, or the stable name
    /// of what is wrong.
    verdict: &'static str,
    /// The same for a person.
    message: String,
    /// `passed`, `failed` or `not_done`.
    structure: &'static str,
    chain: &'static str,
    merkle: &'static str,
    signature: &'static str,
    /// `complete`, `completed` or `unknown`.
    completeness: &'static str,
    /// Everything that is wrong, for a person.
    findings: Vec<String>,
}

fn hex(bytes: &[u8]) -> String {
    <[u8; 32]>::try_from(bytes).map(|bytes| Hash(bytes).to_string()).unwrap_or_default()
}

impl From<SegmentEntry> for SegmentBody {
    fn from(segment: SegmentEntry) -> Self {
        Self {
            seq: segment.seq,
            from_us: segment.from_us,
            until_us: segment.until_us,
            records: segment.records,
            plain_bytes: segment.plain_bytes,
            stored_bytes: segment.stored_bytes,
            hash: hex(&segment.hash),
        }
    }
}

impl VerificationBody {
    /// Of a recording that takes too long.
    fn not_done() -> Self {
        Self {
            verdict: "not_done",
            message: "It takes too long to verify this recording here: openpam recording verify does it.".to_owned(),
            structure: "not_done",
            chain: "not_done",
            merkle: "not_done",
            signature: "not_done",
            completeness: "unknown",
            findings: Vec::new(),
        }
    }
}

impl From<Report> for VerificationBody {
    fn from(report: Report) -> Self {
        let name = |check: Check| match check {
            Check::Passed => "passed",
            Check::Failed => "failed",
            Check::NotDone => "not_done",
        };
        Self {
            verdict: report.verdict.code(),
            message: report.verdict.to_string(),
            structure: name(report.structure),
            chain: name(report.chain),
            merkle: name(report.merkle),
            signature: name(report.signature),
            completeness: match report.completeness {
                Completeness::Complete => "complete",
                Completeness::Completed => "completed",
                Completeness::Unknown => "unknown",
            },
            findings: report.findings.iter().map(|finding| finding.defect.to_string()).collect(),
        }
    }
}

/// What is said of a recording that could not be closed yet.
const NOT_CLOSED: &str = "a part of it is missing, or the store or the vault did not answer; the hub's log says which";

impl RecordingBody {
    fn new(recording: Recording, segments: Vec<SegmentEntry>, report: Option<Report>, index: IndexState) -> Self {
        Self {
            session_id: recording.session_id,
            state: recording.state,
            required: recording.required,
            path: recording.path,
            started_at: recording.started_at,
            ended_at: recording.ended_at,
            duration_seconds: player::seconds(recording.duration_us),
            records: recording.records,
            plain_bytes: recording.plain_bytes,
            stored_bytes: recording.stored_bytes,
            dropped_bytes: recording.dropped_bytes,
            root: recording.root.as_deref().map(hex),
            // What the store or the vault said is for the log.
            closing_error: recording.closing_error.map(|_| NOT_CLOSED.to_owned()),
            segments: segments.into_iter().map(SegmentBody::from).collect(),
            verification: report.map_or_else(VerificationBody::not_done, VerificationBody::from),
            index: index.into(),
        }
    }
}

/// A session's recording: its segments, and what a verification says right now.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/recording", tag = "recordings", params(("id" = SessionId, Path)),
    responses((status = 200, body = RecordingBody), (status = 404, body = ProblemBody)))]
async fn get_recording(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
) -> Result<Json<RecordingBody>, Problem> {
    let (recording, segments, report, index) = service::get(&hub, &context, id).await?;
    Ok(Json(RecordingBody::new(recording, segments, report, index)))
}

/// What an export looks like.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// `asciicast-v3`.
    #[serde(default = "default_format")]
    format: String,
}

fn default_format() -> String {
    "asciicast-v3".to_owned()
}

/// A session's recording in another format, as a download. The export is in the trail.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/recording/export", tag = "recordings",
    params(("id" = SessionId, Path), ExportQuery),
    responses((status = 200, content_type = "application/x-asciicast", body = String),
              (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn export_recording(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    if query.format != "asciicast-v3" {
        return Err(Problem::invalid_field("format", "unknown", "must be asciicast-v3"));
    }
    let mut opened = opened::open(&hub, &context, id, Reading::Export).await?;
    // The first segment before the answer: what is wrong with the key or the store is a problem then.
    let _ = opened.segment(&hub, &context, 0).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel(WAITING);
    let own_hub = hub.clone();
    let exporting = async move {
        if let Err(error) = opened.export(&own_hub, &context, &sender).await {
            tracing::warn!(session_id = %id, %error, "an export broke off");
            // A download that ends without its end must not look whole.
            let _ = sender.send(Err(std::io::Error::other("the export broke off"))).await;
        }
    };
    hub.lifecycle().spawn_child(tracing::Instrument::in_current_span(exporting));
    let stream =
        futures::stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|piece| (piece, receiver)));
    let mut response = Body::from_stream(stream.fuse().boxed()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-asciicast"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}

/// What a player needs to begin. The playing is in the trail.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/recording/player", tag = "recordings",
    params(("id" = SessionId, Path)),
    responses((status = 200, body = PlayerIndex), (status = 404, body = ProblemBody)))]
async fn play_recording(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
) -> Result<Json<PlayerIndex>, Problem> {
    let opened = opened::open(&hub, &context, id, Reading::Play).await?;
    Ok(Json(player::index(&hub, &context, opened).await?))
}

/// Which playing a segment is for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PlayQuery {
    /// As in the player's list of segments.
    play: AuditEventId,
}

/// One segment for a player, with the screen it begins with.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/recording/segments/{seq}", tag = "recordings",
    params(("id" = SessionId, Path), ("seq" = i32, Path, description = "its number, from 0"), PlayQuery),
    responses((status = 200, body = PlayerSegment), (status = 404, body = ProblemBody)))]
async fn play_segment(
    State(hub): State<Hub>,
    context: Context,
    Path((id, seq)): Path<(SessionId, i32)>,
    Query(query): Query<PlayQuery>,
) -> Result<Json<PlayerSegment>, Problem> {
    let mut opened = opened::reopen(&hub, &context, id, query.play).await?;
    Ok(Json(player::segment(&hub, &context, &mut opened, seq).await?))
}
