//! Browser ↔ SSH: the WebSocket of `openpam.terminal.v1` in front of a shell on the target.

mod attachments;
mod audience;
mod elsewhere;
mod endings;
mod farewell;
mod http;
mod input;
mod keys;
mod messages;
mod open;
mod output;
mod outside;
mod participant;
mod recording;
mod resume;
mod screen;
mod session;
mod socket;
mod typing;
mod watching;

pub use attachments::Attachments;
pub use elsewhere::Peers;

use crate::http::Routes;
pub(super) use open::{OPENING, denied, target_not_found};

/// Terminals, and watching them.
pub(crate) fn routes() -> Routes {
    http::routes().merge(watching::routes())
}
