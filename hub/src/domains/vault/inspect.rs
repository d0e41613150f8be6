//! A look at the vault from outside a running hub, for `openpam doctor`. Reads no secret and never
//! uses up a wrapping token.

use chrono::{DateTime, Utc};
use http::Method;
use openpam_secret::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use vaultrs::client::Client as _;
use zeroize::Zeroize as _;

use super::{
    client::{Vault, from_status, translate},
    error::VaultError,
};
use crate::config::{self, read_secret_file};

/// What the vault says about itself without a login.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// It was set up once.
    pub initialized: bool,
    /// It is sealed.
    pub sealed: bool,
    /// Its version, as it spells it.
    #[serde(default)]
    pub version: String,
    /// Its clock, in seconds since 1970.
    #[serde(default)]
    server_time_utc: Option<i64>,
}

impl Server {
    /// Its clock.
    pub fn now(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.server_time_utc?, 0)
    }
}

/// A wrapping token that nobody has used yet.
#[derive(Debug, Clone, Deserialize)]
pub struct WrappingToken {
    /// API path that made what is wrapped.
    pub creation_path: String,
    /// When it was made.
    pub creation_time: DateTime<Utc>,
    /// Seconds it lives.
    pub creation_ttl: i64,
}

/// An engine the hub needs.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Where it is mounted.
    pub path: String,
    /// `kv` or `ssh`, as the vault says; `None` when it shows the hub no mount there.
    pub engine: Option<String>,
    /// The KV engine's version.
    pub version: Option<String>,
}

/// What the hub's policy must allow at a path.
#[derive(Debug, Clone)]
pub struct Need {
    /// API path.
    pub path: String,
    /// Capabilities it does not have.
    pub missing: Vec<&'static str>,
}

/// What a login as the hub sees.
#[derive(Debug)]
pub struct Permissions {
    /// The engines.
    pub mounts: Vec<Mount>,
    /// What the policy lacks; `None` when the hub may not ask.
    pub lacking: Option<Vec<Need>>,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct MountData {
    #[serde(rename = "type")]
    engine: String,
    #[serde(default)]
    options: Option<MountOptions>,
}

#[derive(Deserialize)]
struct MountOptions {
    #[serde(default)]
    version: Option<String>,
}

/// The path that stands for a tenant's secrets, and the capabilities the hub uses.
fn needs(config: &config::Vault) -> Vec<(String, &'static [&'static str])> {
    let (kv, prefix) = (&config.kv_mount, &config.kv_prefix);
    let mut needs: Vec<(String, &[&str])> = vec![
        (format!("{kv}/data/{prefix}/tenant/credential"), &["create", "read", "update"]),
        (format!("{kv}/metadata/{prefix}/tenant/credential"), &["delete"]),
        ("auth/token/renew-self".to_owned(), &["update"]),
        ("auth/token/revoke-self".to_owned(), &["update"]),
        ("auth/token/lookup-self".to_owned(), &["read"]),
    ];
    if !config.shared_prefix.is_empty() {
        needs.push((format!("{kv}/data/{}/secret", config.shared_prefix), &["read"]));
    }
    needs
}

impl Vault {
    /// What it says about itself.
    ///
    /// # Errors
    /// When it does not answer, or answers something else than a vault would.
    pub async fn server(&self) -> Result<Server, VaultError> {
        let client = self.anonymous()?;
        let url = format!("{}/v1/sys/health", self.config.address.trim_end_matches('/'));
        let answer = client.http.http.get(url).send().await.map_err(unavailable)?;
        let body = answer.bytes().await.map_err(unavailable)?;
        serde_json::from_slice(&body).map_err(|_| VaultError::Malformed { path: "sys/health".to_owned() })
    }

    /// Looks at the wrapping token in the configured file, without using it up.
    ///
    /// # Errors
    /// [`VaultError::WrappingTokenUsed`] when it is no longer good, [`VaultError::LoginRefused`] when
    /// the file cannot be read.
    pub async fn wrapping_token(&self) -> Result<WrappingToken, VaultError> {
        let file = self.config.wrapped_secret_id_file.clone().unwrap_or_default();
        let token = read_secret_file(&file).map_err(VaultError::LoginRefused)?;
        let client = self.anonymous()?;
        let url = format!("{}/v1/sys/wrapping/lookup", self.config.address.trim_end_matches('/'));
        let mut body = json!({ "token": token.expose_secret() });
        let mut request = client.http.http.post(url).header("X-Vault-Request", "true").json(&body);
        if !self.config.namespace.is_empty() {
            request = request.header("X-Vault-Namespace", &self.config.namespace);
        }
        if let Some(serde_json::Value::String(text)) = body.get_mut("token") {
            text.zeroize();
        }
        let answer = request.send().await.map_err(unavailable)?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(unavailable)?;
        match status {
            200 => serde_json::from_slice::<Data<WrappingToken>>(&body)
                .map(|answer| answer.data)
                .map_err(|_| VaultError::Malformed { path: "sys/wrapping/lookup".to_owned() }),
            400 | 403 | 404 => Err(VaultError::WrappingTokenUsed { file }),
            _ => Err(from_status(
                status,
                "sys/wrapping/lookup",
                String::from_utf8_lossy(&body).chars().take(300).collect(),
            )),
        }
    }

    /// The configured secret id, where it is not wrapped.
    pub fn plain_secret_id(&self) -> Option<&SecretString> {
        self.config.secret_id.as_ref()
    }

    /// Logs in with the configured secret id, looks at mounts and capabilities, and leaves again.
    ///
    /// # Errors
    /// When the vault does not answer or refuses the login.
    pub async fn permissions(&self) -> Result<Permissions, VaultError> {
        let mut mounts = Vec::new();
        for path in [&self.config.kv_mount, &self.config.ssh_mount] {
            mounts.push(self.mount(path).await?);
        }
        let lacking = match self.lacking().await {
            Ok(lacking) => Some(lacking),
            Err(VaultError::PermissionDenied { .. }) => None,
            Err(error) => return Err(error),
        };
        // Without it the login would live on until it expires.
        let left = self.call("doctor_leave", false, |session| async move {
            session.client.revoke().await.map_err(|error| translate(&error, "auth/token/revoke-self"))
        });
        let _ = left.await;
        Ok(Permissions { mounts, lacking })
    }

    async fn mount(&self, path: &str) -> Result<Mount, VaultError> {
        // Answers for whoever may use something below the mount.
        let api_path = &format!("sys/internal/ui/mounts/{path}");
        let asked = self
            .call("doctor_mount", true, |session| async move {
                let answer = self.request(&session, Method::GET, api_path).send().await.map_err(unavailable)?;
                let status = answer.status().as_u16();
                let body = answer.bytes().await.map_err(unavailable)?;
                if status != 200 {
                    return Err(from_status(status, api_path, String::new()));
                }
                serde_json::from_slice::<Data<MountData>>(&body)
                    .map_err(|_| VaultError::Malformed { path: api_path.clone() })
            })
            .await;
        let path = path.to_owned();
        match asked {
            Ok(Data { data }) => {
                Ok(Mount { path, version: data.options.and_then(|options| options.version), engine: Some(data.engine) })
            }
            // A vault answers alike for a mount that is not there and one that is out of reach.
            Err(VaultError::PermissionDenied { .. } | VaultError::PathMissing { .. } | VaultError::Refused { .. }) => {
                Ok(Mount { path, engine: None, version: None })
            }
            Err(error) => Err(error),
        }
    }

    /// What the policy lacks.
    async fn lacking(&self) -> Result<Vec<Need>, VaultError> {
        let api_path = "sys/capabilities-self";
        let needs = needs(&self.config);
        let paths = &needs.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        let answer: serde_json::Value = self
            .call("doctor_capabilities", true, |session| async move {
                let request = self.request(&session, Method::POST, api_path).json(&json!({ "paths": paths }));
                let answer = request.send().await.map_err(unavailable)?;
                let status = answer.status().as_u16();
                let body = answer.bytes().await.map_err(unavailable)?;
                if status != 200 {
                    return Err(from_status(status, api_path, String::new()));
                }
                serde_json::from_slice(&body).map_err(|_| VaultError::Malformed { path: api_path.to_owned() })
            })
            .await?;
        let mut lacking = Vec::new();
        for (path, wanted) in needs {
            let has = answer["data"][&path].as_array().or_else(|| answer[&path].as_array());
            let has = has.into_iter().flatten().filter_map(serde_json::Value::as_str).collect::<Vec<_>>();
            let missing = wanted
                .iter()
                .copied()
                .filter(|capability| {
                    has.contains(&"deny") || !has.iter().any(|own| own == capability || *own == "root")
                })
                .collect::<Vec<_>>();
            if !missing.is_empty() {
                lacking.push(Need { path, missing });
            }
        }
        Ok(lacking)
    }
}

fn unavailable(error: reqwest::Error) -> VaultError {
    VaultError::Unavailable(openpam_telemetry::with_causes(&error.without_url()))
}
