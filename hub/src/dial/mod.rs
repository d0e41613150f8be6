//! From an [`Authorization`] to a byte stream.

use std::{io, net::IpAddr, time::Duration};

use ipnetwork::IpNetwork;
use tokio::net::TcpStream;

use crate::{addresses, domains::access::Authorization};

/// Why a target could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("the name {host} has no address")]
    NameNotFound {
        /// The name.
        host: String,
    },
    /// Nothing listens there.
    #[error("{host}:{port} refused the connection")]
    Refused {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Its address is one at which no target may be.
    #[error(
        "the address {address} of {host} is refused: it is {what}, and targets.address_exceptions does not name it"
    )]
    AddressRefused {
        /// Name or address.
        host: String,
        /// What the name leads to.
        address: IpAddr,
        /// What kind of address that is.
        what: &'static str,
    },
    /// There is no route.
    #[error("{host} is unreachable: {source}")]
    Unreachable {
        /// Name or address.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// No answer in time.
    #[error("{host}:{port} did not answer within {seconds} s")]
    TimedOut {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// How long was waited.
        seconds: u64,
    },
    /// The target's zone needs a satellite.
    #[error("the target's zone is reached through a satellite and none is connected")]
    NoSatellite,
}

impl DialError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NameNotFound { .. } => "target_name_not_found",
            Self::Refused { .. } => "target_refused",
            Self::AddressRefused { .. } => "target_address_refused",
            Self::Unreachable { .. } => "target_unreachable",
            Self::TimedOut { .. } => "target_timed_out",
            Self::NoSatellite => "no_satellite",
        }
    }
}

/// Connects to the endpoint the authorization names, trying every address of its name but those at which
/// no target may be, unless `exceptions` names them.
///
/// # Errors
/// With the reason of the last address tried.
pub async fn connect(
    authorization: &Authorization,
    exceptions: &[IpNetwork],
    timeout: Duration,
) -> Result<TcpStream, DialError> {
    let endpoint = authorization.endpoint();
    if endpoint.satellite_zone.is_some() {
        return Err(DialError::NoSatellite);
    }
    let (host, port) = (endpoint.host.clone(), endpoint.port);
    let seconds = timeout.as_secs();
    match tokio::time::timeout(timeout, connect_any(&host, port, seconds, exceptions)).await {
        Ok(result) => result,
        Err(_) => Err(DialError::TimedOut { host, port, seconds }),
    }
}

async fn connect_any(host: &str, port: u16, seconds: u64, exceptions: &[IpNetwork]) -> Result<TcpStream, DialError> {
    let name_not_found = || DialError::NameNotFound { host: host.to_owned() };
    let found = tokio::net::lookup_host((host, port)).await.map_err(|_| name_not_found())?;
    let (mut last, mut refused) = (None, None);
    for address in found {
        // Asked of the very address that is connected to: what the name says next time does not matter.
        if let Some(what) = addresses::refused(address.ip(), exceptions) {
            refused = Some(DialError::AddressRefused { host: host.to_owned(), address: address.ip(), what });
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Keystrokes must not wait for Nagle's algorithm.
                if let Err(source) = stream.set_nodelay(true) {
                    return Err(DialError::Unreachable { host: host.to_owned(), source });
                }
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        None => refused.unwrap_or_else(name_not_found),
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            DialError::Refused { host: host.to_owned(), port }
        }
        Some(error) if error.kind() == io::ErrorKind::TimedOut => {
            DialError::TimedOut { host: host.to_owned(), port, seconds }
        }
        Some(source) => DialError::Unreachable { host: host.to_owned(), source },
    })
}
