//! What an admin of a tenant may change at run time, and the state of the system.
//!
//! Owns `settings`. Changes hold for sessions that begin afterwards.

mod error;
mod http;
mod service;
mod store;
mod types;

pub(crate) use http::routes;
pub use service::effective;
pub use types::Effective;
