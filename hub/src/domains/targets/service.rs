//! Use cases of sites, zones, targets and host keys. The routes' access rules decided already who
//! may; every change and its audit event share the caller's transaction.

use std::collections::HashMap;

use ipnetwork::IpNetwork;
use openpam_ids::{HostKeyId, SiteId, TargetId, UserId, ZoneId};
use russh::keys::{HashAlg, PublicKey};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    error::TargetsError,
    store,
    types::{
        Destination, HostKey, HostKeyKind, Site, SiteFields, Target, TargetFields, TargetFilter, TrustedKey, Zone,
        ZoneFields,
    },
    validation,
};
use crate::{
    context::{Context, Ids},
    domains::{
        audit::{self, Event},
        identity,
    },
    permissions::{Permission, permits},
};

type Result<T> = std::result::Result<T, TargetsError>;

/// Bytes a public key line may have; the longest real ones (RSA 16384) have less than half.
const MAX_PUBLIC_KEY: usize = 8_192;
/// Keys one target may have trusted.
const MAX_HOST_KEYS: usize = 32;

pub(super) async fn site(connection: &mut PgConnection, id: SiteId) -> Result<Site> {
    store::sites(connection, Some(id), None, None, 1).await?.pop().ok_or(TargetsError::NotFound("site"))
}

pub(super) async fn create_site(
    connection: &mut PgConnection,
    context: &Context,
    mut fields: SiteFields,
) -> Result<Site> {
    validation::site(&mut fields)?;
    let id: SiteId = Ids.fresh();
    store::insert_site(connection, context.tenant_id, id, &fields).await?;
    audit::record(connection, context, Event::success("site.create").on("site", id, &fields.name)).await?;
    site(connection, id).await
}

/// Changes a site: `change` gets what it is and makes it what it shall be. Other writers wait.
pub(super) async fn update_site(
    connection: &mut PgConnection,
    context: &Context,
    id: SiteId,
    change: impl FnOnce(&mut SiteFields) + Send,
) -> Result<Site> {
    store::lock_site(connection, id).await?;
    let before = site(connection, id).await?.fields;
    let mut fields = before.clone();
    change(&mut fields);
    validation::site(&mut fields)?;
    store::update_site(connection, id, &fields).await?;
    let event = Event::success("site.update")
        .on("site", id, &fields.name)
        .with_change("name", before.name, fields.name.as_str())
        .with_change("code", before.code, fields.code)
        .with_change("description", before.description, fields.description);
    audit::record(connection, context, event).await?;
    site(connection, id).await
}

pub(super) async fn delete_site(connection: &mut PgConnection, context: &Context, id: SiteId) -> Result<()> {
    store::lock_site(connection, id).await?;
    let site = site(connection, id).await?;
    store::delete_site(connection, id).await?;
    audit::record(connection, context, Event::success("site.delete").on("site", id, site.fields.name)).await?;
    Ok(())
}

pub(super) async fn zone(connection: &mut PgConnection, id: ZoneId) -> Result<Zone> {
    store::zones(connection, Some(id), None, None, 1).await?.pop().ok_or(TargetsError::NotFound("zone"))
}

async fn site_name(connection: &mut PgConnection, id: Option<SiteId>) -> Result<Option<String>> {
    let Some(id) = id else { return Ok(None) };
    Ok(Some(site(connection, id).await?.fields.name))
}

async fn check_zone(connection: &mut PgConnection, fields: &mut ZoneFields) -> Result<()> {
    validation::zone(fields)?;
    if let Some(site_id) = fields.site_id
        && site(connection, site_id).await.is_err()
    {
        return Err(TargetsError::field("site_id", "not_found", "names a site that does not exist"));
    }
    Ok(())
}

pub(super) async fn create_zone(
    connection: &mut PgConnection,
    context: &Context,
    mut fields: ZoneFields,
) -> Result<Zone> {
    check_zone(connection, &mut fields).await?;
    let id: ZoneId = Ids.fresh();
    store::insert_zone(connection, context.tenant_id, id, &fields).await?;
    audit::record(connection, context, Event::success("zone.create").on("zone", id, &fields.name)).await?;
    zone(connection, id).await
}

/// Changes a zone: `change` gets what it is and makes it what it shall be. Other writers wait.
pub(super) async fn update_zone(
    connection: &mut PgConnection,
    context: &Context,
    id: ZoneId,
    change: impl FnOnce(&mut ZoneFields) + Send,
) -> Result<Zone> {
    store::lock_zone(connection, id).await?;
    let before = zone(connection, id).await?.fields;
    let mut fields = before.clone();
    change(&mut fields);
    check_zone(connection, &mut fields).await?;
    store::update_zone(connection, id, &fields).await?;
    let mut event = Event::success("zone.update")
        .on("zone", id, &fields.name)
        .with_change("name", before.name, fields.name.as_str())
        .with_change("description", before.description, fields.description)
        .with_change("type", before.kind.name(), fields.kind.name());
    if before.site_id != fields.site_id {
        let (was, is) = (site_name(connection, before.site_id).await?, site_name(connection, fields.site_id).await?);
        event = event.with_change("site", was, is);
    }
    audit::record(connection, context, event).await?;
    zone(connection, id).await
}

pub(super) async fn delete_zone(connection: &mut PgConnection, context: &Context, id: ZoneId) -> Result<()> {
    store::lock_zone(connection, id).await?;
    let zone = zone(connection, id).await?;
    store::delete_zone(connection, id).await?;
    audit::record(connection, context, Event::success("zone.delete").on("zone", id, zone.fields.name)).await?;
    Ok(())
}

/// The target, with its access groups and trusted keys.
///
/// # Errors
/// When the database fails.
pub async fn find(connection: &mut PgConnection, id: TargetId) -> Result<Option<Target>> {
    Ok(store::targets(connection, Some(id), &TargetFilter::default(), None, 1).await?.pop())
}

/// What the decision needs to know of each of these targets that still exists.
///
/// # Errors
/// When the database fails.
pub async fn destinations(connection: &mut PgConnection, ids: &[TargetId]) -> Result<HashMap<TargetId, Destination>> {
    let found = store::destinations(connection, ids).await?;
    Ok(found.into_iter().map(|destination| (destination.id, destination)).collect())
}

/// Targets that match, by name; `after` is the (lower-case) name and id of the last one seen.
///
/// # Errors
/// When the database fails.
pub async fn list(
    connection: &mut PgConnection,
    filter: &TargetFilter,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<Target>> {
    Ok(store::targets(connection, None, filter, after, limit).await?)
}

async fn existing(connection: &mut PgConnection, id: TargetId) -> Result<Target> {
    find(connection, id).await?.ok_or(TargetsError::NotFound("target"))
}

async fn check_target(
    connection: &mut PgConnection,
    fields: &mut TargetFields,
    known_host: Option<&str>,
    address_exceptions: &[IpNetwork],
) -> Result<()> {
    validation::target(fields, known_host, address_exceptions)?;
    match zone(connection, fields.zone_id).await {
        Err(TargetsError::NotFound(_)) => {
            Err(TargetsError::field("zone_id", "not_found", "names a zone that does not exist"))
        }
        other => other.map(|_| ()),
    }
}

/// Where a target is, and the key it is known by, decide who is shown its credentials: of limited tokens, only those
/// that may manage these too.
fn may_lead_credentials(context: &Context) -> Result<()> {
    if permits(&context.principal, Permission::CredentialManage) { Ok(()) } else { Err(TargetsError::BeyondScope) }
}

/// Groups open targets: no limited token gives or takes them.
fn may_open(context: &Context, before: &TargetFields, after: &TargetFields) -> Result<()> {
    let same = before.access_groups == after.access_groups;
    if same || context.principal.scopes.is_none() { Ok(()) } else { Err(TargetsError::BeyondScope) }
}

/// Makes a target. `address_exceptions` are of the configuration.
///
/// # Errors
/// Fields that are not valid, a name that is taken.
pub async fn create(
    connection: &mut PgConnection,
    context: &Context,
    address_exceptions: &[IpNetwork],
    mut fields: TargetFields,
) -> Result<TargetId> {
    check_target(connection, &mut fields, None, address_exceptions).await?;
    let nothing = TargetFields { access_groups: Vec::new(), ..fields.clone() };
    may_open(context, &nothing, &fields)?;
    let id: TargetId = Ids.fresh();
    store::insert_target(connection, context.tenant_id, id, &fields).await?;
    let event = Event::success("target.create")
        .on("target", id, &fields.name)
        .with("address", format!("{}:{}", fields.host, fields.port));
    let event = with_groups(connection, event, &nothing, &fields).await?;
    audit::record(connection, context, event).await?;
    Ok(id)
}

/// Changes a target: `change` gets what it is and makes it what it shall be. Other writers wait.
///
/// # Errors
/// No such target, fields that are not valid, a name that is taken.
pub async fn update(
    connection: &mut PgConnection,
    context: &Context,
    address_exceptions: &[IpNetwork],
    id: TargetId,
    change: impl FnOnce(&mut TargetFields) + Send,
) -> Result<()> {
    store::lock_target(connection, id).await?;
    let before = existing(connection, id).await?.fields();
    let mut fields = before.clone();
    change(&mut fields);
    // One that has a refused address since before can still be renamed, disabled, moved.
    check_target(connection, &mut fields, Some(&before.host), address_exceptions).await?;
    may_open(context, &before, &fields)?;
    // A different machine behind the same name must prove itself again: its keys are not those that are trusted.
    let moved = (&before.host, before.port) != (&fields.host, fields.port);
    if moved
        || before.zone_id != fields.zone_id
        || before.protocol != fields.protocol
        || before.host_key_policy != fields.host_key_policy
        || before.legacy_algorithms != fields.legacy_algorithms
    {
        may_lead_credentials(context)?;
    }
    store::update_target(connection, context.tenant_id, id, &fields).await?;
    let event = Event::success("target.update").on("target", id, &fields.name).with("address_changed", moved);
    let event = with_changes(connection, event, &before, &fields).await?;
    let event = with_groups(connection, event, &before, &fields).await?;
    audit::record(connection, context, event).await?;
    Ok(())
}

/// Says what of a target was changed, before and after.
async fn with_changes(
    connection: &mut PgConnection,
    event: Event,
    before: &TargetFields,
    after: &TargetFields,
) -> Result<Event> {
    let address = |fields: &TargetFields| format!("{}:{}", fields.host, fields.port);
    let environment = |fields: &TargetFields| fields.environment.map(|environment| environment.name());
    let mut event = event
        .with_change("name", before.name.as_str(), after.name.as_str())
        .with_change("description", before.description.as_str(), after.description.as_str())
        .with_change("protocol", before.protocol.name(), after.protocol.name())
        .with_change("address", address(before), address(after))
        .with_change("environment", environment(before), environment(after))
        .with_change("tags", before.tags.clone(), after.tags.clone())
        .with_change("enabled", before.enabled, after.enabled)
        .with_change("reason_required", before.reason_required, after.reason_required)
        .with_change("host_key_policy", before.host_key_policy.name(), after.host_key_policy.name())
        .with_change("legacy_algorithms", before.legacy_algorithms, after.legacy_algorithms);
    if before.zone_id != after.zone_id {
        let was = zone(connection, before.zone_id).await?.fields.name;
        event = event.with_change("zone", was, zone(connection, after.zone_id).await?.fields.name);
    }
    Ok(event)
}

/// Says which groups got access and which lost it, by name.
async fn with_groups(
    connection: &mut PgConnection,
    mut event: Event,
    before: &TargetFields,
    after: &TargetFields,
) -> Result<Event> {
    for (field, more, less) in [("groups_added", after, before), ("groups_removed", before, after)] {
        let changed = more.access_groups.iter().filter(|group| !less.access_groups.contains(group)).copied();
        let changed = changed.collect::<Vec<_>>();
        if !changed.is_empty() {
            event = event.with(field, identity::group_names(connection, &changed).await?);
        }
    }
    Ok(event)
}

/// Removes a target; its sessions keep its name.
///
/// # Errors
/// No such target.
pub async fn delete(connection: &mut PgConnection, context: &Context, id: TargetId) -> Result<()> {
    let target = existing(connection, id).await?;
    store::delete_target(connection, id).await?;
    audit::record(connection, context, Event::success("target.delete").on("target", id, target.name)).await?;
    Ok(())
}

/// Trusts a key for a target: an OpenSSH public key line. Only ever on an admin's explicit act.
///
/// # Errors
/// No such target, a key that cannot be read, a key that is trusted already.
pub async fn trust_host_key(
    connection: &mut PgConnection,
    context: &Context,
    target_id: TargetId,
    public_key: &str,
    kind: HostKeyKind,
) -> Result<HostKey> {
    may_lead_credentials(context)?;
    let target = existing(connection, target_id).await?;
    let mut key = parse_public_key(public_key, kind)?;
    if target.host_keys.len() >= MAX_HOST_KEYS {
        return Err(TargetsError::field(
            "public_key",
            "too_many",
            format!("a target may have {MAX_HOST_KEYS} trusted keys at the most: remove one first"),
        ));
    }
    key.trusted_by = context.principal.user_id();
    key.trusted_by_name.clone_from(&context.principal.name);
    let id: HostKeyId = Ids.fresh();
    let trusted_at = store::insert_host_key(connection, context.tenant_id, target_id, id, &key).await?;
    let event = Event::success("target.host_key.trust")
        .on("target", target_id, target.name)
        .with("kind", kind.name())
        .with("algorithm", key.algorithm.as_str())
        .with("fingerprint", key.fingerprint.as_str());
    audit::record(connection, context, event).await?;
    Ok(HostKey {
        id,
        kind,
        algorithm: key.algorithm,
        public_key: key.public_key,
        fingerprint: key.fingerprint,
        trusted_at,
        trusted_by: key.trusted_by_name,
    })
}

pub(super) async fn host_keys(connection: &mut PgConnection, target_id: TargetId) -> Result<Vec<HostKey>> {
    Ok(existing(connection, target_id).await?.host_keys)
}

pub(super) async fn distrust_host_key(
    connection: &mut PgConnection,
    context: &Context,
    target_id: TargetId,
    id: HostKeyId,
) -> Result<()> {
    let target = existing(connection, target_id).await?;
    let key = target.host_keys.into_iter().find(|key| key.id == id).ok_or(TargetsError::NotFound("host key"))?;
    store::delete_host_key(connection, id).await?;
    let event = Event::success("target.host_key.distrust")
        .on("target", target_id, target.name)
        .with("kind", key.kind.name())
        .with("fingerprint", key.fingerprint);
    audit::record(connection, context, event).await?;
    Ok(())
}

/// Marks a target as a person's favourite.
///
/// # Errors
/// When the database fails.
pub async fn add_favorite(
    connection: &mut PgConnection,
    context: &Context,
    user: UserId,
    target: TargetId,
) -> Result<()> {
    Ok(store::insert_favorite(connection, context.tenant_id, user, target).await?)
}

/// Takes the mark away.
///
/// # Errors
/// When the database fails.
pub async fn remove_favorite(connection: &mut PgConnection, user: UserId, target: TargetId) -> Result<()> {
    Ok(store::delete_favorite(connection, user, target).await?)
}

fn parse_public_key(line: &str, kind: HostKeyKind) -> Result<TrustedKey> {
    let malformed = |message: &str| TargetsError::field("public_key", "malformed", message);
    let line = line.trim();
    if line.len() > MAX_PUBLIC_KEY {
        return Err(malformed("is longer than any public key"));
    }
    if line.contains("PRIVATE KEY") {
        return Err(malformed("is a private key: the hub wants the public one, from a file that ends in .pub"));
    }
    let mut key = PublicKey::from_openssh(line)
        .map_err(|_| malformed("is not an OpenSSH public key, such as “ssh-ed25519 AAAA…”"))?;
    key.set_comment("");
    let public_key = key.to_openssh().map_err(|_| malformed("cannot be written as an OpenSSH public key"))?;
    Ok(TrustedKey {
        kind,
        algorithm: key.algorithm().as_str().to_owned(),
        public_key: public_key.trim_end().to_owned(),
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        trusted_by: None,
        trusted_by_name: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn a_public_key_is_kept_without_its_comment_and_with_its_fingerprint() {
        let key = parse_public_key(&format!("{KEY} root@host\n"), HostKeyKind::Host).unwrap();
        assert_eq!(key.public_key, KEY);
        assert_eq!(key.algorithm, "ssh-ed25519");
        assert_eq!(key.fingerprint, "SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE");
    }

    #[test]
    fn what_is_not_a_public_key_is_refused() {
        for text in ["", "ssh-ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----", &KEY[..40], &"x".repeat(9_000)] {
            assert!(matches!(parse_public_key(text, HostKeyKind::Ca), Err(TargetsError::Invalid(_))), "{text:.40}");
        }
    }
}
