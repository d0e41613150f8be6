//! The real binary: configured, migrated, started on a free port, stopped by its process id.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{File, TryLockError},
    net::SocketAddr,
    ops::RangeInclusive,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

pub use crate::folder::Folder;
use crate::{Database, Stack, eventually, unique, vault::VaultAdmin};

/// Environment variable with the path of the binary.
pub const BINARY_VARIABLE: &str = "OPENPAM_TEST_BINARY";
/// How long a hub may take from start to ready.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What differs from the configuration every story starts with.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// Slug of the tenant, also where the provider's people belong.
    pub tenant: String,
    /// Log filter.
    pub log_filter: String,
    /// The vault's address, when it is not the stack's own (a proxy).
    pub vault_address: Option<String>,
    /// Where PostgreSQL is reached (`host:port`); the stack's own when `None`.
    pub database_address: Option<String>,
    /// The issuer, when it is not the stack's own (a proxy cannot change what tokens say).
    pub issuer: Option<String>,
    /// Whether the hub has a provider at all.
    pub oidc: bool,
    /// `[identity]` keys.
    pub identity: BTreeMap<&'static str, u64>,
    /// `[terminal]` keys.
    pub terminal: BTreeMap<&'static str, u64>,
    /// Networks at which targets may be although they are refused by default.
    pub address_exceptions: Vec<&'static str>,
    /// The scheme browsers use, when something in front of the hub speaks https.
    pub public_scheme: &'static str,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<&'static str>,
    /// Whether hubs with these options reach each other.
    pub peers: bool,
    /// `json` or `human`.
    pub log_format: &'static str,
    /// Accepted `tid` claims, when not the provider's own.
    pub allowed_tids: Option<Vec<String>>,
    /// Whether a role of its own writes the ledger.
    pub ledger_role: bool,
    /// Where recordings are kept, by every hub with these options; none for no recordings.
    pub recordings: Option<Arc<Folder>>,
    /// `[recording]` keys.
    pub recording: BTreeMap<&'static str, String>,
    /// `[ledger]` keys.
    pub ledger: BTreeMap<&'static str, String>,
    /// `[events]` keys.
    pub events: BTreeMap<&'static str, String>,
    /// `[aws]` keys; none for no SNS and SQS.
    pub aws: BTreeMap<&'static str, String>,
    /// `[nats]` keys; none for no NATS.
    pub nats: BTreeMap<&'static str, String>,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            tenant: unique("t"),
            log_filter: "info".to_owned(),
            vault_address: None,
            database_address: None,
            issuer: None,
            oidc: true,
            // The suite signs in often, and from one address.
            identity: BTreeMap::from([("login_attempts_per_ip_per_minute", 10_000)]),
            terminal: BTreeMap::new(),
            address_exceptions: Vec::new(),
            public_scheme: "http",
            trusted_proxies: Vec::new(),
            peers: false,
            log_format: "json",
            allowed_tids: None,
            ledger_role: true,
            recordings: Some(Arc::new(Folder(std::env::temp_dir().join(unique("openpam-test-recordings"))))),
            recording: BTreeMap::new(),
            ledger: BTreeMap::new(),
            // The suite's webhooks are on this machine.
            events: BTreeMap::from([("webhook_loopback", "true".to_owned())]),
            aws: BTreeMap::new(),
            nats: BTreeMap::new(),
        }
    }
}

/// A running hub. Killed when dropped.
#[derive(Debug)]
pub struct Hub {
    child: Child,
    pid: u32,
    url: String,
    folder: PathBuf,
    log: Arc<Mutex<String>>,
    binary: PathBuf,
}

impl Hub {
    /// Brings the schema of `database` up to date and starts a hub on it.
    ///
    /// # Errors
    /// With what the binary wrote, when it does not become ready.
    pub async fn start(stack: &Stack, database: &Database, options: &HubOptions) -> anyhow::Result<Self> {
        let prepared = Prepared::new(stack, database, options).await?;
        prepared.run(&["migrate"], None).await?;
        prepared.start().await
    }

    /// Where browsers reach it, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its folder: configuration and secrets.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no holder of the lock panics").clone()
    }

    /// Waits for a line of the log that contains every one of `parts`.
    ///
    /// # Errors
    /// When there is none within 5 s.
    pub async fn wait_for_log(&self, parts: &[&str]) -> anyhow::Result<String> {
        eventually(&format!("a log line with {parts:?}"), Duration::from_secs(5), || async {
            let log = self.log();
            Ok(log.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned))
        })
        .await
    }

    /// Runs another command of the same binary with the same configuration; its standard output.
    ///
    /// # Errors
    /// With what it wrote, when it fails.
    pub async fn command(&self, arguments: &[&str], input: Option<&str>) -> anyhow::Result<String> {
        run_binary(&self.binary, &self.folder, arguments, input, &[]).await
    }

    /// The same with variables of the environment, which go before the configuration.
    ///
    /// # Errors
    /// With what it wrote, when it fails.
    pub async fn command_with(
        &self,
        arguments: &[&str],
        input: Option<&str>,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        run_binary(&self.binary, &self.folder, arguments, input, environment).await
    }

    /// Resident memory in KiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        resident_kib(self.pid)
    }

    /// Ends it the hard way, as `kill -9` does.
    ///
    /// # Errors
    /// When the process is gone already.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.start_kill()?;
        self.child.wait().await?;
        Ok(())
    }

    /// Sends it a signal by name, such as `STOP`.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let done = Command::new("kill").args(["-s", name, &self.pid.to_string()]).status().await?;
        ensure!(done.success(), "kill -s {name}: {done}");
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> anyhow::Result<std::process::ExitStatus> {
        let ended = tokio::time::timeout(limit, self.child.wait());
        Ok(ended.await.with_context(|| format!("the hub still runs; its log:\n{}", tail(&self.log(), 60)))??)
    }

    /// Ends it the soft way; how it ended.
    ///
    /// # Errors
    /// When it does not end within 30 s.
    pub async fn terminate(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        let killed = Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().await?;
        ensure!(killed.success(), "the hub was gone before it was asked to stop");
        tokio::time::timeout(Duration::from_secs(30), self.child.wait())
            .await
            .context("the hub did not stop within 30 s of SIGTERM")?
            .map_err(Into::into)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // tokio reaps it; kill_on_drop sends the signal.
        let _ = self.child.start_kill();
        if std::thread::panicking() {
            eprintln!("--- log of the hub at {} ---\n{}", self.url, tail(&self.log(), 200));
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A configuration on disk, before its hub runs.
#[derive(Debug, Clone)]
pub struct Prepared {
    binary: PathBuf,
    folder: PathBuf,
    url: String,
}

impl Prepared {
    /// Writes the configuration and a freshly wrapped secret id.
    ///
    /// # Errors
    /// When the binary is missing or OpenBao refuses.
    pub async fn new(stack: &Stack, database: &Database, options: &HubOptions) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(unique("openpam-test-hub"));
        std::fs::create_dir(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        let address = free_address().await?;
        let vault = VaultAdmin::new(&stack.servers.openbao)?;
        std::fs::write(folder.join("wrapped_secret_id"), vault.wrapped_secret_id().await?)?;
        let role_id = vault.role_id().await?;
        std::fs::write(folder.join("hub.toml"), configuration(stack, database, options, &folder, address, &role_id)?)?;
        Ok(Self { binary: binary()?, folder, url: format!("http://{address}") })
    }

    /// Where configuration and secrets are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a command of the binary with this configuration; its standard output.
    ///
    /// # Errors
    /// With what it wrote, when it fails.
    pub async fn run(&self, arguments: &[&str], input: Option<&str>) -> anyhow::Result<String> {
        run_binary(&self.binary, &self.folder, arguments, input, &[]).await
    }

    /// Where it will be reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts the hub and waits until it is ready.
    ///
    /// # Errors
    /// With its log, when it does not become ready.
    pub async fn start(self) -> anyhow::Result<Hub> {
        let hub = self.spawn()?;
        hub.ready().await?;
        Ok(hub)
    }

    /// Starts the hub without waiting.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn spawn(self) -> anyhow::Result<Hub> {
        let mut child = Command::new(&self.binary)
            .args(["hub", "--config"])
            .arg(self.folder.join("hub.toml"))
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| matches!(name.as_str(), "PATH" | "HOME" | "TMPDIR" | "LANG")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", self.binary.display()))?;
        let pid = child.id().context("the hub ended at once")?;
        let log = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn tokio::io::AsyncRead + Send + Unpin>; 2] = [
            Box::new(child.stdout.take().context("no standard output")?),
            Box::new(child.stderr.take().context("no standard error")?),
        ];
        for stream in streams {
            let log = log.clone();
            tokio::spawn(async move {
                let mut lines = BufReader::new(stream);
                let mut line = Vec::new();
                while matches!(lines.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
                    log.lock().expect("no holder of the lock panics").push_str(&String::from_utf8_lossy(&line));
                    line.clear();
                }
            });
        }
        Ok(Hub { child, pid, url: self.url, folder: self.folder, log, binary: self.binary })
    }
}

impl Hub {
    async fn ready(&self) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build()?;
        let url = format!("{}/readyz", self.url);
        let waited = eventually("the hub is ready", START_LIMIT, || async {
            if !Path::new(&format!("/proc/{}", self.pid)).exists() || is_zombie(self.pid) {
                bail!("the hub ended");
            }
            match http.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => Ok(Some(())),
                _ => Ok(None),
            }
        })
        .await;
        waited.with_context(|| format!("the hub at {} did not start; its log:\n{}", self.url, tail(&self.log(), 60)))
    }
}

fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

fn tail(text: &str, lines: usize) -> String {
    let all = text.lines().collect::<Vec<_>>();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Resident memory of a process in KiB.
///
/// # Errors
/// When the process is gone.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// Path of the binary: from the environment, or beside the test executable.
///
/// # Errors
/// Says how to build it, when it is not there.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(BINARY_VARIABLE) {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "{BINARY_VARIABLE} names {}, which is no file", path.display());
        return Ok(path);
    }
    let executable = std::env::current_exe()?;
    let beside = executable.parent().and_then(Path::parent).map(|folder| folder.join("openpam"));
    match beside.filter(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("the openpam binary is not built: run `cargo build`, or name it in {BINARY_VARIABLE}"),
    }
}

async fn run_binary(
    binary: &Path,
    folder: &Path,
    arguments: &[&str],
    input: Option<&str>,
    environment: &[(&str, &str)],
) -> anyhow::Result<String> {
    let mut child = Command::new(binary)
        .args(arguments)
        .envs(environment.iter().copied())
        .arg("--config")
        .arg(folder.join("hub.toml"))
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).await?;
    }
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "`openpam {}` ended with {}:\n{}{}",
        arguments.join(" "),
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}

/// Ports for tests: below the range from which the system takes outgoing ports, so that no connection of
/// another test can be in the way.
const PORTS: RangeInclusive<u16> = 25_000..=31_999;

/// A listener on loopback, on a port that no other test of this machine gets while this process lives:
/// a hub binds some time after its address was chosen, and starts again on the same.
///
/// # Errors
/// When none of many ports is free.
pub async fn bind_free_port() -> anyhow::Result<TcpListener> {
    for _ in 0..200 {
        let span = u128::from(PORTS.end() - PORTS.start() + 1);
        let port = PORTS.start() + u16::try_from(uuid::Uuid::new_v4().as_u128() % span)?;
        if !reserve(port)? {
            continue;
        }
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return Ok(listener);
        }
    }
    bail!("no free port between {} and {}", PORTS.start(), PORTS.end())
}

/// Takes the lock of a port until this process ends; `false` when another one has it.
fn reserve(port: u16) -> anyhow::Result<bool> {
    static RESERVED: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("openpam-test-ports");
    std::fs::create_dir_all(&folder)?;
    let file = File::options().create(true).truncate(false).write(true).open(folder.join(port.to_string()))?;
    match file.try_lock() {
        Ok(()) => {
            RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(file);
            Ok(true)
        }
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// An address that no other test takes.
///
/// # Errors
/// When there is none.
pub async fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(bind_free_port().await?.local_addr()?)
}

fn configuration(
    stack: &Stack,
    database: &Database,
    options: &HubOptions,
    folder: &Path,
    address: SocketAddr,
    role_id: &str,
) -> anyhow::Result<String> {
    let (postgres, vault, oidc) = (&stack.servers.postgres, &stack.servers.openbao, &stack.servers.oidc);
    let vault_address = options.vault_address.as_deref().unwrap_or(&vault.address);
    let database_url = |role| match &options.database_address {
        Some(address) => database.url_at(address, role),
        None => database.url(role),
    };
    let ledger_role = options.ledger_role.then(|| {
        let (url, file) = (database_url("openpam_ledger"), postgres.ledger_password_file.display());
        format!("ledger_url = \"{url}\"\nledger_password_file = \"{file}\"\n")
    });
    let ledger_role = ledger_role.unwrap_or_default();
    let mut text = format!(
        r#"[server]
listen = "{address}"
public_url = "{}://{address}"
{}
trusted_proxies = {:?}
shutdown_grace_seconds = 5

[database]
url = "{}"
password_file = "{}"
owner_url = "{}"
owner_password_file = "{}"
{}
[log]
format = "{}"
filter = "{}"

[vault]
address = "{vault_address}"
approle_mount = "{}"
kv_mount = "{}"
ssh_mount = "{}"
kv_prefix = "{}"
role_id = "{role_id}"
wrapped_secret_id_file = "{}"
request_timeout_seconds = 2
namespace = "{}"
"#,
        options.public_scheme,
        if options.peers { format!("peer_url = \"http://{address}\"") } else { String::new() },
        options.trusted_proxies,
        database_url("openpam_app"),
        postgres.app_password_file.display(),
        database_url("openpam_owner"),
        postgres.owner_password_file.display(),
        ledger_role,
        options.log_format,
        options.log_filter,
        vault.approle_mount,
        vault.kv_mount,
        vault.ssh_mount,
        vault.kv_prefix,
        folder.join("wrapped_secret_id").display(),
        vault.namespace,
    );
    if let Some(file) = &vault.ca_file {
        writeln!(text, "ca_file = \"{}\"", file.display())?;
    }
    // The stack's CA has one role, which is this tenant's alone.
    writeln!(text, "\n[vault.ssh_roles]\n{} = [\"{}\"]", options.tenant, vault.ssh_role)?;
    for (section, keys) in [("identity", &options.identity), ("terminal", &options.terminal)] {
        writeln!(text, "\n[{section}]")?;
        for (key, value) in keys {
            writeln!(text, "{key} = {value}")?;
        }
    }
    writeln!(text, "\n[targets]\naddress_exceptions = {:?}", options.address_exceptions)?;
    writeln!(text, "\n[recording]")?;
    match &options.recordings {
        Some(folder) => writeln!(text, "directory = \"{}\"", folder.0.display())?,
        None if options.recording.contains_key("store") || options.recording.contains_key("required") => {}
        None => writeln!(text, "required = false")?,
    }
    for (key, value) in &options.recording {
        writeln!(text, "{key} = {value}")?;
    }
    writeln!(text, "\n[ledger]")?;
    for (key, value) in &options.ledger {
        writeln!(text, "{key} = {value}")?;
    }
    writeln!(text, "\n[events]")?;
    options.events.iter().try_for_each(|(key, value)| writeln!(text, "{key} = {value}"))?;
    for (section, keys) in [("nats", &options.nats), ("aws", &options.aws)] {
        if !keys.is_empty() {
            writeln!(text, "\n[{section}]")?;
        }
        keys.iter().try_for_each(|(key, value)| writeln!(text, "{key} = {value}"))?;
    }
    if options.oidc {
        let tids = options.allowed_tids.clone().unwrap_or_else(|| vec![oidc.tenant_id.clone()]);
        let group = |name: &str| oidc.groups.get(name).with_context(|| format!("the provider has no group {name}"));
        write!(
            text,
            r#"
[oidc]
tenant = "{}"
display_name = "Entra ID"
issuer = "{}"
client_id = "{}"
client_secret_file = "{}"
allowed_tids = {tids:?}
scopes = ["openid", "profile", "email", "offline_access"]

[oidc.group_roles]
"{}" = ["admin"]
"{}" = ["operator"]
"{}" = ["auditor"]
"#,
            options.tenant,
            options.issuer.as_deref().unwrap_or(&oidc.issuer),
            oidc.client_id,
            oidc.client_secret_file.display(),
            group("admins")?,
            group("operators")?,
            group("auditors")?,
        )?;
    }
    Ok(text)
}
