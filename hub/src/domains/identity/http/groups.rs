//! Groups and their members, by administrators.

use axum::extract::State;
use http::StatusCode;
use openpam_ids::{GroupId, UserId};
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;
use uuid::Uuid;

use super::{
    super::{
        service::groups as service,
        types::{self, GroupChange, NewGroup, Source},
        validation::Mistakes,
    },
    users::UserBody,
};
use crate::{
    context::{Context, Role},
    http::{Access, Json, Page, PageQuery, Path, Problem, ProblemBody, Query, Routes, SearchQuery},
    permissions::Permission,
    state::Hub,
};

pub(super) fn routes() -> Routes {
    let read = Access::Permission(Permission::IdentityRead);
    let manage = Access::Permission(Permission::IdentityManage);
    Routes::new()
        .add(read, routes!(list_groups))
        .add(manage, routes!(create_group))
        .add(read, routes!(get_group))
        .add(manage, routes!(update_group, delete_group))
        .add(read, routes!(list_members))
        .add(manage, routes!(add_member, remove_member))
}

/// A set of people.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Group)]
struct GroupBody {
    id: GroupId,
    name: String,
    description: String,
    source: Source,
    /// Its id in the directory.
    external_id: Option<String>,
    /// Roles its members have; for a directory group, those the configuration maps it to.
    roles: Vec<Role>,
    member_count: i64,
}

impl From<types::Group> for GroupBody {
    fn from(group: types::Group) -> Self {
        Self {
            id: group.id,
            name: group.name,
            description: group.description,
            source: group.source,
            external_id: group.external_id,
            roles: group.roles.into_iter().collect(),
            member_count: group.member_count,
        }
    }
}

/// Groups by name.
#[utoipa::path(get, path = "/api/v1/admin/groups", tag = "identity", params(SearchQuery),
    responses((status = 200, body = Page<GroupBody>), (status = 403, body = ProblemBody)))]
async fn list_groups(
    State(hub): State<Hub>,
    context: Context,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Page<GroupBody>>, Problem> {
    let cursor = query.cursor()?;
    let groups = service::list(&hub, &context, query.text(), cursor.after.clone(), cursor.fetch()).await?;
    Ok(Json(Page::by_name(groups, cursor.limit, |group| (group.name.as_str(), group.id))))
}

/// A group to make.
#[derive(Deserialize, utoipa::ToSchema)]
struct CreateGroup {
    name: String,
    #[serde(default)]
    description: String,
    /// `local` when absent; `oidc` names a directory group before its first member signs in.
    source: Option<Source>,
    /// The directory's id, for `oidc`.
    external_id: Option<String>,
    /// For local groups; the configuration maps directory groups to roles.
    #[serde(default)]
    roles: Vec<Role>,
}

/// Makes a group.
#[utoipa::path(post, path = "/api/v1/admin/groups", tag = "identity", request_body = CreateGroup,
    responses((status = 201, body = GroupBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_group(
    State(hub): State<Hub>,
    context: Context,
    Json(body): Json<CreateGroup>,
) -> Result<(StatusCode, Json<GroupBody>), Problem> {
    let mut mistakes = Mistakes::default();
    let source = body.source.unwrap_or(Source::Local);
    let external_id = body.external_id.filter(|id| !id.trim().is_empty());
    match (source, &external_id) {
        (Source::Local, Some(_)) => mistakes.add("external_id", "not_allowed", "is only for directory groups"),
        (Source::Oidc, None) => mistakes.add("external_id", "required", "is required for a directory group"),
        (Source::Ldap, _) => mistakes.add("source", "not_supported", "must be local or oidc"),
        _ => {}
    }
    if source != Source::Local && !body.roles.is_empty() {
        mistakes.add("roles", "not_allowed", "of a directory group stand in the configuration");
    }
    let new = NewGroup {
        name: mistakes.name("name", &body.name),
        description: mistakes.description(&body.description),
        source,
        external_id: external_id.map(|id| mistakes.name("external_id", &id)),
        roles: body.roles.into_iter().collect(),
    };
    mistakes.finish()?;
    Ok((StatusCode::CREATED, Json(service::create(&hub, &context, new).await?.into())))
}

/// One group.
#[utoipa::path(get, path = "/api/v1/admin/groups/{id}", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 200, body = GroupBody), (status = 404, body = ProblemBody)))]
async fn get_group(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<GroupId>,
) -> Result<Json<GroupBody>, Problem> {
    Ok(Json(service::get(&hub, &context, id).await?.into()))
}

/// A change of a group; absent fields stay.
#[derive(Deserialize, utoipa::ToSchema)]
struct UpdateGroup {
    name: Option<String>,
    description: Option<String>,
    /// For local groups.
    roles: Option<Vec<Role>>,
}

/// Changes a group.
#[utoipa::path(patch, path = "/api/v1/admin/groups/{id}", tag = "identity", params(("id" = Uuid, Path)),
    request_body = UpdateGroup,
    responses((status = 200, body = GroupBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn update_group(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<GroupId>,
    Json(body): Json<UpdateGroup>,
) -> Result<Json<GroupBody>, Problem> {
    let mut mistakes = Mistakes::default();
    let change = GroupChange {
        name: body.name.map(|name| mistakes.name("name", &name)),
        description: body.description.map(|text| mistakes.description(&text)),
        roles: body.roles.map(|roles| roles.into_iter().collect()),
    };
    mistakes.finish()?;
    Ok(Json(service::update(&hub, &context, id, change).await?.into()))
}

/// Removes a group and the access it gave. One of the directory comes back, without access, when a
/// member signs in.
#[utoipa::path(delete, path = "/api/v1/admin/groups/{id}", tag = "identity", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn delete_group(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<GroupId>,
) -> Result<StatusCode, Problem> {
    service::delete(&hub, &context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Members of a group by user name.
#[utoipa::path(get, path = "/api/v1/admin/groups/{id}/members", tag = "identity",
    params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<UserBody>), (status = 404, body = ProblemBody)))]
async fn list_members(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<GroupId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<UserBody>>, Problem> {
    let cursor = query.cursor::<(String, Uuid)>()?;
    let members = service::members(&hub, &context, id, cursor.after.clone(), cursor.fetch()).await?;
    Ok(Json(Page::by_name(members, cursor.limit, |user| (user.username.as_str(), user.id))))
}

/// Adds a person to a local group.
#[utoipa::path(put, path = "/api/v1/admin/groups/{id}/members/{user_id}", tag = "identity",
    params(("id" = Uuid, Path), ("user_id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn add_member(
    State(hub): State<Hub>,
    context: Context,
    Path((id, user)): Path<(GroupId, UserId)>,
) -> Result<StatusCode, Problem> {
    service::set_member(&hub, &context, id, user, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a person from a local group.
#[utoipa::path(delete, path = "/api/v1/admin/groups/{id}/members/{user_id}", tag = "identity",
    params(("id" = Uuid, Path), ("user_id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn remove_member(
    State(hub): State<Hub>,
    context: Context,
    Path((id, user)): Path<(GroupId, UserId)>,
) -> Result<StatusCode, Problem> {
    service::set_member(&hub, &context, id, user, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
