//! A tenant as most stories need it: an administrator, people of every role, a zone, both SSH
//! targets with trusted host keys, and their credentials in the vault.

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};

use crate::{
    Client, Database, Hub, HubOptions, Stack, Terminal, hub::Prepared, stack::read_trimmed, terminal::Connect, unique,
};

/// The tenant and its hub.
#[derive(Debug)]
pub struct World {
    /// The hub; first, so that it ends before its database is dropped.
    pub hub: Hub,
    /// Its database.
    pub database: Database,
    /// The stack.
    pub stack: Stack,
    /// What the hub was started with.
    pub options: HubOptions,
    /// Signed in as the first administrator.
    pub admin: Client,
    /// The administrator's password.
    pub admin_password: String,
}

/// A person of the tenant, signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// User id.
    pub id: String,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Signed in.
    pub client: Client,
}

/// A target with one credential, which members of a group may use.
#[derive(Debug, Clone)]
pub struct Reachable {
    /// Target id.
    pub target_id: String,
    /// Credential id.
    pub credential_id: String,
    /// The group with access.
    pub group_id: String,
}

impl World {
    /// Starts a hub with nothing but its first administrator.
    ///
    /// # Errors
    /// When any server refuses.
    pub async fn start(options: HubOptions) -> anyhow::Result<Self> {
        Self::start_with(Stack::load()?, options).await
    }

    /// On a stack one of whose servers was replaced.
    ///
    /// # Errors
    /// When any server refuses.
    pub async fn start_with(stack: Stack, options: HubOptions) -> anyhow::Result<Self> {
        let database = Database::create(&stack).await?;
        Self::start_on(stack, database, options).await
    }

    async fn start_on(stack: Stack, database: Database, options: HubOptions) -> anyhow::Result<Self> {
        let prepared = Prepared::new(&stack, &database, &options).await?;
        prepared.run(&["migrate"], None).await?;
        let admin_password = unique("admin-password");
        create_tenant(&prepared, &options.tenant, &admin_password).await?;
        let hub = prepared.start().await?;
        let admin = Client::new(hub.url())?;
        admin.sign_in(&options.tenant, "admin", &admin_password).await?;
        Ok(Self { hub, database, stack, options, admin, admin_password })
    }

    /// With default options.
    ///
    /// # Errors
    /// When any server refuses.
    pub async fn default() -> anyhow::Result<Self> {
        Self::start(HubOptions::default()).await
    }

    /// Another hub process on the same database, as after a crash or beside the first.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn another_hub(&self) -> anyhow::Result<Hub> {
        self.prepared().await?.start().await
    }

    /// The same, not started yet.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub async fn prepared(&self) -> anyhow::Result<Prepared> {
        Prepared::new(&self.stack, &self.database, &self.options).await
    }

    /// Creates a second tenant in the same hub; its administrator, signed in.
    ///
    /// # Errors
    /// When the binary or the hub refuses.
    pub async fn another_tenant(&self) -> anyhow::Result<(String, Client)> {
        let (slug, password) = (unique("other"), unique("other-password"));
        self.hub
            .command(
                &["admin", "create", "--tenant", &slug, "--username", "admin", "--password-file", "-"],
                Some(&password),
            )
            .await?;
        let client = self.admin.stranger();
        client.sign_in(&slug, "admin", &password).await?;
        Ok((slug, client))
    }

    /// Creates a person with these roles and groups, and signs in.
    ///
    /// # Errors
    /// When the hub refuses.
    pub async fn person(&self, roles: &[&str], group_ids: &[&str]) -> anyhow::Result<Person> {
        let (username, password) = (unique("person"), unique("person-password"));
        let body = json!({
            "username": username, "display_name": "A Person", "email": null,
            "password": password, "roles": roles, "group_ids": group_ids,
        });
        let created = self.admin.post("/admin/users", &body).await?;
        let client = self.admin.stranger();
        client.sign_in(&self.options.tenant, &username, &password).await?;
        Ok(Person { id: id(&created)?, username, password, client })
    }

    /// Creates a group; its id.
    ///
    /// # Errors
    /// When the hub refuses.
    pub async fn group(&self) -> anyhow::Result<String> {
        let body = json!({ "name": unique("group"), "description": "", "roles": [] });
        id(&self.admin.post("/admin/groups", &body).await?)
    }

    /// Creates a zone that the hub reaches directly; its id.
    ///
    /// # Errors
    /// When the hub refuses.
    pub async fn zone(&self) -> anyhow::Result<String> {
        let body = json!({ "name": unique("zone"), "description": "", "type": "hub" });
        id(&self.admin.post("/admin/zones", &body).await?)
    }

    /// Creates a credential whose secret goes through the hub; its id.
    ///
    /// # Errors
    /// When the hub refuses.
    pub async fn credential(&self, kind: &str, username: &str, secret: &Value) -> anyhow::Result<String> {
        let body = json!({ "name": unique("credential"), "kind": kind, "username": username, "secret": secret });
        id(&self.admin.post("/admin/credentials", &body).await?)
    }

    /// The stack's password of its first SSH target.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn ssh_password(&self) -> anyhow::Result<String> {
        let file = self.stack.password_target().password_file.as_ref().context("the first target takes no password")?;
        read_trimmed(file)
    }

    /// Creates a target at an address, with credentials, open to a group; its id.
    ///
    /// # Errors
    /// When the hub refuses.
    pub async fn target(&self, host: &str, port: u16, group: &str, credentials: &[&str]) -> anyhow::Result<String> {
        let body = json!({
            "name": unique("target"), "description": "", "protocol": "ssh", "host": host, "port": port,
            "zone_id": self.zone().await?, "enabled": true, "group_ids": [group], "credential_ids": credentials,
        });
        id(&self.admin.post("/admin/targets", &body).await?)
    }

    /// Scans the target and trusts every key, as an administrator does in the console.
    ///
    /// # Errors
    /// When the scan finds nothing or the hub refuses.
    pub async fn trust_host_keys(&self, target_id: &str) -> anyhow::Result<()> {
        let scan = self.admin.post(&format!("/admin/targets/{target_id}/scan"), &json!({})).await?;
        let keys = scan["keys"].as_array().filter(|keys| !keys.is_empty()).context("the scan found no key")?;
        for key in keys {
            let body = json!({ "public_key": key["public_key"], "kind": "host" });
            self.admin.post(&format!("/admin/targets/{target_id}/host-keys"), &body).await?;
        }
        Ok(())
    }

    /// The first SSH target with its password in the vault, its keys trusted, open to a new group.
    ///
    /// # Errors
    /// When any server refuses.
    pub async fn password_target(&self) -> anyhow::Result<Reachable> {
        let server = self.stack.password_target();
        let secret = json!({ "password": self.ssh_password()? });
        let credential_id = self.credential("password", &server.username, &secret).await?;
        self.reachable(&server.host, server.port, credential_id).await
    }

    /// The second SSH target with certificates of the vault's CA, open to a new group.
    ///
    /// # Errors
    /// When any server refuses.
    pub async fn certificate_target(&self) -> anyhow::Result<Reachable> {
        let server = self.stack.certificate_target();
        let body = json!({
            "name": unique("certificate"), "kind": "ssh_ca", "username": server.username,
            "ssh_role": self.stack.servers.openbao.ssh_role,
        });
        let credential_id = id(&self.admin.post("/admin/credentials", &body).await?)?;
        self.reachable(&server.host, server.port, credential_id).await
    }

    async fn reachable(&self, host: &str, port: u16, credential_id: String) -> anyhow::Result<Reachable> {
        let group_id = self.group().await?;
        let target_id = self.target(host, port, &group_id, &[&credential_id]).await?;
        self.trust_host_keys(&target_id).await?;
        Ok(Reachable { target_id, credential_id, group_id })
    }

    /// The session as an administrator sees it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn session(&self, session_id: &str) -> anyhow::Result<Value> {
        self.admin.get(&format!("/sessions/{session_id}")).await
    }

    /// Waits until at least so many segments of the session's recording are stored or wait in a spool.
    ///
    /// # Errors
    /// When there are fewer after `limit`.
    pub async fn has_segments(&self, session_id: &str, least: usize, limit: std::time::Duration) -> anyhow::Result<()> {
        let what = format!("the recording of {session_id} has {least} segments");
        crate::eventually(&what, limit, || async {
            let recording = self.admin.get(&format!("/sessions/{session_id}/recording")).await?;
            Ok((recording["segments"].as_array().map_or(0, Vec::len) >= least).then_some(()))
        })
        .await
    }

    /// Waits until the session has this status.
    ///
    /// # Errors
    /// When it has not within 10 s.
    pub async fn session_becomes(&self, session_id: &str, status: &str) -> anyhow::Result<Value> {
        let what = format!("session {session_id} is {status}");
        crate::eventually(&what, std::time::Duration::from_secs(10), || async {
            let session = self.session(session_id).await?;
            Ok((session["status"] == status).then_some(session))
        })
        .await
    }
}

impl Reachable {
    /// What a client connects with.
    pub fn connect(&self) -> Connect {
        Connect::new(&self.target_id, &self.credential_id)
    }

    /// Opens a terminal and waits for the shell.
    ///
    /// # Errors
    /// When the hub refuses.
    pub async fn open(&self, client: &Client) -> anyhow::Result<Terminal> {
        let mut terminal = Terminal::open(client, &self.connect()).await?;
        terminal.run("true").await?;
        Ok(terminal)
    }

    /// What the hub says before a connection.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn preflight(&self, client: &Client) -> anyhow::Result<crate::Answer> {
        let body = json!({ "credential_id": self.credential_id, "cols": 80, "rows": 24 });
        client.call(Method::POST, &format!("/targets/{}/preflight", self.target_id), Some(&body)).await
    }
}

async fn create_tenant(prepared: &Prepared, tenant: &str, password: &str) -> anyhow::Result<()> {
    let arguments =
        ["admin", "create", "--tenant", tenant, "--tenant-name", "Test", "--username", "admin", "--password-file", "-"];
    prepared.run(&arguments, Some(password)).await?;
    Ok(())
}

/// The `id` of an answer.
///
/// # Errors
/// When there is none.
pub fn id(value: &Value) -> anyhow::Result<String> {
    Ok(value["id"].as_str().with_context(|| format!("no id in {value}"))?.to_owned())
}
