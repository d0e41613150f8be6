//! One interactive shell on the target, reached by OpenSSH's client or through the hub, with the
//! same key on the same sshd.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, bail, ensure};
use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use openpam_tests::{Client, Stack, terminal};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{Instant, timeout},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};
use tokio_util::sync::CancellationToken;

use crate::bare::Bridge;

/// How long anything may take before the run fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// As the console does.
const ACK_EVERY: u64 = 32 * 1024;

/// How to get a line.
#[derive(Debug, Clone)]
pub enum Route {
    /// OpenSSH's client.
    Direct(Direct),
    /// The hub.
    Hub(Through),
    /// A bridge that does nothing else.
    Bare(SocketAddr),
}

/// Arguments of OpenSSH's client.
#[derive(Debug, Clone)]
pub struct Direct {
    username: String,
    port: u16,
    key: PathBuf,
}

/// A target of a hub, and who opens it.
#[derive(Debug, Clone)]
pub struct Through {
    /// Signed in.
    pub client: Client,
    /// The target.
    pub target_id: String,
    /// The credential.
    pub credential_id: String,
}

/// The key of the stack that both routes use.
///
/// # Errors
/// When the stack has none.
pub fn key(stack: &Stack) -> anyhow::Result<PathBuf> {
    stack.password_target().private_keys.get("ed25519").cloned().context("the stack has no ed25519 key")
}

impl Direct {
    /// To the stack's first SSH target.
    ///
    /// # Errors
    /// When the stack has no key.
    pub fn new(stack: &Stack) -> anyhow::Result<Self> {
        let server = stack.password_target();
        Ok(Self { username: server.username.clone(), port: server.port, key: key(stack)? })
    }

    /// A bare bridge to the same server with the same key.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn bare_bridge(&self) -> anyhow::Result<Bridge> {
        Bridge::start(self.port, &self.username, &self.key).await
    }
}

/// A shell on a terminal.
pub enum Line {
    /// OpenSSH's client with its pipes.
    Direct {
        /// The client.
        child: Box<Child>,
        /// Where keys go.
        keys: ChildStdin,
        /// Where output comes from.
        output: ChildStdout,
        /// Room for output.
        buffer: BytesMut,
    },
    /// The WebSocket of the hub or of a bare bridge.
    Hub {
        /// The socket.
        socket: Box<WebSocketStream<MaybeTlsStream<TcpStream>>>,
        /// Bytes received.
        received: u64,
        /// Bytes acknowledged.
        acknowledged: u64,
    },
}

impl Line {
    /// Opens a line; returns when the shell has said its first byte.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn open(route: &Route) -> anyhow::Result<Self> {
        let mut line = match route {
            Route::Direct(direct) => Self::dial(direct)?,
            Route::Hub(through) => Self::upgrade(through).await?,
            Route::Bare(address) => Self::bare(*address).await?,
        };
        line.receive().await?;
        Ok(line)
    }

    fn dial(direct: &Direct) -> anyhow::Result<Self> {
        let mut child = Command::new("ssh")
            .args(["-tt", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i"])
            .arg(&direct.key)
            .args(["-p", &direct.port.to_string(), &format!("{}@127.0.0.1", direct.username)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run ssh")?;
        let keys = child.stdin.take().context("no pipe")?;
        let output = child.stdout.take().context("no pipe")?;
        Ok(Self::Direct { child: Box::new(child), keys, output, buffer: BytesMut::new() })
    }

    async fn upgrade(through: &Through) -> anyhow::Result<Self> {
        let path = format!(
            "/api/ws/connect/ssh/{}?credential_id={}&cols=80&rows=24",
            through.target_id, through.credential_id
        );
        match terminal::upgrade(&through.client, &path, Some(through.client.url())).await? {
            Ok(socket) => Ok(Self::Hub { socket: Box::new(socket), received: 0, acknowledged: 0 }),
            Err(refused) => bail!("the hub refused with {}: {}", refused.status, refused.body),
        }
    }

    async fn bare(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = MaybeTlsStream::Plain(stream);
        let (socket, _) = tokio_tungstenite::client_async(format!("ws://{address}/"), stream).await?;
        Ok(Self::Hub { socket: Box::new(socket), received: 0, acknowledged: 0 })
    }

    /// Process id of OpenSSH's client.
    pub fn client_pid(&self) -> Option<u32> {
        match self {
            Self::Direct { child, .. } => child.id(),
            Self::Hub { .. } => None,
        }
    }

    /// Types.
    ///
    /// # Errors
    /// When the line is gone.
    pub async fn send(&mut self, bytes: impl Into<Bytes>) -> anyhow::Result<()> {
        let bytes = bytes.into();
        match self {
            Self::Direct { keys, .. } => {
                keys.write_all(&bytes).await?;
                keys.flush().await?;
            }
            Self::Hub { socket, .. } => socket.send(Message::Binary(bytes)).await?,
        }
        Ok(())
    }

    /// The next output; acknowledged as the console does.
    ///
    /// # Errors
    /// When the line ends or is silent for [`PATIENCE`].
    pub async fn receive(&mut self) -> anyhow::Result<Bytes> {
        let bytes = self.receive_only().await?;
        self.acknowledge().await?;
        Ok(bytes)
    }

    async fn acknowledge(&mut self) -> anyhow::Result<()> {
        if let Self::Hub { socket, received, acknowledged } = self
            && *received - *acknowledged >= ACK_EVERY
        {
            *acknowledged = *received;
            socket.send(Message::text(format!(r#"{{"type":"ack","bytes":{received}}}"#))).await?;
        }
        Ok(())
    }

    async fn receive_only(&mut self) -> anyhow::Result<Bytes> {
        timeout(PATIENCE, self.receive_any()).await.context("the line is silent")?
    }

    async fn receive_any(&mut self) -> anyhow::Result<Bytes> {
        match self {
            Self::Direct { output, buffer, .. } => {
                buffer.reserve(32 * 1024);
                ensure!(output.read_buf(buffer).await? > 0, "ssh ended");
                Ok(buffer.split().freeze())
            }
            Self::Hub { socket, received, .. } => loop {
                match socket.next().await.context("the socket ended")?? {
                    Message::Binary(bytes) => {
                        *received += bytes.len() as u64;
                        return Ok(bytes);
                    }
                    Message::Text(text) => {
                        let text = text.as_str();
                        ensure!(!text.contains(r#""type":"e"#), "the session ended: {text}");
                    }
                    Message::Close(frame) => bail!("the socket was closed: {frame:?}"),
                    _ => {}
                }
            },
        }
    }

    /// Reads until `mark` was said; bytes read.
    ///
    /// # Errors
    /// When the line ends before.
    pub async fn until(&mut self, mark: &[u8]) -> anyhow::Result<u64> {
        let mut search = Search::new(mark);
        let mut total = 0;
        loop {
            let bytes = self.receive().await?;
            total += bytes.len() as u64;
            if search.found_in(&bytes) {
                return Ok(total);
            }
        }
    }

    /// As [`Self::until`], but as a reader that takes at most `rate` bytes a second; gives up after
    /// `limit` (`false`).
    ///
    /// # Errors
    /// When the line ends before.
    pub async fn until_slowly(&mut self, mark: &[u8], pace: &mut Pace, limit: Duration) -> anyhow::Result<bool> {
        let mut search = Search::new(mark);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let bytes = self.receive_only().await?;
            // What was received counts as read, and is acknowledged, only after its share of time.
            pace.wait(bytes.len()).await;
            self.acknowledge().await?;
            if search.found_in(&bytes) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes the shell quiet and predictable, and waits until it is.
    ///
    /// # Errors
    /// When the line ends.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        self.send("bind 'set enable-bracketed-paste off'; PS1='$ '; PROMPT_COMMAND=; printf 'SET%s\\n' TLED\n").await?;
        self.until(b"SETTLED\r\n$ ").await?;
        Ok(())
    }

    /// Does nothing, but answers signs of life, as an open page does; ends the shell when it is told to.
    pub async fn idle(mut self, end: CancellationToken) {
        if end.run_until_cancelled(self.listen()).await.is_none() {
            self.close().await;
        }
    }

    /// Answers signs of life until the line ends; may be given up at any moment without losing anything.
    pub async fn listen(&mut self) {
        while self.receive_any().await.is_ok() {}
    }

    /// Ends the shell and waits for the end.
    pub async fn close(mut self) {
        let _ = self.send("exit\n").await;
        let ended = async { while self.receive().await.is_ok() {} };
        let _ = timeout(Duration::from_secs(10), ended).await;
    }
}

/// A reader's speed.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: f64,
    free_at: Instant,
}

impl Pace {
    /// So many bytes a second.
    pub fn new(bytes_per_second: f64) -> Self {
        Self { bytes_per_second, free_at: Instant::now() }
    }

    /// Waits until `bytes` more are read.
    async fn wait(&mut self, bytes: usize) {
        let took = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        self.free_at = self.free_at.max(Instant::now()) + took;
        tokio::time::sleep_until(self.free_at).await;
    }
}

/// Looks for a mark across pieces.
#[derive(Debug)]
struct Search {
    mark: Vec<u8>,
    last: Vec<u8>,
}

impl Search {
    fn new(mark: &[u8]) -> Self {
        Self { mark: mark.to_vec(), last: Vec::new() }
    }

    fn found_in(&mut self, bytes: &[u8]) -> bool {
        // Only the ends matter: every mark of this suite is followed by silence.
        let keep = self.mark.len() + 64;
        self.last.extend_from_slice(&bytes[bytes.len().saturating_sub(keep)..]);
        let found = terminal::find(&self.last, &self.mark).is_some();
        let excess = self.last.len().saturating_sub(keep);
        self.last.drain(..excess);
        found
    }
}
