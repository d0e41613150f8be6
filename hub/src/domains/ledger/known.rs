//! What this hub knows was signed. A log that does not go on from there was rewritten, by whatever signs for the
//! database, and is not signed.

use std::collections::HashMap;

use openpam_ledger::{Checkpoint, Log, Note, Plan, TreeHead, verify_consistency};
use sqlx::PgConnection;

use super::{
    error::LedgerError,
    proofs,
    store::{self, read::Tree},
};

/// The last signed head of each log, as this process saw it.
#[derive(Debug, Default)]
pub(super) struct Known {
    heads: HashMap<Log, TreeHead>,
}

impl Known {
    /// Takes the stored checkpoints of logs of which nothing is known yet.
    pub(super) async fn learn(&mut self, connection: &mut PgConnection) -> Result<(), LedgerError> {
        for (tenant_id, _, note) in store::latest_checkpoints(connection).await? {
            let checkpoint = Note::parse(note.as_bytes()).and_then(|note| Checkpoint::parse(note.text()));
            if let Ok(checkpoint) = checkpoint {
                let log = tenant_id.map_or(Log::System, Log::Tenant);
                self.heads.entry(log).or_insert_with(|| checkpoint.head());
            }
        }
        Ok(())
    }

    /// Fails where the log's tree, of which the database has this head, is not the known one or one that it grew to.
    /// The transaction's tenant is the log's.
    pub(super) async fn check(
        &self,
        connection: &mut PgConnection,
        log: Log,
        new: &TreeHead,
    ) -> Result<(), LedgerError> {
        let Some(old) = self.heads.get(&log).filter(|old| *old != new) else { return Ok(()) };
        let altered = || LedgerError::Altered(log);
        if old.size >= new.size {
            return Err(altered());
        }
        let plan = Plan::consistency(old.size, new.size).map_err(|_| altered())?;
        let tree = if log == Log::System { Tree::System } else { Tree::Tenant };
        let nodes = plan.nodes().collect::<Vec<_>>();
        let hashes = match proofs::read(connection, tree, new.size, &nodes).await {
            // A part of it is gone.
            Err(LedgerError::Stored(_)) => return Err(altered()),
            hashes => hashes?,
        };
        let proof = plan.assemble(&hashes).ok_or_else(altered)?;
        verify_consistency(old, new, &proof).map_err(|_| altered())
    }

    /// Notes what was signed and committed.
    pub(super) fn note(&mut self, log: Log, head: TreeHead) {
        self.heads.insert(log, head);
    }
}
