//! Who may do what, and the proof of it.
//!
//! INVARIANT: [`Authorization`] can only be made here, after the decision and its reasons were
//! written to the trail. The dialler takes nothing else.

mod denials;
mod error;
mod service;
mod types;

pub use denials::count_denial;
pub use error::AccessError;
pub use service::{
    SessionRequest, authorize_probe, authorize_session, foresee_session, reauthorize_session, record_loss, sees_target,
    still_allowed,
};
pub use types::{Authorization, Denial, Endpoint, Purpose};
