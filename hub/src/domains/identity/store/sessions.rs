//! SQL of browsers that are signed in, and of what time removes.

use chrono::{DateTime, TimeDelta, Utc};
use ipnetwork::IpNetwork;
use openpam_ids::{AuthSessionId, TenantId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{super::types::AuthSession, Result};

/// A sign-in to write down.
pub(in super::super) struct NewAuthSession<'a> {
    pub(in super::super) id: AuthSessionId,
    pub(in super::super) tenant_id: TenantId,
    pub(in super::super) user_id: UserId,
    pub(in super::super) secret_hash: &'a [u8],
    pub(in super::super) provider_session: Option<&'a str>,
    pub(in super::super) client_ip: Option<IpNetwork>,
    pub(in super::super) user_agent: &'a str,
    pub(in super::super) now: DateTime<Utc>,
    pub(in super::super) expires_at: DateTime<Utc>,
}

pub(in super::super) async fn insert(connection: &mut PgConnection, session: &NewAuthSession<'_>) -> Result<()> {
    sqlx::query!(
        "insert into auth_sessions (auth_session_id, tenant_id, user_id, secret_hash, provider_session, client_ip,
                                    user_agent, created_at, last_seen_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)",
        session.id.as_uuid(),
        session.tenant_id.as_uuid(),
        session.user_id.as_uuid(),
        session.secret_hash,
        session.provider_session,
        session.client_ip,
        session.user_agent,
        session.now,
        session.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the oldest sign-ins of a person beyond the newest `most`.
pub(in super::super) async fn keep_newest(
    connection: &mut PgConnection,
    user: UserId,
    most: i64,
    now: DateTime<Utc>,
) -> Result<Vec<AuthSessionId>> {
    sqlx::query_scalar!(
        r#"update auth_sessions set revoked_at = $3
           where user_id = $1 and revoked_at is null and auth_session_id in (
               select auth_session_id from auth_sessions
               where user_id = $1 and revoked_at is null
               order by created_at desc, auth_session_id desc offset $2)
           returning auth_session_id as "id: _""#,
        user.as_uuid(),
        most,
        now
    )
    .fetch_all(connection)
    .await
}

/// Notes when each sign-in was active last, unless it is known to have been within `interval` before.
pub(in super::super) async fn touch(
    connection: &mut PgConnection,
    active: &[(AuthSessionId, DateTime<Utc>)],
    interval: TimeDelta,
) -> Result<()> {
    let (ids, times): (Vec<_>, Vec<_>) = active.iter().map(|(id, at)| (id.as_uuid(), *at)).unzip();
    sqlx::query!(
        "update auth_sessions set last_seen_at = active.at
         from unnest($1::uuid[], $2::timestamptz[]) as active (id, at)
         where auth_session_id = active.id and last_seen_at + make_interval(secs => $3) <= active.at
           and revoked_at is null",
        &ids,
        &times,
        interval.as_seconds_f64()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives the sign-in another secret; the present one stays good for a moment. False when it ended meanwhile or got one
/// within the `pause`.
pub(in super::super) async fn rotate(
    connection: &mut PgConnection,
    id: AuthSessionId,
    secret_hash: &[u8],
    now: DateTime<Utc>,
    pause: TimeDelta,
) -> Result<bool> {
    let done = sqlx::query!(
        "update auth_sessions
         set previous_secret_hash = secret_hash, secret_hash = $2, rotated_at = $3, last_seen_at = $3
         where auth_session_id = $1 and revoked_at is null and expires_at > $3
           and (rotated_at is null or rotated_at <= $4)",
        id.as_uuid(),
        secret_hash,
        now,
        now - pause
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Live sign-ins of a person, newest first, older than `before`.
pub(in super::super) async fn list(
    connection: &mut PgConnection,
    user: UserId,
    idle_timeout: TimeDelta,
    now: DateTime<Utc>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<AuthSession>> {
    sqlx::query_as!(
        AuthSession,
        r#"select auth_session_id as "id: _", created_at, last_seen_at, expires_at, client_ip as "client_ip: _", user_agent
           from auth_sessions
           where user_id = $1 and revoked_at is null and expires_at > $2 and last_seen_at > $3
             and ($4::uuid is null or auth_session_id < $4)
           order by auth_session_id desc
           limit $5"#,
        user.as_uuid(),
        now,
        now - idle_timeout,
        before,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Ends sign-ins of a person: `only` one, or all `except` one. The ids of those that ended.
pub(in super::super) async fn revoke(
    connection: &mut PgConnection,
    user: UserId,
    only: Option<AuthSessionId>,
    except: Option<AuthSessionId>,
    now: DateTime<Utc>,
) -> Result<Vec<AuthSessionId>> {
    sqlx::query_scalar!(
        r#"update auth_sessions set revoked_at = $4
           where user_id = $1 and revoked_at is null
             and ($2::uuid is null or auth_session_id = $2)
             and ($3::uuid is null or auth_session_id <> $3)
           returning auth_session_id as "id: AuthSessionId""#,
        user.as_uuid(),
        only.map(Uuid::from),
        except.map(Uuid::from),
        now
    )
    .fetch_all(connection)
    .await
}

/// Removes what is over: sign-ins, flows and failures. Each statement takes a bounded number of
/// rows; the count of all.
pub(in super::super) async fn clean_up(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    idle_timeout: TimeDelta,
    lockout: TimeDelta,
) -> Result<u64> {
    let kept_until = now - TimeDelta::days(1);
    let mut removed = sqlx::query!(
        "delete from auth_sessions where auth_session_id in (
             select auth_session_id from auth_sessions
             where expires_at < $1 or revoked_at < $1 or last_seen_at < $2 limit 1000)",
        kept_until,
        kept_until - idle_timeout
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    removed += sqlx::query!(
        "delete from oidc_flows where oidc_flow_id in (
             select oidc_flow_id from oidc_flows where expires_at < $1 limit 1000)",
        now - TimeDelta::hours(1)
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    removed += sqlx::query!(
        "delete from login_failures where account_key in (
             select account_key from login_failures
             where window_start < $1 and (locked_until is null or locked_until < $2) limit 1000)",
        now - lockout,
        now
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    Ok(removed)
}
