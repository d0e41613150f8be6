//! The decision. Simple for now: role or access group, an enabled target, a credential of the
//! target, a reason where one is asked for.

use openpam_ids::{AuditEventId, CredentialId, GroupId};
use openpam_telemetry::names;
use sqlx::PgConnection;

use super::{AccessError, Authorization, Denial, Endpoint, Purpose, denials};
use crate::{
    context::{Actor, Context, Principal},
    domains::{
        audit::{self, Event},
        targets::{Destination, Target},
    },
    permissions::{Permission, permits},
};

/// A session somebody wants to open.
#[derive(Debug, Clone, Copy)]
pub struct SessionRequest<'a> {
    /// Where to.
    pub target: &'a Target,
    /// As whom.
    pub credential_id: CredentialId,
    /// The target's credentials.
    pub allowed_credentials: &'a [CredentialId],
    /// Why, in the person's words.
    pub reason: Option<&'a str>,
    /// Whether it cannot be left out.
    pub reason_required: bool,
}

/// Decides whether the context's person may open the session, and writes the decision down. Commit
/// the transaction for a denial too: it is part of the trail.
///
/// # Errors
/// When the decision could not be written, or the person was refused too often.
pub async fn authorize_session(
    connection: &mut PgConnection,
    context: &Context,
    request: SessionRequest<'_>,
) -> Result<Result<Authorization, Denial>, AccessError> {
    let SessionRequest { target, credential_id, .. } = request;
    let decided = request.decide(context);
    if decided.is_err() {
        denials::count_denial(context)?;
    }
    let event = match &decided {
        Ok(by) => Event::success("session.authorize").with("decided_by", *by),
        Err(denial) => denials::tell(context, Event::denied("session.authorize").with("code", denial.code())),
    };
    let decision_id = request.record(connection, context, event).await?;
    Ok(decided.map(|_| Authorization {
        tenant_id: context.tenant_id,
        decision_id,
        target_id: target.id,
        endpoint: endpoint(target),
        purpose: Purpose::Session { credential_id },
    }))
}

/// Whether the session would be allowed. Only a denial is written down, as one of the session: who
/// asks goes no further then. What is allowed here is decided, and written, when it is opened.
///
/// # Errors
/// When a denial could not be written, or the person was refused too often.
pub async fn foresee_session(
    connection: &mut PgConnection,
    context: &Context,
    request: SessionRequest<'_>,
) -> Result<Result<(), Denial>, AccessError> {
    let decided = request.decide(context).map(|_| ());
    if let Err(denial) = decided {
        denials::count_denial(context)?;
        let event = Event::denied("session.authorize").with("code", denial.code()).with("preflight", true);
        request.record(connection, context, denials::tell(context, event)).await?;
    }
    Ok(decided)
}

/// Whether the target is one that the context's person could open at all. Where it is not, the denial
/// is written down, and whoever asks is to learn no more than that there is no such target.
///
/// # Errors
/// When a denial could not be written, or the person was refused too often.
pub async fn sees_target(
    connection: &mut PgConnection,
    context: &Context,
    target: &Target,
) -> Result<bool, AccessError> {
    let Err(denial @ Denial::NoAccess) = reaches(&context.principal, &target.access_groups) else { return Ok(true) };
    denials::count_denial(context)?;
    let event = Event::denied("session.authorize").with("code", denial.code()).on("target", target.id, &target.name);
    audit::record(connection, context, denials::tell(context, event)).await?;
    metrics::counter!(names::DECISIONS, "action" => "session.authorize", "outcome" => "denied").increment(1);
    Ok(false)
}

impl SessionRequest<'_> {
    fn decide(&self, context: &Context) -> Result<&'static str, Denial> {
        let Self { target, credential_id, allowed_credentials, .. } = *self;
        let by = decide(&context.principal, target.enabled, &target.access_groups, credential_id, allowed_credentials)?;
        let reason_missing = self.reason_required && self.reason.is_none_or(|reason| reason.trim().is_empty());
        if reason_missing { Err(Denial::ReasonRequired) } else { Ok(by) }
    }

    async fn record(
        &self,
        connection: &mut PgConnection,
        context: &Context,
        event: Event,
    ) -> Result<AuditEventId, AccessError> {
        let outcome = event.outcome.name();
        let event = event
            .on("target", self.target.id, &self.target.name)
            .with("credential_id", self.credential_id.to_string())
            .with("reason", self.reason);
        let decision_id = audit::record(connection, context, event).await?;
        metrics::counter!(names::DECISIONS, "action" => "session.authorize", "outcome" => outcome).increment(1);
        Ok(decision_id)
    }
}

/// Decides again for a session that runs, when its person comes back to it. Only a denial is
/// written down here.
///
/// # Errors
/// When a denial could not be written.
pub async fn reauthorize_session(
    connection: &mut PgConnection,
    context: &Context,
    target: &Target,
    credential_id: CredentialId,
    allowed_credentials: &[CredentialId],
) -> Result<Result<(), Denial>, AccessError> {
    let decided = decide(&context.principal, target.enabled, &target.access_groups, credential_id, allowed_credentials);
    if let Err(denial) = decided {
        let event = loss(denial, credential_id).on("target", target.id, &target.name);
        audit::record(connection, context, event).await?;
    }
    Ok(decided.map(|_| ()))
}

/// Whether a session that runs still may: decides, and writes nothing. Who ends the session for it
/// calls [`record_loss`].
///
/// # Errors
/// Why it may not.
pub fn still_allowed(
    principal: &Principal,
    destination: &Destination,
    credential_id: CredentialId,
    allowed_credentials: &[CredentialId],
) -> Result<(), Denial> {
    decide(principal, destination.enabled, &destination.access_groups, credential_id, allowed_credentials).map(|_| ())
}

/// Writes down that a session that runs may no longer.
///
/// # Errors
/// When it could not be written.
pub async fn record_loss(
    connection: &mut PgConnection,
    context: &Context,
    destination: &Destination,
    credential_id: CredentialId,
    denial: Denial,
) -> Result<(), AccessError> {
    let event = loss(denial, credential_id).on("target", destination.id, &destination.name);
    audit::record(connection, context, event).await?;
    Ok(())
}

fn loss(denial: Denial, credential_id: CredentialId) -> Event {
    metrics::counter!(names::DECISIONS, "action" => "session.reauthorize", "outcome" => "denied").increment(1);
    Event::denied("session.reauthorize").with("credential_id", credential_id.to_string()).with("code", denial.code())
}

/// Allows an admin to look at a target without a session: `action` names the look in the trail.
///
/// # Errors
/// When the decision could not be written.
pub async fn authorize_probe(
    connection: &mut PgConnection,
    context: &Context,
    target: &Target,
    action: &'static str,
) -> Result<Result<Authorization, Denial>, AccessError> {
    let allowed = permits(&context.principal, Permission::TargetManage);
    let event = if allowed { Event::success(action) } else { Event::denied(action) };
    let decision_id = audit::record(connection, context, event.on("target", target.id, &target.name)).await?;
    if !allowed {
        return Ok(Err(Denial::NoAccess));
    }
    Ok(Ok(Authorization {
        tenant_id: context.tenant_id,
        decision_id,
        target_id: target.id,
        endpoint: endpoint(target),
        purpose: Purpose::Probe,
    }))
}

fn decide(
    principal: &Principal,
    target_enabled: bool,
    access_groups: &[GroupId],
    credential_id: CredentialId,
    allowed_credentials: &[CredentialId],
) -> Result<&'static str, Denial> {
    let by = reaches(principal, access_groups)?;
    if !target_enabled {
        return Err(Denial::TargetDisabled);
    }
    if !allowed_credentials.contains(&credential_id) {
        return Err(Denial::CredentialNotAllowed);
    }
    Ok(by)
}

/// By what the principal has access to a target of these groups.
fn reaches(principal: &Principal, access_groups: &[GroupId]) -> Result<&'static str, Denial> {
    if !matches!(principal.actor, Actor::User(_)) {
        Err(Denial::NotAPerson)
    } else if permits(principal, Permission::SessionConnectAny) {
        Ok("role")
    } else if access_groups.iter().any(|group| principal.groups.contains(group)) {
        Ok("access_group")
    } else {
        Err(Denial::NoAccess)
    }
}

fn endpoint(target: &Target) -> Endpoint {
    Endpoint { host: target.host.clone(), port: target.port, satellite_zone: target.satellite_zone }
}
