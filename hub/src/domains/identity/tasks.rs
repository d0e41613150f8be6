//! Removes what is over: sign-ins, flows, failures. Every step may run again at any time.

use std::time::Duration;

use super::{IdentityError, service::claims, store::sessions};
use crate::{context::Context, db::DbError, state::Hub};

const INTERVAL: Duration = Duration::from_secs(3_600);
/// Addresses that tried to sign in are forgotten after the minute in which they count: an attacker
/// with many of them must not fill the memory.
const QUIET: Duration = Duration::from_secs(60);
/// Between two looks at whose claims are old.
const LOOK: Duration = Duration::from_secs(60);
const LEAST_LOOK: Duration = Duration::from_millis(200);
/// Rounds per tenant; each removes up to a thousand rows of each kind.
const MAX_ROUNDS: usize = 100;

/// Starts the clean-up: at once, and every hour.
pub fn start_tasks(hub: &Hub) {
    let (soft, quiet) = (hub.lifecycle().soft().clone(), hub.clone());
    hub.lifecycle().supervise("forget quiet addresses", async move {
        while tokio::time::timeout(QUIET, soft.cancelled()).await.is_err() {
            quiet.identity().forget_quiet_addresses();
        }
    });
    if hub.identity().provider().is_some() {
        let hub = hub.clone();
        hub.lifecycle().clone().supervise("directory claims", async move {
            let soft = hub.lifecycle().soft().clone();
            let pause = (hub.identity().claims_refresh() / 10).to_std().unwrap_or(LOOK).clamp(LEAST_LOOK, LOOK);
            while tokio::time::timeout(pause, soft.cancelled()).await.is_err() {
                // What the provider gives is given once: a question that was begun is brought to its end.
                claims::refresh_due(&hub).await;
            }
        });
    }
    let hub = hub.clone();
    hub.lifecycle().clone().supervise("identity clean-up", async move {
        let soft = hub.lifecycle().soft().clone();
        loop {
            if let Err(error) = clean_up(&hub).await {
                tracing::warn!(%error, "clean-up of sign-ins failed, trying again later");
            }
            if tokio::time::timeout(INTERVAL, soft.cancelled()).await.is_ok() {
                return;
            }
        }
    });
}

async fn clean_up(hub: &Hub) -> Result<(), IdentityError> {
    let identity = hub.identity();
    let now = hub.clock().now();
    identity.refresh_tokens().expire(now);
    for tenant in hub.db().tenant_ids().await? {
        let context = Context::system(tenant, "identity clean-up");
        for _ in 0..MAX_ROUNDS {
            let mut tx = hub.db().begin(&context).await?;
            let removed = sessions::clean_up(&mut tx, now, identity.idle_timeout(), identity.lockout()).await?;
            tx.commit().await.map_err(DbError::from)?;
            if removed == 0 || hub.lifecycle().is_ending() {
                break;
            }
            tracing::debug!(%tenant, removed, "removed what is over");
        }
    }
    Ok(())
}
