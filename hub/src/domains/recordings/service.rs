//! Use cases of recordings.

use std::time::Duration;

use chrono::TimeDelta;
use openpam_ids::{SessionId, TenantId};
use openpam_recordings::{Content, Manifest, SealedSegment, Session, SignedManifest};
use sqlx::PgConnection;

use super::{
    Error, Recorder, keys,
    keys::Keys,
    spool::Part,
    storage::Placed,
    store, store_of,
    types::{IndexState, Recording, SegmentEntry},
    upload,
    verification::{self, Listed, Verified},
};
use crate::{
    context::Context,
    db::DbError,
    domains::{
        audit::{self, Event},
        sessions,
    },
    permissions::{Permission, permits},
    state::Hub,
};

/// Segments after which the running head is written into the trail: what is cut off a recording that nobody closed,
/// in the store and in the database, shows up to there. Five minutes, where little is shown.
const HEAD_EVERY: u32 = 20;

/// What a recording needs before its session begins.
#[derive(Debug)]
pub struct Prepared {
    keys: Keys,
}

/// Gets the tenant's keys ready; the first time it makes them. Outside of any transaction: the vault is
/// asked.
///
/// # Errors
/// When there is no store, or keys cannot be had.
pub async fn prepare(hub: &Hub, context: &Context) -> Result<Prepared, Error> {
    store_of(hub)?;
    Ok(Prepared { keys: keys::current(hub, context).await? })
}

/// Begins the recording of a session, in the transaction that begins the session.
///
/// # Errors
/// When it cannot be begun.
pub async fn begin(
    connection: &mut PgConnection,
    hub: &Hub,
    context: &Context,
    id: SessionId,
    size: (u16, u16),
    prepared: &Prepared,
    required: bool,
) -> Result<Recorder, Error> {
    let started_at = hub.clock().now();
    store::insert(connection, context.tenant_id, id, required, &path(context, id), started_at).await?;
    let session = session(context.tenant_id, id, started_at);
    Recorder::new(hub, context, session, id, &prepared.keys, size, required)
}

/// Where in the store the recording of a session is.
pub fn path(context: &Context, id: SessionId) -> String {
    format!("{}/{id}", context.tenant_id)
}

pub(super) fn session(tenant: TenantId, id: SessionId, started_at: chrono::DateTime<chrono::Utc>) -> Session {
    Session {
        tenant_id: tenant.as_uuid(),
        session_id: id.as_uuid(),
        content: Content::Terminal,
        started_at: u64::try_from(started_at.timestamp_micros()).unwrap_or_default(),
    }
}

/// Notes a segment that is stored, as waiting in the spool of this place where it does.
///
/// # Errors
/// `Closed` where the recording was closed without it.
pub(super) async fn note_segment(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    segment: &SealedSegment,
    place: Option<&str>,
) -> Result<(), Error> {
    let mut tx = hub.db().begin(context).await?;
    match store::note_segment(&mut tx, context.tenant_id, id, segment).await? {
        store::Noted::Yes if segment.head.segments.is_multiple_of(HEAD_EVERY) => {
            let event = about(&mut tx, id, Event::success("recording.head"))
                .await?
                .with("segments", segment.head.segments)
                .with("root", segment.head.root.to_string());
            audit::record(&mut tx, context, event).await?;
        }
        store::Noted::Yes | store::Noted::Before => {}
        store::Noted::Closed => return Err(Error::Closed),
    }
    if let Some(place) = place {
        let seq = i32::try_from(segment.header.seq).unwrap_or(i32::MAX);
        store::spool::segment_waits(&mut tx, id, seq, place).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Signs and stores the manifest, and notes that the recording is closed; or lets the manifest wait in the
/// spool, from where it is closed later.
pub(super) async fn close(hub: &Hub, context: &Context, id: SessionId, manifest: Manifest) -> Result<Placed, Error> {
    let signature = keys::sign(hub, context, manifest.signer, &manifest.to_be_signed()).await?;
    let signed = manifest.into_signed(&signature)?;
    let placed = upload::keep_manifest(hub, context, id, &signed).await?;
    if placed == Placed::Stored {
        note_closed(hub, context, id, signed.manifest()).await?;
        // A hub that woke up after a purge leaves nothing behind.
        if matches!(state(hub, context, id).await?.as_deref(), Some("purging" | "purged")) {
            store_of(hub)?.delete_part(&Part::manifest(context.tenant_id, id)).await?;
            return Err(Error::Purged);
        }
    }
    Ok(placed)
}

/// # Errors
/// `Closed` where the recording is closed, or gone; and where its completer closes it just now, for anybody else.
pub(super) async fn require_open(hub: &Hub, context: &Context, id: SessionId, completing: bool) -> Result<(), Error> {
    let mut tx = hub.db().begin(context).await?;
    match store::find(&mut tx, id).await? {
        Some(found) if found.state == "recording" && (completing || found.closing_at.is_none()) => Ok(()),
        _ => Err(Error::Closed),
    }
}

/// Says that this hub still stores the end of a recording: nobody else is to close it. `false` where somebody has.
pub(super) async fn still_finishing(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    lasts: TimeDelta,
) -> Result<bool, Error> {
    let mut tx = hub.db().begin(context).await?;
    let is_open = store::finishing(&mut tx, id, hub.clock().now() + lasts).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(is_open)
}

/// A recording's row, whoever asks; none where there is no such recording.
pub(super) async fn row(hub: &Hub, context: &Context, id: SessionId) -> Result<Option<Recording>, Error> {
    let mut tx = hub.db().begin(context).await?;
    Ok(store::find(&mut tx, id).await?)
}

/// Whether a segment was noted, in its recording or behind its end.
pub(super) async fn is_noted(hub: &Hub, context: &Context, id: SessionId, seq: u32) -> Result<bool, Error> {
    let mut tx = hub.db().begin(context).await?;
    Ok(store::segment(&mut tx, id, i32::try_from(seq).unwrap_or(i32::MAX)).await?.is_some())
}

/// Whether its recorder closed it.
pub(super) async fn is_complete(hub: &Hub, context: &Context, id: SessionId) -> Result<bool, Error> {
    Ok(matches!(state(hub, context, id).await?.as_deref(), Some("complete" | "empty")))
}

/// The recording's state; none where there is no such recording.
pub(super) async fn state(hub: &Hub, context: &Context, id: SessionId) -> Result<Option<String>, Error> {
    Ok(row(hub, context, id).await?.map(|recording| recording.state))
}

/// Notes that a recording is closed by this manifest, which is stored; and writes into the trail what was
/// acknowledged and is not in it, whoever notes it and after whichever crash.
pub(super) async fn note_closed(hub: &Hub, context: &Context, id: SessionId, manifest: &Manifest) -> Result<(), Error> {
    let state = match (manifest.segments, manifest.closed_by) {
        (0, _) => "empty",
        (_, openpam_recordings::ClosedBy::Writer) => "complete",
        (_, openpam_recordings::ClosedBy::Completer) => "completed",
    };
    let mut tx = hub.db().begin(context).await?;
    store::spool::manifest_stored(&mut tx, id).await?;
    if store::close(&mut tx, id, state, manifest, hub.clock().now()).await? {
        let event = about(&mut tx, id, Event::success("recording.close"))
            .await?
            .with("state", state)
            .with("segments", manifest.segments)
            .with("root", manifest.root.to_string())
            .with("signer", manifest.signer.to_string())
            .with("dropped_bytes", manifest.dropped_bytes);
        audit::record(&mut tx, context, event).await?;
        // After the row is locked by its change: nothing is noted any more.
        let kept = i32::try_from(manifest.segments).unwrap_or(i32::MAX);
        let lost = store::spool::left_out(&mut tx, id, kept).await?;
        if lost.count > 0 {
            tracing::error!(session_id = %id, places = ?lost.places, segments = lost.count,
                "a recording is closed without segments that were acknowledged");
            // Of what no spool has, the store lost the first, or gave another one.
            let action = if lost.places.is_empty() { "recording.segments_lost" } else { "recording.spool_lost" };
            let event = about(&mut tx, id, Event::failure(action))
                .await?
                .with("places", lost.places)
                .with("count", lost.count)
                .with("segments", lost.segments);
            audit::record(&mut tx, context, event).await?;
        }
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// The event as one about a session, by its target's name.
pub(super) async fn about(connection: &mut PgConnection, id: SessionId, event: Event) -> Result<Event, Error> {
    let session = sessions::find(connection, id).await.map_err(DbError::from)?;
    Ok(event.on("session", id, session.map(|session| session.target_name).unwrap_or_default()))
}

/// A manifest, if the tenant's recorder signed it.
///
/// # Errors
/// `Damaged` where it is none; `Occupied` where another key signed it.
pub(super) async fn genuine_manifest(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    bytes: &[u8],
) -> Result<SignedManifest, Error> {
    let signed = SignedManifest::parse(bytes)?;
    signed.verify()?;
    if !keys::signers(hub, context).await?.contains(&signed.manifest().signer) {
        return Err(Error::Occupied(format!("{}/manifest", path(context, id))));
    }
    Ok(signed)
}

/// The manifest in the store, if there is one that is of this recording.
///
/// # Errors
/// `Occupied` when there is something else.
pub(super) async fn stored_manifest(
    hub: &Hub,
    context: &Context,
    session: Session,
    id: SessionId,
) -> Result<Option<SignedManifest>, Error> {
    let Some(bytes) = store_of(hub)?.stored_manifest(context.tenant_id, id).await? else { return Ok(None) };
    let signed = genuine_manifest(hub, context, id, &bytes).await?;
    if signed.manifest().session != session {
        return Err(Error::Occupied(format!("{}/manifest", path(context, id))));
    }
    Ok(Some(signed))
}

/// Whether the principal may see the recording of the session; its row.
pub(super) async fn visible(
    connection: &mut PgConnection,
    context: &Context,
    id: SessionId,
) -> Result<(sessions::Session, Recording), Error> {
    let session = sessions::find(connection, id).await?.ok_or(Error::NotFound)?;
    let own = Some(session.user_id) == context.principal.user_id();
    let allowed = permits(&context.principal, Permission::RecordingPlay)
        || (own && permits(&context.principal, Permission::RecordingPlayOwn));
    if !allowed {
        return Err(Error::NotFound);
    }
    let recording = store::find(connection, id).await?.ok_or(Error::NotFound)?;
    Ok((session, recording))
}

/// What is said of a verification that takes longer than somebody waits.
const TOO_LONG: &str = "It takes longer to verify this recording than was waited for.";

/// A recording, and what is known of it.
pub(super) struct Known {
    pub(super) recording: Recording,
    /// Those from the number on that was asked for.
    pub(super) segments: Vec<SegmentEntry>,
    /// What a verification says without opening it.
    pub(super) verified: Verified,
    /// How far it is indexed.
    pub(super) index: IndexState,
}

/// A recording, its segments, what a verification says without opening it, and how far it is indexed: the verification
/// of this moment for who waits so long for it, and what is known by now for who does not wait. Whoever has the first
/// segments already asks for those from a number on.
pub(super) async fn get(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    patience: Duration,
    first: i32,
) -> Result<Known, Error> {
    let mut tx = hub.db().begin(context).await?;
    let (_, recording) = visible(&mut tx, context, id).await?;
    let segments = store::segments_from(&mut tx, id, first, i64::MAX).await?;
    let index = store::index::index_state(&mut tx, id).await?.unwrap_or_default();
    drop(tx);
    if recording.is_purged() {
        return Err(Error::Purged);
    }
    let verified = if patience.is_zero() {
        verification::look(hub, context, &recording).await
    } else {
        let of = u32::try_from(recording.segments).unwrap_or_default();
        let waited = tokio::time::timeout(patience, verification::verify(hub, context, &recording)).await;
        let report = waited.ok().transpose()?;
        let checked = report.as_ref().map_or(0, |_| of);
        let at = report.as_ref().map(|_| hub.clock().now());
        let failure = report.is_none().then(|| TOO_LONG.to_owned());
        Verified { report, listed: Listed::default(), checked, of, at, failure }
    };
    Ok(Known { recording, segments, verified, index })
}
