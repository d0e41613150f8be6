//! Erasure: the contents of a person's entries go, their digests stay. An entry of the same log says what went; without
//! one a verification takes it for tampering.

use chrono::{DateTime, Utc};
use openpam_ids::{TenantId, UserId};
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    error::LedgerError,
    store::erase::{self as store, Personal},
};
use crate::{
    context::Context,
    db::set_scope,
    domains::{
        audit::{self, Event, record},
        events, identity,
    },
};

/// The action of an entry that says what was erased.
pub(super) const ERASE: &str = "ledger.erase";
/// Rows that one entry names: each takes 40 of the 65,536 bytes that its detail may have.
const MOST: i64 = 500;

/// What such an entry names.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Erased {
    pub(super) events: Vec<Uuid>,
    pub(super) row_changes: Vec<Uuid>,
}

/// What came of an erasure.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Events whose contents are gone.
    pub events: u64,
    /// Row changes whose images are gone.
    pub row_changes: u64,
    /// Published events in which the person is no longer named.
    pub published: u64,
    /// Rows that no checkpoint speaks for yet. They keep their contents.
    pub unsigned: u64,
}

/// Erases the contents of what a user did, and of what was done to their account and is of it, as the owner of the
/// database: of all that is signed, or of what is older.
///
/// # Errors
/// When the account is there and enabled, or the database refuses.
pub async fn erase(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    user_id: UserId,
    before: Option<DateTime<Utc>>,
    reason: &str,
) -> Result<Erasure, LedgerError> {
    let context = Context::system(tenant_id, "audit erase");
    let mut erasure = Erasure::default();
    loop {
        let mut tx = connection.begin().await?;
        set_scope(&mut tx, &tenant_id.to_string(), &context.principal.actor.to_string(), "audit erase").await?;
        if identity::is_enabled(&mut tx, user_id).await? == Some(true) {
            return Err(LedgerError::Enabled);
        }
        let Personal { events, row_changes } = store::personal(&mut tx, user_id.as_uuid(), before, MOST).await?;
        let published = events::erase(&mut tx, user_id, before).await?;
        if events.is_empty() && row_changes.is_empty() && published == 0 {
            erasure.unsigned = store::unsigned(&mut tx, user_id.as_uuid(), before).await?.unsigned_abs();
            tx.rollback().await?;
            return Ok(erasure);
        }
        erasure.events += events.len() as u64;
        erasure.row_changes += row_changes.len() as u64;
        erasure.published += published;
        let text = |ids: &[Uuid]| ids.iter().map(Uuid::to_string).collect::<Vec<_>>();
        let event = Event::success(ERASE)
            .with("user_id", user_id.to_string())
            .with("reason", reason)
            .with("events", text(&events))
            .with("row_changes", text(&row_changes))
            .with("published", published);
        record(&mut tx, &context, event).await?;
        audit::erase(&mut tx, &events, &row_changes).await?;
        tx.commit().await?;
    }
}
