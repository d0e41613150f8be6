//! Front doors: speak protocols, own no tables, call domain services and the dialler.

use crate::http::Routes;

/// The gateway's routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
}
