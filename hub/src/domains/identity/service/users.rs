//! People, by administrators; and what people choose for themselves.

use chrono::{DateTime, SecondsFormat, Utc};
use openpam_ids::{GroupId, TenantId, UserId};
use openpam_secret::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::{
        Identity, IdentityError,
        store::{
            groups, sessions, sign_in as sign_in_store,
            users::{self as store, UserRow},
        },
        types::{NewUser, Source, User, UserChange, acceptable_password},
    },
    authenticate, local,
};
use crate::{
    context::{Context, Role},
    db::{DbError, Tx},
    domains::{
        audit::{self, Event},
        events::{self, UserFacts},
    },
    permissions::may_grant,
    state::Hub,
};

/// Bytes of a person's preferences.
const MAX_PREFERENCES: usize = 16 * 1024;

/// People by user name.
pub(in super::super) async fn list(
    hub: &Hub,
    context: &Context,
    member_of: Option<GroupId>,
    text: Option<&str>,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<User>, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    if let Some(group) = member_of {
        super::groups::get_in(&mut tx, hub.identity(), group).await?;
    }
    let rows = store::list(&mut tx, None, member_of, text, after, limit).await?;
    let mut users = rows.into_iter().map(|row| user(hub.identity(), row)).collect::<Vec<_>>();
    add_locks(&mut tx, hub.clock().now(), &mut users).await?;
    Ok(users)
}

/// One person.
pub(in super::super) async fn get(hub: &Hub, context: &Context, id: UserId) -> Result<User, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    get_in(&mut tx, hub, id).await
}

pub(super) async fn get_in(connection: &mut PgConnection, hub: &Hub, id: UserId) -> Result<User, IdentityError> {
    let rows = store::list(connection, Some(id), None, None, None, 1).await?;
    let mut user =
        rows.into_iter().next().map(|row| user(hub.identity(), row)).ok_or(IdentityError::NotFound("user"))?;
    add_locks(connection, hub.clock().now(), std::slice::from_mut(&mut user)).await?;
    Ok(user)
}

/// Adds until when local accounts are locked. Failures are counted under a hash of the name, so that the
/// database cannot join them.
async fn add_locks(connection: &mut PgConnection, now: DateTime<Utc>, users: &mut [User]) -> Result<(), IdentityError> {
    let keys = users.iter().filter(|user| user.source == Source::Local).map(|user| local::account_key(&user.username));
    let keys = keys.collect::<Vec<_>>();
    if keys.is_empty() {
        return Ok(());
    }
    let locks = sign_in_store::locks(connection, &keys, now).await?;
    for user in users.iter_mut().filter(|user| user.source == Source::Local) {
        user.locked_until = locks.get(&local::account_key(&user.username)).copied();
    }
    Ok(())
}

/// A person's user name, if there is such a person.
pub(in super::super) async fn name_of(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<String>, IdentityError> {
    let rows = store::list(connection, Some(id), None, None, None, 1).await?;
    Ok(rows.into_iter().next().map(|row| row.username))
}

/// Makes a local account.
pub(in super::super) async fn create(
    hub: &Hub,
    context: &Context,
    new: NewUser,
    password: SecretString,
) -> Result<User, IdentityError> {
    within_scope(context, &new.roles)?;
    if !new.groups.is_empty() {
        without_limit(context)?;
    }
    if !acceptable_password(password.expose_secret(), &new.username) {
        return Err(IdentityError::weak_password("password"));
    }
    let hash = hub.identity().passwords().hash(password).await?;
    let id: UserId = hub.ids().fresh();
    let mut tx = hub.db().begin(context).await?;
    store::insert_local(&mut tx, context.tenant_id, id, &new, Some(&hash)).await?;
    set_local_groups(&mut tx, context.tenant_id, id, &[], &new.groups).await?;
    let event = Event::success("user.create").on("user", id, &new.username).with("roles", names(&new.roles));
    audit::record(&mut tx, context, event).await?;
    let user = get_in(&mut tx, hub, id).await?;
    within_scope(context, &user.effective_roles)?;
    events::publish(&mut tx, context, &events::Event::UserCreated(facts(&user))).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(user)
}

/// Changes a person. Disabling signs them out everywhere.
pub(in super::super) async fn update(
    hub: &Hub,
    context: &Context,
    id: UserId,
    change: UserChange,
) -> Result<User, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    let guard = AdminGuard::begin(&mut tx, context).await?;
    let before = get_in(&mut tx, hub, id).await?;
    let of_directory = change.username.is_some()
        || change.display_name.is_some()
        || change.email.is_some()
        || change.roles.as_ref().is_some_and(|roles| *roles != before.roles);
    if before.source != Source::Local && of_directory {
        return Err(IdentityError::NotLocal);
    }
    if change.enabled == Some(false) && context.principal.user_id() == Some(id) {
        return Err(IdentityError::OwnAccount);
    }
    store::update(&mut tx, id, &change).await?;
    if let Some(groups) = &change.groups {
        without_limit(context)?;
        set_local_groups(&mut tx, context.tenant_id, id, &before.groups, groups).await?;
    }
    let ended = if change.enabled == Some(false) {
        sessions::revoke(&mut tx, id, None, None, hub.clock().now()).await?
    } else {
        Vec::new()
    };
    let after = get_in(&mut tx, hub, id).await?;
    within_scope(context, before.effective_roles.union(&after.effective_roles))?;
    let mut event = Event::success("user.update")
        .on("user", id, &after.username)
        .with_change("username", before.username.as_str(), after.username.as_str())
        .with_change("display_name", before.display_name.as_str(), after.display_name.as_str())
        .with_change("email", before.email.as_deref(), after.email.as_deref())
        .with_change("enabled", before.enabled, after.enabled)
        .with_change("roles", names(&before.roles), names(&after.roles))
        .with_change("effective_roles", names(&before.effective_roles), names(&after.effective_roles));
    if before.enabled != after.enabled {
        event = event.with("sign_ins_ended", ended.len());
    }
    if before.groups != after.groups {
        let (had, has) = (groups::names(&mut tx, &before.groups).await?, groups::names(&mut tx, &after.groups).await?);
        event = event.with_change("groups", had, has);
    }
    audit::record(&mut tx, context, event).await?;
    let changed = changes(&before, &after);
    if !changed.is_empty() {
        events::publish(&mut tx, context, &events::Event::UserUpdated { user: facts(&after), changed }).await?;
    }
    if before.enabled && !after.enabled {
        events::publish(&mut tx, context, &events::Event::UserDisabled(facts(&after))).await?;
    }
    guard.end(hub, &mut tx, context).await?;
    tx.commit().await.map_err(DbError::from)?;
    hub.identity().forget(&ended);
    Ok(after)
}

/// Removes a local account. People of the directory are disabled instead: they would come back with
/// their next sign-in.
pub(in super::super) async fn delete(hub: &Hub, context: &Context, id: UserId) -> Result<(), IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    let guard = AdminGuard::begin(&mut tx, context).await?;
    let user = get_in(&mut tx, hub, id).await?;
    within_scope(context, &user.effective_roles)?;
    if user.source != Source::Local {
        return Err(IdentityError::NotLocal);
    }
    if context.principal.user_id() == Some(id) {
        return Err(IdentityError::OwnAccount);
    }
    let ended = sessions::revoke(&mut tx, id, None, None, hub.clock().now()).await?;
    sign_in_store::forget_failures(&mut tx, &local::account_key(&user.username)).await?;
    store::delete(&mut tx, id).await?;
    audit::record(&mut tx, context, Event::success("user.delete").on("user", id, &user.username)).await?;
    let deleted = events::Event::UserDeleted { user_id: id, username: user.username };
    events::publish(&mut tx, context, &deleted).await?;
    guard.end(hub, &mut tx, context).await?;
    tx.commit().await.map_err(DbError::from)?;
    hub.identity().forget(&ended);
    Ok(())
}

/// Gives a local account another password and signs it out everywhere but here.
pub(in super::super) async fn set_password(
    hub: &Hub,
    context: &Context,
    id: UserId,
    password: SecretString,
) -> Result<(), IdentityError> {
    without_limit(context)?;
    let user = get(hub, context, id).await?;
    if user.source != Source::Local {
        return Err(IdentityError::NotLocal);
    }
    if !acceptable_password(password.expose_secret(), &user.username) {
        return Err(IdentityError::weak_password("password"));
    }
    let hash = hub.identity().passwords().hash(password).await?;
    let mut tx = hub.db().begin(context).await?;
    if !store::set_password(&mut tx, id, &hash).await? {
        return Err(IdentityError::NotFound("user"));
    }
    sign_in_store::forget_failures(&mut tx, &local::account_key(&user.username)).await?;
    let ended = sessions::revoke(&mut tx, id, None, context.principal.auth_session, hub.clock().now()).await?;
    let event = Event::success("user.password_set").on("user", id, &user.username).with("sign_ins_ended", ended.len());
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    hub.identity().forget(&ended);
    Ok(())
}

/// Forgets the failed sign-ins of a local account.
pub(in super::super) async fn unlock(hub: &Hub, context: &Context, id: UserId) -> Result<(), IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    let user = get_in(&mut tx, hub, id).await?;
    within_scope(context, &user.effective_roles)?;
    if user.source != Source::Local {
        return Err(IdentityError::NotLocal);
    }
    forget_failures(&mut tx, context, id, &user.username, user.locked_until).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Forgets the failed sign-ins of the local account `id`, and says so in the trail.
pub(super) async fn forget_failures(
    connection: &mut PgConnection,
    context: &Context,
    id: UserId,
    username: &str,
    locked_until: Option<DateTime<Utc>>,
) -> Result<(), IdentityError> {
    let had_failures = sign_in_store::forget_failures(connection, &local::account_key(username)).await?;
    let mut event = Event::success("user.unlock").on("user", id, username).with("had_failures", had_failures);
    if let Some(until) = locked_until {
        event = event.with("locked_until", until.to_rfc3339_opts(SecondsFormat::Secs, true));
    }
    audit::record(connection, context, event).await?;
    Ok(())
}

/// What the caller chose for the console.
pub(in super::super) async fn preferences(hub: &Hub, context: &Context) -> Result<Value, IdentityError> {
    let user = context.principal.user_id().ok_or(IdentityError::NotAPerson)?;
    let mut tx = hub.db().begin(context).await?;
    let found = store::preferences(&mut tx, user).await?;
    Ok(found.unwrap_or_else(|| Value::Object(serde_json::Map::new())))
}

/// Replaces what the caller chose. Not part of the trail: it changes nothing but the look.
pub(in super::super) async fn set_preferences(
    hub: &Hub,
    context: &Context,
    preferences: &Value,
) -> Result<(), IdentityError> {
    let user = context.principal.user_id().ok_or(IdentityError::NotAPerson)?;
    if !preferences.is_object() {
        return Err(IdentityError::field("preferences", "malformed", "must be a JSON object"));
    }
    let text = preferences.to_string();
    if text.len() > MAX_PREFERENCES {
        return Err(IdentityError::field("preferences", "too_large", "must not be larger than 16 KiB"));
    }
    if text.contains("\\u0000") {
        return Err(IdentityError::field("preferences", "malformed", "must not contain NUL"));
    }
    let mut tx = hub.db().begin(context).await?;
    store::set_preferences(&mut tx, context.tenant_id, user, preferences, hub.clock().now()).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Keeps a change from leaving the tenant without a local administrator, or the caller without
/// their own role. Begin before the change, end after it, in the same transaction.
pub(in super::super) struct AdminGuard {
    local_admins: i64,
}

impl AdminGuard {
    pub(in super::super) async fn begin(tx: &mut Tx, context: &Context) -> Result<Self, IdentityError> {
        Ok(Self { local_admins: store::local_admins(tx, context.tenant_id).await? })
    }

    pub(in super::super) async fn end(self, hub: &Hub, tx: &mut Tx, context: &Context) -> Result<(), IdentityError> {
        if self.local_admins > 0 && store::local_admins(tx, context.tenant_id).await? == 0 {
            return Err(IdentityError::LastAdmin);
        }
        if let (Some(user), Some(session)) = (context.principal.user_id(), context.principal.auth_session)
            && context.principal.roles.contains(&Role::Admin)
        {
            let now = authenticate::principal_of(hub, tx, user, session).await?;
            if now.is_none_or(|principal| !principal.roles.contains(&Role::Admin)) {
                return Err(IdentityError::OwnAccount);
            }
        }
        Ok(())
    }
}

/// Directory groups in the list must be ones the person is in: they cannot be given here.
async fn set_local_groups(
    tx: &mut Tx,
    tenant: TenantId,
    id: UserId,
    before: &[GroupId],
    wanted: &[GroupId],
) -> Result<(), IdentityError> {
    let known = groups::sources(tx, wanted).await?;
    for group in wanted {
        match known.iter().find(|(id, _)| id == group) {
            None => return Err(IdentityError::field("group_ids", "not_found", "names a group that does not exist")),
            Some((_, false)) if !before.contains(group) => return Err(IdentityError::DirectoryGroup),
            Some(_) => {}
        }
    }
    Ok(groups::replace_local(tx, tenant, id, wanted).await?)
}

/// Groups open targets, and a password opens an account: neither is a limited token's to give or take.
pub(in super::super) fn without_limit(context: &Context) -> Result<(), IdentityError> {
    if context.principal.scopes.is_none() { Ok(()) } else { Err(IdentityError::BeyondScope) }
}

/// A limited token gives, takes and touches no more than it may do itself.
pub(in super::super) fn within_scope<'a>(
    context: &Context,
    roles: impl IntoIterator<Item = &'a Role>,
) -> Result<(), IdentityError> {
    if may_grant(&context.principal, roles) { Ok(()) } else { Err(IdentityError::BeyondScope) }
}

/// The account as others may know it.
fn facts(user: &User) -> UserFacts {
    UserFacts {
        user_id: user.id,
        username: user.username.clone(),
        display_name: user.display_name.clone(),
        source: user.source.name(),
        enabled: user.enabled,
        roles: names(&user.effective_roles),
    }
}

/// Names of what differs.
fn changes(before: &User, after: &User) -> Vec<&'static str> {
    let fields = [
        ("username", before.username != after.username),
        ("display_name", before.display_name != after.display_name),
        ("email", before.email != after.email),
        ("enabled", before.enabled != after.enabled),
        ("roles", before.effective_roles != after.effective_roles),
        ("groups", before.groups != after.groups),
    ];
    fields.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

/// Publishes that there is an account, as it is now.
pub(super) async fn publish_created(
    hub: &Hub,
    connection: &mut PgConnection,
    context: &Context,
    id: UserId,
) -> Result<(), IdentityError> {
    let user = get_in(connection, hub, id).await?;
    events::publish(connection, context, &events::Event::UserCreated(facts(&user))).await?;
    Ok(())
}

fn user(identity: &Identity, row: UserRow) -> User {
    User {
        effective_roles: authenticate::effective_roles(identity, &row.roles, &row.group_roles, &row.directory_groups),
        roles: Role::set(row.roles.iter().map(String::as_str)),
        id: row.id,
        // The database's check admits no other source.
        source: Source::from_name(&row.source).unwrap_or(Source::Local),
        username: row.username,
        display_name: row.display_name,
        email: row.email,
        enabled: row.enabled,
        locked_until: None,
        groups: row.groups,
        last_login_at: row.last_login_at,
        created_at: row.created_at,
    }
}

pub(in super::super) fn names(roles: &std::collections::BTreeSet<Role>) -> Vec<&'static str> {
    roles.iter().map(|role| role.name()).collect()
}
