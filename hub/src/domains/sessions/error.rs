//! Failures of sessions.

use http::StatusCode;

use super::Peer;
use crate::{
    db::DbError,
    domains::{audit::AuditError, identity::IdentityError},
    http::Problem,
};

/// Why something could not be done with a session.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none, or not for this principal.
    #[error("no such session")]
    NotFound,
    /// It is over.
    #[error("the session has ended")]
    Ended,
    /// It runs on another hub.
    #[error("the session runs on another hub")]
    Elsewhere,
    /// It runs on another hub, where it can be watched.
    #[error("the session runs on the hub at {address}")]
    OnAnotherHub {
        /// Where that listens.
        address: String,
        /// How it is reached from here, where it is.
        peer: Option<Peer>,
    },
    /// As many people see the session, or sessions of this hub, as may.
    #[error("too many watchers")]
    TooManyWatchers,
    /// The principal may see it but not end it.
    #[error("not allowed")]
    Forbidden,
    /// Somebody else's session is ended without a reason.
    #[error("a reason is required")]
    ReasonMissing,
    /// The reason is too long.
    #[error("the reason is too long")]
    ReasonTooLong,
    /// The reason has characters that are not text.
    #[error("the reason has control characters")]
    ReasonMalformed,
    /// This hub carries as many sessions as it may.
    #[error("the hub is full")]
    HubFull,
    /// This person has as many sessions as one may have.
    #[error("the person has too many sessions")]
    TooManySessions,
    /// The hub is about to stop.
    #[error("the hub is stopping")]
    Stopping,
    /// The sign-ins could not be read or changed.
    #[error(transparent)]
    Identity(IdentityError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<IdentityError> for Error {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Database(error) => Self::Database(error),
            other => Self::Identity(other),
        }
    }
}

impl From<AuditError> for Error {
    fn from(error: AuditError) -> Self {
        Self::Database(error.into())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found("session"),
            Error::Ended => Self::new(StatusCode::CONFLICT, "session_ended", "This session has ended already."),
            Error::Elsewhere => Self::new(
                StatusCode::CONFLICT,
                "session_elsewhere",
                "This session runs on another hub. Reload the page to be led there.",
            ),
            Error::OnAnotherHub { address, .. } => Self::new(
                StatusCode::CONFLICT,
                "session_on_another_hub",
                format!("This session runs on the hub at {address}. Open the console of that hub to watch it."),
            ),
            Error::TooManyWatchers => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_watchers",
                "As many people watch as may. Try again when one of them has left.",
            )
            .retry_after(10),
            Error::Forbidden => Self::forbidden(),
            Error::ReasonMissing => Self::invalid_field("reason", "required", "say why: the person is told"),
            Error::ReasonTooLong => Self::invalid_field("reason", "too_long", "must have at most 1000 characters"),
            Error::ReasonMalformed => Self::invalid_field("reason", "malformed", "must not have control characters"),
            Error::HubFull => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "hub_full",
                "This hub carries as many sessions as it may. Close one, or try again later.",
            )
            .retry_after(30),
            Error::TooManySessions => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_sessions",
                "You have too many sessions open. Close one first.",
            ),
            Error::Stopping => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "hub_stopping",
                "This hub is restarting. Try again in a moment.",
            )
            .retry_after(5),
            Error::Identity(error) => error.into(),
            Error::Database(error) => Self::database(&error),
        }
    }
}
