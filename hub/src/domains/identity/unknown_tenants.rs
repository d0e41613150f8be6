//! Attempts to sign in to tenants that do not exist. They are locked out like those of tenants that do, where the
//! database counts: otherwise the answer would tell which exist.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use openpam_secret::SecretHash;

/// Names that are remembered; an attacker can make them up without end.
const CAPACITY: usize = 10_000;

/// By a hash of tenant and name: what was typed as a name may be a password.
#[derive(Debug, Default)]
pub(super) struct UnknownTenants {
    failures: Mutex<HashMap<String, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// When the count begins anew.
    until: DateTime<Utc>,
    locked: bool,
}

impl UnknownTenants {
    /// Counts an attempt; until when the name is locked, where it is. The same rules as for a name in the database.
    pub(super) fn count(
        &self,
        tenant: &str,
        username: &str,
        allowed: u32,
        lockout: TimeDelta,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let key = format!("{}\0{}", tenant.to_lowercase(), username.to_lowercase());
        let key = SecretHash::of(key.as_bytes()).to_hex();
        let until = now.checked_add_signed(lockout).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= CAPACITY {
            failures.retain(|_, known| known.until > now);
        }
        if failures.len() >= CAPACITY && !failures.contains_key(&key) {
            return None;
        }
        let known = failures.entry(key).or_insert(Failures { count: 0, until, locked: false });
        if known.until <= now {
            *known = Failures { count: 0, until, locked: false };
        }
        if !known.locked && known.count >= allowed {
            *known = Failures { count: known.count, until, locked: true };
        }
        known.count = known.count.saturating_add(1);
        known.locked.then_some(known.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_locked_after_so_many_attempts_and_free_when_the_time_is_over() {
        let (unknown, lockout) = (UnknownTenants::default(), TimeDelta::minutes(5));
        let start = DateTime::<Utc>::UNIX_EPOCH;
        let at = |seconds| start + TimeDelta::seconds(seconds);
        let count = |name, seconds| unknown.count("nowhere", name, 3, lockout, at(seconds));
        assert!((0..3).all(|second| count("ada", second).is_none()));
        assert_eq!(count("Ada", 3), Some(at(303)));
        assert_eq!(count("ada", 200), Some(at(303)), "trying on does not lengthen it");
        assert_eq!(count("bob", 200), None);
        assert_eq!(count("ada", 303), None);
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let (unknown, lockout, now) = (UnknownTenants::default(), TimeDelta::minutes(5), DateTime::<Utc>::UNIX_EPOCH);
        for number in 0..CAPACITY + 10 {
            unknown.count("nowhere", &number.to_string(), 3, lockout, now);
        }
        let remembered = || unknown.failures.lock().unwrap().len();
        assert_eq!(remembered(), CAPACITY);
        unknown.count("nowhere", "late", 3, lockout, now + lockout);
        assert_eq!(remembered(), 1);
    }
}
