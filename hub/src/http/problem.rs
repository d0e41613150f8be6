//! Errors as `application/problem+json` (RFC 9457) with a stable `code`.

use std::{borrow::Cow, error::Error};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// An error on its way to a person: says less than the log does.
///
/// The request-id layer renders it, so that the body carries the id of the log line.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after_seconds: Option<u64>,
    cause: Option<String>,
}

/// One field of the input that is wrong.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Name of the field as in the request.
    pub field: Cow<'static, str>,
    /// Stable code.
    pub code: Cow<'static, str>,
    /// For a person.
    pub message: String,
}

/// The body of a problem (RFC 9457 §3).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// Always `about:blank`: the code says which problem it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Stable, in snake_case; programs match on it.
    pub code: &'static str,
    /// What happened and what to do, for a person.
    pub detail: String,
    /// Finds the log lines of this request.
    pub request_id: String,
    /// Fields that are wrong, for `invalid_input`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem with its status, stable code and a sentence for a person.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after_seconds: None, cause: None }
    }

    /// 401: no valid sign-in.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in first.")
    }

    /// 403: signed in, but not allowed.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "You do not have the permission for this.")
    }

    /// 503: what was asked for was not begun, or not done, because the hub ends.
    pub fn ending() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ending", "The hub is ending. Try again in a moment.")
    }

    /// 403: a limited token reaches for more than its limit.
    pub fn beyond_scope() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "beyond_scope",
            "This token is limited, and this would give more than it may do itself. Use one without the limit.",
        )
    }

    /// 404: `what` does not exist, or not for this principal.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("There is no such {what}."))
    }

    /// 409.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 409: another `kind` has the same `field`. Called as people call it in `detail`, and as the
    /// request calls it in `errors`, so that a form shows it where it was entered.
    pub fn duplicate(kind: &str, field: &'static str, called: &str) -> Self {
        let message = format!("Another {kind} has this {called}. Choose a different one.");
        let error = FieldError { field: field.into(), code: "duplicate".into(), message: message.clone() };
        Self { errors: vec![error], ..Self::conflict(message) }
    }

    /// 422 with the fields that are wrong.
    pub fn invalid_input(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.field, only.message),
            many => format!("{} fields are not valid.", many.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input", detail) }
    }

    /// 422 for one field.
    pub fn invalid_field(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self::invalid_input(vec![FieldError { field: field.into(), code: code.into(), message: message.into() }])
    }

    /// 503 for a database that does not answer, 500 for a statement that failed; the cause goes to
    /// the log only.
    pub fn database(error: &crate::db::DbError) -> Self {
        let unavailable = match error {
            crate::db::DbError::Sql(error) => {
                matches!(
                    error,
                    sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Tls(_)
                ) || error
                    .as_database_error()
                    .and_then(|error| error.code())
                    .is_some_and(|code| code.starts_with("57P") || code.starts_with("08") || code == "53300")
            }
            crate::db::DbError::Silent => true,
            _ => false,
        };
        if unavailable {
            Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "database_unavailable",
                "The database does not answer. Try again in a moment.",
            )
            .retry_after(2)
            .caused_by(error)
        } else {
            Self::internal(error)
        }
    }

    /// 500; the cause goes to the log only.
    pub fn internal(cause: &(dyn Error + 'static)) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong here. Give the request id to your administrator.",
        )
        .caused_by(cause)
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: &(dyn Error + 'static)) -> Self {
        let mut text = cause.to_string();
        let mut source = cause.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        self.cause = Some(text);
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence for a person.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What stands in the log and nowhere else.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Writes the log line and makes the answer.
    pub(super) fn render(self, request_id: &str) -> Response {
        let (status, code) = (self.status.as_u16(), self.code);
        let cause = self.cause.as_deref().unwrap_or_default();
        let detail = one_line(&self.detail);
        if matches!(self.status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) {
            // Something else does not do its part: a target that is down is nothing to wake somebody for.
            tracing::warn!(status, code, detail, cause, "request failed");
        } else if self.status.is_server_error() {
            tracing::error!(status, code, detail, cause, "request failed");
        } else {
            tracing::info!(status, code, detail, cause, "request refused");
        }
        let body = ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status,
            code,
            detail: self.detail.into_owned(),
            request_id: request_id.to_owned(),
            errors: self.errors,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2. Of the ways in, only the token's is an HTTP scheme.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"openpam\""));
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The text without control characters: part of a detail may be what the client sent, and must not
/// begin a line of the log or speak to the terminal that shows it.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

impl From<crate::db::DbError> for Problem {
    fn from(error: crate::db::DbError) -> Self {
        Self::database(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
