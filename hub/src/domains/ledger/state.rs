//! How the ledger fares, as this hub sees it: for readiness and metrics.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

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
    /// The database's ledger is not the one that this hub wrote or read before.
    altered: AtomicBool,
    /// What is stored of a tenant's ledger cannot be gone on from.
    damaged: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    leads: bool,
    silence: f64,
    lag: f64,
}

impl Ledger {
    pub(super) fn note(&self, leads: bool, silence: f64, lag: f64) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen { leads, silence, lag });
    }

    /// Whether the stored ledger is not the one that is anchored; `true` where this is news.
    pub(super) fn note_anchor(&self, behind: bool) -> bool {
        self.behind_anchor.swap(behind, Ordering::Relaxed) != behind
    }

    /// The stored ledger was rewritten; `true` where this is news. It stays so for the life of the process.
    pub(super) fn note_altered(&self) -> bool {
        !self.altered.swap(true, Ordering::Relaxed)
    }

    pub(super) fn note_damaged(&self, damaged: bool) {
        self.damaged.store(damaged, Ordering::Relaxed);
    }

    pub(super) fn is_altered(&self) -> bool {
        self.altered.load(Ordering::Relaxed)
    }

    pub(super) fn forget(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether events get their places and are signed in time, and a stable word for how it is.
    pub fn health(&self) -> (bool, &'static str) {
        match *self.seen.lock().unwrap_or_else(PoisonError::into_inner) {
            None => (false, "unavailable"),
            Some(_) if self.is_altered() => (false, "altered"),
            Some(_) if self.behind_anchor.load(Ordering::Relaxed) => (false, "behind_anchor"),
            Some(_) if self.damaged.load(Ordering::Relaxed) => (false, "damaged"),
            Some(seen) if seen.silence > GONE_SECONDS => (false, "no_leader"),
            Some(seen) if seen.lag > LATE_SECONDS => (false, "checkpoints_late"),
            Some(seen) if seen.leads => (true, "leading"),
            Some(_) => (true, "following"),
        }
    }
}

#[cfg(test)]
mod tests {
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
        ledger.note_damaged(true);
        assert_eq!(ledger.health(), (false, "damaged"));
        ledger.note_anchor(true);
        assert_eq!(ledger.health(), (false, "behind_anchor"));
        assert!(ledger.note_altered() && !ledger.note_altered(), "it is news once");
        assert_eq!(ledger.health(), (false, "altered"));
    }
}
