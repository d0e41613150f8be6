//! Routes of recordings.

mod retention;
mod search;

use std::time::Duration;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use http::{HeaderValue, header};
use openpam_ids::{AuditEventId, SessionId};
use openpam_recordings::{Check, Completeness, Hash};
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use super::{
    Error, exports,
    opened::{self, Reading},
    player::{self, PlayerIndex, PlayerSegment},
    service::{self, Known},
    types::{IndexState, SegmentEntry},
    verification::Verified,
};
use crate::{
    context::Context,
    http::{Access, Json, Path, Problem, ProblemBody, Query, Routes},
    state::Hub,
};

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
    /// Those from `segments_from` on.
    segments: Vec<SegmentBody>,
    /// All there are.
    segment_count: i32,
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
    /// There is more text than is indexed of one session: 200,000 lines, or 16 MiB; of that, 60,000 lines that were
    /// seen by looking at the screen, as of full-screen programs. Commands beyond that are indexed, up to 50,000 lines
    /// or 4 MiB more.
    truncated: bool,
    /// A line or a command was longer than is indexed (16384 and 8192 characters), or a screen took too long to draw.
    cut: bool,
    /// Bytes that were typed and did not show on the screen: passwords, keys of full-screen programs, and what other
    /// output came between. The player's markers say when.
    unseen_keys: i64,
    /// How often Enter followed such keys and no command was found: what was entered is unknown.
    unseen_entries: i32,
    /// Of those, what was not entered at a prompt that asks, as for a password: it may have been a command.
    hidden_entries: i32,
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
            hidden_entries: state.hidden_entries,
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

/// What was verified, without opening the recording.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RecordingVerification)]
struct VerificationBody {
    /// `intact`, `incomplete`, `empty`, `checking` while segments are read for who does not wait, `not_done` where it
    /// takes longer than a request should or could not be done, or the stable name of what is wrong.
    verdict: &'static str,
    /// The same for a person.
    message: String,
    /// `passed`, `failed` or `not_done`.
    structure: &'static str,
    chain: &'static str,
    merkle: &'static str,
    signature: &'static str,
    /// Whether the list of segments is the one that was signed: each segment is compared with it when it is played.
    list: &'static str,
    /// Whether the segments begin with those whose heads the ledger has (`recording.head`, `recording.close`), whatever
    /// store and database say.
    ledger: &'static str,
    /// Segments that were read for it, of those that there were when it began.
    checked_segments: u32,
    of_segments: u32,
    /// When it ended.
    checked_at: Option<DateTime<Utc>>,
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

impl From<Verified> for VerificationBody {
    fn from(verified: Verified) -> Self {
        let name = |check: Check| match check {
            Check::Passed => "passed",
            Check::Failed => "failed",
            Check::NotDone => "not_done",
        };
        let Verified { report, listed, checked, of, at, failure } = verified;
        let begun = Self {
            verdict: "checking",
            message: format!("{checked} of {of} segments are checked."),
            structure: "not_done",
            chain: "not_done",
            merkle: "not_done",
            signature: name(listed.signature()),
            list: name(listed.list()),
            ledger: "not_done",
            checked_segments: checked,
            of_segments: of,
            checked_at: at,
            completeness: "unknown",
            findings: Vec::new(),
        };
        let Some(report) = report else {
            return match (listed.defect, failure) {
                // What the segments say comes later, and cannot mend that.
                (Some(defect), _) => Self {
                    verdict: defect.code(),
                    message: defect.to_string(),
                    findings: vec![defect.to_string()],
                    ..begun
                },
                (None, Some(failure)) => Self { verdict: "not_done", message: failure, ..begun },
                (None, None) => begun,
            };
        };
        Self {
            verdict: report.verdict.code(),
            message: report.verdict.to_string(),
            structure: name(report.structure),
            chain: name(report.chain),
            merkle: name(report.merkle),
            signature: name(report.signature),
            // All of them are those that the manifest names.
            list: if listed.known { name(listed.list()) } else { name(report.merkle) },
            ledger: name(report.ledger),
            completeness: match report.completeness {
                Completeness::Complete => "complete",
                Completeness::Completed => "completed",
                Completeness::Unknown => "unknown",
            },
            findings: report.findings.iter().map(|finding| finding.defect.to_string()).collect(),
            ..begun
        }
    }
}

/// What is said of a recording that could not be closed yet.
const NOT_CLOSED: &str = "a part of it is missing, or the store or the vault did not answer; the hub's log says which";

impl RecordingBody {
    fn new(known: Known) -> Self {
        let Known { recording, segments, verified, index } = known;
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
            segment_count: recording.segments,
            verification: verified.into(),
            index: index.into(),
        }
    }
}

/// How somebody looks at a recording.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LookQuery {
    /// Seconds to wait for a verification of all segments as they are now, 0 to 8; without, 8. With 0 nothing is
    /// waited for: it goes on in the background, and the answer says how far it is.
    wait_seconds: Option<u8>,
    /// Only segments from this number on: whoever has the others need not have them again.
    segments_from: Option<i32>,
}

/// The longest that a look at a recording waits for its verification: a long one is played all the same, and verified
/// in the background or with the command.
const MOST_PATIENCE: u8 = 8;

/// A session's recording: its segments, and what a verification says.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/recording", tag = "recordings",
    params(("id" = SessionId, Path), LookQuery),
    responses((status = 200, body = RecordingBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn get_recording(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SessionId>,
    Query(query): Query<LookQuery>,
) -> Result<Json<RecordingBody>, Problem> {
    let patience = query.wait_seconds.unwrap_or(MOST_PATIENCE);
    if patience > MOST_PATIENCE {
        return Err(Problem::invalid_field("wait_seconds", "out_of_range", "must be 0 to 8"));
    }
    let first = query.segments_from.unwrap_or_default();
    let known = service::get(&hub, &context, id, Duration::from_secs(patience.into()), first).await?;
    Ok(Json(RecordingBody::new(known)))
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
    let place = exports::place(&context)?;
    let mut opened = opened::open(&hub, &context, id, Reading::Export).await?;
    // The first segment before the answer: what is wrong with the key or the store is a problem then.
    let _ = opened.segment(&hub, &context, 0).await?;
    let (sender, stream) = exports::pieces();
    let own_hub = hub.clone();
    let exporting = async move {
        let _place = place;
        match opened.export(&own_hub, &context, &sender).await {
            Ok(()) => {}
            Err(error @ Error::NotRead) => tracing::info!(session_id = %id, %error, "an export broke off"),
            Err(error) => tracing::warn!(session_id = %id, %error, "an export broke off"),
        }
    };
    hub.lifecycle().spawn_child(tracing::Instrument::in_current_span(exporting));
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
