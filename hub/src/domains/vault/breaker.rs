//! A circuit breaker: when the vault fails again and again, nobody waits for it.

use std::time::{Duration, Instant};

const FAILURES_TO_OPEN: u32 = 5;
const PROBE_AFTER: Duration = Duration::from_secs(5);

/// Closed (requests pass), or open since a moment (requests are refused, but for one probe every
/// five seconds). The time is a parameter.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open_since: Option<Instant>,
}

impl Breaker {
    /// Whether a request may be sent now. While open, the first one after a pause is the probe.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        match self.open_since {
            None => true,
            Some(since) if now.duration_since(since) >= PROBE_AFTER => {
                // The next probe waits again, whether or not this one ever reports back.
                self.open_since = Some(now);
                true
            }
            Some(_) => false,
        }
    }

    /// The vault answered.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The vault did not answer, or failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_TO_OPEN {
            self.open_since = Some(now);
        }
    }

    /// Whether it failed so often that most requests are refused.
    pub(super) fn is_open(&self) -> bool {
        self.open_since.is_some()
    }

    /// Whether a request would be refused now. Asking takes nobody's turn as the probe.
    pub(super) fn refuses(&self, now: Instant) -> bool {
        self.open_since.is_some_and(|since| now.duration_since(since) < PROBE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_five_failures_in_a_row_and_closes_with_a_probe_that_works() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed(start);
        }
        breaker.succeeded();
        for _ in 0..4 {
            breaker.failed(start);
        }
        assert!(breaker.admits(start), "a success in between starts the count anew");
        breaker.failed(start);
        assert!(breaker.is_open());
        assert!(!breaker.admits(start + Duration::from_secs(4)));
        assert!(breaker.refuses(start + Duration::from_secs(4)));
        let probe = start + Duration::from_secs(5);
        assert!(!breaker.refuses(probe), "who only asks takes no turn");
        assert!(breaker.admits(probe), "one probe after five seconds");
        assert!(!breaker.admits(probe), "and only one");
        breaker.failed(probe);
        assert!(!breaker.admits(probe + Duration::from_secs(4)), "a failed probe waits again");
        assert!(breaker.admits(probe + Duration::from_secs(5)));
        breaker.succeeded();
        assert!(breaker.admits(probe));
    }
}
