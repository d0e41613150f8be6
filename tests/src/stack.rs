//! The development stack's servers, as `deploy/dev status --json` describes them.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// Environment variable with the path of the description.
pub const STACK_VARIABLE: &str = "OPENPAM_TEST_STACK";

/// The running stack.
#[derive(Debug, Clone, Deserialize)]
pub struct Stack {
    /// Who may sign in; those of the directory are there before any hub.
    pub users: Vec<StackUser>,
    /// The servers.
    pub servers: Servers,
}

/// One sign-in of the stack.
#[derive(Debug, Clone, Deserialize)]
pub struct StackUser {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// `local` or `oidc`.
    pub login: String,
}

/// Every server of the stack.
#[derive(Debug, Clone, Deserialize)]
pub struct Servers {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// OpenBao.
    pub openbao: OpenBao,
    /// The OpenID provider.
    pub oidc: Oidc,
    /// SSH targets: the first takes passwords and keys, the second certificates of the vault's CA.
    pub ssh: Vec<Ssh>,
    /// The S3-compatible object store.
    pub s3: S3,
    /// NATS.
    pub nats: Nats,
}

/// NATS with JetStream. Tests start servers of their own with its binary.
#[derive(Debug, Clone, Deserialize)]
pub struct Nats {
    /// Its process.
    #[serde(default)]
    pub pid: Option<u32>,
}

/// The S3-compatible object store.
#[derive(Debug, Clone, Deserialize)]
pub struct S3 {
    /// URL of its API.
    pub endpoint: String,
    /// Region of its buckets.
    pub region: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// A bucket without object lock.
    pub bucket: String,
    /// A bucket with object lock.
    pub locked_bucket: String,
}

/// PostgreSQL.
#[derive(Debug, Clone, Deserialize)]
pub struct Postgres {
    /// Its process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Address.
    pub host: String,
    /// TCP port, also the suffix of the socket.
    pub port: u16,
    /// URL of the owning role, with its password.
    pub owner_url: String,
    /// File with the owner's password.
    pub owner_password_file: PathBuf,
    /// URL of the application role, with its password.
    pub app_url: String,
    /// File with the application role's password.
    pub app_password_file: PathBuf,
    /// URL of the role that writes the ledger, with its password.
    pub ledger_url: String,
    /// File with that role's password.
    pub ledger_password_file: PathBuf,
    /// Who sees past row-level security; through the socket only.
    pub superuser: Option<Superuser>,
}

/// The cluster's superuser.
#[derive(Debug, Clone, Deserialize)]
pub struct Superuser {
    /// Role.
    pub user: String,
    /// Folder of the socket.
    pub socket: String,
}

/// OpenBao.
#[derive(Debug, Clone, Deserialize)]
pub struct OpenBao {
    /// Base URL.
    pub address: String,
    /// A token that may do everything.
    pub admin_token: String,
    /// The CA of its certificate, where that is a private one.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Namespace, empty for none.
    #[serde(default)]
    pub namespace: String,
    /// Its process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Mount of the AppRole method.
    pub approle_mount: String,
    /// The hub's role.
    pub approle_role: String,
    /// Mount of the KV v2 engine.
    pub kv_mount: String,
    /// Where the hub's own secrets are.
    pub kv_prefix: String,
    /// Mount of the SSH CA.
    pub ssh_mount: String,
    /// The role that signs.
    pub ssh_role: String,
}

/// The OpenID provider.
#[derive(Debug, Clone, Deserialize)]
pub struct Oidc {
    /// Issuer URL.
    pub issuer: String,
    /// The `tid` claim of its tokens.
    pub tenant_id: String,
    /// Client id of the hub.
    pub client_id: String,
    /// File with the client's secret.
    pub client_secret_file: PathBuf,
    /// Group names and their GUIDs.
    pub groups: BTreeMap<String, String>,
    /// Base URL of the control listener.
    pub control_url: String,
    /// File with its token.
    pub control_token_file: PathBuf,
}

/// An SSH target.
#[derive(Debug, Clone, Deserialize)]
pub struct Ssh {
    /// Address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Who logs in.
    pub username: String,
    /// File with the password, where it takes one.
    pub password_file: Option<PathBuf>,
    /// Private keys it accepts, by algorithm.
    #[serde(default)]
    pub private_keys: BTreeMap<String, PathBuf>,
    /// File with the passphrase of the encrypted key.
    pub passphrase_file: Option<PathBuf>,
    /// Public host keys, by algorithm.
    pub host_keys: BTreeMap<String, PathBuf>,
    /// Public key of the CA that certified its host key.
    pub host_ca_file: Option<PathBuf>,
    /// Process id of the listener.
    pub pid: Option<u32>,
}

impl Stack {
    /// Reads the description that the environment names.
    ///
    /// # Errors
    /// Says how to run the suite when it does not, or when the stack does not run.
    pub fn load() -> anyhow::Result<Self> {
        let Some(path) = std::env::var_os(STACK_VARIABLE) else {
            bail!(
                "{STACK_VARIABLE} is not set: these tests need the development stack. Run `deploy/dev test rust`, or \
                 `deploy/dev up`, then `deploy/dev status --json > FILE` and {STACK_VARIABLE}=FILE cargo nextest run"
            );
        };
        let path = PathBuf::from(path);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{STACK_VARIABLE} names {}, which cannot be read", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not what `deploy/dev status --json` prints", path.display()))
    }

    /// The target that takes passwords and keys.
    pub fn password_target(&self) -> &Ssh {
        &self.servers.ssh[0]
    }

    /// The target that takes certificates only.
    pub fn certificate_target(&self) -> &Ssh {
        &self.servers.ssh[1]
    }

    /// The directory user called `username`.
    ///
    /// # Errors
    /// When the provider has no such user.
    pub fn directory_user(&self, username: &str) -> anyhow::Result<&StackUser> {
        self.users
            .iter()
            .find(|user| user.login == "oidc" && user.username == username)
            .with_context(|| format!("the stack's directory has no user {username}"))
    }
}

/// Reads a secret or key of the stack, without its trailing line end.
///
/// # Errors
/// With the path, when it cannot be read.
pub fn read_trimmed(path: &std::path::Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
