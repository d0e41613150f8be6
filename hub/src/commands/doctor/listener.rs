//! The listen address: free, used by an OpenPAM hub already, or by something else.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use serde_json::Value;
use url::Url;

use super::Report;
use crate::config::Config;

const NAME: &str = "listen_address";
const LIMIT: Duration = Duration::from_secs(5);

/// A hub that listens where this configuration says.
#[derive(Debug)]
pub(super) struct RunningHub {
    /// What its `/readyz` says of the vault.
    pub(super) vault_state: Option<String>,
}

/// Looks whether the address is free; if not, who is there.
pub(super) async fn examine(config: &Config, report: &mut Report) -> Option<RunningHub> {
    let listen = config.server.listen;
    match TcpListener::bind(listen) {
        Ok(_) => {
            report.ok(NAME, format!("{listen} is free"));
            None
        }
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => match ask(config).await {
            Ok(ready) => {
                let state = if ready["ready"] == true { "ready" } else { "not ready" };
                report.ok(NAME, format!("{listen} is used by an OpenPAM hub, which is {state}"));
                Some(RunningHub { vault_state: ready["vault"]["state"].as_str().map(str::to_owned) })
            }
            Err(reason) => {
                report.failed(
                    NAME,
                    format!("{listen} is used by something that is not this hub ({reason})"),
                    format!("find it with `ss -ltnp 'sport = :{}'`, end it, or change server.listen", listen.port()),
                );
                None
            }
        },
        Err(error) => {
            let remedy = match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities= in systemd), or choose a higher one"
                }
                _ => "let server.listen be an address of this machine, or 0.0.0.0 for all",
            };
            report.failed(NAME, format!("cannot listen on {listen}: {error}"), remedy);
            None
        }
    }
}

/// What `/readyz` says there, when it is an OpenPAM hub.
async fn ask(config: &Config) -> Result<Value, String> {
    let server = &config.server;
    let address = reachable(server.listen);
    let mut client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(LIMIT);
    let mut url = format!("http://{address}/readyz");
    if server.tls_cert_file.is_some() {
        // Under its own name, at the address where it listens. Its certificate has a check of its own,
        // and nothing secret is sent.
        let host = Url::parse(&server.public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let host = host.unwrap_or_else(|| address.ip().to_string());
        client = client.resolve(&host, address).tls_danger_accept_invalid_certs(true);
        url = format!("https://{host}:{}/readyz", address.port());
    }
    let client = client.build().map_err(|error| error.to_string())?;
    let answer = client.get(url).send().await.map_err(|error| openpam_telemetry::with_causes(&error.without_url()))?;
    let status = answer.status();
    let body: Value = answer.json().await.map_err(|_| format!("it answers {status}, but not as a hub does"))?;
    if body["ready"].is_boolean() && body["vault"]["state"].is_string() {
        Ok(body)
    } else {
        Err(format!("it answers {status}, but not as a hub does"))
    }
}

/// Where a listener on "every address" can be reached from here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}
