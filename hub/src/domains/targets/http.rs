//! Admin routes of zones, sites and host keys. The targets themselves are served together with
//! their credentials, by the domain `catalogue`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_ids::{HostKeyId, SiteId, TargetId, ZoneId};
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use super::{HostKey, HostKeyKind, Site, SiteFields, Zone, ZoneFields, ZoneType, error::TargetsError, service, store};
use crate::{
    context::Context,
    http::{Access, Json, Page, Path, Problem, ProblemBody, Query, Routes, SearchQuery, nullable},
    permissions::Permission,
    state::Hub,
};

pub(crate) fn routes() -> Routes {
    let read = Access::Permission(Permission::InfrastructureRead);
    let zones = Access::Permission(Permission::ZoneManage);
    let targets = Access::Permission(Permission::TargetManage);
    Routes::new()
        .add(read, routes!(list_zones))
        .add(zones, routes!(create_zone))
        .add(read, routes!(get_zone))
        .add(zones, routes!(update_zone, delete_zone))
        .add(read, routes!(list_sites))
        .add(zones, routes!(create_site))
        .add(read, routes!(get_site))
        .add(zones, routes!(update_site, delete_site))
        .add(read, routes!(list_host_keys))
        .add(targets, routes!(trust_host_key))
        .add(targets, routes!(distrust_host_key))
}

/// A network.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Zone)]
struct ZoneBody {
    id: ZoneId,
    name: String,
    description: String,
    #[serde(rename = "type")]
    kind: ZoneType,
    site_id: Option<SiteId>,
    target_count: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Zone> for ZoneBody {
    fn from(zone: Zone) -> Self {
        Self {
            id: zone.id,
            name: zone.fields.name,
            description: zone.fields.description,
            kind: zone.fields.kind,
            site_id: zone.fields.site_id,
            target_count: zone.target_count,
            created_at: zone.created_at,
            updated_at: zone.updated_at,
        }
    }
}

/// A zone to make.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct NewZone {
    name: String,
    description: Option<String>,
    #[serde(rename = "type")]
    kind: ZoneType,
    site_id: Option<SiteId>,
}

/// What of a zone to change.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct ZoneChange {
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(rename = "type")]
    kind: Option<ZoneType>,
    #[serde(default, deserialize_with = "nullable")]
    site_id: Option<Option<SiteId>>,
}

/// Zones, by name.
#[utoipa::path(get, path = "/api/v1/admin/zones", tag = "zones", params(SearchQuery),
    responses((status = 200, body = Page<ZoneBody>)))]
async fn list_zones(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Page<ZoneBody>>, Problem> {
    let cursor = query.cursor()?;
    let mut tx = hub.db().begin(&context).await?;
    let zones = store::zones(&mut tx, None, query.text(), cursor.after.clone(), cursor.fetch())
        .await
        .map_err(TargetsError::from)?;
    Ok(Json(Page::by_name(zones, cursor.limit, |zone| (zone.fields.name.as_str(), zone.id))))
}

/// A zone.
#[utoipa::path(get, path = "/api/v1/admin/zones/{id}", tag = "zones", params(("id" = ZoneId, Path)),
    responses((status = 200, body = ZoneBody), (status = 404, body = ProblemBody)))]
async fn get_zone(State(hub): State<Hub>, context: Context, Path(id): Path<ZoneId>) -> Result<Json<ZoneBody>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    Ok(Json(service::zone(&mut tx, id).await?.into()))
}

/// Makes a zone.
#[utoipa::path(post, path = "/api/v1/admin/zones", tag = "zones", request_body = NewZone,
    responses((status = 201, body = ZoneBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_zone(
    State(hub): State<Hub>,
    context: Context,
    Json(body): Json<NewZone>,
) -> Result<(StatusCode, Json<ZoneBody>), Problem> {
    let fields = ZoneFields {
        name: body.name,
        description: body.description.unwrap_or_default(),
        kind: body.kind,
        site_id: body.site_id,
    };
    let mut tx = hub.db().begin(&context).await?;
    let zone = service::create_zone(&mut tx, &context, fields).await?;
    tx.commit().await.map_err(TargetsError::from)?;
    Ok((StatusCode::CREATED, Json(zone.into())))
}

/// Changes a zone.
#[utoipa::path(patch, path = "/api/v1/admin/zones/{id}", tag = "zones", params(("id" = ZoneId, Path)),
    request_body = ZoneChange,
    responses((status = 200, body = ZoneBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn update_zone(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<ZoneId>,
    Json(body): Json<ZoneChange>,
) -> Result<Json<ZoneBody>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let zone = service::update_zone(&mut tx, &context, id, |zone| {
        body.name.into_iter().for_each(|name| zone.name = name);
        body.description.into_iter().for_each(|description| zone.description = description.unwrap_or_default());
        body.kind.into_iter().for_each(|kind| zone.kind = kind);
        body.site_id.into_iter().for_each(|site_id| zone.site_id = site_id);
    })
    .await?;
    tx.commit().await.map_err(TargetsError::from)?;
    Ok(Json(zone.into()))
}

/// Deletes a zone without targets.
#[utoipa::path(delete, path = "/api/v1/admin/zones/{id}", tag = "zones", params(("id" = ZoneId, Path)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn delete_zone(State(hub): State<Hub>, context: Context, Path(id): Path<ZoneId>) -> Result<StatusCode, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    service::delete_zone(&mut tx, &context, id).await?;
    tx.commit().await.map_err(TargetsError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What an installer targets.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Site)]
struct SiteBody {
    id: SiteId,
    name: String,
    code: String,
    description: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Site> for SiteBody {
    fn from(site: Site) -> Self {
        Self {
            id: site.id,
            name: site.fields.name,
            code: site.fields.code,
            description: site.fields.description,
            created_at: site.created_at,
            updated_at: site.updated_at,
        }
    }
}

/// A site to make.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct NewSite {
    name: String,
    code: String,
    description: Option<String>,
}

/// What of a site to change.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct SiteChange {
    name: Option<String>,
    code: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
}

/// Sites, by name.
#[utoipa::path(get, path = "/api/v1/admin/sites", tag = "sites", params(SearchQuery),
    responses((status = 200, body = Page<SiteBody>)))]
async fn list_sites(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Page<SiteBody>>, Problem> {
    let cursor = query.cursor()?;
    let mut tx = hub.db().begin(&context).await?;
    let sites = store::sites(&mut tx, None, query.text(), cursor.after.clone(), cursor.fetch())
        .await
        .map_err(TargetsError::from)?;
    Ok(Json(Page::by_name(sites, cursor.limit, |site| (site.fields.name.as_str(), site.id))))
}

/// A site.
#[utoipa::path(get, path = "/api/v1/admin/sites/{id}", tag = "sites", params(("id" = SiteId, Path)),
    responses((status = 200, body = SiteBody), (status = 404, body = ProblemBody)))]
async fn get_site(State(hub): State<Hub>, context: Context, Path(id): Path<SiteId>) -> Result<Json<SiteBody>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    Ok(Json(service::site(&mut tx, id).await?.into()))
}

/// Makes a site.
#[utoipa::path(post, path = "/api/v1/admin/sites", tag = "sites", request_body = NewSite,
    responses((status = 201, body = SiteBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_site(
    State(hub): State<Hub>,
    context: Context,
    Json(body): Json<NewSite>,
) -> Result<(StatusCode, Json<SiteBody>), Problem> {
    let fields = SiteFields { name: body.name, code: body.code, description: body.description.unwrap_or_default() };
    let mut tx = hub.db().begin(&context).await?;
    let site = service::create_site(&mut tx, &context, fields).await?;
    tx.commit().await.map_err(TargetsError::from)?;
    Ok((StatusCode::CREATED, Json(site.into())))
}

/// Changes a site.
#[utoipa::path(patch, path = "/api/v1/admin/sites/{id}", tag = "sites", params(("id" = SiteId, Path)),
    request_body = SiteChange,
    responses((status = 200, body = SiteBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn update_site(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<SiteId>,
    Json(body): Json<SiteChange>,
) -> Result<Json<SiteBody>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let site = service::update_site(&mut tx, &context, id, |site| {
        body.name.into_iter().for_each(|name| site.name = name);
        body.code.into_iter().for_each(|code| site.code = code);
        body.description.into_iter().for_each(|description| site.description = description.unwrap_or_default());
    })
    .await?;
    tx.commit().await.map_err(TargetsError::from)?;
    Ok(Json(site.into()))
}

/// Deletes a site without zones.
#[utoipa::path(delete, path = "/api/v1/admin/sites/{id}", tag = "sites", params(("id" = SiteId, Path)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn delete_site(State(hub): State<Hub>, context: Context, Path(id): Path<SiteId>) -> Result<StatusCode, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    service::delete_site(&mut tx, &context, id).await?;
    tx.commit().await.map_err(TargetsError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A key that is trusted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = HostKey)]
pub(crate) struct HostKeyBody {
    id: HostKeyId,
    algorithm: String,
    fingerprint: String,
    kind: HostKeyKind,
    trusted_at: DateTime<Utc>,
    trusted_by: String,
}

impl From<HostKey> for HostKeyBody {
    fn from(key: HostKey) -> Self {
        Self {
            id: key.id,
            algorithm: key.algorithm,
            fingerprint: key.fingerprint,
            kind: key.kind,
            trusted_at: key.trusted_at,
            trusted_by: key.trusted_by,
        }
    }
}

/// A key to trust.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct NewHostKey {
    /// OpenSSH public key line, as in a `.pub` file.
    public_key: String,
    kind: HostKeyKind,
}

/// Keys trusted for a target.
#[utoipa::path(get, path = "/api/v1/admin/targets/{id}/host-keys", tag = "targets", params(("id" = TargetId, Path)),
    responses((status = 200, body = Page<HostKeyBody>), (status = 404, body = ProblemBody)))]
async fn list_host_keys(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<TargetId>,
) -> Result<Json<Page<HostKeyBody>>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let items = service::host_keys(&mut tx, id).await?.into_iter().map(HostKeyBody::from).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// Trusts a key for a target.
#[utoipa::path(post, path = "/api/v1/admin/targets/{id}/host-keys", tag = "targets", params(("id" = TargetId, Path)),
    request_body = NewHostKey,
    responses((status = 201, body = HostKeyBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn trust_host_key(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<TargetId>,
    Json(body): Json<NewHostKey>,
) -> Result<(StatusCode, Json<HostKeyBody>), Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let key = service::trust_host_key(&mut tx, &context, id, &body.public_key, body.kind).await?;
    tx.commit().await.map_err(TargetsError::from)?;
    Ok((StatusCode::CREATED, Json(key.into())))
}

/// Stops trusting a key.
#[utoipa::path(delete, path = "/api/v1/admin/targets/{id}/host-keys/{key_id}", tag = "targets",
    params(("id" = TargetId, Path), ("key_id" = HostKeyId, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn distrust_host_key(
    State(hub): State<Hub>,
    context: Context,
    Path((id, key_id)): Path<(TargetId, HostKeyId)>,
) -> Result<StatusCode, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    service::distrust_host_key(&mut tx, &context, id, key_id).await?;
    tx.commit().await.map_err(TargetsError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
