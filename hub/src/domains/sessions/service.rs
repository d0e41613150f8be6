//! Use cases of sessions.

use std::sync::Arc;

use openpam_ids::SessionId;
use openpam_telemetry::names;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{End, Error, LiveSession, NewSession, RunningHub, Session, SessionFilter, SessionStatus, store};
use crate::{
    context::{Context, Principal},
    domains::{
        audit::{self, Event, Outcome},
        events,
    },
    permissions::{Permission, permits},
    state::Hub,
};

/// Longest reason, in characters.
const MAX_REASON: usize = 1_000;

/// A session of the transaction's tenant, whoever asks.
///
/// # Errors
/// When the database fails.
pub async fn find(connection: &mut PgConnection, id: SessionId) -> Result<Option<Session>, sqlx::Error> {
    store::find(connection, id).await
}

/// A reason in a person's words: trimmed; `None` where there is none.
///
/// # Errors
/// When it is longer than 1000 characters, or has control characters other than line breaks: it is
/// shown to others and stands in the trail.
pub fn checked_reason(reason: &str) -> Result<Option<String>, Error> {
    let reason = reason.trim();
    if reason.chars().count() > MAX_REASON {
        return Err(Error::ReasonTooLong);
    }
    if reason.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\r' && letter != '\t') {
        return Err(Error::ReasonMalformed);
    }
    Ok((!reason.is_empty()).then(|| reason.to_owned()))
}

/// Writes a session's row, in the transaction of the decision that allows it.
///
/// # Errors
/// When the row cannot be written.
pub async fn start(
    connection: &mut PgConnection,
    hub: &Hub,
    context: &Context,
    session: &NewSession,
) -> Result<(), Error> {
    store::insert(connection, context.tenant_id, hub.hub_id(), session).await?;
    let event = Event::success("session.start")
        .on("session", session.id, &session.target_name)
        .with("target_id", session.target_id.to_string())
        .with("credential", session.credential_name.as_str())
        .with("decision_id", session.decision_id.to_string());
    audit::record(connection, context, event).await?;
    let started = events::Event::SessionStarted {
        session_id: session.id,
        user_id: session.user_id,
        user_name: session.user_name.clone(),
        target_id: session.target_id,
        target_name: session.target_name.clone(),
        credential_id: session.credential_id,
        protocol: session.protocol.name(),
        recorded: session.recording_path.is_some(),
    };
    events::publish(connection, context, &started).await?;
    Ok(())
}

/// Writes how a session ended, also where another hub took this one for dead and closed it. Writing it twice is
/// harmless.
///
/// # Errors
/// When the database does not answer; the reconciler then closes the row later.
pub async fn finish(hub: &Hub, session: &LiveSession, end: &End) -> Result<(), Error> {
    let mut tx = hub.db().begin(&session.context).await?;
    if !close(&mut tx, &session.context, session.id, end, session.bytes()).await? && end.code() != Some(CODE_HUB_LOST) {
        let bytes = session.bytes();
        if let Some(row) = store::correct_end(&mut tx, session.id, end, bytes).await? {
            let context = teller(&session.context, end);
            let event = told(session.id, &row.target_name, end, bytes).with("instead_of", CODE_HUB_LOST);
            audit::record(&mut tx, &context, event).await?;
            publish_end(&mut tx, &context, (session.id, row), end, bytes, Some(CODE_HUB_LOST)).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// The code of a session whose hub is gone, as others see it.
pub(super) const CODE_HUB_LOST: &str = "hub_lost";

/// Ends the row and says so in the trail, once; `false` where it had ended.
pub(super) async fn close(
    connection: &mut PgConnection,
    context: &Context,
    id: SessionId,
    end: &End,
    bytes: (i64, i64),
) -> Result<bool, Error> {
    let Some(row) = store::end(connection, id, end, bytes).await? else { return Ok(false) };
    let context = teller(context, end);
    audit::record(connection, &context, told(id, &row.target_name, end, bytes)).await?;
    publish_end(connection, &context, (id, row), end, bytes, None).await?;
    metrics::counter!(names::SESSIONS_ENDED, "protocol" => "ssh", "status" => end.status().name()).increment(1);
    Ok(true)
}

/// Tells others that a session is over; of one whose end was told already and is corrected, what was told.
async fn publish_end(
    connection: &mut PgConnection,
    context: &Context,
    (session_id, row): (SessionId, store::EndedSession),
    end: &End,
    bytes: (i64, i64),
    instead_of: Option<&'static str>,
) -> Result<(), Error> {
    let ended = events::Event::SessionEnded {
        session_id,
        user_id: row.user_id,
        user_name: row.user_name,
        target_id: row.target_id,
        target_name: row.target_name,
        status: end.status().name(),
        code: end.code(),
        instead_of,
        started_at: row.start_time,
        bytes_sent: bytes.0,
        bytes_received: bytes.1,
    };
    events::publish(connection, context, &ended).await?;
    Ok(())
}

/// What the trail says of an end.
fn told(id: SessionId, target_name: &str, end: &End, bytes: (i64, i64)) -> Event {
    let mut event = Event::success("session.end")
        .on("session", id, target_name)
        .with("status", end.status().name())
        .with("code", end.code())
        .with("message", end.message())
        .with("bytes_sent", bytes.0)
        .with("bytes_received", bytes.1);
    if end.status() == SessionStatus::Failed {
        event.outcome = Outcome::Failure;
    }
    event
}

/// In whose name: the session's person where it was theirs to end, and the hub where somebody or something else ended
/// it.
fn teller(context: &Context, end: &End) -> Context {
    match end {
        End::Exited { .. } | End::Disconnected => context.clone(),
        End::Failed { .. } | End::Terminated { .. } | End::Expired { .. } => {
            Context { principal: Arc::new(Principal::system("sessions")), ..context.clone() }
        }
    }
}

/// Sessions the principal may see: their own, or all with the permission.
///
/// # Errors
/// When the database does not answer; `Forbidden` for who asks what is kept of recordings and may not know.
pub(super) async fn list(
    hub: &Hub,
    context: &Context,
    mut filter: SessionFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Session>, Error> {
    if filter.recording.is_some_and(|kept| !kept.is_plain()) && !knows_recordings(context) {
        return Err(Error::Forbidden);
    }
    if !sees_all(context) {
        let Some(own) = context.principal.user_id() else { return Ok(Vec::new()) };
        if filter.user_id.is_some_and(|other| other != own) {
            return Ok(Vec::new());
        }
        filter.user_id = Some(own);
    }
    let mut tx = hub.db().begin(context).await?;
    Ok(store::list(&mut tx, &filter, before, limit).await?)
}

/// One session the principal may see.
///
/// # Errors
/// `NotFound` also for a session of somebody else.
pub(super) async fn get(hub: &Hub, context: &Context, id: SessionId) -> Result<Session, Error> {
    let mut tx = hub.db().begin(context).await?;
    visible(&mut tx, context, id).await
}

pub(super) async fn visible(connection: &mut PgConnection, context: &Context, id: SessionId) -> Result<Session, Error> {
    let session = store::find(connection, id).await?.ok_or(Error::NotFound)?;
    if sees_all(context) || Some(session.user_id) == context.principal.user_id() {
        Ok(session)
    } else {
        Err(Error::NotFound)
    }
}

pub(super) fn sees_all(context: &Context) -> bool {
    permits(&context.principal, Permission::SessionReadAll)
}

/// Whether the principal may know what is held, and what is damaged.
pub(super) fn knows_recordings(context: &Context) -> bool {
    permits(&context.principal, Permission::RecordingPlay)
}

/// Why a session of one's own is not carried by this hub.
pub async fn why_not_here(hub: &Hub, context: &Context, id: SessionId) -> Error {
    match get(hub, context, id).await {
        Ok(session) if Some(session.user_id) != context.principal.user_id() => Error::NotFound,
        Ok(session) if session.status == SessionStatus::Active.name() => Error::Elsewhere,
        Ok(_) => Error::Ended,
        Err(error) => error,
    }
}

/// Ends a session: one's own, or, with a reason, anybody's with the permission. The hub that carries it hears of
/// it at once when it is this one, within a second otherwise.
///
/// # Errors
/// When there is no such session, it has ended, or the principal may not end it.
pub(super) async fn terminate(hub: &Hub, context: &Context, id: SessionId, reason: &str) -> Result<(), Error> {
    let reason = checked_reason(reason)?;
    let mut tx = hub.db().begin(context).await?;
    let session = visible(&mut tx, context, id).await?;
    let own = Some(session.user_id) == context.principal.user_id();
    if !own && !permits(&context.principal, Permission::SessionTerminate) {
        let event = Event::denied("session.terminate").on("session", id, &session.target_name);
        audit::record(&mut tx, context, event).await?;
        tx.commit().await?;
        return Err(Error::Forbidden);
    }
    // Of one that has ended there is nothing to explain.
    if !own && reason.is_none() && session.status == SessionStatus::Active.name() {
        return Err(Error::ReasonMissing);
    }
    let by = &context.principal.name;
    let message = match &reason {
        Some(reason) => format!("{by} ended this session: {reason}"),
        None => format!("{by} ended this session."),
    };
    if !store::request_end(&mut tx, id, context.principal.actor.id(), &message).await? {
        // Its row has ended; should it run here all the same, it does not for long.
        if let Some(live) = hub.live().get(id) {
            live.request_end(End::Terminated { message });
        }
        return Err(Error::Ended);
    }
    let event = Event::success("session.terminate")
        .on("session", id, &session.target_name)
        .with("user_id", session.user_id.to_string())
        .with("reason", reason.as_deref());
    audit::record(&mut tx, context, event).await?;
    tx.commit().await?;
    if let Some(live) = hub.live().get(id) {
        live.request_end(End::Terminated { message });
    }
    Ok(())
}

/// Hubs that are alive, with the sessions of the transaction's tenant they carry.
///
/// # Errors
/// When the database fails.
pub async fn running_hubs(connection: &mut PgConnection) -> Result<Vec<RunningHub>, Error> {
    Ok(store::running_hubs(connection).await?)
}
