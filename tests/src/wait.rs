//! Waiting for a condition instead of for a time.

use std::{future::Future, time::Duration};

use anyhow::bail;
use tokio::time::Instant;

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Asks `condition` until it answers with something.
///
/// # Errors
/// With `what` was expected when it did not happen within `limit`, or with the condition's own error.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut condition: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let started = Instant::now();
    loop {
        if let Some(found) = condition().await? {
            return Ok(found);
        }
        if started.elapsed() > limit {
            bail!("expected within {limit:?}: {what}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
