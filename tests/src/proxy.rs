//! A TCP proxy that can fail: to put the vault, the provider or a target out of reach without
//! touching the server that other tests use.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass.
    None,
    /// Connections are closed at once, those that exist too.
    Refuse,
    /// Connections are accepted and no byte passes.
    Silence,
}

/// A listener on loopback in front of a server.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    fault: Arc<watch::Sender<Fault>>,
    task: tokio::task::JoinHandle<()>,
}

impl FaultProxy {
    /// Starts in front of `server` (`host:port`).
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: &str) -> anyhow::Result<Self> {
        let listener = crate::hub::bind_free_port().await?;
        let address = listener.local_addr()?;
        let (fault, state) = watch::channel(Fault::None);
        let server = server.to_owned();
        let task = tokio::spawn(accept(listener, server, state));
        Ok(Self { address, fault: Arc::new(fault), task })
    }

    /// In front of the server of an `http://` URL; the second value is that URL through the proxy.
    ///
    /// # Errors
    /// When the URL has no host or no port is free.
    pub async fn in_front_of(url: &str) -> anyhow::Result<(Self, String)> {
        let mut url = url::Url::parse(url)?;
        let server =
            format!("{}:{}", url.host_str().context("no host")?, url.port_or_known_default().context("no port")?);
        let proxy = Self::start(&server).await?;
        url.set_port(Some(proxy.address.port())).ok().context("the URL takes no port")?;
        Ok((proxy, url.as_str().trim_end_matches('/').to_owned()))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens, from now on and for connections that exist.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, server: String, state: watch::Receiver<Fault>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(carry(client, server.clone(), state.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn carry(mut client: TcpStream, server: String, mut state: watch::Receiver<Fault>) {
    loop {
        let fault = *state.borrow_and_update();
        match fault {
            Fault::Refuse => return,
            Fault::Silence => {
                if state.changed().await.is_err() {
                    return;
                }
            }
            Fault::None => break,
        }
    }
    let Ok(mut upstream) = TcpStream::connect(&server).await else { return };
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => return,
        changed = state.wait_for(|fault| *fault != Fault::None) => {
            if !matches!(changed.map(|fault| *fault), Ok(Fault::Silence)) {
                return;
            }
        }
    }
    // Silent from here on: both ends stay open until the fault changes.
    let _ = state.wait_for(|fault| *fault != Fault::Silence).await;
}
