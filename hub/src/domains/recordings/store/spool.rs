//! SQL about what waits in a spool.

use openpam_ids::SessionId;
use sqlx::PgConnection;
use uuid::Uuid;

/// Notes that a segment waits in a spool.
pub(crate) async fn segment_waits(
    connection: &mut PgConnection,
    id: SessionId,
    seq: i32,
    place: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update recording_segments set spool = $3 where session_id = $1 and seq = $2",
        id.as_uuid(),
        seq,
        place
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a segment is in the store.
pub(crate) async fn segment_stored(connection: &mut PgConnection, id: SessionId, seq: i32) -> Result<(), sqlx::Error> {
    sqlx::query!("update recording_segments set spool = null where session_id = $1 and seq = $2", id.as_uuid(), seq)
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes that the manifest waits in a spool; `false` when the recording is closed already.
pub(crate) async fn manifest_waits(
    connection: &mut PgConnection,
    id: SessionId,
    place: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update recordings set spool = $2 where session_id = $1 and state = 'recording'",
        id.as_uuid(),
        place
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that no manifest waits any more.
pub(crate) async fn manifest_stored(connection: &mut PgConnection, id: SessionId) -> Result<(), sqlx::Error> {
    sqlx::query!("update recordings set spool = null where session_id = $1 and spool is not null", id.as_uuid())
        .execute(connection)
        .await?;
    Ok(())
}

/// The hash of a segment that belongs to a recording that is kept: one that was closed without it, or is
/// purged, has it no more. Nothing closes or purges the recording until the transaction ends.
pub(crate) async fn belongs(
    connection: &mut PgConnection,
    id: SessionId,
    seq: i32,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        "select hash from recording_segments join recordings using (tenant_id, session_id)
         where session_id = $1 and seq = $2 and seq < recordings.segments and state not in ('purging', 'purged')
         for share of recordings",
        id.as_uuid(),
        seq
    )
    .fetch_optional(connection)
    .await
}

/// Where an earlier segment waits, if one does.
pub(crate) async fn earlier_waits(
    connection: &mut PgConnection,
    id: SessionId,
    seq: i32,
) -> Result<Option<String>, sqlx::Error> {
    let place = sqlx::query_scalar!(
        "select spool from recording_segments where session_id = $1 and seq < $2 and spool is not null
         order by seq limit 1",
        id.as_uuid(),
        seq
    )
    .fetch_optional(connection)
    .await?;
    Ok(place.flatten())
}

/// Those of these recordings that are deleted, or about to be.
pub(crate) async fn purged_of(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<SessionId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select session_id as "id: SessionId" from recordings
           where session_id = any ($1) and state in ('purging', 'purged')"#,
        ids
    )
    .fetch_all(connection)
    .await
}

/// Those of these recordings that are open, and that nobody closes.
pub(crate) async fn open_of(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<SessionId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select session_id as "id: SessionId" from recordings
           where session_id = any ($1) and state = 'recording' and closing_at is null"#,
        ids
    )
    .fetch_all(connection)
    .await
}

/// A part of a recording that waits in a spool.
#[derive(Debug, Clone)]
pub(crate) struct Waits {
    /// Its number; none for the manifest.
    pub(crate) seq: Option<i32>,
    /// Where.
    pub(crate) place: String,
}

/// What of a recording waits in a spool, segments in their order, the manifest last.
pub(crate) async fn waits(connection: &mut PgConnection, id: SessionId) -> Result<Vec<Waits>, sqlx::Error> {
    sqlx::query_as!(
        Waits,
        r#"select seq as "seq?", spool as "place!" from recording_segments
           where session_id = $1 and spool is not null
           union all
           select null, spool from recordings where session_id = $1 and spool is not null
           order by 1 nulls last limit 100000"#,
        id.as_uuid()
    )
    .fetch_all(connection)
    .await
}

/// What was noted of a recording and is not in its manifest.
#[derive(Debug, Clone)]
pub(crate) struct LeftOut {
    pub(crate) count: i64,
    /// The first thousand.
    pub(crate) segments: Vec<i32>,
    /// The spools that some of it waits in.
    pub(crate) places: Vec<String>,
}

/// What was noted and is behind the manifest's last segment.
pub(crate) async fn left_out(connection: &mut PgConnection, id: SessionId, kept: i32) -> Result<LeftOut, sqlx::Error> {
    sqlx::query_as!(
        LeftOut,
        r#"select count(*) as "count!",
                  coalesce((array_agg(seq order by seq))[1:1000], '{}') as "segments!",
                  coalesce(array_agg(distinct spool) filter (where spool is not null), '{}') as "places!"
           from recording_segments where session_id = $1 and seq >= $2"#,
        id.as_uuid(),
        kept
    )
    .fetch_one(connection)
    .await
}
