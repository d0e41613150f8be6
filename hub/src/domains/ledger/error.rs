//! What can go wrong with the ledger.

use openpam_ledger::{Log, NoteError};

use crate::{
    db::{DbError, violated_constraint},
    domains::{audit::AuditError, vault::VaultError},
};

/// Why the ledger did not go on, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Another hub leads now.
    #[error("another hub leads the ledger now")]
    Fenced,
    /// The vault did not give the signing key, or did not take it.
    #[error("the ledger's signing key: {0}")]
    Vault(#[from] VaultError),
    /// What was made cannot be signed, or the signature does not fit.
    #[error("a checkpoint could not be made: {0}")]
    Note(#[from] NoteError),
    /// The private key is not the one of the public key.
    #[error("the signing key in the vault at {0} is not the one that the database names")]
    Key(String),
    /// The ledger has another name than the one that was signed before.
    #[error("the database's ledger has another name than the one that was signed before, {0:?}")]
    Renamed(String),
    /// The present key of the database was replaced by another one before.
    #[error("the signing key that the database names was replaced by {0}")]
    Replaced(String),
    /// A bundle could not be written.
    #[error(transparent)]
    Bundle(#[from] openpam_ledger::BundleError),
    /// No hub has led yet.
    #[error("there is no ledger yet: no hub has run on this database since it was migrated")]
    NoLedger,
    /// The ledger cannot begin anew while one leads it.
    #[error("a hub leads the ledger: end every hub, and wait for ten seconds")]
    Led,
    /// Whoever is to be forgotten can still sign in.
    #[error("the account can still sign in: disable it first")]
    Enabled,
    /// There is no such tenant.
    #[error("there is no tenant {0}")]
    NoTenant(String),
    /// The entry is not signed yet.
    #[error("only the first {size} entries are signed yet")]
    NotSigned {
        /// How many are.
        size: u64,
    },
    /// A session has more entries than one bundle takes.
    #[error("there are more than {most} entries: one file cannot have all of them")]
    TooMany {
        /// How many it takes.
        most: u64,
    },
    /// There is no such entry.
    #[error("there is no such entry")]
    NoSuchPlace,
    /// A log was rewritten after it was signed.
    #[error("a signed log was rewritten; run openpam audit verify")]
    Altered(Log),
    /// What is stored does not fit together.
    #[error("the stored ledger does not fit together: {0}; run openpam audit verify")]
    Stored(&'static str),
}

impl LedgerError {
    /// Whether it is what is stored of one log that is wrong, and not the database that does not answer.
    pub(super) fn is_of_one_log(&self) -> bool {
        match self {
            Self::Stored(_) | Self::Note(_) | Self::Altered(_) => true,
            // Violations of constraints: something is there already that should not be.
            Self::Database(DbError::Sql(error)) => {
                error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code.starts_with("23"))
            }
            _ => false,
        }
    }
}

impl From<AuditError> for LedgerError {
    fn from(error: AuditError) -> Self {
        Self::Database(error.into())
    }
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        match violated_constraint(&error) {
            Some("ledger_fence") => Self::Fenced,
            Some("ledger_begin_anew_led") => Self::Led,
            _ => Self::Database(error.into()),
        }
    }
}
