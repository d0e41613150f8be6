//! How much of fast output is looked at line by line. Nobody reads a flood while it passes, and the database
//! would spend more on its lines than the session on all of it: so a session may show [`BURST`] at once and
//! [`PER_SECOND`] from then on, each line as [`LEAST_LINE`] at least. Of what is faster only commands are taken, and the screen as it stands
//! every [`INTERVAL`], at each key, and at the end. Where that is so is kept, and told with recording and search.

/// Bytes of text that are looked at line by line, however fast they come.
const BURST: u64 = 512 * 1024;
/// And for each second of the recording.
const PER_SECOND: u64 = 32 * 1024;
/// Bytes that a line counts as, at least: a short one is a row of the database as a long one is.
const LEAST_LINE: u64 = 32;
/// What must have come together again before lines are looked at once more.
const AGAIN: u64 = 128 * 1024;
/// What a key is followed by, at least.
const AROUND_KEYS: u64 = 64 * 1024;
/// Microseconds between two looks at the screen of a flood, and between two keys that count.
pub(super) const INTERVAL: u64 = 1_000_000;
/// Stretches nearer than that are one, in microseconds.
const NEAR: i64 = 2_000_000;
/// Stretches of a recording that are kept; later ones make the last one longer.
const MOST_STRETCHES: usize = 64;

/// What a session may still show line by line. It goes on from segment to segment.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    allowed: u64,
    at_us: u64,
    exceeded: bool,
    /// When a key counted last.
    key_at_us: Option<u64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { allowed: BURST, at_us: 0, exceeded: false, key_at_us: None }
    }
}

impl Pace {
    /// For who wants the screen and no lines.
    pub(super) fn screens_only() -> Self {
        // Nothing comes together before the end of time.
        Self { allowed: 0, at_us: u64::MAX, exceeded: true, key_at_us: None }
    }

    /// Whether so much text may be looked at line by line.
    pub(super) fn allows(&mut self, at_us: u64, text: &[u8]) -> bool {
        let micros = at_us.saturating_sub(self.at_us);
        self.at_us = self.at_us.max(at_us);
        let more = u128::from(micros) * u128::from(PER_SECOND) / 1_000_000;
        self.allowed = self.allowed.saturating_add(u64::try_from(more).unwrap_or(BURST)).min(BURST);
        self.exceeded &= self.allowed < AGAIN;
        if self.exceeded {
            return false;
        }
        let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
        let counted = (text.len() as u64).max(lines.saturating_mul(LEAST_LINE));
        self.exceeded = counted > self.allowed;
        self.allowed -= if self.exceeded { 0 } else { counted };
        !self.exceeded
    }

    /// A key was pressed: what is around it is looked at.
    pub(super) fn key(&mut self, at_us: u64) {
        let counts = self.key_at_us.is_none_or(|before| at_us.saturating_sub(before) >= INTERVAL);
        if counts && self.at_us < u64::MAX {
            self.key_at_us = Some(at_us);
            self.exceeded = false;
            self.allowed = self.allowed.max(AROUND_KEYS);
        }
    }
}

/// Stretches of a recording that were too fast, in microseconds: beginnings and ends in turn, in order.
pub(super) fn joined(mut before: Vec<i64>, more: &[(u64, u64)]) -> Vec<i64> {
    for (from, to) in more {
        let [from, to] = [*from, *to].map(|at| i64::try_from(at).unwrap_or(i64::MAX));
        let full = before.len() >= 2 * MOST_STRETCHES;
        match before.last_mut() {
            Some(end) if full || from.saturating_sub(*end) < NEAR => *end = to.max(*end),
            _ => before.extend([from, to]),
        }
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> Vec<u8> {
        vec![b'x'; bytes]
    }

    #[test]
    fn a_burst_is_allowed_then_what_a_second_brings_and_after_a_key() {
        let mut pace = Pace::default();
        assert!(pace.allows(0, &text(512 * 1024)));
        assert!(!pace.allows(0, &text(1)));
        assert!(!pace.allows(3_000_000, &text(1)), "not every few lines");
        assert!(pace.allows(5_000_000, &text(100 * 1024)));
        assert!(!pace.allows(5_000_000, &text(100 * 1024)));
        pace.key(5_000_001);
        assert!(pace.allows(5_000_002, &text(60 * 1024)));
        assert!(!pace.allows(5_000_003, &text(60 * 1024)));
        pace.key(5_000_004);
        assert!(!pace.allows(5_000_005, &text(1)), "who types fast is no way around");
        assert!(pace.allows(3_600_000_000, &text(512 * 1024)), "an hour later");
        assert!(!pace.allows(3_600_000_001, &text(512 * 1024)), "and not more than at once");
        // Short lines count as longer ones.
        let mut pace = Pace::default();
        assert!(pace.allows(0, &b"1\n".repeat(16 * 1024)));
        assert!(!pace.allows(0, b"1\n"));
        let mut screens = Pace::screens_only();
        screens.key(5);
        assert!(!screens.allows(u64::MAX - 1, &text(1)));
    }

    #[test]
    fn stretches_that_are_near_are_one_and_few_are_kept() {
        assert_eq!(
            joined(vec![], &[(1, 2), (1_000_000, 3_000_000), (9_000_000, 9_000_001)]),
            [1, 3_000_000, 9_000_000, 9_000_001]
        );
        assert_eq!(joined(vec![1, 5], &[(2, 3)]), [1, 5]);
        let many = (0..200).map(|at| (at * 10_000_000, at * 10_000_000 + 1)).collect::<Vec<_>>();
        let kept = joined(vec![], &many);
        assert_eq!((kept.len(), kept.last()), (2 * MOST_STRETCHES, Some(&1_990_000_001)));
        assert!(kept.is_sorted());
    }
}
