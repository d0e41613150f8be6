//! Failures to decide, which are never an allow.

/// No decision could be made or written down.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The trail could not be written.
    #[error(transparent)]
    Audit(#[from] crate::domains::audit::AuditError),
}

impl From<AccessError> for crate::http::Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Audit(error) => Self::database(&error.into()),
        }
    }
}
