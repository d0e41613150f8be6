//! Checkpoints: the heads that were committed, signed; and the system's log over the tenants' checkpoints.

use std::collections::{HashMap, HashSet};

use openpam_ledger::{Checkpoint, Frontier, LedgerName, Log, Note, Tile, Tiler, TreeHead};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use super::{
    error::LedgerError,
    keys::Signer,
    known::Known,
    sequence::restore,
    store::{
        self, Unsigned,
        read::{self, Tree},
    },
};
use crate::{context::Actor, db::set_scope};

/// Tenants whose heads are signed in one transaction.
const MOST: i32 = 1_000;
/// After this time a log that could not be signed is tried again. Meanwhile it takes nobody's turn.
const RETRY: Duration = Duration::from_secs(5);

/// What the leader remembers between checkpoints.
#[derive(Debug, Default)]
pub(super) struct Signing {
    /// Logs that cannot be signed: what is stored of them is damaged, or forged. The others go on without them.
    stuck: HashMap<Log, Instant>,
    /// Tenants whose last checkpoints nobody signed, and which the system's log does not get.
    forged: HashMap<Uuid, Instant>,
    /// Every tenant's last checkpoint was in the system's log when this leader looked.
    system_has_all: bool,
}

impl Signing {
    /// Logs that cannot be signed.
    pub(super) fn stuck(&self) -> HashSet<Log> {
        self.stuck.keys().copied().collect()
    }

    /// Tenants whose turn it is not.
    fn resting(&self) -> Vec<Uuid> {
        let is_resting = |at: &Instant| at.elapsed() < RETRY;
        let tenant = |log: &Log| if let Log::Tenant(tenant_id) = log { Some(*tenant_id) } else { None };
        self.stuck.iter().filter(|(_, at)| is_resting(at)).filter_map(|(log, _)| tenant(log)).collect()
    }

    /// Notes how a log fares; told once. What was rewritten is not merely damaged.
    fn note(&mut self, known: &mut Known, log: Log, error: Option<&LedgerError>) {
        match error {
            Some(LedgerError::Altered(log)) => {
                known.refuse(*log);
                self.stuck.insert(*log, Instant::now());
            }
            Some(error) if self.stuck.insert(log, Instant::now()).is_none() => {
                tracing::error!(?log, %error, "a log of the ledger is damaged: it is not signed, the others are");
            }
            Some(_) => {}
            None if self.stuck.remove(&log).is_some() => tracing::info!(?log, "a log of the ledger is signed again"),
            None => {}
        }
    }

    /// Signs what no checkpoint speaks for yet. How many tenants' heads it was.
    ///
    /// INVARIANT: under the fence, and of what is committed: two leaders could at worst sign the same. Nothing is
    /// signed of a log that does not go on from what is `known`: the key must not speak for what was rewritten.
    pub(super) async fn sign(
        &mut self,
        connection: &mut PgConnection,
        epoch: i64,
        ledger: &LedgerName,
        signer: &Signer,
        known: &mut Known,
    ) -> Result<usize, LedgerError> {
        let mut tx = connection.begin().await?;
        store::fence(&mut tx, epoch).await?;
        let mut heads = Vec::new();
        for row in store::unsigned(&mut tx, MOST, &self.resting()).await? {
            let log = Log::Tenant(row.tenant_id);
            let Some(tree) = Frontier::from_bytes(&row.frontier) else {
                self.note(known, log, Some(&LedgerError::Stored("a head cannot be read")));
                continue;
            };
            let head = TreeHead { size: tree.size(), root: tree.root() };
            let mut savepoint = tx.begin().await?;
            match sign_head(&mut savepoint, ledger, signer, known, &row, head).await {
                Ok(()) => {
                    savepoint.commit().await?;
                    heads.push((log, head));
                    self.note(known, log, None);
                }
                Err(error) if error.is_of_one_log() => {
                    savepoint.rollback().await?;
                    self.note(known, log, Some(&error));
                }
                Err(error) => return Err(error),
            }
        }
        let signed = heads.len();
        if signed > 0 || !self.system_has_all {
            let mut savepoint = tx.begin().await?;
            self.forged.retain(|_, at| at.elapsed() < RETRY);
            let but = self.forged.keys().copied().collect::<Vec<_>>();
            match add_to_system(&mut savepoint, ledger, signer, known, &but).await {
                Ok(added) => {
                    savepoint.commit().await?;
                    heads.extend(added.head.map(|head| (Log::System, head)));
                    self.system_has_all = added.has_all && but.is_empty() && added.forged.is_empty();
                    self.forged.extend(added.forged.into_iter().map(|tenant_id| (tenant_id, Instant::now())));
                    self.note(known, Log::System, None);
                }
                Err(error) if error.is_of_one_log() => {
                    savepoint.rollback().await?;
                    self.system_has_all = false;
                    self.note(known, Log::System, Some(&error));
                }
                Err(error) => return Err(error),
            }
        }
        // The fence has said that this leader is there.
        tx.commit().await?;
        for (log, head) in heads {
            known.note(log, head);
        }
        Ok(signed)
    }
}

async fn sign_head(
    connection: &mut PgConnection,
    ledger: &LedgerName,
    signer: &Signer,
    known: &Known,
    row: &Unsigned,
    head: TreeHead,
) -> Result<(), LedgerError> {
    let (log, tenant_id) = (Log::Tenant(row.tenant_id), row.tenant_id);
    if let Some(ahead) = &row.ahead {
        return Err(match signer.has_signed(ledger, log, ahead) {
            true => LedgerError::Altered(log),
            false => LedgerError::Stored("a checkpoint that nobody signed is ahead of the log"),
        });
    }
    set_scope(connection, &tenant_id.to_string(), &Actor::System.to_string(), "ledger").await?;
    if !known.has(log)
        && let Some((_, note)) = store::verify::last_checkpoint(connection, None).await?
        && !signer.has_signed(ledger, log, &note)
    {
        return Err(LedgerError::Stored("the log's last checkpoint is not signed by this key"));
    }
    known.check(connection, log, &head).await?;
    let note = signer.sign(&Checkpoint::new(ledger, log, head))?;
    store::insert_checkpoint(connection, tenant_id, head.size.cast_signed(), &head.root, &note.to_text()).await?;
    Ok(())
}

/// What came of the system's log.
struct Added {
    /// Its head, where it grew.
    head: Option<TreeHead>,
    /// Nothing is left that could be added.
    has_all: bool,
    /// Tenants whose checkpoints this key did not sign.
    forged: Vec<Uuid>,
}

/// The tenants' last checkpoints that the system's log has not yet, and its own head signed. One that this key did
/// not sign is none: the application's role may have put it there.
async fn add_to_system(
    connection: &mut PgConnection,
    ledger: &LedgerName,
    signer: &Signer,
    known: &Known,
    but: &[Uuid],
) -> Result<Added, LedgerError> {
    let missing = store::not_in_system(connection, MOST, but).await?;
    let mut forged = Vec::new();
    let has_all = missing.len() < MOST.unsigned_abs() as usize;
    let mut tiles = Vec::<Tile>::new();
    let mut tiler = None::<Tiler>;
    for (tenant_id, size, note) in missing {
        if !signer.has_signed(ledger, Log::Tenant(tenant_id), &note) {
            forged.push(tenant_id);
            continue;
        }
        let tiler = match &mut tiler {
            Some(tiler) => tiler,
            None => tiler.insert(system_tree(connection, ledger, signer, known).await?),
        };
        let note = Note::parse(note.as_bytes())?;
        let seq = tiler.tree().size().cast_signed();
        store::insert_system_leaf(connection, seq, tenant_id, size, note.text()).await?;
        let leaf = openpam_ledger::leaf_hash(note.text().as_bytes());
        tiles.extend(tiler.push(leaf).ok_or(LedgerError::Stored("the tree is full"))?);
    }
    let Some(tiler) = tiler else { return Ok(Added { head: None, has_all, forged }) };
    if !tiles.is_empty() {
        store::insert_system_tiles(connection, &tiles).await?;
    }
    let tree = tiler.tree();
    let head = TreeHead { size: tree.size(), root: tree.root() };
    let note = signer.sign(&Checkpoint::new(ledger, Log::System, head))?.to_text();
    store::insert_system_checkpoint(connection, head.size.cast_signed(), &head.root, &tree.to_bytes(), &note).await?;
    Ok(Added { head: Some(head), has_all, forged })
}

/// The system's tree at its last checkpoint, which this key has signed: the application's role can put others there, and
/// leaves before them.
async fn system_tree(
    connection: &mut PgConnection,
    ledger: &LedgerName,
    signer: &Signer,
    known: &Known,
) -> Result<Tiler, LedgerError> {
    let frontier = match read::system_frontier(connection).await? {
        Some((bytes, note)) => {
            let frontier = Frontier::from_bytes(&bytes);
            let signed = signer.head(ledger, Log::System, &note);
            frontier
                .filter(|tree| signed == Some(TreeHead { size: tree.size(), root: tree.root() }))
                .ok_or(LedgerError::Stored("the system's last checkpoint is not signed by this key"))?
        }
        None => Frontier::new(),
    };
    let head = TreeHead { size: frontier.size(), root: frontier.root() };
    known.check(connection, Log::System, &head).await?;
    if head.size == 0 {
        return Ok(Tiler::new());
    }
    restore(connection, Tree::System, &frontier).await
}
