//! Keeps segments and manifests: in the store, or in the spool until a task has brought them there.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use openpam_ids::SessionId;
use openpam_recordings::{Manifest, SealedSegment, Segment, SignedManifest};

use super::{
    Error, service,
    spool::{Part, Spool},
    storage::{Placed, Storage},
    store,
    store::spool::Waits,
    store_of,
};
use crate::{context::Context, db::DbError, state::Hub};

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
    let part = Part::segment(context.tenant_id, id, segment.header.seq);
    // A hub that was taken for dead, and is not, leaves nothing behind what was closed or purged. It is asked
    // first where nothing can be deleted afterwards.
    if storage.lock_mode().is_some() {
        service::require_open(hub, context, id).await?;
    }
    let placed = storage.put_segment(context.tenant_id, id, segment).await?;
    let spool = storage.spool().filter(|_| placed == Placed::Spooled);
    match service::note_segment(hub, context, id, segment, spool.map(Spool::place)).await {
        Ok(()) => {}
        Err(Error::Closed) => {
            match spool {
                Some(spool) => spool.remove(&part).await?,
                None => storage.delete_part(&part).await?,
            }
            return Err(Error::Closed);
        }
        Err(error) => return Err(error),
    }
    if let Some(spool) = spool {
        spool.admit(part, hub.clock().now());
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
    service::require_open(hub, context, id).await?;
    // INVARIANT: the manifest is stored last.
    let waits = storage.spool().is_some() && segments_wait(hub, context, id, signed.manifest()).await?.is_some();
    let placed = storage.put_manifest(context.tenant_id, id, signed.to_bytes(), waits).await?;
    if let Some(spool) = storage.spool().filter(|_| placed == Placed::Spooled) {
        let mut tx = hub.db().begin(context).await?;
        store::spool::manifest_waits(&mut tx, id, spool.place()).await?;
        tx.commit().await.map_err(DbError::from)?;
        spool.admit(Part::manifest(context.tenant_id, id), hub.clock().now());
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
    let of_manifest = |seq: i32| u32::try_from(seq).is_ok_and(|seq| seq < manifest.segments);
    let waits = waits(hub, context, id).await?;
    Ok(waits.into_iter().find(|part| part.seq.is_some_and(of_manifest)).map(|part| part.place))
}

/// What of a recording waits in a spool.
async fn waits(hub: &Hub, context: &Context, id: SessionId) -> Result<Vec<Waits>, Error> {
    let mut tx = hub.db().begin(context).await?;
    Ok(store::spool::waits(&mut tx, id).await?)
}

/// Why a part of a recording is not where it should be: it waits in another hub's spool, or is gone.
pub(super) async fn missing(hub: &Hub, context: &Context, id: SessionId, seq: u32) -> Error {
    match waits(hub, context, id).await {
        Ok(waits) => match waits.into_iter().find(|part| part.seq.map(u32::try_from) == Some(Ok(seq))) {
            Some(part) => Error::Waiting { place: part.place },
            None => Error::Changed { seq },
        },
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
                // A manifest that waits for its segments says nothing about the store.
                failures += usize::from(!matches!(error, Error::Waiting { .. }));
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
        let signed = service::genuine_manifest(hub, context, part.session, &bytes).await?;
        if let Some(place) = segments_wait(hub, context, part.session, signed.manifest()).await? {
            return Err(Error::Waiting { place });
        }
        // Another hub may have closed it; then its manifest is in the store.
        let session = signed.manifest().session;
        if let Some(stored) = service::stored_manifest(hub, context, session, part.session).await? {
            service::note_closed(hub, context, part.session, stored.manifest()).await?;
            return Ok(if stored.to_bytes()[..] == bytes[..] { Uploaded::Stored } else { Uploaded::NotNeeded });
        }
        match service::state(hub, context, part.session).await?.as_deref() {
            Some("recording") => {}
            // The only manifest there is: for a person to look at.
            Some("complete" | "completed" | "empty") => {
                return Err(Error::Occupied("a recording that is closed, and has no manifest in the store".to_owned()));
            }
            _ => return Ok(Uploaded::NotNeeded),
        }
        put(bytes).await.map_err(|error| match error {
            // Another hub was faster: looked at again.
            Error::Occupied(_) => Error::Store("another manifest came first".to_owned()),
            error => error,
        })?;
        service::note_closed(hub, context, part.session, signed.manifest()).await?;
        return Ok(Uploaded::Stored);
    };
    let segment = Segment::parse(&bytes)?;
    let seq = i32::try_from(seq).unwrap_or(i32::MAX);
    // A process that died before it noted a segment acknowledged nothing: the recording may be closed
    // without it at any moment.
    let is_needed = async || {
        let mut tx = hub.db().begin(context).await?;
        let noted = store::spool::belongs(&mut tx, part.session, seq).await?;
        match noted {
            None => Ok(None),
            Some(noted) if noted[..] == segment.hash().0[..] => Ok(Some(tx)),
            Some(_) => Err(Error::Occupied("a segment of which another one was noted".to_owned())),
        }
    };
    if is_needed().await?.is_none() {
        return Ok(Uploaded::NotNeeded);
    }
    put(bytes.clone()).await?;
    let Some(mut tx) = is_needed().await? else {
        // Closed without it, or purged, in between.
        storage.delete_part(part).await?;
        return Ok(Uploaded::NotNeeded);
    };
    store::spool::segment_stored(&mut tx, part.session, seq).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(Uploaded::Stored)
}

/// The numbers of what of a recording, which a hub left open, waits in a spool and is not waited for any
/// longer: nobody has it any more, or not for too long.
///
/// # Errors
/// `Waiting` while it may still come.
pub(super) async fn await_spool(hub: &Hub, context: &Context, id: SessionId, overdue: bool) -> Result<Vec<i32>, Error> {
    let waits = waits(hub, context, id).await?;
    let spool = store_of(hub)?.spool();
    for waiting in &waits {
        // What waits here comes as soon as the store does; but the spool may have lost it.
        let is_here = spool.filter(|spool| spool.place() == waiting.place).is_some_and(|spool| {
            let part = match waiting.seq {
                Some(seq) => Part::segment(context.tenant_id, id, u32::try_from(seq).unwrap_or_default()),
                None => Part::manifest(context.tenant_id, id),
            };
            spool.admit(part, hub.clock().now())
        });
        if is_here || !overdue {
            return Err(Error::Waiting { place: waiting.place.clone() });
        }
    }
    Ok(waits.into_iter().filter_map(|waiting| waiting.seq).collect())
}
