//! The listener: limits on connections, time for headers, TLS, graceful end.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, extract::connect_info::IntoMakeServiceWithConnectInfo};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use openpam_lifecycle::Lifecycle;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use crate::config;

/// Connections at the same time; the rest waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 8_192;
/// A client must send its request's head within this time: slow loris ends here.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A TLS handshake must be done within this time.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// Binds the listener, so that a restart right after a stop succeeds.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1_024)
}

/// TLS from certificate and key files, if they are configured.
pub(super) fn tls_acceptor(server: &config::Server) -> anyhow::Result<Option<TlsAcceptor>> {
    let tls = config::tls::server_config(server).map_err(|mistake| config::ConfigError(vec![mistake]))?;
    Ok(tls.map(|tls| TlsAcceptor::from(Arc::new(tls))))
}

/// Accepts connections until soft shutdown.
pub(super) fn start(
    lifecycle: &Lifecycle,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    application: IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
) {
    let owner = lifecycle.clone();
    lifecycle.supervise("listener", async move {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (stream, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors: wait for some to come back instead of spinning.
                        tracing::error!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
                () = owner.soft().cancelled() => return,
            };
            owner.spawn_child(serve_connection(owner.clone(), stream, peer, tls.clone(), application.clone(), place));
        }
    });
}

async fn serve_connection(
    lifecycle: Lifecycle,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    application: IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
    place: OwnedSemaphorePermit,
) {
    let _place = place;
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve_http(lifecycle, stream, peer, application).await,
        Some(tls) => match tokio::time::timeout(TLS_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve_http(lifecycle, stream, peer, application).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        },
    }
}

async fn serve_http<S>(
    lifecycle: Lifecycle,
    stream: S,
    peer: SocketAddr,
    mut application: IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(service) = application.call(PeerAddress(peer)).await;
    let service = hyper_util::service::TowerToHyperService::new(service);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(64)
        .max_header_list_size(64 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(Punctual::new(stream)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = lifecycle.soft().cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended with an error");
    }
}

/// A stream whose first bytes must come in time. The HTTP library has limits of its own from the
/// first line on, but waits for ever to learn which version of HTTP that is.
struct Punctual<S> {
    stream: S,
    awaited: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Fewer than any request has, and more than both versions of HTTP may begin with.
const FIRST_BYTES: usize = 16;

impl<S> Punctual<S> {
    fn new(stream: S) -> Self {
        Self { stream, awaited: FIRST_BYTES, deadline: Some(Box::pin(tokio::time::sleep(HEADER_TIMEOUT))) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Punctual<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.awaited = self.awaited.saturating_sub(buffer.filled().len() - before);
        if self.awaited == 0 {
            self.deadline = None;
        }
        match (read, &mut self.deadline) {
            (Poll::Pending, Some(deadline)) => {
                std::task::ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            (read, _) => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Punctual<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Hands the peer's address to `ConnectInfo`.
#[derive(Clone, Copy)]
struct PeerAddress(SocketAddr);

impl axum::extract::connect_info::Connected<PeerAddress> for SocketAddr {
    fn connect_info(peer: PeerAddress) -> Self {
        peer.0
    }
}
