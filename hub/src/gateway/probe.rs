//! An admin's look at a target: which host keys it shows, and whether a credential works on it.

use std::time::{Duration, Instant};

use axum::extract::State;
use openpam_ids::{CredentialId, TargetId};
use russh::keys::HashAlg;
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use utoipa_axum::routes;

use super::{
    ssh::{self, Shell, SshError, Trust},
    terminal::{OPENING, denied, target_not_found},
};
use crate::{
    context::Context,
    db::{self, DbError},
    dial::{self, DialError},
    domains::{
        access::{self, Authorization},
        audit::{self, Event},
        targets::{self, Target},
        vault::{self, Holder},
    },
    http::{Access, Json, OptionalJson, Path, Problem, ProblemBody, Routes},
    permissions::Permission,
    state::Hub,
};

/// How long one step may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest identification line of a server (RFC 4253 §4.2).
const MAX_IDENTIFICATION: u64 = 255;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(Access::Permission(Permission::TargetManage), routes!(scan))
        .add(Access::Permission(Permission::TargetManage), routes!(test_target))
        .add(Access::Permission(Permission::TargetManage), routes!(test_credential))
}

/// What a target shows before anybody logs in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Scan {
    keys: Vec<ScannedKey>,
    /// What the server calls itself.
    server_version: Option<String>,
    elapsed_ms: u64,
}

/// One host key of the target. Nothing is trusted by a scan.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ScannedKey {
    algorithm: String,
    /// `SHA256:…`, to compare with what the machine itself says.
    fingerprint: String,
    /// OpenSSH public key line; send it back to trust it.
    public_key: String,
    /// Whether it is trusted already.
    trusted: bool,
}

/// With which credential to test.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
struct TargetTest {
    /// Left out: up to the host key only.
    credential_id: Option<CredentialId>,
}

/// On which target to test.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct CredentialTest {
    target_id: TargetId,
}

/// How far a connection came.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct TestResult {
    ok: bool,
    stages: Vec<Stage>,
}

/// One step of a connection.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Stage {
    /// `decide`, `connect`, `host_key`, `vault`, `authenticate` or `shell`.
    stage: &'static str,
    ok: bool,
    /// Stable code of the failure; `target_disabled` also where the test may go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    message: String,
    elapsed_ms: u64,
}

/// Collects the target's host keys, one handshake an algorithm, without logging in.
#[utoipa::path(post, path = "/api/v1/admin/targets/{id}/scan", tag = "targets", params(("id" = TargetId, Path)),
    responses((status = 200, body = Scan), (status = 404, body = ProblemBody), (status = 502, body = ProblemBody)))]
async fn scan(State(hub): State<Hub>, context: Context, Path(id): Path<TargetId>) -> Result<Json<Scan>, Problem> {
    let begun = Instant::now();
    let (target, authorization) = allow(&hub, &context, id, "target.scan").await?;
    let server_version =
        identification(&hub, &authorization).await.map_err(|error| Problem::from(&SshError::Dial(error)))?;
    let looks = ssh::scanned_algorithms().iter().map(|algorithm| {
        let (hub, authorization) = (&hub, &authorization);
        async move {
            let stream = connect(hub, authorization).await?;
            ssh::scan(stream, algorithm.clone(), TIMEOUT).await
        }
    });
    let mut keys = Vec::new();
    let mut failure = None;
    for seen in futures::future::join_all(looks).await {
        match seen {
            Ok(seen) => keys.push(seen.key),
            Err(error) => failure = Some(error),
        }
    }
    // A server without a key of some algorithm is normal; one without any is not an SSH server.
    if let (true, Some(error)) = (keys.is_empty(), &failure) {
        return Err(error.into());
    }
    let keys = keys
        .into_iter()
        .map(|key| {
            let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
            Ok(ScannedKey {
                algorithm: key.algorithm().to_string(),
                trusted: target.host_keys.iter().any(|known| known.fingerprint == fingerprint),
                public_key: key.to_openssh().map_err(|error| Problem::internal(&error))?,
                fingerprint,
            })
        })
        .collect::<Result<Vec<_>, Problem>>()?;
    Ok(Json(Scan { keys, server_version, elapsed_ms: milliseconds(begun) }))
}

/// Connects to the target as far as the credential allows, and says where it stopped.
#[utoipa::path(post, path = "/api/v1/admin/targets/{id}/test", tag = "targets", params(("id" = TargetId, Path)),
    request_body = Option<TargetTest>,
    responses((status = 200, body = TestResult), (status = 404, body = ProblemBody)))]
async fn test_target(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<TargetId>,
    OptionalJson(test): OptionalJson<TargetTest>,
) -> Result<Json<TestResult>, Problem> {
    Ok(Json(run_test(&hub, &context, id, test.credential_id).await?))
}

/// Tests the credential on one of its targets.
#[utoipa::path(post, path = "/api/v1/admin/credentials/{id}/test", tag = "credentials",
    params(("id" = CredentialId, Path)), request_body = CredentialTest,
    responses((status = 200, body = TestResult), (status = 404, body = ProblemBody)))]
async fn test_credential(
    State(hub): State<Hub>,
    context: Context,
    Path(id): Path<CredentialId>,
    Json(test): Json<CredentialTest>,
) -> Result<Json<TestResult>, Problem> {
    Ok(Json(run_test(&hub, &context, test.target_id, Some(id)).await?))
}

async fn allow(
    hub: &Hub,
    context: &Context,
    id: TargetId,
    action: &'static str,
) -> Result<(Target, Authorization), Problem> {
    let mut tx = hub.db().begin(context).await?;
    let target = targets::find(&mut tx, id).await?.ok_or_else(target_not_found)?;
    let decided = access::authorize_probe(&mut tx, context, &target, action).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok((target, decided.map_err(denied)?))
}

async fn connect(hub: &Hub, authorization: &Authorization) -> Result<TcpStream, DialError> {
    dial::connect(authorization, &hub.config().targets.address_exceptions, TIMEOUT).await
}

/// The server's identification line; `None` when it says nothing in time.
async fn identification(hub: &Hub, authorization: &Authorization) -> Result<Option<String>, DialError> {
    let stream = connect(hub, authorization).await?;
    let mut line = Vec::new();
    let mut limited = stream.take(MAX_IDENTIFICATION);
    let reading = async {
        while !line.ends_with(b"\n") {
            match limited.read_buf(&mut line).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    };
    let _ = tokio::time::timeout(TIMEOUT, reading).await;
    let text = String::from_utf8_lossy(&line);
    let first = text.lines().next().unwrap_or_default().trim();
    Ok((!first.is_empty()).then(|| first.chars().filter(|letter| !letter.is_control()).collect()))
}

async fn run_test(
    hub: &Hub,
    context: &Context,
    target_id: TargetId,
    credential_id: Option<CredentialId>,
) -> Result<TestResult, Problem> {
    let (target, authorization) = allow(hub, context, target_id, "target.test").await?;
    let result = test(hub, context, &target, &authorization, credential_id).await?;
    let event = match result.stages.iter().find(|stage| !stage.ok) {
        None => Event::success("target.test.result"),
        Some(failed) => Event::failure("target.test.result").with("stage", failed.stage).with("code", failed.code),
    };
    let event =
        event.on("target", target.id, &target.name).with("credential_id", credential_id.map(|id| id.to_string()));
    let mut tx = hub.db().begin(context).await?;
    audit::record(&mut tx, context, event).await.map_err(DbError::from)?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(result)
}

async fn test(
    hub: &Hub,
    context: &Context,
    target: &Target,
    authorization: &Authorization,
    credential_id: Option<CredentialId>,
) -> Result<TestResult, Problem> {
    let deadline = tokio::time::Instant::now() + OPENING;
    let mut stages = Stages::default();
    let mut tx = hub.db().begin(context).await?;
    let credential = match credential_id {
        None => None,
        Some(id) => Some(vault::find(&mut tx, id).await?.ok_or_else(|| Problem::not_found("credential"))?),
    };
    let allowed = vault::credentials_of(&mut tx, target.id).await?;
    let tenant_slug = db::tenant_slug(&mut tx).await?;
    tx.commit().await.map_err(DbError::from)?;
    if credential.as_ref().is_some_and(|credential| !allowed.contains(&credential.id)) {
        let denial = access::Denial::CredentialNotAllowed;
        stages.failed("decide", denial.code(), denial.message().to_owned());
        return Ok(stages.finish());
    }
    if target.enabled {
        stages.passed("decide", "Allowed.");
    } else {
        let code = access::Denial::TargetDisabled.code();
        stages.add(
            "decide",
            true,
            Some(code),
            "Allowed to test. Nobody can connect: the target is switched off.".to_owned(),
        );
    }
    let stream = match connect(hub, authorization).await {
        Ok(stream) => stream,
        Err(error) => {
            let error = SshError::Dial(error);
            stages.failed("connect", error.code(), error.message());
            return Ok(stages.finish());
        }
    };
    stages.passed("connect", "The target accepts connections.");
    let now = u64::try_from(hub.clock().now().timestamp()).unwrap_or_default();
    let handshake = ssh::handshake(stream, Trust::of(target, now), target.legacy_algorithms, TIMEOUT).await;
    let mut connection = match handshake {
        Ok(connection) => connection,
        Err(error) => {
            stages.failed("host_key", error.code(), error.message());
            return Ok(stages.finish());
        }
    };
    stages.passed("host_key", "The host key is the trusted one.");
    let Some(credential) = credential else { return Ok(stages.finish()) };
    let Some(user_id) = context.principal.user_id() else { return Err(denied(access::Denial::NotAPerson)) };
    let holder = Holder { tenant_slug, user_id, user_name: context.principal.name.clone(), session_id: None };
    let asked = tokio::time::timeout_at(deadline, vault::login_secret(hub, authorization, &credential, &holder)).await;
    let secret = match asked.unwrap_or_else(|_| Err(vault::VaultError::silent())) {
        Ok(secret) => secret,
        Err(error) => {
            stages.failed("vault", error.code(), error.admin_message());
            return Ok(stages.finish());
        }
    };
    stages.passed("vault", "The vault gave the secret.");
    if let Err(error) =
        ssh::login(&mut connection, &credential.username, secret, target.legacy_algorithms, deadline).await
    {
        stages.failed("authenticate", error.code(), error.message());
        return Ok(stages.finish());
    }
    stages.passed("authenticate", "The target accepted the credential.");
    match Shell::open(connection, 80, 24, deadline).await {
        Ok(shell) => {
            shell.close().await;
            stages.passed("shell", "A terminal opened.");
        }
        Err(error) => stages.failed("shell", error.code(), error.message()),
    }
    Ok(stages.finish())
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The steps so far, each with its own time.
struct Stages {
    done: Vec<Stage>,
    since: Instant,
}

impl Default for Stages {
    fn default() -> Self {
        Self { done: Vec::new(), since: Instant::now() }
    }
}

impl Stages {
    fn passed(&mut self, stage: &'static str, message: &str) {
        self.add(stage, true, None, message.to_owned());
    }

    fn failed(&mut self, stage: &'static str, code: &'static str, message: String) {
        self.add(stage, false, Some(code), message);
    }

    fn add(&mut self, stage: &'static str, ok: bool, code: Option<&'static str>, message: String) {
        self.done.push(Stage { stage, ok, code, message, elapsed_ms: milliseconds(self.since) });
        self.since = Instant::now();
    }

    fn finish(self) -> TestResult {
        TestResult { ok: self.done.iter().all(|stage| stage.ok), stages: self.done }
    }
}
