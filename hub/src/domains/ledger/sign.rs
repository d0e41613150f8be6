//! Checkpoints: the heads that were committed, signed; and the system's log over the tenants' checkpoints.

use openpam_ledger::{Checkpoint, Frontier, LedgerName, Log, Tiler, TreeHead};
use sqlx::{Connection as _, PgConnection};

use super::{
    error::LedgerError,
    keys::Signer,
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
/// INVARIANT: under the fence, and of what is committed: two leaders could at worst sign the same.
pub(super) async fn sign(
    connection: &mut PgConnection,
    epoch: i64,
    ledger: &LedgerName,
    signer: &Signer,
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
    for row in &unsigned {
        let tree = Frontier::from_bytes(&row.frontier).ok_or(LedgerError::Stored("a head cannot be read"))?;
        let head = TreeHead { size: tree.size(), root: tree.root() };
        let checkpoint = Checkpoint::new(ledger, Log::Tenant(row.tenant_id), head);
        let note = signer.sign(&checkpoint)?;
        let (tenant_id, size) = (row.tenant_id, head.size.cast_signed());
        set_scope(&mut tx, &tenant_id.to_string(), &Actor::System.to_string(), "ledger").await?;
        store::insert_checkpoint(&mut tx, tenant_id, size, &head.root, &note.to_text()).await?;
        texts.push((tenant_id, size, checkpoint.to_text()));
    }
    let mut tiler = system_tree(&mut tx).await?;
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
    tx.commit().await?;
    Ok(texts.len())
}

async fn system_tree(connection: &mut PgConnection) -> Result<Tiler, LedgerError> {
    let Some(bytes) = read::system_frontier(connection).await? else { return Ok(Tiler::new()) };
    let frontier = Frontier::from_bytes(&bytes).ok_or(LedgerError::Stored("the system's head cannot be read"))?;
    restore(connection, Tree::System, &frontier).await
}
