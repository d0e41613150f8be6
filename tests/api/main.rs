//! The HTTP API: who may call what, what it makes of bad input, how sign-in behaves.

mod bad_input;
mod coverage;
mod provider;
mod sign_in;
