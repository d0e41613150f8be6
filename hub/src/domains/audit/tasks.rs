//! Makes events ready for the search, behind the acts and at leisure.

use std::time::Duration;

use tokio::time::Instant;

use super::store;
use crate::{db::DbError, state::Hub};

/// Events of one transaction.
const MOST: i32 = 500;
/// Between looks, while nothing is new.
const PAUSE: Duration = Duration::from_secs(5);
/// Of the time, the part that is rest while there is much: what people do goes first.
const REST: u32 = 4;

/// Starts it. Each hub looks; one at a time does it.
pub fn start_tasks(hub: &Hub) {
    let hub = hub.clone();
    hub.lifecycle().clone().supervise("audit search", async move {
        let mut failing = false;
        loop {
            let begun = Instant::now();
            let pause = match index(&hub).await {
                Ok(rows) => {
                    failing = false;
                    if rows == MOST { begun.elapsed() * REST } else { PAUSE }
                }
                Err(error) => {
                    // Once per outage. What is not ready is searched nevertheless, only slower.
                    if !failing {
                        tracing::warn!(%error, "events are not made ready for the search, trying again");
                    }
                    failing = true;
                    PAUSE
                }
            };
            if tokio::time::timeout(pause, hub.lifecycle().soft().cancelled()).await.is_ok() {
                return;
            }
        }
    });
}

async fn index(hub: &Hub) -> Result<i32, DbError> {
    let mut connection = hub.db().unscoped().await?;
    Ok(store::index(&mut connection, MOST).await?)
}
