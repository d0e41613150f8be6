//! The trail of acts and decisions.
//!
//! Owns `audit_events`, `row_changes`, `audit_search` and `audit_search_progress`. INVARIANT: an act and its event commit in one
//! transaction; the application can insert events and read them, never change or remove one. The owner can empty
//! contents, and nothing else ([`erase`]).

mod error;
mod http;
mod service;
mod store;
mod tasks;
mod types;

pub use error::AuditError;
pub(crate) use http::routes;
pub use service::{details, erase, happened, record};
pub use tasks::start_tasks;
pub use types::{Entry, Event, Object, Outcome};
