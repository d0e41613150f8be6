//! Credentials: user name and reference; the secret comes from the vault when it is needed.
//!
//! Owns `credentials` and `target_credentials`, and the connection to HashiCorp Vault or OpenBao.

use crate::{config::Config, http::Routes};

/// The connection to the vault.
pub struct Vault {}

/// What is known of the vault right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaultHealth {
    /// It answers and the hub is logged in.
    Available,
    /// It is sealed.
    Sealed,
    /// It does not answer, or the circuit breaker is open.
    Unavailable,
    /// It answers, but refuses the hub's login.
    LoginRefused,
}

impl VaultHealth {
    /// Whether secrets can be had.
    pub fn is_available(self) -> bool {
        self == Self::Available
    }

    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Sealed => "sealed",
            Self::Unavailable => "unavailable",
            Self::LoginRefused => "login_refused",
        }
    }
}

impl Vault {
    /// From the configuration; nothing is contacted yet.
    ///
    /// # Errors
    /// When the CA file cannot be read.
    pub fn new(_config: &Config) -> Result<Self, anyhow::Error> {
        Ok(Self {})
    }

    /// What is known of the vault right now; asks it when the last answer is old.
    pub async fn health(&self) -> VaultHealth {
        VaultHealth::Unavailable
    }
}

pub(crate) fn routes() -> Routes {
    Routes::new()
}
