//! Use cases of recordings.

use std::io::Write;

use chrono::TimeDelta;
use openpam_ids::{AuditEventId, SessionId, TenantId};
use openpam_recordings::{
    Completer, Content, Hash, Head, Manifest, Outcome, Report, SealedSegment, Segment, Session, SessionKey,
    SignedManifest, Signers, Verifier, asciicast,
};
use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::{
    Error, Recorder, keys,
    keys::Keys,
    player::{self, PlayerIndex},
    storage::Placed,
    store, store_of,
    types::{Recording, SegmentEntry},
    upload,
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

/// How long a player may go on asking for segments.
const PLAY_LIFETIME: TimeDelta = TimeDelta::hours(12);

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

fn session(tenant: TenantId, id: SessionId, started_at: chrono::DateTime<chrono::Utc>) -> Session {
    Session {
        tenant_id: tenant.as_uuid(),
        session_id: id.as_uuid(),
        content: Content::Terminal,
        started_at: u64::try_from(started_at.timestamp_micros()).unwrap_or_default(),
    }
}

pub(super) async fn note_segment(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    segment: &SealedSegment,
) -> Result<(), Error> {
    let mut tx = hub.db().begin(context).await?;
    store::note_segment(&mut tx, context.tenant_id, id, segment).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Signs and stores the manifest, and notes that the recording is closed.
pub(super) async fn close(hub: &Hub, context: &Context, id: SessionId, manifest: Manifest) -> Result<(), Error> {
    let signature = keys::sign(hub, context, manifest.signer, &manifest.to_be_signed()).await?;
    let signed = manifest.into_signed(&signature)?;
    match upload::keep_manifest(hub, context, id, &signed).await? {
        Placed::Stored => note_closed(hub, context, id, signed.manifest()).await,
        Placed::Spooled => Ok(()),
    }
}

/// Whether the recording is not closed yet.
pub(super) async fn is_open(hub: &Hub, context: &Context, id: SessionId) -> Result<bool, Error> {
    let mut tx = hub.db().begin(context).await?;
    Ok(store::find(&mut tx, id).await?.is_some_and(|recording| recording.state == "recording"))
}

pub(super) async fn note_closed(hub: &Hub, context: &Context, id: SessionId, manifest: &Manifest) -> Result<(), Error> {
    let state = match (manifest.segments, manifest.closed_by) {
        (0, _) => "empty",
        (_, openpam_recordings::ClosedBy::Writer) => "complete",
        (_, openpam_recordings::ClosedBy::Completer) => "completed",
    };
    let mut tx = hub.db().begin(context).await?;
    store::spool::manifest_stored(&mut tx, id).await?;
    if store::close(&mut tx, id, state, manifest, hub.clock().now()).await? {
        let event = Event::success("recording.close")
            .on("session", id, "")
            .with("state", state)
            .with("segments", manifest.segments)
            .with("root", manifest.root.to_string())
            .with("signer", manifest.signer.to_string())
            .with("dropped_bytes", manifest.dropped_bytes);
        audit::record(&mut tx, context, event).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Closes recordings of sessions that ended at least `grace` ago without their recorder's manifest.
///
/// # Errors
/// When one could not be closed; the others are all the same.
pub(super) async fn complete_abandoned(hub: &Hub, tenant_id: TenantId, grace: TimeDelta) -> Result<(), Error> {
    let context = Context::system(tenant_id, "recording completer");
    let mut tx = hub.db().begin(&context).await?;
    let open = store::open(&mut tx).await?;
    let ids = open.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let ended = sessions::ended_before(&mut tx, &ids, hub.clock().now() - grace).await?;
    let wait = i64::try_from(hub.config().recording.spool_wait_seconds).unwrap_or(i64::MAX / 1_000);
    let overdue = sessions::ended_before(&mut tx, &ids, hub.clock().now() - TimeDelta::seconds(wait)).await?;
    drop(tx);
    let abandoned = open.into_iter().filter(|(id, _)| ended.contains(id));
    let mut failure = None;
    for (id, started_at) in abandoned {
        let session = session(tenant_id, id, started_at);
        match complete(hub, &context, id, session, overdue.contains(&id)).await {
            // Its hub, or the store, comes back; until then this is no news.
            Err(error @ Error::Waiting { .. }) => tracing::debug!(session_id = %id, %error, "not closed yet"),
            Ok(()) => tracing::warn!(session_id = %id, "closed a recording that its hub had left open"),
            Err(error) => {
                tracing::warn!(session_id = %id, %error, "a recording that was left open could not be closed");
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn complete(hub: &Hub, context: &Context, id: SessionId, session: Session, overdue: bool) -> Result<(), Error> {
    let storage = store_of(hub)?;
    let lost = upload::await_spool(hub, context, id, overdue).await?;
    // Its hub may have died between the manifest and the row.
    if let Some(bytes) = storage.manifest(context.tenant_id, id).await? {
        let signed = SignedManifest::parse(&bytes)?;
        signed.verify()?;
        let manifest = signed.manifest();
        let ours = manifest.session == session && keys::signers(hub, context).await?.contains(&manifest.signer);
        if !ours {
            return Err(Error::Store("the manifest there is not one of this recording".to_owned()));
        }
        return note_closed(hub, context, id, manifest).await;
    }
    let mut tx = hub.db().begin(context).await?;
    let noted = store::segments(&mut tx, id).await?;
    drop(tx);
    let keys = keys::current(hub, context).await?;
    let mut completer = Completer::new(session);
    let mut until = 0;
    for seq in 0.. {
        let known = noted.get(usize::try_from(seq).unwrap_or(usize::MAX));
        let Some(bytes) = storage.segment(context.tenant_id, id, seq).await? else {
            // INVARIANT: what was stored and noted is never signed away.
            if known.is_some_and(|known| !lost.contains(&known.seq)) {
                return Err(Error::Store(format!("segment {seq}, which was stored, is gone")));
            }
            break;
        };
        let segment = Segment::parse(&bytes)?;
        if known.is_some_and(|known| known.hash != segment.hash().0) {
            return Err(Error::Store(format!("segment {seq} is another one than was stored")));
        }
        completer.append(segment.header(), segment.hash())?;
        until = segment.header().until;
        let sealed = SealedSegment {
            header: segment.header().clone(),
            hash: segment.hash(),
            head: completer.head(),
            bytes: bytes.to_vec(),
        };
        // Stored, and its hub died before it was noted.
        note_segment(hub, context, id, &sealed).await?;
    }
    close(hub, context, id, completer.finish(until, Outcome::Lost, keys.signer)).await
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

/// A recording, its segments, and what a verification says, without opening it.
pub(super) async fn get(
    hub: &Hub,
    context: &Context,
    id: SessionId,
) -> Result<(Recording, Vec<SegmentEntry>, Report), Error> {
    let mut tx = hub.db().begin(context).await?;
    let (_, recording) = visible(&mut tx, context, id).await?;
    let segments = store::segments(&mut tx, id).await?;
    drop(tx);
    let report = verify(hub, context, &recording).await?;
    Ok((recording, segments, report))
}

/// Reads every segment and compares it with chain, manifest and signature.
async fn verify(hub: &Hub, context: &Context, recording: &Recording) -> Result<Report, Error> {
    let storage = store_of(hub)?;
    let signers = keys::signers(hub, context).await?;
    let id = recording.session_id;
    if matches!(recording.state.as_str(), "purging" | "purged") {
        return Err(Error::Purged);
    }
    let mut verifier = Verifier::new(Signers::Trusted(&signers)).of_session(context.tenant_id.as_uuid(), id.as_uuid());
    let root = recording.root.as_deref().and_then(|root| <[u8; 32]>::try_from(root).ok());
    if let (Some(root), Ok(segments)) = (root, u32::try_from(recording.segments)) {
        verifier = verifier.with_head(Head { segments, root: Hash(root) });
    }
    for seq in 0..u32::try_from(recording.segments).unwrap_or_default() {
        match storage.segment(context.tenant_id, id, seq).await? {
            Some(bytes) => verifier.segment(&bytes),
            // One that is missing shows in the report; one that is on its way is not missing.
            None => match upload::missing(hub, context, id, seq).await {
                Error::Changed { .. } => {}
                error => return Err(error),
            },
        }
    }
    let manifest = storage.manifest(context.tenant_id, id).await?;
    Ok(verifier.finish(manifest.as_deref()))
}

/// What is read, and for which act of the trail.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    Play,
    Export,
}

/// Opens the segments `range` of a recording, in order. The read is in the trail before the key is
/// taken out.
pub(super) async fn open(hub: &Hub, context: &Context, id: SessionId, reading: Reading) -> Result<Opened, Error> {
    let mut tx = hub.db().begin(context).await?;
    let (session, recording) = visible(&mut tx, context, id).await?;
    if matches!(recording.state.as_str(), "purging" | "purged") {
        return Err(Error::Purged);
    }
    let action = match reading {
        Reading::Play => "recording.play",
        Reading::Export => "recording.export",
    };
    let event = Event::success(action)
        .on("session", id, &session.target_name)
        .with("user_id", session.user_id.to_string())
        .with("user", session.user_name.as_str());
    let play = audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(Opened { session, recording, play, key: None })
}

/// Goes on with a playing that is in the trail.
///
/// # Errors
/// `NotFound` when the same principal has not begun to play this recording, or too long ago.
pub(super) async fn reopen(hub: &Hub, context: &Context, id: SessionId, play: AuditEventId) -> Result<Opened, Error> {
    let mut tx = hub.db().begin(context).await?;
    let (session, recording) = visible(&mut tx, context, id).await?;
    let since = hub.clock().now() - PLAY_LIFETIME;
    if !audit::happened(&mut tx, context, play, "recording.play", id.as_uuid(), since).await? {
        return Err(Error::NotFound);
    }
    Ok(Opened { session, recording, play, key: None })
}

/// What a player needs to begin.
pub(super) async fn player_index(hub: &Hub, context: &Context, mut opened: Opened) -> Result<PlayerIndex, Error> {
    let id = opened.recording.session_id;
    let mut tx = hub.db().begin(context).await?;
    let segments = store::segments(&mut tx, id).await?;
    drop(tx);
    let size = match opened.segment(hub, context, 0).await? {
        Some(segment) => player::first_size(&segment),
        None => None,
    };
    Ok(player::index(&opened, &segments, size))
}

/// A piece of an export, or why there are no more.
pub(super) type Piece = Result<Vec<u8>, std::io::Error>;

/// A recording whose reading is in the trail.
pub(super) struct Opened {
    pub(super) session: sessions::Session,
    pub(super) recording: Recording,
    /// The entry of the trail.
    pub(super) play: AuditEventId,
    key: Option<SessionKey>,
}

impl Opened {
    /// The plain records of one segment, handed to `use_records`.
    pub(super) async fn segment(
        &mut self,
        hub: &Hub,
        context: &Context,
        seq: u32,
    ) -> Result<Option<openpam_recordings::OpenedSegment>, Error> {
        let id = self.recording.session_id;
        let mut tx = hub.db().begin(context).await?;
        let noted = store::segment_hash(&mut tx, id, i32::try_from(seq).unwrap_or(i32::MAX)).await?;
        drop(tx);
        let Some(noted) = noted else { return Ok(None) };
        let Some(bytes) = store_of(hub)?.segment(context.tenant_id, id, seq).await? else {
            return Err(upload::missing(hub, context, id, seq).await);
        };
        let segment = Segment::parse(&bytes)?;
        let header = segment.header();
        // Anybody can encrypt to a public key: only what was noted when it was stored is genuine.
        if header.session.session_id != id.as_uuid() || segment.hash().0[..] != noted[..] {
            return Err(Error::Changed { seq });
        }
        if self.key.is_none() {
            let tenant = header.recipients().find(|recipient| recipient.role == openpam_recordings::Role::Tenant);
            let reader = keys::reader(hub, context, tenant.map(|recipient| recipient.key)).await?;
            self.key = Some(SessionKey::unwrap(header, &reader)?);
        }
        let Some(key) = &self.key else { return Ok(None) };
        Ok(Some(segment.open(key)?))
    }

    /// Writes the whole recording as asciicast v3, in pieces. Ends early when nobody listens.
    pub(super) async fn export(&mut self, hub: &Hub, context: &Context, to: &mpsc::Sender<Piece>) -> Result<(), Error> {
        let title = format!("{} on {}", self.session.user_name, self.session.target_name);
        let header = asciicast::Header {
            timestamp: u64::try_from(self.recording.started_at.timestamp()).unwrap_or_default(),
            title: Some(&title),
            term_type: Some("xterm-256color"),
        };
        let buffer = Shared::default();
        let mut exporter = asciicast::Exporter::new(buffer.clone(), header, 0);
        let mut until = 0;
        for seq in 0..u32::try_from(self.recording.segments).unwrap_or_default() {
            let Some(opened) = self.segment(hub, context, seq).await? else { return Err(Error::Changed { seq }) };
            for record in opened.records() {
                exporter.record(&record?).map_err(|error| Error::Store(error.to_string()))?;
            }
            until = opened.header().until;
            if to.send(Ok(buffer.take())).await.is_err() {
                return Ok(());
            }
        }
        exporter.finish(until).map_err(|error| Error::Store(error.to_string()))?;
        // Who does not listen any more misses nothing.
        let _ = to.send(Ok(buffer.take())).await;
        Ok(())
    }
}

/// A buffer that the exporter fills and the sender empties.
#[derive(Debug, Clone, Default)]
struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Shared {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
