//! SQL of people.

use chrono::{DateTime, Utc};
use openpam_ids::{GroupId, TenantId, UserId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::types::{NewUser, UserChange},
    Result, role_names,
};

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

pub(in super::super) async fn is_enabled(connection: &mut PgConnection, id: UserId) -> Result<Option<bool>> {
    sqlx::query_scalar!("select enabled from users where user_id = $1", id.as_uuid()).fetch_optional(connection).await
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

/// A person as stored; the configuration adds the roles of directory groups.
pub(in super::super) struct UserRow {
    pub(in super::super) id: UserId,
    pub(in super::super) source: String,
    pub(in super::super) username: String,
    pub(in super::super) display_name: String,
    pub(in super::super) email: Option<String>,
    pub(in super::super) enabled: bool,
    pub(in super::super) roles: Vec<String>,
    pub(in super::super) last_login_at: Option<DateTime<Utc>>,
    pub(in super::super) created_at: DateTime<Utc>,
    pub(in super::super) groups: Vec<GroupId>,
    pub(in super::super) group_roles: Vec<String>,
    pub(in super::super) directory_groups: Vec<String>,
}

/// People by user name, after a name and id; or `only` one.
pub(in super::super) async fn list(
    connection: &mut PgConnection,
    only: Option<UserId>,
    member_of: Option<GroupId>,
    text: Option<&str>,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<UserRow>> {
    let (after_name, after_id) = after.unzip();
    sqlx::query_as!(
        UserRow,
        r#"select u.user_id as "id: _", u.source, u.username, u.display_name, u.email, u.enabled, u.roles,
                  u.last_login_at, u.created_at,
                  array(select m.group_id from group_memberships m where m.user_id = u.user_id) as "groups!: Vec<GroupId>",
                  array(select distinct unnest(g.roles) from group_memberships m join groups g using (group_id)
                        where m.user_id = u.user_id) as "group_roles!: Vec<String>",
                  array(select g.external_id from group_memberships m join groups g using (group_id)
                        where m.user_id = u.user_id and g.source = 'oidc') as "directory_groups!: Vec<String>"
           from users u
           where ($1::uuid is null or u.user_id = $1)
             and ($2::uuid is null or exists (
                     select from group_memberships m where m.user_id = u.user_id and m.group_id = $2))
             and ($3::text is null
                  or strpos(lower(u.username || ' ' || u.display_name || ' ' || coalesce(u.email, '')), lower($3)) > 0)
             and ($4::text is null or (lower(u.username), u.user_id) > (lower($4), $5::uuid))
           order by lower(u.username), u.user_id
           limit $6"#,
        only.map(Uuid::from),
        member_of.map(Uuid::from),
        text,
        after_name,
        after_id,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Changes a person; absent fields stay.
pub(in super::super) async fn update(connection: &mut PgConnection, id: UserId, change: &UserChange) -> Result<()> {
    let roles = change.roles.as_ref().map(role_names);
    sqlx::query!(
        "update users set username = coalesce($2, username), display_name = coalesce($3, display_name),
                email = case when $4 then $5 else email end, enabled = coalesce($6, enabled), roles = coalesce($7, roles)
         where user_id = $1",
        id.as_uuid(),
        change.username,
        change.display_name,
        change.email.is_some(),
        change.email.clone().flatten(),
        change.enabled,
        roles.as_deref()
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(in super::super) async fn delete(connection: &mut PgConnection, id: UserId) -> Result<()> {
    sqlx::query!("delete from users where user_id = $1", id.as_uuid()).execute(connection).await?;
    Ok(())
}

/// Enabled local administrators with a password: who can still get in when the directory is gone.
/// Holds a lock until the transaction ends, so that two changes at once see each other.
pub(in super::super) async fn local_admins(connection: &mut PgConnection, tenant: TenantId) -> Result<i64> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('openpam administrators ' || $1::text, 0))",
        tenant.to_string()
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from users u
           where u.source = 'local' and u.enabled and u.password_hash is not null
             and ('admin' = any (u.roles) or exists (
                     select from group_memberships m join groups g using (group_id)
                     where m.user_id = u.user_id and 'admin' = any (g.roles)))"#
    )
    .fetch_one(connection)
    .await
}

/// What a person chose for the console.
pub(in super::super) async fn preferences(connection: &mut PgConnection, user: UserId) -> Result<Option<Value>> {
    sqlx::query_scalar!("select preferences from user_preferences where user_id = $1", user.as_uuid())
        .fetch_optional(connection)
        .await
}

pub(in super::super) async fn set_preferences(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    preferences: &Value,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "insert into user_preferences (tenant_id, user_id, preferences, updated_at) values ($1, $2, $3, $4)
         on conflict on constraint user_preferences_key do update
         set preferences = excluded.preferences, updated_at = excluded.updated_at",
        tenant.as_uuid(),
        user.as_uuid(),
        preferences,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}
