//! Sequencing: events that are committed get their places, one transaction a round.
//!
//! What is new is what the snapshot of the last pass did not see. A pass takes a snapshot and goes through all
//! that this one sees and the last did not, in rounds; when it is through, its snapshot is stored in the place
//! of the last. Killed anywhere, the round under way has not happened, and the next pass finds what is left.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use openpam_ledger::{Frontier, Tiler, leaf_hash};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use super::{
    error::LedgerError,
    store::{
        self, NewEntries, Window,
        read::{self, Tree},
    },
    types::Draft,
};
use crate::{context::Actor, db::set_scope};

/// Events and row changes, each, of one round.
const MOST: i32 = 5_000;
/// Trees that are kept in memory between rounds: at most 255 hashes a level each.
const MAX_TILERS: usize = 1_000;
/// Without anything new the snapshot is stored this often, so that it does not name transactions long gone.
const WATERMARK_INTERVAL: Duration = Duration::from_secs(10);
/// Between passes that come across a tenant whose ledger is damaged.
const REST: Duration = Duration::from_secs(1);

/// A walk through what one snapshot sees and the one before did not.
#[derive(Debug)]
struct Pass {
    seen: String,
    until: String,
    events: Cursor,
    changes: Cursor,
    /// Tenants some of whose events have no place yet, for their ledger is damaged. The snapshot may not be stored, and
    /// in this pass nothing goes before what they wait with.
    left: BTreeSet<Uuid>,
}

#[derive(Debug, Default)]
struct Cursor {
    behind: (i64, Uuid),
    through: bool,
}

impl Cursor {
    fn advance(&mut self, taken: usize, last: Option<(i64, Uuid)>) {
        self.through = taken < usize::try_from(MOST).unwrap_or_default();
        self.behind = last.unwrap_or(self.behind);
    }
}

/// What came of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// Entries that got their places.
    pub(super) entries: usize,
    /// More are waiting.
    pub(super) more: bool,
}

/// What the leader remembers between rounds.
#[derive(Debug)]
pub(super) struct Sequencer {
    tilers: HashMap<Uuid, Tiler>,
    pass: Option<Pass>,
    stored_at: Instant,
    altered: BTreeSet<Uuid>,
    /// Tenants whose stored ledger is damaged. The others go on without them.
    stuck: BTreeSet<Uuid>,
    rest_until: Option<Instant>,
}

impl Sequencer {
    pub(super) fn new() -> Self {
        Self {
            tilers: HashMap::new(),
            pass: None,
            stored_at: Instant::now(),
            altered: BTreeSet::new(),
            stuck: BTreeSet::new(),
            rest_until: None,
        }
    }

    /// Tenants whose stored heads were not the ones that this leader had written last. Their events still get places.
    pub(super) fn altered(&mut self) -> BTreeSet<Uuid> {
        std::mem::take(&mut self.altered)
    }

    /// Whether the stored ledger of a tenant is damaged, whose events wait.
    pub(super) fn is_stuck(&self) -> bool {
        !self.stuck.is_empty()
    }

    /// One round. After an error nothing of it has happened, and nothing is remembered of what was before.
    pub(super) async fn round(&mut self, connection: &mut PgConnection, epoch: i64) -> Result<Round, LedgerError> {
        let result = self.try_round(connection, epoch).await;
        if result.is_err() {
            self.tilers.clear();
            self.pass = None;
        }
        result
    }

    async fn try_round(&mut self, connection: &mut PgConnection, epoch: i64) -> Result<Round, LedgerError> {
        let is_resting = self.rest_until.is_some_and(|until| Instant::now() < until);
        if self.pass.is_none() && is_resting {
            return Ok(Round { entries: 0, more: false });
        }
        let mut tx = connection.begin().await?;
        if self.is_stuck() {
            // What waits is gone through in each pass, which may take long: nobody takes over meanwhile.
            store::fence(&mut tx, epoch).await?;
        }
        let mut pass = match self.pass.take() {
            Some(pass) => pass,
            None => {
                let (seen, until) = store::snapshots(&mut tx).await?;
                Pass { seen, until, events: Cursor::default(), changes: Cursor::default(), left: BTreeSet::new() }
            }
        };
        let drafts = if pass.seen == pass.until { Vec::new() } else { pass.take(&mut tx).await? };
        let through = pass.seen == pass.until || pass.events.through && pass.changes.through;
        let is_due = self.stored_at.elapsed() > WATERMARK_INTERVAL && pass.seen != pass.until;
        if drafts.is_empty() && through && !is_due && pass.left.is_empty() {
            tx.rollback().await?;
            return Ok(Round { entries: 0, more: false });
        }
        store::fence(&mut tx, epoch).await?;
        let mut entries = 0;
        let mut by_tenant = BTreeMap::<Uuid, Vec<Draft>>::new();
        for draft in drafts {
            by_tenant.entry(draft.tenant_id).or_default().push(draft);
        }
        by_tenant.retain(|tenant_id, _| !pass.left.contains(tenant_id));
        for (tenant_id, drafts) in by_tenant {
            let count = drafts.len();
            let mut savepoint = tx.begin().await?;
            match self.append(&mut savepoint, tenant_id, drafts).await {
                Ok(()) => {
                    savepoint.commit().await?;
                    entries += count;
                    if self.stuck.remove(&tenant_id) {
                        tracing::info!(%tenant_id, "the tenant's events get places again");
                    }
                }
                Err(error) if error.is_of_one_log() => {
                    savepoint.rollback().await?;
                    pass.left.insert(tenant_id);
                    if self.stuck.insert(tenant_id) {
                        tracing::error!(%tenant_id, %error, "the tenant's ledger is damaged: its events wait");
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if through && !pass.left.is_empty() {
            // Each pass finds them again.
            self.rest_until = Some(Instant::now() + REST);
        } else if through {
            store::set_watermark(&mut tx, epoch, &pass.until).await?;
            self.stored_at = Instant::now();
        }
        tx.commit().await?;
        if !through {
            self.pass = Some(pass);
        }
        Ok(Round { entries, more: !through })
    }

    /// Gives one tenant's entries their places.
    async fn append(
        &mut self,
        connection: &mut PgConnection,
        tenant_id: Uuid,
        drafts: Vec<Draft>,
    ) -> Result<(), LedgerError> {
        set_scope(connection, &tenant_id.to_string(), &Actor::System.to_string(), "ledger").await?;
        let frontier = match store::head(connection).await? {
            Some((_, bytes)) => Frontier::from_bytes(&bytes).ok_or(LedgerError::Stored("a head cannot be read"))?,
            None => Frontier::new(),
        };
        let mut tiler = match self.tilers.remove(&tenant_id) {
            Some(tiler) if *tiler.tree() == frontier => tiler,
            kept => {
                // Nobody else writes heads in this epoch.
                self.altered.extend(kept.map(|_| tenant_id));
                restore(connection, Tree::Tenant, &frontier).await?
            }
        };
        let (mut entries, mut tiles) = (NewEntries::default(), Vec::new());
        for draft in &drafts {
            let seq = tiler.tree().size();
            let (canonical, whole) = draft.encode(seq);
            if !whole {
                tracing::error!(%tenant_id, event_id = %draft.event_id, seq, "an event has no form in the ledger");
            }
            let leaf = leaf_hash(&canonical);
            tiles.extend(tiler.push(leaf).ok_or(LedgerError::Stored("the tree is full"))?);
            entries.seq.push(seq.cast_signed());
            entries.event_id.push(draft.event_id);
            entries.kind.push(draft.kind as i16);
            entries.canonical.push(canonical);
            entries.leaf_hash.push(leaf.0.to_vec());
        }
        store::insert_entries(connection, tenant_id, &entries).await?;
        if !tiles.is_empty() {
            store::insert_tiles(connection, tenant_id, &tiles).await?;
        }
        let tree = tiler.tree();
        store::set_head(connection, tenant_id, tree.size().cast_signed(), &tree.to_bytes()).await?;
        if self.tilers.len() >= MAX_TILERS {
            self.tilers.clear();
        }
        self.tilers.insert(tenant_id, tiler);
        Ok(())
    }
}

impl Pass {
    /// The next of both kinds, in the order of their times.
    async fn take(&mut self, connection: &mut PgConnection) -> Result<Vec<Draft>, LedgerError> {
        let mut drafts = Vec::new();
        let window = |behind| Window { seen: &self.seen, until: &self.until, behind, most: MOST };
        if !self.events.through {
            let (mut taken, mut last) = (0, None);
            store::new_events(connection, window(self.events.behind), |row| {
                taken += 1;
                last = Some((row.xid, row.event_id));
                drafts.push(row.draft());
            })
            .await?;
            self.events.advance(taken, last);
        }
        if !self.changes.through {
            let (mut taken, mut last) = (0, None);
            store::new_changes(connection, window(self.changes.behind), |row| {
                taken += 1;
                last = Some((row.xid, row.event_id));
                drafts.push(row.draft());
            })
            .await?;
            self.changes.advance(taken, last);
        }
        drafts.sort_by_key(|draft| (draft.time, draft.event_id));
        Ok(drafts)
    }
}

/// The tree again, from what is stored of its right edge.
pub(super) async fn restore(
    connection: &mut PgConnection,
    tree: Tree,
    frontier: &Frontier,
) -> Result<Tiler, LedgerError> {
    let mut edge = Vec::new();
    let mut count = frontier.size();
    for (level, length) in (0..).zip(Tiler::edge_lengths(frontier.size())) {
        edge.push(read::hashes(connection, tree, level, count - length as u64, length).await?);
        count >>= openpam_ledger::TILE_HEIGHT;
    }
    let tiler = Tiler::restore(frontier.size(), edge).filter(|tiler| tiler.tree() == frontier);
    tiler.ok_or(LedgerError::Stored("entries and tiles do not make the head of the tree"))
}
