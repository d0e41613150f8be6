//! The browser's side of a session: a WebSocket that is written without ever making its session
//! wait.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::time::Instant;

use super::{
    messages::{self, ClientMessage, MessageError, ServerMessage},
    output::Output,
};

/// Largest binary message; the WebSocket layer refuses larger ones too.
pub(super) const MAX_MESSAGE: usize = 1024 * 1024;
/// Text messages waiting for a browser that does not read.
const MAX_WAITING: usize = 64;
/// A closing socket may take this long.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A browser.
pub(super) struct Socket {
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    waiting: VecDeque<Message>,
    dirty: bool,
    /// Whether it was written down that it sent what cannot be understood.
    misunderstood: bool,
    /// When something last came from it.
    pub last_heard: Instant,
}

/// What came from the browser.
#[derive(Debug)]
pub(super) enum Event {
    /// Keys.
    Input(Bytes),
    /// A message.
    Message(ClientMessage),
    /// A message that cannot be understood; the socket goes on.
    Misunderstood(MessageError),
    /// Something the protocol does not allow; the socket must close with this code.
    Violation(u16, MessageError),
    /// Nothing of interest.
    Alive,
    /// It is gone.
    Gone,
}

impl Socket {
    pub(super) fn new(socket: WebSocket) -> Self {
        let (sink, stream) = socket.split();
        Self { sink, stream, waiting: VecDeque::new(), dirty: false, misunderstood: false, last_heard: Instant::now() }
    }

    /// Whether this is the first message of it that cannot be understood: one line of the log is enough.
    pub(super) fn is_first_misunderstanding(&mut self) -> bool {
        !std::mem::replace(&mut self.misunderstood, true)
    }

    /// Queues a message; it goes out before further output.
    pub(super) fn queue(&mut self, message: &ServerMessage<'_>) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(Message::text(message.to_text()));
        }
    }

    /// Queues a message that is text already.
    pub(super) fn queue_text(&mut self, text: Utf8Bytes) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(Message::Text(text));
        }
    }

    /// Queues a ping.
    pub(super) fn queue_ping(&mut self) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(Message::Ping(Bytes::new()));
        }
    }

    /// Whether there is something to write.
    pub(super) fn wants_to_write(&self, output: &Output) -> bool {
        self.dirty || !self.waiting.is_empty() || output.may_send()
    }

    /// Both halves, to wait on one while writing to the other.
    pub(super) fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        (
            Reader { stream: &mut self.stream },
            Writer { sink: &mut self.sink, waiting: &mut self.waiting, dirty: &mut self.dirty },
        )
    }

    /// Sends what waits and closes.
    pub(super) async fn close(mut self, output: &mut Output, code: u16, reason: &str) {
        // A close frame has room for 123 bytes.
        let reason = reason.chars().take(40).collect::<String>();
        let closing = async {
            self.split().1.write(output).await?;
            self.sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
            self.sink.close().await
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }
}

/// The writing half of a [`Socket`].
pub(super) struct Writer<'a> {
    sink: &'a mut SplitSink<WebSocket, Message>,
    waiting: &'a mut VecDeque<Message>,
    dirty: &'a mut bool,
}

impl Writer<'_> {
    /// Writes what waits and what the output has credit for, as far as the socket takes it, and
    /// flushes once at the end. Cancel safe: everything is in the socket and in `output`.
    pub(super) async fn write(mut self, output: &mut Output) -> Result<(), axum::Error> {
        poll_fn(|cx| self.poll_write(cx, output)).await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, output: &mut Output) -> Poll<Result<(), axum::Error>> {
        while !self.waiting.is_empty() || output.may_send() {
            ready!(self.sink.poll_ready_unpin(cx))?;
            let message = match self.waiting.pop_front() {
                Some(message) => message,
                None => match output.next_message() {
                    Some(bytes) => Message::Binary(bytes),
                    None => break,
                },
            };
            self.sink.start_send_unpin(message)?;
            *self.dirty = true;
        }
        if *self.dirty {
            ready!(self.sink.poll_flush_unpin(cx))?;
            *self.dirty = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// The reading half of a [`Socket`].
pub(super) struct Reader<'a> {
    stream: &'a mut SplitStream<WebSocket>,
}

impl Reader<'_> {
    /// The next event. Cancel safe.
    pub(super) async fn next(self) -> Event {
        match self.stream.next().await {
            Some(Ok(Message::Binary(bytes))) if bytes.len() > MAX_MESSAGE => too_large(),
            Some(Ok(Message::Binary(bytes))) if bytes.is_empty() => Event::Alive,
            Some(Ok(Message::Binary(bytes))) => Event::Input(bytes),
            Some(Ok(Message::Text(text))) => match messages::parse(&text) {
                Ok(message) => Event::Message(message),
                Err(error) => Event::Misunderstood(error),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Event::Alive,
            Some(Ok(Message::Close(_))) | None => Event::Gone,
            Some(Err(error)) => violation(error),
        }
    }
}

/// The next event; for ever none where nobody is to be heard.
pub(super) async fn next_event(reader: Option<Reader<'_>>) -> Event {
    match reader {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}

/// Writes what waits; for ever where nothing is to be written.
pub(super) async fn write(writer: Option<Writer<'_>>, output: &mut Output) -> Result<(), axum::Error> {
    match writer {
        Some(writer) => writer.write(output).await,
        None => std::future::pending().await,
    }
}

fn too_large() -> Event {
    Event::Violation(
        1009,
        MessageError { code: "message_too_large", message: "A message may have at most 1 MiB. Paste less at once." },
    )
}

fn violation(error: axum::Error) -> Event {
    use tokio_tungstenite::tungstenite::{
        Error,
        error::{CapacityError, ProtocolError},
    };
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(CapacityError::MessageTooLong { .. })) => too_large(),
        Some(Error::Utf8(_)) => Event::Violation(
            1007,
            MessageError { code: "invalid_utf8", message: "A text message must be valid UTF-8." },
        ),
        // A network that went away, or a page that was closed, says no goodbye.
        Some(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Event::Gone,
        Some(Error::Protocol(_)) => Event::Violation(
            1002,
            MessageError { code: "protocol_error", message: "The WebSocket protocol was violated." },
        ),
        _ => Event::Gone,
    }
}
