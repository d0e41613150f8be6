//! What the vault knows of the ledger, beside the key that signs: its name, and which key came after this one. Whoever
//! has the database alone can give the ledger another name, under which nothing was signed and no alarm was raised, or
//! make a key the present one that was replaced: then nothing is signed.

use openpam_ids::LedgerKeyId;
use openpam_secret::SecretString;
use serde::{Deserialize, Serialize};

use super::error::LedgerError;
use crate::{
    config::Ledger as Config,
    domains::vault::{self, Vault},
};

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    followed_by: Option<String>,
}

async fn read(vault: &Vault, key: LedgerKeyId) -> Result<Option<Kept>, LedgerError> {
    let text = vault::read_text(vault, &vault::ledger_name_path(vault, key)).await?;
    let unread = |_| LedgerError::Stored("what the vault keeps of its name cannot be read");
    text.map(|text| serde_json::from_str(&text).map_err(unread)).transpose()
}

async fn write(vault: &Vault, key: LedgerKeyId, kept: &Kept) -> Result<(), LedgerError> {
    let text = SecretString::from(serde_json::to_string(kept).unwrap_or_default());
    Ok(vault::write_text(vault, &vault::ledger_name_path(vault, key), text).await?)
}

/// Holds the database's name of the ledger, and its present key, against what the vault has of them; keeps the name where
/// there is none yet, and the new one where the configuration says that it follows the one before.
pub(super) async fn check(vault: &Vault, config: &Config, key: LedgerKeyId, name: &str) -> Result<(), LedgerError> {
    let named = Kept { name: name.to_owned(), followed_by: None };
    let Some(kept) = read(vault, key).await? else { return write(vault, key, &named).await };
    if let Some(next) = kept.followed_by {
        return Err(LedgerError::Replaced(next));
    }
    if kept.name == name {
        return Ok(());
    }
    // As after `openpam audit resume`.
    if config.name.as_deref() == Some(name) && config.former_names.contains(&kept.name) {
        return write(vault, key, &named).await;
    }
    Err(LedgerError::Renamed(kept.name))
}

/// Notes that another key signs from now on.
pub(super) async fn follow(vault: &Vault, before: LedgerKeyId, after: LedgerKeyId) -> Result<(), LedgerError> {
    if let Some(kept) = read(vault, before).await? {
        write(vault, after, &Kept { name: kept.name.clone(), followed_by: None }).await?;
        write(vault, before, &Kept { followed_by: Some(after.to_string()), ..kept }).await?;
    }
    Ok(())
}
