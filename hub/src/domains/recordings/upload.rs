//! Keeps segments and manifests: in the store, or in the spool until a task has brought them there.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use openpam_ids::{SessionId, TenantId};
use openpam_recordings::{ClosedBy, Manifest, SealedSegment, Segment, Session, SignedManifest};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Error, service,
    spool::{Part, Spool},
    storage::{Placed, Storage},
    store,
    store::spool::Waits,
    store_of,
    types::Recording,
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
/// Between attempts to take back what was set aside, where the disk or the database does not let it.
const TAKE_BACK: Duration = Duration::from_secs(60);
/// How often the spool's age is looked at.
const LOOK: Duration = Duration::from_secs(15);
/// Between two lines of the log about what waits for too long.
const TELL_AGAIN: Duration = Duration::from_secs(3_600);
/// Failures in a row after which the store counts as down for now.
const FAILURES: usize = 3;
/// How often in a row, and for how long, the disk may fail to give a part before it counts as lost.
const READS: u32 = 5;
const UNREAD: TimeDelta = TimeDelta::hours(1);
/// Parts that an event names.
const MOST_NAMED: usize = 1_000;
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
    // What follows something that was set aside is never stored: the session is not to go on as if it were.
    if storage.spool().is_some_and(|spool| spool.has_aside(context.tenant_id, id)) {
        return Err(Error::Closed);
    }
    // A hub that was taken for dead, and is not, leaves nothing behind what was closed or purged. It is asked
    // first where nothing can be deleted afterwards.
    if storage.lock_mode().is_some() {
        service::require_open(hub, context, id, false).await?;
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
    // An attempt before may have been kept in the spool, and been noted so or not: what is there is brought to the
    // store, which has it already, and goes.
    if let Some(spool) = storage.spool().filter(|spool| placed == Placed::Spooled || spool.has(&part)) {
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
    let completing = signed.manifest().closed_by == ClosedBy::Completer;
    service::require_open(hub, context, id, completing).await?;
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
        let mut told_at = None;
        // Once, when the database answers: a disk that failed then, or a store, may give or take it now. What is set
        // aside from now on is not: it would come and go.
        let mut left = spool.aside();
        let mut take_back_at = Instant::now();
        loop {
            if !left.is_empty() && Instant::now() >= take_back_at {
                left = take_back(&hub, &spool, left).await;
                take_back_at = Instant::now() + TAKE_BACK;
            }
            let emptied = tokio::select! {
                emptied = empty(&hub, &storage, &spool) => emptied,
                () = soft.cancelled() => return,
            };
            if let Err(error) = forget_purged(&hub, &spool).await {
                tracing::debug!(%error, "what was set aside in the spool stays for now");
            }
            tell_of_overdue(&hub, &spool, &mut told_at);
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

/// Says, once an hour, that something waits longer than other hubs wait for it. It is not given up here: it waits on, and
/// is brought to the store when that takes it. A recording whose session has ended is closed without it by any other
/// hub, which is in the trail (`recording.spool_lost`); what comes then is set aside, which is there, too.
fn tell_of_overdue(hub: &Hub, spool: &Spool, told_at: &mut Option<Instant>) {
    let now = hub.clock().now();
    let wait = i64::try_from(hub.config().recording.spool_wait_seconds).unwrap_or(i64::MAX / 1_000);
    let overdue = spool.report(Some((now, TimeDelta::seconds(wait))));
    if overdue.parts == 0 {
        *told_at = None;
    } else if told_at.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
        *told_at = Some(Instant::now());
        tracing::error!(place = spool.place(), parts = overdue.parts, recordings = overdue.recordings, oldest = %overdue.oldest,
            "parts of recordings wait in the spool for longer than other hubs wait for them (recording.spool_wait_seconds)");
    }
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

/// Recordings by tenant.
fn by_tenant(recordings: Vec<(TenantId, SessionId)>) -> BTreeMap<Uuid, Vec<Uuid>> {
    let mut tenants: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for (tenant, session) in recordings {
        tenants.entry(tenant.as_uuid()).or_default().push(session.as_uuid());
    }
    tenants
}

/// Tries again what a process before set aside of recordings that are open still; those of which something could not be
/// tried are to be tried later, and keep no other aside.
async fn take_back(hub: &Hub, spool: &Spool, aside: Vec<(TenantId, SessionId)>) -> Vec<(TenantId, SessionId)> {
    let mut left = Vec::new();
    for (tenant, sessions) in by_tenant(aside) {
        let tenant = TenantId::from(tenant);
        match open_of(hub, tenant, &sessions).await {
            Ok(open) => {
                for session in open {
                    tracing::info!(session_id = %session, "what was set aside in the spool is tried again");
                    if let Err(error) = spool.take_back(tenant, session).await {
                        tracing::warn!(session_id = %session, %error, "some of it stays aside for now");
                        left.push((tenant, session));
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "what was set aside in the spool is not tried again yet");
                left.extend(sessions.into_iter().map(|session| (tenant, SessionId::from(session))));
            }
        }
    }
    left
}

async fn open_of(hub: &Hub, tenant: TenantId, sessions: &[Uuid]) -> Result<Vec<SessionId>, Error> {
    let mut tx = hub.db().begin(&Context::system(tenant, "recording spool")).await?;
    Ok(store::spool::open_of(&mut tx, sessions).await?)
}

/// Deletes what was set aside of recordings that are deleted.
async fn forget_purged(hub: &Hub, spool: &Spool) -> Result<(), Error> {
    for (tenant, sessions) in by_tenant(spool.aside()) {
        let tenant = TenantId::from(tenant);
        let mut tx = hub.db().begin(&Context::system(tenant, "recording spool")).await?;
        let purged = store::spool::purged_of(&mut tx, &sessions).await?;
        drop(tx);
        for session in purged {
            spool.forget(tenant, session).await?;
        }
    }
    Ok(())
}

/// Brings one part to the store.
async fn bring(hub: &Hub, storage: &Storage, spool: &Spool, part: &Part) -> Result<(), Error> {
    let context = Context::system(part.tenant, "recording spool");
    let bytes = match spool.read(part).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return spool.remove(part).await,
        Err(error) => {
            let now = hub.clock().now();
            if !is_unreadable(spool.not_read(part, now), now) {
                return Err(error);
            }
            return set_aside(hub, &context, spool, std::slice::from_ref(part), &format!("cannot be read: {error}"))
                .await;
        }
    };
    match upload(hub, storage, &context, part, bytes).await {
        Ok(Uploaded::Stored) => {
            storage.rose();
            spool.remove(part).await
        }
        Ok(Uploaded::NotNeeded) => {
            let state = service::state(hub, &context, part.session).await?;
            if matches!(state.as_deref(), Some("purging" | "purged")) {
                return spool.remove(part).await;
            }
            // Written before a crash and never noted: nobody was told that it is kept.
            if let Some(seq) = part.seq()
                && !service::is_noted(hub, &context, part.session, seq).await?
            {
                tracing::warn!(session_id = %part.session, part = %part.name,
                    "what a hub before left in the spool was never acknowledged, and is set aside there");
                return spool.reject(part).await;
            }
            // What follows it belongs to the recording even less.
            let parts = match part.seq() {
                Some(_) => spool.waiting_of(part.session),
                None => vec![part.clone()],
            };
            set_aside(hub, &context, spool, &parts, "came too late for its recording").await
        }
        Err(error @ (Error::Occupied(_) | Error::Damaged(_) | Error::TooLarge(_))) => {
            let why = format!("cannot be stored: {error}");
            set_aside(hub, &context, spool, std::slice::from_ref(part), &why).await
        }
        Err(error) => Err(error),
    }
}

/// Whether a part that could not be read so often, since then, counts as lost.
fn is_unreadable((times, since): (u32, DateTime<Utc>), now: DateTime<Utc>) -> bool {
    times >= READS && now - since >= UNREAD
}

/// Sets aside what cannot be stored, came too late, or behind something that is lost: it is no part of its
/// recording, and may be all there is of what happened. The trail says where it is. A session that still runs
/// ends with its next segment.
async fn set_aside(hub: &Hub, context: &Context, spool: &Spool, parts: &[Part], why: &str) -> Result<(), Error> {
    let Some(part) = parts.first() else { return Ok(()) };
    let names = parts.iter().map(|part| part.name.clone()).take(MOST_NAMED).collect::<Vec<_>>();
    tracing::error!(session_id = %part.session, place = spool.place(), parts = parts.len(), first = %part.name, why,
        "what waited in the spool is set aside there");
    if service::row(hub, context, part.session).await?.is_some() {
        let mut tx = hub.db().begin(context).await?;
        let event = service::about(&mut tx, part.session, Event::failure("recording.spool_aside"))
            .await?
            .with("place", spool.place())
            .with("folder", service::path(context, part.session))
            .with("count", parts.len())
            .with("parts", names);
        audit::record(&mut tx, context, event).await?;
        tx.commit().await.map_err(DbError::from)?;
    }
    for part in parts {
        spool.reject(part).await?;
    }
    Ok(())
}

enum Uploaded {
    Stored,
    /// Its recording is closed without it, or was deleted.
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
        let Some(row) = service::row(hub, context, part.session).await? else { return Ok(Uploaded::NotNeeded) };
        // What is in the spool's folder is for anybody who can write there to change: it is to be this recording's.
        let session = service::session(part.tenant, part.session, row.started_at);
        if !is_of(signed.manifest(), session, &row) {
            return Err(Error::Occupied("a manifest of another recording, or of other segments".to_owned()));
        }
        // Another hub may have closed it; then its manifest is in the store.
        if let Some(stored) = service::stored_manifest(hub, context, session, part.session).await? {
            service::note_closed(hub, context, part.session, stored.manifest()).await?;
            return Ok(if stored.to_bytes()[..] == bytes[..] { Uploaded::Stored } else { Uploaded::NotNeeded });
        }
        match row.state.as_str() {
            "recording" => {}
            // The only manifest there is: for a person to look at.
            "complete" | "completed" | "empty" => {
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
    let Some(mut tx) = is_needed().await? else { return Ok(Uploaded::NotNeeded) };
    // INVARIANT: nothing is stored behind a segment that may never come: what is in the store is in a manifest.
    if let Some(place) = store::spool::earlier_waits(&mut tx, part.session, seq).await? {
        return Err(Error::Waiting { place });
    }
    drop(tx);
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

/// Whether a manifest is of this recording; and, while it is open, of all that was noted of it.
fn is_of(manifest: &Manifest, session: Session, row: &Recording) -> bool {
    let all = manifest.segments == u32::try_from(row.segments).unwrap_or_default()
        && (manifest.segments == 0 || row.root.as_deref() == Some(&manifest.root.0[..]));
    manifest.session == session && (row.state != "recording" || all)
}

/// The number of the first segment of a recording, which a hub left open, that waits in a spool and is not waited for
/// any longer: nobody has it any more, or not for too long. What follows it is lost to the recording, too.
///
/// # Errors
/// `Waiting` while it may still come.
pub(super) async fn await_spool(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    overdue: bool,
) -> Result<Option<i32>, Error> {
    let Some(first) = waits(hub, context, id).await?.into_iter().next() else { return Ok(None) };
    // What waits here comes as soon as the store does; but the spool may have lost it.
    let is_here = store_of(hub)?.spool().filter(|spool| spool.place() == first.place).is_some_and(|spool| {
        let part = match first.seq {
            Some(seq) => Part::segment(context.tenant_id, id, u32::try_from(seq).unwrap_or_default()),
            None => Part::manifest(context.tenant_id, id),
        };
        spool.admit(part, hub.clock().now())
    });
    if is_here || !overdue {
        return Err(Error::Waiting { place: first.place });
    }
    Ok(first.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_of_another_recording_or_of_other_segments_closes_nothing() {
        let id = |number| uuid::Uuid::from_u128(number);
        let started = DateTime::UNIX_EPOCH;
        let session = |number| service::session(TenantId::from(id(1)), SessionId::from(id(number)), started);
        let signer = openpam_recordings::SignerKey([7; 32]);
        let empty = openpam_recordings::Completer::new(session(2)).finish(0, openpam_recordings::Outcome::Lost, signer);
        let mut row = Recording {
            session_id: SessionId::from(id(2)),
            state: "recording".to_owned(),
            required: true,
            path: String::new(),
            started_at: started,
            ended_at: None,
            segments: 0,
            records: 0,
            plain_bytes: 0,
            stored_bytes: 0,
            dropped_bytes: 0,
            duration_us: 0,
            root: None,
            closing_at: None,
            closing_error: None,
            defect: None,
        };
        assert!(is_of(&empty, session(2), &row));
        assert!(!is_of(&empty, session(3), &row));
        row.segments = 1;
        assert!(!is_of(&empty, session(2), &row));
    }

    #[test]
    fn a_disk_that_fails_for_a_moment_loses_nothing() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        assert!(!is_unreadable((1_000, now - TimeDelta::minutes(5)), now));
        assert!(!is_unreadable((READS - 1, now - TimeDelta::days(1)), now));
        assert!(is_unreadable((READS, now - UNREAD), now));
    }
}
