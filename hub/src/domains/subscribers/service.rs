//! Webhooks, by administrators.

use aws_lc_rs::rand::SecureRandom as _;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use openpam_ids::{CredentialId, WebhookId};
use openpam_secret::SecretString;
use sqlx::PgConnection;
use tracing::Instrument as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    envelope::SECRET_PREFIX,
    error::SubscriberError,
    sender::Attempt,
    store,
    types::{Webhook, WebhookChange, WebhookFields},
    validation,
};
use crate::{
    context::Context,
    db::{DbError, tenant_slug},
    domains::{
        audit::{self, Event, Outcome},
        events, vault,
    },
    permissions::{Permission, permits},
    state::Hub,
};

type Result<T> = std::result::Result<T, SubscriberError>;

/// Webhooks of a tenant.
const MAX_WEBHOOKS: i64 = 50;
/// Random bytes of a secret: the specification wants 24 to 64.
const SECRET_BYTES: usize = 32;

/// Webhooks by name.
pub(super) async fn list(
    hub: &Hub,
    context: &Context,
    text: Option<&str>,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<Webhook>> {
    let mut tx = hub.db().begin(context).await?;
    Ok(store::list(&mut tx, None, text, after, limit).await?)
}

/// One webhook.
pub(super) async fn get(hub: &Hub, context: &Context, id: WebhookId) -> Result<Webhook> {
    let mut tx = hub.db().begin(context).await?;
    existing(&mut tx, id).await
}

async fn existing(connection: &mut PgConnection, id: WebhookId) -> Result<Webhook> {
    store::list(connection, Some(id), None, None, 1).await?.pop().ok_or(SubscriberError::NotFound)
}

/// Makes a webhook; its secret is told this once.
pub(super) async fn create(hub: &Hub, context: &Context, mut fields: WebhookFields) -> Result<(Webhook, SecretString)> {
    may_read(context)?;
    check(hub, &mut fields)?;
    let secret = NewSecret::store(hub, context).await?;
    let id: WebhookId = hub.ids().fresh();
    let mut tx = hub.db().begin(context).await?;
    if store::count_locked(&mut tx, context.tenant_id).await? >= MAX_WEBHOOKS {
        return Err(SubscriberError::TooMany(MAX_WEBHOOKS));
    }
    store::insert(&mut tx, context.tenant_id, id, &fields, &secret.path).await?;
    vault::forget_orphan(&mut tx, secret.id).await?;
    let event = Event::success("webhook.create")
        .on("webhook", id, &fields.name)
        .with("url", fields.url.as_str())
        .with("event_types", fields.event_types.clone())
        .with("enabled", fields.enabled);
    audit::record(&mut tx, context, event).await?;
    let webhook = existing(&mut tx, id).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok((webhook, secret.text))
}

/// Changes a webhook.
pub(super) async fn update(hub: &Hub, context: &Context, id: WebhookId, change: WebhookChange) -> Result<Webhook> {
    may_read(context)?;
    let mut tx = hub.db().begin(context).await?;
    store::lock(&mut tx, id).await?;
    let before = existing(&mut tx, id).await?;
    let mut fields = WebhookFields {
        name: change.name.unwrap_or_else(|| before.name.clone()),
        description: change.description.unwrap_or_else(|| before.description.clone()),
        url: change.url.unwrap_or_else(|| before.url.clone()),
        event_types: change.event_types.unwrap_or_else(|| before.event_types.clone()),
        enabled: change.enabled.unwrap_or(before.enabled),
    };
    check(hub, &mut fields)?;
    store::update(&mut tx, id, &fields, &before.vault_path).await?;
    let event = Event::success("webhook.update")
        .on("webhook", id, &fields.name)
        .with_change("name", before.name.as_str(), fields.name.as_str())
        .with_change("description", before.description.as_str(), fields.description.as_str())
        .with_change("url", before.url.as_str(), fields.url.as_str())
        .with_change("event_types", before.event_types, fields.event_types.clone())
        .with_change("enabled", before.enabled, fields.enabled);
    audit::record(&mut tx, context, event).await?;
    let webhook = existing(&mut tx, id).await?;
    tx.commit().await.map_err(DbError::from)?;
    hub.events().wake_senders();
    Ok(webhook)
}

/// Removes a webhook, with what waits for it, and its secret.
///
/// That may be so much that who asked does not wait for it.
pub(super) async fn delete(hub: &Hub, context: &Context, id: WebhookId) -> Result<()> {
    let (own_hub, own_context) = (hub.clone(), context.clone());
    let work = async move { delete_now(&own_hub, &own_context, id).await };
    hub.lifecycle().to_the_end(work.in_current_span()).await.unwrap_or(Err(SubscriberError::Ending))
}

async fn delete_now(hub: &Hub, context: &Context, id: WebhookId) -> Result<()> {
    let mut tx = hub.db().begin(context).await?;
    store::lock(&mut tx, id).await?;
    let webhook = existing(&mut tx, id).await?;
    store::delete(&mut tx, id).await?;
    // The vault's reconciler removes what is noted.
    vault::note_orphan(&mut tx, context, hub.ids().fresh(), &webhook.vault_path).await?;
    let event = Event::success("webhook.delete").on("webhook", id, &webhook.name).with("pending", webhook.pending);
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    // In pieces: whoever completes a delivery holds the event first.
    let mut after = Some(Uuid::nil());
    while let Some(last) = after {
        let mut tx = hub.db().begin(context).await?;
        after = events::settle_some(&mut tx, last).await?;
        tx.commit().await.map_err(DbError::from)?;
    }
    Ok(())
}

/// Gives a webhook another secret, which is told this once. The one before signs nothing any more.
pub(super) async fn rotate_secret(hub: &Hub, context: &Context, id: WebhookId) -> Result<SecretString> {
    get(hub, context, id).await?;
    let secret = NewSecret::store(hub, context).await?;
    let mut tx = hub.db().begin(context).await?;
    store::lock(&mut tx, id).await?;
    let before = existing(&mut tx, id).await?;
    let fields = WebhookFields {
        name: before.name,
        description: before.description,
        url: before.url,
        event_types: before.event_types,
        enabled: before.enabled,
    };
    store::update(&mut tx, id, &fields, &secret.path).await?;
    vault::forget_orphan(&mut tx, secret.id).await?;
    vault::note_orphan(&mut tx, context, hub.ids().fresh(), &before.vault_path).await?;
    audit::record(&mut tx, context, Event::success("webhook.secret.rotate").on("webhook", id, &fields.name)).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(secret.text)
}

/// What trying a webhook came to.
pub(super) struct Tried {
    pub(super) attempt: Attempt,
    pub(super) milliseconds: u64,
}

/// Sends a webhook an event of its own, whether it is enabled or not. What was sent is in the trail, also when who asked
/// for it has gone away.
pub(super) async fn test(hub: &Hub, context: &Context, id: WebhookId) -> Result<Tried> {
    let (own_hub, own_context) = (hub.clone(), context.clone());
    let work = async move { send_test(&own_hub, &own_context, id).await };
    hub.lifecycle().to_the_end(work.in_current_span()).await.unwrap_or(Err(SubscriberError::Ending))
}

async fn send_test(hub: &Hub, context: &Context, id: WebhookId) -> Result<Tried> {
    let webhook = get(hub, context, id).await?;
    let key = key(hub, &webhook.vault_path).await?;
    let began = std::time::Instant::now();
    let event = events::test_event(context);
    let attempt = hub.senders().send(&webhook.url, &key, &event, hub.clock().now()).await;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut trail = Event::success("webhook.test")
        .on("webhook", id, &webhook.name)
        .with("status", attempt.status)
        .with("error", attempt.error.as_deref());
    if attempt.error.is_some() {
        trail.outcome = Outcome::Failure;
    }
    let mut tx = hub.db().begin(context).await?;
    audit::record(&mut tx, context, trail).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(Tried { attempt, milliseconds })
}

/// Begins the dead letters of a webhook anew; how many.
pub(super) async fn replay(hub: &Hub, context: &Context, id: WebhookId) -> Result<usize> {
    let mut tx = hub.db().begin(context).await?;
    let webhook = existing(&mut tx, id).await?;
    let revived = events::replay_failed(&mut tx, id).await?;
    let event = Event::success("webhook.replay").on("webhook", id, &webhook.name).with("deliveries", revived);
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    hub.events().wake_senders();
    Ok(revived)
}

/// The secret of a webhook.
pub(super) async fn key(hub: &Hub, path: &str) -> Result<SecretString> {
    if let Some(key) = hub.senders().known_key(path) {
        return Ok(key);
    }
    let key = vault::read_key(hub, path).await?;
    hub.senders().keep_key(path, &key);
    Ok(key)
}

/// Whoever says where events go could as well read them: a limited token must be allowed to.
fn may_read(context: &Context) -> Result<()> {
    if permits(&context.principal, Permission::EventRead) { Ok(()) } else { Err(SubscriberError::BeyondScope) }
}

fn check(hub: &Hub, fields: &mut WebhookFields) -> Result<()> {
    let errors = validation::webhook(fields, hub.senders().destinations());
    if errors.is_empty() { Ok(()) } else { Err(SubscriberError::Invalid(errors)) }
}

/// A secret that is in the vault, and of which the database still has to say whose it is.
struct NewSecret {
    /// What notes it until then.
    id: CredentialId,
    path: String,
    text: SecretString,
}

impl NewSecret {
    /// Makes one. What dies between here and the commit of its webhook is left to the vault's reconciler.
    async fn store(hub: &Hub, context: &Context) -> Result<Self> {
        let mut bytes = Zeroizing::new([0_u8; SECRET_BYTES]);
        hub.random().fill(bytes.as_mut()).map_err(|_| SubscriberError::Random)?;
        let encoded = Zeroizing::new(BASE64.encode(bytes.as_ref()));
        let text = SecretString::from(format!("{SECRET_PREFIX}{}", encoded.as_str()));
        let id: CredentialId = hub.ids().fresh();
        let mut tx = hub.db().begin(context).await?;
        let path = vault::webhook_key_path(hub, &tenant_slug(&mut tx).await?, id);
        vault::note_orphan(&mut tx, context, id, &path).await?;
        tx.commit().await.map_err(DbError::from)?;
        vault::write_key(hub, &path, text.clone()).await?;
        Ok(Self { id, path, text })
    }
}
