//! The launcher's query: reads tables of several domains, writes none.

use openpam_ids::{GroupId, TargetId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::types::{Entry, EntryCredential, Filter, Key, Viewer};
use crate::db::like_pattern;

/// Targets the viewer may connect to (the rule of the access decision: by role, or by a group).
pub(super) async fn list(
    connection: &mut PgConnection,
    viewer: &Viewer,
    filter: &Filter,
    after: Option<Key>,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    let groups: Vec<Uuid> = viewer.groups.iter().map(GroupId::as_uuid).collect();
    let (after_rank, after_name, after_id) = match after {
        Some((rank, name, id)) => (Some(rank), Some(name), Some(id)),
        None => (None, None, None),
    };
    sqlx::query_as!(
        Entry,
        r#"select target_id as "id!: _", name as "name!", sort_name as "sort_name!", rank as "rank!",
                  description as "description!", protocol as "protocol!", host as "host!", port as "port!",
                  zone_id as "zone_id!: _", zone_name as "zone_name!", zone_type as "zone_type!", environment,
                  tags as "tags!", enabled as "enabled!", reason_required as "reason_required!",
                  favorite as "favorite!", last_used_at
           from (
               select t.target_id, t.name, lower(t.name) as sort_name, t.description, t.protocol, t.host, t.port,
                      t.zone_id, z.name as zone_name, z.type as zone_type, t.environment, t.tags, t.enabled,
                      t.reason_required, f.target_id is not null as favorite, used.last_used_at,
                      case when $1 then coalesce(used.last_used_at, to_timestamp(0)) else to_timestamp(0) end as rank
               from targets t
               join zones z using (tenant_id, zone_id)
               left join favorite_targets f on f.target_id = t.target_id and f.user_id = $2
               left join lateral (
                   select max(start_time) as last_used_at from sessions s
                   where s.tenant_id = t.tenant_id and s.target_id = t.target_id and s.user_id = $2
                     and (s.status <> 'failed' or s.bytes_received > 0)) used on true
               where ($3 or exists (
                         select from target_access_groups a
                         where a.target_id = t.target_id and a.group_id = any ($4::uuid[])))
                 and ($5::uuid is null or t.target_id = $5)
                 and ($6::text is null or t.name || ' ' || t.host || ' ' || t.description ilike '%' || $6 || '%')
                 and ($7::uuid is null or t.zone_id = $7)
                 and ($8::text is null or $8 = any (t.tags))
                 and (not $9 or f.target_id is not null)
           ) visible
           where $10::timestamptz is null or rank < $10
              or (rank = $10 and (sort_name, target_id) > ($11::text, $12::uuid))
           order by rank desc, sort_name, target_id
           limit $13"#,
        filter.recent_first,
        viewer.user_id.map(Uuid::from),
        viewer.sees_all,
        &groups,
        filter.only.map(Uuid::from),
        filter.text.as_deref().map(like_pattern),
        filter.zone_id.map(Uuid::from),
        filter.tag,
        filter.favorite,
        after_rank,
        after_name,
        after_id,
        limit
    )
    .fetch_all(connection)
    .await
}

/// The credentials of the targets, in each target's order.
pub(super) async fn credentials(
    connection: &mut PgConnection,
    targets: &[TargetId],
) -> Result<Vec<EntryCredential>, sqlx::Error> {
    let targets: Vec<Uuid> = targets.iter().map(TargetId::as_uuid).collect();
    sqlx::query_as!(
        EntryCredential,
        r#"select target_id as "target_id: _", credential_id as "id: _", name, username, kind
           from target_credentials join credentials using (tenant_id, credential_id)
           where target_id = any ($1)
           order by position, lower(name), credential_id"#,
        &targets
    )
    .fetch_all(connection)
    .await
}
