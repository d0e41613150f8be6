//! A TCP proxy that can fail: to put the vault, the provider or a target out of reach without
//! touching the server that other tests use.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
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
    /// HTTP requests whose path has this in it are answered with this status and a page of no meaning, as something
    /// between client and server does; others pass.
    Answer {
        /// Part of the path.
        within: &'static str,
        /// Such as `503 Service Unavailable`.
        status: &'static str,
    },
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
            Fault::Answer { within, status } => return answer(client, &server, within, status).await,
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

/// One request a connection: answers it, or carries it to the server.
async fn answer(mut client: TcpStream, server: &str, within: &str, status: &str) {
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if !matches!(client.read_buf(&mut head).await, Ok(read) if read > 0) {
            return;
        }
    };
    let first = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    if first.contains(within) {
        let page = "<html>not the server</html>";
        let length = page.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{page}");
        let _ = client.write_all(answer.as_bytes()).await;
        let _ = client.shutdown().await;
        // What the client still sends must be read, or closing resets the connection before the answer is.
        let _ = tokio::time::timeout(
            std::time::Duration::from_secs(1),
            tokio::io::copy(&mut client, &mut tokio::io::sink()),
        )
        .await;
        return;
    }
    let Ok(mut upstream) = TcpStream::connect(server).await else { return };
    let rest = head.split_off(end);
    head.extend_from_slice(b"\r\nconnection: close");
    head.extend_from_slice(&rest);
    if upstream.write_all(&head).await.is_ok() {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
    }
}
