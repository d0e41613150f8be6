//! What can go wrong with zones, sites, targets and host keys.

use http::StatusCode;

use crate::{
    db::{DbError, violated_constraint},
    domains::audit::AuditError,
    http::{FieldError, Problem},
};

/// Why a change of the infrastructure did not happen.
#[derive(Debug, thiserror::Error)]
pub enum TargetsError {
    /// It does not exist, or not in this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Fields are not valid.
    #[error("{} field(s) are not valid", .0.len())]
    Invalid(Vec<FieldError>),
    /// Another one has that name or code.
    #[error("another {kind} has this {field}")]
    Duplicate {
        /// `zone`, `site` or `target`.
        kind: &'static str,
        /// The field that must be unique.
        field: &'static str,
    },
    /// Something still refers to it.
    #[error("the {kind} still has {by}")]
    InUse {
        /// `zone` or `site`.
        kind: &'static str,
        /// What refers to it.
        by: &'static str,
    },
    /// A limited token would give, or lead astray, what it must not touch.
    #[error("this token is limited")]
    BeyondScope,
    /// The key is trusted already.
    #[error("this key is trusted already")]
    KeyAlreadyTrusted,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl TargetsError {
    /// One field that is wrong.
    pub(super) fn field(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), code: code.into(), message: message.into() }])
    }
}

impl From<sqlx::Error> for TargetsError {
    fn from(error: sqlx::Error) -> Self {
        match violated_constraint(&error) {
            Some("zones_name_unique") => Self::Duplicate { kind: "zone", field: "name" },
            Some("sites_name_unique") => Self::Duplicate { kind: "site", field: "name" },
            Some("sites_code_unique") => Self::Duplicate { kind: "site", field: "code" },
            Some("targets_name_unique") => Self::Duplicate { kind: "target", field: "name" },
            Some("target_host_keys_unique") => Self::KeyAlreadyTrusted,
            // The same constraint is violated by a reference to nothing and by removing what is referred to;
            // which of the two it was, PostgreSQL only says in prose. Services check existence first.
            Some("targets_zone") => Self::InUse { kind: "zone", by: "targets" },
            Some("zones_site") => Self::InUse { kind: "site", by: "zones" },
            Some("target_access_groups_group") => {
                Self::field("group_ids", "not_found", "names a group that does not exist")
            }
            _ => Self::Database(error.into()),
        }
    }
}

impl From<AuditError> for TargetsError {
    fn from(error: AuditError) -> Self {
        Self::Database(error.into())
    }
}

impl From<TargetsError> for Problem {
    fn from(error: TargetsError) -> Self {
        match error {
            TargetsError::NotFound(what) => Self::not_found(what),
            TargetsError::Invalid(errors) => Self::invalid_input(errors),
            TargetsError::Duplicate { kind, field } => Self::duplicate(kind, field, field),
            TargetsError::InUse { kind, by } => Self::new(
                StatusCode::CONFLICT,
                "in_use",
                format!("This {kind} still has {by}. Move or delete them first."),
            ),
            TargetsError::BeyondScope => Self::beyond_scope(),
            TargetsError::KeyAlreadyTrusted => Self::conflict("This key is trusted for this target already."),
            TargetsError::Database(error) => Self::database(&error),
        }
    }
}
