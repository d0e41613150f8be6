//! What is on its way from the browser to the target.

use std::collections::VecDeque;

use bytes::Bytes;
use russh::{ChannelWriteHalf, client::Msg};

/// Input is handed to the SSH client in pieces of at most this size.
const PIECE: usize = 32 * 1024;
/// Pieces after which no more is taken from the browser; with the message they came from, 2 MiB.
const FULL: usize = 32;

/// One thing for the target.
#[derive(Debug)]
pub(super) enum Input {
    /// Keys, at most [`PIECE`] bytes.
    Keys(Bytes),
    /// Columns and rows.
    Size(u16, u16),
}

/// Input that waits for the target.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Input>,
}

impl Backlog {
    /// Adds keys.
    pub(super) fn push_keys(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.waiting.push_back(Input::Keys(piece));
        }
    }

    /// Adds a size.
    pub(super) fn push_size(&mut self, (cols, rows): (u16, u16)) {
        self.waiting.push_back(Input::Size(cols, rows));
    }

    /// The next for the target.
    pub(super) fn pop(&mut self) -> Option<Input> {
        self.waiting.pop_front()
    }

    /// Whether the target is so far behind that nothing more may be taken from the browser.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= FULL
    }
}

/// Hands the input to the SSH client; without one, never returns. Not cancel safe: a piece goes on
/// until it is delivered whole.
pub(super) async fn deliver(target: &ChannelWriteHalf<Msg>, input: Option<Input>) -> Result<(), russh::Error> {
    match input {
        Some(Input::Keys(bytes)) => target.data_bytes(bytes).await,
        Some(Input::Size(cols, rows)) => target.window_change(cols.into(), rows.into(), 0, 0).await,
        None => std::future::pending().await,
    }
}
