//! Identity over HTTP.

mod auth;
mod me;

use crate::http::Routes;

pub(crate) fn routes() -> Routes {
    auth::routes()
}
