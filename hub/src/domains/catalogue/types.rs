//! What the launcher shows.

use chrono::{DateTime, Utc};
use openpam_ids::{CredentialId, GroupId, TargetId, UserId, ZoneId};

/// A target somebody may connect to.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: TargetId,
    pub(super) name: String,
    /// The name as the list is sorted by.
    pub(super) sort_name: String,
    /// What the list is sorted by before the name.
    pub(super) rank: DateTime<Utc>,
    pub(super) description: String,
    pub(super) protocol: String,
    pub(super) host: String,
    pub(super) port: i32,
    pub(super) zone_id: ZoneId,
    pub(super) zone_name: String,
    pub(super) zone_type: String,
    pub(super) environment: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) enabled: bool,
    pub(super) reason_required: bool,
    pub(super) favorite: bool,
    pub(super) last_used_at: Option<DateTime<Utc>>,
}

/// A credential of a target, as somebody who connects sees it.
#[derive(Debug, Clone)]
pub(super) struct EntryCredential {
    pub(super) target_id: TargetId,
    pub(super) id: CredentialId,
    pub(super) name: String,
    pub(super) username: String,
    pub(super) kind: String,
}

/// Who looks: decides what is visible, what is a favourite and when it was used last.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    pub(super) user_id: Option<UserId>,
    pub(super) groups: Vec<GroupId>,
    /// Connects everywhere, whatever the access groups.
    pub(super) sees_all: bool,
}

/// Which targets the launcher shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) only: Option<TargetId>,
    pub(super) text: Option<String>,
    pub(super) zone_id: Option<ZoneId>,
    pub(super) tag: Option<String>,
    pub(super) favorite: bool,
    /// Most recently used first, instead of by name alone.
    pub(super) recent_first: bool,
}

/// Where a page of the launcher begins.
pub(super) type Key = (DateTime<Utc>, String, uuid::Uuid);
