//! What others ask of the ledger: a place, a proof, a checkpoint, how it is.

use std::collections::BTreeSet;

use aws_lc_rs::rand::SystemRandom;
use chrono::{DateTime, Utc};
use openpam_ids::LedgerKeyId;
use openpam_ledger::{Checkpoint, Hash, KeyType, LedgerName, Log, Plan, TreeHead, VerifierKey};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    alarms as stored_alarms,
    anchor::root_at,
    error::LedgerError,
    evidence::{SystemProof, cosigned, system_proof},
    keys, named, proofs,
    store::{
        self,
        read::{self, Tree},
        verify as stored,
    },
    types::Placed,
};
use crate::{
    context::Ids,
    db::{Db, set_scope, tenant_slug},
    domains::vault::Vault,
};

/// The proof that an entry is in a tree.
#[derive(Debug)]
pub(super) struct Inclusion {
    pub(super) leaf_hash: Hash,
    pub(super) head: TreeHead,
    pub(super) hashes: Vec<Hash>,
    /// The checkpoint of exactly this tree, where one was signed.
    pub(super) checkpoint: Option<String>,
}

/// How a tenant's log stands.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) name: String,
    pub(super) entries: u64,
    pub(super) signed: u64,
    pub(super) signed_at: Option<DateTime<Utc>>,
    pub(super) keys: Vec<Vec<u8>>,
}

async fn size(connection: &mut PgConnection) -> Result<u64, LedgerError> {
    Ok(store::head(connection).await?.map_or(0, |(size, _)| size.cast_unsigned()))
}

/// The entry in a place.
pub(super) async fn entry(connection: &mut PgConnection, seq: u64) -> Result<Placed, LedgerError> {
    let place = i64::try_from(seq).map_err(|_| LedgerError::NoSuchPlace)?;
    read::entry(connection, Some(place), None).await?.ok_or(LedgerError::NoSuchPlace)
}

/// The entry of an event or a row change.
pub(super) async fn entry_of(connection: &mut PgConnection, event_id: Uuid) -> Result<Placed, LedgerError> {
    read::entry(connection, None, Some(event_id)).await?.ok_or(LedgerError::NoSuchPlace)
}

/// That the entry is in the tree of `wanted` leaves; without one in the last that is signed.
pub(super) async fn inclusion(
    connection: &mut PgConnection,
    seq: u64,
    wanted: Option<u64>,
) -> Result<Inclusion, LedgerError> {
    let whole = size(connection).await?;
    let last = stored::last_checkpoint(connection, None).await?;
    let tree = match (wanted, &last) {
        (Some(size), _) => size,
        (None, Some((size, _))) => size.cast_unsigned(),
        (None, None) => return Err(LedgerError::NotSigned { size: 0 }),
    };
    if tree > whole {
        return Err(LedgerError::NoSuchPlace);
    }
    if seq >= tree {
        let signed = last.map_or(0, |(size, _)| size.cast_unsigned());
        return Err(if seq < whole { LedgerError::NotSigned { size: signed } } else { LedgerError::NoSuchPlace });
    }
    let plan = Plan::inclusion(seq, tree).map_err(|_| LedgerError::NoSuchPlace)?;
    let hashes = proofs::assemble(connection, Tree::Tenant, tree, &plan).await?;
    let leaf_hash = read::hash(&entry(connection, seq).await?.leaf_hash)?;
    let head = root_at(connection, Tree::Tenant, tree).await?;
    let checkpoint = stored::last_checkpoint(connection, Some(tree.cast_signed())).await?;
    let checkpoint = checkpoint.filter(|(size, _)| size.cast_unsigned() == tree).map(|(_, note)| note);
    Ok(Inclusion { leaf_hash, head, hashes, checkpoint })
}

/// That the tree of `old` leaves is the beginning of the one of `new`.
pub(super) async fn consistency(
    connection: &mut PgConnection,
    old: u64,
    new: u64,
) -> Result<(TreeHead, TreeHead, Vec<Hash>), LedgerError> {
    if new > size(connection).await? {
        return Err(LedgerError::NoSuchPlace);
    }
    let plan = Plan::consistency(old, new).map_err(|_| LedgerError::NoSuchPlace)?;
    let hashes = proofs::assemble(connection, Tree::Tenant, new, &plan).await?;
    let old = root_at(connection, Tree::Tenant, old).await?;
    let new = root_at(connection, Tree::Tenant, new).await?;
    Ok((old, new, hashes))
}

/// The last signed checkpoint, as it is.
pub(super) async fn checkpoint(connection: &mut PgConnection) -> Result<String, LedgerError> {
    let last = stored::last_checkpoint(connection, None).await?;
    last.map(|(_, note)| note).ok_or(LedgerError::NotSigned { size: 0 })
}

/// That a tenant's checkpoint is in the system's log: that checkpoint, the last that can be shown.
pub(super) async fn system(connection: &mut PgConnection) -> Result<(String, SystemProof), LedgerError> {
    let ledger =
        stored::name(connection).await?.and_then(|name| LedgerName::new(&name)).ok_or(LedgerError::NoLedger)?;
    let (size, note) = match cosigned(connection, &ledger).await? {
        Some(cosigned) => cosigned,
        None => {
            let leaf = stored::last_own_leaf(connection, i64::MAX).await?.ok_or(LedgerError::NotSigned { size: 0 })?;
            let size = Checkpoint::parse(&leaf)?.head().size.cast_signed();
            let missing = LedgerError::Stored("a leaf of the system's log has no checkpoint");
            stored::last_checkpoint(connection, Some(size)).await?.filter(|(there, _)| *there == size).ok_or(missing)?
        }
    };
    let size = size.cast_unsigned();
    let proof = system_proof(connection, &ledger, size).await?.ok_or(LedgerError::NotSigned { size: 0 })?;
    Ok((note, proof))
}

/// The ledger's name, once there is one.
///
/// # Errors
/// When the database does not answer.
pub async fn name(connection: &mut PgConnection) -> Result<Option<String>, LedgerError> {
    Ok(stored::name(connection).await?)
}

/// Puts a ledger of another name into the place of the one there is, as the owner. The schema that keeps that one.
///
/// # Errors
/// When it has that name, a hub leads it, or the database refuses.
pub async fn begin_anew(connection: &mut PgConnection, name: &str) -> Result<String, LedgerError> {
    Ok(store::begin_anew(connection, name).await?)
}

/// The key that signs.
async fn present_key(db: &Db) -> Result<LedgerKeyId, LedgerError> {
    let mut connection = db.dedicated("openpam-audit-keys").await?;
    let key = store::present_key(&mut connection).await?;
    key.map(LedgerKeyId::from_uuid).ok_or(LedgerError::NoLedger)
}

/// Makes another key the present one: what signs from now on. Alarms go with it. The connection is one of the owner,
/// in a transaction that the caller ends, and then calls [`key_rotated`]; the private key is in the vault before. The id of
/// the key before, and the public keys before and after.
///
/// # Errors
/// When vault or database refuse, or there is no ledger yet.
pub async fn rotate_key(
    connection: &mut PgConnection,
    db: &Db,
    vault: &Vault,
    random: &SystemRandom,
) -> Result<(LedgerKeyId, Vec<u8>, Vec<u8>), LedgerError> {
    let before = present_key(db).await?;
    let keys = store::keys(connection).await?;
    let old = keys.into_iter().find(|key| key.current).ok_or(LedgerError::NoLedger)?;
    let made = keys::make(vault, Ids.fresh(), random).await?;
    let alarms = stored_alarms::read(vault, before).await?;
    stored_alarms::write(vault, made.id, &alarms).await?;
    store::retire_key(connection).await?;
    store::insert_key(connection, made.id.as_uuid(), &made.public, &made.path).await?;
    Ok((before, old.public_key, made.public))
}

/// Notes in the vault that the key of this id signs no more, and another does: once that is committed.
///
/// # Errors
/// When database or vault refuse.
pub async fn key_rotated(db: &Db, vault: &Vault, before: LedgerKeyId) -> Result<(), LedgerError> {
    named::follow(vault, before, present_key(db).await?).await
}

/// The logs that a hub found to be rewritten, and which none signs.
///
/// # Errors
/// When database or vault do not say, or there is no ledger yet.
pub async fn alarms(db: &Db, vault: &Vault) -> Result<BTreeSet<String>, LedgerError> {
    Ok(stored_alarms::read(vault, present_key(db).await?).await?)
}

/// Ends these alarms: hubs that start from now on sign these logs again, where they go on from what was signed.
///
/// # Errors
/// When the vault does not take it.
pub async fn acknowledge(db: &Db, vault: &Vault) -> Result<(), LedgerError> {
    Ok(stored_alarms::write(vault, present_key(db).await?, &BTreeSet::new()).await?)
}

/// How the log of the transaction's tenant stands.
pub(super) async fn standing(connection: &mut PgConnection) -> Result<Standing, LedgerError> {
    let (signed, signed_at) = read::signed(connection).await?.unzip();
    Ok(Standing {
        name: stored::name(connection).await?.unwrap_or_default(),
        entries: size(connection).await?,
        signed: signed.unwrap_or_default().cast_unsigned(),
        signed_at,
        keys: store::keys(connection).await?.into_iter().map(|key| key.public_key).collect(),
    })
}

/// For each log, by the tenant's slug or `system`: the keys that the database names, as verifiers elsewhere take them.
///
/// # Errors
/// When the database does not answer, or there is no ledger yet.
pub async fn verifier_keys(db: &Db) -> Result<Vec<(String, String)>, LedgerError> {
    let mut connection = db.dedicated("openpam-audit-keys").await?;
    let name = stored::name(&mut connection).await?.ok_or(LedgerError::NoLedger)?;
    let ledger = LedgerName::new(&name).ok_or(LedgerError::Stored("its name is none"))?;
    let mut logs = vec![("system".to_owned(), Log::System)];
    for tenant_id in db.tenant_ids().await? {
        let mut tx = connection.begin().await?;
        set_scope(&mut tx, &tenant_id.to_string(), "system", "audit keys").await?;
        logs.push((tenant_slug(&mut tx).await?, Log::Tenant(tenant_id.as_uuid())));
        tx.rollback().await?;
    }
    let keys = store::keys(&mut connection).await?;
    let mut lines = Vec::new();
    for (slug, log) in logs {
        for key in &keys {
            let key = VerifierKey::new(&ledger.origin(log), KeyType::Ed25519, read::hash(&key.public_key)?.0)?;
            lines.push((slug.clone(), key.to_string()));
        }
    }
    Ok(lines)
}
