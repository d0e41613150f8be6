//! SQL about what waits in a spool.

use openpam_ids::SessionId;
use sqlx::PgConnection;

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
/// purged, has it no more.
pub(crate) async fn belongs(
    connection: &mut PgConnection,
    id: SessionId,
    seq: i32,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        "select hash from recording_segments join recordings using (tenant_id, session_id)
         where session_id = $1 and seq = $2 and seq < recordings.segments and state not in ('purging', 'purged')",
        id.as_uuid(),
        seq
    )
    .fetch_optional(connection)
    .await
}

/// What of a recording waits in a spool.
#[derive(Debug, Clone)]
pub(crate) struct Waits {
    /// Where the first part waits.
    pub(crate) place: String,
    /// Numbers of the segments.
    pub(crate) segments: Vec<i32>,
}

/// What of a recording waits in a spool; none where all is stored.
pub(crate) async fn waits(connection: &mut PgConnection, id: SessionId) -> Result<Option<Waits>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select seq as "seq?", spool as "place!" from recording_segments
           where session_id = $1 and spool is not null
           union all
           select null, spool from recordings where session_id = $1 and spool is not null
           order by 1 nulls last limit 100000"#,
        id.as_uuid()
    )
    .fetch_all(connection)
    .await?;
    let Some(place) = rows.first().map(|row| row.place.clone()) else { return Ok(None) };
    Ok(Some(Waits { place, segments: rows.into_iter().filter_map(|row| row.seq).collect() }))
}
