//! The domains, in dependency order: each may use those above it, through their `mod.rs`.
//!
//! Order: audit, events, idempotency, identity, targets, access, vault, ledger, subscribers, sessions, settings, recordings, catalogue.

pub mod access;
pub mod audit;
pub mod catalogue;
pub mod events;
pub(crate) mod idempotency;
pub mod identity;
pub mod ledger;
pub mod recordings;
pub mod sessions;
pub mod settings;
pub mod subscribers;
pub mod targets;
pub mod vault;

use crate::http::Routes;

/// Every domain's routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .merge(audit::routes())
        .merge(events::routes())
        .merge(identity::routes())
        .merge(targets::routes())
        .merge(vault::routes())
        .merge(ledger::routes())
        .merge(subscribers::routes())
        .merge(sessions::routes())
        .merge(recordings::routes())
        .merge(settings::routes())
        .merge(catalogue::routes())
}
