//! The texts that prove who somebody is: the session cookie and the API token. Both name their
//! tenant, so that the row behind them can be found under row-level security.

use openpam_ids::{AuthSessionId, TenantId};
use openpam_secret::{ExposeSecret as _, SecretHash, SecretString};
use uuid::Uuid;

/// What every API token begins with; secret scanners look for it.
const TOKEN_PREFIX: &str = "opat_";
/// Length of 32 random bytes as unpadded base64.
const SECRET_LENGTH: usize = 43;
/// Length of a UUID without hyphens.
const SIMPLE_UUID_LENGTH: usize = 32;

/// The parts of a session cookie's value.
pub(super) struct SessionCookie {
    pub(super) tenant_id: TenantId,
    pub(super) auth_session_id: AuthSessionId,
    pub(super) secret_hash: SecretHash,
}

impl SessionCookie {
    /// Reads a cookie's value; `None` for anything that the hub did not make.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split('.');
        let tenant_id = TenantId::from_uuid(simple_uuid(parts.next()?)?);
        let auth_session_id = AuthSessionId::from_uuid(simple_uuid(parts.next()?)?);
        let secret = parts.next().filter(|secret| secret.len() == SECRET_LENGTH)?;
        parts.next().is_none().then(|| Self {
            tenant_id,
            auth_session_id,
            secret_hash: SecretHash::of(secret.as_bytes()),
        })
    }

    /// The value for a fresh secret.
    pub(super) fn value(tenant_id: TenantId, auth_session_id: AuthSessionId, secret: &SecretString) -> SecretString {
        SecretString::from(format!(
            "{}.{}.{}",
            tenant_id.as_uuid().simple(),
            auth_session_id.as_uuid().simple(),
            secret.expose_secret()
        ))
    }
}

/// The text of an API token for a fresh secret.
pub(super) fn token_text(tenant_id: TenantId, secret: &SecretString) -> SecretString {
    SecretString::from(format!("{TOKEN_PREFIX}{}_{}", tenant_id.as_uuid().simple(), secret.expose_secret()))
}

/// The first characters of a token's secret, which people recognise it by.
pub(super) fn token_label(secret: &SecretString) -> String {
    secret.expose_secret().chars().take(6).collect()
}

/// The tenant and hash of a token; `None` for anything that the hub did not make.
pub(super) fn parse_token(text: &str) -> Option<(TenantId, SecretHash)> {
    let rest = text.strip_prefix(TOKEN_PREFIX)?;
    if rest.len() != SIMPLE_UUID_LENGTH + 1 + SECRET_LENGTH {
        return None;
    }
    let tenant = simple_uuid(rest.get(..SIMPLE_UUID_LENGTH)?)?;
    rest.get(SIMPLE_UUID_LENGTH..)?.strip_prefix('_')?;
    Some((TenantId::from_uuid(tenant), SecretHash::of(text.as_bytes())))
}

fn simple_uuid(text: &str) -> Option<Uuid> {
    (text.len() == SIMPLE_UUID_LENGTH).then(|| Uuid::try_parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;

    use super::*;

    const TENANT: TenantId = TenantId::from_uuid(Uuid::from_u128(7));

    #[test]
    fn a_cookie_survives_its_text() {
        let secret = openpam_secret::random_token::<32>(&SystemRandom::new()).unwrap();
        let id = AuthSessionId::from_uuid(Uuid::from_u128(9));
        let value = SessionCookie::value(TENANT, id, &secret);
        let parsed = SessionCookie::parse(value.expose_secret()).unwrap();
        assert_eq!((parsed.tenant_id, parsed.auth_session_id), (TENANT, id));
        assert!(parsed.secret_hash.matches(SecretHash::of(secret.expose_secret().as_bytes()).as_bytes()));
        for wrong in ["", "a.b.c", &format!("{}.x", value.expose_secret()), &value.expose_secret()[1..]] {
            assert!(SessionCookie::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_token_names_its_tenant_and_is_hashed_whole() {
        let secret = openpam_secret::random_token::<32>(&SystemRandom::new()).unwrap();
        let text = token_text(TENANT, &secret);
        let (tenant, hash) = parse_token(text.expose_secret()).unwrap();
        assert_eq!(tenant, TENANT);
        assert!(hash.matches(SecretHash::of(text.expose_secret().as_bytes()).as_bytes()));
        for wrong in ["opat_", "opat_ä", &text.expose_secret()[1..], &format!("{}x", text.expose_secret())] {
            assert!(parse_token(wrong).is_none(), "{wrong}");
        }
    }
}
