//! Refresh tokens: in this hub's memory only, never in the database. After a restart, or on another
//! hub, a refresh renews the cookie but not the claims.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use openpam_ids::{AuthSessionId, TenantId, UserId};
use openpam_secret::SecretString;

/// Sign-ins whose token is kept.
const CAPACITY: usize = 10_000;

/// Whose a token is.
pub(super) type Owner = (TenantId, UserId);

/// By sign-in.
#[derive(Default)]
pub(super) struct RefreshTokens {
    tokens: Mutex<HashMap<AuthSessionId, Kept>>,
}

struct Kept {
    token: SecretString,
    owner: Owner,
    /// The end of its sign-in.
    expires_at: DateTime<Utc>,
    /// When the provider was asked last.
    kept_at: DateTime<Utc>,
}

impl RefreshTokens {
    /// Keeps a token until `expires_at`; not at all when there is no room for it.
    pub(super) fn keep(
        &self,
        id: AuthSessionId,
        owner: Owner,
        token: SecretString,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= CAPACITY {
            tokens.retain(|_, kept| kept.expires_at > now);
        }
        if tokens.len() < CAPACITY {
            tokens.insert(id, Kept { token, owner, expires_at, kept_at: now });
        }
    }

    /// Sign-ins for which the provider was asked before `since` the last time.
    pub(super) fn due(&self, since: DateTime<Utc>) -> Vec<(AuthSessionId, Owner)> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().filter(|(_, kept)| kept.kept_at <= since).map(|(id, kept)| (*id, kept.owner)).collect()
    }

    /// Takes the token out: two tabs that refresh at once must not use it twice.
    pub(super) fn take(&self, id: AuthSessionId) -> Option<SecretString> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(&id).map(|kept| kept.token)
    }

    /// Drops those of sign-ins that are over.
    pub(super) fn expire(&self, now: DateTime<Utc>) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, kept| kept.expires_at > now);
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
        let owner = (TenantId::from_uuid(uuid::Uuid::from_u128(3)), UserId::from_uuid(uuid::Uuid::from_u128(4)));
        tokens.keep(first, owner, SecretString::from("one"), now + TimeDelta::hours(1), now);
        tokens.keep(second, owner, SecretString::from("two"), now + TimeDelta::minutes(1), now + TimeDelta::seconds(1));
        assert!(tokens.due(now - TimeDelta::seconds(1)).is_empty());
        assert_eq!(tokens.due(now), [(first, owner)]);
        tokens.expire(now + TimeDelta::minutes(2));
        assert!(tokens.take(second).is_none());
        assert!(tokens.take(first).is_some());
        assert!(tokens.take(first).is_none());
    }
}
