//! Routes with their access rule: signed in with a permission by default, public as the exception.

use axum::{extract::Request, middleware::Next, routing::MethodRouter};
use utoipa::openapi::{
    RefOr, extensions::ExtensionsBuilder, path::Paths, schema::Schema, security::SecurityRequirement,
};
use utoipa_axum::router::OpenApiRouter;

use super::{Problem, guard};
use crate::{
    permissions::{Permission, permits},
    state::Hub,
};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone, signed in or not.
    Public,
    /// Anyone who is signed in; the use case decides about the single object.
    SignedIn,
    /// Who has the permission.
    Permission(Permission),
}

/// The routes of one domain.
#[derive(Default)]
pub struct Routes {
    router: OpenApiRouter<Hub>,
}

/// What `utoipa_axum::routes!` makes.
type MethodRoutes = (Vec<(String, RefOr<Schema>)>, Paths, MethodRouter<Hub>);

impl Routes {
    /// No routes yet.
    pub fn new() -> Self {
        Self { router: OpenApiRouter::new() }
    }

    /// Adds routes that share one access rule. The rule also stands in the OpenAPI document, as
    /// `x-openpam-access`.
    #[must_use]
    pub fn add(mut self, access: Access, (schemas, mut paths, methods): MethodRoutes) -> Self {
        for item in paths.paths.values_mut() {
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten();
            for operation in operations {
                let rule = match access {
                    Access::Public => "public",
                    Access::SignedIn => "signed_in",
                    Access::Permission(permission) => permission.name(),
                };
                if access != Access::Public {
                    operation.security = Some(vec![
                        SecurityRequirement::new::<_, [String; 0], String>("cookie", []),
                        SecurityRequirement::new::<_, [String; 0], String>("token", []),
                    ]);
                }
                operation
                    .extensions
                    .get_or_insert_default()
                    .merge(ExtensionsBuilder::new().add("x-openpam-access", rule).build());
            }
        }
        let methods = match access {
            Access::Public => methods,
            Access::SignedIn => methods.route_layer(axum::middleware::from_fn(guard::require_sign_in)),
            Access::Permission(permission) => methods
                .route_layer(axum::middleware::from_fn(move |request: Request, next: Next| async move {
                    let allowed = request
                        .extensions()
                        .get::<crate::context::Context>()
                        .is_some_and(|context| permits(&context.principal, permission));
                    if allowed { Ok(next.run(request).await) } else { Err(Problem::forbidden()) }
                }))
                .route_layer(axum::middleware::from_fn(guard::require_sign_in)),
        };
        self.router = self.router.routes((schemas, paths, methods));
        self
    }

    /// Adds another domain's routes.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self
    }

    pub(super) fn into_router(self) -> OpenApiRouter<Hub> {
        self.router
    }
}
