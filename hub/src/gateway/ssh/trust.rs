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
    if !certificate.valid_principals().iter().any(|principal| principal.eq_ignore_ascii_case(host)) {
        return refuse(format!("it is for {}, not for {host}", certificate.valid_principals().join(", ")));
    }
    if certificate.critical_options().iter().next().is_some() {
        return refuse("it has critical options, which host certificates do not have".to_owned());
    }
    // Checks the signature too.
    match certificate.validate_at(now, authorities) {
        Ok(()) => Ok(()),
        Err(_) => refuse("its signature is wrong".to_owned()),
    }
}
