//! Admin routes of credentials.

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_ids::{CredentialId, TargetId};
use openpam_secret::SecretString;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;
use uuid::Uuid;

use super::{
    Credential, CredentialFilter, CredentialKind,
    error::CredentialError,
    manage::{self, CredentialChange, NewCredential},
    service, store,
    types::SecretFields,
};
use crate::{
    context::Context,
    http::{Access, Json, Page, PageQuery, Path, Problem, ProblemBody, Query, Routes, nullable},
    permissions::Permission,
    state::Hub,
};

pub(crate) fn routes() -> Routes {
    let read = Access::Permission(Permission::InfrastructureRead);
    let manage = Access::Permission(Permission::CredentialManage);
    Routes::new()
        .add(read, routes!(list_credentials))
        .add(manage, routes!(create_credential))
        .add(read, routes!(get_credential))
        .add(manage, routes!(update_credential, delete_credential))
        .add(manage, routes!(set_secret))
}

/// Filters of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct CredentialsQuery {
    /// Items a page, 1 to 200.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Part of name, user name or description.
    q: Option<String>,
    /// Usable on this target.
    target_id: Option<TargetId>,
}

/// How to log in to a target; never the secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Credential)]
struct CredentialBody {
    id: CredentialId,
    name: String,
    description: String,
    kind: CredentialKind,
    username: String,
    vault_path: Option<String>,
    vault_version: Option<i32>,
    ssh_role: Option<String>,
    managed: bool,
    target_count: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Credential> for CredentialBody {
    fn from(credential: Credential) -> Self {
        Self {
            id: credential.id,
            name: credential.name,
            description: credential.description,
            kind: credential.kind,
            username: credential.username,
            vault_path: credential.vault_path,
            vault_version: credential.vault_version,
            ssh_role: credential.ssh_role,
            managed: credential.managed,
            target_count: credential.target_count,
            created_at: credential.created_at,
            updated_at: credential.updated_at,
        }
    }
}

/// A secret to store in the vault. Goes in and never comes out again.
#[derive(Deserialize, utoipa::ToSchema)]
struct Secret {
    /// For kind `password`.
    #[schema(value_type = Option<String>, write_only)]
    password: Option<SecretString>,
    /// For kind `private_key`: OpenSSH, PEM or PuTTY format.
    #[schema(value_type = Option<String>, write_only)]
    private_key: Option<SecretString>,
    /// Opens the private key.
    #[schema(value_type = Option<String>, write_only)]
    passphrase: Option<SecretString>,
}

impl From<Secret> for SecretFields {
    fn from(secret: Secret) -> Self {
        let filled = |text: &SecretString| !openpam_secret::ExposeSecret::expose_secret(text).is_empty();
        Self {
            password: secret.password.filter(filled),
            private_key: secret.private_key.filter(filled),
            passphrase: secret.passphrase.filter(filled),
        }
    }
}

/// A credential to make: with a secret to store, a path in the vault, or a role of its SSH CA.
#[derive(Deserialize, utoipa::ToSchema)]
struct NewCredentialBody {
    name: String,
    description: Option<String>,
    kind: CredentialKind,
    username: String,
    vault_path: Option<String>,
    vault_version: Option<i32>,
    ssh_role: Option<String>,
    secret: Option<Secret>,
}

/// What of a credential to change.
#[derive(Deserialize, utoipa::ToSchema)]
struct CredentialChangeBody {
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    kind: Option<CredentialKind>,
    username: Option<String>,
    vault_path: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    vault_version: Option<Option<i32>>,
    ssh_role: Option<String>,
    secret: Option<Secret>,
}

/// A new secret, either bare or below `secret` as when the credential was made.
#[derive(Deserialize, utoipa::ToSchema)]
struct NewSecret {
    #[schema(value_type = Option<String>, write_only)]
    password: Option<SecretString>,
    #[schema(value_type = Option<String>, write_only)]
    private_key: Option<SecretString>,
    #[schema(value_type = Option<String>, write_only)]
    passphrase: Option<SecretString>,
    secret: Option<Secret>,
}

fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Credentials, by name.
#[utoipa::path(get, path = "/api/v1/admin/credentials", tag = "credentials", params(CredentialsQuery),
    responses((status = 200, body = Page<CredentialBody>)))]
async fn list_credentials(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<CredentialsQuery>,
) -> Result<Json<Page<CredentialBody>>, Problem> {
    let cursor = PageQuery { limit: query.limit, cursor: query.cursor }.cursor::<(String, Uuid)>()?;
    let filter = CredentialFilter { text: filled(query.q), target_id: query.target_id };
    let mut tx = hub.db().begin(&context).await?;
    let credentials = store::list(&mut tx, None, &filter, cursor.after.clone(), cursor.fetch())
        .await
        .map_err(CredentialError::from)?;
    Ok(Json(Page::by_name(credentials, cursor.limit, |item| (item.name.as_str(), item.id))))
}

/// A credential.
#[utoipa::path(get, path = "/api/v1/admin/credentials/{id}", tag = "credentials", params(("id" = CredentialId, Path)),
    responses((status = 200, body = CredentialBody), (status = 404, body = ProblemBody)))]
async fn get_credential(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<CredentialId>,
) -> Result<Json<CredentialBody>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let credential = service::find(&mut tx, id).await?.ok_or(CredentialError::NotFound("credential"))?;
    Ok(Json(credential.into()))
}

/// Makes a credential.
#[utoipa::path(post, path = "/api/v1/admin/credentials", tag = "credentials", request_body = NewCredentialBody,
    responses((status = 201, body = CredentialBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody),
        (status = 503, body = ProblemBody, description = "The vault does not answer or is sealed")))]
async fn create_credential(
    State(hub): State<Hub>,
    context: Context,
    Json(body): Json<NewCredentialBody>,
) -> Result<(StatusCode, Json<CredentialBody>), Problem> {
    let new = NewCredential {
        name: body.name,
        description: body.description.unwrap_or_default(),
        kind: body.kind,
        username: body.username,
        vault_path: filled(body.vault_path),
        vault_version: body.vault_version,
        ssh_role: filled(body.ssh_role),
        secret: body.secret.map(SecretFields::from),
    };
    let credential = manage::create(&hub, &context, new).await?;
    Ok((StatusCode::CREATED, Json(credential.into())))
}

/// Changes a credential.
#[utoipa::path(patch, path = "/api/v1/admin/credentials/{id}", tag = "credentials", params(("id" = CredentialId, Path)),
    request_body = CredentialChangeBody,
    responses((status = 200, body = CredentialBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn update_credential(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<CredentialId>,
    Json(body): Json<CredentialChangeBody>,
) -> Result<Json<CredentialBody>, Problem> {
    let change = CredentialChange {
        name: body.name,
        description: body.description.map(Option::unwrap_or_default),
        kind: body.kind,
        username: body.username,
        vault_path: filled(body.vault_path),
        vault_version: body.vault_version,
        ssh_role: filled(body.ssh_role),
        secret: body.secret.map(SecretFields::from),
    };
    Ok(Json(manage::update(&hub, &context, id, change).await?.into()))
}

/// Deletes a credential, and its secret where it was stored through the hub.
#[utoipa::path(delete, path = "/api/v1/admin/credentials/{id}", tag = "credentials", params(("id" = CredentialId, Path)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn delete_credential(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<CredentialId>,
) -> Result<StatusCode, Problem> {
    manage::delete(&hub, &context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stores a new secret in the vault, as a new version; write-only.
#[utoipa::path(put, path = "/api/v1/admin/credentials/{id}/secret", tag = "credentials",
    params(("id" = CredentialId, Path)), request_body = NewSecret,
    responses((status = 204), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn set_secret(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<CredentialId>,
    Json(body): Json<NewSecret>,
) -> Result<StatusCode, Problem> {
    let bare = Secret { password: body.password, private_key: body.private_key, passphrase: body.passphrase };
    let secret = body.secret.unwrap_or(bare).into();
    manage::update(&hub, &context, id, CredentialChange { secret: Some(secret), ..CredentialChange::default() })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
