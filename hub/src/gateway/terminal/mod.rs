//! Browser ↔ SSH: the WebSocket of `openpam.terminal.v1` in front of a shell on the target.

mod attachments;
mod farewell;
mod http;
mod keys;
mod messages;
mod open;
mod output;
mod recording;
mod resume;
mod session;
mod socket;

pub use attachments::Attachments;
pub(crate) use http::routes;
pub(super) use open::{denied, target_not_found};
