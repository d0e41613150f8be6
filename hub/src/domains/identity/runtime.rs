//! What identity keeps in the process: limits, refresh tokens, the mapping of directory groups.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
};

use chrono::TimeDelta;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use openpam_ids::AuthSessionId;

use super::{
    IdentityError, passwords::Passwords, provider::Provider, refresh_tokens::RefreshTokens,
    unknown_tenants::UnknownTenants,
};
use crate::{addresses::network_of, config::Config, context::Role};

/// Sign-in: provider, rate limits.
pub struct Identity {
    passwords: Passwords,
    attempts: DefaultKeyedRateLimiter<IpAddr>,
    unknown_tenants: UnknownTenants,
    provider: Option<Provider>,
    refresh_tokens: RefreshTokens,
    roles_by_directory_group: BTreeMap<String, BTreeSet<Role>>,
    idle_timeout: TimeDelta,
    absolute_timeout: TimeDelta,
    lockout: TimeDelta,
    claims_refresh: TimeDelta,
}

impl Identity {
    /// From the configuration; nothing is contacted yet.
    ///
    /// # Errors
    /// When the provider's CA file cannot be used.
    pub fn new(config: &Config) -> Result<Self, IdentityError> {
        let limits = &config.identity;
        let per_minute = NonZeroU32::new(limits.login_attempts_per_ip_per_minute).unwrap_or(NonZeroU32::MIN);
        let provider = config.oidc.as_ref().map(|oidc| Provider::new(oidc, &config.server.public_url)).transpose()?;
        let roles_by_directory_group = config
            .oidc
            .iter()
            .flat_map(|oidc| &oidc.group_roles)
            .map(|(group, roles)| (group.to_lowercase(), Role::set(roles.iter().map(String::as_str))))
            .collect();
        Ok(Self {
            passwords: Passwords::new(),
            attempts: RateLimiter::keyed(Quota::per_minute(per_minute)),
            unknown_tenants: UnknownTenants::default(),
            provider,
            refresh_tokens: RefreshTokens::default(),
            roles_by_directory_group,
            idle_timeout: seconds(limits.idle_timeout_seconds),
            absolute_timeout: seconds(limits.absolute_timeout_seconds),
            lockout: seconds(limits.login_lockout_seconds),
            claims_refresh: seconds(limits.claims_refresh_seconds),
        })
    }

    pub(super) fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    pub(super) fn unknown_tenants(&self) -> &UnknownTenants {
        &self.unknown_tenants
    }

    /// Takes one attempt of the address out of its allowance.
    pub(super) fn admit(&self, address: Option<IpAddr>) -> Result<(), IdentityError> {
        let Some(address) = address else { return Ok(()) };
        self.attempts.check_key(&network_of(address)).map_err(|not_until| {
            let wait = not_until.wait_time_from(governor::clock::DefaultClock::default().now());
            IdentityError::RateLimited(wait.as_secs() + 1)
        })
    }

    /// Forgets addresses that were quiet.
    pub(super) fn forget_quiet_addresses(&self) {
        self.attempts.retain_recent();
        self.attempts.shrink_to_fit();
    }

    /// Drops what is kept for sign-ins that ended.
    pub(super) fn forget(&self, ended: &[AuthSessionId]) {
        for id in ended {
            drop(self.refresh_tokens.take(*id));
        }
    }

    pub(super) fn provider(&self) -> Option<&Provider> {
        self.provider.as_ref()
    }

    pub(super) fn refresh_tokens(&self) -> &RefreshTokens {
        &self.refresh_tokens
    }

    /// Roles the configuration gives to a directory group.
    pub(super) fn roles_of_directory_group(&self, external_id: &str) -> BTreeSet<Role> {
        self.roles_by_directory_group.get(&external_id.to_lowercase()).cloned().unwrap_or_default()
    }

    /// How old a person's directory claims may get while this hub can ask for them.
    pub(super) fn claims_refresh(&self) -> TimeDelta {
        self.claims_refresh
    }

    pub(super) fn idle_timeout(&self) -> TimeDelta {
        self.idle_timeout
    }

    pub(super) fn absolute_timeout(&self) -> TimeDelta {
        self.absolute_timeout
    }

    pub(super) fn lockout(&self) -> TimeDelta {
        self.lockout
    }
}

fn seconds(seconds: u64) -> TimeDelta {
    i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_tries_too_often_is_told_to_wait() {
        let mut config = Config::default();
        config.identity.login_attempts_per_ip_per_minute = 2;
        let identity = Identity::new(&config).unwrap();
        let address = Some("192.0.2.1".parse().unwrap());
        assert!(identity.admit(address).is_ok());
        assert!(identity.admit(address).is_ok());
        assert!(matches!(identity.admit(address), Err(IdentityError::RateLimited(1..=31))));
        assert!(identity.admit(Some("192.0.2.2".parse().unwrap())).is_ok());
    }
}
