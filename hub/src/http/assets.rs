//! The UI's files, embedded in the binary.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use rust_embed::RustEmbed;

use super::{Problem, stored::Stored};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../ui/dist"]
#[allow_missing = true]
struct Ui;

/// The API's reference page.
const API_DOCS: &str = "api-docs.html";
/// Stricter than that of other pages: the reference needs neither WebAssembly nor style attributes.
const API_DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The file with this tag, compressed when it was asked for first. There are as many as the binary has.
fn stored(etag: &str, data: Cow<'static, [u8]>) -> Arc<Stored> {
    static STORED: LazyLock<Mutex<HashMap<String, Arc<Stored>>>> = LazyLock::new(Mutex::default);
    let stored = || STORED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = stored().get(etag) {
        return known.clone();
    }
    let new = Arc::new(match data {
        Cow::Borrowed(bytes) => Stored::new(bytes),
        Cow::Owned(bytes) => Stored::new(bytes),
    });
    stored().entry(etag.to_owned()).or_insert(new).clone()
}

/// Serves a file of the UI; a path without a file is a page of the single-page application.
pub(super) async fn serve(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Problem::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.").into_response();
    }
    let is_api = path == "api" || path.starts_with("api/") && path != "api/docs";
    let name = match path {
        "" => "index.html",
        "api/docs" => API_DOCS,
        other => other,
    };
    if is_api {
        return Problem::not_found("API operation").into_response();
    }
    let (name, file) = match Ui::get(name) {
        Some(file) => (name, file),
        // Something with an extension was meant as a file; everything else is a page.
        None if name.rsplit('/').next().is_some_and(|last| last.contains('.')) => {
            return Problem::not_found("file").into_response();
        }
        None => match Ui::get("index.html") {
            Some(file) => ("index.html", file),
            None => {
                return Problem::new(StatusCode::NOT_FOUND, "ui_not_built", "This binary was built without the UI.")
                    .into_response();
            }
        },
    };
    let etag = format!("\"{}\"", openpam_secret::SecretHash::of(&file.metadata.sha256_hash()).to_hex());
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes());
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        stored(&etag, file.data).answer(mime.as_ref(), request.headers())
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, value);
    }
    if name == API_DOCS {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(API_DOCS_POLICY));
    }
    // The bundler puts a hash into the names below assets/, so they never change.
    let caching = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}
