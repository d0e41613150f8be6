//! Sequencing: events that are committed get their places, one transaction a round.
//!
//! What is new is what the snapshot of the last pass did not see. A pass takes a snapshot and goes through all
//! that this one sees and the last did not, in rounds; when it is through, its snapshot is stored in the place
//! of the last. Killed anywhere, the round under way has not happened, and the next pass finds what is left.
//! A tenant whose stored ledger is damaged is noted, and goes its own way from there: the pass goes on without it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use openpam_ledger::{Frontier, Tiler, leaf_hash};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use super::{
    error::LedgerError,
    store::{
        self, NewEntries, damaged,
        read::{self, Tree},
    },
    types::{Draft, Pass},
};
use crate::{context::Actor, db::set_scope};

/// Trees that are kept in memory between rounds: at most 255 hashes a level each.
const MAX_TILERS: usize = 1_000;
/// Without anything new the snapshot is stored this often, so that it does not name transactions long gone.
const WATERMARK_INTERVAL: Duration = Duration::from_secs(10);
/// A look that takes longer is not begun without the fence again.
const QUICK: Duration = Duration::from_millis(200);
/// Between tries of those whose ledger is damaged, and how many are tried each time.
const RETRY: Duration = Duration::from_secs(1);
const MOST_RETRIES: i32 = 10;

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
    /// The snapshot that was stored last, while nothing behind it has got a place: then none is looked for. Were one there
    /// all the same, the database refused it, and the tenant would be tried again as a damaged one.
    stored: Option<String>,
    altered: BTreeSet<Uuid>,
    /// Whether the next look may take long: then nobody takes over meanwhile.
    busy: bool,
    retry_at: Instant,
    /// Tenants that are noted as damaged.
    damaged: BTreeSet<Uuid>,
}

impl Sequencer {
    pub(super) fn new() -> Self {
        Self {
            tilers: HashMap::new(),
            pass: None,
            stored_at: Instant::now(),
            stored: None,
            altered: BTreeSet::new(),
            busy: true,
            retry_at: Instant::now(),
            damaged: BTreeSet::new(),
        }
    }

    /// Tenants whose stored heads were not the ones that this leader had written last. Their events still get places.
    pub(super) fn altered(&mut self) -> BTreeSet<Uuid> {
        std::mem::take(&mut self.altered)
    }

    /// Tenants whose stored ledger is damaged, and whose events wait.
    pub(super) fn damaged(&self) -> &BTreeSet<Uuid> {
        &self.damaged
    }

    /// One round. After an error nothing of it has happened, and nothing is remembered of what was before.
    pub(super) async fn round(&mut self, connection: &mut PgConnection, epoch: i64) -> Result<Round, LedgerError> {
        let result = self.try_round(connection, epoch).await;
        if result.is_err() {
            self.forget();
        }
        result
    }

    /// Of what was not committed nothing is to be remembered.
    pub(super) fn forget(&mut self) {
        self.tilers.clear();
        self.pass = None;
        self.stored = None;
        self.busy = true;
    }

    /// Something got its place beside the passes.
    pub(super) fn placed_aside(&mut self) {
        self.stored = None;
    }

    async fn try_round(&mut self, connection: &mut PgConnection, epoch: i64) -> Result<Round, LedgerError> {
        let begun = Instant::now();
        let mut tx = connection.begin().await?;
        if self.busy {
            store::fence(&mut tx, epoch).await?;
        }
        let mut pass = match self.pass.take() {
            Some(pass) => pass,
            None => {
                let (seen, until) = store::snapshots(&mut tx).await?;
                Pass::new(seen, until)
            }
        };
        let before = pass.clone();
        let is_certain = self.stored.as_ref() == Some(&pass.seen);
        let drafts = pass.take(&mut tx, None, !is_certain).await?;
        let through = pass.is_through();
        let was_fenced = std::mem::replace(&mut self.busy, !through || begun.elapsed() > QUICK);
        // What took many looks is not to be looked at again.
        let is_due = pass.seen != pass.until && (was_fenced || self.stored_at.elapsed() > WATERMARK_INTERVAL);
        if drafts.is_empty() && through && !is_due {
            tx.rollback().await?;
            return Ok(Round { entries: 0, more: false });
        }
        if !was_fenced {
            store::fence(&mut tx, epoch).await?;
        }
        let entries = self.place(&mut tx, epoch, drafts, &before).await?;
        if through {
            store::set_watermark(&mut tx, epoch, &pass.until).await?;
            self.stored_at = Instant::now();
        }
        tx.commit().await?;
        if through {
            self.stored = Some(pass.until);
        } else {
            self.pass = Some(pass);
        }
        Ok(Round { entries, more: !through })
    }

    /// Gives the drafts their places. A tenant for whom that cannot be done goes its own way from where the pass was
    /// `before` this look.
    async fn place(
        &mut self,
        connection: &mut PgConnection,
        epoch: i64,
        drafts: Vec<Draft>,
        before: &Pass,
    ) -> Result<usize, LedgerError> {
        let mut by_tenant = BTreeMap::<Uuid, Vec<Draft>>::new();
        for draft in drafts {
            by_tenant.entry(draft.tenant_id).or_default().push(draft);
        }
        let mut entries = 0;
        for (tenant_id, drafts) in by_tenant {
            let count = drafts.len();
            let mut savepoint = connection.begin().await?;
            match self.append(&mut savepoint, tenant_id, drafts).await {
                Ok(()) => {
                    savepoint.commit().await?;
                    entries += count;
                }
                Err(error) if error.is_of_one_log() => {
                    savepoint.rollback().await?;
                    self.damage(connection, epoch, tenant_id, &error, before).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    /// Lets a tenant go its own way from where the pass stood.
    pub(super) async fn damage(
        &mut self,
        connection: &mut PgConnection,
        epoch: i64,
        tenant_id: Uuid,
        error: &LedgerError,
        pass: &Pass,
    ) -> Result<(), LedgerError> {
        tracing::error!(%tenant_id, %error, "the tenant's ledger is damaged: its events wait");
        damaged::note_damaged(connection, epoch, tenant_id, &error.to_string(), pass).await?;
        self.damaged.insert(tenant_id);
        self.retry_at = Instant::now() + RETRY;
        Ok(())
    }

    /// Tries those again whose ledger was damaged, each second some, and each from where it stood: what was mended goes
    /// on by itself, and joins the others once it has caught up.
    pub(super) async fn retry(&mut self, connection: &mut PgConnection, epoch: i64) -> Result<Round, LedgerError> {
        let result = self.try_again(connection, epoch).await;
        if result.is_err() {
            self.forget();
        }
        result
    }

    async fn try_again(&mut self, connection: &mut PgConnection, epoch: i64) -> Result<Round, LedgerError> {
        let mut round = Round { entries: 0, more: false };
        if Instant::now() < self.retry_at {
            return Ok(round);
        }
        let mut tx = connection.begin().await?;
        let found = damaged::damaged(&mut tx, MOST_RETRIES).await?;
        if found.is_empty() {
            tx.rollback().await?;
            self.damaged.clear();
            self.retry_at = Instant::now() + RETRY;
            return Ok(round);
        }
        store::fence(&mut tx, epoch).await?;
        if found.len() < MOST_RETRIES.unsigned_abs() as usize {
            self.damaged = found.iter().map(|one| one.tenant_id).collect();
        }
        let (_, now) = store::snapshots(&mut tx).await?;
        for one in found {
            let tenant_id = one.tenant_id;
            self.damaged.insert(tenant_id);
            let before = one.pass(&now);
            let mut pass = before.clone();
            let drafts = pass.take(&mut tx, Some(tenant_id), true).await?;
            let count = drafts.len();
            let mut savepoint = tx.begin().await?;
            let placed = match drafts.is_empty() {
                true => Ok(()),
                false => self.append(&mut savepoint, tenant_id, drafts).await,
            };
            match placed {
                Ok(()) => savepoint.commit().await?,
                Err(error) if error.is_of_one_log() => {
                    savepoint.rollback().await?;
                    damaged::damaged_went_on(&mut tx, epoch, tenant_id, &before, false).await?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            round.entries += count;
            let through = pass.is_through();
            damaged::damaged_went_on(&mut tx, epoch, tenant_id, &pass, through).await?;
            round.more |= !through || count > 0;
            // Whoever joins in the middle of a pass would be passed by.
            if through && self.pass.is_none() && damaged::damaged_mended(&mut tx, epoch, tenant_id).await? {
                self.damaged.remove(&tenant_id);
                tracing::info!(%tenant_id, "the tenant's events get places again");
            }
        }
        tx.commit().await?;
        self.placed_aside();
        if !round.more {
            self.retry_at = Instant::now() + RETRY;
        }
        Ok(round)
    }

    /// Gives one tenant's entries their places.
    pub(super) async fn append(
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
