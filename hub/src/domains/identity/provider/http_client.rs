//! How the hub talks to the provider: rustls, no redirects, bounded time and size.

use std::{future::Future, pin::Pin, time::Duration};

use super::{HttpRequest, HttpResponse, IdentityError};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes an answer may have.
const MAX_ANSWER: usize = 1024 * 1024;

/// Why a request to the provider failed.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum HttpError {
    /// It could not be sent, or the answer not be read.
    #[error("the request failed")]
    Request(#[from] reqwest::Error),
    /// The answer is larger than any that makes sense.
    #[error("the answer is larger than 1 MiB")]
    TooLarge,
    /// The answer's head makes no sense.
    #[error("the answer cannot be read")]
    Malformed(#[from] http::Error),
}

/// A client for the provider. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct HttpClient {
    client: reqwest::Client,
}

type Answer = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send>>;

impl HttpClient {
    pub(super) fn new(ca_file: Option<&str>) -> Result<Self, IdentityError> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT)
            .user_agent(concat!("openpam/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = ca_file.filter(|path| !path.is_empty()) {
            let pem = std::fs::read(path)
                .map_err(|error| IdentityError::Internal(format!("oidc.ca_file {path}: {error}")))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| IdentityError::Internal(format!("oidc.ca_file {path}: {error}")))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| IdentityError::Internal(error.to_string()))?;
        Ok(Self { client })
    }

    /// What the server's clock says, in whole seconds, when it answers `url`.
    pub(super) async fn date(&self, url: &str) -> Result<Option<chrono::DateTime<chrono::Utc>>, HttpError> {
        let answer = self.client.get(url).send().await.map_err(reqwest::Error::without_url)?;
        let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc()))
    }

    /// What the protocol library calls.
    pub(super) fn caller(&self) -> impl Fn(HttpRequest) -> Answer + Send + Sync + use<> {
        let client = self.client.clone();
        move |request| {
            let client = client.clone();
            Box::pin(async move {
                let mut answer =
                    client.execute(reqwest::Request::try_from(request)?).await.map_err(reqwest::Error::without_url)?;
                let mut head = http::Response::builder().status(answer.status());
                if let Some(headers) = head.headers_mut() {
                    headers.extend(answer.headers().iter().map(|(name, value)| (name.clone(), value.clone())));
                }
                let mut body = Vec::new();
                while let Some(chunk) = answer.chunk().await? {
                    if body.len() + chunk.len() > MAX_ANSWER {
                        return Err(HttpError::TooLarge);
                    }
                    body.extend_from_slice(&chunk);
                }
                Ok(head.body(body)?)
            })
        }
    }
}
