//! The hub's configuration: one TOML file, every key also as `OPENPAM_SECTION__KEY`.
//!
//! Secrets come from the environment or from files that the configuration names, never from the
//! TOML file itself. All mistakes are found and reported at once.

mod buckets;
mod buses;
mod ledger;
mod load;
mod sections;
pub mod tls;

use openpam_secret::SecretString;

pub use buckets::Bucket;
pub use buses::{Aws, Nats};
pub use ledger::{Ledger, Witness};
pub use sections::{
    Config, Database, Events, Identity, Log, LogFormat, ObjectLock, Oidc, Recording, RecordingStore, Server, Targets,
    Terminal, Vault,
};

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Dotted key, e.g. `vault.address`.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} mistake(s):{}", .0.len(), list(.0))]
pub struct ConfigError(pub Vec<Mistake>);

fn list(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {}: {}", mistake.key, mistake.message)).collect()
}

impl Config {
    /// Reads `path`, lays the environment over it, resolves secret files and validates.
    ///
    /// # Errors
    /// With every mistake found, when there is one.
    pub fn load(path: &std::path::Path) -> Result<Self, ConfigError> {
        load::load(path, std::env::vars().collect(), load::Purpose::Command)
    }

    /// As [`Config::load`], and also reads the certificates and the log filter that only the hub uses.
    ///
    /// # Errors
    /// With every mistake found, when there is one.
    pub fn load_for_hub(path: &std::path::Path) -> Result<Self, ConfigError> {
        load::load(path, std::env::vars().collect(), load::Purpose::Hub)
    }
}

/// Reads a secret from a file: its content without a trailing line end, at most 64 KiB.
pub(crate) fn read_secret_file(path: &str) -> Result<SecretString, String> {
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    if metadata.len() > 65_536 {
        return Err(format!("{path} is larger than 64 KiB, which no secret should be"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let trimmed = text.trim_end_matches(['\r', '\n']);
    if trimmed.is_empty() {
        return Err(format!("{path} is empty"));
    }
    Ok(SecretString::from(trimmed.to_owned()))
}
