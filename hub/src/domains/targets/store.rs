//! SQL of sites, zones, targets, host keys and favourites.

use chrono::{DateTime, Utc};
use openpam_ids::{GroupId, HostKeyId, SiteId, TargetId, TenantId, UserId, ZoneId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::types::{
    Destination, Environment, HostKey, HostKeyKind, HostKeyPolicy, Protocol, Site, SiteFields, Target, TargetFields,
    TargetFilter, TrustedKey, Zone, ZoneFields, ZoneType,
};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A name of a closed list; the database's checks admit no other, so a miss is a schema mismatch.
fn known<T>(value: Option<T>, column: &'static str) -> Result<T> {
    value.ok_or_else(|| sqlx::Error::ColumnDecode { index: column.into(), source: "is not a known name".into() })
}

struct SiteRow {
    id: SiteId,
    name: String,
    code: String,
    description: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<SiteRow> for Site {
    fn from(row: SiteRow) -> Self {
        Self {
            id: row.id,
            fields: SiteFields { name: row.name, code: row.code, description: row.description },
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub(super) async fn sites(
    connection: &mut PgConnection,
    only: Option<SiteId>,
    text: Option<&str>,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<Site>> {
    let (after_name, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        SiteRow,
        r#"select site_id as "id: _", name, code, description, created_at, updated_at
           from sites
           where ($1::uuid is null or site_id = $1)
             and ($2::text is null or strpos(lower(name || ' ' || code || ' ' || description), lower($2)) > 0)
             and ($3::text is null or (lower(name), site_id) > (lower($3), $4::uuid))
           order by lower(name), site_id
           limit $5"#,
        only.map(Uuid::from),
        text,
        after_name,
        after_id,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Site::from).collect())
}

pub(super) async fn insert_site(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: SiteId,
    fields: &SiteFields,
) -> Result<()> {
    sqlx::query!(
        "insert into sites (site_id, tenant_id, name, code, description) values ($1, $2, $3, $4, $5)",
        id.as_uuid(),
        tenant.as_uuid(),
        fields.name,
        fields.code,
        fields.description
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn update_site(connection: &mut PgConnection, id: SiteId, fields: &SiteFields) -> Result<()> {
    sqlx::query!(
        "update sites set name = $2, code = $3, description = $4 where site_id = $1",
        id.as_uuid(),
        fields.name,
        fields.code,
        fields.description
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete_site(connection: &mut PgConnection, id: SiteId) -> Result<()> {
    sqlx::query!("delete from sites where site_id = $1", id.as_uuid()).execute(connection).await?;
    Ok(())
}

struct ZoneRow {
    id: ZoneId,
    name: String,
    description: String,
    kind: String,
    site_id: Option<SiteId>,
    target_count: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<ZoneRow> for Zone {
    type Error = sqlx::Error;

    fn try_from(row: ZoneRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            fields: ZoneFields {
                name: row.name,
                description: row.description,
                kind: known(ZoneType::from_name(&row.kind), "type")?,
                site_id: row.site_id,
            },
            target_count: row.target_count,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

pub(super) async fn zones(
    connection: &mut PgConnection,
    only: Option<ZoneId>,
    text: Option<&str>,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<Zone>> {
    let (after_name, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        ZoneRow,
        r#"select zone_id as "id: _", name, description, type as kind, site_id as "site_id: _",
                  (select count(*) from targets where targets.zone_id = zones.zone_id) as "target_count!",
                  created_at, updated_at
           from zones
           where ($1::uuid is null or zone_id = $1)
             and ($2::text is null or strpos(lower(name || ' ' || description), lower($2)) > 0)
             and ($3::text is null or (lower(name), zone_id) > (lower($3), $4::uuid))
           order by lower(name), zone_id
           limit $5"#,
        only.map(Uuid::from),
        text,
        after_name,
        after_id,
        limit
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Zone::try_from).collect()
}

pub(super) async fn insert_zone(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: ZoneId,
    fields: &ZoneFields,
) -> Result<()> {
    sqlx::query!(
        "insert into zones (zone_id, tenant_id, name, description, type, site_id) values ($1, $2, $3, $4, $5, $6)",
        id.as_uuid(),
        tenant.as_uuid(),
        fields.name,
        fields.description,
        fields.kind.name(),
        fields.site_id.map(Uuid::from)
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn update_zone(connection: &mut PgConnection, id: ZoneId, fields: &ZoneFields) -> Result<()> {
    sqlx::query!(
        "update zones set name = $2, description = $3, type = $4, site_id = $5 where zone_id = $1",
        id.as_uuid(),
        fields.name,
        fields.description,
        fields.kind.name(),
        fields.site_id.map(Uuid::from)
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete_zone(connection: &mut PgConnection, id: ZoneId) -> Result<()> {
    sqlx::query!("delete from zones where zone_id = $1", id.as_uuid()).execute(connection).await?;
    Ok(())
}

struct TargetRow {
    id: TargetId,
    name: String,
    description: String,
    protocol: String,
    host: String,
    port: i32,
    zone_id: ZoneId,
    zone_type: String,
    environment: Option<String>,
    tags: Vec<String>,
    enabled: bool,
    reason_required: bool,
    host_key_policy: String,
    legacy_algorithms: bool,
    access_groups: Vec<Uuid>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TargetRow {
    fn with_keys(self, host_keys: Vec<HostKey>) -> Result<Target> {
        let environment = self.environment.as_deref();
        Ok(Target {
            id: self.id,
            name: self.name,
            description: self.description,
            host: self.host,
            port: known(u16::try_from(self.port).ok(), "port")?,
            protocol: known(Protocol::from_name(&self.protocol), "protocol")?,
            zone_id: self.zone_id,
            satellite_zone: (known(ZoneType::from_name(&self.zone_type), "zone_type")? == ZoneType::Satellite)
                .then_some(self.zone_id),
            environment: environment.map(|name| known(Environment::from_name(name), "environment")).transpose()?,
            tags: self.tags,
            enabled: self.enabled,
            reason_required: self.reason_required,
            host_key_policy: known(HostKeyPolicy::from_name(&self.host_key_policy), "host_key_policy")?,
            legacy_algorithms: self.legacy_algorithms,
            access_groups: self.access_groups.into_iter().map(GroupId::from).collect(),
            host_keys,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Targets that match, by name, each with its groups and trusted keys.
pub(super) async fn targets(
    connection: &mut PgConnection,
    only: Option<TargetId>,
    filter: &TargetFilter,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<Target>> {
    let (after_name, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        TargetRow,
        r#"select target_id as "id: _", t.name, t.description, protocol, host, port, t.zone_id as "zone_id: _",
                  zones.type as zone_type, environment, tags, enabled, reason_required, host_key_policy,
                  legacy_algorithms,
                  array(select group_id from target_access_groups a where a.target_id = t.target_id
                        order by group_id) as "access_groups!",
                  t.created_at, t.updated_at
           from targets t join zones using (tenant_id, zone_id)
           where ($1::uuid is null or target_id = $1)
             and ($2::text is null or t.name || ' ' || host || ' ' || t.description ilike '%' || $2 || '%')
             and ($3::uuid is null or t.zone_id = $3)
             and ($4::text is null or $4 = any (tags))
             and ($5::text is null or (lower(t.name), target_id) > (lower($5), $6::uuid))
           order by lower(t.name), target_id
           limit $7"#,
        only.map(Uuid::from),
        filter.text.as_deref().map(crate::db::like_pattern),
        filter.zone_id.map(Uuid::from),
        filter.tag,
        after_name,
        after_id,
        limit
    )
    .fetch_all(&mut *connection)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.as_uuid()).collect();
    let mut keys = host_keys(connection, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let own = keys.extract_if(.., |(target_id, _)| *target_id == row.id).map(|(_, key)| key).collect();
            row.with_keys(own)
        })
        .collect()
}

pub(super) async fn destinations(connection: &mut PgConnection, ids: &[TargetId]) -> Result<Vec<Destination>> {
    let ids: Vec<Uuid> = ids.iter().map(TargetId::as_uuid).collect();
    sqlx::query_as!(
        Destination,
        r#"select target_id as "id: _", name, enabled,
                  array(select group_id from target_access_groups a
                        where a.target_id = targets.target_id) as "access_groups!: Vec<GroupId>"
           from targets where target_id = any ($1)"#,
        &ids
    )
    .fetch_all(connection)
    .await
}

pub(super) async fn insert_target(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: TargetId,
    fields: &TargetFields,
) -> Result<()> {
    sqlx::query!(
        "insert into targets (target_id, tenant_id, zone_id, name, description, protocol, host, port, environment, tags,
                              enabled, reason_required, host_key_policy, legacy_algorithms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        id.as_uuid(),
        tenant.as_uuid(),
        fields.zone_id.as_uuid(),
        fields.name,
        fields.description,
        fields.protocol.name(),
        fields.host,
        i32::from(fields.port),
        fields.environment.map(Environment::name),
        &fields.tags,
        fields.enabled,
        fields.reason_required,
        fields.host_key_policy.name(),
        fields.legacy_algorithms
    )
    .execute(&mut *connection)
    .await?;
    set_access_groups(connection, tenant, id, &fields.access_groups).await
}

pub(super) async fn update_target(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: TargetId,
    fields: &TargetFields,
) -> Result<()> {
    sqlx::query!(
        "update targets set zone_id = $2, name = $3, description = $4, protocol = $5, host = $6, port = $7,
                environment = $8, tags = $9, enabled = $10, reason_required = $11, host_key_policy = $12,
                legacy_algorithms = $13
         where target_id = $1",
        id.as_uuid(),
        fields.zone_id.as_uuid(),
        fields.name,
        fields.description,
        fields.protocol.name(),
        fields.host,
        i32::from(fields.port),
        fields.environment.map(Environment::name),
        &fields.tags,
        fields.enabled,
        fields.reason_required,
        fields.host_key_policy.name(),
        fields.legacy_algorithms
    )
    .execute(&mut *connection)
    .await?;
    set_access_groups(connection, tenant, id, &fields.access_groups).await
}

async fn set_access_groups(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: TargetId,
    groups: &[GroupId],
) -> Result<()> {
    let groups: Vec<Uuid> = groups.iter().map(GroupId::as_uuid).collect();
    sqlx::query!(
        "delete from target_access_groups where target_id = $1 and group_id <> all ($2)",
        id.as_uuid(),
        &groups
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into target_access_groups (tenant_id, target_id, group_id)
         select $1, $2, group_id from unnest($3::uuid[]) as wanted (group_id)
         on conflict do nothing",
        tenant.as_uuid(),
        id.as_uuid(),
        &groups
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete_target(connection: &mut PgConnection, id: TargetId) -> Result<()> {
    sqlx::query!("delete from targets where target_id = $1", id.as_uuid()).execute(connection).await?;
    Ok(())
}

struct HostKeyRow {
    target_id: TargetId,
    id: HostKeyId,
    kind: String,
    algorithm: String,
    public_key: String,
    fingerprint: String,
    trusted_at: DateTime<Utc>,
    trusted_by: String,
}

async fn host_keys(connection: &mut PgConnection, targets: &[Uuid]) -> Result<Vec<(TargetId, HostKey)>> {
    let rows = sqlx::query_as!(
        HostKeyRow,
        r#"select target_id as "target_id: _", host_key_id as "id: _", kind, algorithm, public_key, fingerprint,
                  trusted_at, trusted_by_name as trusted_by
           from target_host_keys where target_id = any ($1)
           order by host_key_id"#,
        targets
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = HostKey {
                id: row.id,
                kind: known(HostKeyKind::from_name(&row.kind), "kind")?,
                algorithm: row.algorithm,
                public_key: row.public_key,
                fingerprint: row.fingerprint,
                trusted_at: row.trusted_at,
                trusted_by: row.trusted_by,
            };
            Ok((row.target_id, key))
        })
        .collect()
}

pub(super) async fn insert_host_key(
    connection: &mut PgConnection,
    tenant: TenantId,
    target_id: TargetId,
    id: HostKeyId,
    key: &TrustedKey,
) -> Result<DateTime<Utc>> {
    sqlx::query_scalar!(
        "insert into target_host_keys (host_key_id, tenant_id, target_id, kind, algorithm, public_key, fingerprint,
                                       trusted_by, trusted_by_name)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning trusted_at",
        id.as_uuid(),
        tenant.as_uuid(),
        target_id.as_uuid(),
        key.kind.name(),
        key.algorithm,
        key.public_key,
        key.fingerprint,
        key.trusted_by.map(Uuid::from),
        key.trusted_by_name
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn delete_host_key(connection: &mut PgConnection, id: HostKeyId) -> Result<()> {
    sqlx::query!("delete from target_host_keys where host_key_id = $1", id.as_uuid()).execute(connection).await?;
    Ok(())
}

pub(super) async fn insert_favorite(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    target: TargetId,
) -> Result<()> {
    sqlx::query!(
        "insert into favorite_targets (tenant_id, user_id, target_id) values ($1, $2, $3) on conflict do nothing",
        tenant.as_uuid(),
        user.as_uuid(),
        target.as_uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete_favorite(connection: &mut PgConnection, user: UserId, target: TargetId) -> Result<()> {
    sqlx::query!(
        "delete from favorite_targets where user_id = $1 and target_id = $2",
        user.as_uuid(),
        target.as_uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Holds other writers of this target back until the transaction ends.
pub(super) async fn lock_target(connection: &mut PgConnection, id: TargetId) -> Result<()> {
    sqlx::query!("select 1 as held from targets where target_id = $1 for update", id.as_uuid())
        .fetch_optional(connection)
        .await?;
    Ok(())
}

/// Holds other writers of this zone back until the transaction ends.
pub(super) async fn lock_zone(connection: &mut PgConnection, id: ZoneId) -> Result<()> {
    sqlx::query!("select 1 as held from zones where zone_id = $1 for update", id.as_uuid())
        .fetch_optional(connection)
        .await?;
    Ok(())
}

/// Holds other writers of this site back until the transaction ends.
pub(super) async fn lock_site(connection: &mut PgConnection, id: SiteId) -> Result<()> {
    sqlx::query!("select 1 as held from sites where site_id = $1 for update", id.as_uuid())
        .fetch_optional(connection)
        .await?;
    Ok(())
}
