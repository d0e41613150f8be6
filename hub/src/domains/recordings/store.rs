//! SQL of recordings.

pub(super) mod index;
pub(super) mod search;

use chrono::{DateTime, Utc};
use openpam_ids::{RecordingKeyId, SessionId, TenantId};
use openpam_recordings::{Head, Manifest, SealedSegment};
use sqlx::PgConnection;

use super::types::{Abandoned, Key, Recording, Screen, SegmentEntry};

pub(super) mod retention;
pub(super) mod spool;

fn key(bytes: Vec<u8>) -> [u8; 32] {
    // The table's check holds the length.
    bytes.try_into().unwrap_or_default()
}

/// The tenant's present keys.
pub(super) async fn keys(connection: &mut PgConnection) -> Result<Vec<Key>, sqlx::Error> {
    let rows = sqlx::query!("select purpose, public_key, vault_path from recording_keys where retired_at is null")
        .fetch_all(connection)
        .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|row| Key { purpose: row.purpose, public: key(row.public_key), vault_path: row.vault_path }).collect())
}

/// One key, present or retired.
pub(super) async fn key_of(
    connection: &mut PgConnection,
    purpose: &str,
    public: &[u8; 32],
) -> Result<Option<Key>, sqlx::Error> {
    let row = sqlx::query!(
        "select purpose, public_key, vault_path from recording_keys where purpose = $1 and public_key = $2 limit 1",
        purpose,
        &public[..]
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Key { purpose: row.purpose, public: key(row.public_key), vault_path: row.vault_path }))
}

/// Every public key there was for the purpose.
pub(super) async fn all_keys(connection: &mut PgConnection, purpose: &str) -> Result<Vec<[u8; 32]>, sqlx::Error> {
    let rows = sqlx::query_scalar!("select public_key from recording_keys where purpose = $1", purpose)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(key).collect())
}

/// Retires a key that another one replaces. What is wrapped to it stays readable with it.
pub(super) async fn retire_key(
    connection: &mut PgConnection,
    purpose: &str,
    public: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update recording_keys set retired_at = now()
         where purpose = $1 and public_key = $2 and retired_at is null",
        purpose,
        &public[..]
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes a key; `false` when another hub was faster.
pub(super) async fn insert_key(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: RecordingKeyId,
    purpose: &str,
    public: &[u8; 32],
    vault_path: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into recording_keys (recording_key_id, tenant_id, purpose, public_key, vault_path)
         values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, purpose) where retired_at is null do nothing",
        id.as_uuid(),
        tenant.as_uuid(),
        purpose,
        &public[..],
        vault_path
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: SessionId,
    required: bool,
    path: &str,
    started_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with begun as (
             insert into recordings (session_id, tenant_id, required, path, started_at) values ($1, $2, $3, $4, $5)
             returning tenant_id, session_id
         )
         insert into recording_index (tenant_id, session_id) select tenant_id, session_id from begun",
        id.as_uuid(),
        tenant.as_uuid(),
        required,
        path,
        started_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What became of a segment that was to be noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is noted now.
    Yes,
    /// It was noted before.
    Before,
    /// The recording was closed without it.
    Closed,
}

/// Notes that a segment is stored. Noting it twice is harmless. Where it says `Closed` the transaction is
/// to be rolled back.
pub(super) async fn note_segment(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: SessionId,
    segment: &SealedSegment,
) -> Result<Noted, sqlx::Error> {
    let header = &segment.header;
    let micros = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let stored = i32::try_from(segment.bytes.len()).unwrap_or(i32::MAX);
    let noted = sqlx::query!(
        "insert into recording_segments (tenant_id, session_id, seq, from_us, until_us, records, plain_bytes,
                                         stored_bytes, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict on constraint recording_segments_key do nothing",
        tenant.as_uuid(),
        id.as_uuid(),
        count(header.seq),
        micros(header.from),
        micros(header.until),
        count(header.records),
        count(header.plain_bytes),
        stored,
        &segment.hash.0[..]
    )
    .execute(&mut *connection)
    .await?;
    if noted.rows_affected() == 0 {
        return Ok(Noted::Before);
    }
    let open = sqlx::query!(
        "update recordings
         set segments = $2, root = $3, records = records + $4, plain_bytes = plain_bytes + $5,
             stored_bytes = stored_bytes + $6, dropped_bytes = dropped_bytes + $7, duration_us = $8
         where session_id = $1 and state = 'recording' and closing_at is null",
        id.as_uuid(),
        count(segment.head.segments),
        &segment.head.root.0[..],
        i64::from(header.records),
        i64::from(header.plain_bytes),
        i64::from(stored),
        micros(header.dropped_bytes),
        micros(header.until)
    )
    .execute(connection)
    .await?;
    Ok(if open.rows_affected() == 1 { Noted::Yes } else { Noted::Closed })
}

/// Notes how a recording was closed; `false` when it had been.
pub(super) async fn close(
    connection: &mut PgConnection,
    id: SessionId,
    state: &str,
    manifest: &Manifest,
    ended_at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let done = sqlx::query!(
        "update recordings
         set state = $2, closing_error = null, ended_at = greatest($3, started_at), segments = $4, records = $5, plain_bytes = $6,
             stored_bytes = $7, dropped_bytes = $8, duration_us = $9, root = $10, signer = $11
         where session_id = $1 and state = 'recording'",
        id.as_uuid(),
        state,
        ended_at,
        i32::try_from(manifest.segments).unwrap_or(i32::MAX),
        number(manifest.records),
        number(manifest.plain_bytes),
        number(manifest.stored_bytes),
        number(manifest.dropped_bytes),
        number(manifest.ended_at),
        &manifest.root.0[..],
        &manifest.signer.0[..]
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn find(connection: &mut PgConnection, id: SessionId) -> Result<Option<Recording>, sqlx::Error> {
    sqlx::query_as!(
        Recording,
        r#"select session_id as "session_id: _", state, required, path, started_at, ended_at, segments, records,
                  plain_bytes, stored_bytes, dropped_bytes, duration_us, root, closing_at, closing_error, defect
           from recordings where session_id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn segments(connection: &mut PgConnection, id: SessionId) -> Result<Vec<SegmentEntry>, sqlx::Error> {
    sqlx::query_as!(
        SegmentEntry,
        // A recording that was closed without a hub's spool has fewer segments than were noted.
        "select seq, from_us, until_us, noted.records, noted.plain_bytes, noted.stored_bytes, hash
         from recording_segments as noted join recordings using (tenant_id, session_id)
         where session_id = $1 and seq < recordings.segments order by seq",
        id.as_uuid()
    )
    .fetch_all(connection)
    .await
}

/// Segments of a recording from this one on, at most so many.
pub(super) async fn segments_from(
    connection: &mut PgConnection,
    id: SessionId,
    first: i32,
    limit: i64,
) -> Result<Vec<SegmentEntry>, sqlx::Error> {
    sqlx::query_as!(
        SegmentEntry,
        "select seq, from_us, until_us, noted.records, noted.plain_bytes, noted.stored_bytes, hash
         from recording_segments as noted join recordings using (tenant_id, session_id)
         where session_id = $1 and seq >= $2 and seq < recordings.segments order by seq limit $3",
        id.as_uuid(),
        first,
        limit
    )
    .fetch_all(connection)
    .await
}

/// One segment as it was noted when it was stored.
pub(super) async fn segment(
    connection: &mut PgConnection,
    id: SessionId,
    seq: i32,
) -> Result<Option<SegmentEntry>, sqlx::Error> {
    sqlx::query_as!(
        SegmentEntry,
        "select seq, from_us, until_us, records, plain_bytes, stored_bytes, hash
         from recording_segments where session_id = $1 and seq = $2",
        id.as_uuid(),
        seq
    )
    .fetch_optional(connection)
    .await
}

/// Open recordings of sessions that ended before this, that nobody finishes and that may be tried now: those that
/// were not tried yet come first.
pub(super) async fn abandoned(
    connection: &mut PgConnection,
    ended_before: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Abandoned>, sqlx::Error> {
    sqlx::query_as!(
        Abandoned,
        r#"select session_id as "session_id: _", recordings.started_at, sessions.end_time as "ended_at!",
                  closing_at is not null as "is_closing!", closing_failures as failures,
                  closing_lost_seq as lost_seq, closing_lost_count as lost_count, closing_lost_at as lost_at
           from recordings join sessions using (tenant_id, session_id)
           where state = 'recording' and sessions.end_time < $1
             and (finishing_until is null or finishing_until < $2)
             and (closing_retry_at is null or closing_retry_at <= $2)
           order by closing_retry_at nulls first, session_id limit $3"#,
        ended_before,
        now,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Notes that its own hub still stores the end of a recording; `false` where somebody else closes it, or has.
pub(super) async fn finishing(
    connection: &mut PgConnection,
    id: SessionId,
    until: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update recordings set finishing_until = $2
         where session_id = $1 and state = 'recording' and closing_at is null",
        id.as_uuid(),
        until
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that a completer signs what is stored, up to this head: from then on nothing more is noted, and what is
/// behind it belongs to the recording no more. `false` where other segments than this many were noted, or it is closed.
pub(super) async fn begin_closing(
    connection: &mut PgConnection,
    id: SessionId,
    noted: i32,
    head: &Head,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    // Waits for whoever notes one just now, and compares then.
    let done = sqlx::query!(
        "update recordings set closing_at = coalesce(closing_at, $3), segments = $4, root = $5
         where session_id = $1 and state = 'recording' and segments = $2",
        id.as_uuid(),
        noted,
        now,
        i32::try_from(head.segments).unwrap_or(i32::MAX),
        &head.root.0[..]
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes why a recording could not be closed, and when to try again; where the store did not give a segment, which
/// and how often in a row.
pub(super) async fn closing_failed(
    connection: &mut PgConnection,
    id: SessionId,
    error: &str,
    retry_at: DateTime<Utc>,
    lost: Option<i32>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update recordings
         set closing_failures = closing_failures + 1, closing_error = left($2, 500), closing_retry_at = $3,
             closing_lost_seq = $4::integer,
             closing_lost_count = case when $4::integer is null then 0
                                       when closing_lost_seq = $4::integer then closing_lost_count + 1 else 1 end,
             closing_lost_at = case when $4::integer is null then null
                                    when closing_lost_seq = $4::integer then closing_lost_at else $5::timestamptz end
         where session_id = $1 and state = 'recording'",
        id.as_uuid(),
        error,
        retry_at,
        lost,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes what a verification of a closed recording found, or that it found nothing any more; `false` where that is
/// known, or it is not closed.
pub(super) async fn note_defect(
    connection: &mut PgConnection,
    id: SessionId,
    defect: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update recordings set defect = $2::text, defect_at = case when $2::text is null then null else $3::timestamptz end
         where session_id = $1 and state in ('complete', 'completed', 'empty') and defect is distinct from $2::text",
        id.as_uuid(),
        defect,
        now
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The last screen that is known at or before the segment.
pub(super) async fn screen_before(
    connection: &mut PgConnection,
    id: SessionId,
    seq: i32,
) -> Result<Option<Screen>, sqlx::Error> {
    sqlx::query_as!(
        Screen,
        "select seq, cols, rows, screen, pending from recording_screens
         where session_id = $1 and seq <= $2 order by seq desc limit 1",
        id.as_uuid(),
        seq
    )
    .fetch_optional(connection)
    .await
}

/// Notes a screen. Noting it twice is harmless.
pub(super) async fn note_screen(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: SessionId,
    screen: &Screen,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into recording_screens (tenant_id, session_id, seq, cols, rows, screen, pending)
         select $1, $2, $3, $4, $5, $6, $7
         from recordings where session_id = $2 and state not in ('purging', 'purged')
         on conflict on constraint recording_screens_key do nothing",
        tenant.as_uuid(),
        id.as_uuid(),
        screen.seq,
        screen.cols,
        screen.rows,
        screen.screen,
        screen.pending
    )
    .execute(connection)
    .await?;
    Ok(())
}
