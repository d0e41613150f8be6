//! Taking a secret out for a session, and which credentials a target has.

use openpam_ids::{CredentialId, LedgerKeyId, RecordingKeyId, TargetId};
use openpam_secret::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;

use super::{
    client::Vault,
    error::{CredentialError, VaultError},
    store,
    types::{Credential, CredentialFilter, CredentialKind, Holder, LoginSecret, SecretFields, check_path, check_role},
};
use crate::{
    context::Context,
    db::DbError,
    domains::{
        access::{Authorization, Purpose},
        audit::{self, Event},
    },
    state::Hub,
};

type Result<T> = std::result::Result<T, CredentialError>;

/// Credentials one target may have.
const MAX_CREDENTIALS: usize = 100;

/// The credential: name, kind and reference, never the secret.
///
/// # Errors
/// When the database fails.
pub async fn find(connection: &mut PgConnection, id: CredentialId) -> Result<Option<Credential>> {
    Ok(store::list(connection, Some(id), &CredentialFilter::default(), None, 1).await?.pop())
}

/// The credentials that may be used on a target, in its order.
///
/// # Errors
/// When the database fails.
pub async fn credentials_of(connection: &mut PgConnection, target: TargetId) -> Result<Vec<CredentialId>> {
    Ok(credentials_of_all(connection, &[target]).await?.into_iter().map(|(_, credential)| credential).collect())
}

/// The credentials that may be used on each of the targets, in its order.
///
/// # Errors
/// When the database fails.
pub async fn credentials_of_all(
    connection: &mut PgConnection,
    targets: &[TargetId],
) -> Result<Vec<(TargetId, CredentialId)>> {
    Ok(store::of_targets(connection, targets).await?)
}

/// Says which credentials may be used on a target; those that are not named may no longer be.
///
/// # Errors
/// A credential that does not exist, too many of them.
pub async fn set_credentials_of(
    connection: &mut PgConnection,
    context: &Context,
    target: TargetId,
    target_name: &str,
    credentials: &[CredentialId],
) -> Result<()> {
    if credentials.len() > MAX_CREDENTIALS {
        return Err(CredentialError::field(
            "credential_ids",
            "too_many",
            format!("may be {MAX_CREDENTIALS} at the most"),
        ));
    }
    store::set_of_target(connection, context.tenant_id, target, credentials).await?;
    let names: Vec<String> = credentials.iter().map(CredentialId::to_string).collect();
    let event =
        Event::success("target.credentials.set").on("target", target, target_name).with("credential_ids", names);
    audit::record(connection, context, event).await?;
    Ok(())
}

/// Takes out of the vault what the target wants to see, for the holder named. The authorization
/// must be for this credential, or an admin's look at the target.
///
/// # Errors
/// With the reason the vault did not give it.
pub async fn login_secret(
    hub: &Hub,
    authorization: &Authorization,
    credential: &Credential,
    holder: &Holder,
) -> std::result::Result<LoginSecret, VaultError> {
    match authorization.purpose() {
        Purpose::Session { credential_id } if credential_id != credential.id => return Err(VaultError::NotAuthorized),
        Purpose::Session { .. } | Purpose::Probe => {}
    }
    let vault = hub.vault();
    if credential.kind == CredentialKind::SshCa {
        let role = credential.ssh_role.as_deref().unwrap_or_default();
        check_role(&vault.config, &holder.tenant_slug, role)?;
        let (private_key, certificate) = vault.certify(role, &credential.username, holder).await?;
        return Ok(LoginSecret::Certificate { private_key: Box::new(private_key), certificate: Box::new(certificate) });
    }
    let path = credential.vault_path.as_deref().unwrap_or_default();
    check_path(&vault.config, &holder.tenant_slug, path)?;
    let fields = vault.read(path, credential.vault_version).await?;
    let missing = |field| VaultError::FieldMissing { path: path.to_owned(), field };
    match credential.kind {
        CredentialKind::Password => fields.password.map(LoginSecret::Password).ok_or_else(|| missing("password")),
        CredentialKind::PrivateKey | CredentialKind::SshCa => {
            let pem = fields.private_key.ok_or_else(|| missing("private_key"))?;
            Ok(LoginSecret::PrivateKey { pem, passphrase: fields.passphrase })
        }
    }
}

/// Where a key of the tenant's recordings is kept: not below the tenant's own area, which its
/// credentials may refer to.
pub fn recording_key_path(hub: &Hub, tenant_slug: &str, id: RecordingKeyId) -> String {
    format!("{}/.recordings/{tenant_slug}/{id}", hub.vault().config.kv_prefix)
}

/// Where a key that signs the ledger's checkpoints is kept: out of every tenant's area.
pub fn ledger_key_path(vault: &Vault, id: LedgerKeyId) -> String {
    format!("{}/.ledger/{id}", vault.config.kv_prefix)
}

/// Where a secret that signs what a webhook of the tenant gets is kept: not below the tenant's own area.
pub fn webhook_key_path(hub: &Hub, tenant_slug: &str, id: CredentialId) -> String {
    format!("{}/.webhooks/{tenant_slug}/{id}", hub.vault().config.kv_prefix)
}

/// Notes, before the vault is asked, that it may hold a key at `path` that nothing refers to. Unless
/// [`forget_orphan`] is committed within minutes, it is removed.
///
/// # Errors
/// When the database fails.
pub async fn note_orphan(
    connection: &mut PgConnection,
    context: &Context,
    id: CredentialId,
    path: &str,
) -> std::result::Result<(), DbError> {
    Ok(store::note_orphan(connection, context.tenant_id, id, path).await?)
}

/// The key of that id is referred to, or gone.
///
/// # Errors
/// When the database fails.
pub async fn forget_orphan(connection: &mut PgConnection, id: CredentialId) -> std::result::Result<(), DbError> {
    Ok(store::forget_orphan(connection, id).await?)
}

/// Keeps a key at a path where nothing is yet.
///
/// # Errors
/// With the reason the vault did not take it.
pub async fn write_key(hub: &Hub, path: &str, key: SecretString) -> std::result::Result<(), VaultError> {
    write_new_key(hub.vault(), path, key).await
}

/// The same for whoever is no hub.
///
/// # Errors
/// With the reason the vault did not take it.
pub async fn write_new_key(vault: &Vault, path: &str, key: SecretString) -> std::result::Result<(), VaultError> {
    let fields = SecretFields { private_key: Some(key), ..SecretFields::default() };
    vault.write(path, &fields, true).await
}

/// The key at a path.
///
/// # Errors
/// With the reason the vault did not give it.
pub async fn read_key(hub: &Hub, path: &str) -> std::result::Result<SecretString, VaultError> {
    let missing = || VaultError::FieldMissing { path: path.to_owned(), field: "private_key" };
    hub.vault().read(path, None).await?.private_key.ok_or_else(missing)
}

/// Where it is kept which logs of the ledger were found to be rewritten: beside the key that signs them.
pub fn ledger_alarms_path(vault: &Vault, id: LedgerKeyId) -> String {
    format!("{}/.ledger/{id}.alarms", vault.config.kv_prefix)
}

/// Where the ledger's name is kept, beside the key that signs under it.
pub fn ledger_name_path(vault: &Vault, id: LedgerKeyId) -> String {
    format!("{}/.ledger/{id}.name", vault.config.kv_prefix)
}

/// Keeps a text at a path, in the place of the one that is there.
///
/// # Errors
/// With the reason the vault did not take it.
pub async fn write_text(vault: &Vault, path: &str, text: SecretString) -> std::result::Result<(), VaultError> {
    let fields = SecretFields { private_key: Some(text), ..SecretFields::default() };
    vault.write(path, &fields, false).await
}

/// The text at a path, where there is one.
///
/// # Errors
/// With the reason the vault did not give it.
pub async fn read_text(vault: &Vault, path: &str) -> std::result::Result<Option<String>, VaultError> {
    match vault.read(path, None).await {
        Ok(fields) => Ok(fields.private_key.map(|text| text.expose_secret().to_owned())),
        Err(VaultError::PathMissing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
