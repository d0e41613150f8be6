//! From an authorization to an SSH connection whose host key is the right one.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use russh::{
    SshId,
    client::{self, ChannelOpenHandle, Handle, Msg, Session},
    keys::{PublicKey, PublicKeyOrCertificate},
};
use tokio::net::TcpStream;

use super::{Gate, SshError, Trust, algorithms, gate::CutOnDrop, quick_ack::Hurry};

/// The target may send this much before it must wait for the hub. Small, so that little is under
/// way when a flood is interrupted; 30 ms away it still allows 4 MB/s.
const WINDOW: u32 = 128 * 1024;
/// Packets of output between the SSH client and the session.
const QUEUE: usize = 8;

/// An SSH connection whose host key was checked.
pub(crate) struct Connection {
    pub(super) handle: Handle<Checker>,
    /// Stops reading from the target.
    pub(crate) gate: Gate,
    pub(super) hurry: Hurry,
    pub(super) cut: CutOnDrop,
}

/// What a scan saw.
#[derive(Debug, Clone)]
pub(crate) struct SeenKey {
    /// The host key.
    pub(crate) key: PublicKey,
}

/// Does the SSH handshake over `stream`.
///
/// # Errors
/// When host key, algorithms or protocol are wrong, or it takes longer than `timeout`.
pub(crate) async fn handshake(
    stream: TcpStream,
    trust: Trust,
    legacy: bool,
    timeout: Duration,
) -> Result<Connection, SshError> {
    let (gate, hurry) = (Gate::default(), Hurry::default());
    let cut = gate.cut_on_drop();
    let checker = Checker { trust, seen: Arc::default() };
    let config = config(&checker.trust, legacy);
    let connecting = client::connect_stream(Arc::new(config), gate.guard(hurry.guard(stream)), checker);
    match tokio::time::timeout(timeout, Box::pin(connecting)).await {
        Ok(Ok(handle)) => Ok(Connection { handle, gate, hurry, cut }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(SshError::HandshakeTimedOut { seconds: timeout.as_secs() }),
    }
}

/// Looks at the target's host key of the algorithm that `trust` scans for, without logging in.
///
/// # Errors
/// When the target has no key of that algorithm or does not speak SSH.
pub(crate) async fn scan(
    stream: TcpStream,
    algorithm: russh::keys::Algorithm,
    timeout: Duration,
) -> Result<SeenKey, SshError> {
    let seen = Arc::<Mutex<Option<PublicKey>>>::default();
    let checker = Checker { trust: Trust::Scan(algorithm.clone()), seen: seen.clone() };
    let mut config = config(&checker.trust, true);
    config.preferred.key = Cow::Owned(
        // Also from a server that signs with SHA-1 only: its key is looked at, not trusted.
        algorithms::HOST_KEYS
            .iter()
            .cloned()
            .chain([russh::keys::Algorithm::Rsa { hash: None }])
            .filter(|other| algorithms::same_kind(&algorithm, other))
            .collect(),
    );
    let gate = Gate::default();
    let _cut = gate.cut_on_drop();
    let connecting = client::connect_stream(Arc::new(config), gate.guard(stream), checker);
    let outcome = tokio::time::timeout(timeout, Box::pin(connecting)).await;
    if let Some(key) = seen.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Ok(SeenKey { key });
    }
    match outcome {
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) => Err(SshError::Handshake(russh::Error::UnknownKey)),
        Err(_) => Err(SshError::HandshakeTimedOut { seconds: timeout.as_secs() }),
    }
}

fn config(trust: &Trust, legacy: bool) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-OpenPAM")),
        window_size: WINDOW,
        maximum_packet_size: 32 * 1024,
        channel_buffer_size: QUEUE,
        preferred: algorithms::preferred(legacy, &trust.algorithms(), trust.wants_certificate()),
        // The session sends keep-alives itself: it knows when it has stopped reading on purpose.
        keepalive_interval: None,
        nodelay: true,
        ..client::Config::default()
    }
}

/// Checks host keys and refuses whatever the target wants to open.
pub(crate) struct Checker {
    trust: Trust,
    seen: Arc<Mutex<Option<PublicKey>>>,
}

impl client::Handler for Checker {
    type Error = SshError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, SshError> {
        let verdict = self.trust.check(shown);
        if matches!(verdict, Err(SshError::KeySeen)) {
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown.public_key());
        }
        verdict.map(|()| true)
    }

    // A dropped reply is a refusal (the library's rule): the target opens nothing back to us.
    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: russh::Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SshError> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: russh::Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SshError> {
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _channel: russh::Channel<Msg>,
        _connected_address: &str,
        _connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SshError> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: russh::Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SshError> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: russh::Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SshError> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: russh::Channel<Msg>,
        _host_to_connect: &str,
        _port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SshError> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: russh::Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SshError> {
        Ok(())
    }
}
