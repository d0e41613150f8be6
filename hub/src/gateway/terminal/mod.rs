//! Browser ↔ SSH.

mod attachments;
mod messages;
mod output;
mod session;
mod socket;

pub use attachments::Attachments;
