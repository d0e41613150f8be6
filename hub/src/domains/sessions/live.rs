//! The sessions this hub carries: their counters, and the way to reach the task that owns each.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use openpam_ids::{AuthSessionId, CredentialId, SessionId, TargetId, TenantId, UserId};
use openpam_telemetry::names;
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{Attendance, End, Error};
use crate::context::Context;

/// Sessions that run on this hub.
#[derive(Default)]
pub struct LiveSessions {
    sessions: Mutex<HashMap<SessionId, Arc<LiveSession>>>,
    attendance: Attendance,
}

/// One of them.
#[derive(Debug)]
pub struct LiveSession {
    /// Identifier.
    pub id: SessionId,
    /// Who, with what they could do when it began.
    pub context: Context,
    /// Who.
    pub user_id: UserId,
    /// Where to.
    pub target_id: TargetId,
    /// As whom.
    pub credential_id: CredentialId,
    sent: AtomicU64,
    received: AtomicU64,
    written: AtomicU64,
    attached: AtomicBool,
    sign_in: Mutex<Option<AuthSessionId>>,
    begun: Instant,
    /// Milliseconds after `begun`.
    last_key: AtomicU64,
    noted_key: AtomicU64,
    /// The last key of somebody else who types here: it keeps the session alive, and no sign-in.
    last_key_of_others: AtomicU64,
    end: watch::Sender<Option<End>>,
}

impl LiveSession {
    /// Describes a session that is about to begin.
    pub fn new(
        id: SessionId,
        context: Context,
        user_id: UserId,
        target_id: TargetId,
        credential_id: CredentialId,
    ) -> Self {
        Self {
            id,
            sign_in: Mutex::new(context.principal.auth_session),
            context,
            user_id,
            target_id,
            credential_id,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            written: AtomicU64::new(0),
            attached: AtomicBool::new(false),
            begun: Instant::now(),
            last_key: AtomicU64::new(0),
            noted_key: AtomicU64::new(0),
            last_key_of_others: AtomicU64::new(0),
            end: watch::Sender::new(None),
        }
    }

    /// Asks the task that carries the session to end it. The first request wins.
    pub fn request_end(&self, end: End) {
        self.end.send_if_modified(|requested| {
            let first = requested.is_none();
            if first {
                *requested = Some(end);
            }
            first
        });
    }

    /// Whether it was asked to end already.
    pub fn is_ending(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// Where the carrying task hears of it.
    pub fn end_requests(&self) -> watch::Receiver<Option<End>> {
        self.end.subscribe()
    }

    /// Counts input.
    pub fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts output.
    pub fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of input and of output so far.
    pub fn bytes(&self) -> (i64, i64) {
        let read = |counter: &AtomicU64| i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        (read(&self.sent), read(&self.received))
    }

    /// The session's person pressed a key just now. Costs one store.
    pub fn note_key(&self) {
        self.last_key.store(self.milliseconds(), Ordering::Relaxed);
    }

    /// Somebody else did, who may type here.
    pub fn note_key_of_other(&self) {
        self.last_key_of_others.store(self.milliseconds(), Ordering::Relaxed);
    }

    /// Never zero: that is no key at all.
    fn milliseconds(&self) -> u64 {
        u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn since(&self, milliseconds: u64) -> Duration {
        self.age().saturating_sub(Duration::from_millis(milliseconds))
    }

    /// How long it runs.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// How long nobody has pressed a key.
    pub fn idle(&self) -> Duration {
        let others = self.last_key_of_others.load(Ordering::Relaxed);
        self.since(self.last_key.load(Ordering::Relaxed).max(others))
    }

    /// The sign-in of the browser that has the session, or had it last: the session ends with it.
    pub fn sign_in(&self) -> Option<AuthSessionId> {
        *self.sign_in.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another browser took the session over.
    pub fn set_sign_in(&self, sign_in: Option<AuthSessionId>) {
        *self.sign_in.lock().unwrap_or_else(PoisonError::into_inner) = sign_in;
    }

    /// A browser came or went.
    pub fn set_attached(&self, attached: bool) {
        self.attached.store(attached, Ordering::Relaxed);
    }

    /// Whether a browser is there.
    pub fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Relaxed)
    }
}

/// Keeps a session's place on the hub; gives it back when dropped.
pub struct Place {
    hub: crate::state::Hub,
    session: Arc<LiveSession>,
}

impl Place {
    /// The session.
    pub fn session(&self) -> &Arc<LiveSession> {
        &self.session
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let live = self.hub.live();
        let left = {
            let mut sessions = live.lock();
            sessions.remove(&self.session.id);
            sessions.len()
        };
        set_gauge(left);
    }
}

fn has_room(
    hub: &crate::state::Hub,
    sessions: &HashMap<SessionId, Arc<LiveSession>>,
    user_id: UserId,
) -> Result<(), Error> {
    if hub.lifecycle().is_ending() {
        return Err(Error::Stopping);
    }
    let terminal = &hub.config().terminal;
    if sessions.len() >= terminal.max_sessions {
        return Err(Error::HubFull);
    }
    let own = sessions.values().filter(|other| other.user_id == user_id).count();
    // Nobody alone may fill a hub.
    if own >= terminal.max_sessions_per_person.min((terminal.max_sessions / 4 * 3).max(1)) {
        return Err(Error::TooManySessions);
    }
    Ok(())
}

impl LiveSessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<LiveSession>>> {
        // The map is never left half changed.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there would be a place on the hub for one more session of the person.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub fn has_room(hub: &crate::state::Hub, user_id: UserId) -> Result<(), Error> {
        has_room(hub, &hub.live().lock(), user_id)
    }

    /// Takes a place on the hub.
    ///
    /// # Errors
    /// When the hub or the person has as many sessions as allowed, or the hub is stopping.
    pub fn admit(hub: &crate::state::Hub, session: LiveSession) -> Result<Place, Error> {
        let session = Arc::new(session);
        let count = {
            let mut sessions = hub.live().lock();
            has_room(hub, &sessions, session.user_id)?;
            sessions.insert(session.id, session.clone());
            sessions.len()
        };
        set_gauge(count);
        Ok(Place { hub: hub.clone(), session })
    }

    /// Who watches or joins these sessions.
    pub fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    /// The session, if this hub carries it.
    pub fn get(&self, id: SessionId) -> Option<Arc<LiveSession>> {
        self.lock().get(&id).cloned()
    }

    /// Sessions carried now.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Everything carried now, by tenant.
    pub fn by_tenant(&self) -> HashMap<TenantId, Vec<Arc<LiveSession>>> {
        let mut tenants = HashMap::<_, Vec<_>>::new();
        for session in self.lock().values() {
            tenants.entry(session.context.tenant_id).or_default().push(session.clone());
        }
        tenants
    }

    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.lock().keys().map(SessionId::as_uuid).collect()
    }
}

impl LiveSession {
    /// The counters, when they moved since they were last taken.
    pub(super) fn take_changed_bytes(&self) -> Option<(i64, i64)> {
        let (sent, received) = self.bytes();
        let total = sent.saturating_add(received).unsigned_abs();
        (self.written.swap(total, Ordering::Relaxed) != total).then_some((sent, received))
    }
}

impl LiveSession {
    /// How long ago its person pressed the last key, when they did since this was last asked.
    pub(super) fn take_key(&self) -> Option<Duration> {
        let last = self.last_key.load(Ordering::Relaxed);
        (self.noted_key.swap(last, Ordering::Relaxed) != last).then(|| self.since(last))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of at most some thousands")]
fn set_gauge(count: usize) {
    metrics::gauge!(names::SESSIONS_ACTIVE, "protocol" => "ssh").set(count as f64);
}
