//! An SSH server that breaks the rules: it takes any login, and instead of an answer to the request
//! for a terminal it talks without end. No honest server can be configured to do that.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use russh::{
    Channel, ChannelId, Pty,
    keys::{Algorithm, PrivateKey},
    server::{self, Auth, ChannelOpenHandle, Config, Msg, Session},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Listens on loopback until dropped.
#[derive(Debug)]
pub struct HostileSsh {
    address: SocketAddr,
    said: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl HostileSsh {
    /// Starts it.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)?;
        let config = Arc::new(Config { keys: vec![key], ..Config::default() });
        let said = Arc::new(AtomicU64::new(0));
        let counter = said.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (config, handler) = (config.clone(), Flood { said: counter.clone() });
                tokio::spawn(async move {
                    if let Ok(running) = server::run_stream(config, stream, handler).await {
                        let _ = running.await;
                    }
                });
            }
        });
        Ok(Self { address, said, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes it was able to say so far, its own buffers included.
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }
}

impl Drop for HostileSsh {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Flood {
    said: Arc<AtomicU64>,
}

impl server::Handler for Flood {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let (handle, said) = (session.handle(), self.said.clone());
        tokio::spawn(async move {
            let piece = Bytes::from_static(&[b'x'; 4096]);
            while handle.data(channel, piece.clone()).await.is_ok() {
                said.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        });
        Ok(())
    }
}
