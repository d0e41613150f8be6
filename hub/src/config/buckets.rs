//! Buckets of S3-compatible object stores: sections that have one name the same keys.

use openpam_secret::SecretString;
use url::Url;

use super::{
    ObjectLock,
    load::{Mistakes, is_loopback},
};

/// A bucket, how it is reached, and how long what is put there stays.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Path below which everything is; empty for its root.
    pub prefix: String,
    /// Its region.
    pub region: String,
    /// URL of the store's API; without it AWS's own of the region.
    pub endpoint: Option<String>,
    /// Whether its name is in the path of an address instead of in the host's name.
    pub path_style: bool,
    /// Whether plain http is allowed beyond loopback.
    pub allow_http: bool,
    /// PEM file with the CA that signed the endpoint's certificate.
    pub ca_file: Option<String>,
    /// Access key id; without it AWS's own sources are asked.
    pub access_key_id: Option<String>,
    /// The secret access key.
    pub secret_access_key: Option<SecretString>,
    /// Lock of what is put.
    pub object_lock: ObjectLock,
    /// Days for which it is locked.
    pub object_lock_days: u64,
}

/// Checks the keys that begin with `keys`.
pub(super) fn validate(keys: &str, bucket: &Bucket, mistakes: &mut Mistakes) {
    let key = |name: &str| format!("{keys}{name}");
    mistakes.required(&key("bucket"), &bucket.name);
    mistakes.required(&key("region"), &bucket.region);
    let clean = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if !bucket.prefix.is_empty() && !bucket.prefix.split('/').all(clean) {
        mistakes.add(&key("prefix"), "must be names of letters, digits, - _ . with a slash between them");
    }
    if let Some(endpoint) = &bucket.endpoint {
        mistakes.url(&key("endpoint"), endpoint, &["https", "http"]);
        match Url::parse(endpoint) {
            Ok(url) if url.scheme() == "http" && !is_loopback(&url) && !bucket.allow_http => {
                let allow = key("allow_http");
                mistakes.add(&key("endpoint"), format!("plain http is only for loopback: use https, or set {allow}"));
            }
            Ok(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
                mistakes.add(&key("endpoint"), "must be scheme, host and port only");
            }
            _ => {}
        }
    }
    if bucket.access_key_id.is_some() != bucket.secret_access_key.is_some() {
        let (file, variable) = (key("secret_access_key_file"), key("secret_access_key"));
        let variable = variable.to_uppercase().replacen('.', "__", 1);
        mistakes.add(&key("access_key_id"), format!("set it together with {file} or OPENPAM_{variable}"));
    }
}
