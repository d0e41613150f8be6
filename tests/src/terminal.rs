//! A client of `openpam.terminal.v1` that acknowledges what it has read, unless told not to.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

use crate::Client;

/// The subprotocol.
pub const PROTOCOL: &str = "openpam.terminal.v1";
/// How long to wait for output by default.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// After this long without output nothing more is taken to be on its way.
const QUIET: Duration = Duration::from_secs(1);
/// The client acknowledges after this many bytes.
const ACK_EVERY: u64 = 32 * 1024;

/// What to connect to and how.
#[derive(Debug, Clone)]
pub struct Connect {
    /// The target.
    pub target_id: String,
    /// The credential.
    pub credential_id: String,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
    /// Why, where the target asks.
    pub reason: Option<String>,
    /// To continue a session: its id, its token, and the bytes received so far.
    pub resume: Option<(String, String, u64)>,
}

impl Connect {
    /// 80 by 24, without a reason.
    pub fn new(target_id: &str, credential_id: &str) -> Self {
        let (target_id, credential_id) = (target_id.to_owned(), credential_id.to_owned());
        Self { target_id, credential_id, cols: 80, rows: 24, reason: None, resume: None }
    }

    fn path(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("credential_id", &self.credential_id);
        query.append_pair("cols", &self.cols.to_string());
        query.append_pair("rows", &self.rows.to_string());
        if let Some(reason) = &self.reason {
            query.append_pair("reason", reason);
        }
        if let Some((session, token, offset)) = &self.resume {
            query.append_pair("session_id", session);
            query.append_pair("resume_token", token);
            query.append_pair("offset", &offset.to_string());
        }
        format!("/api/ws/connect/ssh/{}?{}", self.target_id, query.finish())
    }
}

/// How a terminal ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The last `exit` or `error` message.
    pub message: Option<Value>,
    /// WebSocket close code; 1006 when the connection broke without one.
    pub code: u16,
    /// Text of the close frame.
    pub reason: String,
}

/// A refused upgrade.
#[derive(Debug)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// The problem.
    pub body: Value,
}

/// An open terminal.
#[derive(Debug)]
pub struct Terminal {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The `ready` message.
    pub ready: Value,
    /// Everything the target has written.
    pub output: Vec<u8>,
    /// Bytes received, over all connections of the session.
    pub received: u64,
    /// Whether to acknowledge.
    pub acknowledge: bool,
    /// Whether to keep the output or only count it.
    pub keep_output: bool,
    /// Every `ready`, `size`, `participants` and `error` message, in order.
    pub messages: Vec<Value>,
    acknowledged: u64,
    notices: Vec<Value>,
    last_message: Option<Value>,
}

impl Terminal {
    /// Connects and waits for `ready`.
    ///
    /// # Errors
    /// When the upgrade is refused or the session does not become ready.
    pub async fn open(client: &Client, connect: &Connect) -> anyhow::Result<Self> {
        match Self::try_open(client, connect).await? {
            Ok(terminal) => Ok(terminal),
            Err(refused) => bail!("the terminal was refused with {}: {}", refused.status, refused.body),
        }
    }

    /// Connects; a refused upgrade is the inner error.
    ///
    /// # Errors
    /// When the hub cannot be reached or the session ends before it is ready.
    pub async fn try_open(client: &Client, connect: &Connect) -> anyhow::Result<Result<Self, Refused>> {
        let received = connect.resume.as_ref().map_or(0, |(_, _, offset)| *offset);
        Self::try_open_at(client, &connect.path(), received).await
    }

    /// Watches or joins (`mode`) a session.
    ///
    /// # Errors
    /// When the upgrade is refused or the session ends before the screen comes.
    pub async fn watch(client: &Client, session_id: &str, mode: &str) -> anyhow::Result<Self> {
        match Self::try_watch(client, session_id, mode).await? {
            Ok(terminal) => Ok(terminal),
            Err(refused) => bail!("watching was refused with {}: {}", refused.status, refused.body),
        }
    }

    /// Watches or joins a session; a refused upgrade is the inner error.
    ///
    /// # Errors
    /// When the hub cannot be reached or the session ends before the screen comes.
    pub async fn try_watch(client: &Client, session_id: &str, mode: &str) -> anyhow::Result<Result<Self, Refused>> {
        Self::try_open_at(client, &format!("/api/ws/watch/{session_id}?mode={mode}"), 0).await
    }

    async fn try_open_at(client: &Client, path: &str, received: u64) -> anyhow::Result<Result<Self, Refused>> {
        let socket = match upgrade(client, path, Some(client.url())).await? {
            Ok(socket) => socket,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut terminal = Self {
            socket,
            ready: Value::Null,
            output: Vec::new(),
            received,
            acknowledge: true,
            keep_output: true,
            messages: Vec::new(),
            acknowledged: received,
            notices: Vec::new(),
            last_message: None,
        };
        let deadline = Instant::now() + PATIENCE;
        while terminal.ready.is_null() {
            if let Some(ended) = terminal.step(deadline).await.context("waiting for ready")? {
                bail!("the session ended before it was ready: {ended:?}");
            }
        }
        Ok(Ok(terminal))
    }

    /// The session's id.
    pub fn session_id(&self) -> String {
        self.ready["session_id"].as_str().unwrap_or_default().to_owned()
    }

    /// What a reload of the page keeps, to continue with.
    pub fn resume(&self) -> (String, String, u64) {
        (self.session_id(), self.ready["resume_token"].as_str().unwrap_or_default().to_owned(), self.received)
    }

    /// Types bytes.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn type_bytes(&mut self, bytes: impl Into<Bytes>) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::Binary(bytes.into())).await?)
    }

    /// Types a line and Enter.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn type_line(&mut self, line: &str) -> anyhow::Result<()> {
        self.type_bytes(format!("{line}\n").into_bytes()).await
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    /// Sends any frame.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn send_message(&mut self, message: Message) -> anyhow::Result<()> {
        Ok(self.socket.send(message).await?)
    }

    /// The stream below, to send what no client would.
    pub fn stream(&mut self) -> &mut MaybeTlsStream<TcpStream> {
        self.socket.get_mut()
    }

    /// Changes the size.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn resize(&mut self, cols: u16, rows: u16) -> anyhow::Result<()> {
        self.send(&json!({ "type": "resize", "cols": cols, "rows": rows })).await
    }

    /// Reads until `mark` is in the output that has not been taken; that output up to its end.
    ///
    /// # Errors
    /// When the session ends or [`PATIENCE`] is over before.
    pub async fn until(&mut self, mark: &[u8]) -> anyhow::Result<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        let mut searched = 0;
        loop {
            // The mark may have begun in what was searched before.
            let from = usize::saturating_sub(searched, mark.len());
            if let Some(at) = find(&self.output[from..], mark) {
                return Ok(self.output.drain(..from + at + mark.len()).collect());
            }
            searched = self.output.len();
            let ended = self.step(deadline).await.with_context(|| self.missing(mark))?;
            if let Some(ended) = ended {
                bail!("{}, and the session ended: {ended:?}", self.missing(mark));
            }
        }
    }

    fn missing(&self, mark: &[u8]) -> String {
        let start = self.output.len().saturating_sub(600);
        format!(
            "expected {:?} in the output, which ends with {:?}",
            String::from_utf8_lossy(mark),
            String::from_utf8_lossy(&self.output[start..])
        )
    }

    /// Runs a command of the shell; its output without the echo of what was typed.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn run(&mut self, command: &str) -> anyhow::Result<String> {
        // The marks stand in the echo only in pieces.
        self.type_line(&format!("printf '<%s' '<'; {command}; printf '>%s' '>'")).await?;
        self.until(b"<<").await?;
        let mut output = self.until(b">>").await?;
        output.truncate(output.len() - 2);
        Ok(String::from_utf8_lossy(&output).replace("\r\n", "\n"))
    }

    /// Reads until at least `bytes` have been received in total.
    ///
    /// # Errors
    /// When the session ends or [`PATIENCE`] is over before.
    pub async fn until_received(&mut self, bytes: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.received < bytes {
            if let Some(ended) = self.step(deadline).await? {
                bail!("the session ended after {} bytes: {ended:?}", self.received);
            }
        }
        Ok(())
    }

    /// Reads whatever comes until nothing has come for `quiet`.
    ///
    /// # Errors
    /// When the session ends.
    pub async fn drain(&mut self, quiet: Duration) -> anyhow::Result<()> {
        loop {
            match tokio::time::timeout(quiet, self.step(Instant::now() + PATIENCE)).await {
                Err(_) => return Ok(()),
                Ok(step) => {
                    if let Some(ended) = step? {
                        bail!("the session ended: {ended:?}");
                    }
                }
            }
        }
    }

    /// Presses Ctrl-C once nothing has come for [`QUIET`], and waits for the prompt after it: what was
    /// still on its way would be typed behind an earlier one.
    ///
    /// # Errors
    /// When the session ends or no prompt comes.
    pub async fn interrupt_when_quiet(&mut self) -> anyhow::Result<()> {
        self.drain(QUIET).await?;
        self.output.clear();
        self.type_bytes(vec![3]).await?;
        self.until(b"^C").await?;
        self.until(b"$ ").await?;
        Ok(())
    }

    /// Reads until a notice comes.
    ///
    /// # Errors
    /// When the session ends or [`PATIENCE`] is over before.
    pub async fn notice(&mut self) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        while self.notices.is_empty() {
            if let Some(ended) = self.step(deadline).await? {
                bail!("expected a notice, but the session ended: {ended:?}");
            }
        }
        Ok(self.notices.remove(0))
    }

    /// Reads until a message is there that fits, and takes it with those before it.
    ///
    /// # Errors
    /// When the session ends or [`PATIENCE`] is over before.
    pub async fn message(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.messages.iter().position(&fits) {
                return Ok(self.messages.drain(..=at).next_back().unwrap_or_default());
            }
            let ended = self.step(deadline).await.with_context(|| format!("{what}, among {:?}", self.messages))?;
            if let Some(ended) = ended {
                bail!("expected {what}, but the session ended: {ended:?}");
            }
        }
    }

    /// Reads to the end of the connection.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub async fn end(&mut self, limit: Duration) -> anyhow::Result<Ended> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(ended) = self.step(deadline).await? {
                return Ok(ended);
            }
        }
    }

    /// Breaks the connection as a pulled plug does.
    pub fn cut(self) {
        drop(self);
    }

    /// Handles one frame; how the connection ended, when it did.
    async fn step(&mut self, deadline: Instant) -> anyhow::Result<Option<Ended>> {
        let message = match tokio::time::timeout_at(deadline, self.socket.next()).await {
            Err(_) => bail!("nothing came in time"),
            Ok(None | Some(Err(_))) => return Ok(Some(self.ended(1006, String::new()))),
            Ok(Some(Ok(message))) => message,
        };
        match message {
            Message::Binary(bytes) => {
                self.received += bytes.len() as u64;
                if self.keep_output {
                    self.output.extend_from_slice(&bytes);
                }
                if self.acknowledge && self.received - self.acknowledged >= ACK_EVERY {
                    self.ack().await?;
                }
            }
            Message::Text(text) => {
                let message: Value = serde_json::from_str(text.as_str())?;
                match message["type"].as_str() {
                    Some("ready") => {
                        // A fresh screen comes at another position.
                        self.received = message["offset"].as_u64().unwrap_or(self.received);
                        self.acknowledged = self.acknowledged.min(self.received);
                        self.messages.push(message.clone());
                        self.ready = message;
                    }
                    Some("notice") => self.notices.push(message),
                    Some("size" | "participants") => self.messages.push(message),
                    Some("exit") => self.last_message = Some(message),
                    Some("error") => {
                        self.messages.push(message.clone());
                        self.last_message = Some(message);
                    }
                    _ => bail!("a message that is not in the contract: {message}"),
                }
            }
            Message::Close(frame) => {
                let (code, reason) =
                    frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                return Ok(Some(self.ended(code, reason)));
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
        Ok(None)
    }

    fn ended(&mut self, code: u16, reason: String) -> Ended {
        Ended { message: self.last_message.take(), code, reason }
    }

    /// Acknowledges everything received. A hub that has closed meanwhile says why on the next read.
    ///
    /// # Errors
    /// When the socket is broken in another way.
    pub async fn ack(&mut self) -> anyhow::Result<()> {
        self.acknowledged = self.received;
        match self.send(&json!({ "type": "ack", "bytes": self.received })).await {
            Err(error)
                if !matches!(
                    error.downcast_ref(),
                    Some(Error::ConnectionClosed | Error::Protocol(_) | Error::Io(_))
                ) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

/// Asks for the upgrade at `path`, with the client's cookie and an `Origin`.
///
/// # Errors
/// When the hub cannot be reached or chooses another subprotocol.
pub async fn upgrade(
    client: &Client,
    path: &str,
    origin: Option<&str>,
) -> anyhow::Result<Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Refused>> {
    let mut request = format!("{}{path}", client.url().replacen("http", "ws", 1)).into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", PROTOCOL.parse()?);
    let cookies = client.cookie_header();
    if !cookies.is_empty() {
        headers.insert("cookie", cookies.parse()?);
    }
    if let Some(origin) = origin {
        headers.insert("origin", origin.parse()?);
    }
    let connected = tokio::time::timeout(
        Duration::from_secs(30),
        tokio_tungstenite::connect_async_with_config(request, None, true),
    );
    match connected.await.context("the upgrade took longer than 30 s")? {
        Ok((socket, response)) => {
            let protocol = response.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
            ensure!(protocol == Some(PROTOCOL), "the hub chose the subprotocol {protocol:?}");
            Ok(Ok(socket))
        }
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            client.record().lock().expect("no holder of the lock panics").push_str(&format!(
                "refused upgrade {}\n{}\n",
                response.status(),
                String::from_utf8_lossy(body)
            ));
            Ok(Err(Refused {
                status: response.status().as_u16(),
                body: serde_json::from_slice(body).unwrap_or(Value::Null),
            }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Position of `needle` in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
