//! How the ledger fares, as this hub sees it: for readiness and metrics.

use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use openpam_ledger::Log;

/// A checkpoint that is later than this is told.
const LATE_SECONDS: f64 = 10.0;
/// A leader that is not heard of for so long is gone; another takes over before.
const GONE_SECONDS: f64 = 10.0;

/// What this hub knows of the ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    seen: Mutex<Option<Seen>>,
    /// The database's ledger is not the one that an anchor has.
    behind_anchor: AtomicBool,
    /// Logs that are not the ones that a hub wrote or read before.
    altered: Mutex<HashSet<Log>>,
    /// Logs that cannot be gone on from as they are stored.
    damaged: Mutex<HashSet<Log>>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    leads: bool,
    silence: f64,
    lag: f64,
}

impl Ledger {
    pub(super) fn note(&self, leads: bool, silence: f64, lag: f64) {
        *locked(&self.seen) = Some(Seen { leads, silence, lag });
    }

    /// Whether the stored ledger is not the one that is anchored; `true` where this is news.
    pub(super) fn note_anchor(&self, behind: bool) -> bool {
        self.behind_anchor.swap(behind, Ordering::Relaxed) != behind
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
        match *locked(&self.seen) {
            None => (false, "unavailable"),
            Some(_) if has(&self.altered) => (false, "altered"),
            Some(_) if self.behind_anchor.load(Ordering::Relaxed) => (false, "behind_anchor"),
            Some(_) if has(&self.damaged) => (false, "damaged"),
            Some(seen) if seen.silence > GONE_SECONDS => (false, "no_leader"),
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
        ledger.note_anchor(true);
        assert_eq!(ledger.health(), (false, "behind_anchor"));
        assert!(ledger.note_altered(one) && !ledger.note_altered(one), "it is news once");
        assert_eq!((ledger.health().1, ledger.health_of(other).1), ("altered", "behind_anchor"));
        ledger.note_altered(Log::System);
        assert_eq!(ledger.health_of(other).1, "altered", "the system's log is everybody's");
    }
}
