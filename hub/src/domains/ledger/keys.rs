//! The keys that sign checkpoints: public in the database, private in the vault, made by the leader the first
//! time, replaced by an administrator, and held by the leader while it leads, so that a vault that is down holds up no
//! checkpoint.

use std::fmt;

use aws_lc_rs::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::Engine as _;
use openpam_ids::LedgerKeyId;
use openpam_ledger::{Checkpoint, LedgerName, Log, Note, Signers, TreeHead};
use openpam_secret::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;
use zeroize::Zeroizing;

use super::{error::LedgerError, store};
use crate::{
    domains::vault::{self, Vault, VaultError},
    state::Hub,
};

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

/// Keys that were the present one before, and are still believed.
const MAX_RETIRED: usize = 100;

/// Signs as the ledger.
pub(super) struct Signer {
    id: LedgerKeyId,
    pair: Ed25519KeyPair,
    public: [u8; 32],
    /// This key and those before it, as far as the vault has them: what the database alone names may be somebody else's.
    trusted: Vec<[u8; 32]>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Signer")
    }
}

impl Signer {
    /// The present key, made where there never was one. On a connection of its own: the leader does not wait for the
    /// vault.
    pub(super) async fn load(hub: &Hub) -> Result<Self, LedgerError> {
        let mut connection = hub.db().ledger("openpam-hub-ledger-key").await?;
        let connection = &mut connection;
        // Where something was signed there is a key, and whoever took its row away wants another one to sign.
        if store::keys(connection).await?.is_empty() && store::latest_checkpoints(connection).await?.is_empty() {
            make_first(hub, connection).await?;
        }
        let (mut present, mut trusted) = (None, Vec::new());
        for key in store::keys(connection).await?.into_iter().take(MAX_RETIRED + 1) {
            let (id, is_current) = (LedgerKeyId::from_uuid(key.ledger_key_id), key.current);
            match read_pair(hub, &key).await {
                Ok((pair, public)) => {
                    trusted.push(public);
                    present = present.or(is_current.then_some((id, pair, public)));
                }
                // One that never signed anything: nobody but the vault makes it count.
                Err(LedgerError::Key(_) | LedgerError::Vault(VaultError::PathMissing { .. })) if !is_current => {}
                Err(error) => return Err(error),
            }
        }
        let (id, pair, public) = present.ok_or(LedgerError::Stored("no signing key is the present one"))?;
        Ok(Self { id, pair, public, trusted })
    }

    /// Which key it is.
    pub(super) fn id(&self) -> LedgerKeyId {
        self.id
    }

    /// Whether it is a checkpoint of that log with this key's signature, or that of one before it.
    pub(super) fn has_signed(&self, ledger: &LedgerName, log: Log, note: &str) -> bool {
        self.head(ledger, log, note).is_some()
    }

    /// The tree of such a checkpoint.
    pub(super) fn head(&self, ledger: &LedgerName, log: Log, note: &str) -> Option<TreeHead> {
        let signers = self.signers();
        signers.verify(ledger, log, note.as_bytes()).ok().map(|verified| verified.checkpoint.head())
    }

    /// This key, and those before it.
    pub(super) fn signers(&self) -> Signers {
        Signers::Trusted { log_keys: self.trusted.clone(), witnesses: Vec::new(), needed: 0 }
    }

    /// The checkpoint as a signed note; a signature that does not fit is refused.
    pub(super) fn sign(&self, checkpoint: &Checkpoint) -> Result<Note, LedgerError> {
        let key = checkpoint.log_key(self.public)?;
        let mut note = checkpoint.to_note()?;
        let signature = self.pair.sign(&key.to_be_signed(note.text(), 0));
        note.add(&key, 0, signature.as_ref())?;
        Ok(note)
    }
}

/// The key as the vault has it.
async fn read_pair(hub: &Hub, key: &store::KeyRow) -> Result<(Ed25519KeyPair, [u8; 32]), LedgerError> {
    let wrong = || LedgerError::Key(key.vault_path.clone());
    // The database may name any path: keys are below one of their own.
    if !key.vault_path.ends_with(&format!("/.ledger/{}", key.ledger_key_id)) || key.vault_path.contains("..") {
        return Err(wrong());
    }
    let text = vault::read_key(hub, &key.vault_path).await?;
    let seed = BASE64.decode(text.expose_secret().trim()).ok().map(Zeroizing::new);
    let pair = seed.and_then(|seed| Ed25519KeyPair::from_seed_and_public_key(&seed, &key.public_key).ok());
    match (pair, key.public_key.as_slice().try_into()) {
        (Some(pair), Ok(public)) => Ok((pair, public)),
        _ => Err(wrong()),
    }
}

/// A key that was made: its private part is in the vault, and nothing of it in the database yet.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) id: LedgerKeyId,
    pub(super) public: Vec<u8>,
    pub(super) path: String,
}

/// Makes a key and keeps its private part.
pub(super) async fn make(vault: &Vault, id: LedgerKeyId, random: &SystemRandom) -> Result<Made, LedgerError> {
    let unusable = || LedgerError::Key("a key could not be made".to_owned());
    let mut seed = Zeroizing::new([0_u8; 32]);
    random.fill(seed.as_mut()).map_err(|_| unusable())?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map_err(|_| unusable())?;
    let path = vault::ledger_key_path(vault, id);
    vault::write_new_key(vault, &path, SecretString::from(BASE64.encode(seed.as_ref()))).await?;
    Ok(Made { id, public: pair.public_key().as_ref().to_vec(), path })
}

/// Makes the first key: private into the vault, then public into the database. Of two hubs that do it at once,
/// one wins; the other's is one that never signed anything.
async fn make_first(hub: &Hub, connection: &mut PgConnection) -> Result<(), LedgerError> {
    let Made { id, public, path } = make(hub.vault(), hub.ids().fresh(), hub.random()).await?;
    store::insert_key(connection, id.as_uuid(), &public, &path).await?;
    tracing::info!(public_key = BASE64.encode(&public), path, "made the ledger's signing key");
    Ok(())
}
