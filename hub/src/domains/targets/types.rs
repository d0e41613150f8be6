//! What a target is.

use openpam_ids::{GroupId, HostKeyId, TargetId, ZoneId};

/// How a target is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// SSH (RFC 4251).
    Ssh,
    /// Remote Desktop Protocol.
    Rdp,
}

/// How the hub knows that it speaks to the right machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostKeyPolicy {
    /// The host key itself was trusted by an admin.
    Pinned,
    /// A certificate authority that signs host keys was trusted by an admin.
    HostCa,
}

/// What a trusted key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostKeyKind {
    /// The host's own key.
    Host,
    /// A certificate authority's key.
    Ca,
}

/// A key an admin trusts for a target.
#[derive(Debug, Clone)]
pub struct HostKey {
    /// Identifier.
    pub id: HostKeyId,
    /// Host key or certificate authority.
    pub kind: HostKeyKind,
    /// Algorithm name, e.g. `ssh-ed25519`.
    pub algorithm: String,
    /// OpenSSH public key line without comment.
    pub public_key: String,
    /// `SHA256:…`.
    pub fingerprint: String,
}

/// A machine to connect to, with everything a decision and a connection need.
#[derive(Debug, Clone)]
pub struct Target {
    /// Identifier.
    pub id: TargetId,
    /// Name for people.
    pub name: String,
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Its zone, when that is reached through satellites.
    pub satellite_zone: Option<ZoneId>,
    /// Switched on.
    pub enabled: bool,
    /// Whoever connects says why.
    pub reason_required: bool,
    /// How its identity is known.
    pub host_key_policy: HostKeyPolicy,
    /// Whether algorithms that are no longer considered safe may be used.
    pub legacy_algorithms: bool,
    /// Groups whose members may connect.
    pub access_groups: Vec<GroupId>,
    /// Keys an admin trusts.
    pub host_keys: Vec<HostKey>,
}
