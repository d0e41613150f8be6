//! Hub and PostgreSQL are killed in the middle of load. The cluster is this test's own, and keeps what it acknowledged.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use openpam_tests::{HubOptions, Stack, World, eventually, hub::Folder, unique};
use tokio::process::{Child, Command};

use super::{number, settled, verify};

/// A PostgreSQL cluster that may be killed.
struct Cluster {
    folder: Folder,
    port: u16,
    postmaster: Option<Child>,
}

/// Where PostgreSQL's programs are: on Debian not on the path.
fn program(name: &str) -> PathBuf {
    let newest = std::fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
        let paths = versions.filter_map(|version| Some(version.ok()?.path().join("bin").join(name)));
        paths.filter(|path| path.exists()).max()
    });
    newest.unwrap_or_else(|| name.into())
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &Path) -> anyhow::Result<Command> {
    let id = std::process::Command::new("id").arg("-u").output()?;
    let mut command = if String::from_utf8_lossy(&id.stdout).trim() == "0" {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

impl Cluster {
    async fn create(stack: &Stack) -> anyhow::Result<Self> {
        let folder = Folder(std::env::temp_dir().join(unique("openpam-test-pg")));
        std::fs::create_dir_all(&folder.0)?;
        let port = openpam_tests::hub::bind_free_port().await?.local_addr()?.port();
        // Whoever PostgreSQL runs as makes the rest below it.
        let made = Command::new("chmod").arg("0777").arg(&folder.0).status().await?;
        ensure!(made.success(), "cannot prepare {}", folder.0.display());
        let made = as_postgres(&program("initdb"))?
            .args([
                "-U",
                "postgres",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ])
            .arg("-D")
            .arg(folder.0.join("data"))
            .status()
            .await?;
        ensure!(made.success(), "initdb failed in {}", folder.0.display());
        let mut cluster = Self { folder, port, postmaster: None };
        cluster.start().await?;
        let roles = [
            ("openpam_owner", "createdb", &stack.servers.postgres.owner_password_file),
            ("openpam_app", "nocreatedb", &stack.servers.postgres.app_password_file),
            ("openpam_ledger", "nocreatedb", &stack.servers.postgres.ledger_password_file),
        ];
        for (role, right, file) in roles {
            let password = std::fs::read_to_string(file)?;
            let password = password.trim();
            cluster
                .say(&format!("create role {role} login {right} nosuperuser nobypassrls password '{password}'"))
                .await?;
        }
        Ok(cluster)
    }

    async fn say(&self, statement: &str) -> anyhow::Result<()> {
        let output = Command::new(program("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-c", statement, "-h"])
            .arg(&self.folder.0)
            .args(["-p", &self.port.to_string()])
            .output()
            .await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Starts it, where one was killed once its other processes are gone.
    async fn start(&mut self) -> anyhow::Result<()> {
        for _ in 0..60 {
            let mut postmaster = as_postgres(&program("postgres"))?
                .arg("-D")
                .arg(self.folder.0.join("data"))
                .args(["-p", &self.port.to_string(), "-k"])
                .arg(&self.folder.0)
                .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=on", "-c", "synchronous_commit=on"])
                .spawn()
                .context("cannot start PostgreSQL")?;
            for _ in 0..100 {
                if self.say("select 1").await.is_ok() {
                    self.postmaster = Some(postmaster);
                    return Ok(());
                }
                if postmaster.try_wait()?.is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        anyhow::bail!("PostgreSQL does not start again")
    }

    /// Ends it as a machine that loses its power does.
    async fn kill(&mut self) -> anyhow::Result<()> {
        let mut postmaster = self.postmaster.take().context("it does not run")?;
        let pid = postmaster.id().context("it is gone")?;
        // All of its processes at once: none may write what the others had in mind.
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        postmaster.start_kill()?;
        for child in children.split_whitespace() {
            // One that has ended meanwhile is no failure.
            let _ = Command::new("kill").args(["-KILL", child]).stderr(Stdio::null()).status().await?;
        }
        postmaster.wait().await?;
        Ok(())
    }

    /// The stack with this cluster in the place of its own.
    fn in_place(&self, mut stack: Stack) -> Stack {
        let postgres = &mut stack.servers.postgres;
        let (from, to) = (format!(":{}/", postgres.port), format!(":{}/", self.port));
        postgres.owner_url = postgres.owner_url.replace(&from, &to);
        postgres.app_url = postgres.app_url.replace(&from, &to);
        postgres.port = self.port;
        if let Some(superuser) = &mut postgres.superuser {
            superuser.socket = self.folder.0.display().to_string();
        }
        stack
    }
}

#[tokio::test]
async fn hub_and_postgresql_are_killed_in_the_middle_of_load_and_nothing_is_lost() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let mut cluster = Cluster::create(&stack).await?;
    let options = HubOptions { log_filter: "warn".to_owned(), ..HubOptions::default() };
    let mut world = World::start_with(cluster.in_place(stack), options).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    // Each row is noted once its commit is acknowledged; one that was not may be there or not.
    let (acknowledged, stop) = (AtomicI64::new(0), tokio_util::sync::CancellationToken::new());
    let database = &world.database;
    let client = async |number: i64| -> anyhow::Result<i64> {
        let mut doubtful = 0;
        while !stop.is_cancelled() {
            let Ok(mut connection) = database.as_tenant(tenant).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            loop {
                let written = sqlx::query(
                    "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome, detail)
                     values (gen_random_uuid(), $1, 'system', 'test', 'test.load', 'success', jsonb_build_object('client', $2::bigint))",
                )
                .bind(tenant)
                .bind(number)
                .execute(&mut connection)
                .await;
                if written.is_err() {
                    doubtful += 1;
                    break;
                }
                acknowledged.fetch_add(1, Ordering::Relaxed);
                if stop.is_cancelled() {
                    break;
                }
            }
        }
        Ok(doubtful)
    };
    let hub = &mut world.hub;
    let killing = async {
        for round in 0..3_u64 {
            tokio::time::sleep(Duration::from_millis(900 + 170 * round)).await;
            cluster.kill().await?;
            if round == 1 {
                hub.kill().await?;
            }
            cluster.start().await?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.cancel();
        anyhow::Ok(())
    };
    let (killed, one, two, three) = tokio::join!(killing, client(1), client(2), client(3));
    killed?;
    let doubtful = one? + two? + three?;
    let hub = world.another_hub().await?;
    settled(&world.database).await?;
    let acknowledged = acknowledged.into_inner();
    let placed = number(
        &world.database,
        "select count(*) from ledger_entries e join audit_events a on a.audit_event_id = e.event_id where a.action = 'test.load'",
    )
    .await?;
    ensure!(acknowledged > 200, "only {acknowledged} rows were written");
    let most = acknowledged + doubtful;
    ensure!((acknowledged..=most).contains(&placed), "{acknowledged} to {most} rows, {placed} have a place");
    let wrong = "select count(*) from (select seq, row_number() over (partition by tenant_id order by seq) - 1 as place
                                       from ledger_entries) e where seq <> place";
    ensure!(number(&world.database, wrong).await? == 0, "places have holes");
    eventually("the ledger verifies", Duration::from_secs(10), || async {
        let verified = verify(&hub, &[]).await?;
        Ok(verified.sound.then_some(()))
    })
    .await
}
