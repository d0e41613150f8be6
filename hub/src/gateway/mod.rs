//! Front doors: speak protocols, own no tables, call domain services and the dialler.

mod probe;
mod ssh;
mod stream;
mod terminal;
mod watch;

use crate::{http::Routes, state::Hub};

pub use stream::Listeners;
pub use terminal::{Attachments, Peers};

/// The gateway's routes.
pub(crate) fn routes() -> Routes {
    Routes::new().merge(terminal::routes()).merge(probe::routes()).merge(stream::routes())
}

/// What runs beside the sessions.
pub(crate) fn start_tasks(hub: &Hub) {
    watch::start_tasks(hub);
}
