//! Creating, changing and removing credentials. The vault writes inside the database's transaction,
//! before the commit, and removes after it: when either refuses, nothing has changed, and a secret
//! that was written for a row that did not come to be is removed again. INVARIANT: whenever the vault
//! may hold a secret without a credential, `vault_orphans` names it: a hub may die at any moment.

use chrono::TimeDelta;
use openpam_ids::{CredentialId, TenantId};
use sqlx::PgConnection;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::Instrument as _;

use super::{
    error::{CredentialError, VaultError},
    keys, service, store,
    types::{Credential, CredentialKind, SecretFields, check_path, check_role, managed_path},
};
use crate::{
    context::Context,
    db::{DbError, tenant_slug},
    domains::audit::{self, Event},
    state::Hub,
};

type Result<T> = std::result::Result<T, CredentialError>;

/// A credential to make.
pub(super) struct NewCredential {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) kind: CredentialKind,
    pub(super) username: String,
    pub(super) vault_path: Option<String>,
    pub(super) vault_version: Option<i32>,
    pub(super) ssh_role: Option<String>,
    pub(super) secret: Option<SecretFields>,
}

/// What of a credential to change; `None` stays.
#[derive(Default)]
pub(super) struct CredentialChange {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) kind: Option<CredentialKind>,
    pub(super) username: Option<String>,
    pub(super) vault_path: Option<String>,
    pub(super) vault_version: Option<Option<i32>>,
    pub(super) ssh_role: Option<String>,
    pub(super) secret: Option<SecretFields>,
}

/// Changes that may be at the vault at the same time: each holds a connection to the database while
/// the vault answers, and a vault that hangs must leave the others to those who end access.
const AT_ONCE: usize = 4;
/// How long a change waits for its turn.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Takes turns at the vault.
#[derive(Debug)]
pub(super) struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Turns {
    async fn next(&self) -> Result<SemaphorePermit<'_>> {
        match tokio::time::timeout(PATIENCE, self.0.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(CredentialError::Ending),
            Err(_) => Err(VaultError::Busy.into()),
        }
    }
}

/// Runs to its end even when the client goes away: a secret must not be left in the vault for a row
/// that was never committed.
async fn to_the_end<T: Send + 'static>(hub: &Hub, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let work = work.instrument(tracing::Span::current());
    hub.lifecycle().to_the_end(work).await.unwrap_or(Err(CredentialError::Ending))
}

async fn checked(kind: CredentialKind, secret: SecretFields) -> Result<SecretFields> {
    let checked = tokio::task::spawn_blocking(move || keys::check(kind, &secret).map(|()| secret)).await;
    checked.unwrap_or_else(|error| {
        // The libraries that read keys are not proof against every file.
        let unusable = || CredentialError::field("secret.private_key", "malformed", "cannot be read");
        Err(if error.is_panic() { unusable() } else { CredentialError::Ending })
    })
}

async fn existing(connection: &mut PgConnection, id: CredentialId) -> Result<Credential> {
    service::find(connection, id).await?.ok_or(CredentialError::NotFound("credential"))
}

/// Makes a credential, and stores its secret where it comes with one.
pub(super) async fn create(hub: &Hub, context: &Context, new: NewCredential) -> Result<Credential> {
    let (own_hub, context) = (hub.clone(), context.clone());
    to_the_end(hub, async move { create_now(&own_hub, &context, new).await }).await
}

async fn create_now(hub: &Hub, context: &Context, mut new: NewCredential) -> Result<Credential> {
    let _turn = hub.vault().turns.next().await?;
    // Before anything is held: to open a key takes a while.
    if new.vault_path.is_none()
        && let Some(secret) = new.secret.take()
    {
        new.secret = Some(checked(new.kind, secret).await?);
    }
    let id: CredentialId = hub.ids().fresh();
    let mut tx = hub.db().begin(context).await?;
    let slug = tenant_slug(&mut tx).await?;
    let config = &hub.vault().config;
    let now = hub.clock().now();
    let mut credential = Credential {
        id,
        name: new.name,
        description: new.description,
        kind: new.kind,
        username: new.username,
        vault_path: new.vault_path,
        vault_version: new.vault_version,
        ssh_role: new.ssh_role,
        managed: false,
        target_count: 0,
        created_at: now,
        updated_at: now,
    };
    let secret = match new.secret {
        Some(_) if credential.vault_path.is_some() => {
            return Err(CredentialError::field("vault_path", "not_allowed", "cannot be given together with a secret"));
        }
        Some(secret) => {
            credential.vault_path = Some(managed_path(config, &slug, id));
            credential.vault_version = None;
            credential.managed = true;
            Some(secret)
        }
        None => None,
    };
    validate(&mut credential, config, &slug)?;
    let path = credential.vault_path.clone().filter(|_| secret.is_some());
    if let Some(path) = &path {
        store::note_orphan(&mut tx, context.tenant_id, id, path).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    let mut left = Left::Nothing;
    let result = insert(hub, context, &credential, secret.as_ref(), &mut left).await;
    if let (Err(_), Some(path)) = (&result, &path) {
        match left {
            Left::Nothing => {
                if let Err(error) = forget_orphan(hub, context, id).await {
                    tracing::debug!(%error, "left to the reconciler");
                }
            }
            Left::Secret => remove_orphan(hub, context, id, path).await,
            // The row may be there although the commit was not answered: the reconciler sees later.
            Left::Unknown => tracing::warn!(path, "the reconciler will see whether this secret has a credential"),
        }
    }
    result
}

/// What of a credential that could not be made may be left.
enum Left {
    Nothing,
    Secret,
    Unknown,
}

/// Writes row and secret. `left` tells what an error leaves behind.
async fn insert(
    hub: &Hub,
    context: &Context,
    credential: &Credential,
    secret: Option<&SecretFields>,
    left: &mut Left,
) -> Result<Credential> {
    let mut tx = hub.db().begin(context).await?;
    store::insert(&mut tx, context.tenant_id, credential).await?;
    audit::record(&mut tx, context, event("credential.create", credential)).await?;
    store::forget_orphan(&mut tx, credential.id).await?;
    if let (Some(secret), Some(path)) = (secret, credential.vault_path.as_deref()) {
        let written = hub.vault().write(path, secret, true).await;
        // It may have arrived although no answer came back.
        if matches!(written, Ok(()) | Err(VaultError::Unanswered(_))) {
            *left = Left::Secret;
        }
        written?;
    }
    let created = existing(&mut tx, credential.id).await?;
    *left = Left::Unknown;
    tx.commit().await.map_err(DbError::from)?;
    Ok(created)
}

async fn forget_orphan(hub: &Hub, context: &Context, id: CredentialId) -> Result<()> {
    let mut tx = hub.db().begin(context).await?;
    store::forget_orphan(&mut tx, id).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Removes now what would otherwise wait for the reconciler.
async fn remove_orphan(hub: &Hub, context: &Context, id: CredentialId, path: &str) {
    let removed = async {
        hub.vault().remove(path).await?;
        forget_orphan(hub, context, id).await
    };
    if let Err(error) = removed.await {
        tracing::warn!(path, %error, "a secret without a credential is left in the vault for now");
    }
}

/// Removes secrets that have had no credential for `grace`.
///
/// # Errors
/// When database or vault fail for one of them; the others are removed all the same.
pub(super) async fn reconcile(hub: &Hub, tenant_id: TenantId, grace: TimeDelta) -> Result<()> {
    let context = Context::system(tenant_id, "vault reconciler");
    let mut tx = hub.db().begin(&context).await?;
    let due = store::orphans(&mut tx, hub.clock().now() - grace).await?;
    tx.commit().await.map_err(DbError::from)?;
    let mut failure = None;
    for (id, path) in due {
        // One that cannot be removed must not keep the others from it.
        if let Err(error) = clean_up(hub, &context, id, &path).await {
            tracing::warn!(path, %error, "a secret without a credential could not be removed, trying again later");
            failure = Some(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn clean_up(hub: &Hub, context: &Context, id: CredentialId, path: &str) -> Result<()> {
    let _turn = hub.vault().turns.next().await?;
    let mut tx = hub.db().begin(context).await?;
    // A change of the credential that is under way is waited for: it may store a secret again.
    store::lock(&mut tx, id).await?;
    let owner = service::find(&mut tx, id).await?;
    if !owner.is_some_and(|credential| credential.managed && credential.vault_path.as_deref() == Some(path)) {
        hub.vault().remove(path).await?;
        let event = Event::success("credential.secret.clean_up").on("credential", id, "").with("vault_path", path);
        audit::record(&mut tx, context, event).await?;
        tracing::info!(path, "removed a secret without a credential from the vault");
    }
    store::forget_orphan(&mut tx, id).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Changes a credential. A new reference takes the place of a secret that was stored through the
/// hub, and the other way round.
pub(super) async fn update(
    hub: &Hub,
    context: &Context,
    id: CredentialId,
    change: CredentialChange,
) -> Result<Credential> {
    let (own_hub, context) = (hub.clone(), context.clone());
    to_the_end(hub, async move { update_now(&own_hub, &context, id, change).await }).await
}

async fn update_now(hub: &Hub, context: &Context, id: CredentialId, change: CredentialChange) -> Result<Credential> {
    let _turn = hub.vault().turns.next().await?;
    let config = &hub.vault().config;
    let mut tx = hub.db().begin(context).await?;
    let slug = tenant_slug(&mut tx).await?;
    let own_path = managed_path(config, &slug, id);
    if change.secret.is_some() && !existing(&mut tx, id).await?.managed {
        // Noted before the vault is asked; what comes of it decides the transaction below.
        store::note_orphan(&mut tx, context.tenant_id, id, &own_path).await?;
        tx.commit().await.map_err(DbError::from)?;
        tx = hub.db().begin(context).await?;
    }
    store::lock(&mut tx, id).await?;
    let before = existing(&mut tx, id).await?;
    let mut credential = before.clone();
    if change.kind.is_some_and(|kind| kind != before.kind) {
        return Err(CredentialError::field("kind", "not_changeable", "cannot be changed: make another credential"));
    }
    if let Some(name) = change.name {
        credential.name = name;
    }
    if let Some(description) = change.description {
        credential.description = description;
    }
    if let Some(username) = change.username {
        credential.username = username;
    }
    if let Some(role) = change.ssh_role {
        credential.ssh_role = Some(role);
    }
    if let Some(version) = change.vault_version {
        credential.vault_version = version;
    }
    if let Some(path) = change.vault_path.filter(|path| Some(path) != before.vault_path.as_ref()) {
        if change.secret.is_some() {
            return Err(CredentialError::field("vault_path", "not_allowed", "cannot be given together with a secret"));
        }
        credential.managed = false;
        credential.vault_path = Some(path);
    }
    let secret = match change.secret {
        Some(secret) => {
            let secret = checked(credential.kind, secret).await?;
            credential.vault_path = Some(own_path.clone());
            credential.vault_version = None;
            credential.managed = true;
            Some(secret)
        }
        None => None,
    };
    validate(&mut credential, config, &slug)?;
    store::update(&mut tx, &credential).await?;
    let changed = event("credential.update", &credential)
        .with_change("name", before.name, credential.name.as_str())
        .with_change("description", before.description, credential.description.as_str())
        .with_change("username", before.username, credential.username.as_str())
        .with_change("managed", before.managed, credential.managed)
        .with_change("vault_path", before.vault_path, credential.vault_path.as_deref())
        .with_change("vault_version", before.vault_version, credential.vault_version)
        .with_change("ssh_role", before.ssh_role, credential.ssh_role.as_deref());
    audit::record(&mut tx, context, changed).await?;
    if let Some(secret) = &secret {
        audit::record(&mut tx, context, event("credential.secret.set", &credential)).await?;
        hub.vault().write(&own_path, secret, false).await?;
    }
    let after = existing(&mut tx, id).await?;
    let left_over = before.managed && !credential.managed;
    if left_over {
        store::note_orphan(&mut tx, context.tenant_id, id, &own_path).await?;
    } else if credential.managed {
        store::forget_orphan(&mut tx, id).await?;
    }
    if let Err(error) = tx.commit().await {
        if secret.is_some() {
            // KV keeps the version before it. Sending the change again makes both agree.
            tracing::error!(path = own_path, "the vault has a new secret, and the change of its credential failed");
        }
        return Err(DbError::from(error).into());
    }
    if left_over {
        remove_orphan(hub, context, id, &own_path).await;
    }
    Ok(after)
}

/// Removes a credential, and its secret where the hub wrote it.
pub(super) async fn delete(hub: &Hub, context: &Context, id: CredentialId) -> Result<()> {
    let (own_hub, context) = (hub.clone(), context.clone());
    to_the_end(hub, async move {
        let _turn = own_hub.vault().turns.next().await?;
        let mut tx = own_hub.db().begin(&context).await?;
        store::lock(&mut tx, id).await?;
        let credential = existing(&mut tx, id).await?;
        store::delete(&mut tx, id).await?;
        audit::record(&mut tx, &context, event("credential.delete", &credential)).await?;
        let path = credential.vault_path.filter(|_| credential.managed);
        if let Some(path) = &path {
            store::note_orphan(&mut tx, context.tenant_id, id, path).await?;
        }
        tx.commit().await.map_err(DbError::from)?;
        // Only now: a row whose deletion failed still needs its secret.
        if let Some(path) = &path {
            remove_orphan(&own_hub, &context, id, path).await;
        }
        Ok(())
    })
    .await
}

fn event(action: &'static str, credential: &Credential) -> Event {
    Event::success(action)
        .on("credential", credential.id, &credential.name)
        .with("kind", credential.kind.name())
        .with("username", credential.username.as_str())
        .with("managed", credential.managed)
        .with("vault_path", credential.vault_path.as_deref())
        .with("ssh_role", credential.ssh_role.as_deref())
}

/// Trims and checks what a credential says.
fn validate(credential: &mut Credential, config: &crate::config::Vault, slug: &str) -> Result<()> {
    let mut errors = Vec::new();
    let mut add = |field: &'static str, code: &'static str, message: &str| {
        errors.push(crate::http::FieldError { field: field.into(), code: code.into(), message: message.to_owned() });
    };
    credential.name = credential.name.trim().to_owned();
    if !(1..=200).contains(&credential.name.chars().count()) || credential.name.chars().any(char::is_control) {
        add("name", "malformed", "must have 1 to 200 characters");
    }
    if credential.description.chars().count() > 2_000 || credential.description.contains('\0') {
        add("description", "too_long", "may have 2000 characters at the most");
    }
    let username = &credential.username;
    if !(1..=200).contains(&username.chars().count()) || username.chars().any(char::is_control) {
        add("username", "malformed", "must have 1 to 200 characters");
    }
    let ca = credential.kind == CredentialKind::SshCa;
    if ca && username.contains(',') {
        add("username", "malformed", "must be one name: a comma would add principals to the certificate");
    }
    match (ca, credential.ssh_role.as_deref()) {
        (true, None | Some("")) => add("ssh_role", "required", "is required: the role of the vault's SSH CA"),
        (true, Some(role)) if role.len() > 100 || !role.bytes().all(is_plain) => {
            add("ssh_role", "malformed", "may have letters, digits, dot, dash and underscore");
        }
        (true, Some(role)) if check_role(config, slug, role).is_err() => {
            add(
                "ssh_role",
                "not_allowed",
                &format!(
                    "must be {slug}, begin with {slug}., or be given to this tenant by the hub's configuration (vault.ssh_roles)"
                ),
            );
        }
        (false, Some(_)) => add("ssh_role", "not_allowed", "is only for certificates (kind ssh_ca)"),
        _ => {}
    }
    match (ca, credential.vault_path.as_deref()) {
        (true, Some(_)) => add("vault_path", "not_allowed", "is not for certificates"),
        (false, None | Some("")) => add("vault_path", "required", "is required, or else a secret to store"),
        (false, Some(path)) if path.len() > 500 || !path.split('/').all(is_segment) => {
            add("vault_path", "malformed", "must be a path below the KV mount, such as shared/db/root");
        }
        (false, Some(path)) if check_path(config, slug, path).is_err() => {
            let own = format!("{}/{slug}/", config.kv_prefix);
            let message = match config.shared_prefix.as_str() {
                "" => format!("must begin with {own}"),
                shared => format!("must begin with {own} or {shared}/"),
            };
            add("vault_path", "not_allowed", &message);
        }
        _ => {}
    }
    if credential.vault_version.is_some_and(|version| version < 1 || ca) {
        add("vault_version", "out_of_range", "must be 1 or more, and is not for certificates");
    }
    if errors.is_empty() { Ok(()) } else { Err(CredentialError::Invalid(errors)) }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

fn is_segment(segment: &str) -> bool {
    segment.bytes().all(is_plain)
        && segment.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
}
