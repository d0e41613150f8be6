//! The layout rules of the design, checked on the source; each with a sample that proves it can fail.

mod dependencies;
mod documents;
mod domains;
mod routes;
mod source;
mod sql;
mod text;
