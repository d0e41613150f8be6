//! Verification of the system's log: each leaf is a tenant's checkpoint, and no tenant's log is shorter than it says.

use std::collections::BTreeMap;

use openpam_ledger::{Log, SystemVerifier};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    error::LedgerError,
    store::verify as read_all,
    verify::{Against, Findings, Outcome, outcome},
};

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

/// Verifies it against the tenants' logs, which were looked at before.
pub(super) async fn verify_system(
    connection: &mut PgConnection,
    against: &Against,
    lengths: &BTreeMap<Uuid, Length>,
) -> Result<Outcome, LedgerError> {
    let mut tx = connection.begin().await?;
    read_all::hold_still(&mut tx).await?;
    let anchors = against.read(Log::System, against.anchored(Log::System));
    let mut verifier = SystemVerifier::new(against.ledger.clone(), anchors);
    let mut next = 0;
    loop {
        let leaves = read_all::system_leaves(&mut tx, next, MOST).await?;
        let Some((last, _)) = leaves.last() else { break };
        let end = last + 1;
        // In portions, like the leaves: there are up to two each second of the ledger's life.
        let notes = read_all::system_checkpoints(&mut tx, next, end, MOST).await?;
        let _ = verifier.anchors(against.read(Log::System, notes.iter().map(String::as_str)));
        for (seq, text) in &leaves {
            verifier.leaf(seq.cast_unsigned(), text.as_bytes(), None);
        }
        next = end;
    }
    // Of larger trees than there are: the first of them tell enough.
    let notes = read_all::system_checkpoints(&mut tx, next, i64::MAX, MOST).await?;
    let _ = verifier.anchors(against.read(Log::System, notes.iter().map(String::as_str)));
    tx.rollback().await?;
    let mut findings = Findings::default();
    for (tenant_id, head) in verifier.tenants() {
        let there = lengths.get(tenant_id).map_or(0, |length| length.entries);
        if there < head.size {
            let message = format!("the log of tenant {tenant_id} has {there} entries, and {} were signed", head.size);
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
    let report = verifier.finish();
    let signed = report.anchored.unwrap_or(0);
    if signed < report.entries {
        // Leaves come with their checkpoint, in one transaction.
        findings.add("unsigned", format!("{} entries, and a checkpoint speaks for {signed} of them", report.entries));
    }
    Ok(outcome("system".to_owned(), report, findings, 0, 0))
}
