//! Service accounts and their tokens, by administrators.

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_ids::{ApiTokenId, ServiceAccountId};
use openpam_secret::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;
use uuid::Uuid;

use super::super::{
    service::accounts as service,
    types::{self, NewServiceAccount, ServiceAccountChange},
    validation::Mistakes,
};
use crate::{
    context::{Context, Role},
    http::{Access, Json, Page, PageQuery, Path, Problem, ProblemBody, Query, Routes, SearchQuery},
    permissions::Permission,
    state::Hub,
};

pub(super) fn routes() -> Routes {
    let read = Access::Permission(Permission::IdentityRead);
    let manage = Access::Permission(Permission::IdentityManage);
    Routes::new()
        .add(read, routes!(list_accounts))
        .add(manage, routes!(create_account))
        .add(read, routes!(get_account))
        .add(manage, routes!(update_account, delete_account))
        .add(read, routes!(list_tokens))
        .add(manage, routes!(create_token))
        .add(manage, routes!(revoke_token))
}

/// A principal with API tokens.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ServiceAccount)]
struct AccountBody {
    id: ServiceAccountId,
    name: String,
    description: String,
    /// Whether its tokens are accepted.
    enabled: bool,
    roles: Vec<Role>,
    created_at: DateTime<Utc>,
}

impl From<types::ServiceAccount> for AccountBody {
    fn from(account: types::ServiceAccount) -> Self {
        Self {
            id: account.id,
            name: account.name,
            description: account.description,
            enabled: account.enabled,
            roles: account.roles.into_iter().collect(),
            created_at: account.created_at,
        }
    }
}

/// Service accounts by name.
#[utoipa::path(get, path = "/api/v1/admin/service-accounts", tag = "identity", params(SearchQuery),
    responses((status = 200, body = Page<AccountBody>), (status = 403, body = ProblemBody)))]
async fn list_accounts(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Page<AccountBody>>, Problem> {
    let cursor = query.cursor()?;
    let accounts = service::list(&hub, &context, query.text(), cursor.after.clone(), cursor.fetch()).await?;
    Ok(Json(Page::by_name(accounts, cursor.limit, |account| (account.name.as_str(), account.id))))
}

/// A service account to make.
#[derive(Deserialize, utoipa::ToSchema)]
struct CreateAccount {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    roles: Vec<Role>,
}

/// Makes a service account.
#[utoipa::path(post, path = "/api/v1/admin/service-accounts", tag = "identity", request_body = CreateAccount,
    responses((status = 201, body = AccountBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_account(
    State(hub): State<Hub>,
    context: Context,
    Json(body): Json<CreateAccount>,
) -> Result<(StatusCode, Json<AccountBody>), Problem> {
    let mut mistakes = Mistakes::default();
    let new = NewServiceAccount {
        name: mistakes.name("name", &body.name),
        description: mistakes.description(&body.description),
        roles: body.roles.into_iter().collect(),
    };
    mistakes.finish()?;
    Ok((StatusCode::CREATED, Json(service::create(&hub, &context, new).await?.into())))
}

/// One service account.
#[utoipa::path(get, path = "/api/v1/admin/service-accounts/{id}", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 200, body = AccountBody), (status = 404, body = ProblemBody)))]
async fn get_account(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<ServiceAccountId>,
) -> Result<Json<AccountBody>, Problem> {
    Ok(Json(service::get(&hub, &context, id).await?.into()))
}

/// A change of a service account; absent fields stay.
#[derive(Deserialize, utoipa::ToSchema)]
struct UpdateAccount {
    name: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
    roles: Option<Vec<Role>>,
}

/// Changes a service account.
#[utoipa::path(patch, path = "/api/v1/admin/service-accounts/{id}", tag = "identity", params(("id" = Uuid, Path)),
    request_body = UpdateAccount,
    responses((status = 200, body = AccountBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn update_account(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<ServiceAccountId>,
    Json(body): Json<UpdateAccount>,
) -> Result<Json<AccountBody>, Problem> {
    let mut mistakes = Mistakes::default();
    let change = ServiceAccountChange {
        name: body.name.map(|name| mistakes.name("name", &name)),
        description: body.description.map(|text| mistakes.description(&text)),
        enabled: body.enabled,
        roles: body.roles.map(|roles| roles.into_iter().collect()),
    };
    mistakes.finish()?;
    Ok(Json(service::update(&hub, &context, id, change).await?.into()))
}

/// Removes a service account with its tokens.
#[utoipa::path(delete, path = "/api/v1/admin/service-accounts/{id}", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn delete_account(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<ServiceAccountId>,
) -> Result<StatusCode, Problem> {
    service::delete(&hub, &context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An API token without its secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ApiToken)]
struct TokenBody {
    id: ApiTokenId,
    name: String,
    /// Permissions it is limited to; empty means all of the account.
    scopes: Vec<String>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// First characters of the secret, to recognise it.
    prefix: String,
}

impl From<types::ApiToken> for TokenBody {
    fn from(token: types::ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            created_at: token.created_at,
            prefix: token.prefix,
        }
    }
}

/// Tokens of a service account, newest first.
#[utoipa::path(get, path = "/api/v1/admin/service-accounts/{id}/tokens", tag = "identity",
    params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<TokenBody>), (status = 404, body = ProblemBody)))]
async fn list_tokens(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<ServiceAccountId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<TokenBody>>, Problem> {
    let cursor = query.cursor::<Uuid>()?;
    let tokens = service::tokens(&hub, &context, id, cursor.after, cursor.fetch()).await?;
    Ok(Json(Page::of(tokens, cursor.limit, |token| token.id)))
}

/// A token to make.
#[derive(Deserialize, utoipa::ToSchema)]
struct CreateToken {
    name: String,
    /// Permissions it is limited to; empty means all of the account.
    #[serde(default)]
    scopes: Vec<String>,
    /// Within a year.
    expires_at: DateTime<Utc>,
}

/// A fresh token, with the text that is never shown again.
#[derive(Serialize, utoipa::ToSchema)]
struct FreshToken {
    #[serde(flatten)]
    token_info: TokenBody,
    /// Send it as `Authorization: Bearer …`.
    token: String,
}

/// Makes a token and shows it, this once.
#[utoipa::path(post, path = "/api/v1/admin/service-accounts/{id}/tokens", tag = "identity",
    params(("id" = Uuid, Path)), request_body = CreateToken,
    responses((status = 201, body = FreshToken), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_token(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<ServiceAccountId>,
    Json(mut body): Json<CreateToken>,
) -> Result<(StatusCode, Json<FreshToken>), Problem> {
    let mut mistakes = Mistakes::default();
    let name = mistakes.name("name", &body.name);
    mistakes.scopes(&body.scopes);
    mistakes.token_end(body.expires_at, hub.clock().now());
    mistakes.finish()?;
    body.scopes.sort();
    body.scopes.dedup();
    let (token, text) = service::create_token(&hub, &context, id, name, body.scopes, body.expires_at).await?;
    let fresh = FreshToken { token_info: token.into(), token: text.expose_secret().to_owned() };
    Ok((StatusCode::CREATED, Json(fresh)))
}

/// Ends a token for good.
#[utoipa::path(delete, path = "/api/v1/admin/service-accounts/{id}/tokens/{token_id}", tag = "identity",
    params(("id" = Uuid, Path), ("token_id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn revoke_token(
    State(hub): State<Hub>,
    context: Context,
    Path((id, token)): Path<(ServiceAccountId, ApiTokenId)>,
) -> Result<StatusCode, Problem> {
    service::revoke_token(&hub, &context, id, token).await?;
    Ok(StatusCode::NO_CONTENT)
}
