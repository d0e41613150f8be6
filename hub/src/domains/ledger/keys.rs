//! The key that signs checkpoints: public in the database, private in the vault, made by the leader the first
//! time, and held by the leader while it leads, so that a vault that is down holds up no checkpoint.

use std::fmt;

use aws_lc_rs::{
    rand::SecureRandom as _,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::Engine as _;
use openpam_ids::LedgerKeyId;
use openpam_ledger::{Checkpoint, LedgerName, Log, Note, Signers, TreeHead};
use openpam_secret::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;
use zeroize::Zeroizing;

use super::{error::LedgerError, store};
use crate::{domains::vault, state::Hub};

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

/// Signs as the ledger.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Signer")
    }
}

impl Signer {
    /// The present key, made where there is none. On a connection of its own: the leader does not wait for the vault.
    pub(super) async fn load(hub: &Hub) -> Result<Self, LedgerError> {
        let mut connection = hub.db().dedicated("openpam-hub-ledger-key").await?;
        let connection = &mut connection;
        if !store::keys(connection).await?.iter().any(|key| key.current) {
            make(hub, connection).await?;
        }
        let keys = store::keys(connection).await?;
        let key = keys.into_iter().find(|key| key.current).ok_or(LedgerError::Stored("there is no signing key"))?;
        let text = vault::read_key(hub, &key.vault_path).await?;
        let seed = BASE64.decode(text.expose_secret().trim()).ok().map(Zeroizing::new);
        let pair = seed.and_then(|seed| Ed25519KeyPair::from_seed_and_public_key(&seed, &key.public_key).ok());
        match (pair, key.public_key.as_slice().try_into()) {
            (Some(pair), Ok(public)) => Ok(Self { pair, public }),
            _ => Err(LedgerError::Key(key.vault_path)),
        }
    }

    /// Whether it is a checkpoint of that log with this key's signature.
    pub(super) fn has_signed(&self, ledger: &LedgerName, log: Log, note: &str) -> bool {
        self.head(ledger, log, note).is_some()
    }

    /// The tree of such a checkpoint.
    pub(super) fn head(&self, ledger: &LedgerName, log: Log, note: &str) -> Option<TreeHead> {
        let signers = Signers::Trusted { log_keys: vec![self.public], witnesses: Vec::new(), needed: 0 };
        signers.verify(ledger, log, note.as_bytes()).ok().map(|verified| verified.checkpoint.head())
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

/// Makes the first key: private into the vault, then public into the database. Of two hubs that do it at once,
/// one wins; the other's is one that never signed anything.
async fn make(hub: &Hub, connection: &mut PgConnection) -> Result<(), LedgerError> {
    let unusable = || LedgerError::Key("a key could not be made".to_owned());
    let mut seed = Zeroizing::new([0_u8; 32]);
    hub.random().fill(seed.as_mut()).map_err(|_| unusable())?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map_err(|_| unusable())?;
    let id: LedgerKeyId = hub.ids().fresh();
    let path = vault::ledger_key_path(hub, id);
    vault::write_key(hub, &path, SecretString::from(BASE64.encode(seed.as_ref()))).await?;
    store::insert_key(connection, id.as_uuid(), pair.public_key().as_ref(), &path).await?;
    tracing::info!(public_key = BASE64.encode(pair.public_key().as_ref()), path, "made the ledger's signing key");
    Ok(())
}
