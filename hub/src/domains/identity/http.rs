//! Identity over HTTP.

mod accounts;
mod auth;
mod groups;
mod me;
mod oidc;
mod permissions;
mod users;

use crate::http::Routes;

pub(crate) fn routes() -> Routes {
    auth::routes()
        .merge(oidc::routes())
        .merge(users::routes())
        .merge(groups::routes())
        .merge(accounts::routes())
        .merge(permissions::routes())
}
