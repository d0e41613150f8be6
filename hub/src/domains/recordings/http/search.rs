//! The route of the search.

use axum::extract::State;
use chrono::{DateTime, Utc};
use openpam_ids::{SessionId, TargetId, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::{
    player::seconds,
    search::{self, Found, MOST},
    types::{FoundLine, FoundSession, Search},
};
use crate::{
    context::Context,
    http::{Json, Page, PageQuery, Problem, ProblemBody, Query},
    state::Hub,
};

/// Lines of a session that an answer has, and within one session.
const HITS: i32 = 5;
const HITS_WITHIN: i32 = 500;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum LineKind {
    /// What the screen showed.
    Output,
    /// A command that was run, best effort: what stood on the cursor's line when Enter was pressed.
    Command,
}

/// What is searched for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// Part of a line, 2 to 200 characters, whatever its case. Nothing in it is a pattern.
    q: String,
    /// Only lines of this kind.
    kind: Option<LineKind>,
    /// Only in this session.
    session_id: Option<SessionId>,
    /// Sessions that began at or after.
    from: Option<DateTime<Utc>>,
    /// Sessions that began before.
    to: Option<DateTime<Utc>>,
    /// Whose.
    user_id: Option<UserId>,
    /// Where to.
    target_id: Option<TargetId>,
    /// Part of the user's name.
    user: Option<String>,
    /// Part of the target's name.
    target: Option<String>,
    /// Part of the name of the target's zone.
    zone: Option<String>,
    /// Sessions a page, 1 to 200.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A session that showed the text.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RecordingMatch)]
pub(super) struct MatchBody {
    session_id: SessionId,
    user_id: UserId,
    user_name: String,
    target_id: Option<TargetId>,
    target_name: String,
    /// The zone that the target is in now; none when the target was deleted.
    zone_name: Option<String>,
    started_at: DateTime<Utc>,
    /// Lines of it that match; more than 1000 may be counted as 1000.
    count: i64,
    /// The first of them, in order.
    hits: Vec<HitBody>,
}

/// A line that matches.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RecordingHit)]
struct HitBody {
    /// Seconds since the beginning of the recording.
    at: f64,
    kind: LineKind,
    text: String,
    /// Where a command begins in the text, in characters: before it is the prompt.
    command_from: Option<i16>,
    /// Where the match begins in the text, and how long it is, in characters.
    match_from: usize,
    match_length: usize,
}

/// What was found.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RecordingMatches)]
pub(super) struct MatchesBody {
    /// Sessions, newest first.
    items: Vec<MatchBody>,
    /// Pass as `cursor` for the next page; `null` on the last one.
    next_cursor: Option<String>,
    /// Recordings within the filters whose text is not indexed to its end yet, running ones among them. At most
    /// 10000, as the next.
    unindexed: i64,
    /// Recordings within the filters of which the search may not find all that was shown and run: output was too fast
    /// or too much, a line too long, what was entered was hidden by other output or by a shell without echo, or a part
    /// is damaged.
    partial: i64,
    /// Recordings within the filters in which keys did not show at a prompt before Enter, as a password does not:
    /// nothing else is missing from those. At most 1000.
    unseen: i64,
}

fn hit(line: FoundLine, text: &str, commands: bool) -> HitBody {
    let from = usize::try_from(line.command_from.unwrap_or_default()).unwrap_or_default();
    // Among commands what is found in the prompt does not count.
    let skipped = if commands { line.text.char_indices().nth(from).map_or(0, |(at, _)| at) } else { 0 };
    let found = search::position(&line.text[skipped..], text);
    let (at, length) = found.unwrap_or_default();
    HitBody {
        at: seconds(line.at_us),
        kind: if line.command_from.is_some() { LineKind::Command } else { LineKind::Output },
        match_from: if commands { at + from } else { at },
        match_length: length,
        command_from: line.command_from,
        text: line.text,
    }
}

/// Sessions whose recordings showed a text, newest first: everybody's, or one's own with
/// `recording.play_own`. The search is in the trail.
#[utoipa::path(get, path = "/api/v1/recordings/search", tag = "recordings", params(SearchQuery),
    responses((status = 200, body = MatchesBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn search_recordings(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<SearchQuery>,
) -> Result<Json<MatchesBody>, Problem> {
    let cursor = PageQuery { limit: query.limit, cursor: query.cursor }.cursor::<Uuid>()?;
    for (field, text) in [
        ("q", Some(&query.q)),
        ("user", query.user.as_ref()),
        ("target", query.target.as_ref()),
        ("zone", query.zone.as_ref()),
    ] {
        if text.is_some_and(|text| text.chars().count() > MOST) {
            return Err(Problem::invalid_field(field, "too_long", format!("must have at most {MOST} characters")));
        }
    }
    let name = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let commands = query.kind == Some(LineKind::Command);
    let wanted = Search {
        text: query.q,
        commands,
        output: query.kind == Some(LineKind::Output),
        session_id: query.session_id,
        user_id: query.user_id,
        target_id: query.target_id,
        from: query.from,
        to: query.to,
        user: name(query.user),
        target: name(query.target),
        zone: name(query.zone),
        hits: if query.session_id.is_some() { HITS_WITHIN } else { HITS },
    };
    let text = super::super::lines::tidy(&wanted.text);
    let Found { sessions, unindexed, partial, unseen } =
        search::search(&hub, &context, wanted, cursor.after, cursor.fetch()).await?;
    let page = Page::<(FoundSession, Vec<FoundLine>)>::of(sessions, cursor.limit, |(session, _)| session.session_id);
    let items = page.items.into_iter().map(|(session, lines)| MatchBody {
        session_id: session.session_id,
        user_id: session.user_id,
        user_name: session.user_name,
        target_id: session.target_id,
        target_name: session.target_name,
        zone_name: session.zone_name,
        started_at: session.start_time,
        count: session.count,
        hits: lines.into_iter().map(|line| hit(line, &text, commands)).collect(),
    });
    Ok(Json(MatchesBody { items: items.collect(), next_cursor: page.next_cursor, unindexed, partial, unseen }))
}
