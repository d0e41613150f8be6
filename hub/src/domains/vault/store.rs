//! SQL of credentials and of which targets they may be used on.

use chrono::{DateTime, Utc};
use openpam_ids::{CredentialId, TargetId, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::types::{Credential, CredentialFilter, CredentialKind};
use crate::db::like_pattern;

type Result<T> = std::result::Result<T, sqlx::Error>;

struct CredentialRow {
    id: CredentialId,
    name: String,
    description: String,
    kind: String,
    username: String,
    vault_path: Option<String>,
    vault_version: Option<i32>,
    ssh_role: Option<String>,
    managed: bool,
    target_count: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<CredentialRow> for Credential {
    type Error = sqlx::Error;

    fn try_from(row: CredentialRow) -> Result<Self> {
        let unknown = || sqlx::Error::ColumnDecode { index: "kind".into(), source: "is not a known name".into() };
        Ok(Self {
            id: row.id,
            name: row.name,
            description: row.description,
            kind: CredentialKind::from_name(&row.kind).ok_or_else(unknown)?,
            username: row.username,
            vault_path: row.vault_path,
            vault_version: row.vault_version,
            ssh_role: row.ssh_role,
            managed: row.managed,
            target_count: row.target_count,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

pub(super) async fn list(
    connection: &mut PgConnection,
    only: Option<CredentialId>,
    filter: &CredentialFilter,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<Credential>> {
    let (after_name, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        CredentialRow,
        r#"select credential_id as "id: _", name, description, kind, username, vault_path, vault_version, ssh_role,
                  managed,
                  (select count(*) from target_credentials used
                   where used.credential_id = credentials.credential_id) as "target_count!",
                  created_at, updated_at
           from credentials
           where ($1::uuid is null or credential_id = $1)
             and ($2::text is null or name || ' ' || username || ' ' || description ilike '%' || $2 || '%')
             and ($3::uuid is null or exists (
                     select from target_credentials used
                     where used.credential_id = credentials.credential_id and used.target_id = $3))
             and ($4::text is null or (lower(name), credential_id) > (lower($4), $5::uuid))
           order by lower(name), credential_id
           limit $6"#,
        only.map(Uuid::from),
        filter.text.as_deref().map(like_pattern),
        filter.target_id.map(Uuid::from),
        after_name,
        after_id,
        limit
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Credential::try_from).collect()
}

/// Holds other writers of this credential back until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection, id: CredentialId) -> Result<()> {
    sqlx::query!("select 1 as held from credentials where credential_id = $1 for no key update", id.as_uuid())
        .fetch_optional(connection)
        .await?;
    Ok(())
}

/// Notes that the vault may hold a secret at `path` that no credential refers to.
pub(super) async fn note_orphan(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: CredentialId,
    path: &str,
) -> Result<()> {
    sqlx::query!(
        "insert into vault_orphans (tenant_id, credential_id, vault_path) values ($1, $2, $3)
         on conflict on constraint vault_orphans_key do update set vault_path = excluded.vault_path, created_at = now()",
        tenant.as_uuid(),
        id.as_uuid(),
        path
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The secret is gone, or has its credential.
pub(super) async fn forget_orphan(connection: &mut PgConnection, id: CredentialId) -> Result<()> {
    sqlx::query!("delete from vault_orphans where credential_id = $1", id.as_uuid()).execute(connection).await?;
    Ok(())
}

/// Secrets that were noted before `before`.
pub(super) async fn orphans(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> Result<Vec<(CredentialId, String)>> {
    let rows = sqlx::query!(
        r#"select credential_id as "id: CredentialId", vault_path from vault_orphans
           where created_at < $1 order by created_at limit 100"#,
        before
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.vault_path)).collect())
}

pub(super) async fn insert(connection: &mut PgConnection, tenant: TenantId, credential: &Credential) -> Result<()> {
    sqlx::query!(
        "insert into credentials (credential_id, tenant_id, name, description, kind, username, vault_path,
                                  vault_version, ssh_role, managed)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        credential.id.as_uuid(),
        tenant.as_uuid(),
        credential.name,
        credential.description,
        credential.kind.name(),
        credential.username,
        credential.vault_path,
        credential.vault_version,
        credential.ssh_role,
        credential.managed
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn update(connection: &mut PgConnection, credential: &Credential) -> Result<()> {
    sqlx::query!(
        "update credentials set name = $2, description = $3, username = $4, vault_path = $5, vault_version = $6,
                ssh_role = $7, managed = $8
         where credential_id = $1",
        credential.id.as_uuid(),
        credential.name,
        credential.description,
        credential.username,
        credential.vault_path,
        credential.vault_version,
        credential.ssh_role,
        credential.managed
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete(connection: &mut PgConnection, id: CredentialId) -> Result<()> {
    sqlx::query!("delete from credentials where credential_id = $1", id.as_uuid()).execute(connection).await?;
    Ok(())
}

/// Which credentials may be used on which of the targets, in the target's order.
pub(super) async fn of_targets(
    connection: &mut PgConnection,
    targets: &[TargetId],
) -> Result<Vec<(TargetId, CredentialId)>> {
    let targets: Vec<Uuid> = targets.iter().map(TargetId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"select target_id as "target_id: TargetId", credential_id as "credential_id: CredentialId"
           from target_credentials join credentials using (tenant_id, credential_id)
           where target_id = any ($1)
           order by position, lower(name), credential_id"#,
        &targets
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.target_id, row.credential_id)).collect())
}

pub(super) async fn set_of_target(
    connection: &mut PgConnection,
    tenant: TenantId,
    target: TargetId,
    credentials: &[CredentialId],
) -> Result<()> {
    let credentials: Vec<Uuid> = credentials.iter().map(CredentialId::as_uuid).collect();
    sqlx::query!(
        "delete from target_credentials where target_id = $1 and credential_id <> all ($2)",
        target.as_uuid(),
        &credentials
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into target_credentials (tenant_id, target_id, credential_id, position)
         select $1, $2, credential_id, min(place)::int from unnest($3::uuid[]) with ordinality as wanted (credential_id, place)
         group by credential_id
         on conflict on constraint target_credentials_key do update set position = excluded.position
         where target_credentials.position <> excluded.position",
        tenant.as_uuid(),
        target.as_uuid(),
        &credentials
    )
    .execute(connection)
    .await?;
    Ok(())
}
