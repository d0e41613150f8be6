//! The composition root: makes every part, lists every task, serves until asked to stop.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use aws_lc_rs::rand::SystemRandom;
use openpam_lifecycle::Lifecycle;
use openpam_telemetry as telemetry;

use crate::{
    config::{Config, LogFormat},
    context::Ids,
    db::{Changes, Db, DbError},
    domains::{
        audit,
        events::{self, EventBus},
        identity::{self, Identity},
        ledger::{self, Ledger},
        recordings::{self, Indexer, Storage, Verifications},
        sessions::LiveSessions,
        subscribers::{self, Senders},
        vault::Vault,
    },
    gateway::{Attachments, Listeners, Peers},
    http,
    state::{Hub, Inner},
};

mod serve;

/// How often it is looked whether row-level security still binds the hub.
const GUARD_INTERVAL: Duration = Duration::from_secs(30);

/// Runs the hub until a signal asks it to stop or a supervised task dies.
///
/// # Errors
/// When the configuration is wrong, a part cannot be made, the listener cannot be bound, or a
/// supervised task died.
pub async fn run(config_path: &Path) -> anyhow::Result<()> {
    let config = Config::load_for_hub(config_path)?;
    init_logging(&config)?;
    let metrics = telemetry::init_metrics()?;
    let (lifecycle, supervisor) = Lifecycle::new();
    let origin = url::Url::parse(&config.server.public_url)?.origin().ascii_serialization();
    let grace = Duration::from_secs(config.server.shutdown_grace_seconds);
    let listen = config.server.listen;
    let tls = serve::tls_acceptor(&config.server)?;
    let db = Db::new(&config.database)?;
    // Refusing now is kinder than refusing every request later; a database that is down may come up.
    if let Err(error @ (DbError::RoleTooStrong(_) | DbError::LedgerRole(_) | DbError::SchemaOutdated(_))) =
        db.verify().await
    {
        return Err(error.into());
    }
    if !db.has_ledger_role() {
        tracing::warn!("the application's role writes the ledger too: set database.ledger_url to a role of its own");
    }
    let hub = Hub::new(Inner {
        hub_id: Ids.fresh(),
        origin,
        identity: Identity::new(&config)?,
        vault: Vault::new(&config)?,
        ledger: Ledger::open(&config.ledger).await?,
        recordings: storage(&config.recording).await?,
        indexer: Indexer::default(),
        verifications: Verifications::default(),
        live: LiveSessions::default(),
        terminals: Attachments::default(),
        listeners: Listeners::default(),
        peers: Peers::new(&config.server)?,
        random: SystemRandom::new(),
        db,
        changes: Changes::default(),
        events: EventBus::default(),
        senders: Senders::new(&config)?.connected(&config).await?,
        lifecycle: lifecycle.clone(),
        metrics,
        config,
    });
    hub.vault().start().await?;
    let listener = serve::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    crate::domains::sessions::start_tasks(&hub);
    crate::gateway::start_tasks(&hub);
    events::start_tasks(&hub)?;
    start_tasks(&hub);
    let application = http::application(hub.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let trusted_proxies = hub.config().server.trusted_proxies.clone();
    serve::start(&lifecycle, listener, tls, application, trusted_proxies);
    tracing::info!(%listen, origin = hub.origin(), hub_id = %hub.hub_id(), version = env!("CARGO_PKG_VERSION"), "hub started");
    let ended = supervisor.run(stop_signal(), grace).await;
    hub.db().close().await;
    tracing::info!("hub stopped");
    Ok(ended?)
}

/// Every task that lives as long as the process.
fn start_tasks(hub: &Hub) {
    audit::start_tasks(hub);
    subscribers::start_tasks(hub);
    identity::start_tasks(hub);
    crate::domains::vault::start_tasks(hub);
    ledger::start_tasks(hub);
    recordings::start_tasks(hub);
    let listening = hub.clone();
    hub.lifecycle().supervise("change listener", async move {
        // Sessions that end in their own time after the soft stop are still to be watched.
        let stopped = async {
            listening.lifecycle().soft().cancelled().await;
            while listening.live().count() > 0 {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            () = listening.changes().listen(listening.db()) => {}
            () = stopped => {}
        }
    });
    let guarded = hub.clone();
    hub.lifecycle().supervise("database guard", async move {
        while tokio::time::timeout(GUARD_INTERVAL, guarded.lifecycle().soft().cancelled()).await.is_err() {
            // Connections that were good when they were made may be of a role that was given more since, and a database
            // that was down at the start may have an older schema.
            let verified = tokio::time::timeout(GUARD_INTERVAL, guarded.db().verify()).await;
            if let Ok(Err(error @ (DbError::RoleTooStrong(_) | DbError::LedgerRole(_) | DbError::SchemaOutdated(_)))) =
                verified
            {
                tracing::error!(%error, "the database is not one to go on with");
                return;
            }
        }
    });
    let metrics = hub.metrics().clone();
    let soft = hub.lifecycle().soft().clone();
    hub.lifecycle().supervise("metrics upkeep", async move {
        while tokio::time::timeout(Duration::from_secs(5), soft.cancelled()).await.is_err() {
            metrics.run_upkeep();
        }
    });
}

async fn storage(config: &crate::config::Recording) -> anyhow::Result<Option<Storage>> {
    let storage = Storage::open(config).await?;
    if storage.is_none() {
        tracing::warn!("sessions are not recorded: recording.directory is not set");
    }
    Ok(storage)
}

fn init_logging(config: &Config) -> anyhow::Result<()> {
    let format = match config.log.format {
        LogFormat::Json => telemetry::LogFormat::Json,
        LogFormat::Human => telemetry::LogFormat::Human,
    };
    // The vault's client library reports every refusal as an error, several times over; the hub says
    // itself what failed and why.
    let filter = format!("vaultrs=off,rustify=off,{}", config.log.filter);
    Ok(telemetry::init_logging(format, &filter)?)
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(error) => {
                tracing::error!(%error, "cannot listen for SIGTERM");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
