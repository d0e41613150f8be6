//! How many denials of one principal are written down: the trail keeps each for ever, and whoever asks without end must
//! not fill it.

use std::{num::NonZeroU32, sync::LazyLock};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

use super::AccessError;
use crate::context::{Actor, Context};

/// Denials of one principal in a minute.
const PER_MINUTE: u32 = 30;
/// From so many principals on, those that were quiet for a minute are forgotten.
const REMEMBERED: usize = 10_000;

static DENIALS: LazyLock<Denials> = LazyLock::new(Denials::default);

struct Denials(DefaultKeyedRateLimiter<String>);

impl Default for Denials {
    fn default() -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(NonZeroU32::new(PER_MINUTE).unwrap_or(NonZeroU32::MIN))))
    }
}

impl Denials {
    fn take(&self, actor: &Actor) -> Result<(), AccessError> {
        if self.0.len() >= REMEMBERED {
            self.0.retain_recent();
        }
        self.0.check_key(&actor.to_string()).map_err(|not_until| {
            let wait = not_until.wait_time_from(governor::clock::DefaultClock::default().now());
            AccessError::TooManyDenials(wait.as_secs() + 1)
        })
    }
}

/// Takes one denial out of the allowance of the context's principal.
///
/// # Errors
/// When there have been too many: write nothing.
pub(super) fn take(context: &Context) -> Result<(), AccessError> {
    DENIALS.take(&context.principal.actor)
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
    }
}
