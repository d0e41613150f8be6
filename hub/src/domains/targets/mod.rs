//! Sites, zones, targets and the host keys that are trusted.
//!
//! Owns `sites`, `zones`, `targets`, `target_access_groups`, `target_host_keys`, `favorite_targets`.
//! INVARIANT: a target is stored, and dialled, at no address of [`crate::addresses`].
//! INVARIANT: a host key is trusted by an admin's explicit act only.

mod error;
mod http;
mod service;
mod store;
mod types;
mod validation;

pub use error::TargetsError;
pub(crate) use http::{HostKeyBody, routes};
pub use service::{add_favorite, create, delete, destinations, find, list, remove_favorite, trust_host_key, update};
pub use types::{
    Destination, Environment, HostKey, HostKeyKind, HostKeyPolicy, Protocol, Site, SiteFields, Target, TargetFields,
    TargetFilter, Zone, ZoneFields, ZoneType,
};
