//! Sending to webhooks: TLS or this machine, no address at which no target may be, no redirects, bounded time.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use http::header;
use openpam_ids::TenantId;
use openpam_secret::SecretString;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use url::Url;

use super::{
    envelope::{self, CONTENT_TYPE},
    nats,
    nats::Nats,
    sns,
    sns::Sns,
    validation::{Destinations, is_loopback, literal},
};
use crate::{
    addresses,
    config::Config,
    domains::events::{Due, Published, Subscriber},
};

/// Webhooks that this hub sends to at the same time.
const MAX_AT_ONCE: usize = 64;
/// Of them, those of one tenant: one whose addresses are all down leaves room for others.
const MAX_OF_TENANT: usize = 16;
/// Tenants whose events go to a bus at the same time.
const MAX_ON_BUSES: usize = 16;
/// Transactions of deliveries at the same time: the other connections of the pool are for people.
const MAX_TRANSACTIONS: usize = 4;
/// How long a secret is kept in memory.
const KEY_LIFETIME: Duration = Duration::from_secs(60);
/// Secrets that are kept in memory.
const MAX_KEYS: usize = 1_000;
/// Bytes of an answer that are read, so that its connection can serve again.
const MAX_ANSWER: usize = 64 * 1024;

/// What delivers events, with what it keeps from one to the next.
pub struct Senders {
    https: reqwest::Client,
    /// For plain http: reaches this machine and nothing else.
    loopback: reqwest::Client,
    destinations: Destinations,
    busy: Mutex<HashSet<Due>>,
    permits: Arc<Semaphore>,
    of_tenants: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
    of_buses: Arc<Semaphore>,
    transactions: Semaphore,
    keys: Mutex<HashMap<String, (SecretString, Instant)>>,
    nats: Option<Nats>,
    sns: Option<Sns>,
}

impl fmt::Debug for Senders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Senders")
    }
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file with the CA cannot be read.
    #[error("events.webhook_ca_file {path}: {source}")]
    CaFile {
        /// Its path.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The library refuses.
    #[error("no HTTP client for webhooks: {0}")]
    Client(#[from] reqwest::Error),
    /// NATS is configured, and cannot even be tried.
    #[error("nats.url: {0}")]
    Nats(#[from] async_nats::ConnectError),
    /// SNS is configured, and cannot even be asked.
    #[error("aws: {0:#}")]
    Sns(anyhow::Error),
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) struct Attempt {
    /// HTTP status, where there was an answer.
    pub(super) status: Option<u16>,
    /// Why it went wrong, for a person.
    pub(super) error: Option<String>,
}

/// What the whole installation's events go to.
pub(super) enum Bus<'s> {
    /// NATS JetStream.
    Nats(&'s Nats),
    /// Amazon SNS.
    Sns(&'s Sns),
}

impl Bus<'_> {
    /// Whether events can be published now.
    pub(super) async fn is_ready(&self) -> bool {
        match self {
            Self::Nats(nats) => nats.is_ready().await,
            Self::Sns(_) => true,
        }
    }

    /// Publishes an event once.
    pub(super) async fn publish(&self, event: &Published) -> Attempt {
        match self {
            Self::Nats(nats) => Attempt { status: None, error: nats.publish(event).await.err() },
            Self::Sns(sns) => sns.publish(event).await,
        }
    }

    /// Events that are under way to it at the same time.
    pub(super) const fn together(&self) -> i64 {
        match self {
            Self::Nats(_) => 100,
            Self::Sns(_) => 20,
        }
    }

    /// How long an attempt may take.
    pub(super) const fn longest(&self) -> Duration {
        match self {
            Self::Nats(_) => nats::ACK,
            Self::Sns(_) => sns::TIMEOUT,
        }
    }
}

/// The right to be one of those that are sent to now.
pub(super) struct Permit {
    _of_tenant: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

/// The right to send to one subscriber. Nobody else in this hub does meanwhile.
pub(super) struct Turn<'s> {
    senders: &'s Senders,
    due: Due,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.senders.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.due);
    }
}

impl Senders {
    /// Makes the clients.
    ///
    /// # Errors
    /// When the CA of the configuration cannot be read.
    pub fn new(config: &Config) -> Result<Self, ClientError> {
        let destinations = Destinations::new(config);
        let timeout = Duration::from_secs(config.events.webhook_timeout_seconds);
        let client = |only_loopback: bool| {
            let mut builder = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                // A proxy would look addresses up by itself.
                .no_proxy()
                .timeout(timeout)
                .connect_timeout(timeout.min(Duration::from_secs(5)))
                .pool_max_idle_per_host(4)
                .pool_idle_timeout(Duration::from_secs(30))
                .https_only(!only_loopback)
                .dns_resolver(Arc::new(Checked { destinations: destinations.clone(), only_loopback }))
                .user_agent(concat!("openpam/", env!("CARGO_PKG_VERSION")));
            if let Some(path) = &config.events.webhook_ca_file {
                let pem = std::fs::read(path).map_err(|source| ClientError::CaFile { path: path.clone(), source })?;
                builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem)?);
            }
            Ok::<_, ClientError>(builder.build()?)
        };
        Ok(Self {
            https: client(false)?,
            loopback: client(true)?,
            destinations: destinations.clone(),
            busy: Mutex::default(),
            permits: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            of_tenants: Mutex::default(),
            of_buses: Arc::new(Semaphore::new(MAX_ON_BUSES)),
            transactions: Semaphore::new(MAX_TRANSACTIONS),
            keys: Mutex::default(),
            nats: None,
            sns: None,
        })
    }

    /// Begins to connect to the buses that are configured.
    ///
    /// # Errors
    /// When its addresses are none.
    pub async fn connected(mut self, config: &Config) -> Result<Self, ClientError> {
        if let Some(nats) = &config.nats {
            self.nats = Some(Nats::start(nats).await?);
        }
        if let Some((aws, topic)) = config.aws.as_ref().and_then(|aws| Some((aws, aws.sns_topic_arn.as_deref()?))) {
            self.sns = Some(Sns::new(aws, topic).map_err(ClientError::Sns)?);
        }
        Ok(self)
    }

    /// The buses that every event goes to.
    pub(super) fn buses(&self) -> impl Iterator<Item = Subscriber> {
        let nats = self.nats.is_some().then_some(Subscriber::Nats);
        nats.into_iter().chain(self.sns.is_some().then_some(Subscriber::Sns))
    }

    /// A bus, where this hub has it.
    pub(super) fn bus(&self, subscriber: Subscriber) -> Option<Bus<'_>> {
        match subscriber {
            Subscriber::Webhook(_) => None,
            Subscriber::Nats => self.nats.as_ref().map(Bus::Nats),
            Subscriber::Sns => self.sns.as_ref().map(Bus::Sns),
        }
    }

    /// Where webhooks may lead.
    pub(super) const fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    /// The right to send to this subscriber; `None` while somebody has it.
    pub(super) fn begin(&self, due: Due) -> Option<Turn<'_>> {
        let fresh = self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(due);
        // Not `then_some`: what it does not give is dropped, and would give back another's turn.
        fresh.then(|| Turn { senders: self, due })
    }

    /// Waits until this subscriber, too, may be sent to; `None` when the hub ends. No bus waits for addresses that
    /// are down.
    pub(super) async fn permit(&self, due: Due) -> Option<Permit> {
        let Subscriber::Webhook(_) = due.subscriber else {
            let of_all = self.of_buses.clone().acquire_owned().await.ok()?;
            return Some(Permit { _of_tenant: None, _of_all: of_all });
        };
        let of_tenant = self.of_tenant(due.tenant_id).acquire_owned().await.ok()?;
        Some(Permit { _of_tenant: Some(of_tenant), _of_all: self.permits.clone().acquire_owned().await.ok()? })
    }

    /// Waits until one more transaction of a delivery may begin. Held until it has ended, and over nothing else.
    pub(super) async fn transaction(&self) -> Option<SemaphorePermit<'_>> {
        self.transactions.acquire().await.ok()
    }

    fn of_tenant(&self, tenant_id: TenantId) -> Arc<Semaphore> {
        let mut of_tenants = self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = of_tenants.get(&tenant_id).and_then(Weak::upgrade) {
            return known;
        }
        of_tenants.retain(|_, known| known.strong_count() > 0);
        let fresh = Arc::new(Semaphore::new(MAX_OF_TENANT));
        of_tenants.insert(tenant_id, Arc::downgrade(&fresh));
        fresh
    }

    /// A secret that was read from the vault a moment ago.
    pub(super) fn known_key(&self, path: &str) -> Option<SecretString> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(path).filter(|(_, until)| *until > Instant::now()).map(|(key, _)| key.clone())
    }

    /// Keeps a secret for a moment.
    pub(super) fn keep_key(&self, path: &str, key: &SecretString) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        keys.retain(|_, (_, until)| *until > now);
        if keys.len() < MAX_KEYS {
            keys.insert(path.to_owned(), (key.clone(), now + KEY_LIFETIME));
        }
    }

    /// Sends an event once.
    pub(super) async fn send(&self, url: &str, key: &SecretString, event: &Published, now: DateTime<Utc>) -> Attempt {
        let failed = |error: &str| Attempt { status: None, error: Some(error.to_owned()) };
        let Ok(url) = Url::parse(url) else { return failed("the URL cannot be read") };
        // What is no name is not looked up, and so not judged by the client's resolver.
        if let Some(what) = literal(&url).and_then(|address| self.destinations.refused(address)) {
            return failed(&format!("the address is refused: it is {what}"));
        }
        let client = match url.scheme() {
            "https" => &self.https,
            "http" if is_loopback(&url) => &self.loopback,
            _ => return failed("the URL must begin with https://"),
        };
        let id = event.id.to_string();
        let Ok(body) = serde_json::to_vec(&envelope::cloud_event(event)) else {
            return failed("the event cannot be written as JSON");
        };
        let Some(signature) = envelope::signature(key, &id, now, &body) else {
            return failed("the secret in the vault is no webhook's secret");
        };
        let request = client
            .post(url)
            .header(header::CONTENT_TYPE, CONTENT_TYPE)
            .header("webhook-id", id)
            .header("webhook-timestamp", now.timestamp())
            .header("webhook-signature", signature)
            .body(body);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return failed(&why(error)),
        };
        let status = answer.status();
        drain(answer).await;
        let error = (!status.is_success()).then(|| match status.is_redirection() {
            true => format!("it answered {status}: redirects are not followed"),
            false => format!("it answered {status}"),
        });
        Attempt { status: Some(status.as_u16()), error }
    }
}

/// What it says is nobody's business here: an answer may hold what the address should not have told.
async fn drain(mut answer: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > MAX_ANSWER {
            return;
        }
    }
}

/// For a person, without the URL: it may hold a token.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    openpam_telemetry::with_causes(&error)
}

/// Names lead to no address at which no target may be.
struct Checked {
    destinations: Destinations,
    only_loopback: bool,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (destinations, only_loopback) = (self.destinations.clone(), self.only_loopback);
        Box::pin(async move {
            let good = look_up(name.as_str(), &destinations, only_loopback).await?;
            Ok::<Addrs, Box<dyn Error + Send + Sync>>(Box::new(good.into_iter()))
        })
    }
}

async fn look_up(name: &str, destinations: &Destinations, only_loopback: bool) -> io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    checked(found.collect(), destinations, only_loopback)
}

fn checked(found: Vec<SocketAddr>, destinations: &Destinations, only_loopback: bool) -> io::Result<Vec<SocketAddr>> {
    let mut refused = None;
    let mut good = Vec::new();
    for address in found {
        match destinations.refused(address.ip()) {
            Some(what) => refused = Some(format!("the address {} is refused: it is {what}", address.ip())),
            None if only_loopback && !addresses::is_loopback(address.ip()) => {
                refused = Some(format!("the address {} is not this machine, and the URL is no https", address.ip()));
            }
            None => good.push(address),
        }
    }
    if good.is_empty() {
        return Err(io::Error::other(refused.unwrap_or_else(|| "the name has no address".to_owned())));
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
    }

    #[test]
    fn a_subscriber_is_sent_to_by_one_at_a_time() {
        let senders = Senders::new(&Config::default()).unwrap();
        let due = |number| Due {
            tenant_id: uuid::Uuid::from_u128(1).into(),
            subscriber: Subscriber::Webhook(uuid::Uuid::from_u128(number).into()),
        };
        let turn = senders.begin(due(1)).unwrap();
        assert!(senders.begin(due(1)).is_none(), "somebody has it");
        assert!(senders.begin(due(1)).is_none(), "whoever asked in vain did not give it back");
        assert!(senders.begin(due(2)).is_some());
        drop(turn);
        assert!(senders.begin(due(1)).is_some());
    }

    #[tokio::test]
    async fn one_tenant_leaves_room_for_another() {
        let senders = Senders::new(&Config::default()).unwrap();
        let [one, other] = [1, 2].map(|number| Due {
            tenant_id: uuid::Uuid::from_u128(number).into(),
            subscriber: Subscriber::Webhook(uuid::Uuid::from_u128(9).into()),
        });
        let mut held = Vec::new();
        for _ in 0..MAX_OF_TENANT {
            held.push(senders.permit(one).await.unwrap());
        }
        let waits = tokio::time::timeout(Duration::from_millis(20), senders.permit(one)).await;
        assert!(waits.is_err(), "it has as many as it may");
        assert!(senders.permit(other).await.is_some());
        assert!(senders.permit(Due { subscriber: Subscriber::Nats, ..one }).await.is_some());
        held.pop();
        assert!(senders.permit(one).await.is_some());
    }

    #[test]
    fn of_a_names_addresses_only_good_ones_are_connected_to() {
        let closed = Destinations::new(&Config::default());
        let mut config = Config::default();
        config.events.webhook_loopback = true;
        let open = Destinations::new(&config);
        let good = checked(addresses(&["169.254.169.254", "127.0.0.1", "10.0.0.1"]), &closed, false).unwrap();
        assert_eq!(good, addresses(&["10.0.0.1"]));
        let error = checked(addresses(&["::ffff:169.254.169.254"]), &closed, false).unwrap_err().to_string();
        assert!(error.contains("link-local"), "{error}");
        assert!(checked(Vec::new(), &closed, false).is_err());
        assert!(checked(addresses(&["10.0.0.1"]), &open, true).is_err(), "plain http stays on this machine");
        assert!(checked(addresses(&["127.0.0.1", "::1"]), &open, true).is_ok());
        assert!(checked(addresses(&["127.0.0.1", "::1"]), &closed, true).is_err());
    }
}
