//! What every HTTP answer of the hub shares: problems, extractors, routes with their access rule,
//! the middleware around them, the UI's files.

mod app;
mod assets;
mod body;
mod extract;
mod guard;
mod health;
mod idempotency;
mod observe;
mod page;
mod patch;
mod problem;
mod routes;
mod seats;
mod stored;

#[cfg(test)]
pub(crate) use app::REQUEST_TIMEOUT;
pub use app::{application, openapi};
pub(crate) use extract::has_nul;
pub use extract::{Json, OptionalJson, Path, Query};
pub(crate) use guard::cookie;
pub use guard::{ClientInfo, SESSION_COOKIE_HTTP, SESSION_COOKIE_HTTPS, same_origin, session_cookie_name};
pub use page::{Page, PageQuery, SearchQuery};
pub use patch::nullable;
pub use problem::{FieldError, Problem, ProblemBody};
pub use routes::{Access, Routes};
