//! Credentials, and what comes out of the vault for them.

use chrono::{DateTime, Utc};
use openpam_ids::{CredentialId, SessionId, TargetId, UserId};
use openpam_secret::SecretString;
use russh::keys::{Certificate, PrivateKey};
use serde::Deserialize;

use super::error::VaultError;
use crate::config;

/// How a credential proves who logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A password, also for keyboard-interactive.
    Password,
    /// A private key.
    PrivateKey,
    /// A certificate the vault's SSH CA signs for each session.
    SshCa,
}

impl CredentialKind {
    /// The name in the database and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::PrivateKey => "private_key",
            Self::SshCa => "ssh_ca",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Password, Self::PrivateKey, Self::SshCa].into_iter().find(|kind| kind.name() == name)
    }
}

/// How to log in to a target: user name and a reference into the vault. Never the secret.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Identifier.
    pub id: CredentialId,
    /// Name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How it proves who logs in.
    pub kind: CredentialKind,
    /// User name at the target.
    pub username: String,
    /// Path below the KV mount, for passwords and private keys.
    pub vault_path: Option<String>,
    /// Pinned version; `None` for the newest.
    pub vault_version: Option<i32>,
    /// Role of the SSH CA, for certificates.
    pub ssh_role: Option<String>,
    /// The hub wrote the secret and removes it with the credential.
    pub managed: bool,
    /// Targets it may be used on.
    pub target_count: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Which credentials a list shows.
#[derive(Debug, Clone, Default)]
pub struct CredentialFilter {
    /// Part of name, user name or description.
    pub text: Option<String>,
    /// Usable on this target.
    pub target_id: Option<TargetId>,
}

/// What a target accepts as proof. Zeroized when dropped.
pub enum LoginSecret {
    /// A password.
    Password(SecretString),
    /// A private key as text.
    PrivateKey {
        /// OpenSSH, PKCS#1, PKCS#8 or PuTTY format.
        pem: SecretString,
        /// Its passphrase, if it has one.
        passphrase: Option<SecretString>,
    },
    /// A key that lives only in memory, with its certificate.
    Certificate {
        /// The key.
        private_key: Box<PrivateKey>,
        /// The CA's signature over its public half.
        certificate: Box<Certificate>,
    },
}

impl std::fmt::Debug for LoginSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Password(_) => "Password([REDACTED])",
            Self::PrivateKey { .. } => "PrivateKey([REDACTED])",
            Self::Certificate { .. } => "Certificate([REDACTED])",
        })
    }
}

/// For whom a secret is taken out: stands in the certificate's key id, and so in the target's log.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Short name of the tenant.
    pub tenant_slug: String,
    /// The person.
    pub user_id: UserId,
    /// Their name.
    pub user_name: String,
    /// Their session; `None` for a connection test.
    pub session_id: Option<SessionId>,
}

impl Holder {
    /// `openpam:<tenant>:<user name>:<user id>:<session id>`. Names are reduced to what a log line
    /// can hold without being mistaken for another field.
    pub fn key_id(&self) -> String {
        let plain = |character: char| character.is_ascii_alphanumeric() || "._-@+".contains(character);
        let name: String =
            self.user_name.chars().take(64).map(|letter| if plain(letter) { letter } else { '_' }).collect();
        let session = self.session_id.map_or_else(|| "test".to_owned(), |id| id.to_string());
        format!("openpam:{}:{name}:{}:{session}", self.tenant_slug, self.user_id)
    }
}

/// The fields of a secret in KV v2.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct SecretFields {
    #[serde(default)]
    pub(super) password: Option<SecretString>,
    #[serde(default)]
    pub(super) private_key: Option<SecretString>,
    #[serde(default)]
    pub(super) passphrase: Option<SecretString>,
}

/// Where the hub keeps the secret of a credential that was stored through it.
pub(super) fn managed_path(config: &config::Vault, tenant_slug: &str, id: CredentialId) -> String {
    format!("{}/{tenant_slug}/{id}", config.kv_prefix)
}

/// INVARIANT: a tenant's credentials refer to its own area, or to the area all tenants share; the
/// hub's own policy in the vault covers every tenant, so that this check is the border.
pub(super) fn check_path(config: &config::Vault, tenant_slug: &str, path: &str) -> Result<(), VaultError> {
    let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'));
    let own = below(&format!("{}/{tenant_slug}", config.kv_prefix));
    let shared = !config.shared_prefix.is_empty() && below(&config.shared_prefix);
    let plain = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if plain && (own || shared) { Ok(()) } else { Err(VaultError::PathNotAllowed { path: path.to_owned() }) }
}

/// INVARIANT: a tenant's credentials name roles of the SSH CA that are its own, or that the
/// configuration gives it; the hub's own policy in the vault covers every role, so that this check is
/// the border.
pub(super) fn check_role(config: &config::Vault, tenant_slug: &str, role: &str) -> Result<(), VaultError> {
    // A slug has no dot: no tenant's own roles begin like those of another.
    let own = role.strip_prefix(tenant_slug).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let given = config.ssh_roles.get(tenant_slug).is_some_and(|roles| roles.iter().any(|given| given == role));
    if own || given { Ok(()) } else { Err(VaultError::RoleNotAllowed { role: role.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_another_tenant_is_out_of_reach() {
        let config = config::Vault::default();
        for good in ["openpam/dev/a", "openpam/dev/a/b", "shared/a", "shared/team/a"] {
            assert!(check_path(&config, "dev", good).is_ok(), "{good} should be allowed");
        }
        for bad in [
            "openpam/other/a",
            "openpam/dev",
            "openpam/dev/",
            "openpam/dev-2/a",
            "openpam/dev/../other/a",
            "sharedfoo/a",
            "shared",
            "a",
            "",
        ] {
            assert!(check_path(&config, "dev", bad).is_err(), "{bad} should be refused");
        }
        let closed = config::Vault { shared_prefix: String::new(), ..config };
        assert!(check_path(&closed, "dev", "shared/a").is_err(), "no shared area, no shared path");
        assert!(check_path(&closed, "dev", "/a").is_err());
    }

    #[test]
    fn a_role_of_another_tenant_is_out_of_reach() {
        let mut config = config::Vault::default();
        config.ssh_roles.insert("dev".to_owned(), vec!["openpam".to_owned()]);
        for good in ["dev", "dev.root", "openpam"] {
            assert!(check_role(&config, "dev", good).is_ok(), "{good} should be allowed");
        }
        for bad in ["", "other", "dev-2", "dev-2.root", "device", "openpam.root", "Dev"] {
            assert!(check_role(&config, "dev", bad).is_err(), "{bad} should be refused");
        }
        assert!(check_role(&config, "other", "openpam").is_err(), "given to one tenant, not to all");
        assert!(check_role(&config, "other", "dev").is_err());
    }

    #[test]
    fn a_key_id_names_tenant_user_and_session_and_cannot_be_forged_by_a_name() {
        let holder = Holder {
            tenant_slug: "dev".to_owned(),
            user_id: "0193e6a0-0000-7000-8000-000000000001".parse().unwrap(),
            user_name: "eve:0193\n x@y".to_owned(),
            session_id: None,
        };
        assert_eq!(holder.key_id(), "openpam:dev:eve_0193__x@y:0193e6a0-0000-7000-8000-000000000001:test");
    }
}
