//! SQL about how long recordings are kept.

use chrono::{DateTime, Utc};
use openpam_ids::SessionId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::types::{Kept, ListedRecording, RecordingFilter};

/// How a recording is kept; its row is locked until the transaction ends when it is to be changed.
pub(crate) async fn kept(
    connection: &mut PgConnection,
    id: SessionId,
    for_change: bool,
) -> Result<Option<Kept>, sqlx::Error> {
    if for_change {
        sqlx::query!("select 1 as one from recordings where session_id = $1 for update", id.as_uuid())
            .fetch_optional(&mut *connection)
            .await?;
    }
    sqlx::query_as!(
        Kept,
        r#"select state, ended_at, segments, stored_bytes, root, hold_at, hold_by_name, hold_reason, purge_at,
                  purge_by_name, purge_reason, purge_error, purged_at,
                  (select count(*) from recording_segments as waiting
                   where waiting.session_id = $1 and waiting.spool is not null
                     and (recordings.state = 'recording' or waiting.seq < recordings.segments)) as "spooled!",
                  coalesce(spool, (select min(waiting.spool) from recording_segments as waiting
                                   where waiting.session_id = $1)) as spool
           from recordings where session_id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Holds a recording.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    id: SessionId,
    at: DateTime<Utc>,
    by: Option<Uuid>,
    by_name: &str,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update recordings set hold_at = $2, hold_by = $3, hold_by_name = $4, hold_reason = $5 where session_id = $1",
        id.as_uuid(),
        at,
        by,
        by_name,
        reason
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Holds it no more.
pub(crate) async fn release(connection: &mut PgConnection, id: SessionId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update recordings set hold_at = null, hold_by = null, hold_by_name = null, hold_reason = null
         where session_id = $1",
        id.as_uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Begins to purge a recording that is closed and not held; `false` when it is not so any more.
pub(crate) async fn begin_purge(
    connection: &mut PgConnection,
    id: SessionId,
    at: DateTime<Utc>,
    by_name: &str,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update recordings
         set state = 'purging', purge_at = $2, purge_by_name = $3, purge_reason = $4, purge_error = null,
             purge_retry_at = null
         where session_id = $1 and state in ('complete', 'completed', 'empty') and hold_at is null",
        id.as_uuid(),
        at,
        by_name,
        reason
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes why a recording could not be purged, and when to try again.
pub(crate) async fn purge_failed(
    connection: &mut PgConnection,
    id: SessionId,
    error: &str,
    retry_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update recordings set purge_error = left($2, 500), purge_retry_at = $3
         where session_id = $1 and state <> 'purged'",
        id.as_uuid(),
        error,
        retry_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a recording is deleted, and forgets what was in it; `false` when that is done already.
pub(crate) async fn purged(
    connection: &mut PgConnection,
    id: SessionId,
    at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let still = sqlx::query!(
        "select 1 as one from recordings where session_id = $1 and state = 'purging' for update",
        id.as_uuid()
    )
    .fetch_optional(&mut *connection)
    .await?;
    if still.is_none() {
        return Ok(false);
    }
    sqlx::query!("select openpam.forget_recording($1)", id.as_uuid()).fetch_one(&mut *connection).await?;
    sqlx::query!(
        "update recordings set state = 'purged', purged_at = $2, purge_error = null, purge_retry_at = null
         where session_id = $1",
        id.as_uuid(),
        at
    )
    .execute(connection)
    .await?;
    Ok(true)
}

/// Recordings whose purge has begun and may be gone on with.
pub(crate) async fn purging(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<SessionId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select session_id as "id: SessionId" from recordings
           where state = 'purging' and (purge_retry_at is null or purge_retry_at <= $1) order by session_id limit 100"#,
        now
    )
    .fetch_all(connection)
    .await
}

/// Recordings that ended before this, and are not held.
pub(crate) async fn due(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<SessionId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select session_id as "id: SessionId" from recordings
           where state in ('complete', 'completed', 'empty') and ended_at < $1 and hold_at is null
             and (purge_retry_at is null or purge_retry_at <= $2)
           order by ended_at limit 100"#,
        before,
        now
    )
    .fetch_all(connection)
    .await
}

/// Recordings, the newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    filter: RecordingFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ListedRecording>, sqlx::Error> {
    sqlx::query_as!(
        ListedRecording,
        r#"select session_id as "session_id: _", state, required, path, started_at, ended_at, segments, records,
                  plain_bytes, stored_bytes, dropped_bytes, duration_us, root, hold_at is not null as "held!",
                  defect, purge_error
           from recordings
           where tenant_id = openpam.current_tenant() and ($1::text is null or state = $1)
             and ($2::uuid is null or session_id < $2)
             and ($4::boolean is null or (hold_at is not null) = $4)
             and ($5::boolean is null or (defect is not null) = $5)
           order by session_id desc limit $3"#,
        filter.state,
        before,
        limit,
        filter.held,
        filter.damaged
    )
    .fetch_all(connection)
    .await
}
