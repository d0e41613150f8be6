//! The whole application: every route, in its middleware.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, StatusCode};
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};
use utoipa::openapi::{
    InfoBuilder, OpenApi, OpenApiBuilder,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Access, Problem, Routes, assets, guard, health, idempotency, observe, stored::Stored};
use crate::{domains, gateway, state::Hub};

/// Bytes a request's body may have.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// How long one API request may take. WebSockets are answered at once and then live on.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Every API operation, below `/api`.
fn api() -> Routes {
    domains::routes().merge(gateway::routes())
}

fn service_routes() -> OpenApiRouter<Hub> {
    Routes::new()
        .add(Access::Public, routes!(health::healthz))
        .add(Access::Public, routes!(health::readyz))
        .add(Access::Public, routes!(health::metrics))
        .into_router()
}

fn documented() -> OpenApiRouter<Hub> {
    let mut base = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("OpenPAM")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Privileged access gateway. Errors are application/problem+json with a stable `code`.",
                ))
                .build(),
        )
        .build();
    let components = base.components.get_or_insert_default();
    components.add_security_scheme(
        "cookie",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(guard::SESSION_COOKIE_HTTPS))),
    );
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("opat_…").build()),
    );
    OpenApiRouter::with_openapi(base).merge(service_routes()).merge(api().into_router())
}

/// The OpenAPI document.
pub fn openapi() -> OpenApi {
    documented().into_openapi()
}

/// The application, ready to be served.
pub fn application(hub: Hub) -> Router {
    let (router, document) = documented().split_for_parts();
    let document = Arc::new(Stored::new(serde_json::to_vec(&document).unwrap_or_default()));
    router
        .route(
            "/api/openapi.json",
            axum::routing::get(async move |headers: HeaderMap| document.answer("application/json", &headers)),
        )
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This address does not take that method.",
            )
        })
        .layer(axum::middleware::from_fn_with_state(hub.clone(), idempotency::replay))
        .layer(axum::middleware::from_fn_with_state(hub.clone(), guard::authenticate))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .fallback(assets::serve)
        .layer(axum::middleware::from_fn(|request: Request, next: Next| in_time(REQUEST_TIMEOUT, request, next)))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            let problem = Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong here. Give the request id to your administrator.",
            );
            axum::response::IntoResponse::into_response(problem)
        }))
        .layer(CompressionLayer::new().gzip(true).compress_when(guard::Compressible))
        .layer(axum::middleware::from_fn_with_state(hub.clone(), observe::observe))
        .with_state(hub)
}

/// Gives up a request that takes longer than `limit`; the outermost layer writes that down and answers.
async fn in_time(limit: Duration, request: Request, next: Next) -> Result<Response, Problem> {
    tokio::time::timeout(limit, next.run(request)).await.map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "request_timed_out",
            "This took too long and was given up. Look whether it was done, then try again.",
        )
        .retry_after(2)
    })
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_takes_too_long_is_answered_with_a_code() {
        let router = Router::new()
            .route("/slow", get(std::future::pending::<StatusCode>))
            .route("/quick", get(|| async { StatusCode::NO_CONTENT }))
            .layer(axum::middleware::from_fn(|request: Request, next: Next| in_time(REQUEST_TIMEOUT, request, next)));
        let ask = async |path: &str| {
            let request = http::Request::builder().uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap()
        };
        let answer = ask("/slow").await;
        let problem = answer.extensions().get::<Problem>().expect("no problem");
        assert_eq!((problem.status(), problem.code()), (StatusCode::SERVICE_UNAVAILABLE, "request_timed_out"));
        assert_eq!(ask("/quick").await.status(), StatusCode::NO_CONTENT);
    }
}
