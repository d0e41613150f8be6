//! SQL of signing in: what a password, a cookie or a token is checked against.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use openpam_ids::{ApiTokenId, AuthSessionId, GroupId, ServiceAccountId, TenantId, UserId};
use sqlx::PgConnection;

use super::Result;

/// A person's rights as stored; the configuration adds those of directory groups.
#[derive(Debug, Clone)]
pub(in super::super) struct Person {
    pub(in super::super) user_id: UserId,
    pub(in super::super) username: String,
    pub(in super::super) enabled: bool,
    pub(in super::super) roles: Vec<String>,
    pub(in super::super) groups: Vec<GroupId>,
    pub(in super::super) group_roles: Vec<String>,
    pub(in super::super) directory_groups: Vec<String>,
}

/// A browser's sign-in with the person behind it.
pub(in super::super) struct SignedIn {
    pub(in super::super) secret_hash: Vec<u8>,
    pub(in super::super) previous_secret_hash: Option<Vec<u8>>,
    pub(in super::super) rotated_at: Option<DateTime<Utc>>,
    pub(in super::super) last_seen_at: DateTime<Utc>,
    pub(in super::super) expires_at: DateTime<Utc>,
    pub(in super::super) revoked_at: Option<DateTime<Utc>>,
    pub(in super::super) person: Person,
}

/// The sign-in `id`, whatever its state, with its person's rights.
pub(in super::super) async fn signed_in(connection: &mut PgConnection, id: AuthSessionId) -> Result<Option<SignedIn>> {
    Ok(all_signed_in(connection, &[id]).await?.pop().map(|(_, signed_in)| signed_in))
}

/// The sign-ins `ids`, whatever their state, with their people's rights: one statement.
pub(in super::super) async fn all_signed_in(
    connection: &mut PgConnection,
    ids: &[AuthSessionId],
) -> Result<Vec<(AuthSessionId, SignedIn)>> {
    let ids = ids.iter().map(AuthSessionId::as_uuid).collect::<Vec<_>>();
    let rows = sqlx::query!(
        r#"select s.auth_session_id as "id: AuthSessionId", s.secret_hash, s.previous_secret_hash, s.rotated_at, s.last_seen_at, s.expires_at, s.revoked_at,
                  u.user_id as "user_id: UserId", u.username, u.enabled, u.roles,
                  array(select m.group_id from group_memberships m where m.user_id = u.user_id) as "groups!: Vec<GroupId>",
                  array(select distinct unnest(g.roles) from group_memberships m join groups g using (group_id)
                        where m.user_id = u.user_id) as "group_roles!: Vec<String>",
                  array(select g.external_id from group_memberships m join groups g using (group_id)
                        where m.user_id = u.user_id and g.source = 'oidc') as "directory_groups!: Vec<String>"
           from auth_sessions s join users u using (user_id)
           where s.auth_session_id = any ($1)"#,
        &ids
    )
    .fetch_all(connection)
    .await?;
    let found = rows.into_iter().map(|row| {
        let person = Person {
            user_id: row.user_id,
            username: row.username,
            enabled: row.enabled,
            roles: row.roles,
            groups: row.groups,
            group_roles: row.group_roles,
            directory_groups: row.directory_groups,
        };
        let signed_in = SignedIn {
            secret_hash: row.secret_hash,
            previous_secret_hash: row.previous_secret_hash,
            rotated_at: row.rotated_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            person,
        };
        (row.id, signed_in)
    });
    Ok(found.collect())
}

/// A local account as a password is checked against it.
pub(in super::super) struct LocalAccount {
    pub(in super::super) user_id: UserId,
    pub(in super::super) username: String,
    pub(in super::super) enabled: bool,
    pub(in super::super) password_hash: Option<String>,
}

/// The local account called `username`.
pub(in super::super) async fn local_account(
    connection: &mut PgConnection,
    username: &str,
) -> Result<Option<LocalAccount>> {
    sqlx::query_as!(
        LocalAccount,
        r#"select user_id as "user_id: _", username, enabled, password_hash
           from users where source = 'local' and lower(username) = lower($1)"#,
        username
    )
    .fetch_optional(connection)
    .await
}

/// The local account `id`.
pub(in super::super) async fn local_account_by_id(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<LocalAccount>> {
    sqlx::query_as!(
        LocalAccount,
        r#"select user_id as "user_id: _", username, enabled, password_hash
           from users where source = 'local' and user_id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Notes a successful sign-in of a local account, if it is still enabled and has this hash still.
pub(in super::super) async fn note_local_login(
    connection: &mut PgConnection,
    id: UserId,
    password_hash: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let done = sqlx::query!(
        "update users set last_login_at = $3 where user_id = $1 and enabled and password_hash = $2",
        id.as_uuid(),
        password_hash,
        now
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts an attempt before it is checked, so that attempts at the same time count too. Answers
/// until when the name is locked: from the attempt after `most_failures` failures on, for `lockout`.
pub(in super::super) async fn count_attempt(
    connection: &mut PgConnection,
    tenant: TenantId,
    account_key: &str,
    most_failures: i32,
    lockout: chrono::TimeDelta,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let row = sqlx::query!(
        r#"insert into login_failures as known (tenant_id, account_key, failures, window_start)
           values ($1, $2, 1, $3)
           on conflict on constraint login_failures_key do update set
               failures = case when coalesce(known.locked_until, known.window_start + make_interval(secs => $5)) <= $3 then 1
                               else least(known.failures + 1, 1000000) end,
               window_start = case when coalesce(known.locked_until, known.window_start + make_interval(secs => $5)) <= $3 then $3
                                   else known.window_start end,
               locked_until = case when coalesce(known.locked_until, known.window_start + make_interval(secs => $5)) <= $3 then null
                                   when known.locked_until is null and known.failures >= $4 then $3 + make_interval(secs => $5)
                                   else known.locked_until end
           returning locked_until"#,
        tenant.as_uuid(),
        account_key,
        now,
        most_failures,
        lockout.as_seconds_f64(),
    )
    .fetch_one(connection)
    .await?;
    Ok(row.locked_until)
}

/// Of these account names those that are locked at `now`, and until when.
pub(in super::super) async fn locks(
    connection: &mut PgConnection,
    account_keys: &[String],
    now: DateTime<Utc>,
) -> Result<HashMap<String, DateTime<Utc>>> {
    let rows = sqlx::query!(
        r#"select account_key, locked_until as "locked_until!" from login_failures
           where account_key = any ($1) and locked_until > $2"#,
        account_keys,
        now
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.account_key, row.locked_until)).collect())
}

/// Forgets the failures of an account name; whether there were any.
pub(in super::super) async fn forget_failures(connection: &mut PgConnection, account_key: &str) -> Result<bool> {
    let done =
        sqlx::query!("delete from login_failures where account_key = $1", account_key).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

/// An API token with the account behind it.
pub(in super::super) struct TokenAccount {
    pub(in super::super) api_token_id: ApiTokenId,
    pub(in super::super) scopes: Vec<String>,
    pub(in super::super) expires_at: DateTime<Utc>,
    pub(in super::super) revoked_at: Option<DateTime<Utc>>,
    pub(in super::super) last_used_at: Option<DateTime<Utc>>,
    pub(in super::super) service_account_id: ServiceAccountId,
    pub(in super::super) name: String,
    pub(in super::super) enabled: bool,
    pub(in super::super) roles: Vec<String>,
}

/// The token with that hash.
pub(in super::super) async fn token(connection: &mut PgConnection, hash: &[u8]) -> Result<Option<TokenAccount>> {
    sqlx::query_as!(
        TokenAccount,
        r#"select t.api_token_id as "api_token_id: _", t.scopes, t.expires_at, t.revoked_at, t.last_used_at,
                  a.service_account_id as "service_account_id: _", a.name, a.enabled, a.roles
           from api_tokens t join service_accounts a using (service_account_id)
           where t.token_hash = $1"#,
        hash
    )
    .fetch_optional(connection)
    .await
}

/// Notes that a token was used.
pub(in super::super) async fn note_token_use(
    connection: &mut PgConnection,
    id: ApiTokenId,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!("update api_tokens set last_used_at = $2 where api_token_id = $1", id.as_uuid(), now)
        .execute(connection)
        .await?;
    Ok(())
}

/// What `/auth/me` tells beyond the principal.
pub(in super::super) struct Profile {
    pub(in super::super) user_id: UserId,
    pub(in super::super) username: String,
    pub(in super::super) display_name: String,
    pub(in super::super) email: Option<String>,
    pub(in super::super) source: String,
    pub(in super::super) oidc_groups_overage: bool,
    pub(in super::super) tenant_slug: String,
    pub(in super::super) tenant_name: String,
    pub(in super::super) session_created_at: DateTime<Utc>,
    pub(in super::super) session_last_seen_at: DateTime<Utc>,
    pub(in super::super) session_expires_at: DateTime<Utc>,
}

/// The person and tenant behind a sign-in.
pub(in super::super) async fn profile(connection: &mut PgConnection, id: AuthSessionId) -> Result<Option<Profile>> {
    sqlx::query_as!(
        Profile,
        r#"select u.user_id as "user_id: _", u.username, u.display_name, u.email, u.source, u.oidc_groups_overage,
                  t.slug as tenant_slug, t.name as tenant_name, s.created_at as session_created_at,
                  s.last_seen_at as session_last_seen_at, s.expires_at as session_expires_at
           from auth_sessions s join users u using (user_id) join tenants t on t.tenant_id = u.tenant_id
           where s.auth_session_id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Names of a person's groups.
pub(in super::super) async fn group_names(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Vec<(GroupId, String)>> {
    let rows = sqlx::query!(
        r#"select g.group_id as "group_id: GroupId", g.name
           from group_memberships m join groups g using (group_id)
           where m.user_id = $1 order by lower(g.name)"#,
        user.as_uuid()
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.group_id, row.name)).collect())
}

/// Slug of the transaction's tenant.
pub(in super::super) async fn tenant_slug(connection: &mut PgConnection) -> Result<Option<String>> {
    sqlx::query_scalar!("select slug from tenants").fetch_optional(connection).await
}
