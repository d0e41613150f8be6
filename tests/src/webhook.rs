//! An address that gets webhooks: keeps what it was sent, and answers as it is told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// Bytes of a request.
const MAX_REQUEST: usize = 256 * 1024;

/// What was sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Message {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// Checks the signature as a consumer does (Standard Webhooks).
    ///
    /// # Errors
    /// When it is not that of the secret, or the time is not now.
    pub fn verify(&self, secret: &str) -> anyhow::Result<()> {
        let header = |name: &str| self.header(name).with_context(|| format!("no header {name}"));
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        let key = BASE64.decode(secret.strip_prefix("whsec_").context("a secret begins with whsec_")?)?;
        let signed = BASE64.decode(header("webhook-signature")?.strip_prefix("v1,").context("a version")?)?;
        let mut text = format!("{id}.{timestamp}.").into_bytes();
        text.extend_from_slice(&self.body);
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        ensure!(aws_lc_rs::hmac::verify(&key, &text, &signed).is_ok(), "the signature is not that of the secret");
        let age = chrono::Utc::now().timestamp() - timestamp.parse::<i64>()?;
        ensure!(age.abs() < 60, "the timestamp is {age} s away");
        Ok(())
    }
}

#[derive(Debug)]
struct State {
    status: u16,
    location: Option<String>,
    silent: bool,
    messages: Vec<Message>,
}

/// Listens on loopback until dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    folder: Option<crate::hub::Folder>,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Receiver {
    /// Starts it; it answers 204.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        Self::listen(None, None).await
    }

    /// The same over TLS, with a certificate of a CA of its own for 127.0.0.1.
    ///
    /// # Errors
    /// When the certificates cannot be made, or no port is free.
    pub async fn start_with_tls() -> anyhow::Result<Self> {
        let folder = crate::hub::Folder(std::env::temp_dir().join(crate::unique("openpam-test-webhook")));
        std::fs::create_dir(&folder.0)?;
        crate::openbao::certificates(&folder.0, &["server"]).await?;
        let chain = CertificateDer::pem_file_iter(folder.0.join("server.pem"))?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(folder.0.join("server.key"))?;
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        Self::listen(Some(TlsAcceptor::from(Arc::new(config))), Some(folder)).await
    }

    /// The CA of its certificate.
    pub fn ca_file(&self) -> Option<std::path::PathBuf> {
        self.folder.as_ref().map(|folder| folder.0.join("ca.pem"))
    }

    async fn listen(tls: Option<TlsAcceptor>, folder: Option<crate::hub::Folder>) -> anyhow::Result<Self> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State { status: 204, location: None, silent: false, messages: Vec::new() }));
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (shared.clone(), tls.clone());
                tokio::spawn(async move {
                    let served = async {
                        match tls {
                            Some(tls) => serve(tls.accept(stream).await?, &state).await,
                            None => serve(stream, &state).await,
                        }
                    };
                    if let Err(error) = served.await {
                        eprintln!("a webhook was not read: {error:#}");
                    }
                });
            }
        });
        Ok(Self { address, scheme, folder, state, accepting })
    }

    /// Where it is reached.
    pub fn url(&self) -> String {
        format!("{}://{}/hook", self.scheme, self.address)
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.state().status = status;
    }

    /// Sends whoever comes elsewhere.
    pub fn redirect(&self, location: &str) {
        let mut state = self.state();
        (state.status, state.location) = (307, Some(location.to_owned()));
    }

    /// Takes connections and says nothing from now on, or speaks again.
    pub fn silence(&self, silent: bool) {
        self.state().silent = silent;
    }

    /// What was sent until now.
    pub fn messages(&self) -> Vec<Message> {
        self.state().messages.clone()
    }

    /// The CloudEvents of a type that were sent until now.
    ///
    /// # Errors
    /// When a body is no JSON.
    pub fn events(&self, event_type: &str) -> anyhow::Result<Vec<Value>> {
        let events = self.messages().iter().map(Message::json).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(events.into_iter().filter(|event| event["type"] == event_type).collect())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &Mutex<State>) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut piece = [0; 8192];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            ensure!(bytes.is_empty(), "it broke off");
            return Ok(());
        }
        bytes.extend_from_slice(&piece[..read]);
        ensure!(bytes.len() < MAX_REQUEST, "too large");
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec())?;
            let headers = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect::<Vec<_>>();
            let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse());
            bytes.drain(..end + 4);
            break (headers, length.context("no content-length")??);
        }
    };
    while bytes.len() < length {
        let mut piece = [0; 8192];
        let read = stream.read(&mut piece).await?;
        ensure!(read > 0, "the body broke off");
        bytes.extend_from_slice(&piece[..read]);
    }
    let (status, location, silent) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.messages.push(Message { headers: head, body: bytes });
        (state.status, state.location.clone(), state.silent)
    };
    if silent {
        tokio::time::sleep(Duration::from_secs(120)).await;
        return Ok(());
    }
    let location = location.map(|to| format!("location: {to}\r\n")).unwrap_or_default();
    let answer = format!("HTTP/1.1 {status} Told\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}
