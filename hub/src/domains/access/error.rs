//! Failures to decide, which are never an allow.

/// No decision could be made or written down.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The trail could not be written.
    #[error(transparent)]
    Audit(#[from] crate::domains::audit::AuditError),
    /// The principal was refused too often; none is written for so many seconds.
    #[error("too many denials")]
    TooManyDenials(u64),
}

impl From<AccessError> for crate::http::Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Audit(error) => Self::database(&error.into()),
            AccessError::TooManyDenials(seconds) => Self::new(
                http::StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                "You were refused too often. Wait a moment, and ask an administrator for what you need.",
            )
            .retry_after(seconds),
        }
    }
}
