//! The sections of the configuration file, with their defaults.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use ipnetwork::IpNetwork;
use openpam_secret::SecretString;
use serde::Deserialize;

use super::{
    buckets::Bucket,
    buses::{Aws, Nats},
    ledger::Ledger,
};

/// The whole configuration, valid once [`Config::load`] has returned it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where the hub listens and how it is reached.
    pub server: Server,
    /// PostgreSQL.
    pub database: Database,
    /// Log lines.
    pub log: Log,
    /// HashiCorp Vault or OpenBao.
    pub vault: Vault,
    /// The OpenID Connect provider, if there is one.
    pub oidc: Option<Oidc>,
    /// Sign-in lifetimes and limits.
    pub identity: Identity,
    /// Where targets may be.
    pub targets: Targets,
    /// Terminal sessions.
    pub terminal: Terminal,
    /// Recordings of sessions.
    pub recording: Recording,
    /// The ledger.
    pub ledger: Ledger,
    /// Events for others.
    pub events: Events,
    /// NATS JetStream, if it gets the events.
    pub nats: Option<Nats>,
    /// Amazon SNS and SQS, if they get events or have some.
    pub aws: Option<Aws>,
}

impl Config {
    /// The name that the ledger's checkpoints begin with, where it has none yet: the configured one, or the public
    /// URL's host.
    pub fn ledger_name(&self) -> String {
        self.ledger.name.clone().unwrap_or_else(|| {
            let url = url::Url::parse(&self.server.public_url).ok();
            // An IPv6 address has characters that a name has not.
            let host = url.and_then(|url| url.host_str().map(|host| host.replace(['[', ']'], "").replace(':', "-")));
            format!("{}/ledger", host.as_deref().unwrap_or("openpam"))
        })
    }
}

/// Events for others.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Events {
    /// Attempts to deliver an event to a subscriber before it is a dead letter.
    pub max_attempts: u32,
    /// Longest pause, in seconds, after the first attempt that went wrong; it doubles with each attempt. The real
    /// pause is a random part of it.
    pub retry_base_seconds: u64,
    /// Longest pause at all.
    pub retry_max_seconds: u64,
    /// Seconds a webhook may take to answer.
    pub webhook_timeout_seconds: u64,
    /// PEM file with a CA that signed webhooks' certificates, beside the system's own.
    pub webhook_ca_file: Option<String>,
    /// Whether webhooks may lead to the hub's own machine, also in plain http. Whoever makes webhooks then reaches
    /// what listens there.
    pub webhook_loopback: bool,
    /// Days after which events that are done are removed.
    pub retention_days: u64,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            max_attempts: 20,
            retry_base_seconds: 5,
            retry_max_seconds: 21_600,
            webhook_timeout_seconds: 10,
            webhook_ca_file: None,
            webhook_loopback: false,
            retention_days: 90,
        }
    }
}

/// Where the hub listens and how it is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Address of the listener.
    pub listen: SocketAddr,
    /// Scheme, host and port under which browsers reach the hub; decides redirects, `Origin`
    /// checks and whether cookies are `Secure`. No path.
    pub public_url: String,
    /// PEM certificate chain; TLS is on when this and the key are set.
    pub tls_cert_file: Option<String>,
    /// PEM private key.
    pub tls_key_file: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNetwork>,
    /// Base URL under which other hubs of the same database reach this one: https, or http to this machine. Without it
    /// what this hub carries can be watched through its own console only.
    pub peer_url: Option<String>,
    /// PEM file with the CA that signed the other hubs' certificates, beside the system's own.
    pub peer_ca_file: Option<String>,
    /// Seconds between soft and hard shutdown.
    pub shutdown_grace_seconds: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: "http://127.0.0.1:8080".to_owned(),
            tls_cert_file: None,
            tls_key_file: None,
            trusted_proxies: Vec::new(),
            peer_url: None,
            peer_ca_file: None,
            shutdown_grace_seconds: 20,
        }
    }
}

/// PostgreSQL.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Database {
    /// URL of the application role, without its password; over TLS beyond this machine, unless `sslmode` says otherwise.
    pub url: String,
    /// File with the application role's password.
    pub password_file: Option<String>,
    /// The application role's password (environment only).
    pub password: Option<SecretString>,
    /// URL of the owner, for `openpam migrate` and `openpam admin`.
    pub owner_url: Option<String>,
    /// File with the owner's password.
    pub owner_password_file: Option<String>,
    /// The owner's password (environment only).
    pub owner_password: Option<SecretString>,
    /// URL of the role that writes the ledger's places and checkpoints: another one than the application's, so that
    /// whoever has that cannot. Without it the application's does. `openpam migrate` gives the rights.
    pub ledger_url: Option<String>,
    /// File with that role's password.
    pub ledger_password_file: Option<String>,
    /// That role's password (environment only).
    pub ledger_password: Option<SecretString>,
    /// Connections the pool may open.
    pub max_connections: u32,
    /// Seconds to wait for a free connection.
    pub acquire_timeout_seconds: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: String::new(),
            password_file: None,
            password: None,
            owner_url: None,
            owner_password_file: None,
            owner_password: None,
            ledger_url: None,
            ledger_password_file: None,
            ledger_password: None,
            max_connections: 16,
            acquire_timeout_seconds: 5,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for a person.
    #[default]
    Human,
}

/// Log lines.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Log {
    /// `human` or `json`.
    pub format: LogFormat,
    /// Filter directives as `tracing-subscriber` reads them.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Human, filter: "info".to_owned() }
    }
}

/// HashiCorp Vault or OpenBao.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Vault {
    /// Base URL of its API: https, or http to this machine.
    pub address: String,
    /// Namespace, empty for none.
    pub namespace: String,
    /// PEM file with the CA that signed the vault's certificate.
    pub ca_file: Option<String>,
    /// Mount of the AppRole method.
    pub approle_mount: String,
    /// Mount of the KV v2 engine.
    pub kv_mount: String,
    /// Mount of the SSH CA engine.
    pub ssh_mount: String,
    /// Path prefix, below the KV mount, of secrets that are written through the hub.
    pub kv_prefix: String,
    /// Path prefix, below the KV mount, of secrets that every tenant's credentials may refer to;
    /// empty for none.
    pub shared_prefix: String,
    /// Tenant slug to roles of the SSH CA that its credentials may name, beside its own: a tenant's own
    /// roles are the one called like its slug, and those that begin with the slug and a dot.
    pub ssh_roles: BTreeMap<String, Vec<String>>,
    /// AppRole role id; not a secret by itself.
    pub role_id: String,
    /// File with the AppRole secret id.
    pub secret_id_file: Option<String>,
    /// File with a response-wrapping token that unwraps to the secret id, once.
    pub wrapped_secret_id_file: Option<String>,
    /// The AppRole secret id (environment only).
    pub secret_id: Option<SecretString>,
    /// Seconds one request may take.
    pub request_timeout_seconds: u64,
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            address: String::new(),
            namespace: String::new(),
            ca_file: None,
            approle_mount: "approle".to_owned(),
            kv_mount: "kv".to_owned(),
            ssh_mount: "ssh".to_owned(),
            kv_prefix: "openpam".to_owned(),
            shared_prefix: "shared".to_owned(),
            ssh_roles: BTreeMap::new(),
            role_id: String::new(),
            secret_id_file: None,
            wrapped_secret_id_file: None,
            secret_id: None,
            request_timeout_seconds: 5,
        }
    }
}

/// An OpenID Connect provider, such as Microsoft Entra ID.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Oidc {
    /// Slug of the tenant its people belong to.
    pub tenant: String,
    /// What the sign-in button says.
    pub display_name: String,
    /// Issuer URL, exactly as the provider's discovery document spells it: https, or http to this machine.
    pub issuer: String,
    /// PEM file with the CA that signed the provider's certificate.
    pub ca_file: Option<String>,
    /// Client (application) id.
    pub client_id: String,
    /// File with the client secret.
    pub client_secret_file: Option<String>,
    /// The client secret (environment only).
    pub client_secret: Option<SecretString>,
    /// Accepted `tid` claims; empty accepts a token without `tid` and refuses one that has it.
    pub allowed_tids: Vec<String>,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Seconds the provider's clock may differ.
    pub clock_skew_seconds: u64,
    /// Directory group id to roles.
    pub group_roles: BTreeMap<String, Vec<String>>,
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            tenant: String::new(),
            display_name: "Single sign-on".to_owned(),
            issuer: String::new(),
            ca_file: None,
            client_id: String::new(),
            client_secret_file: None,
            client_secret: None,
            allowed_tids: Vec::new(),
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            clock_skew_seconds: 60,
            group_roles: BTreeMap::new(),
        }
    }
}

/// Sign-in lifetimes and limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// A browser that is quiet for this long is signed out.
    pub idle_timeout_seconds: u64,
    /// A browser is signed out after this long in any case.
    pub absolute_timeout_seconds: u64,
    /// Failed sign-ins of one account name before it is locked.
    pub login_attempts_per_account: u32,
    /// Seconds a locked account name stays locked; also the window in which failures count.
    pub login_lockout_seconds: u64,
    /// Sign-in attempts of one client address a minute.
    pub login_attempts_per_ip_per_minute: u32,
    /// How often the provider is asked again for what it says about people who are signed in.
    pub claims_refresh_seconds: u64,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            idle_timeout_seconds: 1_800,
            absolute_timeout_seconds: 43_200,
            login_attempts_per_account: 10,
            login_lockout_seconds: 300,
            login_attempts_per_ip_per_minute: 60,
            claims_refresh_seconds: 600,
        }
    }
}

/// Where targets may be.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Targets {
    /// Networks (CIDR) within those that are refused by default, at which targets may be nevertheless:
    /// unspecified, link-local, multicast, broadcast, and the metadata services of clouds.
    pub address_exceptions: Vec<IpNetwork>,
}

#[expect(clippy::derivable_impls, reason = "the operator's guide is written from it")]
impl Default for Targets {
    fn default() -> Self {
        Self { address_exceptions: Vec::new() }
    }
}

/// Terminal sessions.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Terminal {
    /// Seconds a session without its browser stays alive.
    pub resume_grace_seconds: u64,
    /// Seconds without a key before a session ends.
    pub idle_timeout_seconds: u64,
    /// Seconds a session may last.
    pub max_duration_seconds: u64,
    /// Seconds between keep-alives to target and browser.
    pub keepalive_seconds: u64,
    /// Seconds to reach a target, and as many again for the SSH handshake.
    pub connect_timeout_seconds: u64,
    /// Seconds sessions go on while the database does not answer, so that nobody can tell whether they still may.
    /// Other hubs wait longer than that before they take this one for dead.
    pub unchecked_seconds: u64,
    /// Sessions of this hub at the same time.
    pub max_sessions: usize,
    /// Of them, those of one person.
    pub max_sessions_per_person: usize,
    /// People who watch or join sessions of this hub at the same time.
    pub max_watchers: usize,
}

impl Default for Terminal {
    fn default() -> Self {
        Self {
            resume_grace_seconds: 120,
            idle_timeout_seconds: 1_800,
            max_duration_seconds: 43_200,
            keepalive_seconds: 30,
            connect_timeout_seconds: 10,
            unchecked_seconds: 20,
            max_sessions: 2_000,
            max_sessions_per_person: 200,
            max_watchers: 200,
        }
    }
}

/// Where recordings are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingStore {
    /// A folder.
    #[default]
    Local,
    /// An S3-compatible object store.
    S3,
}

/// Object lock of what is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectLock {
    /// Nothing is locked.
    #[default]
    None,
    /// Who has a special permission in the store can delete nevertheless.
    Governance,
    /// Nobody can delete before the time is over.
    Compliance,
}

impl ObjectLock {
    /// The mode as S3 spells it; `None` where nothing is locked.
    pub const fn mode(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Governance => Some("GOVERNANCE"),
            Self::Compliance => Some("COMPLIANCE"),
        }
    }
}

/// Recordings of sessions.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Recording {
    /// Where recordings are kept: `local` is `recording.directory`, `s3` an S3-compatible object store.
    pub store: RecordingStore,
    /// Folder of the store `local`, which every hub of the installation shares.
    pub directory: Option<String>,
    /// Whether a session must be recorded, and ends when it cannot be any more; a hub without a store
    /// does not start then. A tenant can be stricter than this, not laxer.
    pub required: bool,
    /// Bucket of the store `s3`.
    pub s3_bucket: String,
    /// Path in the bucket below which recordings are kept; empty for its root.
    pub s3_prefix: String,
    /// Region of the bucket.
    pub s3_region: String,
    /// URL of the object store's API; without it AWS's own of the region.
    pub s3_endpoint: Option<String>,
    /// Whether the bucket is in the path of an address instead of in its host name.
    pub s3_path_style: bool,
    /// Whether plain http is allowed to an endpoint that is not on loopback.
    pub s3_allow_http: bool,
    /// PEM file with the CA that signed the endpoint's certificate.
    pub s3_ca_file: Option<String>,
    /// Access key id. Without it AWS's own sources are used: the standard environment variables, a web
    /// identity, the role of a container or machine.
    pub s3_access_key_id: Option<String>,
    /// File with the secret access key.
    pub s3_secret_access_key_file: Option<String>,
    /// The secret access key (environment only).
    pub s3_secret_access_key: Option<SecretString>,
    /// Object lock of what is stored: `none`, `governance` or `compliance`. The bucket must have object
    /// lock; the hub looks at the start.
    pub object_lock: ObjectLock,
    /// Days for which nothing that is stored can be deleted.
    pub object_lock_days: u64,
    /// Folder of this hub alone where segments wait, encrypted, while the store `s3` is down; without
    /// one sessions that must be recorded end when it is.
    pub spool_directory: Option<String>,
    /// Bytes that may wait there; then targets are not read, and sessions end.
    pub spool_max_bytes: u64,
    /// Seconds after which a recording is closed without the segments that wait in the spool of a hub
    /// that does not come back. It says so in the ledger.
    pub spool_wait_seconds: u64,
    /// Stored bytes a second and session, on the average; a target that says more waits.
    pub bytes_per_second: u64,
    /// Seconds of that which may be stored at once.
    pub burst_seconds: u64,
    /// Seconds after a session's end at which a recording that its hub did not close is closed by another.
    pub abandoned_after_seconds: u64,
    /// X25519 public key, base64, of the break-glass recipient whose private key is kept elsewhere;
    /// without it the hub makes one and keeps it in the vault.
    pub escrow_public_key: Option<String>,
}

impl Recording {
    /// Whether there is a place for recordings.
    pub fn has_store(&self) -> bool {
        self.store == RecordingStore::S3 || self.directory.is_some()
    }

    /// The bucket of the store `s3`.
    pub fn bucket(&self) -> Bucket {
        Bucket {
            name: self.s3_bucket.clone(),
            prefix: self.s3_prefix.clone(),
            region: self.s3_region.clone(),
            endpoint: self.s3_endpoint.clone(),
            path_style: self.s3_path_style,
            allow_http: self.s3_allow_http,
            ca_file: self.s3_ca_file.clone(),
            access_key_id: self.s3_access_key_id.clone(),
            secret_access_key: self.s3_secret_access_key.clone(),
            object_lock: self.object_lock,
            object_lock_days: self.object_lock_days,
        }
    }
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            store: RecordingStore::Local,
            directory: None,
            required: true,
            s3_bucket: String::new(),
            s3_prefix: String::new(),
            s3_region: "us-east-1".to_owned(),
            s3_endpoint: None,
            s3_path_style: false,
            s3_allow_http: false,
            s3_ca_file: None,
            s3_access_key_id: None,
            s3_secret_access_key_file: None,
            s3_secret_access_key: None,
            object_lock: ObjectLock::None,
            object_lock_days: 30,
            spool_directory: None,
            spool_max_bytes: 1_073_741_824,
            spool_wait_seconds: 604_800,
            bytes_per_second: 4_194_304,
            burst_seconds: 30,
            abandoned_after_seconds: 60,
            escrow_public_key: None,
        }
    }
}
