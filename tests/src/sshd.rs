//! An SSH server of its own, where the stack's two are not configured as a story needs it. The unix
//! users are those of the stack.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::process::{Child, Command};

use crate::{eventually, hub::free_address, unique};

/// A running sshd with one host key. Killed when dropped.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    folder: PathBuf,
    port: u16,
}

/// What a host certificate says.
#[derive(Debug, Clone)]
pub struct HostCertificate<'a> {
    /// Name or address it is for.
    pub principal: &'a str,
    /// As `ssh-keygen -V` takes it.
    pub validity: &'a str,
}

/// A certificate authority for host keys.
#[derive(Debug)]
pub struct HostCa {
    folder: PathBuf,
}

impl HostCa {
    /// Makes one.
    ///
    /// # Errors
    /// When `ssh-keygen` fails.
    pub async fn create() -> anyhow::Result<Self> {
        let folder = folder("openpam-test-host-ca")?;
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f"], &folder.join("ca")).await?;
        Ok(Self { folder })
    }

    /// Its public key line.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn public_key(&self) -> anyhow::Result<String> {
        crate::stack::read_trimmed(&self.folder.join("ca.pub"))
    }
}

impl Drop for HostCa {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Sshd {
    /// Starts one that takes the password of the stack's first target, with these lines before.
    ///
    /// # Errors
    /// When it does not answer within some seconds.
    pub async fn start(key_type: &str, lines: &[&str]) -> anyhow::Result<Self> {
        Self::start_certified(key_type, lines, None).await
    }

    /// The same, with a certificate of the authority for its host key.
    ///
    /// # Errors
    /// When `ssh-keygen` fails or it does not answer within some seconds.
    pub async fn start_certified(
        key_type: &str,
        lines: &[&str],
        certificate: Option<(&HostCa, HostCertificate<'_>)>,
    ) -> anyhow::Result<Self> {
        let folder = folder("openpam-test-sshd")?;
        keygen(&["-q", "-t", key_type, "-N", "", "-f"], &folder.join("host")).await?;
        let mut text = String::new();
        if let Some((ca, HostCertificate { principal, validity })) = certificate {
            let ca = ca.folder.join("ca").display().to_string();
            let arguments = ["-q", "-s", &ca, "-I", "test", "-h", "-n", principal, "-V", validity];
            keygen(&arguments, &folder.join("host.pub")).await?;
            text.push_str(&format!("HostCertificate {}\n", folder.join("host-cert.pub").display()));
        }
        let port = free_address().await?.port();
        // sshd takes the first value of a keyword: the story's own lines win.
        text.push_str(&lines.join("\n"));
        text.push_str(&format!(
            "\nListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nStrictModes no\nUsePAM yes\n\
             PasswordAuthentication yes\nKbdInteractiveAuthentication yes\nUseDNS no\nPrintMotd no\nLogLevel VERBOSE\n",
            folder.join("host").display()
        ));
        std::fs::write(folder.join("config"), text)?;
        let child = Command::new("/usr/sbin/sshd")
            .arg("-D")
            .arg("-f")
            .arg(folder.join("config"))
            .arg("-E")
            .arg(folder.join("log"))
            .kill_on_drop(true)
            .spawn()
            .context("sshd could not be run")?;
        let mut server = Self { child, folder, port };
        eventually("sshd answers", Duration::from_secs(10), || async {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok())
        })
        .await
        .with_context(|| server.log())?;
        ensure!(server.child.try_wait()?.is_none(), "sshd ended: {}", server.log());
        Ok(server)
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn folder(prefix: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(unique(prefix));
    std::fs::create_dir(&folder)?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o711))?;
    Ok(folder)
}

async fn keygen(arguments: &[&str], file: &Path) -> anyhow::Result<()> {
    let output = Command::new("ssh-keygen").args(arguments).arg(file).output().await.context("no ssh-keygen")?;
    ensure!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
