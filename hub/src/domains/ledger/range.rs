//! Verification of a part of a tenant's log: proven against the last checkpoint, which is held against everything else
//! that speaks of the log.

use openpam_ledger::{Anchors, Log, RangeProof, Signers, TreeHead, Verifier};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    error::LedgerError,
    proofs,
    store::{read::Tree, verify as read_all},
    system::heads,
    verify::{Against, Findings, Scope},
};

/// A way that has begun.
pub(super) struct Range {
    /// Without one there is nothing to go along.
    pub(super) verifier: Option<Verifier>,
    pub(super) findings: Findings,
    /// The tree that it is proven against.
    pub(super) last: Option<TreeHead>,
}

/// The first place, and the one behind the last, of a log that has `there` entries.
pub(super) fn bounds(scope: &Scope, there: i64) -> (i64, i64) {
    let place = |place| i64::try_from(place).unwrap_or(i64::MAX);
    let first = scope.start.map_or(0, place);
    (first, scope.end.map_or(there.max(first.saturating_add(1)), |last| place(last).saturating_add(1)))
}

/// Begins at the first of the places, of a log of which `stored` entries are there, and the first `system` leaves of the
/// system's log are signed.
pub(super) async fn begin(
    connection: &mut PgConnection,
    against: &Against,
    tenant_id: Uuid,
    (first, end): (i64, i64),
    (stored, system): (i64, i64),
) -> Result<Range, LedgerError> {
    let log = Log::Tenant(tenant_id);
    let mut range = Range { verifier: None, findings: Findings::default(), last: None };
    if end > stored {
        let message = format!("the range goes to entry {}, and the log has {stored}", end - 1);
        range.findings.add("truncated", message);
        return Ok(range);
    }
    let Some((size, note)) = read_all::last_checkpoint(connection, None).await? else {
        range.findings.add("unsigned", "no checkpoint speaks for the range".to_owned());
        return Ok(range);
    };
    if end > size {
        range.findings.add("unsigned", format!("the range goes to entry {}, and {size} are signed", end - 1));
        return Ok(range);
    }
    let mut anchors = against.read(log, std::iter::once(note.as_str()));
    for defect in anchors.defects() {
        range.findings.add(defect.code(), defect.to_string());
    }
    if anchors.heads().next().is_none() {
        anchors = Anchors::read(&Signers::Any, &against.ledger, log, [note.as_bytes()]);
    }
    let Some(last) = anchors.heads().next().filter(|head| head.size == size.cast_unsigned()) else {
        range
            .findings
            .add("note_malformed", "the last checkpoint is none of the tree that it is filed under".to_owned());
        return Ok(range);
    };
    let bounds = (first.cast_unsigned(), end.cast_unsigned(), last.size);
    let nodes = RangeProof::nodes(bounds.0, bounds.1, bounds.2).map_err(|_| LedgerError::NoSuchPlace)?;
    let hashes = proofs::read(connection, Tree::Tenant, bounds.2, &nodes).await?;
    let proof = RangeProof::from_nodes(bounds.0, bounds.1, bounds.2, &hashes);
    let proof = proof.map_err(|_| LedgerError::NoSuchPlace)?;
    // What was kept elsewhere, and what the system's log says: of each the largest tree, which speaks for all before.
    let kept = against.read(log, against.anchored(log));
    for defect in kept.defects() {
        range.findings.add(defect.code(), defect.to_string());
    }
    let leaf = read_all::last_own_leaf(connection, system).await?;
    let leaf = heads(against, log, leaf.as_slice()).into_iter().map(|head| ("the system's log", head));
    let kept = kept.heads().next_back().map(|head| ("an anchor", head));
    for (who, head) in kept.into_iter().chain(leaf) {
        hold_against(connection, &last, (who, head), &mut range.findings).await?;
    }
    range.verifier = Verifier::range(tenant_id, anchors, proof).ok();
    range.last = Some(last);
    Ok(range)
}

/// Whether the tree of the last checkpoint and one that somebody else speaks of are of one history.
async fn hold_against(
    connection: &mut PgConnection,
    last: &TreeHead,
    (who, head): (&str, TreeHead),
    findings: &mut Findings,
) -> Result<(), LedgerError> {
    let (old, new) = if head.size <= last.size { (&head, last) } else { (last, &head) };
    if !proofs::goes_on(connection, Tree::Tenant, old, new).await? {
        let code = if head.size > last.size { "truncated" } else { "forked" };
        let message = format!("{who} speaks of {} entries, and not of those that the last checkpoint does", head.size);
        findings.add(code, message);
    }
    Ok(())
}
