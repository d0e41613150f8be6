//! A provider that lies: it stands where the configured issuer is and signs whatever a story wants.
//! What the real provider does is tested with the real one; it cannot be made to send a token for
//! somebody else, or one without a signature.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// With the published key.
    Good,
    /// With a key that is not published, under the published key's name.
    Stranger,
    /// With the client's secret, as HS256.
    ClientSecret,
    /// Not at all: `alg` is `none`.
    None,
}

/// The listener.
#[derive(Debug)]
pub struct Forger {
    address: SocketAddr,
    token: Arc<Mutex<String>>,
    key: EcdsaKeyPair,
    keys: Arc<Mutex<Value>>,
    stranger: EcdsaKeyPair,
    task: tokio::task::JoinHandle<()>,
}

impl Forger {
    /// Starts it.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = crate::hub::bind_free_port().await?;
        let address = listener.local_addr()?;
        let token = Arc::<Mutex<String>>::default();
        let (key, stranger) = (new_key()?, new_key()?);
        let keys = Arc::new(Mutex::new(published(&key)));
        let issuer = format!("http://{address}");
        let discovery = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"], "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let (answers, shown) = (token.clone(), keys.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, discovery.clone(), shown.clone(), answers.clone()));
            }
        });
        Ok(Self { address, token, key, keys, stranger, task })
    }

    /// Signs with a new key from now on, which has the old one's id, as a provider does that makes its keys when it
    /// starts.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn start_anew(&mut self) -> anyhow::Result<()> {
        self.key = new_key()?;
        *self.keys.lock().expect("no holder of the lock panics") = published(&self.key);
        Ok(())
    }

    /// Its issuer URL.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The identity token that the next code is exchanged for.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn will_send(&self, claims: &Value, signature: Signature, client_secret: &str) -> anyhow::Result<()> {
        let algorithm = match signature {
            Signature::Good | Signature::Stranger => "ES256",
            Signature::ClientSecret => "HS256",
            Signature::None => "none",
        };
        let header = json!({ "alg": algorithm, "kid": "k1", "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let sign = |key: &EcdsaKeyPair| {
            let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).ok().context("the key does not sign")?;
            anyhow::Ok(URL_SAFE_NO_PAD.encode(signature))
        };
        let signature = match signature {
            Signature::Good => sign(&self.key)?,
            Signature::Stranger => sign(&self.stranger)?,
            Signature::ClientSecret => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, client_secret.as_bytes());
                URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()))
            }
            Signature::None => String::new(),
        };
        *self.token.lock().expect("no holder of the lock panics") = format!("{signed}.{signature}");
        Ok(())
    }
}

impl Drop for Forger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn published(key: &EcdsaKeyPair) -> Value {
    // An uncompressed point: 0x04, x, y.
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k1",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    }] })
}

fn new_key() -> anyhow::Result<EcdsaKeyPair> {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok().context("no key could be made")
}

/// One request a connection; bodies are small and come with their heads.
async fn answer(mut stream: TcpStream, discovery: Value, keys: Arc<Mutex<Value>>, token: Arc<Mutex<String>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut request).await, Ok(read) if read > 0) {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let (status, body) = match request.split_whitespace().nth(1).unwrap_or_default() {
        "/.well-known/openid-configuration" => ("200 OK", discovery),
        "/keys" => ("200 OK", keys.lock().expect("no holder of the lock panics").clone()),
        "/token" => {
            let id_token = token.lock().expect("no holder of the lock panics").clone();
            ("200 OK", json!({ "access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": id_token }))
        }
        _ => ("404 Not Found", Value::Null),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
}
