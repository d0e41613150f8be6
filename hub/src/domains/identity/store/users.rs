//! SQL of people.

use openpam_ids::{TenantId, UserId};
use sqlx::PgConnection;

use super::{super::types::NewUser, Result, role_names};

pub(in super::super) async fn insert_local(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: UserId,
    user: &NewUser,
    password_hash: Option<&str>,
) -> Result<()> {
    sqlx::query!(
        "insert into users (user_id, tenant_id, source, username, display_name, email, roles, password_hash)
         values ($1, $2, 'local', $3, $4, $5, $6, $7)",
        id.as_uuid(),
        tenant.as_uuid(),
        user.username,
        user.display_name,
        user.email,
        &role_names(&user.roles),
        password_hash,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Replaces the password of a local account; whether there is one.
pub(in super::super) async fn set_password(connection: &mut PgConnection, id: UserId, hash: &str) -> Result<bool> {
    let done =
        sqlx::query!("update users set password_hash = $2 where user_id = $1 and source = 'local'", id.as_uuid(), hash)
            .execute(connection)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes the tenant, with its settings; nothing when it is there already.
pub(in super::super) async fn ensure_tenant(
    connection: &mut PgConnection,
    id: TenantId,
    slug: &str,
    name: &str,
) -> Result<()> {
    sqlx::query!(
        "insert into tenants (tenant_id, slug, name) values ($1, $2, $3) on conflict (tenant_id) do nothing",
        id.as_uuid(),
        slug,
        name
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("insert into settings (tenant_id) values ($1) on conflict (tenant_id) do nothing", id.as_uuid())
        .execute(connection)
        .await?;
    Ok(())
}

/// The tenant called `slug`, before any tenant is set.
pub(in super::super) async fn tenant_by_slug(connection: &mut PgConnection, slug: &str) -> Result<Option<TenantId>> {
    let id = sqlx::query_scalar!("select openpam.tenant_by_slug($1)", slug).fetch_one(connection).await?;
    Ok(id.map(TenantId::from_uuid))
}
