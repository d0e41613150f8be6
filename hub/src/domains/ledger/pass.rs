//! A walk through what one snapshot sees and the one before did not, in looks of so many rows each.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    store::{self, Window},
    types::{Cursor, Draft, Pass},
};

/// Rows of each kind that one look is at, whether they are to get places or have them.
pub(super) const MOST: i32 = 5_000;

impl Cursor {
    fn advance(&mut self, looked: i64, last: Option<(i64, Uuid)>) {
        self.through = looked < i64::from(MOST);
        self.behind = last.unwrap_or(self.behind);
    }
}

impl Pass {
    /// Whether nothing is left to look at.
    pub(super) fn is_through(&self) -> bool {
        self.seen == self.until || self.events.through && self.changes.through
    }

    /// The next of both kinds, in the order of their times: of all tenants but the damaged ones, or of one of these.
    /// `some_are_placed` where it is not certain that none has its place yet.
    pub(super) async fn take(
        &mut self,
        connection: &mut PgConnection,
        only: Option<Uuid>,
        some_are_placed: bool,
    ) -> Result<Vec<Draft>, sqlx::Error> {
        let mut drafts = Vec::new();
        if self.seen == self.until {
            return Ok(drafts);
        }
        let (seen, until) = (&self.seen, &self.until);
        let window = |behind| Window { seen, until, behind, most: MOST, only, some_are_placed };
        if !self.events.through {
            let (mut looked, mut last) = (0, None);
            store::new_events(connection, window(self.events.behind), |row, fresh, all| {
                (looked, last) = (all, last.max(Some((row.xid, row.event_id))));
                drafts.extend(fresh.then(|| row.draft()));
            })
            .await?;
            self.events.advance(looked, last);
        }
        if !self.changes.through {
            let (mut looked, mut last) = (0, None);
            store::new_changes(connection, window(self.changes.behind), |row, fresh, all| {
                (looked, last) = (all, last.max(Some((row.xid, row.event_id))));
                drafts.extend(fresh.then(|| row.draft()));
            })
            .await?;
            self.changes.advance(looked, last);
        }
        drafts.sort_by_key(|draft| (draft.time, draft.event_id));
        Ok(drafts)
    }
}
