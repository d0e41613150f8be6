//! SQL of signing in at the provider: flows under way, people and groups of the directory.

use chrono::{DateTime, Utc};
use openpam_ids::{OidcFlowId, TenantId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{super::types::DirectoryUser, Result};
use crate::context::Ids;

/// A flow that begins.
pub(in super::super) struct NewFlow<'a> {
    pub(in super::super) id: OidcFlowId,
    pub(in super::super) tenant_id: TenantId,
    pub(in super::super) state_hash: &'a [u8],
    pub(in super::super) binding_hash: &'a [u8],
    pub(in super::super) return_to: &'a str,
    pub(in super::super) expires_at: DateTime<Utc>,
}

pub(in super::super) async fn insert(connection: &mut PgConnection, flow: &NewFlow<'_>) -> Result<()> {
    sqlx::query!(
        "insert into oidc_flows (oidc_flow_id, tenant_id, state_hash, binding_hash, return_to, expires_at)
         values ($1, $2, $3, $4, $5, $6)",
        flow.id.as_uuid(),
        flow.tenant_id.as_uuid(),
        flow.state_hash,
        flow.binding_hash,
        flow.return_to,
        flow.expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A flow that was taken.
pub(in super::super) struct Flow {
    pub(in super::super) return_to: String,
    pub(in super::super) expires_at: DateTime<Utc>,
}

/// Takes the flow of that state out, if it belongs to this browser: exactly one caller gets it.
pub(in super::super) async fn take(
    connection: &mut PgConnection,
    state_hash: &[u8],
    binding_hash: &[u8],
) -> Result<Option<Flow>> {
    sqlx::query_as!(
        Flow,
        "delete from oidc_flows where state_hash = $1 and binding_hash = $2 returning return_to, expires_at",
        state_hash,
        binding_hash
    )
    .fetch_optional(connection)
    .await
}

/// A person of the directory, as they are known here.
pub(in super::super) struct DirectoryAccount {
    pub(in super::super) id: UserId,
    pub(in super::super) enabled: bool,
    /// They were not known before.
    pub(in super::super) is_new: bool,
    /// Who had their name before, and what they are called now.
    pub(in super::super) renamed: Vec<Renamed>,
}

/// A person who is called otherwise now, for their name is another's.
pub(in super::super) struct Renamed {
    pub(in super::super) id: UserId,
    pub(in super::super) username: String,
}

/// Takes over what the directory says about a person; `signs_in_at` when they do. Writes nothing that is there already.
pub(in super::super) async fn upsert_user(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: &DirectoryUser,
    signs_in_at: Option<DateTime<Utc>>,
) -> Result<DirectoryAccount> {
    if signs_in_at.is_none() {
        let known = sqlx::query!(
            r#"select user_id as "user_id: UserId", enabled from users
               where source = 'oidc' and external_id = $1 and external_tid = $2 and username = $3 and display_name = $4
                 and email is not distinct from $5 and oidc_groups_overage = $6"#,
            user.external_id,
            user.external_tid,
            user.username,
            user.display_name,
            user.email,
            user.groups_overage
        );
        if let Some(row) = known.fetch_optional(&mut *connection).await? {
            return Ok(DirectoryAccount { id: row.user_id, enabled: row.enabled, is_new: false, renamed: Vec::new() });
        }
    }
    // A user name may pass from one person to another: who has it no more gives way.
    let renamed = sqlx::query_as!(
        Renamed,
        r#"update users set username = left(username, 150) || ' ' || left(external_id, 40)
           where source = 'oidc' and lower(username) = lower($1)
             and (external_id <> $2 or external_tid not in ('', $3))
           returning user_id as "id: UserId", username"#,
        user.username,
        user.external_id,
        user.external_tid
    )
    .fetch_all(&mut *connection)
    .await?;
    // Of whom the directory's tenant was not known yet.
    sqlx::query!(
        "update users set external_tid = $2 where source = 'oidc' and external_id = $1 and external_tid = '' and $2 <> ''
         and not exists (select from users other where other.source = 'oidc' and other.external_id = $1
                         and other.external_tid = $2)",
        user.external_id,
        user.external_tid
    )
    .execute(&mut *connection)
    .await?;
    let id: UserId = Ids.fresh();
    let row = sqlx::query!(
        r#"insert into users (user_id, tenant_id, source, external_id, username, display_name, email,
                              oidc_groups_overage, last_login_at, external_tid)
           values ($1, $2, 'oidc', $3, $4, $5, $6, $7, $8, $9)
           on conflict (tenant_id, source, external_id, external_tid) where external_id is not null do update set
               username = excluded.username, display_name = excluded.display_name, email = excluded.email,
               oidc_groups_overage = excluded.oidc_groups_overage,
               last_login_at = coalesce(excluded.last_login_at, users.last_login_at)
           returning user_id as "user_id: UserId", enabled"#,
        id.as_uuid(),
        tenant.as_uuid(),
        user.external_id,
        user.username,
        user.display_name,
        user.email,
        user.groups_overage,
        signs_in_at,
        user.external_tid
    )
    .fetch_one(connection)
    .await?;
    Ok(DirectoryAccount { id: row.user_id, enabled: row.enabled, is_new: row.user_id == id, renamed })
}

/// Makes the person's directory groups exactly those named. Groups that are new here are called by
/// their id until an administrator names them; or like it, where another group is called so already,
/// which must not cost people their directory group. How many groups the person left and joined.
pub(in super::super) async fn replace_groups(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    groups: &[String],
) -> Result<(u64, u64)> {
    let ids: Vec<Uuid> = groups.iter().map(|_| Ids.fresh()).collect();
    sqlx::query!(
        "with fresh as (
             select id, external_id, row_number() over (partition by lower(external_id)) as place
             from unnest($2::uuid[], $3::text[]) as new (id, external_id)
             where not exists (select from groups where source = 'oidc' and groups.external_id = new.external_id)
         ), called as (
             select id, external_id, place, left(external_id, 160) || ' (directory)' as marked,
                    left(external_id, 160) || ' (directory ' || right(id::text, 12) || ')' as unlike_any
             from fresh
         )
         insert into groups (group_id, tenant_id, source, external_id, name)
         select id, $1, 'oidc', external_id,
                case when place = 1 and not exists (select from groups g where lower(g.name) = lower(called.external_id))
                         then external_id
                     when place = 1 and not exists (select from groups g where lower(g.name) = lower(marked)) then marked
                     else unlike_any end
         from called
         on conflict do nothing",
        tenant.as_uuid(),
        &ids,
        groups
    )
    .execute(&mut *connection)
    .await?;
    let left = sqlx::query!(
        "delete from group_memberships m using groups g
         where m.group_id = g.group_id and m.user_id = $1 and g.source = 'oidc' and g.external_id <> all ($2::text[])",
        user.as_uuid(),
        groups
    )
    .execute(&mut *connection)
    .await?;
    let joined = sqlx::query!(
        "insert into group_memberships (tenant_id, group_id, user_id)
         select $1, group_id, $2 from groups where source = 'oidc' and external_id = any ($3::text[])
         on conflict do nothing",
        tenant.as_uuid(),
        user.as_uuid(),
        groups
    )
    .execute(connection)
    .await?;
    Ok((left.rows_affected(), joined.rows_affected()))
}

/// Whether the directory has told of this person.
pub(in super::super) async fn is_of_directory(connection: &mut PgConnection, user: UserId) -> Result<bool> {
    let found = sqlx::query_scalar!("select 1 from users where user_id = $1 and source = 'oidc'", user.as_uuid());
    Ok(found.fetch_optional(connection).await?.is_some())
}
