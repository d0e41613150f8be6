//! SQL of settings.

use openpam_ids::TenantId;
use sqlx::PgConnection;

use super::types::Chosen;

pub(super) async fn read(connection: &mut PgConnection) -> Result<Chosen, sqlx::Error> {
    let chosen = sqlx::query_as!(
        Chosen,
        "select terminal_idle_timeout_seconds as idle_timeout_seconds,
                terminal_max_duration_seconds as max_duration_seconds,
                terminal_resume_grace_seconds as resume_grace_seconds, clipboard_write, require_reason,
                watch_visible, motd, recording_required, recording_retention_days
         from settings where tenant_id = openpam.current_tenant()"
    )
    .fetch_optional(connection)
    .await?;
    Ok(chosen.unwrap_or_default())
}

/// Lets no other change of the tenant's settings in before the transaction ends; there may be no row yet.
pub(super) async fn lock(connection: &mut PgConnection, tenant: TenantId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('openpam settings ' || $1::text, 0))",
        tenant.to_string()
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

pub(super) async fn write(connection: &mut PgConnection, tenant: TenantId, chosen: &Chosen) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into settings (tenant_id, terminal_idle_timeout_seconds, terminal_max_duration_seconds,
                               terminal_resume_grace_seconds, clipboard_write, require_reason, watch_visible, motd,
                               recording_required, recording_retention_days)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (tenant_id) do update set
             terminal_idle_timeout_seconds = excluded.terminal_idle_timeout_seconds,
             terminal_max_duration_seconds = excluded.terminal_max_duration_seconds,
             terminal_resume_grace_seconds = excluded.terminal_resume_grace_seconds,
             clipboard_write = excluded.clipboard_write, require_reason = excluded.require_reason,
             watch_visible = excluded.watch_visible, motd = excluded.motd,
             recording_required = excluded.recording_required,
             recording_retention_days = excluded.recording_retention_days",
        tenant.as_uuid(),
        chosen.idle_timeout_seconds,
        chosen.max_duration_seconds,
        chosen.resume_grace_seconds,
        chosen.clipboard_write,
        chosen.require_reason,
        chosen.watch_visible,
        chosen.motd,
        chosen.recording_required,
        chosen.recording_retention_days
    )
    .execute(connection)
    .await?;
    Ok(())
}
