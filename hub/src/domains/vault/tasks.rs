//! What runs beside the requests: the hub's login in the vault, and the removal of secrets that a
//! hub left behind when it died.

use std::time::Duration;

use chrono::TimeDelta;

use super::{error::CredentialError, manage};
use crate::state::Hub;

const INTERVAL: Duration = Duration::from_secs(60);
/// Longer than any request takes: what is under way is no orphan.
const GRACE: TimeDelta = TimeDelta::minutes(10);

/// Starts them.
pub fn start_tasks(hub: &Hub) {
    let soft = hub.lifecycle().soft().clone();
    let task_hub = hub.clone();
    hub.lifecycle().supervise("vault login", async move { task_hub.vault().keep_logged_in(&soft).await });
    let hub = hub.clone();
    hub.lifecycle().clone().supervise("vault reconciler", async move {
        loop {
            if let Err(error) = reconcile(&hub).await {
                tracing::warn!(%error, "secrets without a credential could not be removed, trying again later");
            }
            if tokio::time::timeout(INTERVAL, hub.lifecycle().soft().cancelled()).await.is_ok() {
                return;
            }
        }
    });
}

async fn reconcile(hub: &Hub) -> Result<(), CredentialError> {
    let mut failure = None;
    for tenant_id in hub.db().tenant_ids().await? {
        // One tenant's must not wait for another's.
        if let Err(error) = manage::reconcile(hub, tenant_id, GRACE).await {
            failure = Some(error);
        }
    }
    failure.map_or(Ok(()), Err)
}
