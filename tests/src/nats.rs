//! A NATS server of its own, over TLS with certificates of both sides, that can be killed and comes back with what
//! it kept.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use async_nats::{Client, ConnectOptions};
use tokio::process::{Child, Command};

use crate::{HubOptions, Stack, eventually, hub::free_address, openbao::certificates, unique};

/// The hub's user name.
const HUB: &str = "openpam";
/// The suite's user name.
const SUITE: &str = "suite";

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct OwnNats {
    child: Child,
    binary: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    password: String,
}

impl OwnNats {
    /// Starts one with the binary of the stack's. The hub's user may do what the operator's guide says it must.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(stack: &Stack) -> anyhow::Result<Self> {
        let pid = stack.servers.nats.pid.context("the stack does not say which process its NATS is")?;
        let binary = std::fs::read_link(format!("/proc/{pid}/exe")).context("the stack's NATS does not run")?;
        let folder = std::env::temp_dir().join(unique("openpam-test-nats"));
        std::fs::create_dir(&folder)?;
        certificates(&folder, &["server", "client"]).await?;
        let address = free_address().await?;
        let password = unique("nats-password");
        std::fs::write(folder.join("password"), &password)?;
        let file = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            r#"listen: "{address}"
jetstream {{ store_dir: "{}", max_mem: 16M, max_file: 256M }}
tls {{ cert_file: "{}", key_file: "{}", ca_file: "{}", verify: true }}
authorization {{ users = [
  {{ user: {HUB}, password: "{password}", permissions: {{
      publish: ["openpam.events.>", "$JS.API.STREAM.INFO.OPENPAM_EVENTS", "$JS.API.STREAM.CREATE.OPENPAM_EVENTS"],
      subscribe: ["_INBOX.>"] }} }},
  {{ user: {SUITE}, password: "{password}" }} ] }}
"#,
            file("jetstream"),
            file("server.pem"),
            file("server.key"),
            file("ca.pem")
        );
        std::fs::write(folder.join("nats.conf"), config)?;
        let child = spawn(&binary, &folder)?;
        let own = Self { child, binary, folder, address, password };
        own.ready().await?;
        Ok(own)
    }

    async fn ready(&self) -> anyhow::Result<()> {
        eventually("NATS takes connections", Duration::from_secs(20), || async { Ok(self.client().await.ok()) })
            .await
            .with_context(|| std::fs::read_to_string(self.folder.join("log")).unwrap_or_default())?;
        Ok(())
    }

    /// Adds it to what a hub is configured with.
    pub fn configure(&self, options: &mut HubOptions) {
        let text = |value: &str| format!("{value:?}");
        let file = |name: &str| text(&self.folder.join(name).display().to_string());
        options.nats.extend([
            ("url", text(&format!("tls://{}", self.address))),
            ("ca_file", file("ca.pem")),
            ("client_cert_file", file("client.pem")),
            ("client_key_file", file("client.key")),
            ("user", text(HUB)),
            ("password_file", file("password")),
        ]);
    }

    /// Connects as the suite, which may do everything.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let options = ConnectOptions::new()
            .require_tls(true)
            .add_root_certificates(self.folder.join("ca.pem"))
            .add_client_certificate(self.folder.join("client.pem"), self.folder.join("client.key"))
            .user_and_password(SUITE.to_owned(), self.password.clone());
        Ok(options.connect(format!("tls://{}", self.address)).await?)
    }

    /// As `kill -9` does.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Starts it again, on what it kept.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.id().is_none(), "it runs");
        self.child = spawn(&self.binary, &self.folder)?;
        self.ready().await
    }
}

impl Drop for OwnNats {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(binary: &Path, folder: &Path) -> anyhow::Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"))?;
    Ok(Command::new(binary)
        .arg("--config")
        .arg(folder.join("nats.conf"))
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?)
}
