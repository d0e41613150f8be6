//! Refresh tokens: in this hub's memory only, never in the database. After a restart, or on another
//! hub, a refresh renews the cookie but not the claims.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use openpam_ids::AuthSessionId;
use openpam_secret::SecretString;

/// Sign-ins whose token is kept.
const CAPACITY: usize = 10_000;

/// By sign-in, with the end of that sign-in.
#[derive(Default)]
pub(super) struct RefreshTokens {
    tokens: Mutex<HashMap<AuthSessionId, (SecretString, DateTime<Utc>)>>,
}

impl RefreshTokens {
    /// Keeps a token until `expires_at`; not at all when there is no room for it.
    pub(super) fn keep(&self, id: AuthSessionId, token: SecretString, expires_at: DateTime<Utc>, now: DateTime<Utc>) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= CAPACITY {
            tokens.retain(|_, (_, end)| *end > now);
        }
        if tokens.len() < CAPACITY {
            tokens.insert(id, (token, expires_at));
        }
    }

    /// Takes the token out: two tabs that refresh at once must not use it twice.
    pub(super) fn take(&self, id: AuthSessionId) -> Option<SecretString> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(&id).map(|(token, _)| token)
    }

    /// Drops those of sign-ins that are over.
    pub(super) fn expire(&self, now: DateTime<Utc>) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, (_, end)| *end > now);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_token_is_taken_once_and_ends_with_its_sign_in() {
        let tokens = RefreshTokens::default();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let [first, second] = [1, 2].map(|n| AuthSessionId::from_uuid(uuid::Uuid::from_u128(n)));
        tokens.keep(first, SecretString::from("one"), now + TimeDelta::hours(1), now);
        tokens.keep(second, SecretString::from("two"), now + TimeDelta::minutes(1), now);
        tokens.expire(now + TimeDelta::minutes(2));
        assert!(tokens.take(second).is_none());
        assert!(tokens.take(first).is_some());
        assert!(tokens.take(first).is_none());
    }
}
