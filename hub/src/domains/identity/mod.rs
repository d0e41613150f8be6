//! People, groups, service accounts, and how they sign in.
//!
//! Owns `users`, `groups`, `group_memberships`, `service_accounts`, `api_tokens`, `auth_sessions`,
//! `oidc_flows`, `login_failures`, `user_preferences`, `tenants`. Inserts a tenant's empty
//! row of `settings` when its first administrator is made.
//!
//! INVARIANT: an answer to a failed sign-in never tells whether the account exists, and takes as long.

mod credentials;
mod error;
mod http;
mod passwords;
mod provider;
mod refresh_tokens;
mod runtime;
mod service;
mod store;
mod tasks;
mod types;
mod unknown_tenants;
mod validation;

pub use error::IdentityError;
pub(crate) use http::routes;
pub use provider::inspect::{ProviderFault, ProviderInspection, inspect_provider};
pub use runtime::Identity;
pub use service::{
    authenticate::{listener, note_activity, principals_of},
    provision::{NewAdmin, create_admin, unlock_account},
};
pub use tasks::start_tasks;

use openpam_ids::{GroupId, UserId};
use sqlx::PgConnection;

use crate::{
    context::Context,
    db::DbError,
    http::{ClientInfo, Problem},
    state::Hub,
};

/// The context behind an API token.
///
/// # Errors
/// 401 for a token that is unknown, expired, revoked or of a disabled account.
pub async fn authenticate_token(hub: &Hub, client: &ClientInfo, token: &str) -> Result<Context, Problem> {
    Ok(service::authenticate::by_token(hub, client, token).await?)
}

/// The context behind a session cookie; `None` when it is no longer valid.
///
/// # Errors
/// When the database does not answer.
pub async fn authenticate_cookie(hub: &Hub, client: &ClientInfo, cookie: &str) -> Result<Option<Context>, Problem> {
    Ok(service::authenticate::by_cookie(hub, client, cookie).await?)
}

/// Whether the account may sign in; nothing where there is none.
///
/// # Errors
/// When the database does not answer.
pub async fn is_enabled(connection: &mut PgConnection, id: UserId) -> Result<Option<bool>, DbError> {
    Ok(store::users::is_enabled(connection, id).await?)
}

/// The names of these groups, in order; of those that exist.
///
/// # Errors
/// When the database does not answer.
pub async fn group_names(connection: &mut PgConnection, ids: &[GroupId]) -> Result<Vec<String>, DbError> {
    Ok(store::groups::names(connection, ids).await?)
}
