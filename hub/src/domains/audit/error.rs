//! Failures of the trail.

/// The trail could not be written or read. Whoever was about to act must not.
#[derive(Debug, thiserror::Error)]
#[error("the audit trail failed: {0}")]
pub struct AuditError(#[from] pub(super) sqlx::Error);

impl From<AuditError> for crate::db::DbError {
    fn from(error: AuditError) -> Self {
        Self::Sql(error.0)
    }
}
