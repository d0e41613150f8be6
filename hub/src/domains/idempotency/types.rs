//! What is claimed.

use crate::context::RequestClaim;

/// One request with its key, as it stands in the table.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(super) principal: uuid::Uuid,
    pub(super) key: String,
    pub(super) request_hash: Vec<u8>,
}

impl Claim {
    /// For the context of the request that has it.
    pub(crate) fn of_request(&self) -> RequestClaim {
        RequestClaim { principal: self.principal, key: self.key.as_str().into() }
    }
}
