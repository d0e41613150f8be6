//! What can go wrong with events.

use http::StatusCode;

use crate::{
    db::{DbError, violated_constraint},
    domains::audit::AuditError,
    http::{FieldError, Problem},
};

/// Why an event was not published, found or delivered again.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// There is none, or it is another tenant's.
    #[error("no such event")]
    NotFound,
    /// Nothing of it can be delivered again.
    #[error("nothing to deliver again")]
    NothingToReplay,
    /// Fields are not valid.
    #[error("{} field(s) are not valid", .0.len())]
    Invalid(Vec<FieldError>),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<sqlx::Error> for EventsError {
    fn from(error: sqlx::Error) -> Self {
        // As the database writes it: a short number such as 1e300 has three hundred digits there.
        let too_large = match violated_constraint(&error) {
            Some("platform_events_payload") => Some(("payload", 64)),
            Some("platform_events_context") => Some(("context", 8)),
            _ => None,
        };
        if let Some((field, kibibytes)) = too_large {
            let message = format!("must not be larger than {kibibytes} KiB with all digits of its numbers");
            return Self::Invalid(vec![FieldError { field: field.into(), code: "too_large".into(), message }]);
        }
        Self::Database(error.into())
    }
}

impl From<AuditError> for EventsError {
    fn from(error: AuditError) -> Self {
        Self::Database(error.into())
    }
}

impl From<EventsError> for Problem {
    fn from(error: EventsError) -> Self {
        match error {
            EventsError::NotFound => Self::not_found("event"),
            EventsError::NothingToReplay => Self::new(
                StatusCode::CONFLICT,
                "nothing_to_replay",
                "Nothing of this event failed. Ask for all of it to be delivered again, if you mean that.",
            ),
            EventsError::Invalid(errors) => Self::invalid_input(errors),
            EventsError::Database(error) => Self::database(&error),
        }
    }
}
