//! `Idempotency-Key` on POST: a repeated request gets the answer of the first.

use std::collections::BTreeSet;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use openpam_ids::GroupId;
use openpam_secret::{ExposeSecret as _, SecretString};
use tracing::Instrument as _;

use super::{Problem, app::MAX_BODY, body, guard};
use crate::{
    context::{Context, Principal},
    domains::idempotency::{self, Attempt},
    permissions::{Permission, permissions_of},
    state::Hub,
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY: usize = 200;

/// Whether the route's answer belongs to a sign-in, or is one that a repeated request makes void: whoever asks twice
/// to resume has one token, the last.
fn is_exempt(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    path.starts_with("/api/v1/auth/") || path.ends_with("/resume")
}

/// Whether the route's answer holds a secret that is shown once only: it is never kept.
fn shows_secret(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    path.ends_with("/tokens") || path.ends_with("/webhooks") || path.ends_with("/secret")
}

/// Answers a repeated POST of a signed-in principal with the answer of the first one.
pub(super) async fn replay(State(hub): State<Hub>, request: Request, next: Next) -> Result<Response, Problem> {
    let context = request.extensions().get::<Context>().cloned();
    let (Some(context), Some(key)) = (context, request.headers().get(KEY).cloned()) else {
        return Ok(next.run(request).await);
    };
    if request.method() != Method::POST || is_exempt(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let key = match key.to_str() {
        Ok(key) if (1..=MAX_KEY).contains(&key.len()) => key.to_owned(),
        _ => {
            return Err(Problem::invalid_field(
                "Idempotency-Key",
                "malformed",
                format!("must be 1 to {MAX_KEY} printable characters"),
            ));
        }
    };
    let Some(credential) = guard::credential(&hub, request.headers()).map(SecretString::from) else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.extensions, body).await?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    // Whoever may do something else by now gets no answer of then.
    let authority = authority(&context.principal);
    let request = [target.as_bytes(), authority.as_bytes(), &body];
    let attempt = idempotency::begin(&hub, &context, &key, credential.expose_secret(), &request).await?;
    let Some(attempt) = attempt else {
        return Ok(next.run(Request::from_parts(parts, Body::from(body))).await);
    };
    let claim = match attempt {
        Attempt::First(claim) => claim,
        Attempt::Answered { .. } if shows_secret(parts.uri.path()) => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "idempotency_secret_shown",
                "This was done, and its answer held a secret that is shown once. If it was lost, make a new one and \
                 remove the first.",
            ));
        }
        Attempt::AnswerLost => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "idempotency_answer_lost",
                "The first request with this Idempotency-Key did something, and the hub ended before it answered. Look \
                 what is there before you ask again with a new key.",
            ));
        }
        Attempt::Answered { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let mut response = match body {
                Some(body) => (status, axum::Json(body)).into_response(),
                None => status.into_response(),
            };
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            return Ok(response);
        }
        Attempt::InProgress => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "idempotency_in_progress",
                "The first request with this Idempotency-Key is still being worked on.",
            )
            .retry_after(1));
        }
        Attempt::Reused => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key was used for a different request. Use a new one.",
            ));
        }
    };
    // To the end, even when the client goes away: it will come back and ask what became of it.
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let own_hub = hub.clone();
    let is_kept = !shows_secret(parts.uri.path());
    parts.extensions.insert(Context { claim: Some(claim.of_request()), ..context.clone() });
    let work = async move {
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        let response = keep(&own_hub, &context, &claim, is_kept, response).await;
        let _ = sender.send(response);
    };
    hub.lifecycle().spawn_child(work.instrument(tracing::Span::current()));
    receiver.await.map_err(|_| Problem::ending())
}

/// What the principal may do, as a text.
fn authority(principal: &Principal) -> String {
    let permissions = permissions_of(principal).into_iter().map(Permission::name);
    let groups = principal.groups.iter().map(GroupId::to_string).collect::<BTreeSet<_>>();
    permissions.map(str::to_owned).chain(groups).collect::<Vec<_>>().join(" ")
}

async fn keep(hub: &Hub, context: &Context, claim: &idempotency::Claim, is_kept: bool, response: Response) -> Response {
    if !response.status().is_success() {
        if let Err(error) = idempotency::give_up(hub, context, claim).await {
            tracing::warn!(%error, "an idempotency key stays claimed for two minutes");
        }
        return response;
    }
    if !is_kept {
        if let Err(error) = idempotency::complete(hub, context, claim, response.status().as_u16(), None).await {
            tracing::warn!(%error, "that a request was answered was not kept");
        }
        return response;
    }
    let (parts, body) = response.into_parts();
    let json =
        parts.headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let body = match to_bytes(body, MAX_BODY).await {
        Ok(body) => body,
        Err(error) => return Problem::internal(&error).into_response(),
    };
    let value = if json { serde_json::from_slice(&body).ok() } else { None };
    let kept = if value.is_some() || body.is_empty() {
        idempotency::complete(hub, context, claim, parts.status.as_u16(), value).await
    } else {
        idempotency::give_up(hub, context, claim).await
    };
    if let Err(error) = kept {
        tracing::warn!(%error, "the answer to an idempotent request was not kept");
    }
    Response::from_parts(parts, Body::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_hold_a_secret_are_never_kept() {
        assert!(is_exempt("/api/v1/auth/local"));
        assert!(is_exempt("/api/v1/sessions/0193e6a0-0000-7000-8000-000000000001/resume"));
        assert!(shows_secret("/api/v1/admin/service-accounts/0193e6a0-0000-7000-8000-000000000001/tokens"));
        assert!(shows_secret("/api/v1/admin/service-accounts/0193e6a0-0000-7000-8000-000000000001/tokens/"));
        assert!(shows_secret("/api/v1/admin/webhooks"));
        assert!(shows_secret("/api/v1/admin/webhooks/0193e6a0-0000-7000-8000-000000000001/secret"));
        assert!(!is_exempt("/api/v1/admin/targets") && !shows_secret("/api/v1/admin/targets"));
    }
}
