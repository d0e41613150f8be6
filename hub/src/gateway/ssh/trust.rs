//! Whether a host key is the right one. Never blind: without a trusted key there is no connection.

use russh::keys::{
    Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate,
    ssh_key::{Fingerprint, certificate::CertType},
};

use super::{SshError, algorithms::same_kind};
use crate::domains::targets::{HostKeyKind, HostKeyPolicy, Target};

/// How a target proves its identity.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// One of these keys.
    Pinned(Vec<PublicKey>),
    /// A certificate for `host` that one of these authorities signed, valid at `now` (Unix time).
    Authorities {
        /// The authorities' keys.
        authorities: Vec<Fingerprint>,
        /// The name or address that must be among the certificate's principals.
        host: String,
        /// Seconds since 1970.
        now: u64,
    },
    /// Nothing is trusted: the first key of this algorithm is looked at and the connection ends.
    Scan(Algorithm),
}

impl Trust {
    /// What the target's settings say.
    pub(crate) fn of(target: &Target, now: u64) -> Self {
        let keys = |kind: HostKeyKind| {
            target
                .host_keys
                .iter()
                .filter(move |key| key.kind == kind)
                .filter_map(|key| PublicKey::from_openssh(&key.public_key).ok())
        };
        match target.host_key_policy {
            HostKeyPolicy::Pinned => Self::Pinned(keys(HostKeyKind::Host).collect()),
            HostKeyPolicy::HostCa => Self::Authorities {
                authorities: keys(HostKeyKind::Ca).map(|key| key.fingerprint(HashAlg::Sha256)).collect(),
                host: target.host.clone(),
                now,
            },
        }
    }

    /// Algorithms of the keys that are trusted.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        match self {
            Self::Pinned(keys) => keys.iter().map(PublicKey::algorithm).collect(),
            Self::Authorities { .. } => Vec::new(),
            Self::Scan(algorithm) => vec![algorithm.clone()],
        }
    }

    /// Whether the target should be asked for a certificate.
    pub(super) fn wants_certificate(&self) -> bool {
        matches!(self, Self::Authorities { .. })
    }

    /// Decides about what the target showed.
    pub(super) fn check(&self, shown: &PublicKeyOrCertificate) -> Result<(), SshError> {
        let key = shown.public_key();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let algorithm = key.algorithm().as_str().to_owned();
        match (self, shown.certificate()) {
            (Self::Pinned(trusted), _) if trusted.iter().any(|other| other.key_data() == key.key_data()) => Ok(()),
            (Self::Pinned(trusted), _) if trusted.is_empty() => {
                Err(SshError::HostKeyUnknown { fingerprint, algorithm })
            }
            (Self::Pinned(trusted), _) => Err(SshError::HostKeyMismatch {
                fingerprint,
                algorithm,
                trusted: trusted
                    .iter()
                    .map(|key| format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256)))
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
            (Self::Authorities { .. }, None) => Err(SshError::HostKeyUnknown { fingerprint, algorithm }),
            (Self::Authorities { authorities, host, now }, Some(certificate)) => {
                check_certificate(certificate, authorities, host, *now)
            }
            (Self::Scan(wanted), _) if same_kind(wanted, &key.algorithm()) => Err(SshError::KeySeen),
            (Self::Scan(_), _) => Err(SshError::HostKeyUnknown { fingerprint, algorithm }),
        }
    }
}

/// The first names of a certificate, as they may be shown.
fn named(principals: &[String]) -> String {
    const SHOWN: usize = 5;
    let name = |name: &String| name.chars().filter(|character| !character.is_control()).take(100).collect::<String>();
    let more = if principals.len() > SHOWN { ", …" } else { "" };
    principals.iter().take(SHOWN).map(name).collect::<Vec<_>>().join(", ") + more
}

fn check_certificate(
    certificate: &Certificate,
    authorities: &[Fingerprint],
    host: &str,
    now: u64,
) -> Result<(), SshError> {
    let refuse = |why: String| Err(SshError::HostCertificate(why));
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    if certificate.cert_type() != CertType::Host {
        return refuse("it is not a host certificate".to_owned());
    }
    if !authorities.contains(&authority) {
        let trusted = authorities.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return refuse(format!("it was signed by {authority}, trusted is {trusted}"));
    }
    if now < certificate.valid_after() || now >= certificate.valid_before() {
        return refuse("it is not valid now".to_owned());
    }
    // Before anything that it says is believed or repeated.
    if certificate.validate_at(now, authorities).is_err() {
        return refuse("its signature is wrong".to_owned());
    }
    if !certificate.valid_principals().iter().any(|principal| principal.eq_ignore_ascii_case(host)) {
        return refuse(format!("it is for {}, not for {host}", named(certificate.valid_principals())));
    }
    if certificate.critical_options().iter().next().is_some() {
        return refuse("it has critical options, which host certificates do not have".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use russh::keys::{PrivateKey, ssh_key::certificate::Builder};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn certificate(authority: &PrivateKey, principals: &[String]) -> Certificate {
        let mut random = russh::keys::key::safe_rng();
        let key = PrivateKey::random(&mut random, Algorithm::Ed25519).unwrap();
        let mut builder = Builder::new_with_random_nonce(&mut random, key.public_key(), NOW - 60, NOW + 60).unwrap();
        builder.cert_type(CertType::Host).unwrap();
        for principal in principals {
            builder.valid_principal(principal.as_str()).unwrap();
        }
        builder.sign(authority).unwrap()
    }

    fn refusal(certificate: &Certificate, authority: &PrivateKey) -> String {
        let authorities = [authority.public_key().fingerprint(HashAlg::Sha256)];
        check_certificate(certificate, &authorities, "db.example", NOW).unwrap_err().to_string()
    }

    #[test]
    fn a_certificate_with_a_forged_signature_is_not_quoted() {
        let authority = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        let good = certificate(&authority, &["db.example".to_owned()]);
        let authorities = [authority.public_key().fingerprint(HashAlg::Sha256)];
        assert!(check_certificate(&good, &authorities, "DB.example", NOW).is_ok());
        let mut bytes = certificate(&authority, &["a\0b".to_owned()]).to_bytes().unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let forged = Certificate::from_bytes(&bytes).unwrap();
        let why = refusal(&forged, &authority);
        assert!(why.contains("its signature is wrong") && !why.contains('\0'), "{why:?}");
    }

    #[test]
    fn what_an_authority_signed_is_quoted_in_short_and_plainly() {
        let authority = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        let names = (0..40).map(|number| format!("\u{1b}[2J\0{number}{}", "x".repeat(400))).collect::<Vec<_>>();
        let why = refusal(&certificate(&authority, &names), &authority);
        assert!(why.contains("not for db.example"), "{why:?}");
        assert!(why.len() < 1_000 && !why.contains(char::is_control), "{why:?}");
    }
}
