//! An S3-compatible object store. `object_store` puts and gets; what it does not know is here: object
//! lock, and versions, without which nothing is really deleted from a bucket that has object lock, and nothing
//! read that was hidden there.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider, Checksum, S3ConditionalPut},
    client::{
        Certificate, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
        HttpService, ReqwestConnector,
    },
};
use openpam_secret::ExposeSecret as _;
use serde::Deserialize;
use url::Url;

use super::{Error, PROBES};
use crate::{aws, config::Bucket, context::Clock};

/// What requests are signed for.
const SERVICE: &str = "s3";
const LOCK_MODE: HeaderName = HeaderName::from_static("x-amz-object-lock-mode");
const LOCK_UNTIL: HeaderName = HeaderName::from_static("x-amz-object-lock-retain-until-date");
const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-sdk-checksum-algorithm");
const BODY_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// Bytes read of an answer that is no object: a page of a list is the largest.
const MAX_ANSWER: usize = 8 << 20;
/// Pages of one list: a thousand versions each.
const MAX_PAGES: usize = 4_000;
/// Deletions at the same time.
const AT_ONCE: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What is put is locked in this mode for this long.
#[derive(Debug, Clone, Copy)]
struct Lock {
    mode: &'static str,
    lasts: TimeDelta,
}

/// How requests reach the bucket.
#[derive(Debug)]
struct Access {
    /// The bucket's URL, without a slash at its end.
    bucket: Url,
    region: String,
    lock: Option<Lock>,
    credentials: OnceLock<AwsCredentialProvider>,
    client: OnceLock<HttpClient>,
}

/// What `object_store` cannot ask of a bucket.
#[derive(Debug, Clone)]
pub(super) struct S3 {
    access: Arc<Access>,
}

/// Adds the lock to what is put, and signs again: the headers of a signed request cannot be added to.
#[derive(Debug)]
struct Locking {
    access: Arc<Access>,
    inner: HttpClient,
}

#[async_trait::async_trait]
impl HttpService for Locking {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(lock) = self.access.lock
            && request.method() == Method::PUT
            && self.access.is_object(&request)
        {
            self.access.add_lock(&mut request, lock).await.map_err(|error| unsigned(&error))?;
        }
        self.inner.execute(request).await
    }
}

fn unsigned(reason: &str) -> HttpError {
    HttpError::new_boxed(HttpErrorKind::Unknown, reason.to_owned().into())
}

#[derive(Debug)]
struct Connector(Arc<Access>);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Locking { access: self.0.clone(), inner }))
    }
}

impl Access {
    /// Whether the request is for an object in the bucket that is to stay: credentials are asked for by PUT, too.
    fn is_object(&self, request: &HttpRequest) -> bool {
        let uri = request.uri().to_string();
        uri.strip_prefix(self.bucket.as_str().trim_end_matches('/'))
            .is_some_and(|rest| rest.starts_with('/') && !rest.contains(&format!("/{PROBES}/")))
    }

    async fn add_lock(&self, request: &mut HttpRequest, lock: Lock) -> Result<(), String> {
        let until = (Clock.now() + lock.lasts).to_rfc3339_opts(SecondsFormat::Secs, true);
        let until = HeaderValue::from_str(&until).map_err(|error| error.to_string())?;
        let hash = request.headers().get(&BODY_HASH).and_then(|value| value.to_str().ok()).and_then(unhex);
        let hash = hash.ok_or("the body of a request has no hash")?;
        request.headers_mut().insert(LOCK_MODE, HeaderValue::from_static(lock.mode));
        request.headers_mut().insert(LOCK_UNTIL, until);
        // The checksum that S3 demands for a lock is there; some stores look for its name.
        request.headers_mut().insert(CHECKSUM, HeaderValue::from_static("SHA256"));
        self.sign(request, Some(&hash)).await
    }

    async fn sign(&self, request: &mut HttpRequest, hash: Option<&[u8]>) -> Result<(), String> {
        let credentials = self.credentials.get().ok_or("there are no credentials yet")?;
        let credential = credentials.get_credential().await.map_err(|error| error.to_string())?;
        AwsAuthorizer::new(&credential, SERVICE, &self.region)
            .try_authorize(request, hash)
            .map_err(|error| error.to_string())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    let bytes =
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect::<Option<_>>()?;
    (text.len() == 64).then_some(bytes)
}

/// Makes the client of a bucket.
pub(super) fn open(config: &Bucket) -> anyhow::Result<(AmazonS3, S3)> {
    let lock = config
        .object_lock
        .mode()
        .map(|mode| Lock { mode, lasts: TimeDelta::days(i64::try_from(config.object_lock_days).unwrap_or(36_500)) });
    let access = Arc::new(Access {
        bucket: bucket_url(config)?,
        region: config.region.clone(),
        lock,
        credentials: OnceLock::new(),
        client: OnceLock::new(),
    });
    let plain_http = access.bucket.scheme() == "http";
    let mut options = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
        .with_allow_http(plain_http);
    if let Some(file) = &config.ca_file {
        for certificate in Certificate::from_pem_bundle(&std::fs::read(file)?)? {
            options = options.with_root_certificate(certificate);
        }
    }
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.name)
        .with_region(&config.region)
        .with_virtual_hosted_style_request(!config.path_style)
        .with_allow_http(plain_http)
        // INVARIANT: nothing that is stored is overwritten.
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // S3 takes no locked object without a checksum.
        .with_checksum_algorithm(Checksum::SHA256)
        .with_retry(RetryConfig {
            backoff: BackoffConfig { max_backoff: Duration::from_secs(1), ..BackoffConfig::default() },
            max_retries: 2,
            retry_timeout: Duration::from_secs(10),
        })
        .with_client_options(options)
        .with_http_connector(Connector(access.clone()));
    if let Some(endpoint) = &config.endpoint {
        // With the bucket in the host name the endpoint has it already.
        let whole = if config.path_style { endpoint.as_str() } else { access.bucket.as_str() };
        builder = builder.with_endpoint(whole.trim_end_matches('/'));
    }
    builder = match (&config.access_key_id, &config.secret_access_key) {
        (Some(id), Some(secret)) => builder.with_access_key_id(id).with_secret_access_key(secret.expose_secret()),
        _ => aws::SOURCES.into_iter().fold(builder, |builder, (name, key)| match std::env::var(name) {
            Ok(value) if !value.is_empty() => builder.with_config(key, value),
            _ => builder,
        }),
    };
    let store = builder.build()?;
    let client = store_client(&access, config)?;
    // Nobody set them before: both are made here.
    let _ = (access.credentials.set(store.credentials().clone()), access.client.set(client));
    Ok((store, S3 { access }))
}

/// A client of our own for what `object_store` cannot ask.
fn store_client(access: &Access, config: &Bucket) -> anyhow::Result<HttpClient> {
    let mut client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .https_only(access.bucket.scheme() == "https");
    if let Some(file) = &config.ca_file {
        for certificate in reqwest::Certificate::from_pem_bundle(&std::fs::read(file)?)? {
            client = client.add_root_certificate(certificate);
        }
    }
    Ok(HttpClient::new(client.build()?))
}

fn bucket_url(config: &Bucket) -> anyhow::Result<Url> {
    let (bucket, region) = (&config.name, &config.region);
    let endpoint = config.endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let mut url = Url::parse(&endpoint)?;
    if config.path_style {
        url.set_path(bucket);
    } else {
        let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
        if config.endpoint.is_some() {
            url.set_host(Some(&host))?;
        } else {
            url = Url::parse(&format!("https://{bucket}.s3.{region}.amazonaws.com"))?;
        }
    }
    Ok(url)
}

/// A page of the list of versions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListVersionsResult {
    #[serde(default, rename = "Version")]
    versions: Vec<Version>,
    #[serde(default, rename = "DeleteMarker")]
    delete_markers: Vec<Version>,
    #[serde(default)]
    common_prefixes: Vec<CommonPrefix>,
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_version_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CommonPrefix {
    prefix: String,
}

/// Where the next page of a list begins.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    key: String,
    version_id: Option<String>,
}

/// A page of what is below a prefix, hidden versions included.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) versions: Vec<Version>,
    pub(super) folders: Vec<String>,
    pub(super) next: Option<Marker>,
}

/// One version of an object, or the mark that it was deleted.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    /// The object's key.
    pub key: String,
    version_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectLockConfiguration {
    #[serde(default)]
    object_lock_enabled: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct S3Error {
    code: String,
    message: String,
}

/// What a bucket answered.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn error(&self) -> Error {
        let text = String::from_utf8_lossy(&self.body);
        let said = quick_xml::de::from_str::<S3Error>(&text).unwrap_or_default();
        Error::Failed(format!("it answers {}: {} {}", self.status, said.code, said.message).trim_end().to_owned())
    }
}

impl S3 {
    /// The mode in which what is put is locked.
    pub(super) fn lock_mode(&self) -> Option<&'static str> {
        self.access.lock.map(|lock| lock.mode)
    }

    async fn ask(&self, method: Method, key: &str, query: &[(&str, &str)]) -> Result<Answer, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Failed(error.to_string());
        let mut url = self.access.bucket.clone();
        url.set_path(&format!("{}/{key}", url.path().trim_end_matches('/')));
        if !query.is_empty() {
            // Canonical: a name without a value has its "=", a space is %20.
            let pairs = query.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
            url.set_query(Some(&pairs.collect::<Vec<_>>().join("&")));
        }
        let mut request = http::Request::new(HttpRequestBody::empty());
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(|error: http::uri::InvalidUri| failed(&error))?;
        self.access.sign(&mut request, None).await.map_err(Error::Failed)?;
        let client = self.access.client.get().ok_or_else(|| Error::Failed("it is not open".to_owned()))?;
        let answer =
            client.execute(request).await.map_err(|error| Error::Failed(openpam_telemetry::with_causes(&error)))?;
        let (parts, body) = answer.into_parts();
        let mut stream = body.bytes_stream();
        let mut whole = Vec::new();
        while let Some(piece) = stream.next().await {
            whole.extend_from_slice(&piece.map_err(|error| failed(&error))?);
            if whole.len() > MAX_ANSWER {
                return Err(Error::Failed("its answer is too large".to_owned()));
            }
        }
        Ok(Answer { status: parts.status, headers: parts.headers, body: whole.into() })
    }

    /// Whether the bucket has object lock.
    pub(super) async fn has_lock(&self) -> Result<bool, Error> {
        let answer = self.ask(Method::GET, "", &[("object-lock", "")]).await?;
        match answer.status {
            StatusCode::OK => {
                let text = String::from_utf8_lossy(&answer.body);
                let found = quick_xml::de::from_str::<ObjectLockConfiguration>(&text);
                Ok(found.is_ok_and(|found| found.object_lock_enabled == "Enabled"))
            }
            // Also how some stores say that a bucket has none.
            StatusCode::NOT_FOUND if !String::from_utf8_lossy(&answer.body).contains("NoSuchBucket") => Ok(false),
            _ => Err(answer.error()),
        }
    }

    /// Until when the object cannot be deleted, where it is locked.
    pub(super) async fn locked_until(&self, key: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let answer = self.ask(Method::HEAD, key, &[]).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(answer.error()),
        }
        let until = answer.headers.get(&LOCK_UNTIL).and_then(|value| value.to_str().ok());
        Ok(until.and_then(|until| DateTime::parse_from_rfc3339(until).ok()).map(|until| until.to_utc()))
    }

    /// A page of the versions below a prefix, by key, the newest of each key first; what is deleted is there as long as
    /// the store keeps it. With `folders` those directly below alone, and the names of the folders that have others.
    pub(super) async fn versions(&self, prefix: &str, folders: bool, from: Option<&Marker>) -> Result<Page, Error> {
        let mut query = vec![("prefix", prefix), ("versions", "")];
        if folders {
            query.push(("delimiter", "/"));
        }
        if let Some(from) = from {
            query.push(("key-marker", &from.key));
            query.extend(from.version_id.as_deref().map(|id| ("version-id-marker", id)));
        }
        let page = self.list(&query).await?;
        let next = page.next_key_marker.filter(|_| page.is_truncated);
        Ok(Page {
            versions: page.versions,
            folders: page.common_prefixes.into_iter().map(|folder| folder.prefix).collect(),
            next: next.map(|key| Marker { key, version_id: page.next_version_id_marker }),
        })
    }

    /// One version's bytes; `None` where it is gone.
    pub(super) async fn version(&self, version: &Version) -> Result<Option<Bytes>, Error> {
        let answer = self.ask(Method::GET, &version.key, &[("versionId", &version.version_id)]).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.error()),
        }
    }

    async fn list(&self, query: &[(&str, &str)]) -> Result<ListVersionsResult, Error> {
        let answer = self.ask(Method::GET, "", query).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.error());
        }
        quick_xml::de::from_str(&String::from_utf8_lossy(&answer.body))
            .map_err(|error| Error::Failed(format!("its list cannot be read: {error}")))
    }

    /// Deletes every version of what is below the prefix, deletion marks included.
    pub(super) async fn delete_below(&self, prefix: &str) -> Result<(), Error> {
        for _ in 0..MAX_PAGES {
            let page = self.list(&[("prefix", prefix), ("versions", "")]).await?;
            let versions = page.versions.into_iter().chain(page.delete_markers).collect::<Vec<_>>();
            if versions.is_empty() {
                return Ok(());
            }
            // What is deleted is no longer listed: the next page is the first again.
            let deletions = versions.into_iter().map(|version| {
                let bucket = self.clone();
                async move { bucket.delete(&version).await }
            });
            let mut deleting = futures::stream::iter(deletions).buffer_unordered(AT_ONCE);
            while let Some(deleted) = deleting.next().await {
                deleted?;
            }
        }
        Err(Error::Failed("its list does not end".to_owned()))
    }

    /// Deletes one version for good. One that is gone is fine.
    async fn delete(&self, version: &Version) -> Result<(), Error> {
        let answer = self.ask(Method::DELETE, &version.key, &[("versionId", &version.version_id)]).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(answer.error()),
        }
    }
}

/// Percent-encoding of a query's value as SigV4 wants it: all but unreserved characters.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: Option<&str>, path_style: bool) -> Bucket {
        let recording = crate::config::Recording {
            s3_bucket: "records".to_owned(),
            s3_endpoint: endpoint.map(str::to_owned),
            s3_path_style: path_style,
            s3_region: "eu-central-1".to_owned(),
            ..crate::config::Recording::default()
        };
        recording.bucket()
    }

    #[test]
    fn the_bucket_is_in_the_host_or_in_the_path() {
        for (endpoint, path_style, expected) in [
            (None, false, "https://records.s3.eu-central-1.amazonaws.com/"),
            (None, true, "https://s3.eu-central-1.amazonaws.com/records"),
            (Some("https://s3.example.com:9000"), false, "https://records.s3.example.com:9000/"),
            (Some("http://127.0.0.1:9000"), true, "http://127.0.0.1:9000/records"),
        ] {
            assert_eq!(bucket_url(&config(endpoint, path_style)).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn a_list_of_versions_is_read_with_its_deletion_marks() {
        let page: ListVersionsResult = quick_xml::de::from_str(
            "<ListVersionsResult><Version><Key>a</Key><VersionId>1</VersionId></Version><DeleteMarker><Key>a</Key>\
             <VersionId>2</VersionId></DeleteMarker><Version><Key>b</Key><VersionId>3</VersionId></Version>\
             <CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes><NextKeyMarker>b</NextKeyMarker>\
             <IsTruncated>true</IsTruncated></ListVersionsResult>",
        )
        .unwrap();
        assert_eq!((page.common_prefixes[0].prefix.as_str(), page.is_truncated), ("a/", true));
        assert_eq!((page.next_key_marker.as_deref(), page.next_version_id_marker), (Some("b"), None));
        assert_eq!((page.versions.len(), page.delete_markers.len()), (2, 1));
        assert_eq!((page.versions[1].key.as_str(), page.versions[1].version_id.as_str()), ("b", "3"));
    }

    #[test]
    fn hashes_and_values_are_read_and_written_as_the_signature_wants_them() {
        assert_eq!(unhex(&"0a".repeat(32)), Some(vec![10; 32]));
        assert_eq!(unhex("UNSIGNED-PAYLOAD"), None);
        assert_eq!(encoded("a b/c+d~"), "a%20b%2Fc%2Bd~");
    }
}
