//! axum's extractors with problems as their rejections.

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use serde::{Serialize, de::DeserializeOwned};

use super::{FieldError, Problem, body};
use crate::context::Context;

/// JSON in and out.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = body::read(&parts.extensions, body).await?;
        if has_nul(&body) {
            return Err(nul());
        }
        match axum::Json::<T>::from_request(Request::from_parts(parts, Body::from(body)), state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::JsonDataError(error)) => Err(not_fitting(&error)),
            Err(JsonRejection::JsonSyntaxError(error)) => {
                Err(Problem::new(StatusCode::BAD_REQUEST, "malformed_json", innermost(&error)))
            }
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the body as application/json.",
            )),
            Err(rejection) => Err(unreadable(rejection.status())),
        }
    }
}

/// JSON of which nothing is required: no body at all is the default.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = body::read(&parts.extensions, body).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        let Json(value) = Json::from_request(Request::from_parts(parts, Body::from(body)), state).await?;
        Ok(Self(value))
    }
}

fn unreadable(status: StatusCode) -> Problem {
    Problem::new(status, "malformed_request", "The request's body could not be read.")
}

fn nul() -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input", "Text must not contain the character NUL.")
}

/// Whether a string in the JSON has a NUL, which PostgreSQL's text does not take: refused here, once
/// for every field.
pub(crate) fn has_nul(json: &[u8]) -> bool {
    let mut escaped = false;
    for (at, byte) in json.iter().enumerate() {
        if escaped && json[at..].starts_with(b"u0000") {
            return true;
        }
        escaped = *byte == b'\\' && !escaped;
    }
    false
}

/// JSON that is not what the operation takes, with the field it is about where serde says so.
fn not_fitting(error: &(dyn std::error::Error + 'static)) -> Problem {
    let (mut path, mut message) = (None, innermost(error));
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(located) = error.downcast_ref::<serde_path_to_error::Error<serde_json::Error>>() {
            path = Some(located.path().to_string()).filter(|path| path != ".");
            message = innermost(located.inner());
        }
        current = error.source();
    }
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = match (path, missing) {
        (Some(path), Some(missing)) => format!("{path}.{missing}"),
        (Some(path), None) => path,
        (None, Some(missing)) => missing.to_owned(),
        (None, None) => return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input", message),
    };
    let (code, message) = match missing {
        Some(_) => ("required", "is required".to_owned()),
        None => ("malformed", message),
    };
    Problem::invalid_input(vec![FieldError { field: field.into(), code: code.into(), message }])
}

/// serde's own sentence: names field and position, never a value.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    let text = in_words(current.to_string());
    // serde quotes an unexpected value, which may be a secret: in the wrong field, or a number where
    // its text belongs.
    if !["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|quoting| text.contains(quoting)) {
        return text;
    }
    match text.rfind(", expected ") {
        // The names of our types mean nothing to who reads this.
        Some(at) if text[at..].starts_with(", expected struct ") => {
            "A value is not of the right kind, expected an object.".to_owned()
        }
        Some(at) => {
            let expected = before_position(&text[at..]);
            let kind = expected.trim_start_matches(", expected ");
            let is_integer =
                kind.strip_prefix(['u', 'i']).is_some_and(|bits| bits.parse::<u8>().is_ok() || bits == "size");
            format!(
                "A value is not of the right kind{}.",
                if is_integer { ", expected a whole number" } else { expected }
            )
        }
        None => "A value is not of the right kind.".to_owned(),
    }
}

/// Rust's own words about a text that is no number, or no id.
fn in_words(text: String) -> String {
    let words = match text.as_str() {
        "invalid digit found in string" | "cannot parse integer from empty string" => "must be a whole number",
        "number too large to fit in target type" => "is too large a number",
        "number too small to fit in target type" => "is too small a number",
        "invalid float literal" => "must be a number",
        "provided string was not `true` or `false`" => "must be true or false",
        other if other.starts_with("UUID parsing failed") => "must be an id (UUID)",
        _ => return text,
    };
    words.to_owned()
}

/// Without serde's position in the text: the field is named.
fn before_position(text: &str) -> &str {
    text.rfind(" at line ").map_or(text, |at| &text[..at])
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Path parameters; what does not parse names nothing that exists.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(Problem::not_found("resource: the id in the path is not a UUID")),
        }
    }
}

/// Query parameters.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(nul());
        }
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input", innermost(&error))),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Context {
    type Rejection = Problem;

    // The guard put it there. Where it did not, nobody is signed in: fail closed.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthenticated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_quoted_whatever_its_type() {
        #[derive(Debug, serde::Deserialize)]
        enum Kind {
            Known,
        }
        #[derive(Debug, serde::Deserialize)]
        struct Body {
            #[expect(dead_code, reason = "only read by serde")]
            password: String,
            #[expect(dead_code, reason = "only read by serde")]
            kind: Option<Kind>,
        }
        for text in [
            r#"{"password":4711}"#,
            r#"{"password":-4711}"#,
            r#"{"password":4711.5}"#,
            r#"{"password":["4711"]}"#,
            r#"{"password":"x","kind":"4711"}"#,
            r#"{"password":"x","kind":"4711, expected nothing"}"#,
            r#""4711""#,
            "4711",
        ] {
            let error = serde_json::from_str::<Body>(text).unwrap_err();
            let said = innermost(&error);
            assert!(!said.contains("4711") && said.len() > 10, "{text}: {said}");
        }
        for (text, said) in [("x", "must be a whole number"), ("70000", "is too large a number")] {
            assert_eq!(innermost(&text.parse::<u16>().unwrap_err()), said);
        }
        let no_id = serde_json::from_str::<uuid::Uuid>("\"x\"").unwrap_err();
        assert_eq!(innermost(&no_id), "must be an id (UUID)");
        let error = serde_json::from_str::<Body>("{}").unwrap_err();
        assert!(innermost(&error).contains("missing field `password`"));
        let _ = Kind::Known;
    }

    #[test]
    fn the_field_is_named_and_our_types_are_not() {
        #[derive(Debug, serde::Deserialize)]
        struct Inner {
            #[expect(dead_code, reason = "only read by serde")]
            port: u16,
        }
        #[derive(Debug, serde::Deserialize)]
        struct Outer {
            #[expect(dead_code, reason = "only read by serde")]
            inner: Inner,
        }
        for (text, detail) in [
            (r#"{"inner":{"port":"x"}}"#, "inner.port: A value is not of the right kind, expected a whole number."),
            (r#"{"inner":"x"}"#, "inner: A value is not of the right kind, expected an object."),
            (r#"{"inner":{}}"#, "inner.port: is required"),
            ("{}", "inner: is required"),
            (r#""x""#, "A value is not of the right kind, expected an object."),
        ] {
            let deserializer = &mut serde_json::Deserializer::from_str(text);
            let error = serde_path_to_error::deserialize::<_, Outer>(deserializer).unwrap_err();
            assert_eq!(not_fitting(&error).detail(), detail, "{text}");
        }
    }

    #[test]
    fn a_nul_is_found_behind_any_number_of_backslashes() {
        for (json, nul) in [
            (r#"{"a":"\u0000"}"#, true),
            (r#"{"a":"\\\u0000"}"#, true),
            (r#"{"a":"\\u0000"}"#, false),
            (r#"{"a":"\u00e9 u0000"}"#, false),
            ("", false),
        ] {
            assert_eq!(has_nul(json.as_bytes()), nul, "{json}");
        }
    }
}
