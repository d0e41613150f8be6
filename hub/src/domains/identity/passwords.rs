//! Passwords: Argon2id (RFC 9106) with 19 MiB, three passes, one lane.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use openpam_secret::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::{IdentityError, types::MAX_PASSWORD_LENGTH};

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// Checks that run at the same time; each holds a thread and 19 MiB.
const CONCURRENT: usize = 4;
/// How long a sign-in waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// A hash of nothing in particular with the same cost, verified where there is no account, so that
/// the answer takes as long.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=3,p=1$bm9ib2R5LWhlcmUtc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies, a bounded number at a time, away from the async threads.
#[derive(Debug, Clone)]
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(CONCURRENT)) }
    }

    /// Whether `password` belongs to `hash`. Without a hash the answer is no and takes as long.
    pub(super) async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, IdentityError> {
        self.run(move || verify(&password, hash.as_deref())).await
    }

    /// The hash to store for `password`.
    pub(super) async fn hash(&self, password: SecretString) -> Result<String, IdentityError> {
        self.run(move || hash(&password)).await?
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, IdentityError> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned())
            .await
            .map_err(|_| IdentityError::Busy)?
            .map_err(|error| IdentityError::Internal(error.to_string()))?;
        tokio::task::spawn_blocking(move || {
            // The turn ends with the work, also when the client went away meanwhile.
            let _turn = turn;
            work()
        })
        .await
        .map_err(|error| IdentityError::Internal(error.to_string()))
    }
}

fn argon2() -> Result<Argon2<'static>, IdentityError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| IdentityError::Internal(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Also for the command line, which has no other work to disturb.
pub(super) fn hash(password: &SecretString) -> Result<String, IdentityError> {
    let mut salt = [0_u8; 16];
    SystemRandom::new().fill(&mut salt).map_err(|_| IdentityError::Internal("the random generator failed".into()))?;
    let hash: PasswordHash = argon2()?
        .hash_password_with_salt(password.expose_secret().as_bytes(), &salt)
        .map_err(|error| IdentityError::Internal(error.to_string()))?;
    Ok(hash.to_string())
}

fn verify(password: &SecretString, hash: Option<&str>) -> bool {
    let password = password.expose_secret();
    let known = hash.filter(|_| password.len() <= MAX_PASSWORD_LENGTH * 4);
    let Ok(parsed) = PasswordHash::new(known.unwrap_or(NOBODY)) else { return false };
    let bytes = &password.as_bytes()[..password.len().min(MAX_PASSWORD_LENGTH * 4)];
    let matches = Argon2::default().verify_password(bytes, &parsed).is_ok();
    matches && known.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_verifies() {
        let stored = hash(&SecretString::from("correct horse battery")).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=3,p=1$"), "{stored}");
        assert!(verify(&SecretString::from("correct horse battery"), Some(&stored)));
        assert!(!verify(&SecretString::from("correct horse batterz"), Some(&stored)));
        assert_ne!(stored, hash(&SecretString::from("correct horse battery")).unwrap(), "every hash has its own salt");
    }

    #[test]
    fn without_an_account_the_same_work_is_done_and_the_answer_is_no() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&nobody).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, LANES));
        assert!(!verify(&SecretString::from("anything"), None));
        assert!(!verify(&SecretString::from("x".repeat(5_000)), Some(NOBODY)));
    }
}
