//! What can go wrong with people and their sign-ins.

use http::StatusCode;

use super::types::MIN_PASSWORD_LENGTH;
use crate::{
    db::{DbError, violated_constraint},
    domains::audit::AuditError,
    http::{FieldError, Problem},
};

/// Why a sign-in or a change of people, groups or accounts did not happen.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It does not exist, or not in this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Fields are not valid.
    #[error("{} field(s) are not valid", .0.len())]
    Invalid(Vec<FieldError>),
    /// Another one has that name.
    #[error("another {0} has this name")]
    Duplicate(&'static str),
    /// User name and password do not belong together, or the account may not be used.
    #[error("the user name or password is not right")]
    InvalidCredentials,
    /// Too many failures for this account name.
    #[error("the account name is locked for {0} s")]
    LockedOut(u64),
    /// Too many attempts from this address.
    #[error("too many attempts from this address, next in {0} s")]
    RateLimited(u64),
    /// Every password check that may run is running, and more wait.
    #[error("too many sign-ins at the same time")]
    Busy,
    /// The caller is not, or no longer, signed in.
    #[error("not signed in")]
    Unauthenticated,
    /// The sign-in was ended, here or at the provider.
    #[error("the sign-in was revoked")]
    SessionRevoked,
    /// Only a person in a browser can do this.
    #[error("only a person in a browser can do this")]
    NotAPerson,
    /// The act needs a local account.
    #[error("the account comes from the directory")]
    NotLocal,
    /// The group's members come from the directory.
    #[error("the group comes from the directory")]
    DirectoryGroup,
    /// It would leave the tenant without a usable administrator, or lock the caller out.
    #[error("the last administrator must stay")]
    LastAdmin,
    /// The same act was done with the caller's own account, which it may not.
    #[error("an administrator cannot do this to their own account")]
    OwnAccount,
    /// A limited token would give more than it has.
    #[error("the token's scopes do not cover this")]
    BeyondScope,
    /// No identity provider is configured.
    #[error("no identity provider is configured")]
    ProviderNotConfigured,
    /// The identity provider does not answer.
    #[error("the identity provider does not answer: {0}")]
    ProviderUnavailable(String),
    /// The `state` is not one that this browser was given, or was used already.
    #[error("the sign-in's state is not valid")]
    LoginStateInvalid,
    /// The sign-in took too long.
    #[error("the sign-in took too long")]
    LoginExpired,
    /// The provider did not accept the code.
    #[error("the provider rejected the code: {0}")]
    LoginCodeRejected(String),
    /// The provider answered the sign-in with an error.
    #[error("the provider refused the sign-in: {0}")]
    LoginRefused(String),
    /// The identity token does not hold up.
    #[error("the identity token is not valid: {0}")]
    IdTokenInvalid(String),
    /// The directory tenant is not one of those allowed.
    #[error("the directory tenant is not allowed")]
    TenantNotAllowed,
    /// The account is disabled.
    #[error("the account is disabled")]
    AccountDisabled,
    /// Something failed that should not.
    #[error("{0}")]
    Internal(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl IdentityError {
    /// Stable code, as in the API and in the trail.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Invalid(_) => "invalid_input",
            Self::Duplicate(_) => "conflict",
            Self::InvalidCredentials => "invalid_credentials",
            Self::LockedOut(_) => "locked_out",
            Self::RateLimited(_) => "rate_limited",
            Self::Busy => "busy",
            Self::Unauthenticated => "unauthenticated",
            Self::SessionRevoked => "session_revoked",
            Self::NotAPerson => "not_a_person",
            Self::NotLocal => "not_a_local_account",
            Self::DirectoryGroup => "directory_group",
            Self::LastAdmin | Self::OwnAccount => "last_admin",
            Self::BeyondScope => "beyond_scope",
            Self::ProviderNotConfigured => "identity_provider_not_configured",
            Self::ProviderUnavailable(_) => "identity_provider_unavailable",
            Self::LoginStateInvalid => "login_state_invalid",
            Self::LoginExpired => "login_expired",
            Self::LoginCodeRejected(_) => "login_code_rejected",
            Self::LoginRefused(_) => "login_refused",
            Self::IdTokenInvalid(_) => "id_token_invalid",
            Self::TenantNotAllowed => "tenant_not_allowed",
            Self::AccountDisabled => "account_disabled",
            Self::Internal(_) => "internal",
            Self::Database(_) => "database_unavailable",
        }
    }

    /// One field that is wrong.
    pub(super) fn field(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), code: code.into(), message: message.into() }])
    }

    /// A password that is too short, too long or the user name.
    pub(super) fn weak_password(field: &'static str) -> Self {
        Self::field(
            field,
            "weak_password",
            format!("must have {MIN_PASSWORD_LENGTH} to 256 characters and not be the user name"),
        )
    }
}

impl From<sqlx::Error> for IdentityError {
    fn from(error: sqlx::Error) -> Self {
        match violated_constraint(&error) {
            Some("users_username_unique") => Self::Duplicate("user"),
            Some("groups_name_unique") => Self::Duplicate("group"),
            Some("service_accounts_name_unique") => Self::Duplicate("service account"),
            Some("group_memberships_group") => {
                Self::field("group_ids", "not_found", "names a group that does not exist")
            }
            Some("group_memberships_user") => Self::NotFound("user"),
            Some("groups_external_id_unique") => {
                Self::field("external_id", "duplicate", "another group has this directory id")
            }
            Some("user_preferences_size") => Self::field("preferences", "too_large", "must not be larger than 16 KiB"),
            _ => Self::Database(error.into()),
        }
    }
}

impl From<AuditError> for IdentityError {
    fn from(error: AuditError) -> Self {
        Self::Database(error.into())
    }
}

impl From<openpam_secret::RandomError> for IdentityError {
    fn from(error: openpam_secret::RandomError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        use IdentityError as E;
        let (code, unauthorized) = (error.code(), StatusCode::UNAUTHORIZED);
        match error {
            E::NotFound(what) => Self::not_found(what),
            E::Invalid(errors) => Self::invalid_input(errors),
            E::Duplicate(kind) => Self::duplicate(kind, if kind == "user" { "username" } else { "name" }, "name"),
            E::InvalidCredentials => Self::new(unauthorized, code, "The user name or the password is not right."),
            E::LockedOut(seconds) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                code,
                "Too many failed sign-ins with this name. Wait a few minutes, or ask an administrator to unlock it.",
            )
            .retry_after(seconds),
            E::RateLimited(seconds) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, code, "Too many attempts from your address. Wait a moment.")
                    .retry_after(seconds)
            }
            E::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                code,
                "Too many people sign in right now. Try again in a moment.",
            )
            .retry_after(2),
            E::Unauthenticated => Self::unauthenticated(),
            E::SessionRevoked => Self::new(unauthorized, code, "Your sign-in was ended. Sign in again."),
            E::NotAPerson => Self::new(StatusCode::FORBIDDEN, code, "This is for people who signed in with a browser."),
            E::NotLocal => {
                Self::new(StatusCode::CONFLICT, code, "This account comes from the directory: change it there.")
            }
            E::DirectoryGroup => {
                Self::new(StatusCode::CONFLICT, code, "The directory decides about this group: change it there.")
            }
            E::LastAdmin => Self::new(
                StatusCode::CONFLICT,
                code,
                "This would leave no enabled local administrator. Give somebody else the role first.",
            ),
            E::OwnAccount => Self::new(
                StatusCode::CONFLICT,
                code,
                "You cannot disable or delete yourself, or give up your own administrator role. Ask another administrator.",
            ),
            E::BeyondScope => Self::beyond_scope(),
            E::ProviderNotConfigured => Self::new(
                StatusCode::NOT_FOUND,
                code,
                "Single sign-on is not set up here. Sign in with a local account.",
            ),
            E::ProviderUnavailable(cause) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                code,
                "The identity provider does not answer. Try again in a moment.",
            )
            .retry_after(5)
            .caused_by(&Cause(cause)),
            E::LoginStateInvalid => Self::new(
                unauthorized,
                code,
                "This sign-in was used already or was begun in another browser. Begin again.",
            ),
            E::LoginExpired => Self::new(unauthorized, code, "The sign-in took too long. Begin again."),
            E::LoginCodeRejected(cause) => {
                Self::new(unauthorized, code, "The identity provider did not accept the sign-in code. Begin again.")
                    .caused_by(&Cause(cause))
            }
            E::LoginRefused(cause) => Self::new(
                unauthorized,
                code,
                "The identity provider refused the sign-in. Try again or ask your administrator.",
            )
            .caused_by(&Cause(cause)),
            E::IdTokenInvalid(cause) => Self::new(
                unauthorized,
                code,
                "The identity provider's answer could not be verified. Tell your administrator.",
            )
            .caused_by(&Cause(cause)),
            E::TenantNotAllowed => {
                Self::new(StatusCode::FORBIDDEN, code, "Accounts of your organisation may not sign in here.")
            }
            E::AccountDisabled => {
                Self::new(StatusCode::FORBIDDEN, code, "Your account is disabled here. Ask an administrator.")
            }
            E::Internal(cause) => Self::internal(&Cause(cause)),
            E::Database(error) => Self::database(&error),
        }
    }
}

/// A cause that is a text by now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);
