//! What this hub knows was signed. A log that does not go on from there was rewritten, by whatever signs for the
//! database, and is not signed.

use std::collections::{HashMap, HashSet};

use openpam_ledger::{Checkpoint, LedgerName, Log, TreeHead};
use sqlx::{Connection as _, PgConnection};

use super::{
    alarms::Alarms,
    error::LedgerError,
    keys::Signer,
    proofs,
    store::{self, read::Tree},
};
use crate::{context::Actor, db::set_scope};

/// The last signed head of each log, as this process saw it.
#[derive(Debug, Default)]
pub(super) struct Known {
    heads: HashMap<Log, TreeHead>,
    /// What the system's log says of a tenant's, until this process has signed it itself.
    leaves: HashMap<Log, TreeHead>,
    /// Logs that were rewritten: this process signs them no more, whatever becomes of them.
    refused: HashSet<Log>,
    news: Vec<Log>,
    /// What of it the vault is to keep.
    pub(super) alarms: Alarms,
}

impl Known {
    /// Takes the stored checkpoints of logs of which nothing is known yet, and what the system's log says of them. What
    /// this key has not signed is not believed: the application's role can put other checkpoints and keys there.
    pub(super) async fn learn(
        &mut self,
        connection: &mut PgConnection,
        ledger: &LedgerName,
        signer: &Signer,
    ) -> Result<(), LedgerError> {
        let mut system = 0;
        for (tenant_id, size, note) in store::latest_checkpoints(connection).await? {
            let log = tenant_id.map_or(Log::System, Log::Tenant);
            let Some(head) = signer.head(ledger, log, &note) else {
                tracing::error!(?log, size, "a stored checkpoint is not signed: run openpam audit verify");
                continue;
            };
            if log == Log::System {
                system = head.size;
            }
            self.heads.entry(log).or_insert(head);
        }
        for (tenant_id, text) in store::latest_leaves(connection, system.cast_signed()).await? {
            let log = Log::Tenant(tenant_id);
            let Ok(checkpoint) = Checkpoint::parse(&text) else { continue };
            if checkpoint.origin() == ledger.origin(log) {
                self.leaves.entry(log).or_insert_with(|| checkpoint.head());
            }
        }
        Ok(())
    }

    /// The same for whoever does not lead, again and again: what another signs is held against what is known, and then
    /// known.
    pub(super) async fn follow(
        &mut self,
        connection: &mut PgConnection,
        ledger: &LedgerName,
        signer: &Signer,
    ) -> Result<(), LedgerError> {
        let mut tx = connection.begin().await?;
        for (tenant_id, _, note) in store::latest_checkpoints(&mut tx).await? {
            let log = tenant_id.map_or(Log::System, Log::Tenant);
            let Some(head) = signer.head(ledger, log, &note) else { continue };
            if self.heads.get(&log) == Some(&head) || self.refused.contains(&log) {
                continue;
            }
            if let Some(tenant_id) = tenant_id {
                set_scope(&mut tx, &tenant_id.to_string(), &Actor::System.to_string(), "ledger").await?;
            }
            match self.check(&mut tx, log, &head).await {
                Ok(()) => self.note(log, head),
                Err(LedgerError::Altered(log)) => self.refuse(log),
                Err(error) => return Err(error),
            }
        }
        tx.rollback().await?;
        Ok(())
    }

    /// Whether it is known how far the log was signed.
    pub(super) fn has(&self, log: Log) -> bool {
        self.heads.contains_key(&log)
    }

    /// Fails where the log's tree, of which the database has this head, is not the known one or one that it grew to.
    /// The transaction's tenant is the log's.
    pub(super) async fn check(
        &self,
        connection: &mut PgConnection,
        log: Log,
        new: &TreeHead,
    ) -> Result<(), LedgerError> {
        if self.refused.contains(&log) {
            return Err(LedgerError::Altered(log));
        }
        let tree = if log == Log::System { Tree::System } else { Tree::Tenant };
        for old in self.heads.get(&log).into_iter().chain(self.leaves.get(&log)) {
            if !proofs::goes_on(connection, tree, old, new).await? {
                return Err(LedgerError::Altered(log));
            }
        }
        Ok(())
    }

    /// Notes what was signed and committed.
    pub(super) fn note(&mut self, log: Log, head: TreeHead) {
        self.leaves.remove(&log);
        self.heads.insert(log, head);
    }

    /// Notes that a log was rewritten.
    pub(super) fn refuse(&mut self, log: Log) {
        if self.refused.insert(log) {
            self.news.push(log);
        }
    }

    /// The logs of which that was noted since it was asked last.
    pub(super) fn news(&mut self) -> Vec<Log> {
        std::mem::take(&mut self.news)
    }
}
