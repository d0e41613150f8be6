//! Handles to everything a request may need, made once by [`crate::boot`].

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use metrics_exporter_prometheus::PrometheusHandle;
use openpam_ids::HubId;
use openpam_lifecycle::Lifecycle;

use crate::{
    config::Config,
    context::{Clock, Ids},
    db::{Changes, Db},
    domains::{
        events::EventBus,
        identity::Identity,
        ledger::Ledger,
        recordings::{Indexer, Storage, Verifications},
        sessions::LiveSessions,
        subscribers::Senders,
        vault::Vault,
    },
    gateway::{Attachments, Listeners, Peers},
};

/// The running hub. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

/// What [`Hub`] is made of.
pub struct Inner {
    /// This process among the hubs.
    pub hub_id: HubId,
    /// Validated configuration.
    pub config: Config,
    /// Scheme, host and port of the public URL, as browsers send it in `Origin`.
    pub origin: String,
    /// PostgreSQL.
    pub db: Db,
    /// Announcements of changes that can end access.
    pub changes: Changes,
    /// What was published, as it is announced.
    pub events: EventBus,
    /// What delivers events to subscribers.
    pub senders: Senders,
    /// Start and end of the process.
    pub lifecycle: Lifecycle,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// The system's random generator.
    pub random: SystemRandom,
    /// Sign-in: provider, rate limits.
    pub identity: Identity,
    /// HashiCorp Vault or OpenBao.
    pub vault: Vault,
    /// How the ledger fares.
    pub ledger: Ledger,
    /// Where recordings are kept; none where sessions are not recorded.
    pub recordings: Option<Storage>,
    /// What is told to the task that indexes recordings.
    pub indexer: Indexer,
    /// Verifications of recordings, as far as they are.
    pub verifications: Verifications,
    /// Sessions that run on this hub.
    pub live: LiveSessions,
    /// How browsers find their terminal sessions again.
    pub terminals: Attachments,
    /// Consoles that listen for changes.
    pub listeners: Listeners,
    /// The way to other hubs.
    pub peers: Peers,
}

impl Hub {
    /// Wraps the parts.
    pub fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// This process among the hubs.
    pub fn hub_id(&self) -> HubId {
        self.inner.hub_id
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Scheme, host and port browsers reach the hub under.
    pub fn origin(&self) -> &str {
        &self.inner.origin
    }

    /// Whether browsers reach the hub over TLS.
    pub fn is_https(&self) -> bool {
        self.inner.origin.starts_with("https://")
    }

    /// PostgreSQL.
    pub fn db(&self) -> &Db {
        &self.inner.db
    }

    /// Announcements of changes that can end access, whoever made them.
    pub fn changes(&self) -> &Changes {
        &self.inner.changes
    }

    /// What was published, as it is announced.
    pub fn events(&self) -> &EventBus {
        &self.inner.events
    }

    /// What delivers events to subscribers.
    pub fn senders(&self) -> &Senders {
        &self.inner.senders
    }

    /// Start and end of the process.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.inner.lifecycle
    }

    /// Renders `/metrics`.
    pub fn metrics(&self) -> &PrometheusHandle {
        &self.inner.metrics
    }

    /// The system's random generator.
    pub fn random(&self) -> &SystemRandom {
        &self.inner.random
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        Clock
    }

    /// Makes identifiers.
    pub fn ids(&self) -> Ids {
        Ids
    }

    /// Sign-in.
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// The vault.
    pub fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    /// How the ledger fares.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// Where recordings are kept; none where sessions are not recorded.
    pub fn recordings(&self) -> Option<&Storage> {
        self.inner.recordings.as_ref()
    }

    /// What is told to the task that indexes recordings.
    pub fn indexer(&self) -> &Indexer {
        &self.inner.indexer
    }

    /// Verifications of recordings, as far as they are.
    pub fn verifications(&self) -> &Verifications {
        &self.inner.verifications
    }

    /// Sessions that run on this hub.
    pub fn live(&self) -> &LiveSessions {
        &self.inner.live
    }

    /// Consoles that listen for changes.
    pub fn listeners(&self) -> &Listeners {
        &self.inner.listeners
    }

    /// The way to other hubs.
    pub fn peers(&self) -> &Peers {
        &self.inner.peers
    }

    /// How browsers find their terminal sessions again.
    pub fn terminals(&self) -> &Attachments {
        &self.inner.terminals
    }
}
