//! What the hub asks of the vault: read, write and remove a secret, sign a certificate.
//!
//! Secrets travel in buffers that are zeroized. The client library would keep them in plain JSON
//! values, so that KV v2 goes over its connections with requests of our own.

use bytes::Bytes;
use http::{Method, StatusCode};
use openpam_secret::ExposeSecret as _;
use russh::keys::{Algorithm, Certificate, PrivateKey, key::safe_rng};
use serde::{Deserialize, Serialize};
use vaultrs::{api::ssh::requests::SignSSHKeyRequest, error::ClientError};
use zeroize::Zeroizing;

use super::{
    client::{Vault, from_status, translate},
    error::VaultError,
    types::{Holder, SecretFields},
};

/// Bytes an answer may have: KV v2 itself stops at 1 MiB.
const MAX_ANSWER: usize = 1024 * 1024;
/// Life of a certificate: the login happens at once, a session outlives it.
const CERTIFICATE_LIFETIME: &str = "120s";

#[derive(Deserialize)]
struct Answer {
    data: AnswerData,
}

#[derive(Deserialize)]
struct AnswerData {
    data: Option<SecretFields>,
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Serialize)]
struct NewVersion<'a> {
    data: Fields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Options>,
}

#[derive(Serialize)]
struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase: Option<&'a str>,
}

#[derive(Serialize)]
struct Options {
    cas: u32,
}

impl Vault {
    /// The fields of the secret at `path` below the KV mount; the newest version unless told.
    pub(super) async fn read(&self, path: &str, version: Option<i32>) -> Result<SecretFields, VaultError> {
        let api_path = &format!("{}/data/{path}", self.config.kv_mount);
        self.call("kv_read", true, |session| async move {
            let mut request = self.request(&session, Method::GET, api_path);
            if let Some(version) = version {
                request = request.query(&[("version", version)]);
            }
            let (status, body) = send(request).await?;
            // A deleted version answers 404 with metadata and no data.
            if status != StatusCode::OK {
                return Err(refusal(status, &body, api_path));
            }
            // serde's own error would quote the value.
            let answer: Answer =
                serde_json::from_slice(&body).map_err(|_| VaultError::Malformed { path: api_path.clone() })?;
            answer.data.data.ok_or_else(|| VaultError::PathMissing { path: api_path.clone() })
        })
        .await
    }

    /// Writes a version of the secret at `path`; a `fresh` path must not hold anything yet.
    pub(super) async fn write(&self, path: &str, fields: &SecretFields, fresh: bool) -> Result<(), VaultError> {
        let api_path = &format!("{}/data/{path}", self.config.kv_mount);
        self.call("kv_write", false, |session| async move {
            let body = Bytes::from_owner(
                encode(fields, fresh).ok_or_else(|| VaultError::Malformed { path: api_path.clone() })?,
            );
            let request = self
                .request(&session, Method::POST, api_path)
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(body);
            let (status, body) = send(request).await?;
            if status.is_success() { Ok(()) } else { Err(refusal(status, &body, api_path)) }
        })
        .await
    }

    /// Removes every version of the secret at `path`. Nothing there is fine.
    pub(super) async fn remove(&self, path: &str) -> Result<(), VaultError> {
        let api_path = &format!("{}/metadata/{path}", self.config.kv_mount);
        self.call("kv_delete", true, |session| async move {
            match vaultrs::kv2::delete_metadata(&session.client, &self.config.kv_mount, path).await {
                Ok(()) | Err(ClientError::APIError { code: 404, .. }) => Ok(()),
                Err(error) => Err(translate(&error, api_path)),
            }
        })
        .await
    }

    /// A fresh key and a certificate for it, signed with the SSH CA's `role`.
    pub(super) async fn certify(
        &self,
        role: &str,
        username: &str,
        holder: &Holder,
    ) -> Result<(PrivateKey, Certificate), VaultError> {
        let api_path = &format!("{}/sign/{role}", self.config.ssh_mount);
        let malformed = || VaultError::Malformed { path: api_path.clone() };
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(|_| malformed())?;
        let public_key = &key.public_key().to_openssh().map_err(|_| malformed())?;
        let signed = self
            .call("ssh_sign", false, |session| async move {
                let mut request = SignSSHKeyRequest::builder();
                request.cert_type("user").key_id(holder.key_id()).ttl(CERTIFICATE_LIFETIME).valid_principals(username);
                vaultrs::ssh::ca::sign(&session.client, &self.config.ssh_mount, role, public_key, Some(&mut request))
                    .await
                    .map_err(|error| match translate(&error, api_path) {
                        VaultError::Refused { reason, .. } => {
                            VaultError::SignatureRefused { role: role.to_owned(), reason }
                        }
                        other => other,
                    })
            })
            .await?;
        let certificate = Certificate::from_openssh(signed.signed_key.trim()).map_err(|_| malformed())?;
        Ok((key, certificate))
    }
}

async fn send(request: reqwest::RequestBuilder) -> Result<(StatusCode, Zeroizing<Vec<u8>>), VaultError> {
    let unavailable = |error: reqwest::Error| {
        let never_sent = error.is_connect();
        let text = openpam_telemetry::with_causes(&error.without_url());
        if never_sent { VaultError::Unavailable(text) } else { VaultError::Unanswered(text) }
    };
    let mut answer = request.send().await.map_err(unavailable)?;
    let status = answer.status();
    // Reserved once: a buffer that grows leaves copies behind.
    let length = answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(64 * 1024);
    let mut body = Zeroizing::new(Vec::with_capacity(length.min(MAX_ANSWER)));
    while let Some(chunk) = answer.chunk().await.map_err(unavailable)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(VaultError::Unavailable("its answer is larger than 1 MiB".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, body))
}

fn refusal(status: StatusCode, body: &[u8], path: &str) -> VaultError {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    from_status(status.as_u16(), path, refusal.errors.join("; ").chars().take(300).collect())
}

fn encode(fields: &SecretFields, fresh: bool) -> Option<Zeroizing<Vec<u8>>> {
    let length: usize = [&fields.password, &fields.private_key, &fields.passphrase]
        .into_iter()
        .flatten()
        .map(|secret| secret.expose_secret().len())
        .sum();
    // JSON escapes take six bytes at the most for one.
    let mut body = Zeroizing::new(Vec::with_capacity(length * 6 + 256));
    let version = NewVersion {
        data: Fields {
            password: fields.password.as_ref().map(|secret| secret.expose_secret()),
            private_key: fields.private_key.as_ref().map(|secret| secret.expose_secret()),
            passphrase: fields.passphrase.as_ref().map(|secret| secret.expose_secret()),
        },
        options: fresh.then_some(Options { cas: 0 }),
    };
    serde_json::to_writer(&mut *body, &version).ok()?;
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_encoded_without_growing_its_buffer() {
        let fields = SecretFields { password: Some("\u{1}\"\\é".to_owned().into()), ..SecretFields::default() };
        let body = encode(&fields, true).unwrap();
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            "{\"data\":{\"password\":\"\\u0001\\\"\\\\é\"},\"options\":{\"cas\":0}}"
        );
        let worst = SecretFields { password: Some("\u{1}".repeat(4_096).into()), ..SecretFields::default() };
        assert!(encode(&worst, true).unwrap().len() <= 4_096 * 6 + 256);
    }
}
