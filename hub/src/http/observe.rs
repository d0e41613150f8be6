//! The outermost middleware: request id, one span and one log line a request, metrics, rendering
//! of problems, security headers.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, Method, header};
use openpam_telemetry::names;
use tracing::Instrument as _;

use super::Problem;
use crate::state::Hub;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// No inline script; styles of components are set through the CSSOM, which the policy does not bind.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; style-src-attr 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[derive(Clone)]
struct RequestId(Arc<str>);

/// The id the outermost layer gave this request.
pub(super) fn request_id(request: &Request) -> Arc<str> {
    request.extensions().get::<RequestId>().map_or_else(|| Arc::from("unknown"), |id| id.0.clone())
}

pub(super) async fn observe(State(hub): State<Hub>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    // A client's own id is not taken over: it could forge log lines of other requests.
    let request_id: Arc<str> = hub.ids().fresh::<uuid::Uuid>().to_string().into();
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let method = request.method().clone();
    let route: Arc<str> =
        request.extensions().get::<MatchedPath>().map_or_else(|| Arc::from("other"), |path| Arc::from(path.as_str()));
    let span = tracing::info_span!("request", request_id = %request_id, method = %method, route = %route, actor = tracing::field::Empty);
    let mut response = async move {
        let mut response = next.run(request).await;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            // RFC 9110 §15.5.6: which methods there are is for the router to say.
            let allow = response.headers_mut().remove(header::ALLOW);
            response = problem.render(&request_id);
            if let Some(allow) = allow {
                response.headers_mut().insert(header::ALLOW, allow);
            }
        }
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        tracing::debug!(status = response.status().as_u16(), milliseconds = started.elapsed().as_millis(), "answered");
        response
    }
    .instrument(span)
    .await;
    secure(&hub, response.headers_mut());
    let status = response.status().as_u16().to_string();
    metrics::counter!(names::HTTP_REQUESTS, "method" => label(&method), "route" => route.to_string(), "status" => status).increment(1);
    metrics::histogram!(names::HTTP_DURATION, "route" => route.to_string()).record(started.elapsed());
    response
}

/// The method as a label. A client can make up methods without end, and each label lives for ever.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn secure(hub: &Hub, headers: &mut http::HeaderMap) {
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    // They say something of pages only, and a first visit loads some fifty other files.
    if is_page {
        set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        set(
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-read=(self), clipboard-write=(self)",
        );
    }
    if hub.is_https() {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
    }
    set(header::CACHE_CONTROL, "no-store");
}
