//! SSH towards targets: host key, login, terminal. Takes a stream the dialler made; knows nothing of
//! browsers.

mod algorithms;
mod client;
mod error;
mod gate;
mod login;
mod quick_ack;
mod shell;
mod trust;

pub(crate) use client::{Checker, Connection, handshake, scan};
pub(crate) use error::SshError;
pub(crate) use gate::Gate;
pub(crate) use login::login;
pub(crate) use shell::Shell;
pub(crate) use trust::Trust;

/// Host key algorithms a scan asks for.
pub(crate) fn scanned_algorithms() -> &'static [russh::keys::Algorithm] {
    use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
    &[
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    ]
}
