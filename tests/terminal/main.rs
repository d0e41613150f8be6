//! Terminals on real SSH servers, through the real hub.

mod access;
mod asciinema;
mod aside;
mod crashes;
mod elsewhere;
mod endings;
mod evidence;
mod flow;
mod guests;
mod hosts;
mod recordings;
mod refusals;
mod resume;
mod retention;
mod search;
mod stores;
mod vault;
mod watch;
mod work;
