//! The evidence of one session as a bundle: its entries with their contents, each proven against the last signed
//! checkpoint, and the checkpoint against the system's. Whoever has the bundle and the keys needs nothing else.

use std::{collections::HashMap, io::Write};

use openpam_ids::TenantId;
use openpam_ledger::{BundleWriter, Checkpoint, LedgerName, LedgerWriter, Log, Plan, RangeProof};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    error::LedgerError,
    proofs,
    store::{
        read::{self, Tree},
        verify as stored,
    },
    types::{ChangeRow, EventRow},
};
use crate::db::{Db, set_scope};

/// Entries of one bundle.
const MOST: i64 = 10_000;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Entries of the session.
    pub entries: u64,
    /// Entries of the tree that they are proven to be in.
    pub size: u64,
}

/// Writes the ledger's sections of a session's evidence.
///
/// # Errors
/// When the session has no entries, too many, or some that are not signed yet; when the database or the writer fails.
pub async fn write_evidence<W: Write>(
    db: &Db,
    tenant_id: TenantId,
    session_id: Uuid,
    to: &mut BundleWriter<W>,
) -> Result<Written, LedgerError> {
    let mut connection = db.dedicated("openpam-evidence").await?;
    let mut tx = connection.begin().await?;
    stored::hold_still(&mut tx).await?;
    set_scope(&mut tx, &tenant_id.to_string(), "system", "evidence export").await?;
    let name = stored::name(&mut tx).await?.ok_or(LedgerError::NoLedger)?;
    let ledger = LedgerName::new(&name).ok_or(LedgerError::Stored("its name is none"))?;
    let checkpoint = stored::last_checkpoint(&mut tx, None).await?;
    let (size, note) = checkpoint.ok_or(LedgerError::NotSigned { size: 0 })?;
    let places = stored::places_of_session(&mut tx, session_id, MOST + 1).await?;
    if places.len() as u64 > MOST.unsigned_abs() {
        return Err(LedgerError::TooMany { most: MOST.unsigned_abs() });
    }
    let (Some(_), Some(last)) = (places.first(), places.last()) else { return Err(LedgerError::NoSuchPlace) };
    if *last >= size {
        return Err(LedgerError::NotSigned { size: size.cast_unsigned() });
    }
    // What witnesses have signed is worth more than what came since.
    let cosigned = cosigned(&mut tx, &ledger).await?.filter(|(size, _)| *last < *size);
    let (size, note) = cosigned.unwrap_or((size, note));
    let size = size.cast_unsigned();
    let mut writer = LedgerWriter::new(to, &ledger, tenant_id.as_uuid(), &note)?;
    for (first, end) in ranges(&places) {
        let (low, high) = (first.cast_unsigned(), end.cast_unsigned());
        let nodes = RangeProof::nodes(low, high, size).map_err(|_| LedgerError::NoSuchPlace)?;
        let hashes = proofs::read(&mut tx, Tree::Tenant, size, &nodes).await?;
        let proof = RangeProof::from_nodes(low, high, size, &hashes).map_err(|_| LedgerError::NoSuchPlace)?;
        writer.range(&proof)?;
        write_entries(&mut tx, &mut writer, first, end).await?;
    }
    let system = system_proof(&mut tx, &ledger, size).await?;
    writer.finish(system.as_ref().map(|system| (system.note.as_str(), system.index, system.proof.as_slice())))?;
    tx.rollback().await?;
    Ok(Written { entries: places.len() as u64, size })
}

/// Neighbours together: what stands between the session's entries is others', and is not shown.
fn ranges(places: &[i64]) -> Vec<(i64, i64)> {
    let mut ranges = Vec::<(i64, i64)>::new();
    for place in places {
        match ranges.last_mut() {
            Some((_, end)) if *end == *place => *end += 1,
            _ => ranges.push((*place, place + 1)),
        }
    }
    ranges
}

async fn write_entries<W: Write>(
    connection: &mut PgConnection,
    writer: &mut LedgerWriter<'_, W>,
    first: i64,
    end: i64,
) -> Result<(), LedgerError> {
    let (mut events, mut changes) = (HashMap::<i64, EventRow>::new(), HashMap::<i64, ChangeRow>::new());
    stored::events(connection, first, end, |seq, row| drop(events.insert(seq, row))).await?;
    stored::changes(connection, first, end, |seq, row| drop(changes.insert(seq, row))).await?;
    for entry in stored::entries(connection, first, end).await? {
        let event = events.get(&entry.seq).map(EventRow::contents);
        let contents = event.or_else(|| changes.get(&entry.seq).map(ChangeRow::contents)).unwrap_or_default();
        writer.entry(&entry.canonical, &contents)?;
    }
    Ok(())
}

/// The tenant's largest checkpoint that is in what witnesses have signed of the system's log.
pub(super) async fn cosigned(
    connection: &mut PgConnection,
    ledger: &LedgerName,
) -> Result<Option<(i64, String)>, LedgerError> {
    let Some((until, _)) = stored::last_cosigned(connection, &ledger.origin(Log::System)).await? else {
        return Ok(None);
    };
    let Some(leaf) = stored::last_own_leaf(connection, until).await? else { return Ok(None) };
    let size = Checkpoint::parse(&leaf)?.head().size.cast_signed();
    Ok(stored::last_checkpoint(connection, Some(size)).await?.filter(|(there, _)| *there == size))
}

/// A checkpoint of the system's, and the proof that a tenant's is in it.
#[derive(Debug)]
pub(super) struct SystemProof {
    /// With the signatures of witnesses, where there are some.
    pub(super) note: String,
    /// Its leaves.
    pub(super) size: u64,
    /// The place of the tenant's.
    pub(super) index: u64,
    pub(super) proof: Vec<openpam_ledger::Hash>,
}

/// That the tenant's checkpoint of that size is in the system's log: as far as witnesses have signed it, or else
/// as far as it goes.
pub(super) async fn system_proof(
    connection: &mut PgConnection,
    ledger: &LedgerName,
    size: u64,
) -> Result<Option<SystemProof>, LedgerError> {
    let Some(index) = stored::system_place(connection, size.cast_signed()).await? else { return Ok(None) };
    let cosigned = stored::last_cosigned(connection, &ledger.origin(Log::System)).await?;
    let last = match cosigned.filter(|(whole, _)| *whole > index) {
        Some(cosigned) => Some(cosigned),
        None => stored::last_system_checkpoint(connection).await?,
    };
    let Some((whole, note)) = last else { return Ok(None) };
    let (index, size) = (index.cast_unsigned(), whole.cast_unsigned());
    let plan = Plan::inclusion(index, size).map_err(|_| LedgerError::NoSuchPlace)?;
    let proof = proofs::assemble(connection, Tree::System, size, &plan).await?;
    Ok(Some(SystemProof { note, size, index, proof }))
}

/// Every key that ever signed, for whoever gives out a bundle to say which to trust.
///
/// # Errors
/// When the database does not answer.
pub async fn public_keys(db: &Db) -> Result<Vec<[u8; 32]>, LedgerError> {
    let mut connection = db.dedicated("openpam-evidence").await?;
    let keys = super::store::keys(&mut connection).await?;
    keys.iter().map(|key| read::hash(&key.public_key).map(|hash| hash.0)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn neighbours_are_one_range_and_others_are_left_out() {
        assert_eq!(super::ranges(&[]), []);
        assert_eq!(super::ranges(&[3, 4, 5, 9, 11, 12]), [(3, 6), (9, 10), (11, 13)]);
    }
}
