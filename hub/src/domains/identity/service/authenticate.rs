//! From a cookie or a token to a principal.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::TimeDelta;
use openpam_ids::{AuthSessionId, UserId};
use openpam_secret::SecretHash;
use sqlx::PgConnection;

use super::super::{
    Identity, IdentityError,
    credentials::{SessionCookie, parse_token},
    store::{
        sessions,
        sign_in::{self, Person, SignedIn},
    },
};
use crate::{
    context::{Actor, Context, Principal, Role},
    http::ClientInfo,
    state::Hub,
};

/// How long the secret before a rotation stays good: requests under way still carry it.
const ROTATION_GRACE: TimeDelta = TimeDelta::seconds(30);
/// `last_seen_at` and `last_used_at` are written at most this often.
const TOUCH_INTERVAL: TimeDelta = TimeDelta::seconds(60);

/// How often activity of a sign-in is written: often enough that who is active is never idle.
fn touch_interval(identity: &Identity) -> TimeDelta {
    TOUCH_INTERVAL.min(identity.idle_timeout() / 4)
}

/// The context behind a session cookie; `None` when it proves nothing (any more).
pub(in super::super) async fn by_cookie(
    hub: &Hub,
    client: &ClientInfo,
    value: &str,
) -> Result<Option<Context>, IdentityError> {
    let Some(cookie) = SessionCookie::parse(value) else { return Ok(None) };
    let mut context = Context {
        tenant_id: cookie.tenant_id,
        principal: Arc::new(Principal::anonymous("browser")),
        request_id: client.request_id.clone(),
        client_ip: client.ip,
        claim: None,
    };
    let now = hub.clock().now();
    let mut tx = hub.db().begin(&context).await?;
    let Some(signed_in) = sign_in::signed_in(&mut tx, cookie.auth_session_id).await? else { return Ok(None) };
    if !secret_matches(&signed_in, &cookie.secret_hash, now) || !is_present(hub, &signed_in, now) {
        return Ok(None);
    }
    let interval = touch_interval(hub.identity());
    if signed_in.last_seen_at + interval <= now {
        sessions::touch(&mut tx, &[(cookie.auth_session_id, now)], interval).await?;
        tx.commit().await.map_err(crate::db::DbError::from)?;
    }
    context.principal = Arc::new(person_principal(hub.identity(), &signed_in.person, Some(cookie.auth_session_id)));
    Ok(Some(context))
}

/// The context behind an API token.
pub(in super::super) async fn by_token(hub: &Hub, client: &ClientInfo, text: &str) -> Result<Context, IdentityError> {
    let (tenant_id, hash) = parse_token(text).ok_or(IdentityError::Unauthenticated)?;
    let mut context = Context {
        tenant_id,
        principal: Arc::new(Principal::anonymous("token")),
        request_id: client.request_id.clone(),
        client_ip: client.ip,
        claim: None,
    };
    let now = hub.clock().now();
    let mut tx = hub.db().begin(&context).await?;
    let token = sign_in::token(&mut tx, hash.as_bytes()).await?.ok_or(IdentityError::Unauthenticated)?;
    if !token.enabled || token.revoked_at.is_some() || token.expires_at <= now {
        return Err(IdentityError::Unauthenticated);
    }
    if token.last_used_at.is_none_or(|used| used + TOUCH_INTERVAL <= now) {
        sign_in::note_token_use(&mut tx, token.api_token_id, now).await?;
        tx.commit().await.map_err(crate::db::DbError::from)?;
    }
    context.principal = Arc::new(Principal {
        actor: Actor::ServiceAccount(token.service_account_id),
        name: token.name,
        roles: Role::set(token.roles.iter().map(String::as_str)),
        groups: Vec::new(),
        auth_session: None,
        scopes: (!token.scopes.is_empty()).then(|| token.scopes.into_iter().collect()),
        token_expires_at: Some(token.expires_at),
    });
    Ok(context)
}

/// The person as they are right now, for a session that runs: `None` when the account was disabled
/// or removed, or the sign-in was revoked or reached its absolute end. A sign-in that is merely
/// idle counts: the session has an idle limit of its own.
///
/// # Errors
/// When the database does not answer.
pub async fn principal_of(
    hub: &Hub,
    connection: &mut PgConnection,
    user_id: UserId,
    auth_session: AuthSessionId,
) -> Result<Option<Principal>, IdentityError> {
    let found = sign_in::signed_in(connection, auth_session).await?;
    Ok(found
        .filter(|signed_in| signed_in.person.user_id == user_id && is_live(signed_in, hub.clock().now()))
        .map(|signed_in| person_principal(hub.identity(), &signed_in.person, Some(auth_session))))
}

/// The person of a page that only listens, as they are right now: `None` also when the sign-in is idle.
/// Listening keeps nobody signed in.
///
/// # Errors
/// When the database does not answer.
pub async fn listener(
    hub: &Hub,
    connection: &mut PgConnection,
    user_id: UserId,
    auth_session: AuthSessionId,
) -> Result<Option<Principal>, IdentityError> {
    let found = sign_in::signed_in(connection, auth_session).await?;
    Ok(found
        .filter(|signed_in| signed_in.person.user_id == user_id && is_present(hub, signed_in, hub.clock().now()))
        .map(|signed_in| person_principal(hub.identity(), &signed_in.person, Some(auth_session))))
}

/// The people behind these sign-ins as they are right now, as [`principal_of`] answers for each; who
/// is not in the answer has no access any more. One statement, however many there are.
///
/// # Errors
/// When the database does not answer.
pub async fn principals_of(
    hub: &Hub,
    connection: &mut PgConnection,
    auth_sessions: &[AuthSessionId],
) -> Result<HashMap<AuthSessionId, Arc<Principal>>, IdentityError> {
    let now = hub.clock().now();
    let found = sign_in::all_signed_in(connection, auth_sessions).await?;
    let live = found.into_iter().filter(|(_, signed_in)| is_live(signed_in, now));
    Ok(live.map(|(id, found)| (id, Arc::new(person_principal(hub.identity(), &found.person, Some(id))))).collect())
}

/// Counts work in sessions (keys pressed in a terminal, and when) as activity of their sign-ins, so
/// that who works in a terminal is not signed out of the pages around it. Writes at most once a
/// minute for each.
///
/// # Errors
/// When the database does not answer.
pub async fn note_activity(
    hub: &Hub,
    connection: &mut PgConnection,
    active: &[(AuthSessionId, chrono::DateTime<chrono::Utc>)],
) -> Result<(), IdentityError> {
    Ok(sessions::touch(connection, active, touch_interval(hub.identity())).await?)
}

fn is_live(signed_in: &SignedIn, now: chrono::DateTime<chrono::Utc>) -> bool {
    signed_in.person.enabled && signed_in.revoked_at.is_none() && signed_in.expires_at > now
}

/// As [`is_live`], and not idle for too long either.
fn is_present(hub: &Hub, signed_in: &SignedIn, now: chrono::DateTime<chrono::Utc>) -> bool {
    is_live(signed_in, now) && signed_in.last_seen_at + hub.identity().idle_timeout() > now
}

fn secret_matches(signed_in: &SignedIn, hash: &SecretHash, now: chrono::DateTime<chrono::Utc>) -> bool {
    if hash.matches(&signed_in.secret_hash) {
        return true;
    }
    let in_grace = signed_in.rotated_at.is_some_and(|rotated| rotated + ROTATION_GRACE > now);
    in_grace && signed_in.previous_secret_hash.as_deref().is_some_and(|previous| hash.matches(previous))
}

pub(in super::super) fn person_principal(
    identity: &Identity,
    person: &Person,
    auth_session: Option<AuthSessionId>,
) -> Principal {
    Principal {
        actor: Actor::User(person.user_id),
        name: person.username.clone(),
        roles: effective_roles(identity, &person.roles, &person.group_roles, &person.directory_groups),
        groups: person.groups.clone(),
        auth_session,
        scopes: None,
        token_expires_at: None,
    }
}

/// Direct roles, those of local groups, and those the configuration gives to directory groups.
pub(in super::super) fn effective_roles(
    identity: &Identity,
    direct: &[String],
    of_groups: &[String],
    directory_groups: &[String],
) -> BTreeSet<Role> {
    let mut roles = Role::set(direct.iter().chain(of_groups).map(String::as_str));
    for group in directory_groups {
        roles.extend(identity.roles_of_directory_group(group));
    }
    roles
}
