//! Credentials: user name and reference; the secret comes from the vault when it is needed.
//!
//! Owns `credentials`, `target_credentials` and `vault_orphans`, and the connection to HashiCorp Vault
//! or OpenBao.
//! INVARIANT: a credential's secret leaves the vault for an
//! [`Authorization`](crate::domains::access::Authorization) only, is zeroized after use, and is never in
//! a row, a log line or an answer. Keys of recordings have an area of their own, as those of the ledger and of webhooks have,
//! out of the reach of credentials.

mod breaker;
mod client;
mod costs;
mod error;
mod http;
pub mod inspect;
mod keys;
mod manage;
mod secrets;
mod service;
mod store;
mod tasks;
mod types;

pub use client::Vault;
pub use costs::{affordable, affordable_to_use};
pub use error::{CredentialError, VaultError};
pub(crate) use http::routes;
pub use service::{
    credentials_of, credentials_of_all, find, forget_orphan, ledger_alarms_path, ledger_key_path, ledger_name_path,
    login_secret, note_orphan, read_key, read_text, recording_key_path, set_credentials_of, webhook_key_path,
    write_key, write_new_key, write_text,
};
pub use tasks::start_tasks;
pub use types::{Credential, CredentialFilter, CredentialKind, Holder, LoginSecret};

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
