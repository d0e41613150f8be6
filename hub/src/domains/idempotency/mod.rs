//! Answers of POST requests that carried an `Idempotency-Key`, so that a repeated one gets the
//! answer of the first instead of doing the thing twice.
//!
//! Owns `idempotency_keys`. INVARIANT: neither the client's key nor anything a body could be guessed
//! from is stored: the row holds a hash of the key, and the body's HMAC under the cookie or token that the
//! request came with. Answers are kept for a day; only successful ones are, so that what failed can be tried
//! again. That something was done is noted in the transaction that does it (`db::Tx::commit`): what a hub had
//! done that died before it answered is not done again.

mod service;
mod store;
mod types;

pub(crate) use service::{Attempt, begin, complete, give_up};
pub(crate) use types::Claim;
