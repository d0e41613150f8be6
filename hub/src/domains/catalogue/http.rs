//! The launcher's routes.

mod admin;

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use openpam_ids::{CredentialId, TargetId, ZoneId};
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use super::{
    store,
    types::{Entry, EntryCredential, Filter, Key, Viewer},
};
use crate::{
    context::Context,
    db::DbError,
    domains::{
        audit::{self, Event},
        settings,
        targets::{self, Environment, Protocol, ZoneType},
        vault::CredentialKind,
    },
    http::{Access, Json, Page, PageQuery, Path, Problem, ProblemBody, Query, Routes},
    permissions::{Permission, permits},
    state::Hub,
};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .add(Access::SignedIn, routes!(list_targets))
        .add(Access::SignedIn, routes!(get_target))
        .add(Access::SignedIn, routes!(add_favorite, remove_favorite))
        .merge(admin::routes())
}

/// Order of the launcher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    /// By name.
    #[default]
    Name,
    /// Most recently used first.
    Recent,
}

/// Filters of the launcher.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LauncherQuery {
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
    /// Only favourites.
    #[serde(default)]
    favorite: bool,
    /// `name` or `recent`.
    #[serde(default)]
    #[param(inline)]
    sort: Sort,
}

/// The network of a target.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct LaunchZone {
    id: ZoneId,
    name: String,
    #[serde(rename = "type")]
    #[schema(value_type = ZoneType)]
    kind: String,
}

/// A way to log in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct LaunchCredential {
    id: CredentialId,
    name: String,
    username: String,
    #[schema(value_type = CredentialKind)]
    kind: String,
}

/// A target one may connect to.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct LaunchTarget {
    id: TargetId,
    name: String,
    description: String,
    #[schema(value_type = Protocol)]
    protocol: String,
    host: String,
    port: i32,
    zone: LaunchZone,
    #[schema(value_type = Option<Environment>)]
    environment: Option<String>,
    tags: Vec<String>,
    enabled: bool,
    favorite: bool,
    last_used_at: Option<DateTime<Utc>>,
    reason_required: bool,
    /// Whether programs on it may write the browser's clipboard.
    clipboard_write: bool,
    credentials: Vec<LaunchCredential>,
}

impl LaunchTarget {
    fn new(entry: Entry, credentials: &[EntryCredential], rules: &settings::Effective) -> Self {
        let credentials = credentials
            .iter()
            .filter(|credential| credential.target_id == entry.id)
            .map(|credential| LaunchCredential {
                id: credential.id,
                name: credential.name.clone(),
                username: credential.username.clone(),
                kind: credential.kind.clone(),
            })
            .collect();
        Self {
            id: entry.id,
            name: entry.name,
            description: entry.description,
            protocol: entry.protocol,
            host: entry.host,
            port: entry.port,
            zone: LaunchZone { id: entry.zone_id, name: entry.zone_name, kind: entry.zone_type },
            environment: entry.environment,
            tags: entry.tags,
            enabled: entry.enabled,
            favorite: entry.favorite,
            last_used_at: entry.last_used_at,
            reason_required: entry.reason_required || rules.require_reason,
            clipboard_write: rules.clipboard_write,
            credentials,
        }
    }
}

fn viewer(context: &Context) -> Viewer {
    Viewer {
        user_id: context.principal.user_id(),
        groups: context.principal.groups.clone(),
        sees_all: permits(&context.principal, Permission::SessionConnectAny),
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The targets one may connect to.
#[utoipa::path(get, path = "/api/v1/targets", tag = "launcher", params(LauncherQuery),
    responses((status = 200, body = Page<LaunchTarget>)))]
async fn list_targets(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<LauncherQuery>,
) -> Result<Json<Page<LaunchTarget>>, Problem> {
    let cursor = PageQuery { limit: query.limit, cursor: query.cursor }.cursor::<Key>()?;
    let filter = Filter {
        only: None,
        text: filled(query.q),
        zone_id: query.zone_id,
        tag: filled(query.tag),
        favorite: query.favorite,
        recent_first: query.sort == Sort::Recent,
    };
    let mut tx = hub.db().begin(&context).await?;
    let entries = store::list(&mut tx, &viewer(&context), &filter, cursor.after.clone(), cursor.fetch())
        .await
        .map_err(DbError::from)?;
    let page: Page<Entry> =
        Page::of(entries, cursor.limit, |entry| -> Key { (entry.rank, entry.sort_name.clone(), entry.id.as_uuid()) });
    let ids: Vec<TargetId> = page.items.iter().map(|entry| entry.id).collect();
    let credentials = store::credentials(&mut tx, &ids).await.map_err(DbError::from)?;
    let rules = settings::effective(&mut tx, hub.config()).await?;
    let items = page.items.into_iter().map(|entry| LaunchTarget::new(entry, &credentials, &rules)).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// A target one may connect to.
#[utoipa::path(get, path = "/api/v1/targets/{id}", tag = "launcher", params(("id" = TargetId, Path)),
    responses((status = 200, body = LaunchTarget), (status = 404, body = ProblemBody)))]
async fn get_target(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<TargetId>,
) -> Result<Json<LaunchTarget>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let entry = visible(&mut tx, &context, id).await?;
    let credentials = store::credentials(&mut tx, &[id]).await.map_err(DbError::from)?;
    let rules = settings::effective(&mut tx, hub.config()).await?;
    Ok(Json(LaunchTarget::new(entry, &credentials, &rules)))
}

/// The target, if the principal may connect to it; for everybody else it does not exist.
async fn visible(connection: &mut sqlx::PgConnection, context: &Context, id: TargetId) -> Result<Entry, Problem> {
    let filter = Filter { only: Some(id), ..Filter::default() };
    let mut entries = store::list(connection, &viewer(context), &filter, None, 1).await.map_err(DbError::from)?;
    entries.pop().ok_or_else(|| Problem::not_found("target"))
}

/// Marks a target as a favourite of one's own.
#[utoipa::path(put, path = "/api/v1/targets/{id}/favorite", tag = "launcher", params(("id" = TargetId, Path)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn add_favorite(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<TargetId>,
) -> Result<StatusCode, Problem> {
    set_favorite(&hub, &context, id, true).await
}

/// Takes the mark away.
#[utoipa::path(delete, path = "/api/v1/targets/{id}/favorite", tag = "launcher", params(("id" = TargetId, Path)),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn remove_favorite(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<TargetId>,
) -> Result<StatusCode, Problem> {
    set_favorite(&hub, &context, id, false).await
}

async fn set_favorite(hub: &Hub, context: &Context, id: TargetId, favorite: bool) -> Result<StatusCode, Problem> {
    // Programs have no favourites.
    let user_id = context.principal.user_id().ok_or_else(Problem::forbidden)?;
    let mut tx = hub.db().begin(context).await?;
    let entry = visible(&mut tx, context, id).await?;
    let action = if favorite {
        targets::add_favorite(&mut tx, context, user_id, id).await?;
        "target.favorite.add"
    } else {
        targets::remove_favorite(&mut tx, user_id, id).await?;
        "target.favorite.remove"
    };
    audit::record(&mut tx, context, Event::success(action).on("target", id, entry.name))
        .await
        .map_err(DbError::from)?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
