//! Verification of the system's log: each leaf is a tenant's checkpoint, and no tenant's log is shorter than it says,
//! or another one.

use std::collections::BTreeMap;

use openpam_ledger::{Anchors, Checkpoint, Log, SystemVerifier, TreeHead};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    error::LedgerError,
    store::{read::Tree, verify as read_all},
    tiles::verify_tiles,
    verify::{Against, Findings, Outcome, outcome},
};
use crate::db::set_scope;

/// Leaves, and checkpoints, that are looked at together.
const MOST: i32 = 10_000;

/// What is known of a tenant's log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    /// Its entries.
    pub(super) entries: u64,
    /// The size of its last stored checkpoint.
    pub(super) signed: u64,
}

/// The way along the system's log. It is gone twice: as far as it goes before the tenants' logs are looked at, which
/// are held against what is signed there, and on from there afterwards, since the hub goes on meanwhile.
pub(super) struct SystemWalk<'a> {
    against: &'a Against,
    verifier: SystemVerifier,
    next: i64,
    findings: Findings,
}

impl<'a> SystemWalk<'a> {
    pub(super) fn new(against: &'a Against) -> Self {
        let anchors = against.read(Log::System, against.anchored(Log::System));
        let verifier = SystemVerifier::new(against.ledger.clone(), anchors);
        Self { against, verifier, next: 0, findings: Findings::default() }
    }

    /// How many leaves a signed checkpoint speaks for: what they say of tenants counts as signed.
    pub(super) fn signed(&self) -> i64 {
        self.verifier.agreed().cast_signed()
    }

    /// Goes on to the end.
    pub(super) async fn advance(&mut self, connection: &mut PgConnection) -> Result<(), LedgerError> {
        let mut tx = connection.begin().await?;
        read_all::hold_still(&mut tx).await?;
        self.go_on(&mut tx).await?;
        tx.rollback().await?;
        Ok(())
    }

    async fn go_on(&mut self, connection: &mut PgConnection) -> Result<(), LedgerError> {
        loop {
            let leaves = read_all::system_leaves(connection, self.next, MOST).await?;
            let Some(last) = leaves.last() else { break };
            let end = last.seq.saturating_add(1);
            // In portions, like the leaves: there are up to two each second of the ledger's life.
            let notes = read_all::system_checkpoints(connection, self.next, end, MOST).await?;
            self.add(&notes);
            for leaf in &leaves {
                let told = self.verifier.leaf(leaf.seq.cast_unsigned(), leaf.text.as_bytes(), None);
                if told.is_some_and(|(tenant_id, head)| {
                    tenant_id != leaf.tenant_id || head.size != leaf.size.cast_unsigned()
                }) {
                    let message = format!("leaf {} is filed under another tenant or size", leaf.seq);
                    self.findings.add("leaf_misnamed", message);
                }
            }
            self.next = end;
        }
        Ok(())
    }

    fn add(&mut self, notes: &[String]) {
        let _ = self.verifier.anchors(self.against.read(Log::System, notes.iter().map(String::as_str)));
    }

    /// Goes on to the end, and holds what is there against the tenants' logs, which were looked at before: `all` of
    /// them, or some.
    pub(super) async fn finish(
        mut self,
        connection: &mut PgConnection,
        lengths: &BTreeMap<Uuid, Length>,
        all: bool,
    ) -> Result<Outcome, LedgerError> {
        let mut tx = connection.begin().await?;
        read_all::hold_still(&mut tx).await?;
        self.go_on(&mut tx).await?;
        // Of larger trees than there are: the first of them tell enough.
        let notes = read_all::system_checkpoints(&mut tx, self.next, i64::MAX, MOST).await?;
        self.add(&notes);
        let size = self.next.cast_unsigned();
        verify_tiles(&mut tx, Tree::System, size, &mut self.findings).await?;
        let Self { verifier, mut findings, .. } = self;
        for (tenant_id, head) in verifier.tenants() {
            let there = match lengths.get(tenant_id) {
                // The hub goes on meanwhile.
                Some(length) if length.entries < head.size => {
                    set_scope(&mut tx, &tenant_id.to_string(), "system", "audit verify").await?;
                    read_all::end(&mut tx).await?.cast_unsigned()
                }
                Some(length) => length.entries,
                None if all => 0,
                None => continue,
            };
            if there < head.size {
                let message =
                    format!("the log of tenant {tenant_id} has {there} entries, and {} were signed", head.size);
                findings.add("truncated", message);
            }
        }
        for (tenant_id, length) in lengths {
            let has = verifier.tenants().get(tenant_id).map_or(0, |head| head.size);
            if has < length.signed {
                let message = format!(
                    "the log of tenant {tenant_id} has a checkpoint of {} entries, and the system's speaks of {has}",
                    length.signed
                );
                findings.add("not_in_system", message);
            }
        }
        tx.rollback().await?;
        let report = verifier.finish();
        let signed = report.anchored.unwrap_or(0);
        if signed < report.entries {
            // Leaves come with their checkpoint, in one transaction.
            let message = format!("{} entries, and a checkpoint speaks for {signed} of them", report.entries);
            findings.add("unsigned", message);
        }
        Ok(outcome("system".to_owned(), report, findings, 0, 0))
    }
}

/// What leaves of the system's log say of a tenant's log, to hold it against. A leaf that is none is told elsewhere.
pub(super) fn heads(against: &Against, log: Log, texts: &[String]) -> Vec<TreeHead> {
    let origin = against.ledger.origin(log);
    let of_log = |text: &String| {
        let checkpoint = Checkpoint::parse(text).ok()?;
        (checkpoint.origin() == origin).then(|| checkpoint.head())
    };
    texts.iter().filter_map(of_log).collect()
}

/// The same as anchors.
pub(super) fn vouched(against: &Against, log: Log, texts: &[String]) -> Anchors {
    Anchors::vouched(heads(against, log, texts))
}
