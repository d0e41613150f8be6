//! Failures of recordings.

use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_recordings::{Defect, WriteError};

use crate::{
    db::DbError,
    domains::{audit::AuditError, sessions, vault::VaultError},
    http::Problem,
    objects,
};

/// Why something could not be done with a recording.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none, or not for this principal.
    #[error("no such recording")]
    NotFound,
    /// The person, or the hub, has as many exports under way as there may be.
    #[error("too many exports at the same time")]
    TooManyExports,
    /// There is nothing to store recordings in.
    #[error("no store of recordings is configured")]
    NoStore,
    /// A record could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What is stored is not as it was written.
    #[error("the recording is damaged: {0}")]
    Damaged(#[from] Defect),
    /// A segment is gone, or another one than was stored.
    #[error("segment {seq} is not what was stored")]
    Changed {
        /// Its number.
        seq: u32,
    },
    /// The store does not give a segment that was noted, or gives another one: maybe only now.
    #[error("segment {seq}, which was stored, {why}")]
    Lost {
        /// Its number.
        seq: u32,
        /// What is there instead.
        why: String,
    },
    /// A part waits in the spool of a hub, because the store was down.
    #[error("a part of it waits for the store in {place}")]
    Waiting {
        /// Host and folder.
        place: String,
    },
    /// Store and spool take nothing.
    #[error("the store of recordings is down, and the spool is full")]
    SpoolFull,
    /// It is not closed yet.
    #[error("the recording is not closed yet")]
    Running,
    /// A legal hold keeps it.
    #[error("the recording is under legal hold")]
    Held,
    /// No legal hold keeps it.
    #[error("the recording is not under legal hold")]
    NotHeld,
    /// It is deleted, or about to be.
    #[error("the recording is purged")]
    Purged,
    /// Object lock keeps it.
    #[error("the store keeps the recording until {until}")]
    Locked {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// No reason was given.
    #[error("a reason is missing")]
    ReasonMissing,
    /// A reason is not what it must be, or a session cannot be asked about.
    #[error(transparent)]
    Session(#[from] sessions::Error),
    /// The store does not answer, or refuses.
    #[error("the store of recordings failed: {0}")]
    Store(String),
    /// Something else is where this would be stored.
    #[error("the store of recordings holds something else at {0}")]
    Occupied(String),
    /// Its completer closed it: this hub was taken for dead.
    #[error("the recording was closed meanwhile, as its hub seemed to be gone")]
    Closed,
    /// What is stored is larger than any recording's part.
    #[error("the object {0} is larger than any part of a recording")]
    TooLarge(String),
    /// A key is not what it should be.
    #[error("the recording key {0} in the vault is not usable")]
    Key(String),
    /// The vault did not give or take a key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Whoever asked for it does not read it: no fault of the store.
    #[error("what was sent is not read")]
    NotRead,
    /// The screen at a moment is not drawn yet.
    #[error("the screen at this moment is still being drawn")]
    Drawing,
    /// A search is not what it must be.
    #[error("a search needs at least {0} characters")]
    TooShort(usize),
    /// A search took too long.
    #[error("the search took too long")]
    TooBroad,
    /// The principal may see no recording.
    #[error("no recordings may be seen")]
    Forbidden,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // query_canceled: the statement's time was over.
        if error.as_database_error().and_then(|error| error.code()).as_deref() == Some("57014") {
            return Self::TooBroad;
        }
        Self::Database(error.into())
    }
}

impl Error {
    /// Whether the store gave something else than was stored: it may have been so on the way alone.
    pub(super) fn is_bad_answer(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Changed { .. } | Self::TooLarge(_))
    }

    /// Whether trying again later may help, as when something is down.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Damaged(_)
            | Self::Changed { .. }
            | Self::TooLarge(_)
            | Self::Closed
            | Self::Purged
            | Self::TooManyExports
            | Self::NotRead
            | Self::ReasonMissing
            | Self::Session(_) => false,
            Self::NotFound
            | Self::NoStore
            | Self::Waiting { .. }
            | Self::SpoolFull
            | Self::Running
            | Self::Held
            | Self::NotHeld
            | Self::Locked { .. }
            | Self::Write(_)
            | Self::Store(_)
            | Self::Lost { .. }
            | Self::Occupied(_)
            | Self::Key(_)
            | Self::Drawing
            | Self::TooShort(_)
            | Self::TooBroad
            | Self::Forbidden
            | Self::Vault(_)
            | Self::Database(_) => true,
        }
    }
}

impl From<objects::Error> for Error {
    fn from(error: objects::Error) -> Self {
        match error {
            objects::Error::Failed(reason) => Self::Store(reason),
            objects::Error::Occupied(path) => Self::Occupied(path),
            objects::Error::TooLarge(path) => Self::TooLarge(path),
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
        let unavailable = |error: &Error| {
            Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "recording_unavailable",
                "The store of recordings does not work: no session that must be recorded can be opened, and no \
                 recording be read. Tell an administrator.",
            )
            .retry_after(30)
            .caused_by(error)
        };
        match error {
            Error::NotFound => Self::not_found("recording"),
            Error::Waiting { place } => Self::new(
                StatusCode::CONFLICT,
                "recording_waiting",
                format!("A part of this recording waits for the store in {place}. It comes when the store does."),
            ),
            Error::Running => {
                Self::new(StatusCode::CONFLICT, "recording_running", "This recording is not closed yet.".to_owned())
            }
            Error::Held => {
                Self::new(StatusCode::CONFLICT, "recording_held", "A legal hold keeps this recording.".to_owned())
            }
            Error::NotHeld => {
                Self::new(StatusCode::CONFLICT, "recording_not_held", "No legal hold keeps this recording.".to_owned())
            }
            Error::TooManyExports => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_exports",
                "You have two downloads of recordings under way, or this hub has many. Wait for one to end.",
            )
            .retry_after(10),
            Error::Purged => {
                Self::new(StatusCode::CONFLICT, "recording_purged", "This recording was deleted.".to_owned())
            }
            Error::Locked { until } => Self::new(
                StatusCode::CONFLICT,
                "recording_locked",
                format!("The store lets nobody delete this recording before {}.", until.format("%Y-%m-%d %H:%M UTC")),
            ),
            Error::ReasonMissing => Self::invalid_field("reason", "missing", "say why"),
            Error::Session(error) => error.into(),
            Error::Damaged(defect) => Self::new(
                StatusCode::CONFLICT,
                "recording_damaged",
                format!("What is stored of this recording is not what was written: {defect} ({}).", defect.code()),
            ),
            Error::Changed { seq } => Self::new(
                StatusCode::CONFLICT,
                "recording_damaged",
                format!("Segment {seq} of this recording is gone, or is not what was stored."),
            ),
            error @ Error::Drawing => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "recording_drawing",
                "The screen at this moment is still being drawn. Try again in a few seconds.".to_owned(),
            )
            .retry_after(2)
            .caused_by(&error),
            Error::TooShort(least) => {
                Self::invalid_field("q", "too_short", format!("must have at least {least} characters"))
            }
            Error::TooBroad => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "search_too_broad",
                "The search took too long. Narrow it: a shorter period, a target, a user, or more letters.",
            ),
            Error::Forbidden => Self::forbidden(),
            Error::Vault(error) => error.into(),
            Error::Database(error) => Self::database(&error),
            error @ (Error::NoStore
            | Error::Write(_)
            | Error::Store(_)
            | Error::Lost { .. }
            | Error::SpoolFull
            | Error::Occupied(_)
            | Error::NotRead
            | Error::Closed
            | Error::TooLarge(_)
            | Error::Key(_)) => unavailable(&error),
        }
    }
}
