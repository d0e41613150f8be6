//! Values that must not leave the process by accident, and the few operations allowed on them.
//!
//! [`SecretString`] and [`SecretBytes`] are zeroized when dropped, print as `[REDACTED]` and do not
//! implement `Serialize`. Comparison is in constant time.

use aws_lc_rs::{constant_time, digest, hmac, rand::SecureRandom};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
pub use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// Secret bytes, zeroized when dropped.
pub type SecretBytes = secrecy::SecretSlice<u8>;

/// SHA-256 of a secret: what is stored in place of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hashes a secret that has at least 128 random bits of its own, so that no salt is needed.
    pub fn of(secret: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        Self(hash)
    }

    /// The 32 bytes, for storage.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Lower-case hexadecimal text.
    pub fn to_hex(&self) -> String {
        use std::fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Compares with a stored hash in constant time.
    pub fn matches(&self, stored: &[u8]) -> bool {
        equal(&self.0, stored)
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecretHash([REDACTED])")
    }
}

/// Compares two byte strings without telling by its duration where they differ.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// The system's random generator refused to answer.
#[derive(Debug, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct RandomError;

/// `N` fresh random bytes from `random`, as unpadded URL-safe base64 (RFC 4648 §5).
///
/// # Errors
/// When the generator fails.
pub fn random_token<const N: usize>(random: &dyn SecureRandom) -> Result<SecretString, RandomError> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    random.fill(bytes.as_mut()).map_err(|_| RandomError)?;
    Ok(SecretString::from(URL_SAFE_NO_PAD.encode(bytes.as_ref())))
}

/// Derives another secret from `secret` for one `purpose` (HMAC-SHA-256, unpadded URL-safe base64).
pub fn derive(secret: &SecretString, purpose: &str) -> SecretString {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    SecretString::from(URL_SAFE_NO_PAD.encode(hmac::sign(&key, purpose.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = SecretString::from("hunter2".to_owned());
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(!format!("{:?}", SecretHash::of(b"hunter2")).contains("f52f"));
    }

    #[test]
    fn a_hash_matches_only_its_own_secret() {
        let hash = SecretHash::of(b"one");
        assert!(hash.matches(SecretHash::of(b"one").as_bytes()));
        assert!(!hash.matches(SecretHash::of(b"two").as_bytes()));
        assert!(!hash.matches(b"short"));
        assert_eq!(SecretHash::of(b"").to_hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn random_tokens_have_their_length_and_differ() {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let first = random_token::<32>(&random).unwrap();
        let second = random_token::<32>(&random).unwrap();
        assert_eq!(first.expose_secret().len(), 43);
        assert_ne!(first.expose_secret(), second.expose_secret());
    }

    #[test]
    fn derived_secrets_differ_by_purpose() {
        let secret = SecretString::from("flow".to_owned());
        assert_ne!(derive(&secret, "nonce").expose_secret(), derive(&secret, "pkce").expose_secret());
        assert_eq!(derive(&secret, "nonce").expose_secret(), derive(&secret, "nonce").expose_secret());
    }
}
