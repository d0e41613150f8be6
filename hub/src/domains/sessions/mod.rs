//! Sessions: their rows, those that run here, and how they end.
//!
//! Owns `sessions` and `hubs`. INVARIANTS: a row is written in the transaction of the decision
//! that allows it; a session ends once; one whose hub died is ended by a reconciler.

mod error;
mod http;
mod live;
mod service;
mod store;
mod tasks;
mod types;

pub use error::Error;
pub(crate) use http::routes;
pub use live::{LiveSession, LiveSessions, Place};
pub use service::{checked_reason, ended_before, find, finish, running_hubs, start, why_not_here};
pub use tasks::start_tasks;
pub use types::{End, NewSession, RunningHub, Session, SessionFilter, SessionStatus};
