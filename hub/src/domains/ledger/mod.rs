//! The ledger: events and row changes in an order that cannot be changed unnoticed.
//!
//! Owns `ledger_entries`, `ledger_tiles`, `ledger_checkpoints`, `ledger_heads`, `ledger_leader`, `ledger_keys`,
//! `ledger_system_leaves`, `ledger_system_tiles`, `ledger_system_checkpoints`, `ledger_anchors`,
//! `ledger_cosignatures` and `ledger_damaged`.
//! INVARIANTS: one hub leads, and whoever led before is refused by the database; a place has one entry,
//! and there are no holes; what is signed is what was committed. An act never waits for the ledger: its event
//! is written by [`audit`](super::audit), and gets its place after the commit. `docs/decisions/ledger.md` says
//! why; `common/ledger` has the format.

mod alarms;
mod anchor;
mod beats;
mod contents;
mod cosigned;
mod erase;
mod error;
mod evidence;
mod feed;
mod guards;
mod http;
mod keys;
mod known;
mod named;
mod pass;
mod proofs;
mod range;
mod sequence;
mod service;
mod sign;
mod state;
mod store;
mod system;
mod tasks;
mod tiles;
mod types;
mod verify;
mod witness;

pub use anchor::bucket_notes;
pub use erase::{Erasure, erase};
pub use error::LedgerError;
pub use evidence::{Written, public_keys, write_evidence};
pub(crate) use http::routes;
pub use service::{acknowledge, alarms, begin_anew, key_rotated, name, rotate_key, verifier_keys};
pub use state::{AnchorState, Ledger};
pub use tasks::start_tasks;
pub use verify::{Finding, Outcome, Scope, verify};
