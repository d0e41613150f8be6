//! A PostgreSQL of its own, that can be killed and comes back with what it acknowledged.

use std::{
    net::SocketAddr,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::process::{Child, Command};
use url::Url;

use crate::{
    Stack, eventually,
    hub::free_address,
    stack::{Postgres, Superuser},
    unique,
};

/// A running server with the two roles of OpenPAM. Killed when dropped.
#[derive(Debug)]
pub struct OwnPostgres {
    child: Child,
    /// The folder with `initdb`, `postgres` and `psql`.
    binaries: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    server: Postgres,
}

impl OwnPostgres {
    /// Starts one with the binaries of the stack's.
    ///
    /// # Errors
    /// When it cannot be started or set up.
    pub async fn start(stack: &Stack) -> anyhow::Result<Self> {
        let theirs = &stack.servers.postgres;
        let pid = theirs.pid.context("the stack does not say which process its PostgreSQL is")?;
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).context("the stack's PostgreSQL does not run")?;
        let binaries = exe.parent().context("a binary is in a folder")?.to_owned();
        let folder = std::env::temp_dir().join(unique("openpam-test-postgres"));
        std::fs::create_dir(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o711))?;
        // It refuses to run as root: then it runs as whoever the stack's does.
        let owner = std::fs::metadata(format!("/proc/{pid}"))?;
        std::os::unix::fs::chown(&folder, Some(owner.uid()), Some(owner.gid()))?;
        let address = free_address().await?;
        let at = |url: &str| {
            let mut url = Url::parse(url)?;
            url.set_port(Some(address.port())).ok().context("the URL takes no port")?;
            anyhow::Ok(url.to_string())
        };
        let server = Postgres {
            port: address.port(),
            owner_url: at(&theirs.owner_url)?,
            app_url: at(&theirs.app_url)?,
            ledger_url: at(&theirs.ledger_url)?,
            superuser: Some(Superuser { user: "postgres".to_owned(), socket: folder.display().to_string() }),
            ..theirs.clone()
        };
        let arguments = ["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-D", "data"];
        let made = of_owner(&binaries.join("initdb"), &folder)?.args(arguments).output().await?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let child = spawn(&binaries, &folder, address)?;
        let own = Self { child, binaries, folder, address, server };
        own.ready().await?;
        own.sql(
            "create role openpam_owner login createdb; create role openpam_app login; create role openpam_ledger login",
        )
        .await?;
        Ok(own)
    }

    /// The stack with this instead of its own.
    pub fn in_stack(&self, stack: &Stack) -> Stack {
        let mut stack = stack.clone();
        stack.servers.postgres = self.server.clone();
        stack
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let what = "PostgreSQL answers";
        eventually(what, Duration::from_secs(30), || async { Ok(self.sql("select 1").await.ok()) }).await
    }

    async fn sql(&self, statements: &str) -> anyhow::Result<()> {
        let port = self.address.port().to_string();
        let done = Command::new(self.binaries.join("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-p", &port])
            .arg("-h")
            .arg(&self.folder)
            .args(["-c", statements])
            .output()
            .await?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// As `kill -9` does: the one that listens; those that serve end when they notice.
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
        let what = "what is left of the killed one lets another start";
        let (binaries, folder, address) = (self.binaries.clone(), self.folder.clone(), self.address);
        self.child = eventually(what, Duration::from_secs(30), || async {
            let mut child = spawn(&binaries, &folder, address)?;
            // One that finds others at work ends at once.
            let ended = tokio::time::timeout(Duration::from_millis(500), child.wait()).await.is_ok();
            Ok((!ended).then_some(child))
        })
        .await?;
        self.ready().await
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A command that runs as the owner of the folder, in it.
fn of_owner(program: &Path, folder: &Path) -> anyhow::Result<Command> {
    let owner = std::fs::metadata(folder)?;
    let mut command = Command::new(program);
    command.current_dir(folder).uid(owner.uid()).gid(owner.gid());
    Ok(command)
}

fn spawn(binaries: &Path, folder: &Path, address: SocketAddr) -> anyhow::Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"))?;
    let socket = folder.display();
    // Without fsync the death of a process loses nothing; what is acknowledged has been written.
    let settings = [
        "fsync=off".to_owned(),
        "synchronous_commit=on".to_owned(),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={socket}"),
    ];
    let mut command = of_owner(&binaries.join("postgres"), folder)?;
    command.args(["-D", "data", "-p", &address.port().to_string()]);
    for setting in settings {
        command.args(["-c", &setting]);
    }
    let command = command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command.kill_on_drop(true).spawn()?)
}
