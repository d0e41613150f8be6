//! The stack's OpenBao, as its administrator.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::stack::OpenBao;

/// OpenBao's API with the administrator's token.
#[derive(Debug, Clone)]
pub struct VaultAdmin {
    server: OpenBao,
    http: reqwest::Client,
}

impl VaultAdmin {
    /// For the stack's server.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(server: &OpenBao) -> anyhow::Result<Self> {
        let mut http = reqwest::Client::builder().no_proxy();
        if let Some(file) = &server.ca_file {
            http = http.tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(file)?)?]);
        }
        Ok(Self { server: server.clone(), http: http.build()? })
    }

    /// One request; the answer's JSON, or null when it has no body.
    ///
    /// # Errors
    /// When OpenBao refuses.
    pub async fn call(&self, method: http::Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.request(method, path, body, None).await
    }

    async fn request(
        &self,
        method: http::Method,
        path: &str,
        body: Option<&Value>,
        wrap: Option<&str>,
    ) -> anyhow::Result<Value> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}/v1/{path}", self.server.address))
            .header("x-vault-token", &self.server.admin_token);
        if !self.server.namespace.is_empty() {
            request = request.header("x-vault-namespace", &self.server.namespace);
        }
        if let Some(wrap) = wrap {
            request = request.header("x-vault-wrap-ttl", wrap);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "OpenBao answered {method} {path} with {status}: {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    /// The hub's AppRole role id.
    ///
    /// # Errors
    /// When OpenBao refuses.
    pub async fn role_id(&self) -> anyhow::Result<String> {
        let path = format!("auth/{}/role/{}/role-id", self.server.approle_mount, self.server.approle_role);
        text(&self.call(http::Method::GET, &path, None).await?, "/data/role_id")
    }

    /// A fresh secret id of the hub's role, wrapped: the token that unwraps to it once.
    ///
    /// # Errors
    /// When OpenBao refuses.
    pub async fn wrapped_secret_id(&self) -> anyhow::Result<String> {
        let path = format!("auth/{}/role/{}/secret-id", self.server.approle_mount, self.server.approle_role);
        text(&self.request(http::Method::POST, &path, Some(&json!({})), Some("300s")).await?, "/wrap_info/token")
    }

    /// A token that unwraps to `data`, made by the vault's general wrapping.
    ///
    /// # Errors
    /// When OpenBao refuses.
    pub async fn wrap(&self, data: &Value) -> anyhow::Result<String> {
        let answer = self.request(http::Method::POST, "sys/wrapping/wrap", Some(data), Some("300s")).await?;
        text(&answer, "/wrap_info/token")
    }

    /// Writes a new version of a KV secret.
    ///
    /// # Errors
    /// When OpenBao refuses.
    pub async fn put(&self, path: &str, data: &Value) -> anyhow::Result<()> {
        let path = format!("{}/data/{path}", self.server.kv_mount);
        self.call(http::Method::POST, &path, Some(&json!({ "data": data }))).await?;
        Ok(())
    }

    /// The newest version of a KV secret.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.call(http::Method::GET, &format!("{}/data/{path}", self.server.kv_mount), None).await?;
        answer.pointer("/data/data").cloned().context("the KV answer has no data")
    }

    /// Removes a KV secret with all its versions.
    ///
    /// # Errors
    /// When OpenBao refuses.
    pub async fn remove(&self, path: &str) -> anyhow::Result<()> {
        self.call(http::Method::DELETE, &format!("{}/metadata/{path}", self.server.kv_mount), None).await?;
        Ok(())
    }
}

fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("OpenBao's answer has no {pointer}"))?.to_owned())
}
