//! Sessions: their rows, those that run here, and how they end.
//!
//! Owns `sessions`, `session_participants` and `hubs`. INVARIANTS: a row is written in the transaction
//! of the decision that allows it; a session ends once; one whose hub died is ended by a reconciler.
//! The same holds for who watches or joins one, and nobody types into it without its person's consent.

mod attendance;
mod error;
mod http;
mod live;
mod participation;
mod service;
mod store;
mod tasks;
mod types;

pub use attendance::{Attendance, LiveParticipant, Seat};
pub use error::Error;
pub(crate) use http::routes;
pub use live::{LiveSession, LiveSessions, Place};
pub use participation::{
    begin_participation, end_participation, foresee_participation, permission_for, record_input_change, take_seat,
};
pub use service::{checked_reason, find, finish, running_hubs, start, why_not_here};
pub use tasks::start_tasks;
pub use types::{
    End, InputChange, Leave, NewSession, Participant, ParticipantKind, Peer, RecordingKept, RunningHub, Session,
    SessionFilter, SessionStatus,
};
