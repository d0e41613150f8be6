//! The connection to the vault: login, renewal, retries, circuit breaker, health.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use openpam_secret::{ExposeSecret as _, SecretHash, SecretString};
use openpam_telemetry::names;
use vaultrs::{
    api::AuthInfo,
    client::{Client as _, VaultClient, VaultClientSettingsBuilder},
    error::ClientError,
};
use zeroize::Zeroize as _;

use super::{VaultHealth, breaker::Breaker, error::VaultError};
use crate::config;

/// Attempts of an idempotent request.
const ATTEMPTS: u32 = 3;
/// Longest first pause between attempts; doubles, and the real pause is a random part of it.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How long an answer about the vault's health is believed.
const HEALTH_LIFETIME: Duration = Duration::from_secs(1);
/// The operation that looks whether secrets can be read.
const PROBE: &str = "kv_probe";
/// Bytes that an answer about the vault's health may have.
const MAX_HEALTH: usize = 64 * 1024;
/// Pause after a refused login, so that the vault does not lock the hub out.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// The connection to HashiCorp Vault or OpenBao.
pub struct Vault {
    pub(super) config: config::Vault,
    pub(super) turns: super::manage::Turns,
    random: SystemRandom,
    /// For secrets, and for everything else: a vault that signs and does not read would never be seen to fail.
    breakers: [Mutex<Breaker>; 2],
    session: Mutex<Option<Arc<Session>>>,
    /// Held over the login on purpose: whoever comes meanwhile waits for that one login.
    login: tokio::sync::Mutex<LoginState>,
    health: tokio::sync::Mutex<Option<(Instant, VaultHealth)>>,
}

#[derive(Default)]
struct LoginState {
    secret_id: Option<SecretString>,
    unwrapped: Option<SecretHash>,
    refused: Option<(Instant, VaultError)>,
}

/// A login: a client with its token, and how long that lives.
pub(super) struct Session {
    pub(super) client: VaultClient,
    lifetime: Duration,
    lease: Mutex<Lease>,
}

#[derive(Clone, Copy)]
struct Lease {
    renew_at: Instant,
    expires_at: Instant,
}

impl Lease {
    fn new(now: Instant, lifetime: Duration) -> Self {
        Self { renew_at: now + lifetime * 2 / 3, expires_at: now + lifetime }
    }
}

impl Session {
    fn lease(&self) -> Lease {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.settings.token.zeroize();
        self.client.middle.token.zeroize();
    }
}

impl Vault {
    /// From the configuration; nothing is contacted yet.
    ///
    /// # Errors
    /// When the CA file cannot be read.
    pub fn new(config: &config::Config) -> Result<Self, anyhow::Error> {
        let vault = Self {
            config: config.vault.clone(),
            turns: super::manage::Turns::default(),
            random: SystemRandom::new(),
            breakers: Default::default(),
            session: Mutex::default(),
            login: tokio::sync::Mutex::default(),
            health: tokio::sync::Mutex::default(),
        };
        vault.client(String::new())?;
        metrics::gauge!(names::VAULT_AVAILABLE).set(1);
        Ok(vault)
    }

    fn client(&self, token: String) -> Result<VaultClient, anyhow::Error> {
        let mut settings = VaultClientSettingsBuilder::default();
        settings
            .address(&self.config.address)
            .ca_certs(self.config.ca_file.iter().cloned().collect::<Vec<_>>())
            .identity(None)
            .timeout(Some(Duration::from_secs(self.config.request_timeout_seconds)))
            .token(token)
            .verify(true)
            .namespace((!self.config.namespace.is_empty()).then(|| self.config.namespace.clone()));
        Ok(VaultClient::new(settings.build()?)?)
    }

    pub(super) fn anonymous(&self) -> Result<VaultClient, VaultError> {
        self.client(String::new()).map_err(|error| VaultError::Unavailable(error.to_string()))
    }

    /// Logs in before the hub serves. A vault that is down may come up later, a wrapping token that
    /// somebody else has used may not.
    ///
    /// # Errors
    /// [`VaultError::WrappingTokenUsed`] only.
    pub async fn start(&self) -> Result<(), VaultError> {
        match self.session().await {
            Ok(_) => tracing::info!(address = %self.config.address, "logged in to the vault"),
            Err(error @ VaultError::WrappingTokenUsed { .. }) => return Err(error),
            Err(error) => tracing::warn!(%error, code = error.code(), "not logged in to the vault yet"),
        }
        Ok(())
    }

    /// Runs `request` with a login: again after a fresh login when the token is no longer good, and,
    /// where `idempotent`, again after a pause when the vault does not answer.
    pub(super) async fn call<T, F: Future<Output = Result<T, VaultError>>>(
        &self,
        operation: &'static str,
        idempotent: bool,
        request: impl Fn(Arc<Session>) -> F,
    ) -> Result<T, VaultError> {
        let mut attempt = 0;
        let mut logged_in_again = false;
        let result = loop {
            if !self.breaker(operation).admits(Instant::now()) {
                break Err(VaultError::Unavailable("it failed repeatedly; the hub pauses before it asks again".into()));
            }
            let result = match self.session().await {
                Ok(session) => match request(session.clone()).await {
                    Err(VaultError::PermissionDenied { .. })
                        if !logged_in_again && !self.is_token_good(&session).await =>
                    {
                        logged_in_again = true;
                        self.forget(&session);
                        continue;
                    }
                    result => result,
                },
                Err(error) => Err(error),
            };
            self.note(operation, &result);
            attempt += 1;
            match result {
                Err(error) if error.is_transient() && idempotent && attempt < ATTEMPTS => {
                    tokio::time::sleep(self.part_of(BACK_OFF * 2_u32.pow(attempt))).await;
                }
                result => break result,
            }
        };
        let outcome = result.as_ref().map_or_else(VaultError::code, |_| "success");
        metrics::counter!(names::VAULT_REQUESTS, "operation" => operation, "outcome" => outcome).increment(1);
        if let Err(error) = &result {
            tracing::warn!(operation, code = error.code(), %error, "the vault did not do what was asked");
        }
        result
    }

    fn breaker(&self, operation: &str) -> std::sync::MutexGuard<'_, Breaker> {
        let is_of_secrets = operation.starts_with("kv_");
        self.breakers[usize::from(!is_of_secrets)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, operation: &str, result: &Result<T, VaultError>) {
        match result {
            Err(error) if error.is_transient() => self.breaker(operation).failed(Instant::now()),
            _ => self.breaker(operation).succeeded(),
        }
        let is_failing = self.breaker(PROBE).is_open();
        metrics::gauge!(names::VAULT_AVAILABLE).set(if is_failing { 0 } else { 1 });
    }

    /// A random part of `longest` (full jitter).
    fn part_of(&self, longest: Duration) -> Duration {
        let mut bytes = [0_u8; 4];
        match self.random.fill(&mut bytes) {
            Ok(()) => longest.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)),
            Err(_) => longest,
        }
    }

    fn current(&self) -> Option<Arc<Session>> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (Instant::now() < session.lease().expires_at).then_some(session)
    }

    fn forget(&self, session: &Arc<Session>) {
        let mut current = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            *current = None;
        }
    }

    /// The current login, or a new one. Many callers share one login.
    async fn session(&self) -> Result<Arc<Session>, VaultError> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let mut state = self.login.lock().await;
        if let Some(session) = self.current() {
            return Ok(session);
        }
        if let Some((at, error)) = &state.refused
            && at.elapsed() < REFUSED_PAUSE
        {
            return Err(error.clone());
        }
        let result = self.log_in(&mut state).await;
        let outcome = result.as_ref().map_or_else(VaultError::code, |_| "success");
        metrics::counter!(names::VAULT_REQUESTS, "operation" => "login", "outcome" => outcome).increment(1);
        state.refused = match &result {
            Err(error) if !error.is_transient() => Some((Instant::now(), error.clone())),
            _ => None,
        };
        let session = Arc::new(result?);
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        Ok(session)
    }

    async fn log_in(&self, state: &mut LoginState) -> Result<Session, VaultError> {
        let client = self.anonymous()?;
        if state.secret_id.is_none() {
            self.obtain_secret_id(state).await?;
        }
        let mut result = self.app_role_login(&client, state).await;
        // A secret id that is no longer good may have been replaced by a newly wrapped one.
        if matches!(result, Err(VaultError::LoginRefused(_))) && self.obtain_secret_id(state).await.is_ok() {
            result = self.app_role_login(&client, state).await;
        }
        let mut login = result?;
        let lifetime = Duration::from_secs(login.lease_duration.max(1));
        let token = std::mem::take(&mut login.client_token);
        let client = self.client(token).map_err(|error| VaultError::Unavailable(error.to_string()))?;
        tracing::info!(lifetime_seconds = lifetime.as_secs(), renewable = login.renewable, "logged in to the vault");
        Ok(Session { client, lifetime, lease: Mutex::new(Lease::new(Instant::now(), lifetime)) })
    }

    async fn app_role_login(&self, client: &VaultClient, state: &LoginState) -> Result<AuthInfo, VaultError> {
        let Some(secret_id) = &state.secret_id else {
            return Err(VaultError::LoginRefused("there is no secret id".to_owned()));
        };
        let mount = &self.config.approle_mount;
        vaultrs::auth::approle::login(client, mount, &self.config.role_id, secret_id.expose_secret()).await.map_err(
            |error| match status(&error) {
                Some(400 | 403 | 404) => VaultError::LoginRefused(reason(&error)),
                _ => translate(&error, &format!("auth/{mount}/login")),
            },
        )
    }

    /// From the configuration, or by unwrapping a token that was not unwrapped here before.
    async fn obtain_secret_id(&self, state: &mut LoginState) -> Result<(), VaultError> {
        if let (Some(secret_id), None) = (&self.config.secret_id, &state.secret_id) {
            state.secret_id = Some(secret_id.clone());
            return Ok(());
        }
        let refused = |message: String| VaultError::LoginRefused(message);
        let Some(file) = &self.config.wrapped_secret_id_file else {
            return Err(refused("the configured secret id is no longer good".to_owned()));
        };
        let token = config::read_secret_file(file).map_err(refused)?;
        let hash = SecretHash::of(token.expose_secret().as_bytes());
        if state.unwrapped == Some(hash) {
            return Err(refused(format!("the secret id is no longer good and {file} has no new wrapping token")));
        }
        #[derive(serde::Deserialize)]
        struct Unwrapped {
            secret_id: SecretString,
        }
        // The wrapping token authenticates its own unwrapping; it is good for nothing else.
        let mut client = self
            .client(token.expose_secret().to_owned())
            .map_err(|error| VaultError::Unavailable(error.to_string()))?;
        let unwrapped = vaultrs::sys::wrapping::unwrap::<Unwrapped>(&client, None).await;
        client.settings.token.zeroize();
        client.middle.token.zeroize();
        let unwrapped = unwrapped.map_err(|error| match status(&error) {
            Some(400 | 403 | 404) => VaultError::WrappingTokenUsed { file: file.clone() },
            _ => translate(&error, "sys/wrapping/unwrap"),
        })?;
        state.unwrapped = Some(hash);
        state.secret_id = Some(unwrapped.secret_id);
        Ok(())
    }

    /// Whether the vault still knows the token, so that a refusal was about the path.
    async fn is_token_good(&self, session: &Session) -> bool {
        let answer = self.request(session, http::Method::GET, "auth/token/lookup-self").send().await;
        !matches!(answer, Ok(answer) if answer.status() == http::StatusCode::FORBIDDEN)
    }

    /// A request of our own over the client's connections, for what must be zeroized.
    pub(super) fn request(&self, session: &Session, method: http::Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/v1/{path}", self.config.address.trim_end_matches('/'));
        let mut token = http::HeaderValue::from_str(&session.client.middle.token)
            .unwrap_or_else(|_| http::HeaderValue::from_static(""));
        token.set_sensitive(true);
        let mut request = session.client.http().http.request(method, url).header("X-Vault-Token", token);
        if !self.config.namespace.is_empty() {
            request = request.header("X-Vault-Namespace", &self.config.namespace);
        }
        request.header("X-Vault-Request", "true")
    }

    /// Keeps the login alive until the hub ends: renews after two thirds of its life, logs in again
    /// when it cannot be renewed.
    pub(super) async fn keep_logged_in(&self, soft: &tokio_util::sync::CancellationToken) {
        loop {
            let pause = match self.current() {
                Some(session) => session.lease().renew_at.saturating_duration_since(Instant::now()),
                None => REFUSED_PAUSE + self.part_of(REFUSED_PAUSE),
            };
            let wake = pause.max(Duration::from_millis(200));
            if tokio::time::timeout(wake, soft.cancelled()).await.is_ok() {
                break;
            }
            match self.current() {
                Some(session) if session.lease().renew_at <= Instant::now() => self.renew(&session).await,
                Some(_) => {}
                None => {
                    if let Err(error) = self.session().await {
                        tracing::warn!(%error, code = error.code(), "cannot log in to the vault");
                    }
                }
            }
        }
        // A login that nobody needs any more should not live on.
        if let Some(session) = self.current() {
            let revoked = tokio::time::timeout(Duration::from_secs(2), session.client.revoke()).await;
            tracing::debug!(revoked = matches!(revoked, Ok(Ok(()))), "left the vault");
            self.forget(&session);
        }
    }

    async fn renew(&self, session: &Arc<Session>) {
        let now = Instant::now();
        match session.client.renew(None).await {
            Ok(mut login) => {
                login.client_token.zeroize();
                let lifetime = Duration::from_secs(login.lease_duration);
                tracing::debug!(lifetime_seconds = lifetime.as_secs(), "renewed the vault login");
                if lifetime < session.lifetime / 2 {
                    // Near its maximum life: a new login lives longer.
                    self.forget(session);
                } else {
                    *session.lease.lock().unwrap_or_else(PoisonError::into_inner) = Lease::new(now, lifetime);
                }
            }
            Err(error) => {
                let error = translate(&error, "auth/token/renew-self");
                tracing::warn!(%error, code = error.code(), "cannot renew the vault login");
                if error.is_transient() {
                    let mut lease = session.lease.lock().unwrap_or_else(PoisonError::into_inner);
                    lease.renew_at = now + Duration::from_secs(2);
                } else {
                    self.forget(session);
                }
            }
        }
    }

    /// What is known of the vault right now; asks it when the last answer is old.
    pub async fn health(&self) -> VaultHealth {
        // Held while asking: many callers share one answer.
        let mut known = self.health.lock().await;
        if let Some((at, health)) = *known
            && at.elapsed() < HEALTH_LIFETIME
        {
            return health;
        }
        let health =
            tokio::time::timeout(Duration::from_secs(2), self.ask_health()).await.unwrap_or(VaultHealth::Unavailable);
        *known = Some((Instant::now(), health));
        health
    }

    async fn ask_health(&self) -> VaultHealth {
        // Of secrets: a mount that signs certificates and fails takes nothing from who logs in with a password.
        if self.breaker(PROBE).refuses(Instant::now()) {
            return VaultHealth::Unavailable;
        }
        let session = self.current();
        let client = match &session {
            Some(session) => session.client.http().http.clone(),
            None => match self.anonymous() {
                Ok(client) => client.http.http.clone(),
                Err(_) => return VaultHealth::Unavailable,
            },
        };
        let url = format!("{}/v1/sys/health", self.config.address.trim_end_matches('/'));
        let Ok(mut answer) = client.get(url).send().await else { return VaultHealth::Unavailable };
        let (status, mut body) = (answer.status().as_u16(), Vec::new());
        while let Ok(Some(chunk)) = answer.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_HEALTH {
                return VaultHealth::Unavailable;
            }
        }
        if let Some(health) = refusal_of_health(status, &body) {
            return health;
        }
        let login = self.session().await.map(drop);
        let is_failing = self.breaker(PROBE).is_open();
        let result = match login {
            // It says that it is well, and failed again and again: only what it failed at tells.
            Ok(()) if is_failing => self.probe().await,
            login => login,
        };
        match result {
            Ok(()) => VaultHealth::Available,
            Err(VaultError::Sealed) => VaultHealth::Sealed,
            Err(error) if error.is_transient() => VaultHealth::Unavailable,
            Err(_) => VaultHealth::LoginRefused,
        }
    }

    /// Looks where secrets are, for none: the breaker closes when the vault answers.
    async fn probe(&self) -> Result<(), VaultError> {
        let path = &format!("{}/data/{}/health/probe", self.config.kv_mount, self.config.kv_prefix);
        self.call(PROBE, false, |session| async move {
            let answer = self.request(&session, http::Method::GET, path).send().await;
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(status @ 500..) => Err(from_status(status, path, String::new())),
                Ok(_) => Ok(()),
                Err(error) => Err(VaultError::Unavailable(openpam_telemetry::with_causes(&error.without_url()))),
            }
        })
        .await
    }
}

/// What `sys/health` says, where that is not that the vault serves. Whatever stands in front of a vault answers 503,
/// too: only the vault's own words tell that it is sealed.
fn refusal_of_health(status: u16, body: &[u8]) -> Option<VaultHealth> {
    #[derive(serde::Deserialize)]
    struct Health {
        #[serde(default)]
        sealed: bool,
        #[serde(default = "yes")]
        initialized: bool,
    }
    const fn yes() -> bool {
        true
    }
    let is_sealed = || serde_json::from_slice::<Health>(body).is_ok_and(|health| health.sealed || !health.initialized);
    match status {
        // 429, 472, 473: standby and replication nodes, which serve or forward.
        200 | 429 | 472 | 473 => None,
        501 | 503 if is_sealed() => Some(VaultHealth::Sealed),
        _ => Some(VaultHealth::Unavailable),
    }
}

/// The HTTP status of an answer in the vault's own error format.
fn status(error: &ClientError) -> Option<u16> {
    match error {
        ClientError::APIError { code, .. } => Some(*code),
        _ => None,
    }
}

/// The vault's own words, which never repeat a secret.
fn reason(error: &ClientError) -> String {
    match error {
        ClientError::APIError { errors, .. } => errors.join("; ").chars().take(300).collect(),
        other => other.to_string(),
    }
}

/// An error of the client library at `path`, as ours.
pub(super) fn translate(error: &ClientError, path: &str) -> VaultError {
    match status(error) {
        Some(code) => from_status(code, path, reason(error)),
        None => match error {
            ClientError::JsonParseError { .. }
            | ClientError::ResponseDataEmptyError
            | ClientError::ResponseEmptyError => VaultError::Malformed { path: path.to_owned() },
            other => VaultError::Unavailable(other.to_string()),
        },
    }
}

/// An HTTP status that is not a success, as ours.
pub(super) fn from_status(code: u16, path: &str, reason: String) -> VaultError {
    let path = path.to_owned();
    match code {
        503 if reason.to_lowercase().contains("sealed") => VaultError::Sealed,
        403 => VaultError::PermissionDenied { path },
        404 => VaultError::PathMissing { path },
        429 => VaultError::Unavailable(format!("status {code}: {reason}")),
        500.. => VaultError::Unanswered(format!("status {code}: {reason}")),
        _ => VaultError::Refused { path, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_vault_has_its_own_code() {
        let code = |status, reason: &str| from_status(status, "kv/data/a", reason.to_owned()).code();
        assert_eq!(code(503, "Vault is sealed"), "vault_sealed");
        assert_eq!(code(503, "no leader"), "vault_unavailable");
        assert_eq!(code(500, ""), "vault_unavailable");
        assert_eq!(code(429, "rate limit"), "vault_unavailable");
        assert_eq!(code(403, "permission denied"), "vault_permission_denied");
        assert_eq!(code(404, ""), "vault_path_missing");
        assert_eq!(code(400, "check-and-set parameter did not match"), "vault_refused");
    }

    #[test]
    fn only_the_vault_itself_says_that_it_is_sealed() {
        let sealed: &[u8] = br#"{"initialized":true,"sealed":true,"standby":true}"#;
        let fresh: &[u8] = br#"{"initialized":false,"sealed":true,"standby":true}"#;
        for (status, body, expected) in [
            (200, b"{}".as_slice(), None),
            (429, b"", None),
            (503, sealed, Some(VaultHealth::Sealed)),
            (501, fresh, Some(VaultHealth::Sealed)),
            (503, b"<html>503 Service Unavailable</html>", Some(VaultHealth::Unavailable)),
            (503, br#"{"message":"no healthy upstream"}"#, Some(VaultHealth::Unavailable)),
            (503, b"", Some(VaultHealth::Unavailable)),
            (500, sealed, Some(VaultHealth::Unavailable)),
        ] {
            assert_eq!(refusal_of_health(status, body), expected, "{status} {}", body.escape_ascii());
        }
    }

    #[test]
    fn a_login_is_renewed_after_two_thirds_of_its_life() {
        let now = Instant::now();
        let lease = Lease::new(now, Duration::from_secs(90));
        assert_eq!(lease.renew_at - now, Duration::from_secs(60));
        assert_eq!(lease.expires_at - now, Duration::from_secs(90));
    }
}
