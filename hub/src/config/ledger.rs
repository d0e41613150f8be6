//! The ledger's section, and where its checkpoints go.

use openpam_ledger::{KeyType, LedgerName, VerifierKey};
use openpam_secret::SecretString;
use serde::Deserialize;
use url::Url;

use super::{
    Config, ObjectLock, buckets,
    buckets::Bucket,
    load::{Mistakes, is_loopback},
};

/// Witnesses of one ledger: a checkpoint takes so many signatures, the log's own and those of keys before beside.
const MAX_WITNESSES: usize = 8;

/// The ledger.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Name that the ledger's checkpoints begin with; without it the host of `server.public_url` and
    /// `/ledger`. What the first hub began with stays.
    pub name: Option<String>,
    /// Names that it had before restores which took it behind its anchor (`openpam audit resume`): checkpoints of
    /// theirs in the anchor are not held against it.
    pub former_names: Vec<String>,
    /// File to which the leading hub appends checkpoints: best where the database's administrator has no hand,
    /// and the same for every hub. A ledger that is not the one in it is not signed.
    pub anchor_file: Option<String>,
    /// Bucket of an S3-compatible object store in which the leading hub puts checkpoints, each as an object of its own:
    /// best with object lock, and with rights of its own. A ledger that is not the one in it is not signed.
    pub anchor_s3_bucket: Option<String>,
    /// Path in the bucket below which they are; empty for its root.
    pub anchor_s3_prefix: String,
    /// Region of the bucket.
    pub anchor_s3_region: String,
    /// URL of the object store's API; without it AWS's own of the region.
    pub anchor_s3_endpoint: Option<String>,
    /// Whether the bucket is in the path of an address instead of in its host name.
    pub anchor_s3_path_style: bool,
    /// Whether plain http is allowed to an endpoint that is not on loopback.
    pub anchor_s3_allow_http: bool,
    /// PEM file with the CA that signed the endpoint's certificate.
    pub anchor_s3_ca_file: Option<String>,
    /// Access key id. Without it AWS's own sources are used: the standard environment variables, a web
    /// identity, the role of a container or machine.
    pub anchor_s3_access_key_id: Option<String>,
    /// File with the secret access key.
    pub anchor_s3_secret_access_key_file: Option<String>,
    /// The secret access key (environment only).
    pub anchor_s3_secret_access_key: Option<SecretString>,
    /// Object lock of checkpoints in the bucket: `none`, `governance` or `compliance`. The bucket must have object
    /// lock; the hub looks at the start.
    pub anchor_object_lock: ObjectLock,
    /// Days for which nobody can delete a checkpoint from the bucket.
    pub anchor_object_lock_days: u64,
    /// Witnesses that sign the system's checkpoints: each its verifier key (`name+id+key`), a space, and the URL below
    /// which it takes `add-checkpoint` (C2SP tlog-witness).
    pub witnesses: Vec<String>,
    /// Seconds between checkpoints in each anchor.
    pub anchor_interval_seconds: u64,
    /// Whether a tenant's subscribers get its checkpoints too, as events `openpam.ledger.checkpoint`: one in each such
    /// interval in which its log grew.
    pub checkpoint_events: bool,
    /// Seconds between two beats of a tenant's log: entries that show afterwards for how long no hub gave places.
    pub beat_interval_seconds: u64,
}

impl Ledger {
    /// The bucket for checkpoints, where there is one.
    pub fn anchor_bucket(&self) -> Option<Bucket> {
        Some(Bucket {
            name: self.anchor_s3_bucket.clone()?,
            prefix: self.anchor_s3_prefix.clone(),
            region: self.anchor_s3_region.clone(),
            endpoint: self.anchor_s3_endpoint.clone(),
            path_style: self.anchor_s3_path_style,
            allow_http: self.anchor_s3_allow_http,
            ca_file: self.anchor_s3_ca_file.clone(),
            access_key_id: self.anchor_s3_access_key_id.clone(),
            secret_access_key: self.anchor_s3_secret_access_key.clone(),
            object_lock: self.anchor_object_lock,
            object_lock_days: self.anchor_object_lock_days,
        })
    }

    /// Whether checkpoints are kept outside the database, where they can be read again.
    pub fn is_anchored(&self) -> bool {
        self.anchor_file.is_some() || self.anchor_s3_bucket.is_some()
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            name: None,
            former_names: Vec::new(),
            anchor_file: None,
            anchor_s3_bucket: None,
            anchor_s3_prefix: String::new(),
            anchor_s3_region: "us-east-1".to_owned(),
            anchor_s3_endpoint: None,
            anchor_s3_path_style: false,
            anchor_s3_allow_http: false,
            anchor_s3_ca_file: None,
            anchor_s3_access_key_id: None,
            anchor_s3_secret_access_key_file: None,
            anchor_s3_secret_access_key: None,
            anchor_object_lock: ObjectLock::Compliance,
            anchor_object_lock_days: 365,
            witnesses: Vec::new(),
            anchor_interval_seconds: 60,
            checkpoint_events: true,
            beat_interval_seconds: 600,
        }
    }
}

/// Somebody else who signs checkpoints.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Whose signatures are its.
    pub key: VerifierKey,
    /// Where it is asked.
    pub url: Url,
}

impl Witness {
    /// Reads one of `ledger.witnesses`.
    ///
    /// # Errors
    /// With what is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (key, url) = text.trim().split_once(' ').ok_or("must be a verifier key, a space and a URL")?;
        let key = VerifierKey::parse(key).map_err(|error| format!("{key}: {error}"))?;
        if key.kind() != KeyType::CosignatureV1 {
            return Err(format!("the key of {} is none of a witness: cosignature/v1 is asked for", key.name()));
        }
        let mut url = Url::parse(url.trim()).map_err(|error| format!("{url}: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err("plain http is only for loopback: use https".to_owned()),
            _ => return Err("must begin with https://".to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("must be scheme, host, port and path only".to_owned());
        }
        let path = format!("{}/add-checkpoint", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self { key, url })
    }
}

impl Ledger {
    /// The keys of the witnesses.
    pub fn witness_keys(&self) -> Vec<VerifierKey> {
        self.witnesses.iter().filter_map(|text| Witness::parse(text).ok()).map(|witness| witness.key).collect()
    }
}

/// Checks the section.
pub(super) fn validate(config: &Config, mistakes: &mut Mistakes) {
    let ledger = &config.ledger;
    mistakes.range("ledger.anchor_interval_seconds", ledger.anchor_interval_seconds, 1, 86_400);
    mistakes.range("ledger.anchor_object_lock_days", ledger.anchor_object_lock_days, 1, 36_500);
    match ledger.anchor_bucket() {
        Some(bucket) => buckets::validate("ledger.anchor_s3_", &bucket, mistakes),
        None if ledger.anchor_s3_endpoint.is_some() || ledger.anchor_s3_access_key_id.is_some() => {
            mistakes.add("ledger.anchor_s3_bucket", "is required where the rest of the bucket is set");
        }
        None => {}
    }
    let mut names = Vec::<String>::new();
    for text in &ledger.witnesses {
        match Witness::parse(text) {
            // They are told apart, in the database too, by their names; these must not be an anchor's.
            Ok(witness)
                if names.iter().any(|name| name == witness.key.name())
                    || ["file", "bucket"].contains(&witness.key.name()) =>
            {
                mistakes.add("ledger.witnesses", format!("{} is a name that is taken", witness.key.name()));
            }
            Ok(witness) => names.push(witness.key.name().to_owned()),
            Err(message) => mistakes.add("ledger.witnesses", message),
        }
    }
    if ledger.witnesses.len() > MAX_WITNESSES {
        mistakes.add("ledger.witnesses", format!("must not be more than {MAX_WITNESSES}"));
    }
    mistakes.range("ledger.beat_interval_seconds", ledger.beat_interval_seconds, 1, 86_400);
    for former in &ledger.former_names {
        if LedgerName::new(former).is_none() || *former == config.ledger_name() {
            mistakes.add("ledger.former_names", format!("{former:?} is no other name of a ledger"));
        }
    }
    if LedgerName::new(&config.ledger_name()).is_none() {
        mistakes.add("ledger.name", "must be at most 200 letters, digits, . - _ /, with no slash at its ends");
    }
}
