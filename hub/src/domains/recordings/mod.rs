//! Recordings: what happened in a session, encrypted, chained and signed.
//!
//! Owns `recordings`, `recording_segments`, `recording_screens`, `recording_keys`, `recording_index`,
//! `recording_lines` and `recording_marks`, and the store of recordings.
//! INVARIANTS: a byte reaches the recorder before it reaches the browser; where a session must be
//! recorded, a recorder that cannot write ends it; the key that opens a recording is in the vault, and
//! is taken out for a read that is in the trail; what was acknowledged is in the store, or waits for it in
//! a spool that is noted; what is held is not purged, and what is purged is in the trail.

mod cells;
mod completer;
mod defects;
mod echo;
mod error;
mod exports;
mod http;
mod index;
mod keys;
mod lines;
mod marks;
mod modes;
mod opened;
mod pace;
mod plain;
mod player;
mod recorder;
mod retention;
mod rows;
mod search;
mod service;
mod spool;
mod storage;
mod store;
mod tasks;
mod terminal;
mod types;
mod typing;
mod upload;
mod verification;

pub use error::Error;
pub(crate) use http::routes;
pub use index::Indexer;
pub use recorder::Recorder;
pub use service::{Prepared, begin, path, prepare};
pub use spool::SpoolStanding;
pub use storage::{Storage, StoreHealth};
pub use tasks::start_tasks;
pub use verification::Verifications;

use crate::state::Hub;

/// The store of recordings.
fn store_of(hub: &Hub) -> Result<&Storage, Error> {
    hub.recordings().ok_or(Error::NoStore)
}
