//! A database of its own for each story, dropped at its end.

use std::str::FromStr as _;

use anyhow::{Context as _, ensure};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, postgres::PgConnectOptions};

use crate::{Stack, unique};

/// A fresh, empty database that `openpam_owner` owns.
#[derive(Debug)]
pub struct Database {
    name: String,
    owner: PgConnectOptions,
    application: PgConnectOptions,
    ledger: PgConnectOptions,
    maintenance: PgConnectOptions,
    superuser: Option<(String, String)>,
}

impl Database {
    /// Creates it.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn create(stack: &Stack) -> anyhow::Result<Self> {
        let name = unique("openpam-test").replace('-', "_");
        let options = |url: &str| PgConnectOptions::from_str(url).map(PgConnectOptions::disable_statement_logging);
        let maintenance = options(&stack.servers.postgres.owner_url)?.database("postgres");
        let mut connection =
            maintenance.connect().await.context("cannot reach the stack's PostgreSQL: does the stack run?")?;
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(Self {
            owner: options(&stack.servers.postgres.owner_url)?.database(&name),
            application: options(&stack.servers.postgres.app_url)?.database(&name),
            ledger: options(&stack.servers.postgres.ledger_url)?.database(&name),
            maintenance,
            superuser: stack.servers.postgres.superuser.as_ref().map(|it| (it.socket.clone(), it.user.clone())),
            name,
        })
    }

    /// A copy of it under another name. Nobody may be connected to this one.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn copy(&self, name: &str) -> anyhow::Result<Self> {
        let mut connection = self.maintenance.connect().await?;
        let create = format!("create database {name} template {}", self.name);
        // A connection that ended a moment ago may still be there.
        let mut tries = 0;
        while let Err(error) = sqlx::query(AssertSqlSafe(create.clone())).execute(&mut connection).await {
            ensure!(tries < 50, "copying {}: {error}", self.name);
            tries += 1;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        connection.close().await?;
        Ok(Self {
            name: name.to_owned(),
            owner: self.owner.clone().database(name),
            application: self.application.clone().database(name),
            ledger: self.ledger.clone().database(name),
            maintenance: self.maintenance.clone(),
            superuser: self.superuser.clone(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything in it, as the superuser of the stack's private cluster reads it: row-level security would hide rows
    /// from its owner.
    ///
    /// # Errors
    /// When the stack has no superuser or `pg_dump` fails.
    pub fn dump(&self) -> anyhow::Result<String> {
        let (socket, user) = self.superuser.as_ref().context("the stack names no superuser")?;
        let output = std::process::Command::new("pg_dump")
            .args(["--host", socket, "--port", &self.owner.get_port().to_string(), "--username", user, &self.name])
            .output()
            .context("pg_dump could not be run")?;
        ensure!(output.status.success(), "pg_dump failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A URL of this database for `role`, without a password.
    pub fn url(&self, role: &str) -> String {
        self.url_at(&self.address(), role)
    }

    /// The same where PostgreSQL is reached at another `host:port`.
    pub fn url_at(&self, address: &str, role: &str) -> String {
        format!("postgres://{role}@{address}/{}", self.name)
    }

    /// `host:port` of its PostgreSQL.
    pub fn address(&self) -> String {
        format!("{}:{}", self.owner.get_host(), self.owner.get_port())
    }

    /// Runs statements as a hand in psql does: as the superuser, with no tenant set. What was
    /// printed, without its trailing line end.
    ///
    /// # Errors
    /// With what psql said, when it fails.
    pub async fn by_hand(&self, statements: &str) -> anyhow::Result<String> {
        let (socket, user) = self.superuser.as_ref().context("the stack names no superuser")?;
        let output = tokio::process::Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", socket, "-U", user, "-d", &self.name])
            .args(["-p", &self.owner.get_port().to_string(), "-c", statements])
            .output()
            .await
            .context("psql could not be run")?;
        ensure!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// A connection of the owner: bound by row-level security too, but may change the schema.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn owner(&self) -> anyhow::Result<PgConnection> {
        Ok(self.owner.connect().await?)
    }

    /// A connection of the role the hub uses.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn application(&self) -> anyhow::Result<PgConnection> {
        Ok(self.application.connect().await?)
    }

    /// A connection of the application role with `tenant` set for all that follows.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn as_tenant(&self, tenant: uuid::Uuid) -> anyhow::Result<PgConnection> {
        let mut connection = self.application().await?;
        set_tenant(&mut connection, tenant).await?;
        Ok(connection)
    }

    /// A connection of the role that writes the ledger, with `tenant` set for all that follows.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn as_ledger(&self, tenant: uuid::Uuid) -> anyhow::Result<PgConnection> {
        let mut connection = self.ledger.connect().await?;
        set_tenant(&mut connection, tenant).await?;
        Ok(connection)
    }

    /// Id of the tenant called `slug`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn tenant_id(&self, slug: &str) -> anyhow::Result<uuid::Uuid> {
        let mut connection = self.application().await?;
        let row = sqlx::query("select openpam.tenant_by_slug($1) as id").bind(slug).fetch_one(&mut connection).await?;
        row.try_get::<Option<uuid::Uuid>, _>("id")?.with_context(|| format!("no tenant {slug}"))
    }
}

/// Sets the tenant of a connection until it is closed.
///
/// # Errors
/// When PostgreSQL refuses.
pub async fn set_tenant(connection: &mut PgConnection, tenant: uuid::Uuid) -> anyhow::Result<()> {
    sqlx::query("select set_config('openpam.tenant_id', $1, false)")
        .bind(tenant.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

impl Drop for Database {
    fn drop(&mut self) {
        // Drop cannot wait for the runtime it may run in: a thread with its own does the work.
        let (maintenance, name) = (self.maintenance.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || -> anyhow::Result<()> {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                let mut connection = maintenance.connect().await?;
                // The connections of a hub that was killed just now belong to a role that the owner may not
                // end: they end by themselves.
                let drop = format!("drop database if exists {name} with (force)");
                let mut tries = 0;
                loop {
                    match sqlx::query(AssertSqlSafe(drop.clone())).execute(&mut connection).await {
                        Ok(_) => return Ok(()),
                        Err(error) if tries >= 50 => return Err(error.into()),
                        Err(_) => tries += 1,
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            })
        })
        .join();
        match dropped {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("the database {} could not be dropped: {error:#}", self.name),
            Err(_) => eprintln!("dropping the database {} panicked", self.name),
        }
    }
}
