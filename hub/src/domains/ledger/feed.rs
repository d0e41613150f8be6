//! Checkpoints as events, for whoever collects events elsewhere: a SIEM that keeps them can tell that a ledger was cut
//! off, as an anchor can. They are published, and not read again.
//!
//! An event changes nothing that the ledger speaks of: neither the outbox nor its deliveries have row images. So a
//! checkpoint that is told of makes no entry, no further checkpoint and no further event.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use openpam_ids::TenantId;
use openpam_ledger::{LedgerName, Log};
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;
use uuid::Uuid;

use super::{error::LedgerError, keys::Signer, store};
use crate::{
    config::Ledger as Config,
    context::Context,
    db::set_scope,
    domains::events::{self, Event},
};

/// Its name among anchors: how far each log was told of.
const FEED: &str = "events";
/// Tenants whose checkpoints are published in one transaction.
const MOST: usize = 200;
const TASK: &str = "ledger feed";

/// What the leader remembers between two times.
#[derive(Debug)]
pub(super) struct Feed {
    interval: Duration,
    /// `None` where no checkpoints are published.
    next: Option<Instant>,
    /// Whose were, this time.
    done: BTreeSet<Uuid>,
}

impl Feed {
    /// The first time comes an interval after the beginning.
    pub(super) fn new(config: &Config) -> Self {
        let interval = Duration::from_secs(config.anchor_interval_seconds);
        Self { interval, next: config.checkpoint_events.then(|| Instant::now() + interval), done: BTreeSet::new() }
    }

    /// Publishes the last checkpoint of each tenant whose log has grown since the last that was.
    pub(super) async fn publish(
        &mut self,
        connection: &mut PgConnection,
        epoch: i64,
        (ledger, signer): (&LedgerName, &Signer),
    ) -> Result<(), LedgerError> {
        if self.next.is_none_or(|next| Instant::now() < next) {
            return Ok(());
        }
        let mut tx = connection.begin().await?;
        store::fence(&mut tx, epoch).await?;
        let told: HashMap<String, i64> = store::anchored(&mut tx, FEED).await?;
        let mut published = 0;
        for (tenant_id, size, note) in store::latest_checkpoints(&mut tx).await? {
            let Some(tenant_id) = tenant_id.filter(|tenant_id| !self.done.contains(tenant_id)) else { continue };
            let log = Log::Tenant(tenant_id);
            let origin = ledger.origin(log);
            if told.get(&origin).is_some_and(|told| *told >= size) {
                continue;
            }
            // What the key has not signed is somebody else's.
            let Some(head) = signer.head(ledger, log, &note) else { continue };
            let context = Context::system(TenantId::from_uuid(tenant_id), TASK);
            set_scope(&mut tx, &tenant_id.to_string(), &context.principal.actor.to_string(), TASK).await?;
            let event =
                Event::LedgerCheckpoint { origin: origin.clone(), size: head.size, root: head.root.to_base64(), note };
            events::publish(&mut tx, &context, &event).await?;
            store::set_anchored(&mut tx, FEED, &origin, size).await?;
            self.done.insert(tenant_id);
            published += 1;
            if published == MOST {
                // The others soon: a leader is not silent for long.
                return Ok(tx.commit().await?);
            }
        }
        tx.commit().await?;
        (self.next, self.done) = (Some(Instant::now() + self.interval), BTreeSet::new());
        Ok(())
    }
}
