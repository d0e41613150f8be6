//! Requests to services of AWS and those that speak like them, signed (Signature Version 4). `object_store` finds the
//! credentials, as it does for buckets, and renews them.

use std::time::Duration;

use futures::StreamExt as _;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use object_store::{
    aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider},
    client::{HttpClient, HttpRequestBody},
};
use openpam_secret::ExposeSecret as _;

use crate::config::Aws;

/// Where AWS's own tools look for credentials, too.
pub const SOURCES: [(&str, AmazonS3ConfigKey); 8] = [
    ("AWS_ACCESS_KEY_ID", AmazonS3ConfigKey::AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", AmazonS3ConfigKey::SecretAccessKey),
    ("AWS_SESSION_TOKEN", AmazonS3ConfigKey::Token),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
];
/// Bytes read of an answer: ten messages of a queue are the largest.
const MAX_ANSWER: usize = 4 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A service in a region.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    region: String,
    endpoint: String,
    client: HttpClient,
    credentials: AwsCredentialProvider,
}

/// What a service answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Body.
    pub body: Vec<u8>,
}

impl Service {
    /// Makes a client whose requests take no longer than `timeout`.
    ///
    /// # Errors
    /// When the library refuses the configuration.
    pub fn new(name: &'static str, config: &Aws, timeout: Duration) -> anyhow::Result<Self> {
        let endpoint = match &config.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{name}.{}.amazonaws.com", config.region),
        };
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .https_only(endpoint.starts_with("https:"))
            .build()?;
        // No bucket is asked: this is how the library hands out credentials.
        let builder = AmazonS3Builder::new().with_bucket_name("none").with_region(&config.region);
        let builder = match (&config.access_key_id, &config.secret_access_key) {
            (Some(id), Some(secret)) => builder.with_access_key_id(id).with_secret_access_key(secret.expose_secret()),
            _ => SOURCES.into_iter().fold(builder, |builder, (name, key)| match std::env::var(name) {
                Ok(value) if !value.is_empty() => builder.with_config(key, value),
                _ => builder,
            }),
        };
        Ok(Self {
            name,
            region: config.region.clone(),
            endpoint,
            client: HttpClient::new(client),
            credentials: builder.build()?.credentials().clone(),
        })
    }

    /// Posts a body; why there was no answer, for a person.
    pub async fn post(
        &self,
        content_type: &'static str,
        headers: &[(&'static str, &'static str)],
        body: String,
    ) -> Result<Answer, String> {
        let mut request = http::Request::new(HttpRequestBody::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("{}/", self.endpoint).parse().map_err(|_| "the endpoint is no URI".to_owned())?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let credential = self.credentials.get_credential().await.map_err(|error| with_causes(&error))?;
        AwsAuthorizer::new(&credential, self.name, &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| with_causes(&error))?;
        let (parts, body) = self.client.execute(request).await.map_err(|error| with_causes(&error))?.into_parts();
        let mut stream = body.bytes_stream();
        let mut whole = Vec::new();
        while let Some(piece) = stream.next().await {
            whole.extend_from_slice(&piece.map_err(|error| with_causes(&error))?);
            if whole.len() > MAX_ANSWER {
                return Err("its answer is too large".to_owned());
            }
        }
        Ok(Answer { status: parts.status, body: whole })
    }
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    openpam_telemetry::with_causes(error)
}
