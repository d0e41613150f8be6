//! Keeps segments and manifests: in the store, or in the spool until a task has brought them there.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use openpam_ids::SessionId;
use openpam_recordings::{Manifest, SealedSegment, Segment, SignedManifest};
use sqlx::PgConnection;

use super::{
    Error, service,
    spool::{Part, Spool},
    storage::{Placed, Storage},
    store,
    store::spool::Waits,
    store_of,
};
use crate::{
    context::Context,
    db::DbError,
    domains::audit::{self, Event},
    state::Hub,
};

/// Between attempts while the store is down, the first and the longest.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// How often the spool's age is looked at.
const LOOK: Duration = Duration::from_secs(15);
/// Failures in a row after which the store counts as down for now.
const FAILURES: usize = 3;
/// How long the store may take for one object.
const UPLOAD: Duration = Duration::from_secs(60);

/// Keeps a segment and notes it: it is acknowledged then.
///
/// # Errors
/// When neither store nor spool has it, or it could not be noted.
pub(super) async fn keep_segment(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    segment: &SealedSegment,
) -> Result<(), Error> {
    let storage = store_of(hub)?;
    let placed = storage.put_segment(context.tenant_id, id, segment).await?;
    let spool = storage.spool().filter(|_| placed == Placed::Spooled);
    let seq = i32::try_from(segment.header.seq).unwrap_or(i32::MAX);
    let mut tx = hub.db().begin(context).await?;
    store::note_segment(&mut tx, context.tenant_id, id, segment).await?;
    if let Some(spool) = spool {
        store::spool::segment_waits(&mut tx, id, seq, spool.place()).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    if let Some(spool) = spool {
        let name = openpam_recordings::dir::segment_name(segment.header.seq);
        spool.admit(Part { tenant: context.tenant_id, session: id, name }, hub.clock().now());
    }
    Ok(())
}

/// Keeps the manifest; says whether it is in the store. While it waits the recording stays open: it is
/// closed when all of it is stored.
///
/// # Errors
/// When neither store nor spool has it.
pub(super) async fn keep_manifest(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    signed: &SignedManifest,
) -> Result<Placed, Error> {
    let storage = store_of(hub)?;
    // INVARIANT: the manifest is stored last.
    let waits = storage.spool().is_some() && segments_wait(hub, context, id, signed.manifest()).await?.is_some();
    let placed = storage.put_manifest(context.tenant_id, id, signed.to_bytes(), waits).await?;
    if let Some(spool) = storage.spool().filter(|_| placed == Placed::Spooled) {
        let mut tx = hub.db().begin(context).await?;
        store::spool::manifest_waits(&mut tx, id, spool.place()).await?;
        tx.commit().await.map_err(DbError::from)?;
        let name = openpam_recordings::dir::MANIFEST_NAME.to_owned();
        spool.admit(Part { tenant: context.tenant_id, session: id, name }, hub.clock().now());
    }
    Ok(placed)
}

/// Where a segment of the manifest waits, if one does.
async fn segments_wait(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    manifest: &Manifest,
) -> Result<Option<String>, Error> {
    let mut tx = hub.db().begin(context).await?;
    let waits = store::spool::waits(&mut tx, id).await?;
    let of_manifest = |seq: &i32| u32::try_from(*seq).is_ok_and(|seq| seq < manifest.segments);
    Ok(waits.filter(|waits| waits.segments.iter().any(of_manifest)).map(|waits| waits.place))
}

/// Why a part of a recording is not where it should be: it waits in another hub's spool, or is gone.
pub(super) async fn missing(hub: &Hub, context: &Context, id: SessionId, seq: u32) -> Error {
    let waits = async {
        let mut tx = hub.db().begin(context).await?;
        Ok::<_, Error>(store::spool::waits(&mut tx, id).await?)
    };
    match waits.await {
        Ok(Some(waits)) if i32::try_from(seq).is_ok_and(|seq| waits.segments.contains(&seq)) => {
            Error::Waiting { place: waits.place }
        }
        Ok(_) => Error::Changed { seq },
        Err(error) => error,
    }
}

/// Starts the task that empties the spool.
pub(super) fn start(hub: &Hub) {
    let Some(storage) = hub.recordings().cloned() else { return };
    let Some(spool) = storage.spool().cloned() else { return };
    let hub = hub.clone();
    hub.lifecycle().clone().supervise("recording spool", async move {
        let soft = hub.lifecycle().soft().clone();
        let mut pause = FIRST_RETRY;
        loop {
            let emptied = tokio::select! {
                emptied = empty(&hub, &storage, &spool) => emptied,
                () = soft.cancelled() => return,
            };
            spool.report(Some(hub.clock().now()));
            let wait = match emptied {
                Ok(()) => {
                    pause = FIRST_RETRY;
                    LOOK
                }
                Err(error) => {
                    tracing::debug!(%error, "the spool is not empty yet");
                    let wait = pause;
                    pause = (pause * 2).min(LAST_RETRY);
                    wait
                }
            };
            tokio::select! {
                () = soft.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                // With something to do already, another one changes nothing.
                () = spool.came(), if wait == LOOK => {}
            }
        }
    });
}

/// Uploads what waits, each recording's parts in order: one that the store does not take keeps no other
/// waiting. Cancel safe: what was half done is done again.
async fn empty(hub: &Hub, storage: &Storage, spool: &Spool) -> Result<(), Error> {
    let mut stuck = HashSet::new();
    let (mut failures, mut failure) = (0, None);
    while failures < FAILURES
        && let Some(part) = spool.next(&stuck)
    {
        match bring(hub, storage, spool, &part).await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                spool.postpone(part.session);
                stuck.insert(part.session);
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Brings one part to the store.
async fn bring(hub: &Hub, storage: &Storage, spool: &Spool, part: &Part) -> Result<(), Error> {
    let context = Context::system(part.tenant, "recording spool");
    let Some(bytes) = spool.read(part).await? else { return spool.remove(part).await };
    match upload(hub, storage, &context, part, bytes).await {
        Ok(Uploaded::Stored) => {
            storage.rose();
            spool.remove(part).await
        }
        Ok(Uploaded::NotNeeded) => {
            tracing::warn!(session_id = %part.session, part = %part.name,
                "what waited in the spool belongs to no recording that is kept, and is removed");
            spool.remove(part).await
        }
        Err(error @ (Error::Occupied(_) | Error::Damaged(_) | Error::TooLarge(_))) => {
            tracing::error!(session_id = %part.session, part = %part.name, %error,
                "what waited in the spool cannot be stored, and is set aside there");
            spool.reject(part).await
        }
        Err(error) => Err(error),
    }
}

enum Uploaded {
    Stored,
    NotNeeded,
}

async fn upload(hub: &Hub, storage: &Storage, context: &Context, part: &Part, bytes: Bytes) -> Result<Uploaded, Error> {
    let put = async |bytes: Bytes| {
        let put = tokio::time::timeout(UPLOAD, storage.put(part, bytes)).await;
        put.unwrap_or_else(|_| Err(Error::Store("it does not answer in time".to_owned())))
    };
    let Some(seq) = part.seq() else {
        let signed = SignedManifest::parse(&bytes)?;
        if !service::is_open(hub, context, part.session).await? {
            return Ok(Uploaded::NotNeeded);
        }
        if let Some(place) = segments_wait(hub, context, part.session, signed.manifest()).await? {
            return Err(Error::Waiting { place });
        }
        put(bytes).await?;
        service::note_closed(hub, context, part.session, signed.manifest(), None).await?;
        return Ok(Uploaded::Stored);
    };
    let segment = Segment::parse(&bytes)?;
    let seq = i32::try_from(seq).unwrap_or(i32::MAX);
    let mut tx = hub.db().begin(context).await?;
    let noted = store::spool::belongs(&mut tx, part.session, seq).await?;
    drop(tx);
    // A process that died before it noted a segment acknowledged nothing: the recording may be closed
    // without it at any moment.
    if noted.is_none_or(|noted| noted[..] != segment.hash().0[..]) {
        return Ok(Uploaded::NotNeeded);
    }
    put(bytes).await?;
    let mut tx = hub.db().begin(context).await?;
    store::spool::segment_stored(&mut tx, part.session, seq).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(Uploaded::Stored)
}

/// What of a recording that a hub left open waits in a spool, and is not waited for any longer.
///
/// # Errors
/// `Waiting` while it may still come.
pub(super) async fn await_spool(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    overdue: bool,
) -> Result<Option<Waits>, Error> {
    let mut tx = hub.db().begin(context).await?;
    let Some(waits) = store::spool::waits(&mut tx, id).await? else { return Ok(None) };
    // What waits here comes as soon as the store does.
    let is_ours = store_of(hub)?.spool().is_some_and(|spool| spool.place() == waits.place);
    if is_ours || !overdue { Err(Error::Waiting { place: waits.place }) } else { Ok(Some(waits)) }
}

/// Writes into the trail that a recording is closed without what waits in a spool.
pub(super) async fn note_lost(
    connection: &mut PgConnection,
    context: &Context,
    id: SessionId,
    lost: &Waits,
) -> Result<(), Error> {
    tracing::error!(session_id = %id, place = %lost.place, segments = lost.segments.len(),
        "a recording is closed without what waits in the spool of a hub that did not come back");
    let event = service::about(connection, id, Event::failure("recording.spool_lost"))
        .await?
        .with("place", lost.place.as_str())
        .with("segments", lost.segments.clone());
    audit::record(connection, context, event).await?;
    Ok(())
}
