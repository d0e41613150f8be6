//! What this hub knows was signed. A log that does not go on from there was rewritten, by whatever signs for the
//! database, and is not signed.

use std::collections::{HashMap, HashSet};

use openpam_ledger::{Checkpoint, Hash, LedgerName, Log, Plan, TreeHead, leaf_hash, verify_inclusion};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    alarms::Alarms,
    error::LedgerError,
    keys::Signer,
    proofs,
    store::{self, read::Tree},
};
use crate::{context::Actor, db::set_scope};

/// A leaf of the system's log. It is proven when it is needed: each takes some reading, and nobody may be silent for long.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    seq: u64,
    hash: Hash,
    /// What it says of the tenant's log; of a text that is no checkpoint of it nothing.
    head: Option<TreeHead>,
}

/// The last signed head of each log, as this process saw it.
#[derive(Debug, Default)]
pub(super) struct Known {
    heads: HashMap<Log, TreeHead>,
    /// What the system's log says of a tenant's, until this process has signed it itself.
    leaves: HashMap<Log, Leaf>,
    /// The signed head of the system's log that these are leaves of.
    system: Option<TreeHead>,
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
        let mut system = None;
        for (tenant_id, size, note) in store::latest_checkpoints(connection).await? {
            let log = tenant_id.map_or(Log::System, Log::Tenant);
            let Some(head) = signer.head(ledger, log, &note) else {
                tracing::error!(?log, size, "a stored checkpoint is not signed: run openpam audit verify");
                continue;
            };
            if log == Log::System {
                system = Some(head);
            }
            self.heads.entry(log).or_insert(head);
        }
        let Some(system) = system.filter(|_| self.system.is_none()) else { return Ok(()) };
        self.system = Some(system);
        for (seq, tenant_id, text) in store::latest_leaves(connection, system.size.cast_signed()).await? {
            let log = Log::Tenant(tenant_id);
            let head = Checkpoint::parse(&text).ok().filter(|checkpoint| checkpoint.origin() == ledger.origin(log));
            let head = head.map(|checkpoint| checkpoint.head());
            self.leaves.insert(log, Leaf { seq: seq.cast_unsigned(), hash: leaf_hash(text.as_bytes()), head });
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
        if let Some(old) = self.heads.get(&log)
            && !proofs::goes_on(connection, tree, old, new).await?
        {
            return Err(LedgerError::Altered(log));
        }
        // What is no leaf of the signed head says nothing of this log, and everything of the system's.
        let leaf = self.leaves.get(&log).filter(|_| !self.refused.contains(&Log::System));
        if let (Some(leaf), Some(system)) = (leaf, &self.system) {
            let head = leaf.head.ok_or(LedgerError::Altered(Log::System))?;
            if !is_leaf(connection, leaf, system).await? {
                return Err(LedgerError::Altered(Log::System));
            }
            if !proofs::goes_on(connection, tree, &head, new).await? {
                return Err(LedgerError::Altered(log));
            }
        }
        Ok(())
    }

    /// Tenants whose logs were rewritten.
    pub(super) fn refused_tenants(&self) -> Vec<Uuid> {
        let tenant = |log: &Log| if let Log::Tenant(tenant_id) = log { Some(*tenant_id) } else { None };
        self.refused.iter().filter_map(tenant).collect()
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

/// Whether it is in the system's signed tree, by a proof of the stored nodes.
async fn is_leaf(connection: &mut PgConnection, leaf: &Leaf, system: &TreeHead) -> Result<bool, LedgerError> {
    let Ok(plan) = Plan::inclusion(leaf.seq, system.size) else { return Ok(false) };
    match proofs::assemble(connection, Tree::System, system.size, &plan).await {
        Ok(proof) => Ok(verify_inclusion(&leaf.hash, leaf.seq, system.size, &system.root, &proof).is_ok()),
        // A part of it is gone.
        Err(LedgerError::Stored(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
