//! Admin routes of targets, with their groups, credentials and trusted keys.

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_ids::{CredentialId, GroupId, TargetId, ZoneId};
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;
use uuid::Uuid;

use super::filled;
use crate::{
    context::Context,
    db::DbError,
    domains::{
        targets::{
            self, Environment, HostKeyBody, HostKeyPolicy, Protocol, Target, TargetFields, TargetFilter, TargetsError,
        },
        vault,
    },
    http::{Access, Json, Page, PageQuery, Path, Problem, ProblemBody, Query, Routes, nullable},
    permissions::{Permission, permits},
    state::Hub,
};

pub(super) fn routes() -> Routes {
    let read = Access::Permission(Permission::InfrastructureRead);
    let manage = Access::Permission(Permission::TargetManage);
    Routes::new()
        .add(read, routes!(list_admin_targets))
        .add(manage, routes!(create_target))
        .add(read, routes!(get_admin_target))
        .add(manage, routes!(update_target, delete_target))
}

/// Filters of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct TargetsQuery {
    /// Items a page, 1 to 200.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Part of name, host or description.
    q: Option<String>,
    /// In this zone.
    zone_id: Option<ZoneId>,
    /// With this tag.
    tag: Option<String>,
}

/// A target with everything an admin sets.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Target)]
struct TargetBody {
    id: TargetId,
    name: String,
    description: String,
    protocol: Protocol,
    host: String,
    port: u16,
    zone_id: ZoneId,
    environment: Option<Environment>,
    tags: Vec<String>,
    enabled: bool,
    reason_required: bool,
    host_key_policy: HostKeyPolicy,
    legacy_algorithms: bool,
    group_ids: Vec<GroupId>,
    credential_ids: Vec<CredentialId>,
    host_keys: Vec<HostKeyBody>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TargetBody {
    fn new(target: Target, credentials: &[(TargetId, CredentialId)]) -> Self {
        let own = credentials.iter().filter(|(id, _)| *id == target.id).map(|(_, credential)| *credential).collect();
        Self {
            id: target.id,
            name: target.name,
            description: target.description,
            protocol: target.protocol,
            host: target.host,
            port: target.port,
            zone_id: target.zone_id,
            environment: target.environment,
            tags: target.tags,
            enabled: target.enabled,
            reason_required: target.reason_required,
            host_key_policy: target.host_key_policy,
            legacy_algorithms: target.legacy_algorithms,
            group_ids: target.access_groups,
            credential_ids: own,
            host_keys: target.host_keys.into_iter().map(HostKeyBody::from).collect(),
            created_at: target.created_at,
            updated_at: target.updated_at,
        }
    }
}

/// A target to make.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct NewTarget {
    name: String,
    description: Option<String>,
    protocol: Protocol,
    host: String,
    port: u16,
    zone_id: ZoneId,
    environment: Option<Environment>,
    #[serde(default)]
    tags: Vec<String>,
    /// True when absent.
    enabled: Option<bool>,
    #[serde(default)]
    reason_required: bool,
    /// `pinned` when absent.
    host_key_policy: Option<HostKeyPolicy>,
    #[serde(default)]
    legacy_algorithms: bool,
    /// Groups whose members may connect.
    #[serde(default)]
    group_ids: Vec<GroupId>,
    /// Credentials that may be used on it.
    #[serde(default)]
    credential_ids: Vec<CredentialId>,
}

/// What of a target to change.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct TargetChange {
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    protocol: Option<Protocol>,
    host: Option<String>,
    port: Option<u16>,
    zone_id: Option<ZoneId>,
    #[serde(default, deserialize_with = "nullable")]
    environment: Option<Option<Environment>>,
    tags: Option<Vec<String>>,
    enabled: Option<bool>,
    reason_required: Option<bool>,
    host_key_policy: Option<HostKeyPolicy>,
    legacy_algorithms: Option<bool>,
    group_ids: Option<Vec<GroupId>>,
    credential_ids: Option<Vec<CredentialId>>,
}

impl TargetChange {
    fn apply(self, fields: &mut TargetFields) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut fields.name, self.name);
        set(&mut fields.description, self.description.map(Option::unwrap_or_default));
        set(&mut fields.protocol, self.protocol);
        set(&mut fields.host, self.host);
        set(&mut fields.port, self.port);
        set(&mut fields.zone_id, self.zone_id);
        set(&mut fields.environment, self.environment);
        set(&mut fields.tags, self.tags);
        set(&mut fields.enabled, self.enabled);
        set(&mut fields.reason_required, self.reason_required);
        set(&mut fields.host_key_policy, self.host_key_policy);
        set(&mut fields.legacy_algorithms, self.legacy_algorithms);
        set(&mut fields.access_groups, self.group_ids);
    }
}

/// Whoever may attach a credential has it shown to whatever they name as a target.
fn may_attach(context: &Context) -> Result<(), Problem> {
    if permits(&context.principal, Permission::CredentialManage) { Ok(()) } else { Err(Problem::beyond_scope()) }
}

async fn body(connection: &mut sqlx::PgConnection, id: TargetId) -> Result<TargetBody, Problem> {
    let target = targets::find(connection, id).await?.ok_or(TargetsError::NotFound("target"))?;
    let credentials = vault::credentials_of_all(connection, &[id]).await?;
    Ok(TargetBody::new(target, &credentials))
}

/// Targets, by name.
#[utoipa::path(get, path = "/api/v1/admin/targets", tag = "targets", params(TargetsQuery),
    responses((status = 200, body = Page<TargetBody>)))]
async fn list_admin_targets(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<TargetsQuery>,
) -> Result<Json<Page<TargetBody>>, Problem> {
    let cursor = PageQuery { limit: query.limit, cursor: query.cursor }.cursor::<(String, Uuid)>()?;
    let filter = TargetFilter { text: filled(query.q), zone_id: query.zone_id, tag: filled(query.tag) };
    let mut tx = hub.db().begin(&context).await?;
    let found = targets::list(&mut tx, &filter, cursor.after.clone(), cursor.fetch()).await?;
    let page: Page<Target> = Page::by_name(found, cursor.limit, |target| (target.name.as_str(), target.id));
    let ids: Vec<TargetId> = page.items.iter().map(|target| target.id).collect();
    let credentials = vault::credentials_of_all(&mut tx, &ids).await?;
    let items = page.items.into_iter().map(|target| TargetBody::new(target, &credentials)).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// A target.
#[utoipa::path(get, path = "/api/v1/admin/targets/{id}", tag = "targets", params(("id" = TargetId, Path)),
    responses((status = 200, body = TargetBody), (status = 404, body = ProblemBody)))]
async fn get_admin_target(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<TargetId>,
) -> Result<Json<TargetBody>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    Ok(Json(body(&mut tx, id).await?))
}

/// Makes a target.
#[utoipa::path(post, path = "/api/v1/admin/targets", tag = "targets", request_body = NewTarget,
    responses((status = 201, body = TargetBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_target(
    State(hub): State<Hub>,
    context: Context,
    Json(new): Json<NewTarget>,
) -> Result<(StatusCode, Json<TargetBody>), Problem> {
    let fields = TargetFields {
        name: new.name,
        description: new.description.unwrap_or_default(),
        protocol: new.protocol,
        host: new.host,
        port: new.port,
        zone_id: new.zone_id,
        environment: new.environment,
        tags: new.tags,
        enabled: new.enabled.unwrap_or(true),
        reason_required: new.reason_required,
        host_key_policy: new.host_key_policy.unwrap_or(HostKeyPolicy::Pinned),
        legacy_algorithms: new.legacy_algorithms,
        access_groups: new.group_ids,
    };
    let name = fields.name.trim().to_owned();
    let mut tx = hub.db().begin(&context).await?;
    let id = targets::create(&mut tx, &context, &hub.config().targets.address_exceptions, fields).await?;
    if !new.credential_ids.is_empty() {
        may_attach(&context)?;
        vault::set_credentials_of(&mut tx, &context, id, &name, &new.credential_ids).await?;
    }
    let created = body(&mut tx, id).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Changes a target.
#[utoipa::path(patch, path = "/api/v1/admin/targets/{id}", tag = "targets", params(("id" = TargetId, Path)),
    request_body = TargetChange,
    responses((status = 200, body = TargetBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn update_target(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<TargetId>,
    Json(mut change): Json<TargetChange>,
) -> Result<Json<TargetBody>, Problem> {
    let credentials = change.credential_ids.take();
    let exceptions = &hub.config().targets.address_exceptions;
    let mut tx = hub.db().begin(&context).await?;
    targets::update(&mut tx, &context, exceptions, id, |fields| change.apply(fields)).await?;
    if let Some(credentials) = credentials {
        may_attach(&context)?;
        let target = targets::find(&mut tx, id).await?.ok_or(TargetsError::NotFound("target"))?;
        vault::set_credentials_of(&mut tx, &context, id, &target.name, &credentials).await?;
    }
    let changed = body(&mut tx, id).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(Json(changed))
}

/// Deletes a target. Its sessions stay in the records, under its name.
#[utoipa::path(delete, path = "/api/v1/admin/targets/{id}", tag = "targets", params(("id" = TargetId, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn delete_target(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<TargetId>,
) -> Result<StatusCode, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    targets::delete(&mut tx, &context, id).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
