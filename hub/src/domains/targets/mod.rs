//! Sites, zones, targets and the host keys that are trusted.
//!
//! Owns `sites`, `zones`, `targets`, `target_access_groups`, `target_host_keys`, `favorite_targets`.

mod types;

use crate::http::Routes;

pub use types::{HostKey, HostKeyKind, HostKeyPolicy, Protocol, Target};

pub(crate) fn routes() -> Routes {
    Routes::new()
}
