//! `/healthz`, `/readyz`, `/metrics`.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{extract::State, response::IntoResponse};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use serde::Serialize;

use super::Json;
use crate::state::Hub;

/// Whether one thing the hub needs is there.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Check {
    ok: bool,
    state: String,
}

/// Whether the hub can do its work.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Readiness {
    ready: bool,
    ending: bool,
    database: Check,
    vault: Check,
    /// The store of recordings. Nothing but recorded sessions needs it: it does not decide about `ready`.
    recordings: RecordingsCheck,
    /// The ledger: whether events get their places and are signed in time. No act waits for it: it does not
    /// decide about `ready`.
    ledger: LedgerCheck,
}

/// How the store of recordings fares.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RecordingsCheck {
    /// The store takes what it is given, and nothing waits for too long.
    ok: bool,
    /// `available`, `spooling`, `unavailable`, `overdue` where the store answers and something waits in the spool for
    /// longer than other hubs wait for it, or `not_configured`.
    state: String,
    /// What waits on this hub's disk for the store; null where there is no spool.
    spool: Option<SpoolCheck>,
}

/// What waits on a hub's disk for the store of recordings.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct SpoolCheck {
    bytes: u64,
    /// Bytes that the store will never take: somebody has to look at them.
    aside_bytes: u64,
    /// Since when what waits longest does.
    oldest_at: Option<DateTime<Utc>>,
    /// Parts that wait longer than other hubs wait for them (`recording.spool_wait_seconds`).
    overdue_parts: usize,
}

/// How the ledger fares.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct LedgerCheck {
    ok: bool,
    state: String,
    /// Whether checkpoints are kept outside the database. Where not, nobody can tell that it was rolled back.
    anchored: bool,
    /// Whether a role of the database's that the application has not writes places and checkpoints
    /// (`database.ledger_url`).
    separate_role: bool,
    /// Where they are kept, and how each fares. Only the hub that leads the ledger knows; what is not available there
    /// holds up no act.
    anchors: Vec<AnchorCheck>,
}

/// How a place for checkpoints, or a witness of them, fares.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct AnchorCheck {
    /// `file`, `bucket`, or a witness's name.
    name: String,
    ok: bool,
    /// `available`, `unavailable`, `differs` or, on a hub that does not lead, `unknown`.
    state: &'static str,
}

/// Alive.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "The process is alive")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Ready: database and vault answer and no shutdown has begun.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness, description = "Something is missing, or the hub is ending")))]
pub(super) async fn readyz(State(hub): State<Hub>) -> impl IntoResponse {
    let deadline = std::time::Duration::from_secs(2);
    let database = match tokio::time::timeout(deadline, hub.db().check()).await {
        Ok(Ok(())) => Check { ok: true, state: "available".to_owned() },
        Ok(Err(crate::db::DbError::SchemaOutdated(_))) => Check { ok: false, state: "schema_outdated".to_owned() },
        Ok(Err(error)) => {
            tracing::warn!(%error, "database check failed");
            Check { ok: false, state: "unavailable".to_owned() }
        }
        Err(_) => Check { ok: false, state: "timed_out".to_owned() },
    };
    let vault = hub.vault().health().await;
    let vault = Check { ok: vault.is_available(), state: vault.name().to_owned() };
    let recordings = match hub.recordings() {
        Some(storage) => {
            let health = storage.health().await;
            let spool = storage.spool_standing().map(|spool| SpoolCheck {
                bytes: spool.bytes,
                aside_bytes: spool.aside_bytes,
                oldest_at: spool.oldest,
                overdue_parts: spool.overdue_parts,
            });
            let overdue = spool.as_ref().is_some_and(|spool| spool.overdue_parts > 0);
            let state = if health.is_available() && overdue { "overdue" } else { health.name() };
            RecordingsCheck { ok: health.is_available() && !overdue, state: state.to_owned(), spool }
        }
        None => RecordingsCheck { ok: true, state: "not_configured".to_owned(), spool: None },
    };
    let (ok, state) = hub.ledger().health();
    let config = &hub.config().ledger;
    let anchors = [("file", config.anchor_file.is_some()), ("bucket", config.anchor_s3_bucket.is_some())];
    let anchors = anchors.into_iter().filter(|(_, is_configured)| *is_configured).map(|(name, _)| name.to_owned());
    let witnesses = config.witness_keys().into_iter().map(|key| key.name().to_owned());
    let anchors = anchors.chain(witnesses).map(|name| {
        let state = hub.ledger().anchor(&name);
        AnchorCheck { name, ok: state.is_ok(), state: state.name() }
    });
    let anchors = anchors.collect();
    let (state, separate_role) = (state.to_owned(), hub.db().has_ledger_role());
    let ledger = LedgerCheck { ok, state, anchored: config.is_anchored(), separate_role, anchors };
    let ending = hub.lifecycle().is_ending();
    let ready = database.ok && vault.ok && !ending;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, ending, database, vault, recordings, ledger }))
}

/// How old metrics may be.
const METRICS_FRESH: Duration = Duration::from_millis(250);

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(hub): State<Hub>) -> impl IntoResponse {
    // One text for all who ask in the same moment: nobody has signed in for it.
    static RENDERED: Mutex<Option<(Instant, Bytes)>> = Mutex::new(None);
    let text = {
        let mut rendered = RENDERED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*rendered {
            Some((at, text)) if at.elapsed() < METRICS_FRESH => text.clone(),
            _ => rendered.insert((Instant::now(), hub.metrics().render().into())).1.clone(),
        }
    };
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
