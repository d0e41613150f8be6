//! One row in every table of a tenant, with raw SQL.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use openpam_tests::{Database, unique};

/// `T` stands for the tenant, `U` for a user and so on: each letter in angle brackets is an id that
/// is the same in every statement of one tenant.
const ROWS: &[(&str, &str)] = &[
    ("users", "insert into users (user_id, tenant_id, source, username, display_name) values (<u>, <t>, 'local', 'u', 'U')"),
    ("groups", "insert into groups (group_id, tenant_id, source, name) values (<g>, <t>, 'local', 'g')"),
    ("group_memberships", "insert into group_memberships (tenant_id, group_id, user_id) values (<t>, <g>, <u>)"),
    ("service_accounts", "insert into service_accounts (service_account_id, tenant_id, name) values (<a>, <t>, 'a')"),
    (
        "api_tokens",
        "insert into api_tokens (api_token_id, tenant_id, service_account_id, name, prefix, token_hash, expires_at)
         values (<k>, <t>, <a>, 'k', 'opat_', sha256(<t>::text::bytea), now() + interval '1 day')",
    ),
    (
        "auth_sessions",
        "insert into auth_sessions (auth_session_id, tenant_id, user_id, secret_hash, expires_at)
         values (<b>, <t>, <u>, sha256('b'), now() + interval '1 day')",
    ),
    (
        "oidc_flows",
        "insert into oidc_flows (oidc_flow_id, tenant_id, state_hash, binding_hash, return_to, expires_at)
         values (<f>, <t>, sha256('s'), sha256('b'), '/', now() + interval '1 hour')",
    ),
    ("login_failures", "insert into login_failures values (<t>, 'key', 1, now(), null)"),
    ("user_preferences", "insert into user_preferences (tenant_id, user_id) values (<t>, <u>)"),
    (
        "idempotency_keys",
        "insert into idempotency_keys (tenant_id, principal_id, idempotency_key, request_hash) values (<t>, <u>, 'k', 'h')",
    ),
    ("sites", "insert into sites (site_id, tenant_id, code, name) values (<i>, <t>, 's', 'S')"),
    ("zones", "insert into zones (zone_id, tenant_id, type, name) values (<z>, <t>, 'hub', 'z')"),
    (
        "targets",
        "insert into targets (target_id, tenant_id, zone_id, name, protocol, host, port)
         values (<m>, <t>, <z>, 'm', 'ssh', 'localhost', 22)",
    ),
    ("target_access_groups", "insert into target_access_groups (tenant_id, target_id, group_id) values (<t>, <m>, <g>)"),
    (
        "target_host_keys",
        "insert into target_host_keys (host_key_id, tenant_id, target_id, kind, algorithm, public_key, fingerprint, trusted_by_name)
         values (<h>, <t>, <m>, 'host', 'ssh-ed25519', 'ssh-ed25519 AAAA', 'SHA256:x', 'u')",
    ),
    ("favorite_targets", "insert into favorite_targets (tenant_id, user_id, target_id) values (<t>, <u>, <m>)"),
    (
        "credentials",
        "insert into credentials (credential_id, tenant_id, name, kind, username, vault_path)
         values (<c>, <t>, 'c', 'password', 'root', 'shared/c')",
    ),
    (
        "vault_orphans",
        "insert into vault_orphans (tenant_id, credential_id, vault_path) values (<t>, <c>, 'openpam/t/c')",
    ),
    ("target_credentials", "insert into target_credentials (tenant_id, target_id, credential_id) values (<t>, <m>, <c>)"),
    (
        "audit_events",
        "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome)
         values (<e>, <t>, 'system', 'test', 'session.authorize', 'success')",
    ),
    (
        "sessions",
        "insert into sessions (session_id, tenant_id, hub_id, user_id, user_name, target_id, target_name, credential_id,
                               credential_name, decision_id, protocol)
         values (<s>, <t>, <o>, <u>, 'u', <m>, 'm', <c>, 'c', <e>, 'ssh')",
    ),
    (
        "session_participants",
        "insert into session_participants (participant_id, tenant_id, session_id, hub_id, user_id, user_name, kind, visible,
                                           decision_id)
         values (<w>, <t>, <s>, <o>, <u>, 'u', 'watch', true, <e>)",
    ),
    ("settings", "insert into settings (tenant_id) values (<t>)"),
    (
        "recording_keys",
        "insert into recording_keys (recording_key_id, tenant_id, purpose, public_key) values (<k>, <t>, 'tenant', sha256('k'))",
    ),
    (
        "recordings",
        "insert into recordings (session_id, tenant_id, required, path, started_at) values (<s>, <t>, true, 'p', now())",
    ),
    (
        "recording_segments",
        "insert into recording_segments (tenant_id, session_id, seq, from_us, until_us, records, plain_bytes, stored_bytes, hash)
         values (<t>, <s>, 0, 0, 0, 1, 1, 1, sha256('h'))",
    ),
    (
        "recording_screens",
        "insert into recording_screens (tenant_id, session_id, seq, cols, rows, screen) values (<t>, <s>, 0, 80, 24, '')",
    ),
    ("recording_index", "insert into recording_index (tenant_id, session_id) values (<t>, <s>)"),
    (
        "recording_lines",
        "insert into recording_lines (tenant_id, session_id, number, at_us, text) values (<t>, <s>, 0, 0, 'a line')",
    ),
    (
        "recording_marks",
        "insert into recording_marks (tenant_id, session_id, number, at_us, label) values (<t>, <s>, 0, 0, 'a mark')",
    ),
    (
        "platform_events",
        "insert into platform_events (event_id, tenant_id, event_type, source, payload) values (<v>, <t>, 'a.b', 's', '{}')",
    ),
    (
        "webhooks",
        "insert into webhooks (webhook_id, tenant_id, name, url, event_types, vault_path)
         values (<x>, <t>, 'x', 'https://example.com/', array['*'], 'p')",
    ),
    (
        "event_deliveries",
        "insert into event_deliveries (tenant_id, event_id, subscriber, webhook_id) values (<t>, <v>, 'webhook', <x>)",
    ),
];

/// Rows that the ledger's role writes.
const OF_THE_LEDGER: &[(&str, &str)] = &[
    (
        "ledger_entries",
        "insert into ledger_entries (tenant_id, seq, event_id, kind, canonical, leaf_hash)
         select <t>, 0, <e>, 1, canonical, sha256('\\x00'::bytea || canonical)
         from (select decode(repeat('00', 89), 'hex') as canonical) as entry",
    ),
    (
        "ledger_tiles",
        "insert into ledger_tiles (tenant_id, level, index, hashes, root)
         values (<t>, 0, 0, decode(repeat('00', 8192), 'hex'), sha256('r'))",
    ),
    (
        "ledger_checkpoints",
        "insert into ledger_checkpoints (tenant_id, size, root, note) values (<t>, 1, sha256('r'), 'note')",
    ),
    ("ledger_heads", "insert into ledger_heads (tenant_id, size, frontier) values (<t>, 1, sha256('f'))"),
];

/// Rows that none of these writes.
const OF_THE_OWNER: &[(&str, &str)] = &[
    ("ledger_damaged", "insert into ledger_damaged (tenant_id, reason, seen) values (<t>, 'r', '1:1:')"),
    ("audit_search", "insert into audit_search (tenant_id, audit_event_id, text) values (<t>, <e>, 'a text')"),
];

/// Rows that come by themselves: the tenant by hand, the images by triggers.
const BY_THEMSELVES: &[&str] = &["tenants", "row_changes"];

/// A tenant with a row in every table.
pub struct Seeded {
    /// The tenant.
    pub tenant: Uuid,
    ids: std::collections::BTreeMap<char, Uuid>,
}

impl Seeded {
    /// The id that the letter stands for.
    pub fn id(&self, letter: char) -> Uuid {
        self.ids.get(&letter).copied().unwrap_or_default()
    }
}

/// Every table that has a row.
pub fn covered() -> Vec<&'static str> {
    BY_THEMSELVES
        .iter()
        .copied()
        .chain(ROWS.iter().chain(OF_THE_LEDGER).chain(OF_THE_OWNER).map(|(table, _)| *table))
        .collect()
}

/// Makes a tenant with a row in every table.
pub async fn tenant(database: &Database) -> anyhow::Result<Seeded> {
    let tenant = Uuid::now_v7();
    let mut owner = database.owner().await?;
    openpam_tests::database::set_tenant(&mut owner, tenant).await?;
    sqlx::query("insert into tenants (tenant_id, slug, name) values ($1, $2, 'Test')")
        .bind(tenant)
        .bind(unique("seed"))
        .execute(&mut owner)
        .await?;
    let hub = Uuid::now_v7();
    let mut application = database.as_tenant(tenant).await?;
    sqlx::query("insert into hubs (hub_id, address, version) values ($1, 'here', '0')")
        .bind(hub)
        .execute(&mut application)
        .await?;
    let mut ids = ('a'..='z').map(|letter| (letter, Uuid::now_v7())).collect::<std::collections::BTreeMap<_, _>>();
    ids.insert('t', tenant);
    ids.insert('o', hub);
    for (table, statement) in ROWS {
        insert(&mut application, statement, &ids).await.with_context(|| format!("seeding {table}"))?;
    }
    let mut ledger = database.as_ledger(tenant).await?;
    for (table, statement) in OF_THE_LEDGER {
        insert(&mut ledger, statement, &ids).await.with_context(|| format!("seeding {table}"))?;
    }
    for (table, statement) in OF_THE_OWNER {
        insert(&mut owner, statement, &ids).await.with_context(|| format!("seeding {table}"))?;
    }
    Ok(Seeded { tenant, ids })
}

async fn insert(
    connection: &mut PgConnection,
    statement: &str,
    ids: &std::collections::BTreeMap<char, Uuid>,
) -> Result<(), sqlx::Error> {
    let mut text = statement.to_owned();
    for (letter, id) in ids {
        text = text.replace(&format!("<{letter}>"), &format!("'{id}'"));
    }
    sqlx::query(AssertSqlSafe(text)).execute(connection).await?;
    Ok(())
}
