//! The closed list of permissions, so that nobody keeps a copy of it.

use serde::Serialize;
use utoipa_axum::routes;

use crate::{
    context::{Context, Role},
    http::{Access, Json, Page, Routes},
    permissions::Permission,
};

pub(super) fn routes() -> Routes {
    Routes::new().add(Access::SignedIn, routes!(list_permissions))
}

/// A permission and which roles give it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Permission)]
struct PermissionBody {
    /// Stable name, as in a token's scopes.
    name: &'static str,
    /// What it allows, for a person.
    description: &'static str,
    /// The roles that give it.
    roles: Vec<Role>,
}

/// Every permission, and which roles give it.
#[utoipa::path(get, path = "/api/v1/permissions", tag = "identity", responses((status = 200, body = Page<PermissionBody>)))]
async fn list_permissions(_context: Context) -> Json<Page<PermissionBody>> {
    let body = |permission: &Permission| PermissionBody {
        name: permission.name(),
        description: permission.description(),
        roles: permission.roles().to_vec(),
    };
    Json(Page { items: Permission::ALL.iter().map(body).collect(), next_cursor: None })
}
