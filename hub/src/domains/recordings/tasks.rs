//! The completer: closes recordings whose hub died, from what it had stored. The task of retention: purges
//! what is not to be kept any longer.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Error, retention, service, upload};
use crate::state::Hub;

const INTERVAL: Duration = Duration::from_secs(15);

/// Starts it.
pub fn start_tasks(hub: &Hub) {
    if hub.recordings().is_none() {
        return;
    }
    upload::start(hub);
    start_purging(hub);
    let hub = hub.clone();
    hub.lifecycle().clone().supervise("recording completer", async move {
        loop {
            if let Err(error) = complete(&hub).await {
                tracing::warn!(%error, "abandoned recordings could not be closed, trying again later");
            }
            if tokio::time::timeout(INTERVAL, hub.lifecycle().soft().cancelled()).await.is_ok() {
                return;
            }
        }
    });
}

async fn complete(hub: &Hub) -> Result<(), Error> {
    let seconds = i64::try_from(hub.config().recording.abandoned_after_seconds).unwrap_or(60);
    let mut failure = None;
    for tenant_id in hub.db().tenant_ids().await? {
        // One tenant's must not wait for another's.
        if let Err(error) = service::complete_abandoned(hub, tenant_id, TimeDelta::seconds(seconds)).await {
            failure = Some(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

fn start_purging(hub: &Hub) {
    let hub = hub.clone();
    hub.lifecycle().clone().supervise("recording retention", async move {
        loop {
            if let Err(error) = purge(&hub).await {
                tracing::warn!(%error, "recordings could not be purged, trying again later");
            }
            if tokio::time::timeout(INTERVAL, hub.lifecycle().soft().cancelled()).await.is_ok() {
                return;
            }
        }
    });
}

async fn purge(hub: &Hub) -> Result<(), Error> {
    let mut failure = None;
    for tenant_id in hub.db().tenant_ids().await? {
        if let Err(error) = retention::purge_due(hub, tenant_id).await {
            failure = Some(error);
        }
    }
    failure.map_or(Ok(()), Err)
}
