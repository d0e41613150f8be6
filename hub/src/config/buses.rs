//! Where events go beside webhooks, and where they come from beside the API.

use openpam_secret::SecretString;
use serde::Deserialize;
use url::Url;

use super::load::{Mistakes, is_loopback};

/// NATS JetStream, which gets every event.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Nats {
    /// Addresses of the servers, with commas between them, such as `tls://nats.example.com:4222`; plain `nats://` is
    /// for this machine only.
    pub url: String,
    /// PEM file with the CA that signed the servers' certificates, instead of the system's own.
    pub ca_file: Option<String>,
    /// PEM file with the hub's certificate for the servers.
    pub client_cert_file: Option<String>,
    /// PEM file with that certificate's key.
    pub client_key_file: Option<String>,
    /// User name, for servers that ask for one.
    pub user: Option<String>,
    /// File with the user's password.
    pub password_file: Option<String>,
    /// The user's password (environment only).
    pub password: Option<SecretString>,
    /// Stream that keeps the events; made where there is none.
    pub stream: String,
    /// What subjects begin with: `<subject_prefix>.<tenant id>.<event type>`.
    pub subject_prefix: String,
    /// Copies of a stream that the hub makes.
    pub stream_replicas: usize,
    /// Days for which a stream that the hub makes keeps events.
    pub stream_max_age_days: u64,
    /// Seconds within which a stream that the hub makes knows an event again and keeps it once.
    pub duplicate_window_seconds: u64,
}

impl Nats {
    /// The addresses.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.url.split(',').map(str::trim)
    }

    /// Whether nothing is said without TLS.
    pub fn requires_tls(&self) -> bool {
        self.servers().any(|server| server.starts_with("tls:"))
    }
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: String::new(),
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            user: None,
            password_file: None,
            password: None,
            stream: "OPENPAM_EVENTS".to_owned(),
            subject_prefix: "openpam.events".to_owned(),
            stream_replicas: 1,
            stream_max_age_days: 30,
            duplicate_window_seconds: 3_600,
        }
    }
}

/// Amazon SNS, which gets every event, and SQS, from which events of others come.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Aws {
    /// Region of topic and queue.
    pub region: String,
    /// Address of both services, where it is not AWS's own; plain http is for this machine only.
    pub endpoint: Option<String>,
    /// Access key id; without it AWS's own sources are asked (`AWS_ACCESS_KEY_ID` and its like, a role).
    pub access_key_id: Option<String>,
    /// File with the secret access key.
    pub secret_access_key_file: Option<String>,
    /// The secret access key (environment only).
    pub secret_access_key: Option<SecretString>,
    /// Topic that gets every event.
    pub sns_topic_arn: Option<String>,
    /// Queue from which events of other systems are taken in.
    pub sqs_queue_url: Option<String>,
    /// Slug of the tenant whose events they are.
    pub sqs_tenant: Option<String>,
}

#[expect(clippy::derivable_impls, reason = "the operator's guide is written from it")]
impl Default for Aws {
    fn default() -> Self {
        Self {
            region: String::new(),
            endpoint: None,
            access_key_id: None,
            secret_access_key_file: None,
            secret_access_key: None,
            sns_topic_arn: None,
            sqs_queue_url: None,
            sqs_tenant: None,
        }
    }
}

pub(super) fn validate_nats(nats: &Nats, mistakes: &mut Mistakes) {
    for server in nats.servers() {
        mistakes.url("nats.url", server, &["tls", "nats"]);
        match Url::parse(server) {
            Ok(url) if url.scheme() == "nats" && !is_loopback(&url) => {
                mistakes.add("nats.url", "plain nats:// is only for loopback: use tls://");
            }
            Ok(url) if url.host().is_none() || !url.username().is_empty() || !matches!(url.path(), "" | "/") => {
                mistakes.add("nats.url", "must be scheme, host and port only");
            }
            _ => {}
        }
    }
    let word = |text: &str| {
        !text.is_empty() && text.len() <= 100 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if !word(&nats.stream) {
        mistakes.add("nats.stream", "must be letters, digits, - and _");
    }
    if !nats.subject_prefix.split('.').all(word) {
        mistakes.add("nats.subject_prefix", "must be words of letters, digits, - and _ with dots between them");
    }
    if nats.client_cert_file.is_some() != nats.client_key_file.is_some() {
        mistakes.add("nats.client_cert_file", "certificate and key must both be set or both be absent");
    }
    if nats.user.is_some() != nats.password.is_some() {
        mistakes.add("nats.user", "set it together with nats.password_file or OPENPAM_NATS__PASSWORD");
    }
    mistakes.range("nats.stream_replicas", nats.stream_replicas as u64, 1, 5);
    mistakes.range("nats.stream_max_age_days", nats.stream_max_age_days, 1, 3_650);
    mistakes.range("nats.duplicate_window_seconds", nats.duplicate_window_seconds, 120, 86_400);
}

pub(super) fn validate_aws(aws: &Aws, mistakes: &mut Mistakes) {
    mistakes.required("aws.region", &aws.region);
    if !aws.region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        mistakes.add("aws.region", "must be a region's name, such as eu-central-1");
    }
    if let Some(endpoint) = &aws.endpoint {
        mistakes.url("aws.endpoint", endpoint, &["https", "http"]);
        match Url::parse(endpoint) {
            Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
                mistakes.add("aws.endpoint", "plain http is only for loopback: use https");
            }
            Ok(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
                mistakes.add("aws.endpoint", "must be scheme, host and port only");
            }
            _ => {}
        }
    }
    if aws.access_key_id.is_some() != aws.secret_access_key.is_some() {
        mistakes.add(
            "aws.access_key_id",
            "set it together with aws.secret_access_key_file or OPENPAM_AWS__SECRET_ACCESS_KEY",
        );
    }
    if aws.sns_topic_arn.is_none() && aws.sqs_queue_url.is_none() {
        mistakes.add("aws.sns_topic_arn", "name a topic, or a queue in aws.sqs_queue_url, or leave the section out");
    }
    if aws.sns_topic_arn.as_deref().is_some_and(|arn| !arn.starts_with("arn:") || arn.split(':').count() != 6) {
        mistakes.add("aws.sns_topic_arn", "must be an ARN, such as arn:aws:sns:eu-central-1:123456789012:openpam");
    }
    if let Some(queue) = &aws.sqs_queue_url {
        mistakes.url("aws.sqs_queue_url", queue, &["https", "http"]);
    }
    if aws.sqs_queue_url.is_some() != aws.sqs_tenant.is_some() {
        mistakes.add("aws.sqs_tenant", "set it together with aws.sqs_queue_url");
    }
}
