//! What every way to sign in ends with: an auth session, its cookie, and who it is.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use openpam_ids::{AuthSessionId, GroupId, TenantId, UserId};
use openpam_secret::{ExposeSecret as _, SecretHash, SecretString, random_token};
use sqlx::PgConnection;

use super::{
    super::{
        IdentityError,
        credentials::SessionCookie,
        store::{
            sessions::{self, NewAuthSession},
            sign_in::{self, Profile},
        },
        types::AuthSession,
    },
    authenticate, users,
};
use crate::{
    context::{Actor, Context, Principal},
    domains::{
        audit::{self, Event},
        events,
    },
    http::ClientInfo,
    state::Hub,
};

/// Sign-ins that one person has at a time, at most: with one more the oldest ends.
const MOST_OF_ONE: i64 = 1_000;

/// A browser that was just signed in.
pub(in super::super) struct SignedIn {
    pub(in super::super) context: Context,
    /// The cookie's value, where it is another now.
    pub(in super::super) cookie: Option<SecretString>,
    pub(in super::super) expires_at: DateTime<Utc>,
}

/// Who is signed in, for `/auth/me`.
pub(in super::super) struct Me {
    pub(in super::super) profile: Profile,
    pub(in super::super) groups: Vec<(GroupId, String)>,
}

/// A context of somebody who is about to sign in.
pub(in super::super) fn anonymous(client: &ClientInfo, tenant_id: TenantId, name: &str) -> Context {
    Context {
        tenant_id,
        principal: Arc::new(Principal::anonymous(name)),
        request_id: client.request_id.clone(),
        client_ip: client.ip,
        claim: None,
    }
}

/// Makes the auth session of a person who proved who they are, and writes that down.
pub(in super::super) async fn begin(
    hub: &Hub,
    connection: &mut PgConnection,
    client: &ClientInfo,
    tenant_id: TenantId,
    user_id: UserId,
    method: &'static str,
    provider_session: Option<&str>,
) -> Result<SignedIn, IdentityError> {
    let now = hub.clock().now();
    let id: AuthSessionId = hub.ids().fresh();
    let secret = random_token::<32>(hub.random())?;
    let expires_at = now + hub.identity().absolute_timeout();
    let hash = SecretHash::of(secret.expose_secret().as_bytes());
    sessions::insert(
        connection,
        &NewAuthSession {
            id,
            tenant_id,
            user_id,
            secret_hash: hash.as_bytes(),
            provider_session,
            client_ip: client.ip.map(Into::into),
            user_agent: &client.user_agent,
            now,
            expires_at,
        },
    )
    .await?;
    let ended = sessions::keep_newest(connection, user_id, MOST_OF_ONE, now).await?;
    let principal =
        authenticate::principal_of(hub, connection, user_id, id).await?.ok_or(IdentityError::AccountDisabled)?;
    let context = Context {
        tenant_id,
        principal: Arc::new(principal),
        request_id: client.request_id.clone(),
        client_ip: client.ip,
        claim: None,
    };
    let mut event = Event::success("identity.login")
        .on("user", user_id, &context.principal.name)
        .with("method", method)
        .with("auth_session_id", id.to_string());
    if !ended.is_empty() {
        hub.identity().forget(&ended);
        event = event.with("sign_ins_ended", ended.len());
    }
    audit::record(connection, &context, event).await?;
    let signed_in = events::Event::UserSignedIn { user_id, username: context.principal.name.clone(), method };
    events::publish(connection, &context, &signed_in).await?;
    Ok(SignedIn { context, cookie: Some(SessionCookie::value(tenant_id, id, &secret)), expires_at })
}

/// Who the context's browser belongs to.
pub(in super::super) async fn me(hub: &Hub, context: &Context) -> Result<Me, IdentityError> {
    let (user, session) = browser(context)?;
    let mut tx = hub.db().begin(context).await?;
    let profile = sign_in::profile(&mut tx, session).await?.ok_or(IdentityError::Unauthenticated)?;
    let groups = sign_in::group_names(&mut tx, user).await?;
    Ok(Me { profile, groups })
}

/// Ends the context's own sign-in.
pub(in super::super) async fn log_out(hub: &Hub, context: &Context) -> Result<(), IdentityError> {
    let (user, session) = browser(context)?;
    let mut tx = hub.db().begin(context).await?;
    sessions::revoke(&mut tx, user, Some(session), None, hub.clock().now()).await?;
    let event = Event::success("identity.logout").on("user", user, &context.principal.name);
    audit::record(&mut tx, context, event.with("auth_session_id", session.to_string())).await?;
    tx.commit().await.map_err(crate::db::DbError::from)?;
    hub.identity().forget(&[session]);
    Ok(())
}

/// Live sign-ins of a person.
pub(in super::super) async fn list(
    hub: &Hub,
    context: &Context,
    user: UserId,
    before: Option<uuid::Uuid>,
    limit: i64,
) -> Result<Vec<AuthSession>, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    let idle = hub.identity().idle_timeout();
    Ok(sessions::list(&mut tx, user, idle, hub.clock().now(), before, limit).await?)
}

/// Ends one sign-in of a person, or all `except` one.
pub(in super::super) async fn revoke(
    hub: &Hub,
    context: &Context,
    user: UserId,
    only: Option<AuthSessionId>,
    except: Option<AuthSessionId>,
) -> Result<(), IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    if context.principal.scopes.is_some() {
        let person = users::get_in(&mut tx, hub, user).await?;
        users::within_scope(context, &person.effective_roles)?;
    }
    let ended = sessions::revoke(&mut tx, user, only, except, hub.clock().now()).await?;
    if only.is_some() && ended.is_empty() {
        return Err(IdentityError::NotFound("sign-in"));
    }
    let ids = ended.iter().map(ToString::to_string).collect::<Vec<_>>();
    let event = Event::success("identity.session_revoke")
        .on("user", user, "")
        .with("sign_ins_ended", ids.len())
        .with("auth_session_ids", ids);
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(crate::db::DbError::from)?;
    hub.identity().forget(&ended);
    Ok(())
}

/// The person and sign-in behind a request that came with a cookie.
pub(in super::super) fn browser(context: &Context) -> Result<(UserId, AuthSessionId), IdentityError> {
    match (context.principal.actor, context.principal.auth_session) {
        (Actor::User(user), Some(session)) => Ok((user, session)),
        _ => Err(IdentityError::NotAPerson),
    }
}
