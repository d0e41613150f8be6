//! Accounts from the command line, with the database's owner role: the first administrator, and one that
//! failed sign-ins locked out.

use chrono::{DateTime, Utc};
use openpam_ids::{TenantId, UserId};
use openpam_secret::{ExposeSecret as _, SecretString};
use sqlx::{Connection as _, PgConnection};

use super::super::{
    IdentityError, passwords,
    store::{sign_in, users},
    types::{NewUser, Source, acceptable_password},
};
use super::{local, users as people};
use crate::{
    context::{Actor, Clock, Context, Ids, Role},
    db::{DbError, require_row_security, set_scope},
    domains::{
        audit::{self, Event},
        events::{self, UserFacts},
    },
};

/// An administrator to make.
#[derive(Debug)]
pub struct NewAdmin {
    /// Slug of the tenant; made when it is not there.
    pub tenant: String,
    /// Name of a tenant that is made.
    pub tenant_name: Option<String>,
    /// Sign-in name.
    pub username: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// Password.
    pub password: SecretString,
    /// An account of that name is left as it is instead of being an error.
    pub if_missing: bool,
}

/// Makes a local administrator, and the tenant when it is missing. False when the account was there
/// already and that is welcome.
///
/// # Errors
/// When a field is not valid, the account is there already, or the database refuses.
pub async fn create_admin(connection: &mut PgConnection, admin: NewAdmin) -> Result<bool, IdentityError> {
    if !acceptable_password(admin.password.expose_secret(), &admin.username) {
        return Err(IdentityError::weak_password("password"));
    }
    let hash = passwords::hash(&admin.password)?;
    require_row_security(connection).await?;
    let known = users::tenant_by_slug(connection, &admin.tenant).await?;
    let tenant_id: TenantId = known.unwrap_or_else(|| Ids.fresh());
    let context = Context::system(tenant_id, "openpam admin create");
    let mut tx = connection.begin().await?;
    set_scope(&mut tx, &tenant_id.to_string(), &Actor::System.to_string(), &context.request_id).await?;
    users::ensure_tenant(&mut tx, tenant_id, &admin.tenant, admin.tenant_name.as_deref().unwrap_or(&admin.tenant))
        .await?;
    if known.is_none() {
        let event = Event::success("tenant.create").on("tenant", tenant_id, &admin.tenant);
        audit::record(&mut tx, &context, event).await?;
    }
    let made = if admin.if_missing && sign_in::local_account(&mut tx, &admin.username).await?.is_some() {
        false
    } else {
        let id: UserId = Ids.fresh();
        let user = NewUser {
            display_name: admin.display_name.unwrap_or_else(|| admin.username.clone()),
            username: admin.username,
            email: None,
            roles: [Role::Admin].into(),
            groups: Vec::new(),
        };
        users::insert_local(&mut tx, tenant_id, id, &user, Some(&hash)).await?;
        let event = Event::success("user.create").on("user", id, &user.username).with("roles", vec!["admin"]);
        audit::record(&mut tx, &context, event).await?;
        let created = UserFacts {
            user_id: id,
            username: user.username,
            display_name: user.display_name,
            source: Source::Local.name(),
            enabled: true,
            roles: vec![Role::Admin.name()],
        };
        events::publish(&mut tx, &context, &events::Event::UserCreated(created)).await?;
        true
    };
    tx.commit().await.map_err(DbError::from)?;
    Ok(made)
}

/// Forgets the failed sign-ins of a local account, for when nobody is left who could do it in the console.
/// Answers until when it was locked; `None` when it was not.
///
/// # Errors
/// When there is no such tenant or no such local account, or the database refuses.
pub async fn unlock_account(
    connection: &mut PgConnection,
    tenant: &str,
    username: &str,
) -> Result<Option<DateTime<Utc>>, IdentityError> {
    require_row_security(connection).await?;
    let tenant_id = users::tenant_by_slug(connection, tenant).await?.ok_or(IdentityError::NotFound("tenant"))?;
    let context = Context::system(tenant_id, "openpam admin unlock");
    let mut tx = connection.begin().await?;
    set_scope(&mut tx, &tenant_id.to_string(), &Actor::System.to_string(), &context.request_id).await?;
    let account = sign_in::local_account(&mut tx, username).await?.ok_or(IdentityError::NotFound("local account"))?;
    let key = local::account_key(&account.username);
    let locked_until = sign_in::locks(&mut tx, std::slice::from_ref(&key), Clock.now()).await?.remove(&key);
    people::forget_failures(&mut tx, &context, account.user_id, &account.username, locked_until).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(locked_until)
}
