//! People, groups, service accounts, and how they sign in.
//!
//! Owns `users`, `groups`, `group_memberships`, `service_accounts`, `api_tokens`, `auth_sessions`,
//! `oidc_flows`, `login_failures`, `user_preferences`.

use crate::{
    config::Config,
    context::Context,
    http::{ClientInfo, Problem, Routes},
    state::Hub,
};

/// Sign-in: provider, rate limits.
pub struct Identity {}

impl Identity {
    /// From the configuration; nothing is contacted yet.
    pub fn new(_config: &Config) -> Self {
        Self {}
    }
}

/// The context behind an API token.
///
/// # Errors
/// 401 for a token that is unknown, expired, revoked or of a disabled account.
pub async fn authenticate_token(_hub: &Hub, _client: &ClientInfo, _token: &str) -> Result<Context, Problem> {
    Err(Problem::unauthenticated())
}

/// The context behind a session cookie; `None` when it is no longer valid.
///
/// # Errors
/// When the database does not answer.
pub async fn authenticate_cookie(_hub: &Hub, _client: &ClientInfo, _cookie: &str) -> Result<Option<Context>, Problem> {
    Ok(None)
}

pub(crate) fn routes() -> Routes {
    Routes::new()
}
