//! Webhooks: plain values.

use chrono::{DateTime, Utc};
use openpam_ids::WebhookId;

/// An address that gets events.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    pub(super) id: WebhookId,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) url: String,
    /// Exact types, prefixes that end with `.*`, or `*`.
    pub(super) event_types: Vec<String>,
    pub(super) enabled: bool,
    /// Where the secret is that signs what it gets.
    pub(super) vault_path: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    /// Deliveries under way or waiting.
    pub(super) pending: i64,
    /// Dead letters.
    pub(super) failed: i64,
    /// When it last took something.
    pub(super) last_success_at: Option<DateTime<Utc>>,
}

/// What an administrator says of a webhook.
#[derive(Debug, Clone)]
pub(super) struct WebhookFields {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) url: String,
    pub(super) event_types: Vec<String>,
    pub(super) enabled: bool,
}

/// A change; absent fields stay.
#[derive(Debug, Default)]
pub(super) struct WebhookChange {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) url: Option<String>,
    pub(super) event_types: Option<Vec<String>>,
    pub(super) enabled: Option<bool>,
}
