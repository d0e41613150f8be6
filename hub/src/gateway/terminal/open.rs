//! From a request to a session that runs: decide, dial, log in, open a shell.

use std::time::Duration;

use http::StatusCode;
use openpam_ids::{CredentialId, SessionId, TargetId};
use openpam_telemetry::names;
use tokio::{sync::oneshot, time::Instant};

use super::{
    outside::asked_to_end,
    recording,
    session::{self, Limits},
};
use crate::{
    context::Context,
    db::{self, DbError, Tx},
    dial,
    domains::{
        access::{self, Authorization, Denial, SessionRequest},
        recordings::{self, Recorder},
        sessions::{self, End, LiveSession, LiveSessions, NewSession, Place},
        settings,
        targets::{self, Protocol, Target},
        vault::{self, Credential, Holder},
    },
    gateway::ssh::{self, Shell, SshError, Trust},
    http::Problem,
    state::Hub,
};

/// How long a refusal waits until the session's row says why.
const TOLD: Duration = Duration::from_secs(5);

/// How long opening may take from the moment the target and the vault are asked: less than a request may, so that
/// whoever waits is told what was waited for, and nothing opens behind somebody who has been told that it did not.
pub(in crate::gateway) const OPENING: Duration = Duration::from_secs(45);

/// What somebody wants to open.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub target_id: TargetId,
    pub credential_id: Option<CredentialId>,
    pub cols: u16,
    pub rows: u16,
    pub reason: Option<String>,
}

/// A wish that was allowed.
struct Allowed {
    authorization: Authorization,
    target: Target,
    credential: Credential,
    reason: Option<String>,
    limits: Limits,
    recording_required: bool,
    tenant_slug: String,
}

/// A wish with what the database knows about it.
struct Considered {
    target: Target,
    credential_id: CredentialId,
    credentials: Vec<CredentialId>,
    reason: Option<String>,
    reason_required: bool,
    limits: Limits,
    recording_required: bool,
}

impl Considered {
    fn request(&self) -> SessionRequest<'_> {
        SessionRequest {
            target: &self.target,
            credential_id: self.credential_id,
            allowed_credentials: &self.credentials,
            reason: self.reason.as_deref(),
            reason_required: self.reason_required,
        }
    }
}

/// Checks everything that can be checked without connecting.
///
/// # Errors
/// The problem that opening would have.
pub(super) async fn preflight(hub: &Hub, context: &Context, wish: &Wish) -> Result<(), Problem> {
    check_size(wish)?;
    let mut tx = hub.db().begin(context).await?;
    let decided = match consider(hub, &mut tx, context, wish).await? {
        Ok(considered) => access::foresee_session(&mut tx, context, considered.request()).await?.map_err(denied),
        Err(problem) => Err(problem),
    };
    // A denial is part of the trail: the console asks here first, and goes no further.
    tx.commit().await.map_err(DbError::from)?;
    decided?;
    if let Some(user_id) = context.principal.user_id() {
        LiveSessions::has_room(hub, user_id)?;
    }
    if hub.recordings().is_some() {
        recordings::prepare(hub, context).await.map(drop)?;
    }
    let health = hub.vault().health().await;
    match health {
        vault::VaultHealth::Available => Ok(()),
        vault::VaultHealth::Sealed => Err(vault::VaultError::Sealed.into()),
        vault::VaultHealth::LoginRefused => Err(vault::VaultError::LoginRefused(health.name().to_owned()).into()),
        vault::VaultHealth::Unavailable => Err(vault::VaultError::Unavailable(health.name().to_owned()).into()),
    }
}

/// Opens a session. It goes on, and cleans up after itself, when the asking request is dropped.
///
/// # Errors
/// With the reason, after it was written to the session's row.
pub(super) async fn open(hub: &Hub, context: &Context, wish: Wish) -> Result<SessionId, Problem> {
    check_size(&wish)?;
    let (answer, answered) = oneshot::channel();
    let (task_hub, task_context) = (hub.clone(), context.clone());
    let span = tracing::Span::current();
    let task = async move {
        let opened = open_and_carry(&task_hub, &task_context, wish).await;
        let _ = answer.send(opened);
    };
    hub.lifecycle().spawn_child(tracing::Instrument::instrument(task, span));
    answered.await.unwrap_or_else(|_| Err(sessions::Error::Stopping.into()))
}

async fn open_and_carry(hub: &Hub, context: &Context, wish: Wish) -> Result<SessionId, Problem> {
    let begun = Instant::now();
    let prepared = match hub.recordings() {
        Some(_) => Some(recordings::prepare(hub, context).await),
        None => None,
    };
    let Some(user_id) = context.principal.user_id() else { return Err(denied(Denial::NotAPerson)) };
    let mut tx = hub.db().begin(context).await?;
    let allowed = match decide(hub, &mut tx, context, &wish).await? {
        Ok(allowed) => allowed,
        Err(problem) => {
            // A denial is part of the trail.
            tx.commit().await.map_err(DbError::from)?;
            return Err(problem);
        }
    };
    // Only now: who may not is told that, whatever state the vault is in.
    let prepared = prepared.transpose()?;
    let id: SessionId = hub.ids().fresh();
    let live = LiveSession::new(id, context.clone(), user_id, allowed.target.id, allowed.credential.id);
    let place = LiveSessions::admit(hub, live)?;
    let row = NewSession {
        id,
        user_id,
        user_name: context.principal.name.clone(),
        auth_session: context.principal.auth_session,
        target_id: allowed.target.id,
        target_name: allowed.target.name.clone(),
        credential_id: allowed.credential.id,
        credential_name: allowed.credential.name.clone(),
        decision_id: allowed.authorization.decision_id(),
        protocol: Protocol::Ssh,
        client_ip: context.client_ip,
        reason: allowed.reason.clone(),
        recording_path: prepared.as_ref().map(|_| recordings::path(context, id)),
    };
    sessions::start(&mut tx, hub, context, &row).await?;
    let size = (wish.cols, wish.rows);
    let recorder = match &prepared {
        Some(prepared) => {
            let required = allowed.recording_required;
            Some(Box::new(recordings::begin(&mut tx, hub, context, id, size, prepared, required).await?))
        }
        None => None,
    };
    tx.commit().await.map_err(DbError::from)?;
    let recorder = match recording::establish(recorder).await {
        Ok(recorder) => recorder,
        Err(problem) => {
            let end = End::Failed { code: problem.code(), message: problem.detail().to_owned() };
            finish_soon(hub, place, end).await;
            return Err(problem);
        }
    };
    let holder = Holder {
        tenant_slug: allowed.tenant_slug.clone(),
        user_id,
        user_name: context.principal.name.clone(),
        session_id: Some(id),
    };
    let mut ends = place.session().end_requests();
    // Whoever must not be here any more is shown no credential: looked at first, each time that the opening goes on.
    let connected = tokio::select! {
        biased;
        end = asked_to_end(&mut ends) => Err(end),
        connected = connect(hub, &allowed, &holder, size) => Ok(connected),
    };
    let (end, problem) = match connected {
        Ok(Ok(shell)) => {
            metrics::histogram!(names::SESSION_OPEN_DURATION).record(begun.elapsed().as_secs_f64());
            tracing::info!(session_id = %id, target = %allowed.target.name, milliseconds = begun.elapsed().as_millis(),
                "session opened");
            start_carrying(hub, place, shell, recorder, size, allowed.limits);
            return Ok(id);
        }
        Ok(Err(failure)) => {
            let problem = Problem::from(&failure);
            (End::Failed { code: problem.code(), message: problem.detail().to_owned() }, problem)
        }
        Err(end) => {
            let problem = Problem::new(StatusCode::CONFLICT, end.code().unwrap_or("ended"), end.message());
            (end, problem)
        }
    };
    if let Some(recorder) = recorder {
        recording::close(hub, id, recorder, &end);
    }
    finish_soon(hub, place, end).await;
    Err(problem)
}

/// Writes how a session ended that never opened. The page reads the reason in the row; the answer does not wait for long
/// where that cannot be written.
async fn finish_soon(hub: &Hub, place: Place, end: End) {
    let finishing = {
        let hub = hub.clone();
        async move { session::finish(&hub, place.session(), &end).await }
    };
    let finished = hub.lifecycle().spawn_child(tracing::Instrument::in_current_span(finishing));
    let _ = tokio::time::timeout(TOLD, finished).await;
}

fn start_carrying(
    hub: &Hub,
    place: Place,
    shell: Shell,
    recorder: Option<Box<Recorder>>,
    size: (u16, u16),
    limits: Limits,
) {
    let visits = hub.terminals().open(place.session().id);
    let carrying = session::carry(hub.clone(), place, shell, recorder, visits, size, limits);
    hub.lifecycle().spawn_child(tracing::Instrument::in_current_span(carrying));
}

/// Why a connection did not come about.
pub(super) enum Failure {
    Ssh(SshError),
    Vault(vault::VaultError),
}

impl From<&Failure> for Problem {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Ssh(error) => error.into(),
            Failure::Vault(error) => error.clone().into(),
        }
    }
}

impl From<SshError> for Failure {
    fn from(error: SshError) -> Self {
        Self::Ssh(error)
    }
}

/// The vault and the target are asked at the same time: neither needs the other's answer.
async fn connect(hub: &Hub, allowed: &Allowed, holder: &Holder, size: (u16, u16)) -> Result<Shell, Failure> {
    let secret = async {
        vault::login_secret(hub, &allowed.authorization, &allowed.credential, holder).await.map_err(Failure::Vault)
    };
    let connection = async {
        let timeout = Duration::from_secs(hub.config().terminal.connect_timeout_seconds);
        let exceptions = &hub.config().targets.address_exceptions;
        let stream = dial::connect(&allowed.authorization, exceptions, timeout).await.map_err(SshError::Dial)?;
        let now = u64::try_from(hub.clock().now().timestamp()).unwrap_or_default();
        let trust = Trust::of(&allowed.target, now);
        Ok(ssh::handshake(stream, trust, allowed.target.legacy_algorithms, timeout).await?)
    };
    let deadline = Instant::now() + OPENING;
    let both = async { tokio::try_join!(secret, connection) };
    let (secret, mut connection) = match tokio::time::timeout_at(deadline, both).await {
        Ok(both) => both?,
        // The target may take no more than twice `terminal.connect_timeout_seconds`.
        Err(_) => return Err(Failure::Vault(vault::VaultError::silent())),
    };
    let legacy = allowed.target.legacy_algorithms;
    ssh::login(&mut connection, &allowed.credential.username, secret, legacy, deadline).await?;
    Ok(Shell::open(connection, size.0, size.1, deadline).await?)
}

/// Looks up what a decision about the wish needs. The outer error rolls back, the inner one is a
/// refusal that the caller commits.
async fn consider(
    hub: &Hub,
    tx: &mut Tx,
    context: &Context,
    wish: &Wish,
) -> Result<Result<Considered, Problem>, Problem> {
    let reason = sessions::checked_reason(wish.reason.as_deref().unwrap_or_default())?;
    let Some(target) = targets::find(tx, wish.target_id).await? else {
        // It counts as one that is hidden: whoever asks too often is told the same of both.
        access::count_denial(context)?;
        return Err(target_not_found());
    };
    // First of all: what follows says what kind of target this is.
    if !access::sees_target(tx, context, &target).await? {
        return Ok(Err(target_not_found()));
    }
    if target.protocol != Protocol::Ssh {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "protocol_mismatch",
            "This target is not an SSH target. Open it from the launcher.",
        ));
    }
    let credentials = vault::credentials_of(tx, target.id).await?;
    let credential_id = match (wish.credential_id, credentials.as_slice()) {
        (Some(id), _) => id,
        (None, [only]) => *only,
        (None, []) => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "no_credential",
                "This target has no credential to log in with. Ask an administrator to give it one.",
            ));
        }
        (None, _) => {
            return Err(Problem::invalid_field("credential_id", "missing", "choose one of the target's credentials"));
        }
    };
    let settings = settings::effective(tx, hub.config()).await?;
    if settings.recording_required && hub.recordings().is_none() {
        return Err(recordings::Error::NoStore.into());
    }
    let reason_required = target.reason_required || settings.require_reason;
    let limits = Limits {
        idle: Duration::from_secs(settings.idle_timeout_seconds),
        duration: Duration::from_secs(settings.max_duration_seconds),
        grace: Duration::from_secs(settings.resume_grace_seconds),
        keepalive: Duration::from_secs(hub.config().terminal.keepalive_seconds.max(1)),
    };
    let recording_required = settings.recording_required;
    Ok(Ok(Considered { target, credential_id, credentials, reason, reason_required, limits, recording_required }))
}

/// Decides. The outer error rolls back, the inner one is a refusal that the caller commits.
async fn decide(hub: &Hub, tx: &mut Tx, context: &Context, wish: &Wish) -> Result<Result<Allowed, Problem>, Problem> {
    let considered = match consider(hub, tx, context, wish).await? {
        Ok(considered) => considered,
        Err(problem) => return Ok(Err(problem)),
    };
    let authorization = match access::authorize_session(tx, context, considered.request()).await? {
        Ok(authorization) => authorization,
        Err(denial) => return Ok(Err(denied(denial))),
    };
    let Some(credential) = vault::find(tx, considered.credential_id).await? else {
        return Ok(Err(denied(Denial::CredentialNotAllowed)));
    };
    let tenant_slug = db::tenant_slug(tx).await?;
    let Considered { target, reason, limits, recording_required, .. } = considered;
    Ok(Ok(Allowed { authorization, target, credential, reason, limits, recording_required, tenant_slug }))
}

fn check_size(wish: &Wish) -> Result<(), Problem> {
    if super::messages::is_valid_size(wish.cols, wish.rows) {
        Ok(())
    } else {
        Err(Problem::invalid_field("cols", "out_of_range", "columns and rows must be between 1 and 1000"))
    }
}

pub(in crate::gateway) fn target_not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "target_not_found",
        "There is no such target. It may have been removed; go back to the launcher.",
    )
}

pub(in crate::gateway) fn denied(denial: Denial) -> Problem {
    let status = match denial {
        Denial::ReasonRequired => StatusCode::UNPROCESSABLE_ENTITY,
        Denial::TargetDisabled => StatusCode::CONFLICT,
        Denial::NoAccess | Denial::CredentialNotAllowed | Denial::NotAPerson => StatusCode::FORBIDDEN,
    };
    Problem::new(status, denial.code(), denial.message())
}

#[cfg(test)]
mod tests {
    use super::OPENING;
    use crate::http::REQUEST_TIMEOUT;

    #[test]
    fn an_opening_ends_before_the_request_that_waits_for_it() {
        assert!(OPENING.as_secs() + 10 <= REQUEST_TIMEOUT.as_secs());
        // Reaching the target and the handshake: each may take the most of `terminal.connect_timeout_seconds`.
        let most = 15;
        assert!(2 * most < OPENING.as_secs());
    }
}
