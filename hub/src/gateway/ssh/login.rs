//! Logging in: password, keyboard-interactive (a password prompt only), private key, certificate.

use std::{sync::Arc, time::Duration};

use openpam_secret::{ExposeSecret as _, SecretString};
use russh::{
    MethodKind, MethodSet,
    client::{AuthResult, KeyboardInteractiveAuthResponse},
    keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, decode_secret_key},
};
use tokio::{sync::Semaphore, time::Instant};

use super::{Connection, SshError};
use crate::domains::vault::{self, LoginSecret};

/// A target that checks a password may wait some seconds before it refuses.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Rounds of keyboard-interactive before the hub gives up.
const MAX_ROUNDS: usize = 8;
/// Keys that are decrypted at once.
static TURNS: Semaphore = Semaphore::const_new(4);

/// Logs in, before `deadline`. An RSA key signs with SHA-1 only where `legacy` allows the target old algorithms.
///
/// # Errors
/// When the target refuses, the secret cannot be used, or it takes too long.
pub(crate) async fn login(
    connection: &mut Connection,
    username: &str,
    secret: LoginSecret,
    legacy: bool,
    deadline: Instant,
) -> Result<(), SshError> {
    let login = async {
        match secret {
            LoginSecret::Password(password) => with_password(connection, username, &password).await,
            LoginSecret::PrivateKey { pem, passphrase } => {
                let key = read_key_apart(pem, passphrase).await?;
                with_key(connection, username, key, legacy).await
            }
            LoginSecret::Certificate { private_key, certificate } => {
                let result = connection
                    .handle
                    .authenticate_openssh_cert(username, Arc::from(private_key), *certificate)
                    .await
                    .map_err(SshError::Lost)?;
                accepted(&result, "the certificate was not accepted; the target may not trust the authority")
            }
        }
    };
    let patience = TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
    match tokio::time::timeout(patience, Box::pin(login)).await {
        Ok(result) => result,
        Err(_) => Err(SshError::LoginTimedOut { seconds: patience.as_secs() }),
    }
}

/// Reads a private key off the asynchronous threads: deriving its key may take long. The caller may
/// give up waiting; the turn is kept until the work has ended.
async fn read_key_apart(pem: SecretString, passphrase: Option<SecretString>) -> Result<PrivateKey, SshError> {
    let unreadable = || SshError::CredentialUnusable("the private key cannot be read");
    // One that is not encrypted takes no time, and waits for none that is.
    let turn = match passphrase {
        Some(_) => Some(TURNS.acquire().await.map_err(|_| unreadable())?),
        None => None,
    };
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        read_key(&pem, passphrase.as_ref())
    })
    .await
    .map_err(|_| unreadable())?
}

/// Reads a private key.
///
/// # Errors
/// With what is wrong about it, never with any of its text.
fn read_key(text: &SecretString, passphrase: Option<&SecretString>) -> Result<PrivateKey, SshError> {
    let passphrase = passphrase.map(|passphrase| passphrase.expose_secret());
    // One that is only referred to was never looked at.
    vault::affordable(text.expose_secret()).map_err(SshError::CredentialUnusable)?;
    let key = decode_secret_key(text.expose_secret(), passphrase).map_err(|error| {
        SshError::CredentialUnusable(match (error, passphrase) {
            (russh::keys::Error::KeyIsEncrypted, None) => "the private key needs its passphrase",
            (_, Some(_)) => "the private key cannot be read, or its passphrase is wrong",
            (_, None) => "the private key cannot be read",
        })
    })?;
    vault::affordable_to_use(&key).map_err(SshError::CredentialUnusable)?;
    Ok(key)
}

async fn with_password(connection: &mut Connection, username: &str, password: &SecretString) -> Result<(), SshError> {
    let result =
        connection.handle.authenticate_password(username, password.expose_secret()).await.map_err(SshError::Lost)?;
    match result {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { partial_success: true, .. } => Err(second_factor()),
        AuthResult::Failure { remaining_methods, .. } => {
            // Many servers take passwords through keyboard-interactive only. One that took the
            // password method has judged the password already.
            if !remaining_methods.contains(&MethodKind::Password)
                && remaining_methods.contains(&MethodKind::KeyboardInteractive)
            {
                keyboard_interactive(connection, username, password).await
            } else if connection.handle.is_closed() {
                Err(SshError::Lost(russh::Error::Disconnect))
            } else if remaining_methods.contains(&MethodKind::Password) {
                Err(refused("user name or password is wrong", &remaining_methods))
            } else {
                Err(refused("it takes no passwords", &remaining_methods))
            }
        }
    }
}

async fn keyboard_interactive(
    connection: &mut Connection,
    username: &str,
    password: &SecretString,
) -> Result<(), SshError> {
    let handle = &mut connection.handle;
    let mut answered = false;
    let mut response = handle.authenticate_keyboard_interactive_start(username, None).await.map_err(SshError::Lost)?;
    for _ in 0..MAX_ROUNDS {
        let answers = match response {
            KeyboardInteractiveAuthResponse::Success => return Ok(()),
            KeyboardInteractiveAuthResponse::Failure { partial_success: true, .. } => return Err(second_factor()),
            KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. } => {
                return Err(refused("user name or password is wrong", &remaining_methods));
            }
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => match prompts.as_slice() {
                [] => Vec::new(),
                // The password goes to a prompt that hides it and asks for it, once.
                [only] if !only.echo && !answered && asks_for_password(&only.prompt) => {
                    answered = true;
                    vec![password.expose_secret().to_owned()]
                }
                _ => return Err(second_factor()),
            },
        };
        response = handle.authenticate_keyboard_interactive_respond(answers).await.map_err(SshError::Lost)?;
    }
    Err(SshError::LoginRefused("the target kept asking".to_owned()))
}

fn asks_for_password(prompt: &str) -> bool {
    let prompt = prompt.to_lowercase();
    (prompt.contains("password") || prompt.contains("passwort") || prompt.contains("passphrase"))
        && !prompt.contains("new ")
        && !prompt.contains("one-time")
}

async fn with_key(connection: &mut Connection, username: &str, key: PrivateKey, legacy: bool) -> Result<(), SshError> {
    let why = "the private key was not accepted for this user name";
    let hashes: &[Option<HashAlg>] = if key.algorithm().is_rsa() {
        rsa_hashes(connection.handle.best_supported_rsa_hash().await.map_err(SshError::Lost)?, legacy)
    } else {
        &[None]
    };
    let key = Arc::new(key);
    let mut answer = Err(SshError::LoginRefused(
        "it accepts RSA keys with SHA-1 only, which is not safe, and old algorithms are not allowed for it".to_owned(),
    ));
    for hash in hashes {
        let key = PrivateKeyWithHashAlg::new(key.clone(), *hash);
        let result = connection.handle.authenticate_publickey(username, key).await.map_err(SshError::Lost)?;
        let is_final = !matches!(result, AuthResult::Failure { partial_success: false, .. });
        answer = accepted(&result, why);
        if is_final || connection.handle.is_closed() {
            break;
        }
    }
    answer
}

/// The hashes with which an RSA key signs, one after the other, until the target takes one. `best` is what it says that
/// it knows: nothing at all before OpenSSH 7.2, and, in some versions, more than it is configured to take.
const fn rsa_hashes(best: Option<Option<HashAlg>>, legacy: bool) -> &'static [Option<HashAlg>] {
    match (best, legacy) {
        (Some(Some(HashAlg::Sha256)), false) => &[Some(HashAlg::Sha256)],
        (Some(Some(HashAlg::Sha256)), true) => &[Some(HashAlg::Sha256), None],
        (Some(Some(_)) | None, false) => &[Some(HashAlg::Sha512)],
        (Some(Some(_)), true) => &[Some(HashAlg::Sha512), None],
        (None, true) => &[None, Some(HashAlg::Sha512)],
        (Some(None), true) => &[None],
        (Some(None), false) => &[],
    }
}

fn accepted(result: &AuthResult, why: &str) -> Result<(), SshError> {
    match result {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { partial_success: true, .. } => Err(second_factor()),
        AuthResult::Failure { remaining_methods, .. } => Err(refused(why, remaining_methods)),
    }
}

fn refused(why: &str, remaining: &MethodSet) -> SshError {
    let methods = remaining.iter().map(<&str>::from).collect::<Vec<_>>();
    SshError::LoginRefused(if methods.is_empty() {
        why.to_owned()
    } else {
        format!("{why} (it offers {})", methods.join(", "))
    })
}

fn second_factor() -> SshError {
    SshError::LoginRefused("it asks for more than the credential, such as a second factor".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prompts_for_the_password_are_answered() {
        for prompt in ["Password: ", "(openpam-demo@host) Password:", "PASSWORD"] {
            assert!(asks_for_password(prompt), "{prompt}");
        }
        for prompt in ["Verification code:", "New password:", "One-time password (OATH):", "Continue? "] {
            assert!(!asks_for_password(prompt), "{prompt}");
        }
    }

    #[test]
    fn an_rsa_key_signs_with_sha1_only_where_old_algorithms_are_allowed() {
        for best in [None, Some(None), Some(Some(HashAlg::Sha256)), Some(Some(HashAlg::Sha512))] {
            assert!(!rsa_hashes(best, false).contains(&None), "{best:?}");
            assert!(rsa_hashes(best, true).contains(&None), "{best:?}");
        }
        // A target that says what it knows is asked that first.
        assert_eq!(rsa_hashes(Some(Some(HashAlg::Sha256)), true)[0], Some(HashAlg::Sha256));
    }

    #[test]
    fn a_key_that_is_costly_to_open_is_not_opened() {
        let costly = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: aes256-cbc\nKey-Derivation: Argon2id\n\
                      Argon2-Memory: 67108864\nArgon2-Passes: 1\nArgon2-Parallelism: 1\n";
        let error = read_key(&SecretString::from(costly), Some(&SecretString::from("x"))).unwrap_err();
        assert!(error.message().contains("too much time or memory"), "{error}");
    }

    #[test]
    fn a_broken_key_is_named_without_its_text() {
        let error = read_key(&SecretString::from("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n"), None).unwrap_err();
        assert_eq!(error.code(), "credential_unusable");
        assert!(!error.to_string().contains("c2VjcmV0"));
    }
}
