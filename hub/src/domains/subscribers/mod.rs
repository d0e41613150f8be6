//! Who gets events: webhooks of a tenant, and the installation's NATS and Amazon SNS.
//!
//! Owns `webhooks`. INVARIANTS: what signs a webhook's events is in the vault and is shown once; nothing is sent to
//! an address at which no target may be, nor in the clear but on this machine, nor on to where an answer points.

mod envelope;
mod error;
mod http;
mod nats;
mod sender;
mod service;
mod sns;
mod store;
mod tasks;
mod types;
mod validation;

pub(crate) use http::routes;
pub use nats::examine as examine_nats;
pub use sender::Senders;
pub use tasks::start_tasks;
