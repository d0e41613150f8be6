//! The installation's NATS: every event goes into a JetStream stream, under its id, so that the server keeps it once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event,
    connection::State,
    jetstream::{
        self, Context, ErrorCode,
        context::{ContextBuilder, GetStreamErrorKind, PublishError, PublishErrorKind},
        message::PublishMessage,
        stream::Config as StreamConfig,
    },
};
use openpam_secret::ExposeSecret as _;

use super::envelope::{self, CONTENT_TYPE};
use crate::{config, domains::events::Published};

/// How long the server may take to say that it has an event.
pub(super) const ACK: Duration = Duration::from_secs(5);
/// Between attempts to connect.
const RECONNECT: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(5);
/// Events whose receipt the server has not confirmed yet.
const MAX_UNCONFIRMED: usize = 2_000;

/// The connection, which the client keeps up by itself.
pub(super) struct Nats {
    client: Client,
    context: Context,
    config: config::Nats,
    /// Whether the stream was seen since the last sign that it is gone.
    has_stream: AtomicBool,
    /// So that an outage is told once.
    is_failing: AtomicBool,
}

impl Nats {
    /// Begins to connect, and returns before there is a connection: a bus that is down keeps no hub from starting.
    pub(super) async fn start(config: &config::Nats) -> Result<Self, async_nats::ConnectError> {
        let options = options(config)
            .reconnect_delay_callback(|_| RECONNECT)
            .max_reconnects(None)
            .retry_on_initial_connect()
            .event_callback(|event| async move {
                match event {
                    Event::Connected => tracing::info!("connected to NATS"),
                    Event::Disconnected => tracing::warn!("the connection to NATS ended; trying again"),
                    other => tracing::debug!(event = %other, "NATS"),
                }
            });
        let client = options.connect(servers(config)).await?;
        let context = ContextBuilder::new()
            .timeout(ACK)
            .ack_timeout(ACK)
            .max_ack_inflight(MAX_UNCONFIRMED)
            .backpressure_on_inflight(true)
            .build(client.clone());
        Ok(Self {
            client,
            context,
            config: config.clone(),
            has_stream: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
        })
    }

    /// Whether events can be published now. Makes the stream where there is none.
    pub(super) async fn is_ready(&self) -> bool {
        let outcome = self.look().await;
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !was_failing => tracing::error!(%error, "events wait for NATS"),
            Ok(()) if was_failing => tracing::info!("events go to NATS again"),
            _ => {}
        }
        !self.is_failing.load(Ordering::Relaxed)
    }

    async fn look(&self) -> Result<(), String> {
        if self.client.connection_state() != State::Connected {
            return Err("there is no connection".to_owned());
        }
        if self.has_stream.load(Ordering::Relaxed) {
            return Ok(());
        }
        let wanted = StreamConfig {
            name: self.config.stream.clone(),
            description: Some("Events of OpenPAM, as CloudEvents".to_owned()),
            subjects: vec![format!("{}.>", self.config.subject_prefix)],
            max_age: Duration::from_secs(self.config.stream_max_age_days.saturating_mul(86_400)),
            duplicate_window: Duration::from_secs(self.config.duplicate_window_seconds),
            num_replicas: self.config.stream_replicas,
            storage: jetstream::stream::StorageType::File,
            ..StreamConfig::default()
        };
        self.context.get_or_create_stream(wanted).await.map_err(|error| {
            format!("the stream {}: {}", self.config.stream, openpam_telemetry::with_causes(&error))
        })?;
        self.has_stream.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Publishes an event once; why it went wrong, for a person. The server keeps one of those with the same id that
    /// come within its window.
    pub(super) async fn publish(&self, event: &Published) -> Result<(), String> {
        let Ok(body) = serde_json::to_vec(&envelope::cloud_event(event)) else {
            return Err("the event cannot be written as JSON".to_owned());
        };
        let subject = format!("{}.{}.{}", self.config.subject_prefix, event.tenant_id, event.event_type);
        let message = PublishMessage::build()
            .message_id(event.id.to_string())
            .header("content-type", CONTENT_TYPE)
            .expected_stream(&self.config.stream)
            .payload(body.into());
        match self.send(subject, message).await {
            Ok(()) => Ok(()),
            Err(error) => {
                if error.kind() == PublishErrorKind::StreamNotFound {
                    self.has_stream.store(false, Ordering::Relaxed);
                }
                Err(format!("NATS: {}", openpam_telemetry::with_causes(&error)))
            }
        }
    }

    async fn send(&self, subject: String, message: PublishMessage) -> Result<(), PublishError> {
        // Both wait no longer than `ACK`.
        self.context.send_publish(subject, message).await?.await?;
        Ok(())
    }
}

fn options(config: &config::Nats) -> ConnectOptions {
    let mut options = ConnectOptions::new()
        .name("openpam")
        .connection_timeout(CONNECT)
        .request_timeout(Some(ACK))
        .ignore_discovered_servers()
        .require_tls(config.requires_tls());
    if let Some(file) = &config.ca_file {
        options = options.add_root_certificates(file.into());
    }
    if let (Some(certificate), Some(key)) = (&config.client_cert_file, &config.client_key_file) {
        options = options.add_client_certificate(certificate.into(), key.into());
    }
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        options = options.user_and_password(user.clone(), password.expose_secret().to_owned());
    }
    options
}

fn servers(config: &config::Nats) -> Vec<String> {
    config.servers().map(str::to_owned).collect()
}

/// Looks at the servers and the stream, and changes nothing; what was found, or why events would wait.
pub async fn examine(config: &config::Nats) -> Result<String, String> {
    let client =
        options(config).connect(servers(config)).await.map_err(|error| openpam_telemetry::with_causes(&error))?;
    let server = client.server_info();
    let stream = jetstream::new(client).get_stream(&config.stream).await;
    let found = match stream {
        Ok(stream) => {
            let window = stream.cached_info().config.duplicate_window.as_secs();
            format!("the stream {} keeps an event that comes again within {window} s once", config.stream)
        }
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(reason) if reason.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                format!("the stream {} is made with the first event", config.stream)
            }
            _ => return Err(format!("the stream {}: {}", config.stream, openpam_telemetry::with_causes(&error))),
        },
    };
    Ok(format!("NATS {} answers; {found}", server.version))
}
