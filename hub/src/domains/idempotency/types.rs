//! What is claimed.

/// One request with its key, as it stands in the table.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(super) principal: uuid::Uuid,
    pub(super) key: String,
    pub(super) request_hash: Vec<u8>,
}
