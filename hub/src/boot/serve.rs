//! The listener: limits on connections, time for headers, TLS, graceful end.

use std::{
    collections::HashMap,
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, extract::connect_info::IntoMakeServiceWithConnectInfo};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use ipnetwork::IpNetwork;
use openpam_lifecycle::Lifecycle;
use openpam_telemetry::names;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};
use tokio_rustls::TlsAcceptor;
use tower::{Service as _, ServiceExt as _};

use crate::{
    config,
    visits::{self, Visit, Visits},
};

/// Connections at the same time; the rest waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 8_192;
/// A client must send its request's head within this time: slow loris ends here.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A TLS handshake must be done within this time.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection lasts over which nobody comes who is signed in: what was not read of its answers is in memory.
const STRANGERS_TIME: Duration = Duration::from_secs(120);
/// How long what is under way may go on after it.
const FAREWELL: Duration = Duration::from_secs(10);

/// Lines of the log about one address are this far apart: whoever connects without end must not fill it.
const NOTICE_INTERVAL: Duration = Duration::from_secs(60);
/// Addresses that lines are written about within that time.
const MAX_NOTICES: usize = 1_024;

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
    trusted_proxies: Vec<IpNetwork>,
) {
    let owner = lifecycle.clone();
    lifecycle.supervise("listener", async move {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (visits, too_many, slow) = (Visits::default(), Notices::default(), Notices::default());
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
            let address = peer.ip().to_canonical();
            let trusted = trusted_proxies.iter().any(|network| network.contains(address));
            // Closed without a word to the client: whoever does this does not read it.
            let Some(visit) = visits.admit(address, trusted) else {
                metrics::counter!(names::CONNECTIONS_REFUSED, "reason" => "address_limit").increment(1);
                if too_many.is_due(address, Instant::now()) {
                    tracing::warn!(%address, most = visits::MAX_PER_ADDRESS, "more connections than one address may have");
                }
                continue;
            };
            let place = (place, Arc::new(visit));
            let (tls, application) = (tls.clone(), application.clone());
            owner.spawn_child(serve_connection(owner.clone(), stream, peer, tls, application, place, slow.clone()));
        }
    });
}

/// When something was last written down about which address.
#[derive(Debug, Clone, Default)]
struct Notices {
    written: Arc<Mutex<HashMap<IpAddr, Instant>>>,
}

impl Notices {
    /// Whether a line about this address may be written now.
    fn is_due(&self, address: IpAddr, now: Instant) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| now.duration_since(*at) < NOTICE_INTERVAL;
        if written.len() >= MAX_NOTICES {
            written.retain(|_, at| is_recent(at));
        }
        if written.len() >= MAX_NOTICES || written.get(&address).is_some_and(is_recent) {
            return false;
        }
        written.insert(address, now);
        true
    }
}

async fn serve_connection(
    lifecycle: Lifecycle,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    application: IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
    place: (OwnedSemaphorePermit, Arc<Visit>),
    slow: Notices,
) {
    let (_place, visit) = place;
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve_http(lifecycle, stream, peer, application, (visit, slow)).await,
        Some(tls) => match tokio::time::timeout(TLS_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve_http(lifecycle, stream, peer, application, (visit, slow)).await,
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
    (visit, slow): (Arc<Visit>, Notices),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(service) = application.call(PeerAddress(peer)).await;
    let of_visit = visit.clone();
    let service = service.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(of_visit.clone());
        request
    });
    let service = hyper_util::service::TowerToHyperService::new(service);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(32)
        .max_send_buf_size(64 * 1024)
        .max_header_list_size(64 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    let stream = Punctual::new(stream);
    let unanswered = stream.unanswered.clone();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = lifecycle.soft().cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = visit.evicted() => {
            metrics::counter!(names::CONNECTIONS_REFUSED, "reason" => "gave_way").increment(1);
            tracing::debug!(%peer, "a stranger's connection made room for another one");
            return;
        }
        () = outstays(&visit) => {
            connection.as_mut().graceful_shutdown();
            let Ok(ended) = tokio::time::timeout(FAREWELL, connection).await else {
                metrics::counter!(names::CONNECTIONS_REFUSED, "reason" => "outstayed").increment(1);
                tracing::debug!(%peer, "nobody signed in and answers are not read: connection closed");
                return;
            };
            ended
        }
    };
    if let Err(error) = ended {
        // A connection that only rests between two requests ends in the same way.
        if unanswered.load(Ordering::Relaxed) && is_slow_head(&*error) {
            metrics::counter!(names::CONNECTIONS_REFUSED, "reason" => "slow_head").increment(1);
            if slow.is_due(peer.ip().to_canonical(), Instant::now()) {
                tracing::info!(%peer, code = "slow_head", "the head of a request took too long, connection closed");
            }
        }
        tracing::debug!(%peer, %error, "connection ended with an error");
    }
}

/// Until a connection has lasted for long enough without anybody who is signed in; for ever where somebody is.
async fn outstays(visit: &Visit) {
    tokio::time::sleep(STRANGERS_TIME).await;
    if visit.is_known() {
        std::future::pending::<()>().await;
    }
}

/// The first bytes of a connection did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("the head of the request took too long")]
struct SlowHead;

/// Whether a connection ended because the head of a request did not come in time: here, or in the HTTP library, whose
/// other time-outs have a cause.
fn is_slow_head(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| Error::source(*error)).any(|error| {
        let of_library = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout);
        let of_stream = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        of_library && error.source().is_none() || of_stream.is_some_and(|error| error.is::<SlowHead>())
    })
}

/// A stream whose first bytes must come in time, and which must take what it is sent. The HTTP library
/// has limits of its own from the first line on, but waits for ever to learn which version of HTTP that
/// is, and for a client that does not read.
struct Punctual<S> {
    stream: S,
    /// Bytes so far that are those of [`PREFACE`].
    matched: usize,
    /// Until it is known which version of HTTP this is.
    deadline: Option<Pin<Box<Sleep>>>,
    /// While the client takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
    /// Whether the client has sent something since it was last sent something.
    unanswered: Arc<AtomicBool>,
}

/// What a connection of HTTP/2 begins with (RFC 9113 §3.4): the version is open until a byte differs.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A client must take something within this time. A terminal's session outlives its connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

impl<S> Punctual<S> {
    fn new(stream: S) -> Self {
        let deadline = Some(Box::pin(tokio::time::sleep(HEADER_TIMEOUT)));
        Self { stream, matched: 0, deadline, stuck: None, unanswered: Arc::default() }
    }

    /// Looks at what came while the version is open.
    fn look(&mut self, bytes: &[u8]) {
        if self.deadline.is_none() || bytes.is_empty() {
            return;
        }
        let rest = &PREFACE[self.matched..];
        let length = rest.len().min(bytes.len());
        if rest[..length] == bytes[..length] {
            self.matched += length;
        }
        if rest[..length] != bytes[..length] || self.matched == PREFACE.len() {
            self.deadline = None;
        }
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.unanswered.store(false, Ordering::Relaxed);
        }
    }

    /// What a write came to, or that the client has taken nothing for too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        std::task::ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Punctual<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.unanswered.store(true, Ordering::Relaxed);
        }
        self.look(&buffer.filled()[before..]);
        match (read, &mut self.deadline) {
            (Poll::Pending, Some(deadline)) => {
                std::task::ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, SlowHead)))
            }
            (read, _) => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Punctual<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&written);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.note(&written);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, shut)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open_after(pieces: &[&[u8]]) -> bool {
        let mut stream = Punctual { stream: (), matched: 0, deadline: None, stuck: None, unanswered: Arc::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        stream.deadline = Some(Box::pin(tokio::time::sleep(HEADER_TIMEOUT)));
        for piece in pieces {
            stream.look(piece);
        }
        stream.deadline.is_some()
    }

    #[test]
    fn the_deadline_stays_until_the_version_is_known() {
        for length in 0..PREFACE.len() {
            assert!(is_open_after(&[&PREFACE[..length]]), "after {length} bytes of the preface");
            let bytes = PREFACE[..length].iter().map(std::slice::from_ref).collect::<Vec<_>>();
            assert!(is_open_after(&bytes), "after {length} bytes, one by one");
        }
        assert!(!is_open_after(&[PREFACE]));
        for other in [&b"GET / HTTP/1.1"[..], b"P", b"PRI * HTTP/2.0\r\nx", b"\x16\x03"] {
            assert_eq!(is_open_after(&[other]), PREFACE.starts_with(other), "{other:?}");
        }
    }

    #[test]
    fn one_address_is_written_about_once_a_minute_and_not_all_of_the_internet() {
        let (notices, now) = (Notices::default(), Instant::now());
        let one = IpAddr::from([10, 0, 0, 1]);
        assert!(notices.is_due(one, now) && !notices.is_due(one, now + NOTICE_INTERVAL / 2));
        assert!(notices.is_due(one, now + NOTICE_INTERVAL));
        let many = (0..2 * MAX_NOTICES as u32).map(|number| IpAddr::from(number.to_be_bytes()));
        let later = now + NOTICE_INTERVAL * 3;
        assert_eq!(many.filter(|address| notices.is_due(*address, later)).count(), MAX_NOTICES);
        assert!(notices.is_due(one, later + NOTICE_INTERVAL), "what was long ago makes room");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_come_is_told_from_a_client_that_does_not_read() {
        use tokio::io::AsyncReadExt as _;
        let (_client, server) = tokio::io::duplex(64);
        let error = Punctual::new(server).read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(is_slow_head(&error));
        assert!(!is_slow_head(&io::Error::from(io::ErrorKind::TimedOut)));
    }

    #[tokio::test]
    async fn a_client_that_was_answered_only_rests() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut client, server) = tokio::io::duplex(64);
        let mut stream = Punctual::new(server);
        let unanswered = stream.unanswered.clone();
        assert!(!unanswered.load(Ordering::Relaxed), "it has sent nothing yet");
        client.write_all(b"G").await.unwrap();
        stream.read_u8().await.unwrap();
        assert!(unanswered.load(Ordering::Relaxed));
        stream.write_all(b"x").await.unwrap();
        assert!(!unanswered.load(Ordering::Relaxed));
    }
}
