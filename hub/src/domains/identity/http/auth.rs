//! Signing in and out.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_ids::AuthSessionId;
use openpam_secret::SecretString;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;
use uuid::Uuid;

use super::{
    super::{
        service::{local, oidc, sign_in},
        types,
    },
    me::{self, Me},
};
use crate::{
    context::Context,
    http::{Access, ClientInfo, Json, Page, PageQuery, Path, Problem, ProblemBody, Query, Routes, session_cookie_name},
    state::Hub,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(Access::Public, routes!(log_in_locally))
        .add(Access::SignedIn, routes!(read_me))
        .add(Access::SignedIn, routes!(log_out))
        .add(Access::SignedIn, routes!(list_own_sessions))
        .add(Access::SignedIn, routes!(revoke_own_session))
        .add(Access::SignedIn, routes!(change_password))
}

/// A local account's name and password.
#[derive(Deserialize, utoipa::ToSchema)]
struct LocalLogin {
    /// Slug of the tenant.
    tenant: String,
    username: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Signs a local account in and sets the session cookie.
#[utoipa::path(post, path = "/api/v1/auth/local", tag = "auth", request_body = LocalLogin,
    responses((status = 200, body = Me), (status = 401, body = ProblemBody), (status = 429, body = ProblemBody)))]
async fn log_in_locally(
    State(hub): State<Hub>,
    client: ClientInfo,
    Json(login): Json<LocalLogin>,
) -> Result<Response, Problem> {
    let signed_in = local::log_in(&hub, &client, &login.tenant, login.username.trim(), login.password).await?;
    me::answer(&hub, signed_in).await
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth",
    responses((status = 200, body = Me), (status = 401, body = ProblemBody)))]
async fn read_me(State(hub): State<Hub>, context: Context) -> Result<Json<Me>, Problem> {
    Ok(Json(me::me(&hub, &context).await?))
}

/// Where to go after signing out.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct LoggedOut {
    /// Signs out at the identity provider too, where it offers that.
    provider_logout_url: Option<String>,
}

/// Signs this browser out.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth",
    responses((status = 200, body = LoggedOut), (status = 401, body = ProblemBody)))]
async fn log_out(State(hub): State<Hub>, context: Context) -> Result<(http::HeaderMap, Json<LoggedOut>), Problem> {
    sign_in::browser(&context)?;
    sign_in::log_out(&hub, &context).await?;
    // Signed out is signed out, whatever the provider does.
    let provider_logout_url = oidc::logout_url(&hub, &context).await.unwrap_or_default();
    Ok((me::clear_cookie(&hub, session_cookie_name(&hub))?, Json(LoggedOut { provider_logout_url })))
}

/// A browser that is signed in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct AuthSession {
    id: AuthSessionId,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    client_ip: Option<String>,
    user_agent: String,
    /// Whether it is the one that asks.
    current: bool,
}

impl AuthSession {
    pub(super) fn of(session: types::AuthSession, context: &Context) -> Self {
        Self {
            id: session.id,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            client_ip: session.client_ip.map(|network| network.ip().to_string()),
            user_agent: session.user_agent,
            current: context.principal.auth_session == Some(session.id),
        }
    }
}

/// A page of a person's sign-ins.
pub(super) async fn page_of_sessions(
    hub: &Hub,
    context: &Context,
    user: openpam_ids::UserId,
    query: &PageQuery,
) -> Result<Json<Page<AuthSession>>, Problem> {
    let cursor = query.cursor::<Uuid>()?;
    let sessions = sign_in::list(hub, context, user, cursor.after, cursor.fetch()).await?;
    let page = Page::<types::AuthSession>::of(sessions, cursor.limit, |session| session.id);
    Ok(Json(Page {
        items: page.items.into_iter().map(|session| AuthSession::of(session, context)).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// The caller's own browsers that are signed in.
#[utoipa::path(get, path = "/api/v1/auth/sessions", tag = "auth", params(PageQuery),
    responses((status = 200, body = Page<AuthSession>), (status = 401, body = ProblemBody)))]
async fn list_own_sessions(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AuthSession>>, Problem> {
    let (user, _) = sign_in::browser(&context)?;
    page_of_sessions(&hub, &context, user, &query).await
}

/// Signs one of the caller's own browsers out.
#[utoipa::path(delete, path = "/api/v1/auth/sessions/{id}", tag = "auth", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn revoke_own_session(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<AuthSessionId>,
) -> Result<StatusCode, Problem> {
    let (user, _) = sign_in::browser(&context)?;
    sign_in::revoke(&hub, &context, user, Some(id), None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The present password and the one to come.
#[derive(Deserialize, utoipa::ToSchema)]
struct PasswordChange {
    #[schema(value_type = String, format = Password)]
    current_password: SecretString,
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
}

/// Changes the caller's own password and signs their other browsers out.
#[utoipa::path(post, path = "/api/v1/auth/password", tag = "auth", request_body = PasswordChange,
    responses((status = 204), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn change_password(
    State(hub): State<Hub>,
    context: Context,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, Problem> {
    local::change_password(&hub, &context, change.current_password, change.new_password).await?;
    Ok(StatusCode::NO_CONTENT)
}
