//! Reading, layering and validating.

use std::{collections::HashMap, path::Path};

use config::{Environment, File, FileFormat};
use serde_json::Value;
use url::Url;

use super::{
    Config, ConfigError, Mistake, ObjectLock, Recording, RecordingStore, buckets, buses, ledger, read_secret_file, tls,
};
use crate::addresses;

/// Keys that hold a secret: allowed in the environment, refused in the file.
const SECRET_KEYS: [&str; 9] = [
    "database.password",
    "database.owner_password",
    "database.ledger_password",
    "vault.secret_id",
    "oidc.client_secret",
    "recording.s3_secret_access_key",
    "ledger.anchor_s3_secret_access_key",
    "nats.password",
    "aws.secret_access_key",
];
/// Lists, so that the environment can give them as comma-separated text.
const LIST_KEYS: [&str; 6] = [
    "server.trusted_proxies",
    "oidc.allowed_tids",
    "oidc.scopes",
    "targets.address_exceptions",
    "ledger.former_names",
    "ledger.witnesses",
];
const ROLES: [&str; 3] = ["admin", "operator", "auditor"];

/// Who asks for the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A small command, which may run where the hub's certificates are out of reach.
    Command,
    /// The hub, or a check of what it would say.
    Hub,
}

/// Loads from `path` with `environment` on top.
pub(super) fn load(path: &Path, environment: HashMap<String, String>, purpose: Purpose) -> Result<Config, ConfigError> {
    let mut mistakes = Mistakes::default();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Err(ConfigError(vec![mistake(&path.display().to_string(), error.to_string())])),
    };
    let in_file: Value = match layered(&text, HashMap::new()) {
        Ok(value) => value,
        Err(error) => return Err(ConfigError(vec![mistake(&path.display().to_string(), error)])),
    };
    for key in SECRET_KEYS {
        if in_file.pointer(&pointer(key)).is_some_and(|value| !value.is_null()) {
            mistakes.add(key, "a secret does not belong in the file: use the environment or the matching …_file key");
        }
    }
    // Other OPENPAM_ variables (OPENPAM_DEV_DIR, …) are not configuration: keys have a section.
    let environment: HashMap<String, String> =
        environment.into_iter().filter(|(name, _)| name.starts_with("OPENPAM_") && name.contains("__")).collect();
    let texts = Texts::of(&environment);
    let mut merged = match layered(&text, environment) {
        Ok(value) => value,
        Err(error) => return Err(ConfigError(vec![mistake("environment", error)])),
    };
    texts.restore(&mut merged);
    let mut config = parse(merged, &texts, &mut mistakes);
    resolve_secrets(&mut config, &mut mistakes);
    validate(&config, &mut mistakes);
    if purpose == Purpose::Hub {
        validate_for_hub(&config, &mut mistakes);
    }
    if mistakes.0.is_empty() { Ok(config) } else { Err(ConfigError(mistakes.0)) }
}

fn layered(text: &str, environment: HashMap<String, String>) -> Result<Value, String> {
    let mut source = Environment::with_prefix("OPENPAM")
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true)
        .list_separator(",")
        .source(Some(environment));
    for key in LIST_KEYS {
        source = source.with_list_parse_key(key);
    }
    config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(source)
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| error.to_string())
}

/// What the environment says as it is written there, by key: the layers take what looks like a number or a truth value
/// for one, and `0815` may be a client's id.
struct Texts(HashMap<String, String>);

impl Texts {
    fn of(environment: &HashMap<String, String>) -> Self {
        let key = |name: &str| Some(name.strip_prefix("OPENPAM_")?.to_lowercase().replace("__", "."));
        Self(environment.iter().filter_map(|(name, text)| Some((key(name)?, text.clone()))).collect())
    }

    /// Gives secrets, and what became nothing at all (`nan`), their text back.
    fn restore(&self, value: &mut Value) {
        for (key, text) in &self.0 {
            if let Some(value) = value.pointer_mut(&pointer(key))
                && (value.is_null() || SECRET_KEYS.contains(&key.as_str()))
            {
                *value = Value::String(text.clone());
            }
        }
    }

    /// Gives a key its text back that did not fit as what it was taken for; `false` when it was text already.
    fn retry(&self, key: &str, value: &mut Value) -> bool {
        match (self.0.get(key), value.pointer_mut(&pointer(key))) {
            (Some(text), Some(value)) if value.is_number() || value.is_boolean() => {
                *value = Value::String(text.clone());
                true
            }
            _ => false,
        }
    }
}

/// Deserializes; a value of the wrong type is noted, dropped, and the rest goes on, so that one
/// run reports every mistake.
fn parse(mut value: Value, texts: &Texts, mistakes: &mut Mistakes) -> Config {
    loop {
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let deserializer = serde_path_to_error::Deserializer::new(value.clone(), &mut track);
        let parsed: Result<Config, _> = serde_ignored::deserialize(deserializer, |path| unknown.push(path.to_string()));
        match parsed {
            Ok(config) => {
                for key in unknown {
                    mistakes.add(key.trim_start_matches("?."), "there is no such key");
                }
                return config;
            }
            Err(error) => {
                let path = track.path().to_string();
                let taken_for = value.clone();
                if texts.retry(&path, &mut value) {
                    // As text it may be as wrong: then the first mistake is the one to tell.
                    if !fails_at(&value, &path) {
                        continue;
                    }
                    value = taken_for;
                }
                mistakes.add(&path, error.to_string());
                if !remove(&mut value, &path) {
                    return Config::default();
                }
            }
        }
    }
}

/// Whether the value at this path is what does not fit.
fn fails_at(value: &Value, path: &str) -> bool {
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(value.clone(), &mut track);
    let parsed: Result<Config, _> = serde::Deserialize::deserialize(deserializer);
    parsed.is_err() && track.path().to_string() == path
}

fn remove(value: &mut Value, path: &str) -> bool {
    let Some((section, key)) = path.split_once('.') else {
        return value.as_object_mut().is_some_and(|object| object.remove(path).is_some());
    };
    let key = key.split(['.', '[']).next().unwrap_or(key);
    value.get_mut(section).and_then(Value::as_object_mut).is_some_and(|object| object.remove(key).is_some())
}

fn resolve_secrets(config: &mut Config, mistakes: &mut Mistakes) {
    let mut read = |key: &str, file: Option<&String>| match file.map(|path| read_secret_file(path)) {
        Some(Ok(secret)) => Some(secret),
        Some(Err(message)) => {
            mistakes.add(key, message);
            None
        }
        None => None,
    };
    let database = &mut config.database;
    if database.password.is_none() {
        database.password = read("database.password_file", database.password_file.as_ref());
    }
    if database.owner_password.is_none() && database.owner_url.is_some() {
        database.owner_password = read("database.owner_password_file", database.owner_password_file.as_ref());
    }
    if database.ledger_password.is_none() && database.ledger_url.is_some() {
        database.ledger_password = read("database.ledger_password_file", database.ledger_password_file.as_ref());
    }
    if config.vault.secret_id.is_none() {
        config.vault.secret_id = read("vault.secret_id_file", config.vault.secret_id_file.as_ref());
    }
    if let Some(oidc) = &mut config.oidc
        && oidc.client_secret.is_none()
    {
        oidc.client_secret = read("oidc.client_secret_file", oidc.client_secret_file.as_ref());
    }
    if let Some(nats) = &mut config.nats
        && nats.password.is_none()
    {
        nats.password = read("nats.password_file", nats.password_file.as_ref());
    }
    if let Some(aws) = &mut config.aws
        && aws.secret_access_key.is_none()
    {
        aws.secret_access_key = read("aws.secret_access_key_file", aws.secret_access_key_file.as_ref());
    }
    let recording = &mut config.recording;
    if recording.s3_secret_access_key.is_none() {
        recording.s3_secret_access_key =
            read("recording.s3_secret_access_key_file", recording.s3_secret_access_key_file.as_ref());
    }
    let ledger = &mut config.ledger;
    if ledger.anchor_s3_secret_access_key.is_none() {
        ledger.anchor_s3_secret_access_key =
            read("ledger.anchor_s3_secret_access_key_file", ledger.anchor_s3_secret_access_key_file.as_ref());
    }
}

fn validate(config: &Config, mistakes: &mut Mistakes) {
    let server = &config.server;
    match Url::parse(&server.public_url) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            mistakes.add("server.public_url", "must begin with http:// or https://")
        }
        Ok(url)
            if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() =>
        {
            mistakes.add("server.public_url", "must be scheme, host and port only");
        }
        Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
            mistakes.add("server.public_url", "plain http is only for loopback: use https");
        }
        Ok(_) => {}
        Err(error) => mistakes.add("server.public_url", error.to_string()),
    }
    if server.tls_cert_file.is_some() != server.tls_key_file.is_some() {
        mistakes.add("server.tls_cert_file", "certificate and key must both be set or both be absent");
    }
    if let Some(peer_url) = &server.peer_url {
        mistakes.private_url("server.peer_url", peer_url);
        if Url::parse(peer_url).is_ok_and(|url| url.path() != "/" || url.query().is_some()) {
            mistakes.add("server.peer_url", "must be scheme, host and port only");
        }
    }
    mistakes.url("database.url", &config.database.url, &["postgres", "postgresql"]);
    if let Some(owner_url) = &config.database.owner_url {
        mistakes.url("database.owner_url", owner_url, &["postgres", "postgresql"]);
    }
    if let Some(ledger_url) = &config.database.ledger_url {
        mistakes.url("database.ledger_url", ledger_url, &["postgres", "postgresql"]);
        let role = |url: &str| Url::parse(url).ok().map(|url| url.username().to_owned());
        if [Some(&config.database.url), config.database.owner_url.as_ref()]
            .into_iter()
            .flatten()
            .any(|url| role(url) == role(ledger_url))
        {
            mistakes.add("database.ledger_url", "must name a role of its own, not that of another of these URLs");
        }
    }
    mistakes.range("server.shutdown_grace_seconds", server.shutdown_grace_seconds, 0, 3_600);
    mistakes.range("database.acquire_timeout_seconds", config.database.acquire_timeout_seconds, 1, 300);
    mistakes.range("database.max_connections", config.database.max_connections.into(), 2, 1_000);
    let vault = &config.vault;
    mistakes.private_url("vault.address", &vault.address);
    mistakes.required("vault.role_id", &vault.role_id);
    let within = |inner: &str, outer: &str| inner == outer || inner.starts_with(&format!("{outer}/"));
    if vault.kv_prefix.is_empty() || vault.kv_prefix.split('/').any(str::is_empty) {
        mistakes.add("vault.kv_prefix", "must be a path without a slash at its ends, such as \"openpam\"");
    } else if !vault.shared_prefix.is_empty()
        && (within(&vault.shared_prefix, &vault.kv_prefix) || within(&vault.kv_prefix, &vault.shared_prefix))
    {
        mistakes
            .add("vault.shared_prefix", "must not overlap vault.kv_prefix: tenants could read each other's secrets");
    }
    if vault.secret_id.is_none() && vault.wrapped_secret_id_file.is_none() {
        mistakes.add(
            "vault.wrapped_secret_id_file",
            "name this file, or vault.secret_id_file, or set OPENPAM_VAULT__SECRET_ID",
        );
    }
    mistakes.range("vault.request_timeout_seconds", vault.request_timeout_seconds, 1, 60);
    if let Some(oidc) = &config.oidc {
        mistakes.required("oidc.tenant", &oidc.tenant);
        mistakes.required("oidc.client_id", &oidc.client_id);
        mistakes.private_url("oidc.issuer", &oidc.issuer);
        if oidc.client_secret.is_none() {
            mistakes.add("oidc.client_secret_file", "name this file or set OPENPAM_OIDC__CLIENT_SECRET");
        }
        for (group, roles) in &oidc.group_roles {
            for role in roles.iter().filter(|role| !ROLES.contains(&role.as_str())) {
                mistakes.add(
                    &format!("oidc.group_roles.{group}"),
                    format!("{role:?} is not a role; known are {}", ROLES.join(", ")),
                );
            }
        }
        mistakes.range("oidc.clock_skew_seconds", oidc.clock_skew_seconds, 0, 600);
    }
    let identity = &config.identity;
    mistakes.range("identity.idle_timeout_seconds", identity.idle_timeout_seconds, 60, 86_400 * 30);
    mistakes.range("identity.absolute_timeout_seconds", identity.absolute_timeout_seconds, 300, 86_400 * 90);
    mistakes.range("identity.login_attempts_per_account", identity.login_attempts_per_account.into(), 1, 1_000);
    mistakes.range("identity.login_lockout_seconds", identity.login_lockout_seconds, 1, 86_400);
    mistakes.range("identity.claims_refresh_seconds", identity.claims_refresh_seconds, 1, 86_400);
    mistakes.range(
        "identity.login_attempts_per_ip_per_minute",
        identity.login_attempts_per_ip_per_minute.into(),
        1,
        100_000,
    );
    for network in config.targets.address_exceptions.iter().filter(|network| !addresses::is_exception(**network)) {
        mistakes.add(
            "targets.address_exceptions",
            format!("{network} is not within a network that is refused without it: see the operator's guide"),
        );
    }
    let terminal = &config.terminal;
    mistakes.range("terminal.resume_grace_seconds", terminal.resume_grace_seconds, 0, 3_600);
    mistakes.range("terminal.idle_timeout_seconds", terminal.idle_timeout_seconds, 1, 604_800);
    mistakes.range("terminal.max_duration_seconds", terminal.max_duration_seconds, 1, 2_592_000);
    mistakes.range("terminal.keepalive_seconds", terminal.keepalive_seconds, 1, 3_600);
    mistakes.range("terminal.connect_timeout_seconds", terminal.connect_timeout_seconds, 1, 15);
    mistakes.range("terminal.unchecked_seconds", terminal.unchecked_seconds, 5, 600);
    mistakes.range("terminal.max_sessions", terminal.max_sessions as u64, 1, 1_000_000);
    let per_person = terminal.max_sessions_per_person as u64;
    mistakes.range("terminal.max_sessions_per_person", per_person, 1, 1_000_000);
    mistakes.range("terminal.max_watchers", terminal.max_watchers as u64, 1, 100_000);
    let recording = &config.recording;
    mistakes.range("recording.bytes_per_second", recording.bytes_per_second, 65_536, 1_073_741_824);
    mistakes.range("recording.burst_seconds", recording.burst_seconds, 1, 3_600);
    mistakes.range("recording.abandoned_after_seconds", recording.abandoned_after_seconds, 15, 86_400);
    mistakes.range("recording.object_lock_days", recording.object_lock_days, 1, 36_500);
    mistakes.range("recording.spool_max_bytes", recording.spool_max_bytes, 1_048_576, 1_099_511_627_776);
    mistakes.range("recording.spool_wait_seconds", recording.spool_wait_seconds, 5, 31_536_000);
    validate_store(recording, mistakes);
    let events = &config.events;
    mistakes.range("events.max_attempts", events.max_attempts.into(), 1, 100);
    mistakes.range("events.retry_base_seconds", events.retry_base_seconds, 1, 3_600);
    mistakes.range("events.retry_max_seconds", events.retry_max_seconds, 1, 604_800);
    mistakes.range("events.webhook_timeout_seconds", events.webhook_timeout_seconds, 1, 60);
    mistakes.range("events.retention_days", events.retention_days, 1, 3_650);
    if let Some(nats) = &config.nats {
        buses::validate_nats(nats, mistakes);
    }
    if let Some(aws) = &config.aws {
        buses::validate_aws(aws, mistakes);
    }
    ledger::validate(config, mistakes);
}

fn validate_store(recording: &Recording, mistakes: &mut Mistakes) {
    if recording.store == RecordingStore::Local {
        if recording.object_lock != ObjectLock::None {
            mistakes.add("recording.object_lock", "a folder has no object lock: use recording.store = \"s3\"");
        }
        return;
    }
    buckets::validate("recording.s3_", &recording.bucket(), mistakes);
}

/// What the hub reads from other files when it starts.
fn validate_for_hub(config: &Config, mistakes: &mut Mistakes) {
    if let Err(mistake) = tls::server_config(&config.server) {
        mistakes.add(&mistake.key, mistake.message);
    }
    if let Err(error) = openpam_telemetry::check_filter(&config.log.filter) {
        mistakes.add("log.filter", error.to_string());
    }
    if config.recording.required && !config.recording.has_store() {
        mistakes.add(
            "recording.directory",
            "sessions must be recorded (recording.required), and there is no store: name this folder, set \
             recording.store = \"s3\", or give recording up with recording.required = false",
        );
    }
    mistakes.ca_file("server.peer_ca_file", config.server.peer_ca_file.as_deref());
    mistakes.ca_file("recording.s3_ca_file", config.recording.s3_ca_file.as_deref());
    mistakes.ca_file("ledger.anchor_s3_ca_file", config.ledger.anchor_s3_ca_file.as_deref());
    mistakes.ca_file("events.webhook_ca_file", config.events.webhook_ca_file.as_deref());
    if let Some(nats) = &config.nats {
        mistakes.ca_file("nats.ca_file", nats.ca_file.as_deref());
        mistakes.ca_file("nats.client_cert_file", nats.client_cert_file.as_deref());
    }
    mistakes.ca_file("vault.ca_file", config.vault.ca_file.as_deref());
    mistakes.ca_file("oidc.ca_file", config.oidc.as_ref().and_then(|oidc| oidc.ca_file.as_deref()));
}

pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(addresses::is_this_machine)
}

fn pointer(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}

fn mistake(key: &str, message: impl Into<String>) -> Mistake {
    Mistake { key: key.to_owned(), message: message.into() }
}

#[derive(Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn add(&mut self, key: &str, message: impl Into<String>) {
        // A value that did not parse was dropped: do not report it again as absent.
        if !self.0.iter().any(|known| known.key == key) {
            self.0.push(mistake(key, message));
        }
    }

    pub(super) fn required(&mut self, key: &str, value: &str) {
        if value.trim().is_empty() {
            self.add(key, "is required");
        }
    }

    fn ca_file(&mut self, key: &str, file: Option<&str>) {
        let Some(file) = file else { return };
        let read = std::fs::read(file).map_err(|error| error.to_string()).and_then(|pem| {
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())?;
            if certificates.is_empty() { Err("it holds no certificate in PEM format".to_owned()) } else { Ok(()) }
        });
        if let Err(reason) = read {
            self.add(key, format!("cannot read certificates from {file}: {reason}"));
        }
    }

    pub(super) fn range(&mut self, key: &str, value: u64, least: u64, most: u64) {
        if !(least..=most).contains(&value) {
            self.add(key, format!("must be between {least} and {most}, not {value}"));
        }
    }

    pub(super) fn url(&mut self, key: &str, value: &str, schemes: &[&str]) {
        if value.trim().is_empty() {
            return self.add(key, "is required");
        }
        match Url::parse(value) {
            Ok(url) if !schemes.contains(&url.scheme()) => self.add(key, format!("must begin with {}://", schemes[0])),
            Ok(url) if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") => {
                self.add(key, "must not hold a password: use a file or the environment")
            }
            Ok(_) => {}
            Err(error) => self.add(key, error.to_string()),
        }
    }

    /// Of what secrets and identities come from: nobody on the way may read or change it.
    fn private_url(&mut self, key: &str, value: &str) {
        self.url(key, value, &["https", "http"]);
        if Url::parse(value).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url)) {
            self.add(key, "plain http is only for loopback: use https");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use openpam_secret::ExposeSecret as _;

    use super::*;

    const VALID: &str = r#"
        [database]
        url = "postgres://openpam_app@127.0.0.1/openpam"
        [vault]
        address = "http://127.0.0.1:8200"
        role_id = "role"
        wrapped_secret_id_file = "/nowhere"
        [recording]
        directory = "/nowhere"
    "#;

    fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(file.path(), environment, Purpose::Hub)
    }

    fn keys(error: &ConfigError) -> Vec<&str> {
        error.0.iter().map(|mistake| mistake.key.as_str()).collect()
    }

    #[test]
    fn a_target_may_not_be_waited_for_longer_than_a_request_lasts() {
        let text = format!("{VALID}\n[terminal]\nconnect_timeout_seconds = 16");
        let mistakes = load_text(&text, &[]).unwrap_err().0;
        assert!(mistakes.iter().any(|one| one.key == "terminal.connect_timeout_seconds"), "{mistakes:?}");
    }

    #[test]
    fn a_minimal_file_gets_the_defaults() {
        let config = load_text(VALID, &[]).unwrap();
        assert_eq!(config.server.listen.port(), 8080);
        assert_eq!(config.terminal.resume_grace_seconds, 120);
    }

    #[test]
    fn the_environment_wins_over_the_file_and_may_hold_secrets() {
        let config = load_text(
            VALID,
            &[
                ("OPENPAM_SERVER__LISTEN", "127.0.0.1:9000"),
                ("OPENPAM_DATABASE__PASSWORD", "12345"),
                ("OPENPAM_SERVER__TRUSTED_PROXIES", "10.0.0.0/8,127.0.0.1/32"),
                ("OPENPAM_DEV_DIR", "/not/configuration"),
            ],
        )
        .unwrap();
        assert_eq!(config.server.listen.port(), 9000);
        assert_eq!(config.database.password.unwrap().expose_secret(), "12345");
        assert_eq!(config.server.trusted_proxies.len(), 2);
    }

    #[test]
    fn text_of_the_environment_that_looks_like_a_number_stays_as_it_is() {
        for text in ["000123", "1e5", "+77", "TRUE", "nan", "inf", "0x10", " 7"] {
            let config = load_text(VALID, &[("OPENPAM_DATABASE__PASSWORD", text)]).unwrap();
            assert_eq!(config.database.password.unwrap().expose_secret(), text);
        }
        let numbers = [
            ("OPENPAM_OIDC__TENANT", "2024"),
            ("OPENPAM_OIDC__CLIENT_ID", "0815"),
            ("OPENPAM_OIDC__DISPLAY_NAME", "1e5"),
            ("OPENPAM_TERMINAL__RESUME_GRACE_SECONDS", "60"),
        ];
        let issuer = [("OPENPAM_OIDC__ISSUER", "https://login.example"), ("OPENPAM_OIDC__CLIENT_SECRET", "007")];
        let config = load_text(VALID, &[&numbers[..], &issuer[..]].concat()).unwrap();
        let oidc = config.oidc.unwrap();
        assert_eq!(
            (oidc.tenant.as_str(), oidc.client_id.as_str(), oidc.display_name.as_str()),
            ("2024", "0815", "1e5")
        );
        assert_eq!(oidc.client_secret.unwrap().expose_secret(), "007");
        assert_eq!(config.terminal.resume_grace_seconds, 60);
        // What is no number where one belongs is told once, and about the number.
        let error = load_text(VALID, &[("OPENPAM_TERMINAL__RESUME_GRACE_SECONDS", "true")]).unwrap_err();
        assert_eq!(keys(&error), ["terminal.resume_grace_seconds"]);
    }

    #[test]
    fn an_exception_for_addresses_lies_within_what_is_refused() {
        let with = |networks: &str| load_text(VALID, &[("OPENPAM_TARGETS__ADDRESS_EXCEPTIONS", networks)]);
        assert_eq!(with("169.254.10.0/24,fe80::/64").unwrap().targets.address_exceptions.len(), 2);
        for networks in ["0.0.0.0/0", "169.254.10.0/24,10.0.0.0/8"] {
            assert_eq!(keys(&with(networks).unwrap_err()), ["targets.address_exceptions"], "{networks}");
        }
        assert_eq!(keys(&with("everything").unwrap_err()), ["targets.address_exceptions[0]"], "no network at all");
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_their_keys() {
        let error = load_text(
            r#"
            [server]
            listen = "nonsense"
            public_url = "http://pam.example.com"
            colour = "red"
            [database]
            url = "postgres://openpam_app@127.0.0.1/openpam?password=hunter2"
            password = "hunter2"
            max_connections = "many"
            [terminal]
            idle_timeout_seconds = 0
            "#,
            &[],
        )
        .unwrap_err();
        let keys = keys(&error);
        for key in [
            "server.listen",
            "server.public_url",
            "server.colour",
            "database.password",
            "database.max_connections",
            "database.url",
            "vault.address",
            "terminal.idle_timeout_seconds",
        ] {
            assert!(keys.contains(&key), "{key} is missing in {keys:?}");
        }
        assert!(!error.to_string().contains("hunter2"), "the message must not repeat a secret");
    }

    #[test]
    fn secrets_and_identities_come_over_plain_http_from_this_machine_alone() {
        let with = |vault: &str, issuer: &str| {
            let text = VALID.replace("http://127.0.0.1:8200", vault)
                + &format!("[oidc]\ntenant = \"t\"\nclient_id = \"c\"\nissuer = \"{issuer}\"\n");
            load_text(&text, &[("OPENPAM_OIDC__CLIENT_SECRET", "s")])
        };
        assert!(with("https://vault.example.com", "https://login.example.com/t").is_ok());
        assert!(with("http://[::1]:8200", "http://localhost:9000").is_ok());
        let error = with("http://vault.example.com:8200", "http://login.example.com/t").unwrap_err();
        assert_eq!(keys(&error), ["vault.address", "oidc.issuer"]);
    }

    #[test]
    fn files_that_only_the_hub_reads_are_checked_for_the_hub() {
        let text = r#"
            [server]
            public_url = "https://pam.example.com"
            tls_cert_file = "/nowhere/cert.pem"
            tls_key_file = "/nowhere/key.pem"
            [database]
            url = "postgres://openpam_app@127.0.0.1/openpam"
            [log]
            filter = "openpam=loud"
            [vault]
            address = "http://127.0.0.1:8200"
            role_id = "role"
            wrapped_secret_id_file = "/nowhere"
            ca_file = "/nowhere/ca.pem"
            [recording]
            directory = "/nowhere"
        "#;
        let error = load_text(text, &[]).unwrap_err();
        assert_eq!(keys(&error), ["server.tls_cert_file", "log.filter", "vault.ca_file"]);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        assert!(load(file.path(), HashMap::new(), Purpose::Command).is_ok());
    }

    #[test]
    fn who_must_record_needs_a_store_and_a_store_needs_what_it_is_reached_by() {
        let with = |recording: &str| load_text(&VALID.replace("directory = \"/nowhere\"", recording), &[]);
        assert_eq!(keys(&with("").unwrap_err()), ["recording.directory"]);
        assert!(with("required = false").is_ok());
        assert!(with("store = \"s3\"\ns3_bucket = \"b\"").is_ok(), "AWS's own sources give credentials");
        let error = with(
            r#"
            store = "s3"
            s3_prefix = "a//b"
            s3_endpoint = "http://s3.example.com"
            s3_access_key_id = "id"
            s3_secret_access_key = "planted"
            "#,
        )
        .unwrap_err();
        assert_eq!(
            keys(&error),
            ["recording.s3_secret_access_key", "recording.s3_bucket", "recording.s3_prefix", "recording.s3_endpoint"]
        );
        assert!(!error.to_string().contains("planted"));
        let error = with("directory = \"/d\"\nobject_lock = \"compliance\"").unwrap_err();
        assert_eq!(keys(&error), ["recording.object_lock"]);
    }

    #[test]
    fn a_bucket_for_checkpoints_needs_what_it_is_reached_by() {
        let with = |ledger: &str| load_text(&format!("{VALID}[ledger]\n{ledger}"), &[]);
        let config = with("anchor_s3_bucket = \"b\"").unwrap();
        assert!(config.ledger.anchor_bucket().is_some_and(|bucket| bucket.object_lock == ObjectLock::Compliance));
        assert!(config.ledger.is_anchored());
        let error = with(
            r#"
            anchor_s3_endpoint = "http://s3.example.com"
            anchor_s3_secret_access_key = "planted"
            anchor_object_lock_days = 0
            "#,
        )
        .unwrap_err();
        assert_eq!(
            keys(&error),
            ["ledger.anchor_s3_secret_access_key", "ledger.anchor_object_lock_days", "ledger.anchor_s3_bucket"]
        );
        assert!(!error.to_string().contains("planted"));
        let error = with("anchor_s3_bucket = \"b\"\nanchor_s3_endpoint = \"http://s3.example.com\"").unwrap_err();
        assert_eq!(keys(&error), ["ledger.anchor_s3_endpoint"]);
        assert!(error.to_string().contains("ledger.anchor_s3_allow_http"), "{error}");
    }

    #[test]
    fn a_witness_is_a_key_of_its_kind_and_a_url_that_nobody_can_listen_to() {
        let key = |kind| openpam_ledger::VerifierKey::new("w.example.com", kind, [7; 32]).unwrap().to_string();
        let witness = key(openpam_ledger::KeyType::CosignatureV1);
        let with = |witnesses: &[String]| load_text(&format!("{VALID}[ledger]\nwitnesses = {witnesses:?}"), &[]);
        let config = with(&[format!("{witness} https://w.example.com/a/")]).unwrap();
        let read = crate::config::Witness::parse(&config.ledger.witnesses[0]).unwrap();
        assert_eq!(read.url.as_str(), "https://w.example.com/a/add-checkpoint");
        assert!(with(&[format!("{witness} http://127.0.0.1:1")]).is_ok());
        let log = key(openpam_ledger::KeyType::Ed25519);
        for wrong in [
            vec![format!("{witness} http://w.example.com")],
            vec![format!("{log} https://w.example.com")],
            vec![format!("{witness} https://w.example.com/?a=b")],
            vec![witness.clone()],
            vec![format!("{witness} https://a.example.com"), format!("{witness} https://b.example.com")],
        ] {
            assert_eq!(keys(&with(&wrong).unwrap_err()), ["ledger.witnesses"], "{wrong:?}");
        }
    }

    #[test]
    fn a_file_that_is_no_toml_is_one_clear_mistake() {
        let error = load_text("[server", &[]).unwrap_err();
        assert_eq!(error.0.len(), 1);
    }
}
