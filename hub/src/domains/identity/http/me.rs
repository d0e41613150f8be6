//! Who is signed in, as the console sees it; and the cookie that says so.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, header};
use openpam_ids::{AuthSessionId, GroupId, TenantId, UserId};
use openpam_secret::ExposeSecret as _;
use serde::Serialize;

use super::super::{
    IdentityError,
    service::sign_in::{self, SignedIn},
    types::Source,
};
use crate::{
    context::{Context, Role},
    http::{Problem, session_cookie_name},
    permissions::permissions_of,
    state::Hub,
};

/// The person.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MeUser {
    id: UserId,
    username: String,
    display_name: String,
    email: Option<String>,
    #[schema(value_type = Source)]
    source: String,
}

/// The tenant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MeTenant {
    id: TenantId,
    slug: String,
    name: String,
}

/// A group the person is in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MeGroup {
    id: GroupId,
    name: String,
}

/// This browser's sign-in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MeAuthSession {
    id: AuthSessionId,
    created_at: DateTime<Utc>,
    /// When it ends in any case.
    expires_at: DateTime<Utc>,
    /// When it ends without a request; each request moves it, to the minute.
    idle_expires_at: DateTime<Utc>,
}

/// Who is signed in and what they may do.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Me {
    user: MeUser,
    tenant: MeTenant,
    roles: Vec<Role>,
    permissions: Vec<&'static str>,
    groups: Vec<MeGroup>,
    auth_session: MeAuthSession,
    /// The directory sent a reference instead of the groups because there are too many of them: the
    /// person has no directory groups until an administrator limits which groups are sent.
    oidc_groups_overage: bool,
}

pub(super) async fn me(hub: &Hub, context: &Context) -> Result<Me, IdentityError> {
    let sign_in::Me { profile, groups } = sign_in::me(hub, context).await?;
    let idle_end = profile.session_last_seen_at + hub.identity().idle_timeout();
    Ok(Me {
        user: MeUser {
            id: profile.user_id,
            username: profile.username,
            display_name: profile.display_name,
            email: profile.email,
            source: profile.source,
        },
        tenant: MeTenant { id: context.tenant_id, slug: profile.tenant_slug, name: profile.tenant_name },
        roles: context.principal.roles.iter().copied().collect(),
        permissions: permissions_of(&context.principal).into_iter().map(|permission| permission.name()).collect(),
        groups: groups.into_iter().map(|(id, name)| MeGroup { id, name }).collect(),
        auth_session: MeAuthSession {
            id: sign_in::browser(context)?.1,
            created_at: profile.session_created_at,
            expires_at: profile.session_expires_at,
            idle_expires_at: idle_end.min(profile.session_expires_at),
        },
        oidc_groups_overage: profile.oidc_groups_overage,
    })
}

/// The answer to a sign-in or a refresh: who it is, with the cookie.
pub(super) async fn answer(hub: &Hub, signed_in: SignedIn) -> Result<Response, Problem> {
    let body = me(hub, &signed_in.context).await?;
    Ok((session_cookie(hub, &signed_in)?, Json(body)).into_response())
}

/// The header that sets the session cookie; none where the browser's is still the one.
pub(super) fn session_cookie(hub: &Hub, signed_in: &SignedIn) -> Result<HeaderMap, IdentityError> {
    let Some(cookie) = &signed_in.cookie else { return Ok(HeaderMap::new()) };
    let left = (signed_in.expires_at - hub.clock().now()).num_seconds().max(0);
    set_cookie(hub, session_cookie_name(hub), cookie.expose_secret(), left)
}

/// The header that removes a cookie.
pub(super) fn clear_cookie(hub: &Hub, name: &str) -> Result<HeaderMap, IdentityError> {
    set_cookie(hub, name, "", 0)
}

pub(super) fn set_cookie(hub: &Hub, name: &str, value: &str, max_age: i64) -> Result<HeaderMap, IdentityError> {
    let secure = if hub.is_https() { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
    let mut value = HeaderValue::try_from(text).map_err(|error| IdentityError::Internal(error.to_string()))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(header::SET_COOKIE, value)]))
}
