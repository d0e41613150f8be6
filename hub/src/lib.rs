//! The hub: signs people in, decides, takes the credential from the vault, bridges the browser to
//! the target, and keeps the trail.
//!
//! See `ARCHITECTURE.md` at the top of the repository for the map and the invariants.

pub mod addresses;
pub(crate) mod aws;
pub mod boot;
pub mod commands;
pub mod config;
pub mod context;
pub mod db;
pub mod dial;
pub mod domains;
pub mod gateway;
pub mod http;
pub(crate) mod objects;
pub mod permissions;
pub mod state;
mod tally;
mod visits;
