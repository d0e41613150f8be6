//! Who takes part in the sessions that this hub carries: places are limited, and each participant can
//! be asked to leave.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use openpam_ids::{ParticipantId, TenantId, UserId};
use openpam_telemetry::names;
use tokio::{sync::watch, time::Instant};

use super::{
    Error, LiveSession,
    types::{Leave, ParticipantKind},
};
use crate::{context::Context, state::Hub};

/// Most people beside its own who see one session.
const PER_SESSION: usize = 10;

/// Everybody who takes part in a session of this hub.
#[derive(Default)]
pub struct Attendance {
    participants: Mutex<HashMap<ParticipantId, Arc<LiveParticipant>>>,
}

/// Somebody who watches or joins a session.
#[derive(Debug)]
pub struct LiveParticipant {
    /// Identifier.
    pub id: ParticipantId,
    /// What they see.
    pub session: Arc<LiveSession>,
    /// Who, with the sign-in they came with.
    pub context: Context,
    /// Who.
    pub user_id: UserId,
    /// How.
    pub kind: ParticipantKind,
    begun: Instant,
    sent: AtomicU64,
    /// Milliseconds after `begun`.
    last_key: AtomicU64,
    noted_key: AtomicU64,
    leave: watch::Sender<Option<Leave>>,
}

impl LiveParticipant {
    /// Their name.
    pub fn name(&self) -> &str {
        &self.context.principal.name
    }

    /// Asks them to leave. The first request wins.
    pub fn request_leave(&self, leave: Leave) {
        self.leave.send_if_modified(|requested| {
            let first = requested.is_none();
            if first {
                *requested = Some(leave);
            }
            first
        });
    }

    /// Whether they were asked to leave already.
    pub fn is_leaving(&self) -> bool {
        self.leave.borrow().is_some()
    }

    /// Where the task that serves them hears of it.
    pub fn leave_requests(&self) -> watch::Receiver<Option<Leave>> {
        self.leave.subscribe()
    }

    /// How long they are here.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Counts what they typed.
    pub fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes they typed so far.
    pub fn sent(&self) -> i64 {
        i64::try_from(self.sent.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }

    /// They pressed a key just now.
    pub fn note_key(&self) {
        let since = u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX).max(1);
        self.last_key.store(since, Ordering::Relaxed);
    }

    /// How long ago they last pressed a key, when they did since this was last asked.
    pub(super) fn take_key(&self) -> Option<Duration> {
        let last = self.last_key.load(Ordering::Relaxed);
        (self.noted_key.swap(last, Ordering::Relaxed) != last)
            .then(|| self.age().saturating_sub(Duration::from_millis(last)))
    }
}

/// A participant's place; given back when dropped.
pub struct Seat {
    hub: Hub,
    participant: Arc<LiveParticipant>,
}

impl Seat {
    /// Who has it.
    pub fn participant(&self) -> &Arc<LiveParticipant> {
        &self.participant
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let kind = self.participant.kind;
        let left = {
            let mut participants = self.hub.live().attendance().lock();
            participants.remove(&self.participant.id);
            count(&participants, kind)
        };
        set_gauge(kind, left);
    }
}

impl Attendance {
    fn lock(&self) -> MutexGuard<'_, HashMap<ParticipantId, Arc<LiveParticipant>>> {
        // The map is never left half changed.
        self.participants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place at a session.
    ///
    /// # Errors
    /// When the session, or the hub, has as many participants as allowed.
    pub(super) fn admit(
        hub: &Hub,
        context: &Context,
        session: Arc<LiveSession>,
        kind: ParticipantKind,
    ) -> Result<Seat, Error> {
        let user_id = context.principal.user_id().ok_or(Error::Forbidden)?;
        let participant = Arc::new(LiveParticipant {
            id: hub.ids().fresh(),
            session,
            context: context.clone(),
            user_id,
            kind,
            begun: Instant::now(),
            sent: AtomicU64::new(0),
            last_key: AtomicU64::new(0),
            noted_key: AtomicU64::new(0),
            leave: watch::Sender::new(None),
        });
        let here = {
            let mut participants = hub.live().attendance().lock();
            room(hub, &participants, &participant.session)?;
            participants.insert(participant.id, participant.clone());
            count(&participants, kind)
        };
        set_gauge(kind, here);
        Ok(Seat { hub: hub.clone(), participant })
    }

    /// Whether a session has a place left.
    ///
    /// # Errors
    /// When it, or the hub, has none.
    pub(super) fn has_room(hub: &Hub, session: &LiveSession) -> Result<(), Error> {
        room(hub, &hub.live().attendance().lock(), session)
    }

    /// Everybody here now, by tenant.
    pub fn by_tenant(&self) -> HashMap<TenantId, Vec<Arc<LiveParticipant>>> {
        let mut tenants = HashMap::<_, Vec<_>>::new();
        for participant in self.lock().values() {
            tenants.entry(participant.context.tenant_id).or_default().push(participant.clone());
        }
        tenants
    }

    pub(super) fn ids(&self) -> Vec<uuid::Uuid> {
        self.lock().keys().map(ParticipantId::as_uuid).collect()
    }
}

fn room(
    hub: &Hub,
    participants: &HashMap<ParticipantId, Arc<LiveParticipant>>,
    session: &LiveSession,
) -> Result<(), Error> {
    let at_session = participants.values().filter(|other| other.session.id == session.id).count();
    if at_session >= PER_SESSION || participants.len() >= hub.config().terminal.max_watchers {
        return Err(Error::TooManyWatchers);
    }
    Ok(())
}

fn count(participants: &HashMap<ParticipantId, Arc<LiveParticipant>>, kind: ParticipantKind) -> usize {
    participants.values().filter(|participant| participant.kind == kind).count()
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of at most some thousands")]
fn set_gauge(kind: ParticipantKind, count: usize) {
    metrics::gauge!(names::SESSION_PARTICIPANTS, "kind" => kind.name()).set(count as f64);
}
