//! Use cases of those who watch or join another person's session.

use std::sync::Arc;

use openpam_ids::{ParticipantId, SessionId};
use sqlx::PgConnection;

use super::{
    Attendance, Error, InputChange, LiveParticipant, LiveSession, Participant, ParticipantKind, Seat, SessionStatus,
    service, store, types::NewParticipant,
};
use crate::{
    context::Context,
    db::Tx,
    domains::audit::{self, Event},
    permissions::{Permission, permits},
    state::Hub,
};

/// The permission that a kind of participation needs.
pub fn permission_for(kind: ParticipantKind) -> Permission {
    match kind {
        ParticipantKind::Watch => Permission::SessionWatch,
        ParticipantKind::Join => Permission::SessionJoin,
    }
}

/// Whether the context's person may take part in a session, and could do it here and now.
///
/// # Errors
/// `NotFound` for who may not even see it; a refusal of who may see it and not watch is in the trail.
pub async fn foresee_participation(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    kind: ParticipantKind,
) -> Result<(), Error> {
    let live = decide(hub, context, id, kind).await?;
    Attendance::has_room(hub, &live)
}

/// Takes a place at a session for the context's person. Nothing is shown before
/// [`begin_participation`].
///
/// # Errors
/// As [`foresee_participation`].
pub async fn take_seat(hub: &Hub, context: &Context, id: SessionId, kind: ParticipantKind) -> Result<Seat, Error> {
    let live = decide(hub, context, id, kind).await?;
    Attendance::admit(hub, context, live, kind)
}

async fn decide(hub: &Hub, context: &Context, id: SessionId, kind: ParticipantKind) -> Result<Arc<LiveSession>, Error> {
    let mut tx = hub.db().begin(context).await?;
    let session = service::visible(&mut tx, context, id).await?;
    if !permits(&context.principal, permission_for(kind)) {
        let event = Event::denied(action(kind)).on("session", id, &session.target_name);
        audit::record(&mut tx, context, event).await?;
        tx.commit().await?;
        return Err(Error::Forbidden);
    }
    if session.status != SessionStatus::Active.name() {
        return Err(Error::Ended);
    }
    if let Some(live) = hub.live().get(id).filter(|live| live.context.tenant_id == context.tenant_id) {
        return if live.is_ending() { Err(Error::Ended) } else { Ok(live) };
    }
    match store::carried_by(&mut tx, id).await? {
        Some((hub_id, address, peer)) if hub_id != hub.hub_id() => Err(Error::OnAnotherHub { address, peer }),
        _ => Err(Error::Ended),
    }
}

const fn action(kind: ParticipantKind) -> &'static str {
    match kind {
        ParticipantKind::Watch => "session.watch",
        ParticipantKind::Join => "session.join",
    }
}

/// Writes that somebody begins to see a session, and that it was allowed: before they see a byte.
///
/// # Errors
/// When it cannot be written, or the session has ended.
pub async fn begin_participation(
    tx: &mut Tx,
    hub: &Hub,
    participant: &LiveParticipant,
    visible: bool,
) -> Result<(), Error> {
    let context = &participant.context;
    let session = store::find(tx, participant.session.id).await?.ok_or(Error::NotFound)?;
    if session.status != SessionStatus::Active.name() {
        return Err(Error::Ended);
    }
    let event = Event::success(action(participant.kind))
        .on("session", session.id, &session.target_name)
        .with("user_id", session.user_id.to_string())
        .with("user_name", session.user_name)
        .with("participant_id", participant.id.to_string())
        .with("decided_by", permission_for(participant.kind).name())
        .with("visible", visible);
    let decision_id = audit::record(tx, context, event).await?;
    let row = NewParticipant {
        id: participant.id,
        session_id: session.id,
        user_id: participant.user_id,
        user_name: participant.name(),
        kind: participant.kind,
        visible,
        decision_id,
        client_ip: context.client_ip,
    };
    store::insert_participant(tx, context.tenant_id, hub.hub_id(), &row).await?;
    Ok(())
}

/// Writes that a participant has left. Writing it twice is harmless.
///
/// # Errors
/// When the database does not answer; the reconciler then closes the row later.
pub async fn end_participation(hub: &Hub, participant: &LiveParticipant, code: &str) -> Result<(), Error> {
    let mut tx = hub.db().begin(&participant.context).await?;
    let sent = participant.sent();
    if let Some(ended) = store::end_participant(&mut tx, participant.id, code, sent).await? {
        let event = left(participant.kind, participant.id, &ended).with("code", code).with("bytes_sent", sent);
        audit::record(&mut tx, &participant.context, event).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn left(kind: ParticipantKind, id: ParticipantId, ended: &store::EndedParticipant) -> Event {
    let action = match kind {
        ParticipantKind::Watch => "session.watch_end",
        ParticipantKind::Join => "session.join_end",
    };
    Event::success(action)
        .on("session", ended.session_id, &ended.target_name)
        .with("participant_id", id.to_string())
        .with("seconds", ended.seconds)
}

/// Closes the rows of participants whose hub is gone.
pub(super) async fn close_orphans(hub: &Hub, context: &Context, connection: &mut PgConnection) -> Result<(), Error> {
    let orphans = store::orphaned_participants(connection, hub.hub_id(), &hub.live().attendance().ids()).await?;
    for (id, kind, name) in orphans {
        if let Some(ended) = store::end_participant(connection, id, "hub_lost", 0).await? {
            let event = left(ParticipantKind::from_name(&kind), id, &ended)
                .with("code", "hub_lost")
                .with("participant_name", name);
            audit::record(connection, context, event).await?;
        }
    }
    Ok(())
}

/// Writes what happens to a participant's right to type: the request in their own name, the answer
/// in that of the session's person.
///
/// # Errors
/// When the database does not answer.
pub async fn record_input_change(
    hub: &Hub,
    participant: &LiveParticipant,
    change: InputChange,
    code: Option<&str>,
) -> Result<(), Error> {
    let (action, context) = match change {
        InputChange::Requested => ("session.input_request", &participant.context),
        InputChange::Granted => ("session.input_grant", &participant.session.context),
        InputChange::Refused => ("session.input_refuse", &participant.session.context),
        InputChange::TakenBack => ("session.input_take_back", &participant.session.context),
    };
    let mut tx = hub.db().begin(context).await?;
    let session = store::find(&mut tx, participant.session.id).await?.ok_or(Error::NotFound)?;
    let event = Event::success(action)
        .on("session", session.id, &session.target_name)
        .with("participant_id", participant.id.to_string())
        .with("participant_name", participant.name())
        .with("code", code);
    audit::record(&mut tx, context, event).await?;
    if change == InputChange::Granted && !store::grant_input(&mut tx, participant.id).await? {
        return Err(Error::Ended);
    }
    tx.commit().await?;
    Ok(())
}

/// Who took part in a session, the first first: everybody for those who see every session, and those
/// who were shown for the session's own person.
///
/// # Errors
/// `NotFound` for who may not see the session.
pub(super) async fn participants(hub: &Hub, context: &Context, id: SessionId) -> Result<Vec<Participant>, Error> {
    let mut tx = hub.db().begin(context).await?;
    service::visible(&mut tx, context, id).await?;
    Ok(store::participants(&mut tx, id, service::sees_all(context)).await?)
}
