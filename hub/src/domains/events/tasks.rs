//! What runs beside the requests: listening for what was published, and forgetting what is old.

use std::time::Duration;

use super::{queue::Queue, service};
use crate::state::Hub;

const FORGET: Duration = Duration::from_secs(600);

/// Starts them.
///
/// # Errors
/// When the client of the queue refuses the configuration.
pub fn start_tasks(hub: &Hub) -> anyhow::Result<()> {
    if let Some(queue) = Queue::of(hub.config().aws.as_ref())? {
        let hub = hub.clone();
        hub.lifecycle().clone().supervise("event queue", async move { queue.run(&hub).await });
    }
    let listening = hub.clone();
    hub.lifecycle().supervise("event listener", async move {
        tokio::select! {
            () = listening.events().listen(listening.db()) => {}
            () = listening.lifecycle().soft().cancelled() => {}
        }
    });
    let hub = hub.clone();
    hub.lifecycle().clone().supervise("event clean-up", async move {
        loop {
            if let Err(error) = forget(&hub).await {
                tracing::warn!(%error, "old events could not be removed, trying again later");
            }
            if tokio::time::timeout(FORGET, hub.lifecycle().soft().cancelled()).await.is_ok() {
                return;
            }
        }
    });
    Ok(())
}

async fn forget(hub: &Hub) -> Result<(), super::EventsError> {
    while !hub.lifecycle().is_ending() {
        let removed = service::forget(hub).await?;
        if removed == 0 {
            return Ok(());
        }
        tracing::debug!(removed, "removed old events");
    }
    Ok(())
}
