//! Access ends when it should: every live session is looked at again, within a second of any
//! change.

use std::{collections::HashMap, sync::Arc, time::Duration};

use openpam_ids::{AuthSessionId, TargetId, TenantId, UserId};

use crate::{
    context::{Context, Principal},
    db::DbError,
    domains::{
        access, identity,
        sessions::{End, LiveSession},
        targets::{self, Target},
        vault,
    },
    http::Problem,
    state::Hub,
};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(700);

/// Starts the watch.
pub(crate) fn start_tasks(hub: &Hub) {
    let watching = hub.clone();
    hub.lifecycle().supervise("access watch", async move {
        let mut failing = false;
        while !(watching.lifecycle().is_ending() && watching.live().count() == 0) {
            for (tenant_id, live) in watching.live().by_tenant() {
                match look(&watching, tenant_id, &live).await {
                    Ok(()) => failing = false,
                    Err(problem) => {
                        if !failing {
                            tracing::error!(code = problem.code(), "cannot check live sessions, will try again");
                        }
                        failing = true;
                    }
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    });
}

/// Looks at every session of a tenant: each sign-in and each target once, however many sessions
/// depend on it.
async fn look(hub: &Hub, tenant_id: TenantId, live: &[Arc<LiveSession>]) -> Result<(), Problem> {
    let mut tx = hub.db().begin(&Context::system(tenant_id, "access-watch")).await?;
    let mut people = HashMap::<(UserId, Option<AuthSessionId>), Option<Arc<Principal>>>::new();
    let mut reachable = HashMap::<TargetId, Option<Target>>::new();
    for session in live.iter().filter(|session| !session.is_ending()) {
        let key = (session.user_id, session.context.principal.auth_session);
        if let std::collections::hash_map::Entry::Vacant(entry) = people.entry(key) {
            let principal = match key.1 {
                Some(auth_session) => identity::principal_of(hub, &mut tx, key.0, auth_session).await?,
                None => None,
            };
            entry.insert(principal.map(Arc::new));
        }
        if let std::collections::hash_map::Entry::Vacant(entry) = reachable.entry(session.target_id) {
            entry.insert(targets::find(&mut tx, session.target_id).await?);
        }
    }
    let ids = reachable.keys().copied().collect::<Vec<_>>();
    let credentials = vault::credentials_of_all(&mut tx, &ids).await?;
    for session in live.iter().filter(|session| !session.is_ending()) {
        let key = (session.user_id, session.context.principal.auth_session);
        let Some(principal) = people.get(&key).cloned().flatten() else {
            session.request_end(End::access_ended("signed_out", "You were signed out, or your account was disabled."));
            continue;
        };
        let Some(target) = reachable.get(&session.target_id).and_then(Option::as_ref) else {
            session.request_end(End::access_ended("target_not_found", "The target was removed."));
            continue;
        };
        let allowed = credentials
            .iter()
            .filter(|(target_id, _)| *target_id == target.id)
            .map(|(_, credential)| *credential)
            .collect::<Vec<_>>();
        let context = Context { principal, ..session.context.clone() };
        let decided = access::reauthorize_session(&mut tx, &context, target, session.credential_id, &allowed).await?;
        if let Err(denial) = decided {
            session.request_end(End::access_ended(denial.code(), denial.message()));
        }
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}
