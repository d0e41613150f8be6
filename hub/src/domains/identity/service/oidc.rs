//! Signing in at the provider, refreshing, signing out there.

use chrono::TimeDelta;
use openpam_ids::TenantId;
use openpam_secret::{ExposeSecret as _, SecretHash, SecretString, random_token};
use openpam_telemetry::names;
use sqlx::PgConnection;
use tracing::Instrument as _;
use url::Url;

use super::{
    super::{
        IdentityError,
        credentials::SessionCookie,
        provider::{Callback, FlowSecrets, Provider},
        store::{
            flows::{self, DirectoryAccount, NewFlow},
            sessions, sign_in as store,
        },
        types::{DirectoryUser, is_local_path},
    },
    authenticate,
    claims::{self, Whose},
    sign_in::{self, SignedIn, anonymous, browser},
    users as people,
};
use crate::{
    context::{Actor, Context},
    db::DbError,
    domains::audit::{self, Event},
    http::ClientInfo,
    state::Hub,
};

/// How long a person may take at the provider.
pub(in super::super) const FLOW_LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// Within this time after a fresh secret there is no other: two pages that ask at once would each get one, and the browser
/// keeps the answer that comes last.
const ROTATION_PAUSE: TimeDelta = TimeDelta::seconds(10);
/// Length of a flow secret: 32 random bytes as unpadded base64.
const FLOW_SECRET_LENGTH: usize = 43;

/// A flow that began: where the browser goes, and the secret it keeps meanwhile.
pub(in super::super) struct Begun {
    pub(in super::super) url: Url,
    pub(in super::super) flow_secret: SecretString,
}

/// What came back from the provider.
pub(in super::super) struct Returned {
    pub(in super::super) state: String,
    pub(in super::super) issuer: Option<String>,
    /// The code, or the provider's error code.
    pub(in super::super) result: Result<SecretString, String>,
}

/// Begins a sign-in at the provider. A flow secret the browser has already serves on, so that two
/// tabs can sign in at the same time.
pub(in super::super) async fn begin(
    hub: &Hub,
    client: &ClientInfo,
    return_to: Option<&str>,
    flow_secret: Option<&str>,
) -> Result<Begun, IdentityError> {
    let provider = provider(hub)?;
    hub.identity().admit(client.ip)?;
    let tenant_id = tenant(hub, provider).await?;
    let flow_secret = match flow_secret.filter(|secret| secret.len() == FLOW_SECRET_LENGTH) {
        Some(secret) => SecretString::from(secret),
        None => random_token::<32>(hub.random())?,
    };
    let state = random_token::<32>(hub.random())?;
    let state = state.expose_secret();
    let url = provider.authorization_url(state, &FlowSecrets::derive(&flow_secret, state)).await?;
    let context = anonymous(client, tenant_id, "unknown");
    let mut tx = hub.db().begin(&context).await?;
    let state_hash = SecretHash::of(state.as_bytes());
    let binding_hash = SecretHash::of(flow_secret.expose_secret().as_bytes());
    let flow = NewFlow {
        id: hub.ids().fresh(),
        tenant_id,
        state_hash: state_hash.as_bytes(),
        binding_hash: binding_hash.as_bytes(),
        return_to: return_to.filter(|path| is_local_path(path)).unwrap_or("/"),
        expires_at: hub.clock().now() + FLOW_LIFETIME,
    };
    flows::insert(&mut tx, &flow).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(Begun { url, flow_secret })
}

/// How a flow ended.
pub(in super::super) struct Completed {
    pub(in super::super) outcome: Result<SignedIn, IdentityError>,
    /// The path the person wanted, where the flow was theirs: also after a refusal, for the next attempt.
    pub(in super::super) return_to: String,
}

/// Ends the flow. An error here is one that nothing could be written about.
pub(in super::super) async fn complete(
    hub: &Hub,
    client: &ClientInfo,
    returned: Returned,
    flow_secret: Option<&str>,
) -> Result<Completed, IdentityError> {
    let provider = provider(hub)?;
    hub.identity().admit(client.ip)?;
    let tenant_id = tenant(hub, provider).await?;
    let context = anonymous(client, tenant_id, "unknown");
    let mut return_to = "/".to_owned();
    let outcome = attempt(hub, client, provider, &context, returned, flow_secret, &mut return_to).await;
    if let Err(error) = &outcome {
        let mut tx = hub.db().begin(&context).await?;
        let event = Event::failure("identity.login").with("method", "oidc").with("code", error.code());
        audit::record(&mut tx, &context, event).await?;
        tx.commit().await.map_err(DbError::from)?;
    }
    let label = if outcome.is_ok() { "success" } else { "failure" };
    metrics::counter!(names::LOGINS, "method" => "oidc", "outcome" => label).increment(1);
    Ok(Completed { outcome, return_to })
}

async fn attempt(
    hub: &Hub,
    client: &ClientInfo,
    provider: &Provider,
    context: &Context,
    returned: Returned,
    flow_secret: Option<&str>,
    return_to: &mut String,
) -> Result<SignedIn, IdentityError> {
    let flow_secret = flow_secret
        .filter(|secret| secret.len() == FLOW_SECRET_LENGTH)
        .map(SecretString::from)
        .ok_or(IdentityError::LoginStateInvalid)?;
    let state_hash = SecretHash::of(returned.state.as_bytes());
    let binding_hash = SecretHash::of(flow_secret.expose_secret().as_bytes());
    let mut tx = hub.db().begin(context).await?;
    let flow = flows::take(&mut tx, state_hash.as_bytes(), binding_hash.as_bytes()).await?;
    tx.commit().await.map_err(DbError::from)?;
    let flow = flow.ok_or(IdentityError::LoginStateInvalid)?;
    *return_to = flow.return_to;
    if flow.expires_at <= hub.clock().now() {
        return Err(IdentityError::LoginExpired);
    }
    let code = returned.result.map_err(IdentityError::LoginRefused)?;
    let secrets = FlowSecrets::derive(&flow_secret, &returned.state);
    let vouched = provider.redeem(Callback { code, issuer: returned.issuer }, secrets).await?;

    let tenant_id = context.tenant_id;
    let mut tx = hub.db().begin(context).await?;
    let user = &vouched.user;
    let account = upsert(hub, &mut tx, context, user, true).await?;
    if !account.enabled {
        return Err(IdentityError::AccountDisabled);
    }
    let user_id = account.id;
    flows::replace_groups(&mut tx, tenant_id, user_id, &user.groups).await?;
    if account.is_new {
        people::publish_created(hub, &mut tx, context, user_id).await?;
    }
    let session = user.provider_session.as_deref();
    let signed_in = sign_in::begin(hub, &mut tx, client, tenant_id, user_id, "oidc", session).await?;
    tx.commit().await.map_err(DbError::from)?;
    if user.groups_overage {
        tracing::warn!(user = %user_id, "the directory sent too many groups to list: this person has none here");
    }
    if let (Some(token), Some(id)) = (vouched.refresh_token, signed_in.context.principal.auth_session) {
        let whose = (tenant_id, user_id);
        hub.identity().refresh_tokens().keep(id, whose, token, signed_in.expires_at, hub.clock().now());
    }
    Ok(signed_in)
}

/// Gives the browser a fresh cookie and the person fresh claims where the provider has them. A
/// provider that is down changes nothing; one that refuses ends the sign-in.
pub(in super::super) async fn refresh(
    hub: &Hub,
    client: &ClientInfo,
    context: &Context,
) -> Result<SignedIn, IdentityError> {
    let (user_id, session) = browser(context)?;
    let now = hub.clock().now();
    let (own_hub, own_context) = (hub.clone(), context.clone());
    // What the provider gives is given once: it is kept also when the browser goes away meanwhile.
    let claims = async move {
        claims::refresh(&own_hub, &own_context, Whose { user_id, session, name: &own_context.principal.name }).await
    };
    hub.lifecycle()
        .to_the_end(claims.instrument(tracing::Span::current()))
        .await
        .unwrap_or_else(|| Err(IdentityError::Internal("the hub is ending".to_owned())))?;
    let secret = random_token::<32>(hub.random())?;
    let hash = SecretHash::of(secret.expose_secret().as_bytes());
    let mut tx = hub.db().begin(context).await?;
    let rotated = sessions::rotate(&mut tx, session, hash.as_bytes(), now, ROTATION_PAUSE).await?;
    let Some(principal) = authenticate::principal_of(hub, &mut tx, user_id, session).await? else {
        // Signed out meanwhile: what was kept above is nobody's any more.
        hub.identity().forget(&[session]);
        return Err(IdentityError::SessionRevoked);
    };
    let profile = store::profile(&mut tx, session).await?.ok_or(IdentityError::SessionRevoked)?;
    let context = Context {
        tenant_id: context.tenant_id,
        principal: principal.into(),
        request_id: client.request_id.clone(),
        client_ip: client.ip,
        claim: None,
    };
    let event = Event::success("identity.refresh").on("user", user_id, &context.principal.name);
    audit::record(&mut tx, &context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    let cookie = rotated.then(|| SessionCookie::value(context.tenant_id, session, &secret));
    Ok(SignedIn { context, cookie, expires_at: profile.session_expires_at })
}

/// Takes over what the directory says about a person, and writes down who lost their name to them.
pub(super) async fn upsert(
    hub: &Hub,
    connection: &mut PgConnection,
    context: &Context,
    user: &DirectoryUser,
    signs_in: bool,
) -> Result<DirectoryAccount, IdentityError> {
    let now = signs_in.then(|| hub.clock().now());
    let account = flows::upsert_user(connection, context.tenant_id, user, now).await?;
    for renamed in &account.renamed {
        let event = Event::success("user.update")
            .on("user", renamed.id, &renamed.username)
            .with_change("username", user.username.as_str(), renamed.username.as_str())
            .with("taken_by", account.id.to_string());
        audit::record(connection, context, event).await?;
    }
    Ok(account)
}

/// Where the person signs out at the provider, when that is where they signed in.
pub(in super::super) async fn logout_url(hub: &Hub, context: &Context) -> Result<Option<String>, IdentityError> {
    let Some(provider) = hub.identity().provider() else { return Ok(None) };
    let Actor::User(user_id) = context.principal.actor else { return Ok(None) };
    let mut tx = hub.db().begin(context).await?;
    let from_directory = flows::is_of_directory(&mut tx, user_id).await?;
    drop(tx);
    if !from_directory {
        return Ok(None);
    }
    Ok(provider.logout_url(&context.principal.name).await)
}

/// The tenant that signs in here by default: the provider's, or the only one.
pub(in super::super) async fn default_tenant(hub: &Hub, client: &ClientInfo) -> Result<Option<String>, IdentityError> {
    if let Some(provider) = hub.identity().provider() {
        return Ok(Some(provider.tenant().to_owned()));
    }
    let tenants = hub.db().tenant_ids().await?;
    let [only] = tenants.as_slice() else { return Ok(None) };
    let mut tx = hub.db().begin(&anonymous(client, *only, "unknown")).await?;
    Ok(store::tenant_slug(&mut tx).await?)
}

fn provider(hub: &Hub) -> Result<&Provider, IdentityError> {
    hub.identity().provider().ok_or(IdentityError::ProviderNotConfigured)
}

async fn tenant(hub: &Hub, provider: &Provider) -> Result<TenantId, IdentityError> {
    hub.db()
        .tenant_by_slug(provider.tenant())
        .await?
        .ok_or_else(|| IdentityError::Internal(format!("oidc.tenant {} does not exist", provider.tenant())))
}
