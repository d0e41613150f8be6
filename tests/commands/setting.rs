//! A configuration that can be broken in one place, and the commands that look at it.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, process::Stdio};

use anyhow::{Context as _, ensure};
use openpam_tests::{
    Database, HubOptions, Stack,
    hub::{Prepared, binary},
    vault::VaultAdmin,
};
use serde_json::{Value, json};

/// A database with its schema, a configuration for it, and a secret id that may be used up.
pub struct Setting {
    pub stack: Stack,
    pub database: Database,
    pub vault: VaultAdmin,
    pub prepared: Prepared,
    environment: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub output: String,
    pub errors: String,
}

/// One check of the doctor's report, with the fields a test looks at.
#[derive(Debug, serde::Deserialize)]
pub struct Check {
    pub name: String,
    pub state: String,
    pub message: String,
    pub remedy: Option<String>,
}

/// The doctor's report.
#[derive(Debug, serde::Deserialize)]
pub struct Report {
    pub healthy: bool,
    pub checks: Vec<Check>,
}

impl Report {
    /// The first check of that name that is in that state.
    pub fn find(&self, name: &str, state: &str) -> anyhow::Result<&Check> {
        self.checks
            .iter()
            .find(|check| check.name == name && check.state == state)
            .with_context(|| format!("no check {name} is {state}: {self:#?}"))
    }

    /// The failures, by name.
    pub fn failures(&self) -> Vec<&str> {
        self.checks.iter().filter(|check| check.state == "failed").map(|check| check.name.as_str()).collect()
    }
}

impl Setting {
    /// A healthy one: schema made, secret id wrapped and unused.
    pub async fn healthy() -> anyhow::Result<Self> {
        let setting = Self::without_schema().await?;
        setting.prepared.run(&["migrate"], None).await?;
        Ok(setting)
    }

    /// The same before `openpam migrate`.
    pub async fn without_schema() -> anyhow::Result<Self> {
        let stack = Stack::load()?;
        let database = Database::create(&stack).await?;
        let prepared = Prepared::new(&stack, &database, &HubOptions::default()).await?;
        let vault = VaultAdmin::new(&stack.servers.openbao)?;
        let setting = Self { stack, database, vault, prepared, environment: Vec::new() };
        // Files of the suite are made with the usual mask; the doctor wants them closed.
        setting.close("wrapped_secret_id", 0o600)?;
        setting.close("hub.toml", 0o600)?;
        Ok(setting)
    }

    /// A file of the configuration's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.prepared.folder().join(name)
    }

    /// Sets a file's mode.
    pub fn close(&self, name: &str, mode: u32) -> anyhow::Result<()> {
        Ok(std::fs::set_permissions(self.file(name), std::fs::Permissions::from_mode(mode))?)
    }

    /// Sets a key through the environment, as `OPENPAM_SECTION__KEY`.
    pub fn set(&mut self, key: &str, value: impl Into<String>) -> &mut Self {
        let name = format!("OPENPAM_{}", key.replace('.', "__").to_uppercase());
        self.environment.push((name, value.into()));
        self
    }

    /// Sets an environment variable as it is.
    pub fn raw(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Gives the hub a secret id that is not wrapped, of `role`.
    pub async fn plain_secret_id(&mut self, role: &str) -> anyhow::Result<&mut Self> {
        let mount = &self.stack.servers.openbao.approle_mount;
        let made = self
            .vault
            .call(http::Method::POST, &format!("auth/{mount}/role/{role}/secret-id"), Some(&json!({})))
            .await?;
        let role_id = self.vault.call(http::Method::GET, &format!("auth/{mount}/role/{role}/role-id"), None).await?;
        let text = |value: &Value, pointer: &str| -> anyhow::Result<String> {
            Ok(value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer}"))?.to_owned())
        };
        let (secret_id, role_id) = (text(&made, "/data/secret_id")?, text(&role_id, "/data/role_id")?);
        Ok(self.set("vault.secret_id", secret_id).set("vault.role_id", role_id))
    }

    /// A role with this policy; its name.
    pub async fn role_with_policy(&self, policy: &str) -> anyhow::Result<String> {
        let name = openpam_tests::unique("doctor");
        let mount = &self.stack.servers.openbao.approle_mount;
        self.vault
            .call(http::Method::POST, &format!("sys/policies/acl/{name}"), Some(&json!({ "policy": policy })))
            .await?;
        let role = json!({ "token_policies": [name], "token_no_default_policy": true, "token_ttl": "5m" });
        self.vault.call(http::Method::POST, &format!("auth/{mount}/role/{name}"), Some(&role)).await?;
        Ok(name)
    }

    /// Removes what [`Setting::role_with_policy`] made.
    pub async fn remove_role(&self, name: &str) -> anyhow::Result<()> {
        let mount = &self.stack.servers.openbao.approle_mount;
        self.vault.call(http::Method::DELETE, &format!("auth/{mount}/role/{name}"), None).await?;
        self.vault.call(http::Method::DELETE, &format!("sys/policies/acl/{name}"), None).await?;
        Ok(())
    }

    /// Runs `openpam` with the configuration and what was set.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        let ended = tokio::process::Command::new(binary()?)
            .args(arguments)
            .arg("--config")
            .arg(self.file("hub.toml"))
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| matches!(name.as_str(), "PATH" | "HOME" | "LANG")))
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ended =
            tokio::time::timeout(std::time::Duration::from_secs(60), ended).await.context("no end in 60 s")??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ended {
            code: ended.status.code().context("ended by a signal")?,
            output: text(&ended.stdout),
            errors: text(&ended.stderr),
        })
    }

    /// The doctor's report; checks that its exit code and its words agree, and that no secret is in it.
    pub async fn doctor(&self) -> anyhow::Result<Report> {
        let ended = self.run(&["doctor", "--json"]).await?;
        let report: Report = serde_json::from_str(&ended.output).with_context(|| format!("not a report: {ended:?}"))?;
        assert_eq!(ended.code, i32::from(!report.healthy), "exit code and report differ: {report:#?}");
        assert_eq!(report.healthy, report.failures().is_empty(), "{report:#?}");
        for check in &report.checks {
            let needs = matches!(check.state.as_str(), "failed" | "warning");
            assert_eq!(needs, check.remedy.is_some(), "what to do is missing or needless: {check:?}");
        }
        self.keeps_secrets(&ended)?;
        let words = self.run(&["doctor"]).await?;
        assert_eq!(words.code, ended.code, "text and JSON disagree: {words:?}");
        self.keeps_secrets(&words)?;
        Ok(report)
    }

    /// No secret that the command could know is in what it wrote.
    fn keeps_secrets(&self, ended: &Ended) -> anyhow::Result<()> {
        let (servers, written) = (&self.stack.servers, format!("{}{}", ended.output, ended.errors));
        let files = [
            servers.postgres.app_password_file.clone(),
            servers.postgres.owner_password_file.clone(),
            servers.oidc.client_secret_file.clone(),
            self.file("wrapped_secret_id"),
        ];
        for file in files.iter().filter(|file| file.exists()) {
            let secret = openpam_tests::stack::read_trimmed(file)?;
            ensure!(!written.contains(&secret), "the secret of {} is in the output:\n{written}", file.display());
        }
        for (name, value) in &self.environment {
            let secret = name.ends_with("SECRET_ID") || name.ends_with("PASSWORD");
            ensure!(!secret || !written.contains(value), "{name} is in the output:\n{written}");
        }
        Ok(())
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.prepared.folder());
    }
}
