//! How the ledger fares, as this hub sees it: for readiness and metrics.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;
use openpam_ledger::Log;

use super::witness::client;
use crate::{
    config::{Ledger as Config, ObjectLock},
    objects::Objects,
};

/// A checkpoint that is later than this is told.
const LATE_SECONDS: f64 = 10.0;
/// A leader that is not heard of for so long is gone; another takes over before.
const GONE_SECONDS: f64 = 10.0;

/// What this hub knows of the ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    seen: Mutex<Option<Seen>>,
    /// By name, while this hub leads.
    anchors: Mutex<BTreeMap<String, AnchorState>>,
    /// The bucket for checkpoints.
    bucket: Option<Objects>,
    /// What asks witnesses.
    client: Option<reqwest::Client>,
    /// Logs that are not the ones that a hub wrote or read before.
    altered: Mutex<HashSet<Log>>,
    /// Logs that cannot be gone on from as they are stored.
    damaged: Mutex<HashSet<Log>>,
}

/// How an anchor fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorState {
    /// Only the hub that leads looks at it.
    Unknown,
    /// It has what the ledger goes on from, and takes what comes.
    Available,
    /// It does not answer, or refuses.
    Unavailable,
    /// The database's ledger is not the one that it has.
    Differs,
}

impl AnchorState {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Available => "available",
            Self::Unavailable => "unavailable",
            Self::Differs => "differs",
        }
    }

    /// Whether nothing is known to be wrong.
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Unknown | Self::Available)
    }
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    leads: bool,
    silence: f64,
    lag: f64,
}

impl Ledger {
    /// With the anchors of the configuration.
    ///
    /// # Errors
    /// When the bucket cannot be used at all, or has no lock. One that does not answer is not such a case.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let client = (!config.witnesses.is_empty()).then(client).transpose().context("witnesses of the ledger")?;
        let Some(bucket) = config.anchor_bucket() else { return Ok(Self { client, ..Self::default() }) };
        let objects = Objects::bucket(&bucket).context("the bucket of the ledger's checkpoints")?;
        if bucket.object_lock != ObjectLock::None {
            match objects.has_lock().await {
                Ok(Some(false)) => {
                    anyhow::bail!("ledger.anchor_object_lock: the bucket {} has no object lock", bucket.name)
                }
                Ok(_) => {}
                // What is put names its lock: a bucket without one refuses it.
                Err(error) => tracing::warn!(%error, "whether the ledger's bucket has object lock is not known yet"),
            }
        }
        Ok(Self { bucket: Some(objects), client, ..Self::default() })
    }

    pub(super) fn client(&self) -> Option<&reqwest::Client> {
        self.client.as_ref()
    }

    pub(super) fn bucket(&self) -> Option<&Objects> {
        self.bucket.as_ref()
    }
    pub(super) fn note(&self, leads: bool, silence: f64, lag: f64) {
        if !leads {
            locked(&self.anchors).clear();
        }
        *locked(&self.seen) = Some(Seen { leads, silence, lag });
    }

    /// How an anchor fares; `true` where this is news.
    pub(super) fn note_anchor(&self, name: &str, state: AnchorState) -> bool {
        locked(&self.anchors).insert(name.to_owned(), state) != Some(state)
    }

    /// How an anchor fares, as far as this hub knows.
    pub fn anchor(&self, name: &str) -> AnchorState {
        locked(&self.anchors).get(name).copied().unwrap_or(AnchorState::Unknown)
    }

    /// A log was rewritten; `true` where this is news. It stays so for the life of the process.
    pub(super) fn note_altered(&self, log: Log) -> bool {
        locked(&self.altered).insert(log)
    }

    pub(super) fn note_damaged(&self, damaged: HashSet<Log>) {
        *locked(&self.damaged) = damaged;
    }

    pub(super) fn forget(&self) {
        *locked(&self.seen) = None;
    }

    /// Whether events get their places and are signed in time, and a stable word for how it is.
    pub fn health(&self) -> (bool, &'static str) {
        self.health_where(|_| true)
    }

    /// The same as far as it is a tenant's business: what is wrong with another's log is not.
    pub(super) fn health_of(&self, own: Log) -> (bool, &'static str) {
        self.health_where(|log| *log == own || *log == Log::System)
    }

    fn health_where(&self, counts: impl Fn(&Log) -> bool) -> (bool, &'static str) {
        let has = |logs: &Mutex<HashSet<Log>>| locked(logs).iter().any(&counts);
        let anchor = |state| locked(&self.anchors).values().any(|anchor| *anchor == state);
        match *locked(&self.seen) {
            None => (false, "unavailable"),
            Some(_) if has(&self.altered) => (false, "altered"),
            Some(_) if anchor(AnchorState::Differs) => (false, "behind_anchor"),
            Some(_) if has(&self.damaged) => (false, "damaged"),
            Some(seen) if seen.silence > GONE_SECONDS => (false, "no_leader"),
            Some(_) if anchor(AnchorState::Unavailable) => (false, "anchor_unavailable"),
            Some(seen) if seen.lag > LATE_SECONDS => (false, "checkpoints_late"),
            Some(seen) if seen.leads => (true, "leading"),
            Some(_) => (true, "following"),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_state_has_its_word() {
        let ledger = Ledger::default();
        assert_eq!(ledger.health(), (false, "unavailable"));
        for (leads, silence, lag, expected) in [
            (true, 0.1, 0.2, (true, "leading")),
            (false, 0.1, 0.2, (true, "following")),
            (false, 60.0, 0.2, (false, "no_leader")),
            (true, 0.1, 60.0, (false, "checkpoints_late")),
        ] {
            ledger.note(leads, silence, lag);
            assert_eq!(ledger.health(), expected);
        }
        let (one, other) = (Log::Tenant(Uuid::from_u128(1)), Log::Tenant(Uuid::from_u128(2)));
        ledger.note(true, 0.1, 0.2);
        ledger.note_damaged([one].into());
        assert_eq!((ledger.health(), ledger.health_of(one)), ((false, "damaged"), (false, "damaged")));
        assert_eq!(ledger.health_of(other), (true, "leading"), "another tenant's log is none of its business");
        assert!(ledger.note_anchor("bucket", AnchorState::Unavailable));
        assert_eq!(ledger.health_of(other), (false, "anchor_unavailable"), "it is everybody's");
        assert!(!ledger.note_anchor("bucket", AnchorState::Unavailable), "it is news once");
        assert_eq!(ledger.anchor("file"), AnchorState::Unknown);
        ledger.note_anchor("file", AnchorState::Differs);
        assert_eq!(ledger.health(), (false, "behind_anchor"));
        assert!(ledger.note_altered(one) && !ledger.note_altered(one), "it is news once");
        assert_eq!((ledger.health().1, ledger.health_of(other).1), ("altered", "behind_anchor"));
        ledger.note_altered(Log::System);
        assert_eq!(ledger.health_of(other).1, "altered", "the system's log is everybody's");
    }
}
