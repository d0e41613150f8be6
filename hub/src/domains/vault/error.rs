//! What can go wrong with the vault and with credentials.

use http::StatusCode;

use crate::{
    db::{DbError, violated_constraint},
    domains::audit::AuditError,
    http::{FieldError, Problem},
};

/// Why the vault did not give, take or sign. Paths stand in the log and in an admin's answer only.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    /// No answer, an answer of 5xx, or the circuit breaker is open.
    #[error("the vault does not answer: {0}")]
    Unavailable(String),
    /// The request was sent and no usable answer came: it may have been carried out.
    #[error("the vault did not answer the request: {0}")]
    Unanswered(String),
    /// It is sealed or not initialised.
    #[error("the vault is sealed")]
    Sealed,
    /// It refuses the hub's AppRole login.
    #[error("the vault refuses the hub's login: {0}")]
    LoginRefused(String),
    /// The response-wrapping token was used or has expired.
    #[error(
        "vault_wrapping_token_used: the wrapping token in {file} was unwrapped before or has expired; somebody else may \
         have read the secret id. Revoke it, issue a new one, and start again"
    )]
    WrappingTokenUsed {
        /// Where the token was read.
        file: String,
    },
    /// The hub's policy does not cover the path.
    #[error("the vault's policy does not let the hub use {path}")]
    PermissionDenied {
        /// API path.
        path: String,
    },
    /// There is nothing at the path, or that version was deleted.
    #[error("there is nothing at {path} in the vault")]
    PathMissing {
        /// API path.
        path: String,
    },
    /// The secret does not have the field.
    #[error("the secret at {path} has no field {field}")]
    FieldMissing {
        /// KV path.
        path: String,
        /// The field.
        field: &'static str,
    },
    /// The SSH CA refused to sign.
    #[error("the vault refuses to sign with role {role}: {reason}")]
    SignatureRefused {
        /// The role.
        role: String,
        /// The vault's words.
        reason: String,
    },
    /// The vault refused the request for another reason.
    #[error("the vault refused the request at {path}: {reason}")]
    Refused {
        /// API path.
        path: String,
        /// The vault's words.
        reason: String,
    },
    /// The answer cannot be read.
    #[error("the vault's answer at {path} cannot be read")]
    Malformed {
        /// API path.
        path: String,
    },
    /// The authorization does not cover the credential.
    #[error("the authorization does not cover this credential")]
    NotAuthorized,
    /// The credential names a role of the SSH CA that is not its tenant's.
    #[error("the role {role} of the SSH CA is not one of the tenant's")]
    RoleNotAllowed {
        /// The role.
        role: String,
    },
    /// Too many changes wait for the vault.
    #[error("too many changes wait for the vault")]
    Busy,
    /// The credential refers to a place outside its tenant's area.
    #[error("{path} is outside the tenant's area of the vault")]
    PathNotAllowed {
        /// KV path.
        path: String,
    },
}

impl VaultError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::Unanswered(_) => "vault_unavailable",
            Self::Sealed => "vault_sealed",
            Self::LoginRefused(_) => "vault_login_refused",
            Self::WrappingTokenUsed { .. } => "vault_wrapping_token_used",
            Self::PermissionDenied { .. } => "vault_permission_denied",
            Self::PathMissing { .. } => "vault_path_missing",
            Self::FieldMissing { .. } => "vault_field_missing",
            Self::SignatureRefused { .. } => "vault_signature_refused",
            Self::Refused { .. } => "vault_refused",
            Self::Malformed { .. } => "vault_answer_malformed",
            Self::NotAuthorized => "credential_not_allowed",
            Self::PathNotAllowed { .. } => "vault_path_not_allowed",
            Self::RoleNotAllowed { .. } => "vault_role_not_allowed",
            Self::Busy => "vault_busy",
        }
    }

    /// For whoever wanted to connect: no paths, no names of roles.
    pub const fn message(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::Unanswered(_) => "The vault does not answer. Try again in a moment.",
            Self::Sealed => "The vault is sealed. An administrator must unseal it.",
            Self::LoginRefused(_) | Self::WrappingTokenUsed { .. } => {
                "The vault refuses the hub's own login. Tell your administrator."
            }
            Self::PermissionDenied { .. } => {
                "The vault does not let the hub use this credential. Tell your administrator."
            }
            Self::PathMissing { .. } => "The vault has no secret for this credential. Tell your administrator.",
            Self::FieldMissing { .. } => {
                "The secret in the vault does not have what this kind of credential needs. Tell your administrator."
            }
            Self::SignatureRefused { .. } => {
                "The vault refuses to sign a certificate for this credential. Tell your administrator."
            }
            Self::Refused { .. } | Self::Malformed { .. } => {
                "The vault gave an answer the hub cannot use. Tell your administrator."
            }
            Self::NotAuthorized => "This credential may not be used here.",
            Self::RoleNotAllowed { .. } => "This credential names a role it may not use. Tell your administrator.",
            Self::Busy => "The vault is slow, and too many changes wait for it. Try again in a moment.",
            Self::PathNotAllowed { .. } => "This credential refers to a place it may not use. Tell your administrator.",
        }
    }

    /// For an administrator: with path, field or role.
    pub fn admin_message(&self) -> String {
        match self {
            Self::Unavailable(_)
            | Self::Unanswered(_)
            | Self::Sealed
            | Self::LoginRefused(_)
            | Self::NotAuthorized
            | Self::Busy => self.message().to_owned(),
            other => {
                let text = other.to_string();
                let mut letters = text.chars();
                let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
                format!("{first}{}.", letters.as_str())
            }
        }
    }

    /// It did not answer before whoever asked had to give up.
    pub fn silent() -> Self {
        Self::Unavailable("it did not answer in time".to_owned())
    }

    /// Whether the same request may work in a moment, elsewhere or later.
    pub(super) const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unanswered(_) | Self::Busy)
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Unavailable(_)
            | Self::Unanswered(_)
            | Self::Sealed
            | Self::Busy
            | Self::LoginRefused(_)
            | Self::WrappingTokenUsed { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotAuthorized => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        let problem = Self::new(error.status(), error.code(), error.message()).caused_by(&error);
        if error.is_transient() { problem.retry_after(5) } else { problem }
    }
}

/// Why a change of a credential did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// It does not exist, or not in this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Fields are not valid.
    #[error("{} field(s) are not valid", .0.len())]
    Invalid(Vec<FieldError>),
    /// Another credential has that name.
    #[error("another credential has this name")]
    DuplicateName,
    /// The vault did not do its part; nothing was changed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The hub ended while it worked on this.
    #[error("the hub is ending")]
    Ending,
}

impl CredentialError {
    /// One field that is wrong.
    pub(super) fn field(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), code: code.into(), message: message.into() }])
    }
}

impl From<sqlx::Error> for CredentialError {
    fn from(error: sqlx::Error) -> Self {
        match violated_constraint(&error) {
            Some("credentials_name_unique") => Self::DuplicateName,
            Some("target_credentials_credential") => {
                Self::field("credential_ids", "not_found", "names a credential that does not exist")
            }
            Some("target_credentials_target") => Self::NotFound("target"),
            _ => Self::Database(error.into()),
        }
    }
}

impl From<AuditError> for CredentialError {
    fn from(error: AuditError) -> Self {
        Self::Database(error.into())
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::NotFound(what) => Self::not_found(what),
            CredentialError::Invalid(errors) => Self::invalid_input(errors),
            CredentialError::DuplicateName => Self::duplicate("credential", "name", "name"),
            // Only admins change credentials: they may read the path.
            CredentialError::Vault(error) => {
                Self::new(error.status(), error.code(), error.admin_message()).caused_by(&error)
            }
            CredentialError::Database(error) => Self::database(&error),
            CredentialError::Ending => Self::ending(),
        }
    }
}
