//! SQL of sessions and hubs.

use chrono::{DateTime, Utc};
use openpam_ids::{HubId, ParticipantId, SessionId, TargetId, TenantId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    End, NewSession, Participant, Peer, RecordingKept, RunningHub, Session, SessionFilter, SessionStatus,
    types::NewParticipant,
};

pub(super) async fn insert(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    hub_id: HubId,
    session: &NewSession,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into sessions (session_id, tenant_id, hub_id, user_id, user_name, auth_session_id, target_id,
                               target_name, credential_id, credential_name, decision_id, protocol, client_ip, reason,
                               recording_path)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        session.id.as_uuid(),
        tenant_id.as_uuid(),
        hub_id.as_uuid(),
        session.user_id.as_uuid(),
        session.user_name,
        session.auth_session.map(|id| id.as_uuid()),
        session.target_id.as_uuid(),
        session.target_name,
        session.credential_id.as_uuid(),
        session.credential_name,
        session.decision_id.as_uuid(),
        session.protocol.name(),
        session.client_ip.map(ipnetwork::IpNetwork::from),
        session.reason,
        session.recording_path,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What the end of a session says about it.
pub(super) struct EndedSession {
    pub(super) user_id: UserId,
    pub(super) user_name: String,
    pub(super) target_id: Option<TargetId>,
    pub(super) target_name: String,
    pub(super) start_time: DateTime<Utc>,
}

/// Ends an active session; `None` when it had ended already.
pub(super) async fn end(
    connection: &mut PgConnection,
    id: SessionId,
    end: &End,
    bytes: (i64, i64),
) -> Result<Option<EndedSession>, sqlx::Error> {
    let (exit_status, exit_signal) = match end {
        End::Exited { status, signal } => (status.and_then(|status| i32::try_from(status).ok()), signal.as_deref()),
        _ => (None, None),
    };
    let code = end.code();
    sqlx::query_as!(
        EndedSession,
        r#"update sessions
           set status = $2, end_time = greatest(now(), start_time), exit_status = $3, exit_signal = $4, error_code = $5,
               error_message = $6, bytes_sent = $7, bytes_received = $8
           where session_id = $1 and status = 'active'
           returning user_id as "user_id: _", user_name, target_id as "target_id: _", target_name, start_time"#,
        id.as_uuid(),
        end.status().name(),
        exit_status,
        exit_signal,
        code,
        code.map(|_| end.message()),
        bytes.0,
        bytes.1,
    )
    .fetch_optional(connection)
    .await
}

/// Writes how a session ended that another hub closed, as this one seemed to be gone; `None` where none did.
pub(super) async fn correct_end(
    connection: &mut PgConnection,
    id: SessionId,
    end: &End,
    bytes: (i64, i64),
) -> Result<Option<EndedSession>, sqlx::Error> {
    let (exit_status, exit_signal) = match end {
        End::Exited { status, signal } => (status.and_then(|status| i32::try_from(status).ok()), signal.as_deref()),
        _ => (None, None),
    };
    let code = end.code();
    sqlx::query_as!(
        EndedSession,
        r#"update sessions
         set status = $2, exit_status = $3, exit_signal = $4, error_code = $5, error_message = $6, bytes_sent = $7,
             bytes_received = $8
         where session_id = $1 and status = 'failed' and error_code = 'hub_lost'
         returning user_id as "user_id: _", user_name, target_id as "target_id: _", target_name, start_time"#,
        id.as_uuid(),
        end.status().name(),
        exit_status,
        exit_signal,
        code,
        code.map(|_| end.message()),
        bytes.0,
        bytes.1,
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn write_bytes(
    connection: &mut PgConnection,
    ids: &[Uuid],
    sent: &[i64],
    received: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update sessions set bytes_sent = counted.sent, bytes_received = counted.received
         from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as counted (session_id, sent, received)
         where sessions.session_id = counted.session_id and status = 'active'",
        ids,
        sent,
        received
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes who wants an active session to end; the hub that carries it ends it. `false` when it has
/// ended.
pub(super) async fn request_end(
    connection: &mut PgConnection,
    id: SessionId,
    by: Option<Uuid>,
    message: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update sessions set terminated_by = $2, error_code = 'terminated', error_message = $3
         where session_id = $1 and status = 'active'",
        id.as_uuid(),
        by,
        message
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Of the sessions a hub carries those that are to end: somebody wants it, or their row has ended
/// already, because another hub took this one for dead.
pub(super) async fn ends(connection: &mut PgConnection, carried: &[Uuid]) -> Result<Vec<RowEnd>, sqlx::Error> {
    sqlx::query_as!(
        RowEnd,
        r#"select session_id as "id: _", status <> 'active' as "ended!", coalesce(error_message, '') as "message!"
           from sessions where session_id = any ($1) and (status <> 'active' or error_code = 'terminated')"#,
        carried
    )
    .fetch_all(connection)
    .await
}

/// What a session's row says about its end.
pub(super) struct RowEnd {
    pub(super) id: SessionId,
    /// It has ended; otherwise somebody wants it to.
    pub(super) ended: bool,
    /// Who and why, for a person.
    pub(super) message: String,
}

pub(super) async fn find(connection: &mut PgConnection, id: SessionId) -> Result<Option<Session>, sqlx::Error> {
    sqlx::query_as!(
        Session,
        r#"select sessions.session_id as "id: _", user_id as "user_id: _", user_name, target_id as "target_id: _",
                  target_name, credential_id as "credential_id: _", credential_name, protocol, status, start_time,
                  end_time, bytes_sent, bytes_received, client_ip as "client_ip: _", reason, exit_status, exit_signal,
                  error_code, error_message, recording_path, hold_at is not null as "recording_held!",
                  defect as "recording_defect?"
           from sessions left join recordings using (tenant_id, session_id) where sessions.session_id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Sessions that match, newest first, older than `before`.
pub(super) async fn list(
    connection: &mut PgConnection,
    filter: &SessionFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Session>, sqlx::Error> {
    sqlx::query_as!(
        Session,
        r#"select sessions.session_id as "id: _", user_id as "user_id: _", user_name, target_id as "target_id: _",
                  target_name, credential_id as "credential_id: _", credential_name, protocol, status, start_time,
                  end_time, bytes_sent, bytes_received, client_ip as "client_ip: _", reason, exit_status, exit_signal,
                  error_code, error_message, recording_path, hold_at is not null as "recording_held!",
                  defect as "recording_defect?"
           from sessions left join recordings using (tenant_id, session_id)
           where ($1::uuid is null or sessions.session_id < $1)
             and ($2::uuid is null or user_id = $2)
             and ($3::uuid is null or target_id = $3)
             and ($4::text is null or status = $4)
             and ($5::timestamptz is null or start_time >= $5)
             and ($6::timestamptz is null or start_time < $6)
             and ($7::text is null or strpos(lower(user_name), lower($7)) > 0
                  or strpos(lower(target_name), lower($7)) > 0 or strpos(lower(credential_name), lower($7)) > 0
                  or strpos(lower(coalesce(reason, '')), lower($7)) > 0)
             and ($9::text is distinct from 'recorded' or recording_path is not null)
             and ($9 is distinct from 'not_recorded' or recording_path is null)
             -- Few are: they are looked up once, and not for each session.
             and ($9 is distinct from 'held'
                  or sessions.session_id in (select session_id from recordings where hold_at is not null))
             and ($9 is distinct from 'damaged'
                  or sessions.session_id in (select session_id from recordings where defect is not null))
             and ($9 is distinct from 'deleted'
                  or sessions.session_id in (select session_id from recordings where state in ('purging', 'purged')))
           order by sessions.session_id desc
           limit $8"#,
        before,
        filter.user_id.map(|id| id.as_uuid()),
        filter.target_id.map(|id| id.as_uuid()),
        filter.status.map(SessionStatus::name),
        filter.from,
        filter.to,
        filter.text,
        limit,
        filter.recording.map(RecordingKept::name),
    )
    .fetch_all(connection)
    .await
}

/// Active sessions whose hub stopped or has been silent for as long as it says a dead one is, and those of hub `own`
/// that began more than two minutes ago and are not among `carried`.
pub(super) async fn orphans(
    connection: &mut PgConnection,
    own: HubId,
    carried: &[Uuid],
) -> Result<Vec<(SessionId, i64, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select session_id as "id: SessionId", bytes_sent, bytes_received
           from sessions join hubs using (hub_id)
           where status = 'active'
             and case when hub_id = $1
                      then start_time < now() - interval '2 minutes' and session_id <> all ($2)
                      else stopped_at is not null or last_seen_at < now() - silent_after
                 end
           limit 500"#,
        own.as_uuid(),
        carried
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.bytes_sent, row.bytes_received)).collect())
}

/// The hub that carries a session, where it listens, and how other hubs reach it, as long as it is alive.
pub(super) async fn carried_by(
    connection: &mut PgConnection,
    id: SessionId,
) -> Result<Option<(HubId, String, Option<Peer>)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select hub_id as "hub_id: HubId", address, peer_url, origin,
                  stopped_at is null and last_seen_at >= now() - silent_after as "is_alive!"
           from sessions join hubs using (hub_id) where session_id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let peer = row.peer_url.zip(row.origin).filter(|_| row.is_alive);
        (row.hub_id, row.address, peer.map(|(url, origin)| Peer { url, origin }))
    }))
}

/// Says that a hub is alive, and that it is dead when `silent_after` seconds have passed without another beat.
pub(super) async fn beat(
    connection: &mut PgConnection,
    id: HubId,
    address: &str,
    version: &str,
    peer: Option<&Peer>,
    silent_after: f64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into hubs (hub_id, address, version, silent_after, peer_url, origin)
         values ($1, $2, $3, make_interval(secs => $4), $5, $6)
         on conflict (hub_id) do update set last_seen_at = now()",
        id.as_uuid(),
        address,
        version,
        silent_after,
        peer.map(|peer| peer.url.as_str()),
        peer.map(|peer| peer.origin.as_str())
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Says that a hub has stopped.
pub(super) async fn stop(connection: &mut PgConnection, id: HubId) -> Result<(), sqlx::Error> {
    sqlx::query!("update hubs set stopped_at = now(), last_seen_at = now() where hub_id = $1", id.as_uuid())
        .execute(connection)
        .await?;
    Ok(())
}

/// Hubs that are alive, the oldest first, with the sessions of the transaction's tenant they carry.
pub(super) async fn running_hubs(connection: &mut PgConnection) -> Result<Vec<RunningHub>, sqlx::Error> {
    sqlx::query_as!(
        RunningHub,
        r#"select hub_id as "id: _", address, version, started_at, last_seen_at,
                  (select count(*) from sessions
                   where sessions.hub_id = hubs.hub_id and status = 'active') as "active_sessions!"
           from hubs
           where stopped_at is null and last_seen_at >= now() - silent_after
           order by hub_id
           limit 200"#
    )
    .fetch_all(connection)
    .await
}

/// Most participants of one session that a list has.
const PARTICIPANTS: i64 = 1_000;

pub(super) async fn insert_participant(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    hub_id: HubId,
    participant: &NewParticipant<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into session_participants (participant_id, tenant_id, session_id, hub_id, user_id, user_name, kind,
                                           visible, decision_id, client_ip)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        participant.id.as_uuid(),
        tenant_id.as_uuid(),
        participant.session_id.as_uuid(),
        hub_id.as_uuid(),
        participant.user_id.as_uuid(),
        participant.user_name,
        participant.kind.name(),
        participant.visible,
        participant.decision_id.as_uuid(),
        participant.client_ip.map(ipnetwork::IpNetwork::from),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What the end of a participation says about it.
pub(super) struct EndedParticipant {
    pub(super) session_id: SessionId,
    pub(super) target_name: String,
    pub(super) seconds: i64,
}

/// Ends a participation; `None` when it had ended already.
pub(super) async fn end_participant(
    connection: &mut PgConnection,
    id: ParticipantId,
    code: &str,
    bytes_sent: i64,
) -> Result<Option<EndedParticipant>, sqlx::Error> {
    sqlx::query_as!(
        EndedParticipant,
        r#"update session_participants p
           set ended_at = greatest(now(), p.began_at), end_code = $2, bytes_sent = greatest(p.bytes_sent, $3)
           from sessions s
           where p.participant_id = $1 and p.ended_at is null and s.session_id = p.session_id
           returning p.session_id as "session_id: _", s.target_name,
                     extract(epoch from p.ended_at - p.began_at)::bigint as "seconds!""#,
        id.as_uuid(),
        code,
        bytes_sent
    )
    .fetch_optional(connection)
    .await
}

/// Notes that a participant may type; `false` when they have left.
pub(super) async fn grant_input(connection: &mut PgConnection, id: ParticipantId) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update session_participants set input_granted_at = now() where participant_id = $1 and ended_at is null",
        id.as_uuid()
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Who took part in a session, the first first.
pub(super) async fn participants(
    connection: &mut PgConnection,
    id: SessionId,
    everybody: bool,
) -> Result<Vec<Participant>, sqlx::Error> {
    sqlx::query_as!(
        Participant,
        r#"select participant_id as "id: _", user_id as "user_id: _", user_name, kind, visible, began_at, ended_at,
                  end_code, input_granted_at, bytes_sent
           from session_participants
           where session_id = $1 and (visible or $2)
           order by participant_id
           limit $3"#,
        id.as_uuid(),
        everybody,
        PARTICIPANTS
    )
    .fetch_all(connection)
    .await
}

/// Participants who have not left and whose hub stopped or is dead likewise, and those of hub `own` that came more than two minutes ago and are not among `here`.
pub(super) async fn orphaned_participants(
    connection: &mut PgConnection,
    own: HubId,
    here: &[Uuid],
) -> Result<Vec<(ParticipantId, String, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select participant_id as "id: ParticipantId", kind, user_name
           from session_participants join hubs using (hub_id)
           where ended_at is null
             and case when hub_id = $1
                      then began_at < now() - interval '2 minutes' and participant_id <> all ($2)
                      else stopped_at is not null or last_seen_at < now() - silent_after
                 end
           limit 500"#,
        own.as_uuid(),
        here
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.kind, row.user_name)).collect())
}
