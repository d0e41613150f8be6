//! Facts for others: an outbox that is written with the acts it tells of, and delivered afterwards.
//!
//! Owns `platform_events` and `event_deliveries`.
//! INVARIANTS: an event commits with the act it tells of, or not at all; what was published is never changed;
//! each subscriber gets it at least once, whatever crashes, and one that is down holds up no other. Who gets
//! events is the business of [`subscribers`](super::subscribers), further down.

mod bus;
mod error;
mod http;
mod queue;
mod service;
mod store;
mod tasks;
mod types;

pub use bus::{Announced, EventBus};
pub use error::EventsError;
pub(crate) use http::routes;
pub use service::{
    Claim, Outcome, claim, complete, dispatch, due, erase, publish, replay_failed, settle_some, tenants_with_new,
    test_event,
};
pub use tasks::start_tasks;
pub use types::{BackOff, Due, Event, Published, Subscriber, Subscription, UserFacts, is_pattern};
