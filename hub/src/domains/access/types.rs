//! Decisions and their proof.

use openpam_ids::{AuditEventId, CredentialId, TargetId, TenantId};

/// What an authorization is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A person's session, with the credential it may use.
    Session {
        /// The credential.
        credential_id: CredentialId,
    },
    /// An admin's look at the target: host-key scan or connection test.
    Probe,
}

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Reached through the satellites of this zone; `None` when the hub reaches it directly.
    pub satellite_zone: Option<openpam_ids::ZoneId>,
}

/// Proof that the decision to reach a target was made and written down.
#[derive(Debug, Clone)]
pub struct Authorization {
    pub(super) tenant_id: TenantId,
    pub(super) decision_id: AuditEventId,
    pub(super) target_id: TargetId,
    pub(super) endpoint: Endpoint,
    pub(super) purpose: Purpose,
}

impl Authorization {
    /// The tenant it holds in.
    pub fn tenant_id(&self) -> TenantId {
        self.tenant_id
    }

    /// The audit event of the decision.
    pub fn decision_id(&self) -> AuditEventId {
        self.decision_id
    }

    /// The target it opens.
    pub fn target_id(&self) -> TargetId {
        self.target_id
    }

    /// Where that target is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it may be used for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }
}

/// Why access was refused. The decision stands in the trail already; the caller commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The target is switched off.
    #[error("the target is disabled")]
    TargetDisabled,
    /// No group of the person has access to the target.
    #[error("no group of the user has access to the target")]
    NoAccess,
    /// The credential is not one of the target's.
    #[error("the credential may not be used on this target")]
    CredentialNotAllowed,
    /// The target asks for a reason and none was given.
    #[error("the target requires a reason")]
    ReasonRequired,
    /// Only people have sessions.
    #[error("only a person may open a session")]
    NotAPerson,
}

impl Denial {
    /// Stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TargetDisabled => "target_disabled",
            Self::NoAccess => "access_denied",
            Self::CredentialNotAllowed => "credential_not_allowed",
            Self::ReasonRequired => "reason_required",
            Self::NotAPerson => "not_a_person",
        }
    }

    /// For the person who was refused.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TargetDisabled => "This target is disabled. Ask an administrator to enable it.",
            Self::NoAccess => "You have no access to this target. Ask an administrator for it.",
            Self::CredentialNotAllowed => "This credential may not be used on this target. Choose another one.",
            Self::ReasonRequired => "This target asks for a reason. Say why you connect.",
            Self::NotAPerson => "A service account cannot open an interactive session.",
        }
    }
}
