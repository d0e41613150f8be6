//! Failures of the trail.

use http::StatusCode;

use crate::{db::DbError, http::Problem};

/// The trail could not be written or read. Whoever was about to act must not.
#[derive(Debug, thiserror::Error)]
#[error("the audit trail failed: {0}")]
pub struct AuditError(#[from] pub(super) sqlx::Error);

impl From<AuditError> for DbError {
    fn from(error: AuditError) -> Self {
        Self::Sql(error.0)
    }
}

/// What is answered where the trail could not be read: that a search was too broad, when its time was over
/// (query_canceled).
pub(super) fn searched(error: sqlx::Error) -> Problem {
    if error.as_database_error().and_then(|error| error.code()).as_deref() != Some("57014") {
        return DbError::from(error).into();
    }
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "search_too_broad",
        "The search took too long. Narrow it: a shorter period, a kind of act, a person, or more letters.",
    )
}
