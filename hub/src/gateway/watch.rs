//! Access ends when it should: running sessions are decided about again at once when a change is
//! announced, and every [`PERIOD`] in any case, for what nobody announces: time that passes, and
//! announcements that did not come. Where nobody can decide, because the database does not answer,
//! they go on for a limited time only.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use openpam_ids::TenantId;
use openpam_telemetry::names;
use tokio::time::Instant;

use crate::{
    context::Context,
    db::{ChangeScope, DbError},
    domains::{
        access, identity,
        sessions::{self, End, Leave, LiveParticipant, LiveSession},
        settings, targets, vault,
    },
    http::Problem,
    permissions::{Permission, permits},
    state::Hub,
};

/// Between two looks at everything. INVARIANT: with the look itself, less than a second.
const PERIOD: Duration = Duration::from_millis(700);

/// A look may take this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tenants looked at at the same time.
const AT_A_TIME: usize = 4;
/// Between two looks at how long nobody could decide; a process for which that takes longer was stopped.
const FENCE_PERIOD: Duration = Duration::from_secs(1);
const STOPPED: Duration = Duration::from_secs(4);

const UNCHECKED: &str =
    "The hub cannot reach its database, so nobody can tell whether you still have access. Try again in a moment.";

/// When each tenant's sessions were last decided about: the moment before that look began.
#[derive(Debug, Default)]
struct Checked(Mutex<HashMap<TenantId, Instant>>);

impl Checked {
    fn note(&self, tenant_id: TenantId, begun: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant_id, begun);
    }

    /// Those of `tenants` that nobody has decided about for `limit`. Forgets all others; one that is new
    /// counts from now, as its first session was let in just now.
    fn overdue(&self, tenants: &HashSet<TenantId>, now: Instant, limit: Duration) -> Vec<TenantId> {
        let mut checked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checked.retain(|tenant_id, _| tenants.contains(tenant_id));
        let mut since = |tenant_id: &TenantId| now.saturating_duration_since(*checked.entry(*tenant_id).or_insert(now));
        let late = tenants.iter().map(|tenant_id| (*tenant_id, since(tenant_id))).collect::<Vec<_>>();
        late.into_iter().filter(|(_, since)| *since > limit).map(|(tenant_id, _)| tenant_id).collect()
    }
}

/// Whom the fence ends.
#[derive(Debug, Default)]
struct Fence {
    late_before: Vec<TenantId>,
    /// This process was stopped, and goes on: until then nobody is ended.
    not_before: Option<Instant>,
}

impl Fence {
    /// Those that are late for the second time, after a sleep that took so long. A process that was stopped, as a
    /// machine that is moved, has the time of one look when it goes on, with connections that may be dead.
    fn overdue(&mut self, late: Vec<TenantId>, now: Instant, slept: Duration) -> Vec<TenantId> {
        if slept > STOPPED {
            self.not_before = Some(now + PATIENCE + PERIOD);
        }
        if self.not_before.is_some_and(|until| now < until) {
            self.late_before.clear();
            return Vec::new();
        }
        let overdue = late.iter().filter(|tenant_id| self.late_before.contains(tenant_id)).copied().collect();
        self.late_before = late;
        overdue
    }
}

/// Starts the watch, and what ends sessions while it cannot see.
pub(crate) fn start_tasks(hub: &Hub) {
    let checked = Arc::new(Checked::default());
    // A task of its own: a look that hangs must not hold it up.
    hub.lifecycle().supervise("access fence", fence(hub.clone(), checked.clone()));
    let watching = hub.clone();
    hub.lifecycle().supervise("access watch", async move {
        let mut changes = watching.changes().subscribe();
        let mut failing = false;
        let mut due = Instant::now() + PERIOD;
        while !(watching.lifecycle().is_ending() && watching.live().count() == 0) {
            let scope = changes.next(due).await;
            if scope == ChangeScope::Everything {
                due = Instant::now() + PERIOD;
            }
            let failure = look_at_all(&watching, &scope, &checked).await.err();
            if let (Some(problem), false) = (&failure, failing) {
                // Once per outage.
                tracing::error!(
                    code = problem.code(),
                    cause = problem.cause(),
                    "cannot check live sessions, will try again"
                );
            }
            failing = failure.is_some();
        }
    });
}

/// Ends what nobody could decide about for too long.
async fn fence(hub: Hub, checked: Arc<Checked>) {
    let limit = Duration::from_secs(hub.config().terminal.unchecked_seconds);
    let mut fence = Fence::default();
    while !(hub.lifecycle().is_ending() && hub.live().count() == 0) {
        let asleep = Instant::now();
        tokio::time::sleep(FENCE_PERIOD).await;
        let now = Instant::now();
        let sessions = hub.live().by_tenant();
        let tenants = sessions.keys().copied().collect();
        let late = checked.overdue(&tenants, now, limit);
        let overdue = fence.overdue(late, now, now - asleep);
        for (tenant_id, live) in sessions {
            if !overdue.contains(&tenant_id) {
                continue;
            }
            // Who watches or joins leaves with the session.
            for session in live.iter().filter(|session| !session.is_ending()) {
                tracing::error!(session_id = %session.id, seconds = limit.as_secs(),
                    "nobody could check whether this session may go on: ended");
                session.request_end(End::access_ended("access_unchecked", UNCHECKED));
            }
        }
    }
}

/// Looks at every tenant that the scope covers, several at a time: one that hangs holds up no other.
async fn look_at_all(hub: &Hub, scope: &ChangeScope, checked: &Checked) -> Result<(), Problem> {
    let attendance = hub.live().attendance().by_tenant();
    let sessions = hub.live().by_tenant().into_iter().filter(|(tenant_id, _)| scope.covers(*tenant_id));
    let looks = stream::iter(sessions).map(async |(tenant_id, live)| {
        let begun = Instant::now();
        in_time(look(hub, tenant_id, &live, scope)).await.map(|()| checked.note(tenant_id, begun))
    });
    let looks = looks.buffer_unordered(AT_A_TIME).collect::<Vec<_>>().await;
    let participants = attendance.into_iter().filter(|(tenant_id, _)| scope.covers(*tenant_id));
    let others = stream::iter(participants)
        .map(async |(tenant_id, participants)| in_time(look_at_participants(hub, tenant_id, &participants)).await);
    let others = others.buffer_unordered(AT_A_TIME).collect::<Vec<_>>().await;
    looks.into_iter().chain(others).collect()
}

/// A connection that has fallen silent is given up: the next look takes another one.
async fn in_time(look: impl Future<Output = Result<(), Problem>>) -> Result<(), Problem> {
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(looked) => looked,
        Err(_) => Err(DbError::Silent.into()),
    }
}

/// Looks at every session of a tenant, with as many statements for a thousand as for one.
async fn look(hub: &Hub, tenant_id: TenantId, live: &[Arc<LiveSession>], scope: &ChangeScope) -> Result<(), Problem> {
    // With the sign-ins of now: a session may be resumed with another one while the database answers.
    let live = live.iter().filter(|session| !session.is_ending());
    let live = live.map(|session| (session, session.sign_in())).collect::<Vec<_>>();
    if live.is_empty() {
        return Ok(());
    }
    let cause = if *scope == ChangeScope::Everything { "time" } else { "change" };
    metrics::counter!(names::ACCESS_CHECKS, "cause" => cause).increment(1);
    let sign_ins = live.iter().filter_map(|(_, sign_in)| *sign_in).collect::<HashSet<_>>();
    let sign_ins = sign_ins.into_iter().collect::<Vec<_>>();
    let target_ids = live.iter().map(|(session, _)| session.target_id).collect::<HashSet<_>>();
    let target_ids = target_ids.into_iter().collect::<Vec<_>>();

    let mut tx = hub.db().begin(&Context::system(tenant_id, "access-watch")).await?;
    let people = identity::principals_of(hub, &mut tx, &sign_ins).await?;
    let destinations = targets::destinations(&mut tx, &target_ids).await?;
    let mut credentials = HashMap::<_, Vec<_>>::new();
    for (target_id, credential_id) in vault::credentials_of_all(&mut tx, &target_ids).await? {
        credentials.entry(target_id).or_default().push(credential_id);
    }
    let settings = settings::effective(&mut tx, hub.config()).await?;

    let mut losses = Vec::new();
    for (session, sign_in) in live {
        let person = sign_in.and_then(|id| people.get(&id));
        let Some(person) = person.filter(|person| person.user_id() == Some(session.user_id)) else {
            // Whoever resumed it meanwhile was let in just now, and is looked at the next time.
            if session.sign_in() == sign_in {
                session
                    .request_end(End::access_ended("signed_out", "You were signed out, or your account was disabled."));
            }
            continue;
        };
        let Some(destination) = destinations.get(&session.target_id) else {
            session.request_end(End::access_ended("target_not_found", "The target was removed."));
            continue;
        };
        let allowed = credentials.get(&session.target_id).map(Vec::as_slice).unwrap_or_default();
        match access::still_allowed(person, destination, session.credential_id, allowed) {
            // The socket first: the trail must not make it wait.
            Err(denial) => {
                session.request_end(End::access_ended(denial.code(), denial.message()));
                losses.push((session, person.clone(), destination, denial));
            }
            // A limit that became shorter holds for sessions that run; the session itself keeps the
            // one it began with.
            Ok(()) if session.age() >= Duration::from_secs(settings.max_duration_seconds) => {
                session.request_end(End::max_duration());
            }
            Ok(()) => {
                let idle = Duration::from_secs(settings.idle_timeout_seconds);
                if session.idle() >= idle {
                    session.request_end(End::idle(idle));
                }
            }
        }
    }
    for (session, person, destination, denial) in losses {
        tracing::info!(session_id = %session.id, code = denial.code(), cause, "access to a running session has ended");
        let context = Context { principal: person, ..session.context.clone() };
        access::record_loss(&mut tx, &context, destination, session.credential_id, denial).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Looks at everybody of a tenant who watches or joins a session: with one statement for all.
async fn look_at_participants(
    hub: &Hub,
    tenant_id: TenantId,
    participants: &[Arc<LiveParticipant>],
) -> Result<(), Problem> {
    let staying = participants.iter().filter(|participant| !participant.is_leaving()).collect::<Vec<_>>();
    let sign_in = |participant: &LiveParticipant| participant.context.principal.auth_session;
    let sign_ins = staying.iter().filter_map(|participant| sign_in(participant)).collect::<HashSet<_>>();
    let mut tx = hub.db().begin(&Context::system(tenant_id, "access-watch")).await?;
    let people = identity::principals_of(hub, &mut tx, &sign_ins.into_iter().collect::<Vec<_>>()).await?;
    for participant in staying {
        let person = sign_in(participant).and_then(|id| people.get(&id));
        let lost = match person.filter(|person| person.user_id() == Some(participant.user_id)) {
            None => End::access_ended("signed_out", "You were signed out, or your account was disabled."),
            // The same two that were asked for at the beginning.
            Some(person)
                if permits(person, sessions::permission_for(participant.kind))
                    && (permits(person, Permission::SessionReadAll)
                        || participant.session.user_id == participant.user_id) =>
            {
                continue;
            }
            Some(_) => End::access_ended("access_denied", "You may no longer watch this session."),
        };
        tracing::info!(session_id = %participant.session.id, participant_id = %participant.id, code = lost.code(),
            "a right to watch a session has ended");
        participant.request_leave(Leave::AccessEnded(lost));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_who_was_not_decided_about_for_the_limit_is_overdue() {
        let [calm, cut_off, new] = [1, 2, 3].map(|number| TenantId::from_uuid(uuid::Uuid::from_u128(number)));
        let limit = Duration::from_secs(30);
        let checked = Checked::default();
        let begun = Instant::now();
        checked.note(calm, begun);
        checked.note(cut_off, begun);
        tokio::time::advance(Duration::from_secs(20)).await;
        checked.note(calm, Instant::now());
        tokio::time::advance(Duration::from_millis(10_001)).await;
        let tenants = [calm, cut_off, new].into();
        assert_eq!(checked.overdue(&tenants, Instant::now(), limit), [cut_off]);
        tokio::time::advance(limit + Duration::from_secs(1)).await;
        assert_eq!(checked.overdue(&[new].into(), Instant::now(), limit), [new]);
        // The others had no session meanwhile: they begin anew.
        assert_eq!(checked.overdue(&tenants, Instant::now(), limit), [new]);
    }

    #[test]
    fn a_process_that_was_stopped_has_the_time_of_one_look_before_anybody_is_ended() {
        let tenant = TenantId::from_uuid(uuid::Uuid::from_u128(1));
        let (begun, second) = (Instant::now(), FENCE_PERIOD);
        let mut fence = Fence::default();
        assert_eq!(fence.overdue(vec![tenant], begun, second), []);
        assert_eq!(fence.overdue(vec![tenant], begun + second, second), [tenant], "late for the second time");
        let again = begun + second * 31;
        assert_eq!(fence.overdue(vec![tenant], again, second * 30), []);
        for seconds in 1..=5 {
            assert_eq!(fence.overdue(vec![tenant], again + second * seconds, second), [], "{seconds} s");
        }
        assert_eq!(fence.overdue(vec![], again + second * 6, second), [], "it was looked at");
        // The database is away, too.
        assert_eq!(fence.overdue(vec![tenant], again + second * 7, second), []);
        assert_eq!(fence.overdue(vec![tenant], again + second * 8, second), [tenant]);
    }
}
