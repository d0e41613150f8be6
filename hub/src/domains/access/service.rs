//! The decision. Simple for now: role or access group, an enabled target, a credential of the
//! target, a reason where one is asked for.

use openpam_ids::CredentialId;
use openpam_telemetry::names;
use sqlx::PgConnection;

use super::{AccessError, Authorization, Denial, Endpoint, Purpose};
use crate::{
    context::{Actor, Context},
    domains::{
        audit::{self, Event},
        targets::Target,
    },
    permissions::{Permission, permits},
};

/// Decides whether the context's person may open a session to `target` with `credential_id`, and
/// writes the decision down. `allowed_credentials` are those of the target. Commit the
/// transaction for a denial too: it is part of the trail.
///
/// # Errors
/// When the decision could not be written.
pub async fn authorize_session(
    connection: &mut PgConnection,
    context: &Context,
    target: &Target,
    credential_id: CredentialId,
    allowed_credentials: &[CredentialId],
    reason: Option<&str>,
    reason_required: bool,
) -> Result<Result<Authorization, Denial>, AccessError> {
    let decided = decide(context, target, credential_id, allowed_credentials, reason, reason_required);
    let event = match &decided {
        Ok(by) => Event::success("session.authorize").with("decided_by", *by),
        Err(denial) => Event::denied("session.authorize").with("code", denial.code()),
    };
    let event = event
        .on("target", target.id, &target.name)
        .with("credential_id", credential_id.to_string())
        .with("reason", reason);
    let outcome = event.outcome.name();
    let decision_id = audit::record(connection, context, event).await?;
    metrics::counter!(names::DECISIONS, "action" => "session.authorize", "outcome" => outcome).increment(1);
    Ok(decided.map(|_| Authorization {
        tenant_id: context.tenant_id,
        decision_id,
        target_id: target.id,
        endpoint: endpoint(target),
        purpose: Purpose::Session { credential_id },
    }))
}

/// Decides again for a session that runs: a resume after a dropped connection, or the periodic
/// check. Only a denial, or a resume, is written down.
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
    // The reason was given when the session began.
    let decided = decide(context, target, credential_id, allowed_credentials, None, false);
    if let Err(denial) = decided {
        let event = Event::denied("session.reauthorize")
            .on("target", target.id, &target.name)
            .with("credential_id", credential_id.to_string())
            .with("code", denial.code());
        audit::record(connection, context, event).await?;
        metrics::counter!(names::DECISIONS, "action" => "session.reauthorize", "outcome" => "denied").increment(1);
        return Ok(Err(denial));
    }
    Ok(Ok(()))
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
    context: &Context,
    target: &Target,
    credential_id: CredentialId,
    allowed_credentials: &[CredentialId],
    reason: Option<&str>,
    reason_required: bool,
) -> Result<&'static str, Denial> {
    let principal = &context.principal;
    if !matches!(principal.actor, Actor::User(_)) {
        return Err(Denial::NotAPerson);
    }
    let by = if permits(principal, Permission::SessionConnectAny) {
        "role"
    } else if target.access_groups.iter().any(|group| principal.groups.contains(group)) {
        "access_group"
    } else {
        return Err(Denial::NoAccess);
    };
    if !target.enabled {
        return Err(Denial::TargetDisabled);
    }
    if !allowed_credentials.contains(&credential_id) {
        return Err(Denial::CredentialNotAllowed);
    }
    if reason_required && reason.is_none_or(|reason| reason.trim().is_empty()) {
        return Err(Denial::ReasonRequired);
    }
    Ok(by)
}

fn endpoint(target: &Target) -> Endpoint {
    Endpoint { host: target.host.clone(), port: target.port, satellite_zone: target.satellite_zone }
}
