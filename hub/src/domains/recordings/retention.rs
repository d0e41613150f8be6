//! How long recordings are kept: legal holds, purges by hand, and the tenant's retention.
//!
//! INVARIANT: a purge is in the trail before anything is deleted, and can be gone on with after a crash:
//! marked with its event in one transaction, then deleted from the store, then noted as deleted.

use chrono::{DateTime, TimeDelta, Utc};
use openpam_ids::{SessionId, TenantId};
use openpam_recordings::Hash;

use super::{
    Error, service, store, store_of,
    types::{Kept, ListedRecording, RecordingFilter},
};
use crate::{
    context::Context,
    db::DbError,
    domains::{
        audit::{self, Event},
        sessions, settings,
    },
    state::Hub,
};

/// Between attempts to delete what the store would not delete.
const RETRY: TimeDelta = TimeDelta::minutes(15);

/// How a recording is kept, and until when.
#[derive(Debug, Clone)]
pub(super) struct Retention {
    pub(super) kept: Kept,
    /// When it will be purged; none where it is kept for ever, or held.
    pub(super) kept_until: Option<DateTime<Utc>>,
}

fn checked(reason: &str) -> Result<String, Error> {
    sessions::checked_reason(reason)?.ok_or(Error::ReasonMissing)
}

fn root(kept: &Kept) -> Option<String> {
    kept.root.as_deref().and_then(|root| <[u8; 32]>::try_from(root).ok()).map(|root| Hash(root).to_string())
}

/// How the recording of a session is kept.
pub(super) async fn get(hub: &Hub, context: &Context, id: SessionId) -> Result<Retention, Error> {
    let mut tx = hub.db().begin(context).await?;
    service::visible(&mut tx, context, id).await?;
    let kept = store::retention::kept(&mut tx, id, false).await?.ok_or(Error::NotFound)?;
    let days = settings::effective(&mut tx, hub.config()).await?.recording_retention_days;
    let kept_until = match (kept.state.as_str(), kept.ended_at, kept.hold_at, days) {
        ("complete" | "completed" | "empty", Some(ended), None, Some(days)) => {
            Some(ended + TimeDelta::days(days.into()))
        }
        _ => None,
    };
    Ok(Retention { kept, kept_until })
}

/// Recordings, the newest first.
pub(super) async fn list(
    hub: &Hub,
    context: &Context,
    filter: RecordingFilter,
    before: Option<uuid::Uuid>,
    limit: i64,
) -> Result<Vec<ListedRecording>, Error> {
    let mut tx = hub.db().begin(context).await?;
    Ok(store::retention::list(&mut tx, filter, before, limit).await?)
}

/// Holds a recording: nothing purges it until it is released.
pub(super) async fn hold(hub: &Hub, context: &Context, id: SessionId, reason: &str) -> Result<Retention, Error> {
    let reason = checked(reason)?;
    let mut tx = hub.db().begin(context).await?;
    let (session, _) = service::visible(&mut tx, context, id).await?;
    let kept = store::retention::kept(&mut tx, id, true).await?.ok_or(Error::NotFound)?;
    match (kept.state.as_str(), kept.hold_at) {
        ("purging" | "purged", _) => return Err(Error::Purged),
        (_, Some(_)) => return Err(Error::Held),
        _ => {}
    }
    let principal = &context.principal;
    store::retention::hold(&mut tx, id, hub.clock().now(), principal.actor.id(), &principal.name, &reason).await?;
    let event = Event::success("recording.hold").on("session", id, session.target_name).with("reason", reason);
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    get(hub, context, id).await
}

/// Holds a recording no more.
pub(super) async fn release(hub: &Hub, context: &Context, id: SessionId) -> Result<Retention, Error> {
    let mut tx = hub.db().begin(context).await?;
    let (session, _) = service::visible(&mut tx, context, id).await?;
    let kept = store::retention::kept(&mut tx, id, true).await?.ok_or(Error::NotFound)?;
    if kept.hold_at.is_none() {
        return Err(Error::NotHeld);
    }
    store::retention::release(&mut tx, id).await?;
    let event = Event::success("recording.release")
        .on("session", id, session.target_name)
        .with("held_by", kept.hold_by_name)
        .with("held_since", kept.hold_at.map(|at| at.to_rfc3339()))
        .with("reason", kept.hold_reason);
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    get(hub, context, id).await
}

/// Purges a recording by hand. What the store would not delete yet is tried again by the purge task.
pub(super) async fn purge(hub: &Hub, context: &Context, id: SessionId, reason: &str) -> Result<Retention, Error> {
    let reason = checked(reason)?;
    let mut tx = hub.db().begin(context).await?;
    service::visible(&mut tx, context, id).await?;
    let kept = store::retention::kept(&mut tx, id, false).await?.ok_or(Error::NotFound)?;
    drop(tx);
    check_not_kept(&kept)?;
    // Nothing changes where the store will not delete: asked first.
    if let Some(until) = locked_until(hub, context, id).await? {
        return Err(Error::Locked { until });
    }
    begin(hub, context, id, &reason).await?;
    if let Err(error) = go_on(hub, context, id).await {
        tracing::warn!(session_id = %id, %error, "a recording is not deleted yet");
    }
    get(hub, context, id).await
}

async fn locked_until(hub: &Hub, context: &Context, id: SessionId) -> Result<Option<DateTime<Utc>>, Error> {
    let until = store_of(hub)?.locked_until(context.tenant_id, id).await?;
    Ok(until.filter(|until| *until > hub.clock().now()))
}

/// Refuses to delete what must stay.
fn check_not_kept(kept: &Kept) -> Result<(), Error> {
    match (kept.state.as_str(), kept.hold_at) {
        ("recording", _) => Err(Error::Running),
        ("purging" | "purged", _) => Err(Error::Purged),
        (_, Some(_)) => Err(Error::Held),
        // A part that came later would stay.
        _ if kept.spooled > 0 => Err(Error::Waiting { place: kept.spool.clone().unwrap_or_default() }),
        _ => Ok(()),
    }
}

/// Marks a recording, with the event of the trail: from here on it is not played any more.
async fn begin(hub: &Hub, context: &Context, id: SessionId, reason: &str) -> Result<(), Error> {
    let mut tx = hub.db().begin(context).await?;
    let kept = store::retention::kept(&mut tx, id, true).await?.ok_or(Error::NotFound)?;
    check_not_kept(&kept)?;
    let name = &context.principal.name;
    if !store::retention::begin_purge(&mut tx, id, hub.clock().now(), name, reason).await? {
        return Err(Error::Held);
    }
    let event = service::about(&mut tx, id, Event::success("recording.purge"))
        .await?
        .with("reason", reason)
        .with("root", root(&kept))
        .with("segments", kept.segments)
        .with("stored_bytes", kept.stored_bytes);
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Deletes what is stored of a marked recording and notes it. Doing it again is harmless.
async fn go_on(hub: &Hub, context: &Context, id: SessionId) -> Result<(), Error> {
    let storage = store_of(hub)?;
    let mut deleted = storage.delete(context.tenant_id, id).await;
    if let Some(spool) = storage.spool().filter(|_| deleted.is_ok()) {
        deleted = spool.forget(context.tenant_id, id).await;
    }
    let now = hub.clock().now();
    let mut tx = hub.db().begin(context).await?;
    if let Err(error) = deleted {
        store::retention::purge_failed(&mut tx, id, &error.to_string(), now + RETRY).await?;
        tx.commit().await.map_err(DbError::from)?;
        return Err(error);
    }
    let kept = store::retention::kept(&mut tx, id, true).await?.ok_or(Error::NotFound)?;
    if store::retention::purged(&mut tx, id, now).await? {
        let event = service::about(&mut tx, id, Event::success("recording.purged"))
            .await?
            .with("root", root(&kept))
            .with("segments", kept.segments)
            .with("stored_bytes", kept.stored_bytes);
        audit::record(&mut tx, context, event).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Purges what the tenant does not want to keep any longer, and goes on with what was begun.
///
/// # Errors
/// When one could not be purged; the others are all the same.
pub(super) async fn purge_due(hub: &Hub, tenant_id: TenantId) -> Result<(), Error> {
    let context = Context::system(tenant_id, "recording retention");
    let now = hub.clock().now();
    let mut tx = hub.db().begin(&context).await?;
    let mut marked = store::retention::purging(&mut tx, now).await?;
    let days = settings::effective(&mut tx, hub.config()).await?.recording_retention_days;
    let due = match days {
        Some(days) => store::retention::due(&mut tx, now - TimeDelta::days(days.into()), now).await?,
        None => Vec::new(),
    };
    drop(tx);
    let mut failure = None;
    for id in due {
        match mark_due(hub, &context, id, days.unwrap_or_default()).await {
            Ok(true) => marked.push(id),
            // Held, locked or purged by somebody else since.
            Ok(false) => {}
            Err(error) => failure = Some(error),
        }
    }
    for id in marked {
        match go_on(hub, &context, id).await {
            Ok(()) => tracing::info!(session_id = %id, "a recording was purged"),
            Err(error) => {
                tracing::warn!(session_id = %id, %error, "a recording could not be deleted, trying again later");
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn mark_due(hub: &Hub, context: &Context, id: SessionId, days: u32) -> Result<bool, Error> {
    if let Some(until) = locked_until(hub, context, id).await? {
        let mut tx = hub.db().begin(context).await?;
        let error = format!("object lock keeps it until {}", until.format("%Y-%m-%d %H:%M UTC"));
        store::retention::purge_failed(&mut tx, id, &error, until).await?;
        tx.commit().await.map_err(DbError::from)?;
        return Ok(false);
    }
    match begin(hub, context, id, &format!("kept for {days} days, as the settings say")).await {
        Ok(()) => Ok(true),
        Err(Error::Held | Error::Purged | Error::Running | Error::Waiting { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
