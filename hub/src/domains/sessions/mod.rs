//! Sessions: their rows, those that run here, and how they end.
//!
//! Owns `sessions` and `hubs`.

use crate::http::Routes;

/// Sessions that run on this hub.
#[derive(Default)]
pub struct LiveSessions {}

pub(crate) fn routes() -> Routes {
    Routes::new()
}
