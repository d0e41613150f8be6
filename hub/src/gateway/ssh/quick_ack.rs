//! A TCP stream that acknowledges what it reads at once, while a session is being set up.
//!
//! OpenSSH's server switches Nagle's algorithm off only when it gives out a terminal. Until then its
//! second small packet in a row waits for an acknowledgement, and a client with nothing to say delays
//! that by 40 ms. TCP_QUICKACK, tcp(7), ends the delay; the kernel forgets it by itself, so it is set
//! again after each read.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Whether acknowledgements are still hurried. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Hurry {
    over: Arc<AtomicBool>,
}

impl Hurry {
    /// The set-up is done: the kernel chooses again.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// The stream that hurries.
    pub(super) fn guard(&self, stream: TcpStream) -> QuickAck {
        let hurried = QuickAck { stream, hurry: self.clone() };
        hurried.acknowledge();
        hurried
    }
}

/// A stream whose acknowledgements are hurried.
#[derive(Debug)]
pub(super) struct QuickAck {
    stream: TcpStream,
    hurry: Hurry,
}

impl QuickAck {
    fn acknowledge(&self) {
        #[cfg(target_os = "linux")]
        if !self.hurry.over.load(Ordering::Relaxed) {
            // Only a matter of speed.
            let _ = self.stream.set_quickack(true);
        }
    }
}

impl AsyncRead for QuickAck {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if result.is_ready() {
            self.acknowledge();
        }
        result
    }
}

impl AsyncWrite for QuickAck {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
