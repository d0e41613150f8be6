//! What the directory says about people who are signed in, asked again: when their browser renews its cookie, and by
//! this hub every few minutes, so that who keeps working loses what they lost there.

use futures::StreamExt as _;
use openpam_ids::{AuthSessionId, UserId};
use openpam_secret::SecretString;

use super::{
    super::{
        IdentityError,
        provider::Provider,
        store::{flows, sessions},
        types::DirectoryUser,
    },
    authenticate, oidc,
};
use crate::{
    context::Context,
    db::DbError,
    domains::audit::{self, Event},
    state::Hub,
};

/// Questions to the provider at a time.
const AT_ONCE: usize = 8;

/// Whose claims they are.
pub(super) struct Whose<'a> {
    pub(super) user_id: UserId,
    pub(super) session: AuthSessionId,
    pub(super) name: &'a str,
}

/// Asks the provider for the person's claims of now, where this hub has their refresh token. A provider that is down
/// changes nothing; one that refuses ends the sign-in.
pub(super) async fn refresh(hub: &Hub, context: &Context, whose: Whose<'_>) -> Result<(), IdentityError> {
    let Some(provider) = hub.identity().provider() else { return Ok(()) };
    match hub.identity().refresh_tokens().take(whose.session) {
        Some(token) => ask(hub, context, provider, whose, token).await,
        None => Ok(()),
    }
}

async fn ask(
    hub: &Hub,
    context: &Context,
    provider: &Provider,
    whose: Whose<'_>,
    token: SecretString,
) -> Result<(), IdentityError> {
    let keep = |token| {
        let now = hub.clock().now();
        let expires_at = now + hub.identity().absolute_timeout();
        let owner = (context.tenant_id, whose.user_id);
        hub.identity().refresh_tokens().keep(whose.session, owner, token, expires_at, now);
    };
    match provider.refresh(&token).await {
        Ok((user, next)) => {
            // Before the claims: where these cannot be written, the next attempt asks for them again.
            keep(next.unwrap_or(token));
            match user {
                Some(user) => take_over(hub, context, &whose, &user).await,
                None => Ok(()),
            }
        }
        Err(error @ (IdentityError::ProviderUnavailable(_) | IdentityError::Database(_))) => {
            tracing::warn!(%error, "claims could not be refreshed");
            keep(token);
            Ok(())
        }
        Err(error) => match end(hub, context, &whose, &error).await {
            Ok(ended) => Err(ended),
            Err(failed) => {
                // Nothing was ended: it is asked again, and ended then.
                keep(token);
                Err(failed)
            }
        },
    }
}

async fn take_over(hub: &Hub, context: &Context, whose: &Whose<'_>, user: &DirectoryUser) -> Result<(), IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    // Claims of somebody else are nobody's here.
    if oidc::upsert(hub, &mut tx, context, user, false).await?.id != whose.user_id {
        return Err(IdentityError::SessionRevoked);
    }
    let (left, joined) = flows::replace_groups(&mut tx, context.tenant_id, whose.user_id, &user.groups).await?;
    if left + joined > 0 {
        let event = Event::success("identity.claims")
            .on("user", whose.user_id, whose.name)
            .with("groups_left", left)
            .with("groups_joined", joined)
            .with("directory_groups", user.groups.clone());
        audit::record(&mut tx, context, event).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// The provider no longer vouches for the person: this sign-in is over.
async fn end(
    hub: &Hub,
    context: &Context,
    whose: &Whose<'_>,
    cause: &IdentityError,
) -> Result<IdentityError, IdentityError> {
    let Whose { user_id, session, name } = *whose;
    let mut tx = hub.db().begin(context).await?;
    sessions::revoke(&mut tx, user_id, Some(session), None, hub.clock().now()).await?;
    let event = Event::denied("identity.refresh").on("user", user_id, name).with("cause", cause.to_string());
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    hub.identity().forget(&[session]);
    Ok(IdentityError::SessionRevoked)
}

/// Asks again for everybody whose claims are older than the configuration allows, a few at a time. What fails is tried
/// again when its time comes again.
pub(in super::super) async fn refresh_due(hub: &Hub) {
    let Some(provider) = hub.identity().provider() else { return };
    let due = hub.identity().refresh_tokens().due(hub.clock().now() - hub.identity().claims_refresh());
    let asked = futures::stream::iter(due).for_each_concurrent(AT_ONCE, |(session, (tenant_id, user_id))| async move {
        let context = Context::system(tenant_id, "directory claims");
        if let Err(error) = refresh_one(hub, &context, provider, user_id, session).await {
            tracing::info!(user = %user_id, %error, "claims were not refreshed");
        }
    });
    asked.await;
}

async fn refresh_one(
    hub: &Hub,
    context: &Context,
    provider: &Provider,
    user_id: UserId,
    session: AuthSessionId,
) -> Result<(), IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    let person = authenticate::principal_of(hub, &mut tx, user_id, session).await?;
    drop(tx);
    // The browser may be asking right now.
    let Some(token) = hub.identity().refresh_tokens().take(session) else { return Ok(()) };
    // Who was signed out meanwhile has no claims: the token is dropped.
    let Some(person) = person else { return Ok(()) };
    ask(hub, context, provider, Whose { user_id, session, name: &person.name }, token).await
}
