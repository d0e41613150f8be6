//! Checkpoints: the heads that were committed, signed; and the system's log over the tenants' checkpoints.

use openpam_ledger::{Checkpoint, Frontier, LedgerName, Log, Tiler, TreeHead};
use sqlx::{Connection as _, PgConnection};

use super::{
    error::LedgerError,
    keys::Signer,
    known::Known,
    sequence::restore,
    store::{
        self,
        read::{self, Tree},
    },
};
use crate::{context::Actor, db::set_scope};

/// Tenants whose heads are signed in one transaction.
const MOST: usize = 1_000;

/// Signs what no checkpoint speaks for yet. How many tenants' heads it was.
///
/// INVARIANT: under the fence, and of what is committed: two leaders could at worst sign the same. Nothing is signed
/// of a log that does not go on from what is `known`: the key must not speak for what was rewritten.
pub(super) async fn sign(
    connection: &mut PgConnection,
    epoch: i64,
    ledger: &LedgerName,
    signer: &Signer,
    known: &mut Known,
) -> Result<usize, LedgerError> {
    let mut tx = connection.begin().await?;
    store::fence(&mut tx, epoch).await?;
    let mut unsigned = store::unsigned(&mut tx).await?;
    unsigned.truncate(MOST);
    if unsigned.is_empty() {
        // The fence has said that this leader is there.
        tx.commit().await?;
        return Ok(0);
    }
    let mut texts = Vec::with_capacity(unsigned.len());
    let mut heads = Vec::with_capacity(unsigned.len());
    for row in &unsigned {
        // The sequencer has told of it.
        let Some(tree) = Frontier::from_bytes(&row.frontier) else { continue };
        let head = TreeHead { size: tree.size(), root: tree.root() };
        let (log, tenant_id, size) = (Log::Tenant(row.tenant_id), row.tenant_id, head.size.cast_signed());
        set_scope(&mut tx, &tenant_id.to_string(), &Actor::System.to_string(), "ledger").await?;
        known.check(&mut tx, log, &head).await?;
        let checkpoint = Checkpoint::new(ledger, log, head);
        let note = signer.sign(&checkpoint)?;
        heads.push((log, head));
        store::insert_checkpoint(&mut tx, tenant_id, size, &head.root, &note.to_text()).await?;
        texts.push((tenant_id, size, checkpoint.to_text()));
    }
    if texts.is_empty() {
        tx.commit().await?;
        return Ok(0);
    }
    let mut tiler = system_tree(&mut tx, known).await?;
    let mut tiles = Vec::new();
    for (tenant_id, size, text) in &texts {
        let seq = tiler.tree().size().cast_signed();
        store::insert_system_leaf(&mut tx, seq, *tenant_id, *size, text).await?;
        let leaf = openpam_ledger::leaf_hash(text.as_bytes());
        tiles.extend(tiler.push(leaf).ok_or(LedgerError::Stored("the tree is full"))?);
    }
    if !tiles.is_empty() {
        store::insert_system_tiles(&mut tx, &tiles).await?;
    }
    let tree = tiler.tree();
    let head = TreeHead { size: tree.size(), root: tree.root() };
    let note = signer.sign(&Checkpoint::new(ledger, Log::System, head))?.to_text();
    store::insert_system_checkpoint(&mut tx, head.size.cast_signed(), &head.root, &tree.to_bytes(), &note).await?;
    heads.push((Log::System, head));
    tx.commit().await?;
    for (log, head) in heads {
        known.note(log, head);
    }
    Ok(texts.len())
}

async fn system_tree(connection: &mut PgConnection, known: &Known) -> Result<Tiler, LedgerError> {
    let frontier = match read::system_frontier(connection).await? {
        Some(bytes) => Frontier::from_bytes(&bytes).ok_or(LedgerError::Stored("the system's head cannot be read"))?,
        None => Frontier::new(),
    };
    let head = TreeHead { size: frontier.size(), root: frontier.root() };
    known.check(connection, Log::System, &head).await?;
    if head.size == 0 {
        return Ok(Tiler::new());
    }
    restore(connection, Tree::System, &frontier).await
}
