//! Terminals on real SSH servers, through the real hub.

mod access;
mod endings;
mod flow;
mod refusals;
mod resume;
mod work;
