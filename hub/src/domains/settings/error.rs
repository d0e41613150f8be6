//! What can go wrong with settings.

use crate::{
    db::DbError,
    http::{FieldError, Problem},
};

/// Why settings were not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    /// Values out of their ranges.
    #[error("{} field(s) are not valid", .0.len())]
    Invalid(Vec<FieldError>),
    /// A limited token may not delete recordings.
    #[error("the token may not delete recordings")]
    BeyondScope,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<SettingsError> for Problem {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Invalid(errors) => Self::invalid_input(errors),
            SettingsError::BeyondScope => Self::beyond_scope(),
            SettingsError::Database(error) => Self::database(&error),
        }
    }
}
