//! Alarms: which logs were found to be rewritten. They are kept in the vault, where the database's administrator has no
//! hand: no hub signs these logs again, whoever restarts it, until somebody has acknowledged it.

use std::collections::BTreeSet;

use openpam_ids::LedgerKeyId;
use openpam_secret::SecretString;
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};

use crate::{
    domains::vault::{self, Vault, VaultError},
    state::Hub,
};

/// Between tries to keep what the vault did not take.
const RETRY: Duration = Duration::from_secs(1);
/// Bytes of all origins together.
const MAX_BYTES: usize = 512 << 10;

/// The origins of the logs for which there is an alarm, beside the key that signs.
pub(super) async fn read(vault: &Vault, key: LedgerKeyId) -> Result<BTreeSet<String>, VaultError> {
    let path = vault::ledger_alarms_path(vault, key);
    let text = vault::read_text(vault, &path).await?;
    // What cannot be read was no hub's doing. It is an alarm of no log, which stays until it is acknowledged.
    Ok(text.map(|text| serde_json::from_str(&text).unwrap_or_else(|_| [text].into())).unwrap_or_default())
}

pub(super) async fn write(vault: &Vault, key: LedgerKeyId, origins: &BTreeSet<String>) -> Result<(), VaultError> {
    let path = vault::ledger_alarms_path(vault, key);
    let text = serde_json::to_string(origins).unwrap_or_default();
    if text.len() > MAX_BYTES {
        return Err(VaultError::Malformed { path });
    }
    vault::write_text(vault, &path, SecretString::from(text)).await
}

/// Adds to what is there, and makes sure that it is: another hub may do the same at the same time.
async fn add(vault: &Vault, key: LedgerKeyId, origins: &BTreeSet<String>) -> Result<(), VaultError> {
    let mut all = read(vault, key).await?;
    if !origins.is_subset(&all) {
        all.extend(origins.iter().cloned());
        write(vault, key, &all).await?;
        all = read(vault, key).await?;
    }
    if origins.is_subset(&all) { Ok(()) } else { Err(VaultError::Unavailable("another hub wrote".to_owned())) }
}

/// What is on its way to the vault, and whether it has arrived.
type Saving = (BTreeSet<String>, oneshot::Receiver<Result<(), VaultError>>);

/// Alarms of this process that are to be kept.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    unsaved: BTreeSet<String>,
    saving: Option<Saving>,
    due: Option<Instant>,
}

impl Alarms {
    /// Another one.
    pub(super) fn raise(&mut self, origin: String) {
        self.unsaved.insert(origin);
    }

    /// Keeps them, aside: the vault may hang. Beside the key, once there is one.
    pub(super) fn tend(&mut self, hub: &Hub, key: Option<LedgerKeyId>) {
        let Some(key) = key else { return };
        if let Some((origins, saved)) = &mut self.saving {
            match saved.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => return,
                Ok(Ok(())) => self.unsaved.retain(|origin| !origins.contains(origin)),
                Ok(Err(error)) => {
                    if self.due.is_none() {
                        tracing::error!(%error, "an alarm of the ledger is not kept yet; trying again every second");
                    }
                    self.due = Some(Instant::now() + RETRY);
                }
                Err(oneshot::error::TryRecvError::Closed) => self.due = Some(Instant::now() + RETRY),
            }
            self.saving = None;
        }
        if self.unsaved.is_empty() {
            self.due = None;
        } else if self.due.is_none_or(|due| Instant::now() >= due) {
            let (give, take) = oneshot::channel();
            let (asking, origins) = (hub.clone(), self.unsaved.clone());
            hub.lifecycle().spawn_child(async move {
                // Nobody waits for it where the hub ends.
                let _ = give.send(add(asking.vault(), key, &origins).await);
            });
            self.saving = Some((self.unsaved.clone(), take));
        }
    }
}
