//! Settings, and the state of the system.

use axum::extract::State;
use chrono::{DateTime, Utc};
use openpam_ids::HubId;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use super::{
    service::{self, Change},
    types::Effective,
};
use crate::{
    context::Context,
    db::DbError,
    domains::{sessions, vault::VaultHealth},
    http::{Access, Json, Problem, ProblemBody, Routes, nullable},
    permissions::Permission,
    state::Hub,
};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .add(Access::Permission(Permission::SettingsRead), routes!(get_settings))
        .add(Access::Permission(Permission::SettingsManage), routes!(update_settings))
        .add(Access::Permission(Permission::SettingsRead), routes!(get_system))
        .add(Access::SignedIn, routes!(get_motd))
}

/// Limits of terminal sessions, as they hold.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct TerminalSettings {
    idle_timeout_seconds: u64,
    max_duration_seconds: u64,
    resume_grace_seconds: u64,
}

/// What holds for recordings.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RecordingSettings {
    /// Whether sessions must be recorded.
    required: bool,
    /// Whether the hub's configuration says so, whatever the tenant chooses.
    required_by_hub: bool,
    /// Days after which recordings are purged; null keeps them.
    retention_days: Option<u32>,
}

/// The settings that hold.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Settings {
    terminal: TerminalSettings,
    recording: RecordingSettings,
    /// Whether programs in the terminal may write the browser's clipboard.
    clipboard_write: bool,
    /// Whether every session needs a reason.
    require_reason: bool,
    /// Whether people are told who watches their sessions.
    watch_visible: bool,
    /// Shown to people before they work.
    motd: Option<String>,
}

impl Settings {
    fn of(hub: &Hub, effective: Effective) -> Self {
        Self {
            recording: RecordingSettings {
                required: effective.recording_required,
                required_by_hub: hub.config().recording.required,
                retention_days: effective.recording_retention_days,
            },
            terminal: TerminalSettings {
                idle_timeout_seconds: effective.idle_timeout_seconds,
                max_duration_seconds: effective.max_duration_seconds,
                resume_grace_seconds: effective.resume_grace_seconds,
            },
            clipboard_write: effective.clipboard_write,
            require_reason: effective.require_reason,
            watch_visible: effective.watch_visible,
            motd: effective.motd,
        }
    }
}

/// Limits to change; null gives the choice back to the hub's configuration.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct TerminalChange {
    #[serde(default, deserialize_with = "nullable")]
    idle_timeout_seconds: Option<Option<i32>>,
    #[serde(default, deserialize_with = "nullable")]
    max_duration_seconds: Option<Option<i32>>,
    #[serde(default, deserialize_with = "nullable")]
    resume_grace_seconds: Option<Option<i32>>,
}

/// What to change for recordings; null gives the choice back.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct RecordingChange {
    /// True is stricter than the hub's configuration; nothing is laxer.
    #[serde(default, deserialize_with = "nullable")]
    required: Option<Option<bool>>,
    /// Days, 1 to 36500; null keeps recordings for ever.
    #[serde(default, deserialize_with = "nullable")]
    retention_days: Option<Option<i32>>,
}

/// Settings to change.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SettingsChange {
    #[serde(default)]
    terminal: TerminalChange,
    #[serde(default)]
    recording: RecordingChange,
    clipboard_write: Option<bool>,
    require_reason: Option<bool>,
    watch_visible: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    motd: Option<Option<String>>,
}

/// The settings that hold.
#[utoipa::path(get, path = "/api/v1/admin/settings", tag = "settings", responses((status = 200, body = Settings)))]
async fn get_settings(State(hub): State<Hub>, context: Context) -> Result<Json<Settings>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let effective = service::effective(&mut tx, hub.config()).await?;
    Ok(Json(Settings::of(&hub, effective)))
}

/// Changes settings, for sessions that begin from now on.
#[utoipa::path(patch, path = "/api/v1/admin/settings", tag = "settings", request_body = SettingsChange,
    responses((status = 200, body = Settings), (status = 422, body = ProblemBody)))]
async fn update_settings(
    State(hub): State<Hub>,
    context: Context,
    Json(body): Json<SettingsChange>,
) -> Result<Json<Settings>, Problem> {
    let change = Change {
        idle_timeout_seconds: body.terminal.idle_timeout_seconds,
        max_duration_seconds: body.terminal.max_duration_seconds,
        resume_grace_seconds: body.terminal.resume_grace_seconds,
        clipboard_write: body.clipboard_write,
        require_reason: body.require_reason,
        watch_visible: body.watch_visible,
        motd: body.motd,
        recording_required: body.recording.required,
        recording_retention_days: body.recording.retention_days,
    };
    let mut tx = hub.db().begin(&context).await?;
    let effective = service::update(&mut tx, &context, hub.config(), change).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(Json(Settings::of(&hub, effective)))
}

/// What an administrator tells everybody.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Motd {
    /// Plain text; null where there is none.
    motd: Option<String>,
}

/// What people are told before they work.
#[utoipa::path(get, path = "/api/v1/motd", tag = "settings", responses((status = 200, body = Motd)))]
async fn get_motd(State(hub): State<Hub>, context: Context) -> Result<Json<Motd>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let effective = service::effective(&mut tx, hub.config()).await?;
    Ok(Json(Motd { motd: effective.motd }))
}

/// A hub process that runs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct HubStatus {
    id: HubId,
    address: String,
    version: String,
    started_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    active_sessions: i64,
}

/// Whether the database answers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct DatabaseStatus {
    ok: bool,
}

/// Whether the vault answers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct VaultStatus {
    ok: bool,
    /// `available`, `sealed`, `unavailable` or `login_refused`.
    state: String,
    /// What to do about it, for a person.
    detail: Option<String>,
}

/// Whether the store of recordings takes what it is given.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RecordingsStatus {
    ok: bool,
    /// `available`, `spooling`, `unavailable` or `not_configured`.
    state: String,
    /// What to do about it, for a person.
    detail: Option<String>,
    /// Bytes that wait in the spool of the hub that answers.
    spool_bytes: u64,
}

/// The state of the system.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct System {
    version: String,
    hubs: Vec<HubStatus>,
    database: DatabaseStatus,
    vault: VaultStatus,
    recordings: RecordingsStatus,
}

/// The state of the system.
#[utoipa::path(get, path = "/api/v1/admin/system", tag = "settings", responses((status = 200, body = System)))]
async fn get_system(State(hub): State<Hub>, context: Context) -> Result<Json<System>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    let hubs = sessions::running_hubs(&mut tx).await?;
    drop(tx);
    let health = hub.vault().health().await;
    let detail = match health {
        VaultHealth::Available => None,
        VaultHealth::Sealed => Some("The vault is sealed: unseal it."),
        VaultHealth::Unavailable => Some("The vault does not answer: see whether it runs and can be reached."),
        VaultHealth::LoginRefused => {
            Some("The vault refuses the hub's login: give the hub a new wrapped secret id. The log has the reason.")
        }
    };
    Ok(Json(System {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hubs: hubs
            .into_iter()
            .map(|hub| HubStatus {
                id: hub.id,
                address: hub.address,
                version: hub.version,
                started_at: hub.started_at,
                last_seen_at: hub.last_seen_at,
                active_sessions: hub.active_sessions,
            })
            .collect(),
        // It answered just now.
        database: DatabaseStatus { ok: true },
        vault: VaultStatus {
            ok: health.is_available(),
            state: health.name().to_owned(),
            detail: detail.map(str::to_owned),
        },
        recordings: recordings_status(&hub).await,
    }))
}

async fn recordings_status(hub: &Hub) -> RecordingsStatus {
    let Some(storage) = hub.recordings() else {
        return RecordingsStatus { ok: true, state: "not_configured".to_owned(), detail: None, spool_bytes: 0 };
    };
    let health = storage.health().await;
    let detail = match health.name() {
        "spooling" => Some("The store does not answer: what is recorded waits on the hub's disk until it does."),
        "unavailable" => Some("The store does not answer: sessions that must be recorded are refused."),
        _ => None,
    };
    RecordingsStatus {
        ok: health.is_available(),
        state: health.name().to_owned(),
        detail: detail.map(str::to_owned),
        spool_bytes: storage.spool_bytes(),
    }
}
