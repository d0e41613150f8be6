//! The least that can stand between a WebSocket and an SSH server in this language: a process that decides
//! nothing, records nothing and checks no host key, beside which the hub's own part of a key's way shows.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use futures::{SinkExt as _, StreamExt as _};
use russh::{
    ChannelMsg,
    client::{self, Handle},
    keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};
use tokio_tungstenite::tungstenite::Message;

/// First argument of the process.
pub const ARGUMENT: &str = "--bare-bridge";

/// A bridge that runs; ends when dropped.
#[derive(Debug)]
pub struct Bridge {
    _child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bridge {
    /// Starts one to an SSH server of this machine.
    ///
    /// # Errors
    /// When this program cannot be started once more.
    pub async fn start(port: u16, username: &str, key: &PathBuf) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, &port.to_string(), username])
            .arg(key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the bare bridge")?;
        let output = child.stdout.take().context("no pipe")?;
        let line = BufReader::new(output).lines().next_line().await?.context("the bare bridge ended")?;
        Ok(Self { _child: child, address: line.parse().context("the bare bridge says no address")? })
    }
}

/// What the process does: [`ARGUMENT`], port, user name, key file.
///
/// # Errors
/// When it cannot listen.
pub async fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let [port, username, key] = arguments else { bail!("{ARGUMENT} PORT USER KEY") };
    let (port, username, key) = (port.parse::<u16>()?, username.clone(), PathBuf::from(key));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        let (username, key) = (username.clone(), key.clone());
        tokio::spawn(async move {
            if let Err(error) = carry(socket, port, &username, &key).await {
                eprintln!("bare bridge: {error:#}");
            }
        });
    }
}

async fn carry(socket: TcpStream, port: u16, username: &str, key: &PathBuf) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = tokio_tungstenite::accept_async(socket).await?;
    let handle = dial(port, username, key).await?;
    let mut channel = handle.channel_open_session().await?;
    channel.request_pty(false, "xterm-256color", 80, 24, 0, 0, &[]).await?;
    channel.request_shell(false).await?;
    loop {
        tokio::select! {
            said = channel.wait() => match said {
                Some(ChannelMsg::Data { data }) => socket.send(Message::Binary(data)).await?,
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            },
            typed = socket.next() => match typed {
                Some(Ok(Message::Binary(bytes))) => channel.data_bytes(bytes).await?,
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    // Whoever closed it first has already been answered.
    let _ = socket.close(None).await;
    Ok(())
}

async fn dial(port: u16, username: &str, key: &PathBuf) -> anyhow::Result<Handle<Anybody>> {
    let config = client::Config { nodelay: true, ..client::Config::default() };
    let mut handle = client::connect(Arc::new(config), ("127.0.0.1", port), Anybody).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(load_secret_key(key, None)?), None);
    ensure!(handle.authenticate_publickey(username, key).await?.success(), "the key was refused");
    Ok(handle)
}

struct Anybody;

impl client::Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}
