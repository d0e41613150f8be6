//! Targets together with their credentials: what people see in the launcher, and the admin's forms.
//!
//! Owns no table; its one query reads those of the domains above.

mod http;
mod store;
mod types;

pub(crate) use http::routes;
