//! Why a terminal could not be opened on a target.

use http::StatusCode;

use crate::{dial::DialError, http::Problem};

/// Why the SSH connection did not come about. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SshError {
    /// The target could not be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// No key of the target is trusted yet.
    #[error("the host key {fingerprint} ({algorithm}) is not trusted")]
    HostKeyUnknown {
        /// Of the key the target showed.
        fingerprint: String,
        /// Its algorithm.
        algorithm: String,
    },
    /// The target showed another key than the trusted ones.
    #[error("the host key {fingerprint} ({algorithm}) is not among the trusted ones: {trusted}")]
    HostKeyMismatch {
        /// Of the key the target showed.
        fingerprint: String,
        /// Its algorithm.
        algorithm: String,
        /// Fingerprints of the trusted keys.
        trusted: String,
    },
    /// The host certificate is not good.
    #[error("the host certificate is refused: {0}")]
    HostCertificate(String),
    /// Version, algorithms or key exchange failed.
    #[error("the SSH handshake failed: {0}")]
    Handshake(#[source] russh::Error),
    /// The handshake took too long.
    #[error("the SSH handshake took longer than {seconds} s")]
    HandshakeTimedOut {
        /// How long was waited.
        seconds: u64,
    },
    /// The target refused user name and credential.
    #[error("the target refused the login: {0}")]
    LoginRefused(String),
    /// The login took too long.
    #[error("the target did not answer the login within {seconds} s")]
    LoginTimedOut {
        /// How long was waited.
        seconds: u64,
    },
    /// The private key or certificate from the vault cannot be used.
    #[error("the credential cannot be used: {0}")]
    CredentialUnusable(&'static str),
    /// The target gives no terminal.
    #[error("the target refused {0}")]
    TerminalRefused(&'static str),
    /// The connection broke off.
    #[error("the connection to the target broke off: {0}")]
    Lost(#[source] russh::Error),
    /// A scan saw the key it came for; nothing is wrong.
    #[error("the host key was seen")]
    KeySeen,
}

impl From<russh::Error> for SshError {
    fn from(error: russh::Error) -> Self {
        Self::Handshake(error)
    }
}

impl SshError {
    /// Stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Dial(error) => error.code(),
            Self::HostKeyUnknown { .. } => "host_key_unknown",
            Self::HostKeyMismatch { .. } => "host_key_mismatch",
            Self::HostCertificate(_) => "host_certificate_refused",
            Self::Handshake(_) | Self::HandshakeTimedOut { .. } | Self::KeySeen => "ssh_handshake_failed",
            Self::LoginRefused(_) => "ssh_auth_failed",
            Self::LoginTimedOut { .. } => "ssh_auth_timeout",
            Self::CredentialUnusable(_) => "credential_unusable",
            Self::TerminalRefused(_) => "pty_refused",
            Self::Lost(_) => "connection_lost",
        }
    }

    /// For the person who wanted the terminal.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Dial(error) => match error {
                DialError::NameNotFound { host } => {
                    format!("The name {host} has no address. Ask an administrator to check the target.")
                }
                DialError::Refused { host, port } => {
                    format!("{host} refused the connection on port {port}. Is its SSH server running?")
                }
                DialError::AddressRefused { host, address, .. } if *host == address.to_string() => {
                    format!("No target may be at {address}. Ask an administrator to check the target.")
                }
                DialError::AddressRefused { host, address, .. } => {
                    format!("{host} leads to {address}, where no target may be. Ask an administrator to check it.")
                }
                DialError::Unreachable { host, .. } => format!("{host} cannot be reached from this hub."),
                DialError::TimedOut { host, port, .. } => {
                    format!("{host} did not answer on port {port} in time. It may be down or behind a firewall.")
                }
                DialError::NoSatellite => "The satellite of this target's zone is not connected.".to_owned(),
            },
            Self::HostKeyUnknown { fingerprint, algorithm } => format!(
                "Nobody has trusted this target's host key yet. An administrator must scan and trust it first. It is: \
                 {algorithm} {fingerprint}."
            ),
            Self::HostKeyMismatch { fingerprint, algorithm, trusted } => format!(
                "The target's host key is not the trusted one. Somebody may be intercepting the connection: ask an \
                 administrator before you go on. It showed: {algorithm} {fingerprint}. Trusted: {trusted}."
            ),
            Self::HostCertificate(why) => {
                format!("The target's host certificate was refused: {why}. Ask an administrator.")
            }
            Self::Handshake(_) => {
                "The target took the connection, but the SSH handshake failed. It may not be an SSH server, or share no \
                 algorithm with this hub."
                    .to_owned()
            }
            Self::HandshakeTimedOut { .. } => {
                "The target accepted the connection, but did not finish the SSH handshake in time.".to_owned()
            }
            Self::LoginRefused(why) => format!("The target refused the credential: {why}."),
            Self::LoginTimedOut { .. } => "The target did not answer the login in time.".to_owned(),
            Self::CredentialUnusable(why) => format!("The credential cannot be used: {why}. Ask an administrator."),
            Self::TerminalRefused(what) => format!("The target accepted the login, but refused {what}."),
            Self::Lost(_) => "The connection to the target broke off.".to_owned(),
            Self::KeySeen => "The host key was seen.".to_owned(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Dial(DialError::TimedOut { .. }) | Self::HandshakeTimedOut { .. } | Self::LoginTimedOut { .. } => {
                StatusCode::GATEWAY_TIMEOUT
            }
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

impl From<&SshError> for Problem {
    fn from(error: &SshError) -> Self {
        Self::new(error.status(), error.code(), error.message()).caused_by(error)
    }
}
