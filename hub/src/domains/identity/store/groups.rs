//! SQL of groups and their members.

use openpam_ids::{GroupId, TenantId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::types::{Group, GroupChange, NewGroup, Source},
    Result, known, role_names, roles,
};

/// Groups by name, after a name and id; or `only` one.
pub(in super::super) async fn list(
    connection: &mut PgConnection,
    only: Option<GroupId>,
    text: Option<&str>,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<Group>> {
    let (after_name, after_id) = after.unzip();
    let rows = sqlx::query!(
        r#"select g.group_id as "id: GroupId", g.source, g.external_id, g.name, g.description, g.roles,
                  (select count(*) from group_memberships m where m.group_id = g.group_id) as "member_count!"
           from groups g
           where ($1::uuid is null or g.group_id = $1)
             and ($2::text is null
                  or strpos(lower(g.name || ' ' || g.description || ' ' || coalesce(g.external_id, '')), lower($2)) > 0)
             and ($3::text is null or (lower(g.name), g.group_id) > (lower($3), $4::uuid))
           order by lower(g.name), g.group_id
           limit $5"#,
        only.map(Uuid::from),
        text,
        after_name,
        after_id,
        limit
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Group {
                id: row.id,
                name: row.name,
                description: row.description,
                source: known(Source::from_name(&row.source), "source")?,
                external_id: row.external_id,
                roles: roles(&row.roles),
                member_count: row.member_count,
            })
        })
        .collect()
}

pub(in super::super) async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: GroupId,
    group: &NewGroup,
) -> Result<()> {
    sqlx::query!(
        "insert into groups (group_id, tenant_id, source, external_id, name, description, roles)
         values ($1, $2, $3, $4, $5, $6, $7)",
        id.as_uuid(),
        tenant.as_uuid(),
        group.source.name(),
        group.external_id,
        group.name,
        group.description,
        &role_names(&group.roles)
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(in super::super) async fn update(connection: &mut PgConnection, id: GroupId, change: &GroupChange) -> Result<()> {
    let roles = change.roles.as_ref().map(role_names);
    sqlx::query!(
        "update groups set name = coalesce($2, name), description = coalesce($3, description), roles = coalesce($4, roles)
         where group_id = $1",
        id.as_uuid(),
        change.name,
        change.description,
        roles.as_deref()
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(in super::super) async fn delete(connection: &mut PgConnection, id: GroupId) -> Result<()> {
    sqlx::query!("delete from groups where group_id = $1", id.as_uuid()).execute(connection).await?;
    Ok(())
}

/// Adds a member; nothing when they are one already.
pub(in super::super) async fn add_member(
    connection: &mut PgConnection,
    tenant: TenantId,
    group: GroupId,
    user: UserId,
) -> Result<()> {
    sqlx::query!(
        "insert into group_memberships (tenant_id, group_id, user_id) values ($1, $2, $3)
         on conflict on constraint group_memberships_key do nothing",
        tenant.as_uuid(),
        group.as_uuid(),
        user.as_uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes a member; nothing when they are none.
pub(in super::super) async fn remove_member(connection: &mut PgConnection, group: GroupId, user: UserId) -> Result<()> {
    sqlx::query!("delete from group_memberships where group_id = $1 and user_id = $2", group.as_uuid(), user.as_uuid())
        .execute(connection)
        .await?;
    Ok(())
}

/// Which of `groups` exist, and whether each is local.
pub(in super::super) async fn sources(
    connection: &mut PgConnection,
    groups: &[GroupId],
) -> Result<Vec<(GroupId, bool)>> {
    let ids: Vec<Uuid> = groups.iter().map(GroupId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"select group_id as "id: GroupId", source = 'local' as "local!" from groups where group_id = any ($1)"#,
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.local)).collect())
}

/// Makes the person's local groups exactly these; those of the directory stay.
pub(in super::super) async fn replace_local(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    groups: &[GroupId],
) -> Result<()> {
    let ids: Vec<Uuid> = groups.iter().map(GroupId::as_uuid).collect();
    sqlx::query!(
        "delete from group_memberships m using groups g
         where m.group_id = g.group_id and m.user_id = $1 and g.source = 'local' and g.group_id <> all ($2)",
        user.as_uuid(),
        &ids
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into group_memberships (tenant_id, group_id, user_id)
         select $1, group_id, $2 from groups where source = 'local' and group_id = any ($3)
         on conflict do nothing",
        tenant.as_uuid(),
        user.as_uuid(),
        &ids
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The names of these groups.
pub(in super::super) async fn names(connection: &mut PgConnection, ids: &[GroupId]) -> Result<Vec<String>> {
    let ids = ids.iter().map(GroupId::as_uuid).collect::<Vec<_>>();
    sqlx::query_scalar!("select name from groups where group_id = any ($1) order by lower(name)", &ids)
        .fetch_all(connection)
        .await
}
