//! What a target is.

use chrono::{DateTime, Utc};
use openpam_ids::{GroupId, HostKeyId, SiteId, TargetId, UserId, ZoneId};

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

/// What a target serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Real users depend on it.
    Production,
    /// Looks like production.
    Staging,
    /// For trying things out.
    Development,
}

/// How a zone is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZoneType {
    /// By the hub directly.
    Hub,
    /// Through the satellites of its site.
    Satellite,
}

/// Gives an enum the names it has in the database.
macro_rules! names {
    ($($kind:ident: $($variant:ident = $name:literal),*;)*) => {$(
        impl $kind {
            /// The name in the database and the API.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The value of that name; the database's checks allow no other.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )*};
}

names! {
    Protocol: Ssh = "ssh", Rdp = "rdp";
    HostKeyPolicy: Pinned = "pinned", HostCa = "host_ca";
    HostKeyKind: Host = "host", Ca = "ca";
    Environment: Production = "production", Staging = "staging", Development = "development";
    ZoneType: Hub = "hub", Satellite = "satellite";
}

/// A network.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Identifier.
    pub id: ZoneId,
    /// What people may change.
    pub fields: ZoneFields,
    /// Targets in it.
    pub target_count: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What an admin says about a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFields {
    /// Name for people.
    pub name: String,
    /// What it is.
    pub description: String,
    /// How it is reached.
    pub kind: ZoneType,
    /// Whose satellites serve it; set exactly for satellite zones.
    pub site_id: Option<SiteId>,
}

/// What an installer targets.
#[derive(Debug, Clone)]
pub struct Site {
    /// Identifier.
    pub id: SiteId,
    /// What people may change.
    pub fields: SiteFields,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What an admin says about a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteFields {
    /// Name for people.
    pub name: String,
    /// Short name an installer uses.
    pub code: String,
    /// What it is.
    pub description: String,
}

/// What an admin says about a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFields {
    /// Name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Its network.
    pub zone_id: ZoneId,
    /// What it serves.
    pub environment: Option<Environment>,
    /// Words to find it by.
    pub tags: Vec<String>,
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
}

/// Which targets a list shows.
#[derive(Debug, Clone, Default)]
pub struct TargetFilter {
    /// Part of name, host or description.
    pub text: Option<String>,
    /// In this zone.
    pub zone_id: Option<ZoneId>,
    /// With this tag.
    pub tag: Option<String>,
}

/// A public key somebody is about to trust, parsed.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    /// Host key or certificate authority.
    pub kind: HostKeyKind,
    /// Algorithm name.
    pub algorithm: String,
    /// OpenSSH line without comment.
    pub public_key: String,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// Who trusts it.
    pub trusted_by: Option<UserId>,
    /// Their name.
    pub trusted_by_name: String,
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
    /// When it was trusted.
    pub trusted_at: DateTime<Utc>,
    /// Name of who trusted it, as it was then.
    pub trusted_by: String,
}

/// A machine to connect to, with everything a decision and a connection need.
#[derive(Debug, Clone)]
pub struct Target {
    /// Identifier.
    pub id: TargetId,
    /// Name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Its network.
    pub zone_id: ZoneId,
    /// Its zone, when that is reached through satellites.
    pub satellite_zone: Option<ZoneId>,
    /// What it serves.
    pub environment: Option<Environment>,
    /// Words to find it by.
    pub tags: Vec<String>,
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
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What the decision about a session that runs needs to know of its target.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Identifier.
    pub id: TargetId,
    /// Name for people.
    pub name: String,
    /// Switched on.
    pub enabled: bool,
    /// Groups whose members may connect.
    pub access_groups: Vec<GroupId>,
}

impl Target {
    /// What an admin may change about it.
    pub fn fields(&self) -> TargetFields {
        TargetFields {
            name: self.name.clone(),
            description: self.description.clone(),
            protocol: self.protocol,
            host: self.host.clone(),
            port: self.port,
            zone_id: self.zone_id,
            environment: self.environment,
            tags: self.tags.clone(),
            enabled: self.enabled,
            reason_required: self.reason_required,
            host_key_policy: self.host_key_policy,
            legacy_algorithms: self.legacy_algorithms,
            access_groups: self.access_groups.clone(),
        }
    }
}
