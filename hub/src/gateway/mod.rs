//! Front doors: speak protocols, own no tables, call domain services and the dialler.

mod ssh;
mod terminal;

use crate::http::Routes;

pub use terminal::Attachments;

/// The gateway's routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
}
