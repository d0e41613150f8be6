//! What this hub knows was signed. A log that does not go on from there was rewritten, by whatever signs for the
//! database, and is not signed.

use std::collections::HashMap;

use openpam_ledger::{LedgerName, Log, Plan, Signers, TreeHead, verify_consistency};
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
    /// Takes the stored checkpoints of logs of which nothing is known yet. One without a signature by one of these
    /// keys is not believed.
    pub(super) async fn learn(
        &mut self,
        connection: &mut PgConnection,
        ledger: &LedgerName,
        log_keys: Vec<[u8; 32]>,
    ) -> Result<(), LedgerError> {
        let signers = Signers::Trusted { log_keys, witnesses: Vec::new(), needed: 0 };
        for (tenant_id, size, note) in store::latest_checkpoints(connection).await? {
            let log = tenant_id.map_or(Log::System, Log::Tenant);
            match signers.verify(ledger, log, note.as_bytes()) {
                Ok(verified) => {
                    self.heads.entry(log).or_insert_with(|| verified.checkpoint.head());
                }
                Err(error) => {
                    tracing::error!(?log, size, %error, "a stored checkpoint is not signed: run openpam audit verify");
                }
            }
        }
        Ok(())
    }

    /// The same for whoever does not lead, with the keys that the database names.
    pub(super) async fn learn_beside(&mut self, connection: &mut PgConnection) -> Result<(), LedgerError> {
        let name = store::verify::name(connection).await?;
        let Some(ledger) = name.and_then(|name| LedgerName::new(&name)) else { return Ok(()) };
        let keys = store::keys(connection).await?;
        let keys = keys.iter().filter_map(|key| key.public_key.as_slice().try_into().ok()).collect();
        self.learn(connection, &ledger, keys).await
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
