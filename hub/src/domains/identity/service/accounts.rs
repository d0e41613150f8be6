//! Service accounts and their tokens, by administrators.

use chrono::{DateTime, Utc};
use openpam_ids::{ApiTokenId, ServiceAccountId};
use openpam_secret::{ExposeSecret as _, SecretHash, SecretString, random_token};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::{
        IdentityError,
        credentials::{token_label, token_text},
        store::accounts as store,
        types::{ApiToken, NewServiceAccount, ServiceAccount, ServiceAccountChange},
    },
    users::{names, within_scope},
};
use crate::{
    context::{Actor, Context},
    db::DbError,
    domains::audit::{self, Event},
    state::Hub,
};

/// Accounts by name.
pub(in super::super) async fn list(
    hub: &Hub,
    context: &Context,
    text: Option<&str>,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<ServiceAccount>, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    Ok(store::list(&mut tx, None, text, after, limit).await?)
}

/// One account.
pub(in super::super) async fn get(
    hub: &Hub,
    context: &Context,
    id: ServiceAccountId,
) -> Result<ServiceAccount, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    get_in(&mut tx, id).await
}

async fn get_in(connection: &mut PgConnection, id: ServiceAccountId) -> Result<ServiceAccount, IdentityError> {
    let accounts = store::list(connection, Some(id), None, None, 1).await?;
    accounts.into_iter().next().ok_or(IdentityError::NotFound("service account"))
}

/// Makes an account; it can do nothing until it has a token.
pub(in super::super) async fn create(
    hub: &Hub,
    context: &Context,
    new: NewServiceAccount,
) -> Result<ServiceAccount, IdentityError> {
    within_scope(context, &new.roles)?;
    let id: ServiceAccountId = hub.ids().fresh();
    let mut tx = hub.db().begin(context).await?;
    store::insert(&mut tx, context.tenant_id, id, &new).await?;
    let event =
        Event::success("service_account.create").on("service_account", id, &new.name).with("roles", names(&new.roles));
    audit::record(&mut tx, context, event).await?;
    let account = get_in(&mut tx, id).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(account)
}

/// Changes an account. Other writers wait.
pub(in super::super) async fn update(
    hub: &Hub,
    context: &Context,
    id: ServiceAccountId,
    change: ServiceAccountChange,
) -> Result<ServiceAccount, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    store::lock(&mut tx, id).await?;
    let before = get_in(&mut tx, id).await?;
    store::update(&mut tx, id, &change).await?;
    let after = get_in(&mut tx, id).await?;
    within_scope(context, before.roles.union(&after.roles))?;
    let event = Event::success("service_account.update")
        .on("service_account", id, &after.name)
        .with_change("name", before.name.as_str(), after.name.as_str())
        .with_change("description", before.description.as_str(), after.description.as_str())
        .with_change("enabled", before.enabled, after.enabled)
        .with_change("roles", names(&before.roles), names(&after.roles));
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(after)
}

/// Removes an account with its tokens.
pub(in super::super) async fn delete(hub: &Hub, context: &Context, id: ServiceAccountId) -> Result<(), IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    store::lock(&mut tx, id).await?;
    let account = get_in(&mut tx, id).await?;
    within_scope(context, &account.roles)?;
    store::delete(&mut tx, id).await?;
    let event = Event::success("service_account.delete").on("service_account", id, &account.name);
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Tokens of an account, newest first.
pub(in super::super) async fn tokens(
    hub: &Hub,
    context: &Context,
    id: ServiceAccountId,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ApiToken>, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    get_in(&mut tx, id).await?;
    Ok(store::tokens(&mut tx, id, before, limit).await?)
}

/// Makes a token. Its text is given out here and never again.
pub(in super::super) async fn create_token(
    hub: &Hub,
    context: &Context,
    id: ServiceAccountId,
    name: String,
    scopes: Vec<String>,
    expires_at: DateTime<Utc>,
) -> Result<(ApiToken, SecretString), IdentityError> {
    if let Some(own) = &context.principal.scopes {
        let subset = !scopes.is_empty() && scopes.iter().all(|scope| own.contains(scope));
        if !subset || context.principal.token_expires_at.is_some_and(|end| expires_at > end) {
            return Err(IdentityError::BeyondScope);
        }
    }
    let secret = random_token::<32>(hub.random())?;
    let text = token_text(context.tenant_id, &secret);
    let token = ApiToken {
        id: hub.ids().fresh(),
        name,
        scopes,
        expires_at,
        last_used_at: None,
        created_at: hub.clock().now(),
        prefix: token_label(&secret),
    };
    let hash = SecretHash::of(text.expose_secret().as_bytes());
    let mut tx = hub.db().begin(context).await?;
    let account = get_in(&mut tx, id).await?;
    store::insert_token(&mut tx, context.tenant_id, id, &token, hash.as_bytes()).await?;
    let event = Event::success("api_token.create")
        .on("service_account", id, account.name)
        .with("token_id", token.id.to_string())
        .with("token", token.name.clone())
        .with("scopes", token.scopes.clone())
        .with("expires_at", token.expires_at.to_rfc3339());
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok((token, text))
}

/// Ends a token for good.
pub(in super::super) async fn revoke_token(
    hub: &Hub,
    context: &Context,
    id: ServiceAccountId,
    token: ApiTokenId,
) -> Result<(), IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    let account = get_in(&mut tx, id).await?;
    // Its own account's tokens a limited token may end: so it gives way to the one that follows it.
    if context.principal.actor != Actor::ServiceAccount(id) {
        within_scope(context, &account.roles)?;
    }
    let name = store::revoke_token(&mut tx, id, token, hub.clock().now()).await?;
    let name = name.ok_or(IdentityError::NotFound("token"))?;
    let event = Event::success("api_token.revoke")
        .on("service_account", id, account.name)
        .with("token_id", token.to_string())
        .with("token", name);
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}
