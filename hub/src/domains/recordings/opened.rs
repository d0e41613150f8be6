//! Recordings that are read: the reading is in the trail before the key is taken out.

use std::sync::Arc;

use chrono::TimeDelta;
use openpam_ids::{AuditEventId, SessionId};
use openpam_recordings::{OpenedSegment, RecipientKey, Role, Segment, SegmentHeader, SessionKey, asciicast};

use super::{
    Error,
    exports::Pieces,
    keys,
    service::visible,
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
    state::Hub,
};

/// How long a player may go on asking for segments.
const PLAY_LIFETIME: TimeDelta = TimeDelta::hours(12);

/// What is read, and for which act of the trail.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    Play,
    Export,
}

/// A recording whose reading is in the trail.
pub(super) struct Opened {
    pub(super) session: sessions::Session,
    pub(super) recording: Recording,
    /// Its segments, as they were noted when they were stored.
    pub(super) segments: Vec<SegmentEntry>,
    /// The entry of the trail.
    pub(super) play: AuditEventId,
    key: Option<Arc<SessionKey>>,
}

/// Opens a recording. The read is in the trail before the key is taken out.
pub(super) async fn open(hub: &Hub, context: &Context, id: SessionId, reading: Reading) -> Result<Opened, Error> {
    let mut tx = hub.db().begin(context).await?;
    let (session, recording) = visible(&mut tx, context, id).await?;
    if recording.is_purged() {
        return Err(Error::Purged);
    }
    let segments = store::segments(&mut tx, id).await?;
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
    Ok(Opened { session, recording, segments, play, key: None })
}

/// Goes on with a playing that is in the trail.
///
/// # Errors
/// `NotFound` when the same principal has not begun to play this recording, or too long ago.
pub(super) async fn reopen(hub: &Hub, context: &Context, id: SessionId, play: AuditEventId) -> Result<Opened, Error> {
    let mut tx = hub.db().begin(context).await?;
    let (session, recording) = visible(&mut tx, context, id).await?;
    if recording.is_purged() {
        return Err(Error::Purged);
    }
    let since = hub.clock().now() - PLAY_LIFETIME;
    if !audit::happened(&mut tx, context, play, "recording.play", id.as_uuid(), since).await? {
        return Err(Error::NotFound);
    }
    let segments = store::segments(&mut tx, id).await?;
    Ok(Opened { session, recording, segments, play, key: None })
}

/// The public key of the tenant that a segment is encrypted to.
pub(super) fn tenant_key(header: &SegmentHeader) -> Option<RecipientKey> {
    header.recipients().find(|recipient| recipient.role == Role::Tenant).map(|recipient| recipient.key)
}

/// Runs what takes the processor for a while, off the async threads.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::Store(error.to_string())))
}

/// Takes a stored segment apart. Anybody can encrypt to a public key: only what was noted when it was
/// stored is genuine.
pub(super) fn genuine<'a>(id: SessionId, noted: &SegmentEntry, bytes: &'a [u8]) -> Result<Segment<'a>, Error> {
    let segment = Segment::parse(bytes)?;
    if segment.header().session.session_id != id.as_uuid() || segment.hash().0[..] != noted.hash[..] {
        return Err(Error::Changed { seq: u32::try_from(noted.seq).unwrap_or_default() });
    }
    Ok(segment)
}

impl Opened {
    /// The plain records of one segment; none where there is no such segment.
    pub(super) async fn segment(
        &mut self,
        hub: &Hub,
        context: &Context,
        seq: u32,
    ) -> Result<Option<OpenedSegment>, Error> {
        let id = self.recording.session_id;
        let number = usize::try_from(seq).unwrap_or(usize::MAX);
        let Some(noted) = self.segments.get(number).filter(|noted| u32::try_from(noted.seq) == Ok(seq)).cloned() else {
            return Ok(None);
        };
        let Some(bytes) = store_of(hub)?.segment(context.tenant_id, id, seq).await? else {
            return Err(upload::missing(hub, context, id, seq).await);
        };
        let key = match &self.key {
            Some(key) => key.clone(),
            None => {
                let segment = genuine(id, &noted, &bytes)?;
                let reader = keys::reader(hub, context, tenant_key(segment.header())).await?;
                self.key.insert(Arc::new(SessionKey::unwrap(segment.header(), &reader)?)).clone()
            }
        };
        off_thread(move || Ok(Some(genuine(id, &noted, &bytes)?.open(&key)?))).await
    }

    /// Writes the whole recording as asciicast v3, in pieces. Ends early when nobody listens.
    ///
    /// # Errors
    /// When it broke off: whoever reads sees that, too.
    pub(super) async fn export(&mut self, hub: &Hub, context: &Context, to: &Pieces) -> Result<(), Error> {
        let title = format!("{} on {}", self.session.user_name, self.session.target_name);
        let timestamp = u64::try_from(self.recording.started_at.timestamp()).unwrap_or_default();
        let failed = |error: std::io::Error| Error::Store(error.to_string());
        let mut exporter = asciicast::Exporter::new(
            Vec::new(),
            asciicast::Header { timestamp, title: Some(title.into()), term_type: Some("xterm-256color") },
            0,
        );
        let mut until = 0;
        for seq in 0..u32::try_from(self.segments.len()).unwrap_or(u32::MAX) {
            let Some(opened) = self.segment(hub, context, seq).await? else { return Err(Error::Changed { seq }) };
            until = opened.header().until;
            let piece;
            (exporter, piece) = off_thread(move || {
                for record in opened.records() {
                    exporter.record(&record?).map_err(failed)?;
                }
                let piece = std::mem::take(exporter.get_mut());
                Ok((exporter, piece))
            })
            .await?;
            if !to.send(piece).await? {
                return Ok(());
            }
        }
        let last = exporter.finish(until).map_err(failed)?;
        if to.send(last).await? {
            to.end().await?;
        }
        Ok(())
    }
}
