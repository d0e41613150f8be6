//! Groups and their members, by administrators.

use openpam_ids::{GroupId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::{
        Identity, IdentityError,
        store::groups as store,
        types::{Group, GroupChange, NewGroup, Source},
    },
    users::{self, AdminGuard, names, within_scope, without_limit},
};
use crate::{
    context::Context,
    db::DbError,
    domains::audit::{self, Event},
    state::Hub,
};

/// Groups by name.
pub(in super::super) async fn list(
    hub: &Hub,
    context: &Context,
    text: Option<&str>,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<Group>, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    let groups = store::list(&mut tx, None, text, after, limit).await?;
    Ok(groups.into_iter().map(|group| with_mapped_roles(hub.identity(), group)).collect())
}

/// One group.
pub(in super::super) async fn get(hub: &Hub, context: &Context, id: GroupId) -> Result<Group, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    get_in(&mut tx, hub.identity(), id).await
}

pub(in super::super) async fn get_in(
    connection: &mut PgConnection,
    identity: &Identity,
    id: GroupId,
) -> Result<Group, IdentityError> {
    let groups = store::list(connection, Some(id), None, None, 1).await?;
    let group = groups.into_iter().next().ok_or(IdentityError::NotFound("group"))?;
    Ok(with_mapped_roles(identity, group))
}

/// Makes a local group, or names one of the directory before its first member signs in.
pub(in super::super) async fn create(hub: &Hub, context: &Context, new: NewGroup) -> Result<Group, IdentityError> {
    within_scope(context, &new.roles)?;
    let id: GroupId = hub.ids().fresh();
    let mut tx = hub.db().begin(context).await?;
    store::insert(&mut tx, context.tenant_id, id, &new).await?;
    let event = Event::success("group.create").on("group", id, &new.name).with("roles", names(&new.roles));
    audit::record(&mut tx, context, event).await?;
    let group = get_in(&mut tx, hub.identity(), id).await?;
    within_scope(context, &group.roles)?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(group)
}

/// Changes a group. The configuration maps directory groups to roles: those cannot be given here.
pub(in super::super) async fn update(
    hub: &Hub,
    context: &Context,
    id: GroupId,
    mut change: GroupChange,
) -> Result<Group, IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    let guard = AdminGuard::begin(&mut tx, context).await?;
    let before = get_in(&mut tx, hub.identity(), id).await?;
    if before.source != Source::Local {
        if change.roles.as_ref().is_some_and(|roles| *roles != before.roles) {
            return Err(IdentityError::DirectoryGroup);
        }
        change.roles = None;
    }
    store::update(&mut tx, id, &change).await?;
    let after = get_in(&mut tx, hub.identity(), id).await?;
    within_scope(context, before.roles.union(&after.roles))?;
    let event = Event::success("group.update")
        .on("group", id, &after.name)
        .with_change("name", before.name.as_str(), after.name.as_str())
        .with_change("description", before.description.as_str(), after.description.as_str())
        .with_change("roles", names(&before.roles), names(&after.roles));
    audit::record(&mut tx, context, event).await?;
    guard.end(hub, &mut tx, context).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(after)
}

/// Removes a group and the access it gave.
pub(in super::super) async fn delete(hub: &Hub, context: &Context, id: GroupId) -> Result<(), IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    let guard = AdminGuard::begin(&mut tx, context).await?;
    let group = get_in(&mut tx, hub.identity(), id).await?;
    // A group without a role opens targets all the same.
    without_limit(context)?;
    store::delete(&mut tx, id).await?;
    let event = Event::success("group.delete").on("group", id, &group.name).with("members", group.member_count);
    audit::record(&mut tx, context, event).await?;
    guard.end(hub, &mut tx, context).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Adds a person to a local group, or removes them.
pub(in super::super) async fn set_member(
    hub: &Hub,
    context: &Context,
    id: GroupId,
    user: UserId,
    member: bool,
) -> Result<(), IdentityError> {
    let mut tx = hub.db().begin(context).await?;
    let guard = AdminGuard::begin(&mut tx, context).await?;
    let group = get_in(&mut tx, hub.identity(), id).await?;
    without_limit(context)?;
    if group.source != Source::Local {
        return Err(IdentityError::DirectoryGroup);
    }
    let action = if member {
        store::add_member(&mut tx, context.tenant_id, id, user).await?;
        "group.member_add"
    } else {
        store::remove_member(&mut tx, id, user).await?;
        "group.member_remove"
    };
    let name = users::name_of(&mut tx, user).await?;
    let event =
        Event::success(action).on("group", id, &group.name).with("user_id", user.to_string()).with("user", name);
    audit::record(&mut tx, context, event).await?;
    guard.end(hub, &mut tx, context).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Members of a group by user name.
pub(in super::super) async fn members(
    hub: &Hub,
    context: &Context,
    id: GroupId,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<super::super::types::User>, IdentityError> {
    users::list(hub, context, Some(id), None, after, limit).await
}

/// Shows the roles the configuration gives to a directory group.
fn with_mapped_roles(identity: &Identity, mut group: Group) -> Group {
    if let (Source::Oidc, Some(external_id)) = (group.source, &group.external_id) {
        group.roles = identity.roles_of_directory_group(external_id);
    }
    group
}
