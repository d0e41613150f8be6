//! What an admin of a tenant may change at run time.
//!
//! Owns `settings`.

use crate::http::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new()
}
