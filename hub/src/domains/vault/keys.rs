//! Is this a secret of the kind it claims to be? Asked before anything is stored.

use openpam_secret::{ExposeSecret as _, SecretString};
use russh::keys::{Error as KeyError, decode_secret_key};

use super::{
    costs,
    error::CredentialError,
    types::{CredentialKind, SecretFields},
};

const MAX_PASSWORD: usize = 4_096;
const MAX_PASSPHRASE: usize = 1_024;

/// Checks a secret for a credential of `kind`. Decrypting a key takes a while: keep it off the
/// asynchronous threads.
pub(super) fn check(kind: CredentialKind, fields: &SecretFields) -> Result<(), CredentialError> {
    match kind {
        CredentialKind::SshCa => Err(CredentialError::field(
            "secret",
            "not_allowed",
            "is not for this kind: the vault signs a certificate for each session",
        )),
        CredentialKind::Password => {
            if fields.private_key.is_some() || fields.passphrase.is_some() {
                return Err(CredentialError::field(
                    "secret.private_key",
                    "not_allowed",
                    "is not for a password: make a credential of kind private_key",
                ));
            }
            within("secret.password", fields.password.as_ref(), MAX_PASSWORD)?
                .ok_or_else(|| CredentialError::field("secret.password", "required", "is required"))?;
            Ok(())
        }
        CredentialKind::PrivateKey => {
            if fields.password.is_some() {
                return Err(CredentialError::field(
                    "secret.password",
                    "not_allowed",
                    "is not for a private key: the passphrase goes into the field passphrase",
                ));
            }
            let key = within("secret.private_key", fields.private_key.as_ref(), costs::MAX_BYTES)?
                .ok_or_else(|| CredentialError::field("secret.private_key", "required", "is required"))?;
            let passphrase = within("secret.passphrase", fields.passphrase.as_ref(), MAX_PASSPHRASE)?;
            check_key(key, passphrase)
        }
    }
}

fn within<'a>(
    field: &'static str,
    secret: Option<&'a SecretString>,
    most: usize,
) -> Result<Option<&'a str>, CredentialError> {
    match secret.map(|secret| secret.expose_secret()) {
        None | Some("") => Ok(None),
        Some(text) if text.len() > most => {
            Err(CredentialError::field(field, "too_long", format!("may have {most} bytes at the most")))
        }
        Some(text) if text.contains('\0') => Err(CredentialError::field(field, "malformed", "must not contain NUL")),
        Some(text) => Ok(Some(text)),
    }
}

fn check_key(key: &str, passphrase: Option<&str>) -> Result<(), CredentialError> {
    let unusable = |why: &'static str| CredentialError::field("secret.private_key", "malformed", why);
    costs::affordable(key).map_err(unusable)?;
    let error = match decode_secret_key(key, passphrase) {
        Ok(key) => return costs::affordable_to_use(&key).map_err(unusable),
        Err(error) => error,
    };
    let malformed = |message: &str| Err(CredentialError::field("secret.private_key", "malformed", message));
    // Whether it is encrypted shows without the passphrase.
    let encrypted = matches!(error, KeyError::KeyIsEncrypted)
        || passphrase.is_some() && matches!(decode_secret_key(key, None), Err(KeyError::KeyIsEncrypted));
    match (encrypted, passphrase) {
        (true, None) => {
            Err(CredentialError::field("secret.passphrase", "required", "is required: the private key is encrypted"))
        }
        (true, Some(_)) => {
            Err(CredentialError::field("secret.passphrase", "wrong_passphrase", "does not open the private key"))
        }
        (false, _) if key.contains("BEGIN DSA PRIVATE KEY") => {
            malformed("is a DSA key, which SSH servers no longer accept: use ed25519, ECDSA or RSA")
        }
        (false, _) if key.trim_start().starts_with("ssh-") || key.contains("PUBLIC KEY") => {
            malformed("is a public key: the private one is in the file without .pub")
        }
        (false, _) => malformed("is not a private key in OpenSSH, PEM (PKCS#1, PKCS#8) or PuTTY format"),
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::{Algorithm, PrivateKey, key::safe_rng, ssh_key::LineEnding};

    use super::*;

    fn fields(private_key: &str, passphrase: Option<&str>) -> SecretFields {
        SecretFields {
            private_key: Some(private_key.to_owned().into()),
            passphrase: passphrase.map(|text| text.to_owned().into()),
            password: None,
        }
    }

    fn refused(kind: CredentialKind, fields: &SecretFields) -> (String, String) {
        match check(kind, fields) {
            Err(CredentialError::Invalid(errors)) => (errors[0].field.to_string(), errors[0].code.to_string()),
            other => panic!("should be refused as invalid, not {other:?}"),
        }
    }

    #[test]
    fn a_key_that_is_costly_to_open_is_not_opened() {
        let costly = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: aes256-cbc\nKey-Derivation: Argon2id\n\
                      Argon2-Memory: 67108864\nArgon2-Passes: 1\nArgon2-Parallelism: 1\n";
        match check(CredentialKind::PrivateKey, &fields(costly, Some("x"))) {
            Err(CredentialError::Invalid(errors)) => assert!(errors[0].message.contains("too much time or memory")),
            other => panic!("should be refused, not {other:?}"),
        }
    }

    #[test]
    fn a_key_is_opened_before_it_is_stored() {
        let kind = CredentialKind::PrivateKey;
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let plain = key.to_openssh(LineEnding::LF).unwrap();
        assert!(check(kind, &fields(&plain, None)).is_ok());
        let encrypted = key.encrypt(&mut safe_rng(), "correct").unwrap().to_openssh(LineEnding::LF).unwrap();
        assert!(check(kind, &fields(&encrypted, Some("correct"))).is_ok());
        assert_eq!(refused(kind, &fields(&encrypted, None)), ("secret.passphrase".into(), "required".into()));
        assert_eq!(
            refused(kind, &fields(&encrypted, Some("wrong"))),
            ("secret.passphrase".into(), "wrong_passphrase".into())
        );
        let public = key.public_key().to_openssh().unwrap();
        assert_eq!(refused(kind, &fields(&public, None)), ("secret.private_key".into(), "malformed".into()));
        assert_eq!(refused(kind, &fields("hello", None)), ("secret.private_key".into(), "malformed".into()));
        assert_eq!(refused(kind, &fields("", None)), ("secret.private_key".into(), "required".into()));
    }

    #[test]
    fn a_secret_must_fit_its_kind() {
        let password = SecretFields { password: Some("p".to_owned().into()), ..SecretFields::default() };
        assert!(check(CredentialKind::Password, &password).is_ok());
        assert_eq!(refused(CredentialKind::PrivateKey, &password).1, "not_allowed");
        assert_eq!(refused(CredentialKind::SshCa, &password).1, "not_allowed");
        assert_eq!(refused(CredentialKind::Password, &SecretFields::default()).1, "required");
        let long = SecretFields { password: Some("p".repeat(4_097).into()), ..SecretFields::default() };
        assert_eq!(refused(CredentialKind::Password, &long).1, "too_long");
    }
}
