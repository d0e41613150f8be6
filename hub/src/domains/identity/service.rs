//! Use cases of identity.

pub(super) mod accounts;
pub(super) mod authenticate;
pub(super) mod claims;
pub(super) mod groups;
pub(super) mod local;
pub(super) mod oidc;
pub(super) mod provision;
pub(super) mod sign_in;
pub(super) mod users;
