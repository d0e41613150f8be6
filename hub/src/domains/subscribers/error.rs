//! What can go wrong with webhooks.

use http::StatusCode;

use crate::{
    db::{DbError, violated_constraint},
    domains::{audit::AuditError, events::EventsError, vault::VaultError},
    http::{FieldError, Problem},
};

/// Why a webhook was not changed or not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubscriberError {
    /// There is none, or it is another tenant's.
    #[error("no such webhook")]
    NotFound,
    /// Fields are not valid.
    #[error("{} field(s) are not valid", .0.len())]
    Invalid(Vec<FieldError>),
    /// Another webhook has that name.
    #[error("another webhook has this name")]
    DuplicateName,
    /// The tenant has as many as it may.
    #[error("there are {0} webhooks already")]
    TooMany(i64),
    /// A limited token may not read what it would have sent elsewhere.
    #[error("the token may not read events")]
    BeyondScope,
    /// The hub ended first.
    #[error("the hub is ending")]
    Ending,
    /// The vault did not do its part.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The system's random generator failed.
    #[error("the system's random generator failed")]
    Random,
    /// The outbox did not do its part.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<sqlx::Error> for SubscriberError {
    fn from(error: sqlx::Error) -> Self {
        match violated_constraint(&error) {
            Some("webhooks_name_unique") => Self::DuplicateName,
            _ => Self::Database(error.into()),
        }
    }
}

impl From<AuditError> for SubscriberError {
    fn from(error: AuditError) -> Self {
        Self::Database(error.into())
    }
}

impl From<SubscriberError> for Problem {
    fn from(error: SubscriberError) -> Self {
        match error {
            SubscriberError::NotFound => Self::not_found("webhook"),
            SubscriberError::Invalid(errors) => Self::invalid_input(errors),
            SubscriberError::DuplicateName => Self::duplicate("webhook", "name", "name"),
            SubscriberError::TooMany(most) => Self::new(
                StatusCode::CONFLICT,
                "too_many_webhooks",
                format!("There are {most} webhooks, which is as many as there may be. Remove one first."),
            ),
            SubscriberError::BeyondScope => Self::beyond_scope(),
            SubscriberError::Ending => Self::ending(),
            SubscriberError::Random => Self::internal(&error),
            SubscriberError::Vault(error) => error.into(),
            SubscriberError::Events(error) => error.into(),
            SubscriberError::Database(error) => Self::database(&error),
        }
    }
}
