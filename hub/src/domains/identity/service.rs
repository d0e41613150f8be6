//! Use cases of identity.

pub(super) mod authenticate;
pub(super) mod local;
pub(super) mod provision;
pub(super) mod sign_in;
