//! Settings.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use super::{
    service::{self, Change},
    types::Effective,
};
use crate::{
    context::Context,
    db::DbError,
    http::{Access, Json, Problem, ProblemBody, Routes, nullable},
    permissions::Permission,
    state::Hub,
};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .add(Access::Permission(Permission::SettingsRead), routes!(get_settings))
        .add(Access::Permission(Permission::SettingsManage), routes!(update_settings))
}

/// Limits of terminal sessions, as they hold.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct TerminalSettings {
    idle_timeout_seconds: u64,
    max_duration_seconds: u64,
    resume_grace_seconds: u64,
}

/// The settings that hold.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Settings {
    terminal: TerminalSettings,
    /// Whether programs in the terminal may write the browser's clipboard.
    clipboard_write: bool,
    /// Whether every session needs a reason.
    require_reason: bool,
    /// Shown to people before they work.
    motd: Option<String>,
}

impl From<Effective> for Settings {
    fn from(effective: Effective) -> Self {
        Self {
            terminal: TerminalSettings {
                idle_timeout_seconds: effective.idle_timeout_seconds,
                max_duration_seconds: effective.max_duration_seconds,
                resume_grace_seconds: effective.resume_grace_seconds,
            },
            clipboard_write: effective.clipboard_write,
            require_reason: effective.require_reason,
            motd: effective.motd,
        }
    }
}

/// Limits to change; null gives the choice back to the hub's configuration.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
struct TerminalChange {
    #[serde(default, deserialize_with = "nullable")]
    idle_timeout_seconds: Option<Option<i32>>,
    #[serde(default, deserialize_with = "nullable")]
    max_duration_seconds: Option<Option<i32>>,
    #[serde(default, deserialize_with = "nullable")]
    resume_grace_seconds: Option<Option<i32>>,
}

/// Settings to change.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct SettingsChange {
    #[serde(default)]
    terminal: TerminalChange,
    clipboard_write: Option<bool>,
    require_reason: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    motd: Option<Option<String>>,
}

/// The settings that hold.
#[utoipa::path(get, path = "/api/v1/admin/settings", tag = "settings", responses((status = 200, body = Settings)))]
async fn get_settings(State(hub): State<Hub>, context: Context) -> Result<Json<Settings>, Problem> {
    let mut tx = hub.db().begin(&context).await?;
    Ok(Json(service::effective(&mut tx, hub.config()).await?.into()))
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
        motd: body.motd,
    };
    let mut tx = hub.db().begin(&context).await?;
    let effective = service::update(&mut tx, &context, hub.config(), change).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(Json(effective.into()))
}
