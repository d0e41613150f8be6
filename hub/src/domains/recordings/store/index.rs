//! SQL of the index over what recordings show.

use openpam_ids::{SessionId, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::types::{IndexState, Line, MOST_MARKS, TakenMarks, Unindexed};

/// What more segments bring to the index.
pub(in super::super) struct More<'a> {
    /// How many they are.
    pub(in super::super) segments: i32,
    pub(in super::super) lines: &'a [Line],
    /// Lines of the session so far that were taken by looking at its screen.
    pub(in super::super) looked: u64,
    pub(in super::super) truncated: bool,
    pub(in super::super) cut: bool,
    pub(in super::super) marks: &'a TakenMarks,
    /// All stretches that were too fast so far: beginnings and ends in turn, in microseconds.
    pub(in super::super) sampled: &'a [i64],
}

/// How far a recording is indexed; done, where it is being deleted.
pub(in super::super) async fn index_state(
    connection: &mut PgConnection,
    id: SessionId,
) -> Result<Option<IndexState>, sqlx::Error> {
    sqlx::query_as!(
        IndexState,
        r#"select segments, lines, bytes, truncated, cut, unseen_keys, unseen_entries, hidden_entries, looked_lines,
                  marks, sampled, error_code,
                  (done or exists (select from recordings as deleted
                                   where deleted.session_id = $1 and deleted.state in ('purging', 'purged'))) as "done!"
           from recording_index where session_id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Notes that more segments are indexed; `false` when another hub was faster, or it is being deleted.
pub(in super::super) async fn note_indexed(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: SessionId,
    before: &IndexState,
    more: &More<'_>,
) -> Result<bool, sqlx::Error> {
    let lines = more.lines;
    let bytes = lines.iter().map(|line| line.text.len()).sum::<usize>();
    // Later ones are left out; they are counted all the same.
    let room = usize::try_from(MOST_MARKS.saturating_sub(before.marks)).unwrap_or_default();
    let marks = &more.marks.marks[..more.marks.marks.len().min(room)];
    let noted = sqlx::query!(
        "update recording_index
         set segments = segments + $13, lines = lines + $3, bytes = bytes + $4, truncated = truncated or $5,
             sampled = $6, cut = cut or $7, unseen_keys = unseen_keys + $8, unseen_entries = unseen_entries + $9,
             marks = marks + $10, hidden_entries = hidden_entries + $11, looked_lines = $12, failures = 0,
             indexed_at = now()
         where session_id = $1 and segments = $2 and not done
           and exists (select from recordings where recordings.session_id = $1 and state not in ('purging', 'purged'))",
        id.as_uuid(),
        before.segments,
        i32::try_from(lines.len()).unwrap_or(i32::MAX),
        i64::try_from(bytes).unwrap_or(i64::MAX),
        more.truncated,
        more.sampled,
        more.cut,
        i64::try_from(more.marks.unseen_keys).unwrap_or(i64::MAX),
        i32::try_from(more.marks.unseen_entries).unwrap_or(i32::MAX),
        i32::try_from(marks.len()).unwrap_or(i32::MAX),
        i32::try_from(more.marks.hidden_entries).unwrap_or(i32::MAX),
        i32::try_from(more.looked).unwrap_or(i32::MAX),
        more.segments
    )
    .execute(&mut *connection)
    .await?;
    if noted.rows_affected() == 0 {
        return Ok(false);
    }
    let numbers = (before.lines..).zip(lines).map(|(number, _)| number).collect::<Vec<_>>();
    let times = lines.iter().map(|line| i64::try_from(line.at_us).unwrap_or(i64::MAX)).collect::<Vec<_>>();
    let commands =
        lines.iter().map(|line| line.command_from.and_then(|from| i16::try_from(from).ok())).collect::<Vec<_>>();
    let texts = lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
    sqlx::query!(
        "insert into recording_lines (tenant_id, session_id, number, at_us, command_from, text)
         select $1, $2, line.number, line.at_us, line.command_from, line.text
         from unnest($3::int[], $4::bigint[], $5::smallint[], $6::text[]) as line (number, at_us, command_from, text)",
        tenant.as_uuid(),
        id.as_uuid(),
        &numbers,
        &times,
        &commands as &[Option<i16>],
        &texts
    )
    .execute(&mut *connection)
    .await?;
    if marks.is_empty() {
        return Ok(true);
    }
    let numbers = (before.marks..).zip(marks).map(|(number, _)| number).collect::<Vec<_>>();
    let times = marks.iter().map(|mark| i64::try_from(mark.at_us).unwrap_or(i64::MAX)).collect::<Vec<_>>();
    let labels = marks.iter().map(|mark| mark.label.clone()).collect::<Vec<_>>();
    sqlx::query!(
        "insert into recording_marks (tenant_id, session_id, number, at_us, label)
         select $1, $2, mark.number, mark.at_us, mark.label
         from unnest($3::int[], $4::bigint[], $5::text[]) as mark (number, at_us, label)",
        tenant.as_uuid(),
        id.as_uuid(),
        &numbers,
        &times,
        &labels
    )
    .execute(connection)
    .await?;
    Ok(true)
}

/// The marks of a recording, as far as it is indexed: when, and what.
pub(in super::super) async fn marks(
    connection: &mut PgConnection,
    id: SessionId,
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select at_us, label from recording_marks where session_id = $1 order by at_us, number limit $2",
        id.as_uuid(),
        i64::from(MOST_MARKS)
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.at_us, row.label)).collect())
}

/// Notes that nothing more will be indexed, and why where that is not the recording's end.
pub(in super::super) async fn close_index(
    connection: &mut PgConnection,
    id: SessionId,
    error_code: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update recording_index set done = true, error_code = $2, indexed_at = now() where session_id = $1 and not done",
        id.as_uuid(),
        error_code
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Recordings that are closed and not indexed to their end, that nobody has indexed for so many seconds.
pub(in super::super) async fn unindexed(
    connection: &mut PgConnection,
    seconds: f64,
    limit: i64,
) -> Result<Vec<Unindexed>, sqlx::Error> {
    sqlx::query_as!(
        Unindexed,
        r#"select recording_index.session_id as "session_id: _", recordings.segments
           from recording_index join recordings using (tenant_id, session_id)
           where not done and recordings.state in ('complete', 'completed', 'empty')
             and recordings.ended_at < now() - make_interval(secs => $1)
             and (indexed_at is null or indexed_at < now() - make_interval(secs => $1))
           order by indexed_at nulls first, recording_index.session_id desc limit $2"#,
        seconds,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Notes that it was tried, so that others have their turn before it is tried again; how often what the store gave
/// was not what was stored.
pub(in super::super) async fn note_tried(
    connection: &mut PgConnection,
    id: SessionId,
    bad: bool,
) -> Result<i32, sqlx::Error> {
    let failures = sqlx::query_scalar!(
        "update recording_index set indexed_at = now(), failures = failures + $2 where session_id = $1 and not done
         returning failures",
        id.as_uuid(),
        i32::from(bad)
    )
    .fetch_optional(connection)
    .await?;
    Ok(failures.unwrap_or_default())
}

/// Commands of a session, at most so many: when, and what.
pub(in super::super) async fn commands(
    connection: &mut PgConnection,
    id: Uuid,
    limit: i64,
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select at_us, substr(text, command_from + 1) as "text!" from recording_lines
           where session_id = $1 and command_from is not null order by number limit $2"#,
        id,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.at_us, row.text)).collect())
}
