//! Local accounts: signing in with a password, changing it.

use chrono::{DateTime, Utc};
use openpam_secret::{SecretHash, SecretString};
use openpam_telemetry::names;

use super::{
    super::{
        IdentityError,
        store::{sessions, sign_in as store, users},
        types::acceptable_password,
    },
    sign_in::{self, SignedIn, anonymous, browser},
};
use crate::{
    context::Context,
    db::DbError,
    domains::audit::{self, Event},
    http::ClientInfo,
    state::Hub,
};

/// Signs a local account in. Unknown, disabled, without a password or with the wrong one: the same
/// answer after the same work.
pub(in super::super) async fn log_in(
    hub: &Hub,
    client: &ClientInfo,
    tenant: &str,
    username: &str,
    password: SecretString,
) -> Result<SignedIn, IdentityError> {
    let result = attempt(hub, client, tenant, username, password).await;
    let outcome = match &result {
        Ok(_) => "success",
        Err(IdentityError::InvalidCredentials) => "invalid_credentials",
        Err(IdentityError::LockedOut(_)) => "locked_out",
        Err(IdentityError::RateLimited(_)) => "rate_limited",
        Err(_) => "failure",
    };
    metrics::counter!(names::LOGINS, "method" => "local", "outcome" => outcome).increment(1);
    result
}

async fn attempt(
    hub: &Hub,
    client: &ClientInfo,
    tenant: &str,
    username: &str,
    password: SecretString,
) -> Result<SignedIn, IdentityError> {
    let identity = hub.identity();
    identity.admit(client.ip)?;
    let limits = &hub.config().identity;
    let now = hub.clock().now();
    let Some(tenant_id) = hub.db().tenant_by_slug(tenant).await? else {
        let (allowed, lockout) = (limits.login_attempts_per_account, identity.lockout());
        if let Some(until) = identity.unknown_tenants().count(tenant, username, allowed, lockout, now) {
            return Err(locked_out(until, now));
        }
        identity.passwords().verify(password, None).await?;
        return Err(IdentityError::InvalidCredentials);
    };
    let context = anonymous(client, tenant_id, "unknown");
    // The attempt is counted, and its connection given back, before the slow part.
    let mut tx = hub.db().begin(&context).await?;
    let lockout = identity.lockout();
    let allowed = i32::try_from(limits.login_attempts_per_account).unwrap_or(i32::MAX);
    let account = store::local_account(&mut tx, username).await?;
    // Under the account's own name: there is more than one way to write it.
    let key = account_key(account.as_ref().map_or(username, |account| &account.username));
    let locked_until = store::count_attempt(&mut tx, tenant_id, &key, allowed, lockout, now).await?;
    if let Some(until) = locked_until.filter(|until| *until > now) {
        let event = match &account {
            Some(account) => Event::denied("identity.login").on("user", account.user_id, &account.username),
            None => Event::denied("identity.login"),
        };
        audit::record(&mut tx, &context, event.with("method", "local").with("code", "locked_out")).await?;
        tx.commit().await.map_err(DbError::from)?;
        return Err(locked_out(until, now));
    }
    tx.commit().await.map_err(DbError::from)?;

    let usable_hash =
        account.as_ref().filter(|account| account.enabled).and_then(|account| account.password_hash.clone());
    let verified = identity.passwords().verify(password, usable_hash.clone()).await?;

    let mut tx = hub.db().begin(&context).await?;
    let signed_in = match &account {
        // The account may have changed meanwhile: the update says whether it is still the one verified.
        Some(account)
            if verified
                && store::note_local_login(&mut tx, account.user_id, usable_hash.as_deref(), hub.clock().now())
                    .await? =>
        {
            store::forget_failures(&mut tx, &key).await?;
            Ok(sign_in::begin(hub, &mut tx, client, tenant_id, account.user_id, "local", None).await?)
        }
        _ => {
            // What was typed as a name may be a password: it is written down only when it is a name.
            let event = match &account {
                Some(account) => Event::failure("identity.login").on("user", account.user_id, &account.username),
                None => Event::failure("identity.login"),
            };
            let event = event.with("method", "local").with("code", "invalid_credentials");
            audit::record(&mut tx, &context, event).await?;
            Err(IdentityError::InvalidCredentials)
        }
    };
    tx.commit().await.map_err(DbError::from)?;
    signed_in
}

/// Changes the caller's own password; every other browser of theirs is signed out.
pub(in super::super) async fn change_password(
    hub: &Hub,
    context: &Context,
    current: SecretString,
    new: SecretString,
) -> Result<(), IdentityError> {
    use openpam_secret::ExposeSecret as _;
    let identity = hub.identity();
    let (user, session) = browser(context)?;
    identity.admit(context.client_ip)?;
    let mut tx = hub.db().begin(context).await?;
    let account = store::local_account_by_id(&mut tx, user).await?.ok_or(IdentityError::NotLocal)?;
    if !acceptable_password(new.expose_secret(), &account.username) {
        return Err(IdentityError::weak_password("new_password"));
    }
    let now = hub.clock().now();
    let key = account_key(&account.username);
    let allowed = i32::try_from(hub.config().identity.login_attempts_per_account).unwrap_or(i32::MAX);
    let locked = store::count_attempt(&mut tx, context.tenant_id, &key, allowed, identity.lockout(), now).await?;
    tx.commit().await.map_err(DbError::from)?;
    if let Some(until) = locked.filter(|until| *until > now) {
        return Err(locked_out(until, now));
    }
    let verified = identity.passwords().verify(current, account.password_hash).await?;
    let hash = identity.passwords().hash(new).await?;
    let mut tx = hub.db().begin(context).await?;
    if !verified {
        let event = Event::failure("identity.password_change").on("user", user, &account.username);
        audit::record(&mut tx, context, event.with("code", "invalid_credentials")).await?;
        tx.commit().await.map_err(DbError::from)?;
        return Err(IdentityError::InvalidCredentials);
    }
    users::set_password(&mut tx, user, &hash).await?;
    store::forget_failures(&mut tx, &key).await?;
    let ended = sessions::revoke(&mut tx, user, None, Some(session), hub.clock().now()).await?;
    let event = Event::success("identity.password_change").on("user", user, &account.username);
    audit::record(&mut tx, context, event.with("sign_ins_ended", ended.len())).await?;
    tx.commit().await.map_err(DbError::from)?;
    identity.forget(&ended);
    Ok(())
}

fn locked_out(until: DateTime<Utc>, now: DateTime<Utc>) -> IdentityError {
    IdentityError::LockedOut(u64::try_from((until - now).num_seconds()).unwrap_or(0) + 1)
}

/// What failures are counted under: a hash, because what was typed as a name may be a password.
pub(in super::super) fn account_key(username: &str) -> String {
    SecretHash::of(username.to_lowercase().as_bytes()).to_hex()
}
