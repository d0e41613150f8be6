//! Identity over HTTP.

mod accounts;
mod auth;
mod groups;
mod me;
mod oidc;
mod users;

use serde::Deserialize;
use uuid::Uuid;

use crate::http::{Cursor, PageQuery, Problem, Routes};

pub(crate) fn routes() -> Routes {
    auth::routes().merge(oidc::routes()).merge(users::routes()).merge(groups::routes()).merge(accounts::routes())
}

/// Filters of a list by name.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// Items a page, 1 to 200.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Part of a name or description.
    q: Option<String>,
}

impl SearchQuery {
    fn text(&self) -> Option<&str> {
        self.q.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }

    fn cursor(&self) -> Result<Cursor<(String, Uuid)>, Problem> {
        PageQuery { limit: self.limit, cursor: self.cursor.clone() }.cursor()
    }
}
