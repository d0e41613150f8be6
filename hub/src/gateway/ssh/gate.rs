//! A stream whose reading can be stopped while its writing goes on.
//!
//! The SSH client refills the target's window when bytes arrive, not when they are consumed, and
//! its loop waits for a full channel queue before it looks at outgoing keys. Stopping it at the
//! transport instead leaves that loop free: a key passes while output stands still, and the
//! target's own window pushes back on the program that floods.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes taken from the socket at once. The SSH client asks for each packet in two pieces; a terminal's
/// packets are a few kilobytes, so that this saves most of the system calls of a flood.
const READ_AHEAD: usize = 16 * 1024;
/// Room for what was read ahead that an idle stream may keep.
const KEPT: usize = 1024;

/// Opens and closes the reading side. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: AtomicBool,
    cut: AtomicBool,
    writer: AtomicWaker,
    received: AtomicU64,
    reader: AtomicWaker,
}

impl Gate {
    /// Lets bytes in, or not.
    pub(crate) fn set_open(&self, open: bool) {
        let was_closed = self.state.closed.swap(!open, Ordering::AcqRel);
        if was_closed && open {
            self.state.reader.wake();
        }
    }

    /// Cuts the stream off when the guard is dropped: reading and writing fail from then on. The SSH
    /// client's own task outlives its handle while it waits for a target that says nothing.
    pub(super) fn cut_on_drop(&self) -> CutOnDrop {
        CutOnDrop { state: self.state.clone() }
    }

    /// Bytes that came in, of any kind: a sign of life.
    pub(crate) fn received(&self) -> u64 {
        self.state.received.load(Ordering::Relaxed)
    }

    /// Puts the gate before `stream`.
    pub(crate) fn guard<S>(&self, stream: S) -> Gated<S> {
        Gated { stream, ahead: Vec::new(), taken: 0, state: self.state.clone() }
    }
}

/// Cuts a stream off when dropped.
#[derive(Debug)]
pub(crate) struct CutOnDrop {
    state: Arc<State>,
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.state.cut.store(true, Ordering::Release);
        self.state.reader.wake();
        self.state.writer.wake();
    }
}

impl State {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

/// A stream behind a [`Gate`].
#[derive(Debug)]
pub(crate) struct Gated<S> {
    stream: S,
    /// What was read ahead; its first `taken` bytes were handed on.
    ahead: Vec<u8>,
    taken: usize,
    state: Arc<State>,
}

impl<S: AsyncRead + Unpin> Gated<S> {
    /// Reads from what was read ahead, and from the stream when that is used up. Nothing of the
    /// read-ahead stays allocated while the stream is idle: there are thousands of them.
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken == self.ahead.len() {
            if buffer.remaining() >= READ_AHEAD {
                return Pin::new(&mut self.stream).poll_read(cx, buffer);
            }
            let mut space = [const { MaybeUninit::uninit() }; READ_AHEAD];
            let mut space = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
            let (now, later) = space.filled().split_at(space.filled().len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.taken = 0;
            self.ahead.clear();
            self.ahead.extend_from_slice(later);
            return Poll::Ready(Ok(()));
        }
        let rest = &self.ahead[self.taken..];
        let now = &rest[..rest.len().min(buffer.remaining())];
        buffer.put_slice(now);
        self.taken += now.len();
        if self.taken == self.ahead.len() {
            self.taken = 0;
            self.ahead.clear();
            self.ahead.shrink_to(KEPT);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gated<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Before the looks: who opens or cuts in between would wake nobody.
        self.state.reader.register(cx.waker());
        self.state.check()?;
        if self.state.closed.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let result = self.poll_read_ahead(cx, buffer);
        let read = buffer.filled().len() - before;
        self.state.received.fetch_add(read as u64, Ordering::Relaxed);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gated<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.state.writer.register(cx.waker());
        self.state.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.state.writer.register(cx.waker());
        self.state.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_closed_gate_stops_reading_and_not_writing() {
        let (near, mut far) = tokio::io::duplex(64);
        let gate = Gate::default();
        let mut guarded = gate.guard(near);
        gate.set_open(false);
        far.write_all(b"flood").await.unwrap();
        let mut buffer = [0; 5];
        let read = tokio::time::timeout(Duration::from_millis(20), guarded.read_exact(&mut buffer)).await;
        assert!(read.is_err(), "nothing may pass a closed gate");
        guarded.write_all(b"key").await.unwrap();
        let mut key = [0; 3];
        far.read_exact(&mut key).await.unwrap();
        assert_eq!(&key, b"key");
        let opener = gate.clone();
        let (read, ()) = tokio::join!(guarded.read_exact(&mut buffer), async move { opener.set_open(true) });
        read.unwrap();
        assert_eq!((&buffer, gate.received()), (b"flood", 5));
    }

    #[tokio::test]
    async fn what_was_read_ahead_arrives_whole_in_pieces_of_any_size() {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let gate = Gate::default();
        let mut guarded = gate.guard(near);
        let sent: Vec<u8> = (0..100_000u32).map(|position| (position % 251) as u8).collect();
        let copy = sent.clone();
        let writing = async move {
            far.write_all(&copy).await.unwrap();
            drop(far);
        };
        let reading = async {
            let mut read = Vec::new();
            for size in [4, 4_000, 1, 20_000, 36, READ_AHEAD, READ_AHEAD - 1].into_iter().cycle() {
                let mut piece = vec![0; size];
                let length = guarded.read(&mut piece).await.unwrap();
                if length == 0 {
                    return read;
                }
                read.extend_from_slice(&piece[..length]);
            }
            read
        };
        let (read, ()) = tokio::join!(reading, writing);
        assert!(read == sent, "{} of {} bytes arrived, or others", read.len(), sent.len());
        assert_eq!(gate.received(), 100_000);
        assert!(guarded.ahead.capacity() <= KEPT);
    }

    #[tokio::test]
    async fn a_stream_that_is_cut_off_fails_at_once() {
        let (near, _far) = tokio::io::duplex(8);
        let gate = Gate::default();
        let mut guarded = gate.guard(near);
        let cut = gate.cut_on_drop();
        let (read, ()) = tokio::join!(guarded.read_u8(), async move { drop(cut) });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        let written = guarded.write_all(b"more than fits").await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
