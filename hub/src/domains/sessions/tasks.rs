//! What runs beside the sessions: the hub's heartbeat, counters and activity on their way to the
//! database, requests of other hubs, and the end of sessions whose hub died.

use std::{collections::HashMap, time::Duration};

use openpam_ids::TenantId;

use chrono::TimeDelta;
use tokio::time::Instant;

use super::{End, Error, Peer, participation, service, store};
use crate::{
    context::Context,
    db::{ChangeScope, DbError},
    domains::identity,
    state::Hub,
};

const BEAT: Duration = Duration::from_secs(5);
/// INVARIANT: a hub that reaches nobody has ended its sessions ([`crate::config::Terminal::unchecked_seconds`])
/// before another one calls them ended. The last beat may be this much older than the last look at access.
const MARGIN: Duration = Duration::from_secs(20);
const COUNT: Duration = Duration::from_secs(10);
const RECONCILE: Duration = Duration::from_secs(10);
/// A key pressed in a terminal counts for its sign-in after this time.
const ACTIVITY: Duration = Duration::from_secs(5);
/// Requests of other hubs are seen within this time even when nobody announced them.
const WATCH: Duration = Duration::from_millis(700);

const HUB_LOST: &str = "The hub that carried this session stopped without ending it.";

/// Starts them.
pub fn start_tasks(hub: &Hub) {
    let lifecycle = hub.lifecycle();
    lifecycle.supervise("hub heartbeat", heartbeat(hub.clone()));
    lifecycle.supervise("session counters", every(hub.clone(), COUNT, "counting bytes", write_bytes));
    lifecycle.supervise("session reconciler", every(hub.clone(), RECONCILE, "closing orphaned sessions", reconcile));
    lifecycle.supervise("session activity", every(hub.clone(), ACTIVITY, "noting activity", note_activity));
    lifecycle.supervise("session end requests", watch(hub.clone()));
}

/// Runs `act` now and every `period`, until the hub is asked to stop and carries nothing.
async fn every<F>(hub: Hub, period: Duration, what: &'static str, act: fn(Hub) -> F)
where
    F: Future<Output = Result<(), Error>> + Send,
{
    let mut failing = false;
    while !(hub.lifecycle().is_ending() && hub.live().count() == 0) {
        match act(hub.clone()).await {
            Ok(()) => failing = false,
            Err(error) => {
                // Once per outage, not once per period.
                if !failing {
                    tracing::error!(task = what, %error, "task failed, will try again");
                }
                failing = true;
            }
        }
        pause(&hub, period).await;
    }
}

/// Waits for the period; shorter once the hub is stopping.
async fn pause(hub: &Hub, period: Duration) {
    if hub.lifecycle().is_ending() {
        tokio::time::sleep(period.min(Duration::from_millis(200))).await;
    } else {
        let _ = tokio::time::timeout(period, hub.lifecycle().soft().cancelled()).await;
    }
}

async fn heartbeat(hub: Hub) {
    every(hub.clone(), BEAT, "heartbeat", beat).await;
    match hub.db().unscoped().await {
        Ok(mut connection) => {
            if let Err(error) = store::stop(&mut connection, hub.hub_id()).await {
                tracing::warn!(%error, "could not write that this hub stops");
            }
        }
        Err(error) => tracing::warn!(%error, "could not write that this hub stops"),
    }
}

async fn beat(hub: Hub) -> Result<(), Error> {
    // A connection that has fallen silent must not keep the next beat back.
    match tokio::time::timeout(BEAT, beat_once(&hub)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(DbError::Silent.into()),
    }
}

async fn beat_once(hub: &Hub) -> Result<(), Error> {
    let mut connection = hub.db().unscoped().await?;
    let config = hub.config();
    let silent_after = Duration::from_secs(config.terminal.unchecked_seconds) + MARGIN;
    let listen = config.server.listen.to_string();
    let peer = config.server.peer_url.clone().map(|url| Peer { url, origin: hub.origin().to_owned() });
    let (version, silent_after) = (env!("CARGO_PKG_VERSION"), silent_after.as_secs_f64());
    store::beat(&mut connection, hub.hub_id(), &listen, version, peer.as_ref(), silent_after).await?;
    Ok(())
}

async fn write_bytes(hub: Hub) -> Result<(), Error> {
    for (tenant_id, sessions) in hub.live().by_tenant() {
        let changed = sessions.iter().filter_map(|session| Some((session.id, session.take_changed_bytes()?)));
        let (mut ids, mut sent, mut received) = (Vec::new(), Vec::new(), Vec::new());
        for (id, bytes) in changed {
            ids.push(id.as_uuid());
            sent.push(bytes.0);
            received.push(bytes.1);
        }
        if ids.is_empty() {
            continue;
        }
        let mut tx = hub.db().begin(&system(tenant_id)).await?;
        store::write_bytes(&mut tx, &ids, &sent, &received).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Who works in a terminal is active, although no request comes: only keys count, so that a
/// terminal nobody looks at keeps no sign-in alive.
async fn note_activity(hub: Hub) -> Result<(), Error> {
    let now = hub.clock().now();
    let attendance = hub.live().attendance().by_tenant();
    for (tenant_id, sessions) in hub.live().by_tenant() {
        let mut active = HashMap::new();
        let keys = sessions.iter().map(|session| (session.sign_in(), session.take_key()));
        let others = attendance.get(&tenant_id).into_iter().flatten();
        let keys_of_others = others.map(|one| (one.context.principal.auth_session, one.take_key()));
        for (sign_in, ago) in keys.chain(keys_of_others) {
            let (Some(sign_in), Some(ago)) = (sign_in, ago) else { continue };
            let at = now - TimeDelta::from_std(ago).unwrap_or_default();
            active.entry(sign_in).and_modify(|latest| at.max(*latest).clone_into(latest)).or_insert(at);
        }
        if active.is_empty() {
            continue;
        }
        let mut tx = hub.db().begin(&system(tenant_id)).await?;
        let active = active.into_iter().collect::<Vec<_>>();
        identity::note_activity(&hub, &mut tx, &active).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Ends sessions that somebody wants to end on another hub, at once when that is announced, and those
/// that another hub has closed.
async fn watch(hub: Hub) {
    let mut changes = hub.changes().subscribe();
    let mut failing = false;
    let mut due = Instant::now() + WATCH;
    while !(hub.lifecycle().is_ending() && hub.live().count() == 0) {
        let scope = changes.next(due).await;
        if scope == ChangeScope::Everything {
            due = Instant::now() + WATCH;
        }
        let outcome = end_requested(&hub, &scope).await;
        if let (Err(error), false) = (&outcome, failing) {
            tracing::error!(task = "looking for end requests", %error, "task failed, will try again");
        }
        failing = outcome.is_err();
    }
}

async fn end_requested(hub: &Hub, scope: &ChangeScope) -> Result<(), Error> {
    for (tenant_id, carried) in hub.live().by_tenant() {
        if !scope.covers(tenant_id) {
            continue;
        }
        let ids = carried.iter().filter(|session| !session.is_ending()).map(|session| session.id.as_uuid());
        let mut tx = hub.db().begin(&system(tenant_id)).await?;
        for row in store::ends(&mut tx, &ids.collect::<Vec<_>>()).await? {
            let Some(session) = hub.live().get(row.id) else { continue };
            if row.ended {
                // INVARIANT: no session goes on that the trail calls ended.
                tracing::error!(session_id = %row.id, "another hub took this one for dead and closed the session");
                session.request_end(End::Failed { code: service::CODE_HUB_LOST, message: HUB_LOST.to_owned() });
            } else {
                session.request_end(End::Terminated { message: row.message });
            }
        }
    }
    Ok(())
}

async fn reconcile(hub: Hub) -> Result<(), Error> {
    for tenant_id in hub.db().tenant_ids().await? {
        let context = system(tenant_id);
        let mut tx = hub.db().begin(&context).await?;
        let orphans = store::orphans(&mut tx, hub.hub_id(), &hub.live().ids()).await?;
        for (id, sent, received) in orphans {
            let end = End::Failed { code: service::CODE_HUB_LOST, message: HUB_LOST.to_owned() };
            service::close(&mut tx, &context, id, &end, (sent, received)).await?;
            tracing::warn!(session_id = %id, "closed the session of a hub that is gone");
        }
        participation::close_orphans(&hub, &context, &mut tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn system(tenant_id: TenantId) -> Context {
    Context::system(tenant_id, "sessions")
}
