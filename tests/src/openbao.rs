//! An OpenBao of its own, for stories in which the vault is sealed, has a certificate of a private
//! CA, or keeps its things in a namespace. Everything is in memory and gone with the process.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{Stack, eventually, hub::free_address, stack::OpenBao, unique, vault::VaultAdmin};

/// Where the hub's things are.
pub const NAMESPACE: &str = "team";

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct OwnOpenBao {
    _child: Child,
    folder: PathBuf,
    server: OpenBao,
    unseal_key: String,
}

impl OwnOpenBao {
    /// Starts one with the binary of the stack's, over TLS, set up as the stack's inside
    /// [`NAMESPACE`]. `role` is merged into the hub's AppRole role.
    ///
    /// # Errors
    /// When it cannot be started or set up.
    pub async fn start(stack: &Stack, role: &Value) -> anyhow::Result<Self> {
        let pid = stack.servers.openbao.pid.context("the stack does not say which process its OpenBao is")?;
        let binary = std::fs::read_link(format!("/proc/{pid}/exe")).context("the stack's OpenBao does not run")?;
        let folder = std::env::temp_dir().join(unique("openpam-test-openbao"));
        std::fs::create_dir(&folder)?;
        certificates(&folder, &["server"]).await?;
        let address = free_address().await?;
        let file = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "api_addr = \"https://{address}\"\nstorage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"{address}\"\n  \
             tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"\n}}\n",
            file("server.pem"),
            file("server.key")
        );
        std::fs::write(folder.join("config.hcl"), config)?;
        let log = std::fs::File::create(folder.join("log"))?;
        let child = Command::new(binary)
            .arg("server")
            .arg(format!("-config={}", file("config.hcl")))
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let mut server = OpenBao {
            address: format!("https://{address}"),
            admin_token: String::new(),
            ca_file: Some(folder.join("ca.pem")),
            namespace: String::new(),
            ..stack.servers.openbao.clone()
        };
        let admin = VaultAdmin::new(&server)?;
        let body = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let keys = eventually("OpenBao initialises itself", Duration::from_secs(20), || async {
            Ok(admin.call(Method::PUT, "sys/init", Some(&body)).await.ok())
        })
        .await
        .with_context(|| std::fs::read_to_string(folder.join("log")).unwrap_or_default())?;
        let text = |pointer: &str| keys.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        server.admin_token = text("/root_token").context("no root token")?;
        let unseal_key = text("/keys_base64/0").context("no unseal key")?;
        let mut own = Self { _child: child, folder, server, unseal_key };
        own.unseal().await?;
        // A leader is chosen a moment after the seal is gone.
        let root = VaultAdmin::new(&own.server)?;
        eventually("a namespace can be made", Duration::from_secs(10), || async {
            Ok(root.call(Method::PUT, &format!("sys/namespaces/{NAMESPACE}"), Some(&json!({}))).await.ok())
        })
        .await?;
        NAMESPACE.clone_into(&mut own.server.namespace);
        own.set_up(role).await?;
        Ok(own)
    }

    async fn set_up(&self, role: &Value) -> anyhow::Result<()> {
        let admin = VaultAdmin::new(&self.server)?;
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/stack/openbao_policy.hcl");
        let policy = std::fs::read_to_string(policy)?;
        let mut approle = json!({ "token_policies": ["openpam"], "token_no_default_policy": true });
        for (key, value) in role.as_object().into_iter().flatten() {
            approle[key] = value.clone();
        }
        let signer = json!({
            "key_type": "ca", "allow_user_certificates": true, "allowed_users": "*", "allow_user_key_ids": true,
            "default_extensions": { "permit-pty": "" }, "allowed_extensions": "permit-pty", "ttl": "5m",
        });
        let server = &self.server;
        for (path, body) in [
            (format!("sys/mounts/{}", server.kv_mount), json!({ "type": "kv", "options": { "version": "2" } })),
            (format!("sys/mounts/{}", server.ssh_mount), json!({ "type": "ssh" })),
            (format!("{}/config/ca", server.ssh_mount), json!({ "generate_signing_key": true, "key_type": "ed25519" })),
            (format!("{}/roles/{}", server.ssh_mount, server.ssh_role), signer),
            (format!("sys/auth/{}", server.approle_mount), json!({ "type": "approle" })),
            ("sys/policies/acl/openpam".to_owned(), json!({ "policy": policy })),
            (format!("auth/{}/role/{}", server.approle_mount, server.approle_role), approle),
        ] {
            admin.call(Method::POST, &path, Some(&body)).await?;
        }
        Ok(())
    }

    /// How it is reached, as its administrator.
    pub fn server(&self) -> &OpenBao {
        &self.server
    }

    /// Seals it.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn seal(&self) -> anyhow::Result<()> {
        self.root()?.call(Method::PUT, "sys/seal", None).await?;
        Ok(())
    }

    /// Takes the seal away.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn unseal(&self) -> anyhow::Result<()> {
        self.root()?.call(Method::PUT, "sys/unseal", Some(&json!({ "key": self.unseal_key }))).await?;
        Ok(())
    }

    fn root(&self) -> anyhow::Result<VaultAdmin> {
        VaultAdmin::new(&OpenBao { namespace: String::new(), ..self.server.clone() })
    }

    /// Ends every login there is, the administrator's apart.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn revoke_logins(&self) -> anyhow::Result<()> {
        let path = format!("sys/leases/revoke-prefix/auth/{}/login", self.server.approle_mount);
        VaultAdmin::new(&self.server)?.call(Method::PUT, &path, Some(&json!({}))).await?;
        Ok(())
    }
}

impl Drop for OwnOpenBao {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A CA, and certificates of it for 127.0.0.1: `NAME.pem` and `NAME.key`.
pub(crate) async fn certificates(folder: &Path, names: &[&str]) -> anyhow::Result<()> {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let ca = ["req", "-x509", "-days", "2", "-subj", "/CN=openpam-test-ca", "-keyout", "ca.key", "-out", "ca.pem"];
    let files = names.iter().map(|name| (format!("{name}.key"), format!("{name}.pem"))).collect::<Vec<_>>();
    let of_it = files.iter().map(|(key, certificate)| {
        let mut arguments = vec!["req", "-x509", "-days", "1", "-subj", "/CN=openpam-test", "-keyout", key];
        arguments.extend(["-out", certificate, "-CA", "ca.pem", "-CAkey", "ca.key"]);
        arguments.extend(["-addext", "subjectAltName=IP:127.0.0.1"]);
        arguments.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
        arguments
    });
    for arguments in std::iter::once(ca.to_vec()).chain(of_it) {
        let output = Command::new("openssl")
            .args(arguments)
            .args(key)
            .current_dir(folder)
            .output()
            .await
            .context("no openssl")?;
        ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
