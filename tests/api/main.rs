//! The HTTP API: who may call what, what it makes of bad input, how sign-in behaves.

mod addresses;
mod attacks;
mod bad_input;
mod concurrent;
mod coverage;
mod forged;
mod limited;
mod provider;
mod repeats;
mod sign_in;
