//! SQL of service accounts and their tokens.

use chrono::{DateTime, Utc};
use openpam_ids::{ApiTokenId, ServiceAccountId, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::types::{ApiToken, NewServiceAccount, ServiceAccount, ServiceAccountChange},
    Result, role_names, roles,
};

/// Accounts by name, after a name and id; or `only` one.
pub(in super::super) async fn list(
    connection: &mut PgConnection,
    only: Option<ServiceAccountId>,
    text: Option<&str>,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<ServiceAccount>> {
    let (after_name, after_id) = after.unzip();
    let rows = sqlx::query!(
        r#"select service_account_id as "id: ServiceAccountId", name, description, enabled, roles, created_at
           from service_accounts
           where ($1::uuid is null or service_account_id = $1)
             and ($2::text is null or strpos(lower(name || ' ' || description), lower($2)) > 0)
             and ($3::text is null or (lower(name), service_account_id) > (lower($3), $4::uuid))
           order by lower(name), service_account_id
           limit $5"#,
        only.map(Uuid::from),
        text,
        after_name,
        after_id,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ServiceAccount {
            id: row.id,
            name: row.name,
            description: row.description,
            enabled: row.enabled,
            roles: roles(&row.roles),
            created_at: row.created_at,
        })
        .collect())
}

/// Holds other writers of this account back until the transaction ends.
pub(in super::super) async fn lock(connection: &mut PgConnection, id: ServiceAccountId) -> Result<()> {
    sqlx::query!("select 1 as held from service_accounts where service_account_id = $1 for update", id.as_uuid())
        .fetch_optional(connection)
        .await?;
    Ok(())
}

pub(in super::super) async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: ServiceAccountId,
    account: &NewServiceAccount,
) -> Result<()> {
    sqlx::query!(
        "insert into service_accounts (service_account_id, tenant_id, name, description, roles)
         values ($1, $2, $3, $4, $5)",
        id.as_uuid(),
        tenant.as_uuid(),
        account.name,
        account.description,
        &role_names(&account.roles)
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(in super::super) async fn update(
    connection: &mut PgConnection,
    id: ServiceAccountId,
    change: &ServiceAccountChange,
) -> Result<()> {
    let roles = change.roles.as_ref().map(role_names);
    sqlx::query!(
        "update service_accounts set name = coalesce($2, name), description = coalesce($3, description),
                enabled = coalesce($4, enabled), roles = coalesce($5, roles)
         where service_account_id = $1",
        id.as_uuid(),
        change.name,
        change.description,
        change.enabled,
        roles.as_deref()
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(in super::super) async fn delete(connection: &mut PgConnection, id: ServiceAccountId) -> Result<()> {
    sqlx::query!("delete from service_accounts where service_account_id = $1", id.as_uuid())
        .execute(connection)
        .await?;
    Ok(())
}

/// Tokens of an account that were not revoked, newest first, older than `before`.
pub(in super::super) async fn tokens(
    connection: &mut PgConnection,
    account: ServiceAccountId,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ApiToken>> {
    sqlx::query_as!(
        ApiToken,
        r#"select api_token_id as "id: _", name, scopes, expires_at, last_used_at, created_at, prefix
           from api_tokens
           where service_account_id = $1 and revoked_at is null and ($2::uuid is null or api_token_id < $2)
           order by api_token_id desc
           limit $3"#,
        account.as_uuid(),
        before,
        limit
    )
    .fetch_all(connection)
    .await
}

pub(in super::super) async fn insert_token(
    connection: &mut PgConnection,
    tenant: TenantId,
    account: ServiceAccountId,
    token: &ApiToken,
    hash: &[u8],
) -> Result<()> {
    sqlx::query!(
        "insert into api_tokens (api_token_id, tenant_id, service_account_id, name, prefix, token_hash, scopes,
                                 expires_at, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        token.id.as_uuid(),
        tenant.as_uuid(),
        account.as_uuid(),
        token.name,
        token.prefix,
        hash,
        &token.scopes,
        token.expires_at,
        token.created_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a token for good; its name, if it was not revoked before.
pub(in super::super) async fn revoke_token(
    connection: &mut PgConnection,
    account: ServiceAccountId,
    id: ApiTokenId,
    now: DateTime<Utc>,
) -> Result<Option<String>> {
    sqlx::query_scalar!(
        "update api_tokens set revoked_at = $3
         where api_token_id = $1 and service_account_id = $2 and revoked_at is null
         returning name",
        id.as_uuid(),
        account.as_uuid(),
        now
    )
    .fetch_optional(connection)
    .await
}
