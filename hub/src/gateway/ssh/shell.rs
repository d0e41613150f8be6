//! A terminal with a shell on a connection that is logged in.

use std::time::Duration;

use bytes::Bytes;
use russh::{
    ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Disconnect, Pty,
    client::{Handle, Msg},
};
use tokio::time::Instant;

use super::{Connection, Gate, SshError, client::Checker, gate::CutOnDrop};

const TIMEOUT: Duration = Duration::from_secs(20);
/// What a target may say before it has confirmed the shell, in bytes and in packets.
const MAX_EARLY: (usize, usize) = (256 * 1024, 1024);

/// A shell on a terminal of the target.
pub(crate) struct Shell {
    /// The connection.
    pub(crate) handle: Handle<Checker>,
    /// What the target says.
    pub(crate) output: ChannelReadHalf,
    /// What it is told.
    pub(crate) input: ChannelWriteHalf<Msg>,
    /// Stops reading from it.
    pub(crate) gate: Gate,
    /// What it said before the shell was confirmed.
    pub(crate) early: Vec<Bytes>,
    /// Whatever becomes of the SSH client's task, the connection ends with the shell.
    _cut: CutOnDrop,
}

impl Shell {
    /// Opens a terminal of `cols` by `rows` with a shell, before `deadline`. All requests leave at once: one round
    /// trip after the channel is open.
    ///
    /// # Errors
    /// When the target refuses or does not answer.
    pub(crate) async fn open(
        connection: Connection,
        cols: u16,
        rows: u16,
        deadline: Instant,
    ) -> Result<Self, SshError> {
        let patience = TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
        match tokio::time::timeout(patience, Box::pin(Self::request(connection, cols, rows))).await {
            Ok(result) => result,
            Err(_) => Err(SshError::TerminalRefused("to answer the request for a terminal")),
        }
    }

    async fn request(connection: Connection, cols: u16, rows: u16) -> Result<Self, SshError> {
        let Connection { handle, gate, hurry, cut } = connection;
        let channel = handle.channel_open_session().await.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(_) => SshError::TerminalRefused("to open a session"),
            other => SshError::Lost(other),
        })?;
        let (mut output, input) = channel.split();
        let modes = [(Pty::IUTF8, 1)];
        input
            .request_pty(true, "xterm-256color", cols.into(), rows.into(), 0, 0, &modes)
            .await
            .map_err(SshError::Lost)?;
        // Servers take or leave it; without it many shells do not know that the terminal is UTF-8.
        input.set_env(false, "LANG", "C.UTF-8").await.map_err(SshError::Lost)?;
        input.set_env(false, "COLORTERM", "truecolor").await.map_err(SshError::Lost)?;
        input.request_shell(true).await.map_err(SshError::Lost)?;
        let (mut early, mut early_bytes) = (Vec::new(), 0);
        let mut waiting = ["a terminal", "a shell"].into_iter().peekable();
        while let Some(what) = waiting.peek() {
            match output.wait().await {
                Some(ChannelMsg::Success) => {
                    waiting.next();
                }
                Some(ChannelMsg::Failure) => return Err(SshError::TerminalRefused(what)),
                Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => {
                    early_bytes += data.len();
                    early.push(data);
                    if early_bytes > MAX_EARLY.0 || early.len() > MAX_EARLY.1 {
                        return Err(SshError::TerminalRefused("to open a shell before it talks"));
                    }
                }
                Some(ChannelMsg::Close) | None => return Err(SshError::TerminalRefused(what)),
                Some(_) => {}
            }
        }
        hurry.end();
        Ok(Self { handle, output, input, gate, early, _cut: cut })
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        self.gate.set_open(true);
        let goodbye = async {
            let _ = self.input.close().await;
            let _ = self.handle.disconnect(Disconnect::ByApplication, "", "en").await;
            let _ = (&mut self.handle).await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
    }
}
