//! How many denials of one principal are written down: the trail keeps each for ever, and whoever asks without end must
//! not fill it.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

use super::AccessError;
use crate::{
    context::{Actor, Context},
    domains::audit::Event,
};

/// Denials of one principal in a minute.
const PER_MINUTE: u32 = 30;
/// From so many principals on, those that were quiet for a minute are forgotten.
const REMEMBERED: usize = 10_000;

static DENIALS: LazyLock<Denials> = LazyLock::new(Denials::default);

struct Denials {
    allowances: DefaultKeyedRateLimiter<String>,
    /// Denials since the last that was written down, of those who had too many.
    left_out: Mutex<HashMap<String, u64>>,
}

impl Default for Denials {
    fn default() -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(PER_MINUTE).unwrap_or(NonZeroU32::MIN));
        Self { allowances: RateLimiter::keyed(quota), left_out: Mutex::default() }
    }
}

impl Denials {
    fn take(&self, actor: &Actor) -> Result<(), AccessError> {
        if self.allowances.len() >= REMEMBERED {
            self.allowances.retain_recent();
        }
        let key = actor.to_string();
        self.allowances.check_key(&key).map_err(|not_until| {
            let mut left_out = self.left_out();
            if left_out.len() < REMEMBERED || left_out.contains_key(&key) {
                *left_out.entry(key).or_default() += 1;
            }
            let wait = not_until.wait_time_from(governor::clock::DefaultClock::default().now());
            AccessError::TooManyDenials(wait.as_secs() + 1)
        })
    }

    fn left_out(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, actor: &Actor, event: Event) -> Event {
        match self.left_out().remove(&actor.to_string()) {
            Some(count) => event.with("left_out", count),
            None => event,
        }
    }
}

/// Takes one denial out of the allowance of the context's principal.
///
/// # Errors
/// When there have been too many: write nothing. How many those were is told with the next that is written.
pub fn count_denial(context: &Context) -> Result<(), AccessError> {
    DENIALS.take(&context.principal.actor)
}

/// The denial, with how many before it were not written down.
pub(super) fn tell(context: &Context, event: Event) -> Event {
    DENIALS.tell(&context.principal.actor, event)
}

#[cfg(test)]
mod tests {
    use openpam_ids::UserId;

    use super::*;

    #[test]
    fn each_principal_has_an_allowance_of_its_own() {
        let denials = Denials::default();
        let [one, other] = [1, 2].map(|number| Actor::User(UserId::from_uuid(uuid::Uuid::from_u128(number))));
        assert!((0..PER_MINUTE).all(|_| denials.take(&one).is_ok()));
        assert!(matches!(denials.take(&one), Err(AccessError::TooManyDenials(1..=3))));
        assert!(denials.take(&other).is_ok());
        assert!(denials.take(&one).is_err());
        let told = |actor: &Actor| denials.tell(actor, Event::denied("x")).detail.get("left_out").cloned();
        assert_eq!((told(&other), told(&one), told(&one)), (None, Some(2.into()), None));
    }
}
