//! People, by administrators; and preferences of the console.

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_ids::{AuthSessionId, GroupId, UserId};
use openpam_secret::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::routes;

use super::{
    super::{
        service::{sign_in, users as service},
        types::{self, NewUser, Source, UserChange},
        validation::Mistakes,
    },
    auth::{AuthSession, page_of_sessions},
};
use crate::{
    context::{Context, Role},
    http::{Access, Json, Page, PageQuery, Path, Problem, ProblemBody, Query, Routes, SearchQuery, nullable},
    permissions::Permission,
    state::Hub,
};

pub(super) fn routes() -> Routes {
    let read = Access::Permission(Permission::IdentityRead);
    let manage = Access::Permission(Permission::IdentityManage);
    Routes::new()
        .add(read, routes!(list_users))
        .add(manage, routes!(create_user))
        .add(read, routes!(get_user))
        .add(manage, routes!(update_user, delete_user))
        .add(manage, routes!(set_user_password))
        .add(manage, routes!(unlock_user))
        .add(read, routes!(list_user_sessions))
        .add(manage, routes!(revoke_user_sessions))
        .add(manage, routes!(revoke_user_session))
        .add(Access::SignedIn, routes!(get_preferences, set_preferences))
}

/// A person.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = User)]
pub(super) struct UserBody {
    id: UserId,
    username: String,
    display_name: String,
    email: Option<String>,
    source: Source,
    enabled: bool,
    /// Until when too many failed sign-ins lock this local account; `null` when it is not locked.
    locked_until: Option<DateTime<Utc>>,
    /// Roles given directly.
    roles: Vec<Role>,
    /// Direct roles and those of groups.
    effective_roles: Vec<Role>,
    group_ids: Vec<GroupId>,
    last_login_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<types::User> for UserBody {
    fn from(user: types::User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            display_name: user.display_name,
            email: user.email,
            source: user.source,
            enabled: user.enabled,
            locked_until: user.locked_until,
            roles: user.roles.into_iter().collect(),
            effective_roles: user.effective_roles.into_iter().collect(),
            group_ids: user.groups,
            last_login_at: user.last_login_at,
            created_at: user.created_at,
        }
    }
}

/// People by user name.
#[utoipa::path(get, path = "/api/v1/admin/users", tag = "identity", params(SearchQuery),
    responses((status = 200, body = Page<UserBody>), (status = 403, body = ProblemBody)))]
async fn list_users(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Page<UserBody>>, Problem> {
    let cursor = query.cursor()?;
    let users = service::list(&hub, &context, None, query.text(), cursor.after.clone(), cursor.fetch()).await?;
    Ok(Json(Page::by_name(users, cursor.limit, |user| (user.username.as_str(), user.id))))
}

/// A local account to make.
#[derive(Deserialize, utoipa::ToSchema)]
struct CreateUser {
    username: String,
    /// The user name when absent.
    display_name: Option<String>,
    email: Option<String>,
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 256)]
    password: SecretString,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    group_ids: Vec<GroupId>,
}

/// Makes a local account.
#[utoipa::path(post, path = "/api/v1/admin/users", tag = "identity", request_body = CreateUser,
    responses((status = 201, body = UserBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_user(
    State(hub): State<Hub>,
    context: Context,
    Json(body): Json<CreateUser>,
) -> Result<(StatusCode, Json<UserBody>), Problem> {
    let mut mistakes = Mistakes::default();
    let username = mistakes.name("username", &body.username);
    let display_name = body.display_name.filter(|name| !name.trim().is_empty());
    let new = NewUser {
        display_name: display_name.map_or_else(|| username.clone(), |name| mistakes.name("display_name", &name)),
        username,
        email: mistakes.email(body.email.as_deref()),
        roles: body.roles.into_iter().collect(),
        groups: body.group_ids,
    };
    mistakes.finish()?;
    let user = service::create(&hub, &context, new, body.password).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// One person.
#[utoipa::path(get, path = "/api/v1/admin/users/{id}", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 200, body = UserBody), (status = 404, body = ProblemBody)))]
async fn get_user(State(hub): State<Hub>, context: Context, Path(id): Path<UserId>) -> Result<Json<UserBody>, Problem> {
    Ok(Json(service::get(&hub, &context, id).await?.into()))
}

/// A change of a person; absent fields stay. Name, address and direct roles are for local accounts.
#[derive(Deserialize, utoipa::ToSchema)]
struct UpdateUser {
    username: Option<String>,
    display_name: Option<String>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<String>>,
    enabled: Option<bool>,
    roles: Option<Vec<Role>>,
    /// Local groups become these; those of the directory stay.
    group_ids: Option<Vec<GroupId>>,
}

/// Changes a person. Disabling signs them out everywhere and ends their sessions.
#[utoipa::path(patch, path = "/api/v1/admin/users/{id}", tag = "identity", params(("id" = Uuid, Path)),
    request_body = UpdateUser,
    responses((status = 200, body = UserBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn update_user(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<UserId>,
    Json(body): Json<UpdateUser>,
) -> Result<Json<UserBody>, Problem> {
    let mut mistakes = Mistakes::default();
    let change = UserChange {
        username: body.username.map(|name| mistakes.name("username", &name)),
        display_name: body.display_name.map(|name| mistakes.name("display_name", &name)),
        email: body.email.map(|email| mistakes.email(email.as_deref())),
        enabled: body.enabled,
        roles: body.roles.map(|roles| roles.into_iter().collect()),
        groups: body.group_ids,
    };
    mistakes.finish()?;
    Ok(Json(service::update(&hub, &context, id, change).await?.into()))
}

/// Removes a local account.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn delete_user(State(hub): State<Hub>, context: Context, Path(id): Path<UserId>) -> Result<StatusCode, Problem> {
    service::delete(&hub, &context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Another password.
#[derive(Deserialize, utoipa::ToSchema)]
struct SetPassword {
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 256)]
    password: SecretString,
}

/// Gives a local account another password and signs it out.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/password", tag = "identity", params(("id" = Uuid, Path)),
    request_body = SetPassword,
    responses((status = 204), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn set_user_password(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<UserId>,
    Json(body): Json<SetPassword>,
) -> Result<StatusCode, Problem> {
    service::set_password(&hub, &context, id, body.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the failed sign-ins of a local account: it may be tried again at once.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/unlock", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn unlock_user(State(hub): State<Hub>, context: Context, Path(id): Path<UserId>) -> Result<StatusCode, Problem> {
    service::unlock(&hub, &context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A person's browsers that are signed in.
#[utoipa::path(get, path = "/api/v1/admin/users/{id}/sessions", tag = "identity",
    params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<AuthSession>), (status = 404, body = ProblemBody)))]
async fn list_user_sessions(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<UserId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AuthSession>>, Problem> {
    service::get(&hub, &context, id).await?;
    page_of_sessions(&hub, &context, id, &query).await
}

/// Signs a person out everywhere.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}/sessions", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn revoke_user_sessions(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<UserId>,
) -> Result<StatusCode, Problem> {
    service::get(&hub, &context, id).await?;
    sign_in::revoke(&hub, &context, id, None, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs one of a person's browsers out.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}/sessions/{session_id}", tag = "identity",
    params(("id" = Uuid, Path), ("session_id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn revoke_user_session(
    State(hub): State<Hub>,
    context: Context,
    Path((id, session)): Path<(UserId, AuthSessionId)>,
) -> Result<StatusCode, Problem> {
    sign_in::revoke(&hub, &context, id, Some(session), None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the caller chose for the console.
#[utoipa::path(get, path = "/api/v1/me/preferences", tag = "auth", responses((status = 200, body = Object)))]
async fn get_preferences(State(hub): State<Hub>, context: Context) -> Result<Json<Value>, Problem> {
    Ok(Json(service::preferences(&hub, &context).await?))
}

/// Replaces what the caller chose for the console: any JSON object up to 16 KiB. No secrets.
#[utoipa::path(put, path = "/api/v1/me/preferences", tag = "auth", request_body = Object,
    responses((status = 200, body = Object), (status = 422, body = ProblemBody)))]
async fn set_preferences(
    State(hub): State<Hub>,
    context: Context,
    Json(preferences): Json<Value>,
) -> Result<Json<Value>, Problem> {
    service::set_preferences(&hub, &context, &preferences).await?;
    Ok(Json(preferences))
}
