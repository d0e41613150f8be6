//! From an [`Authorization`] to a byte stream.

use std::{io, net::IpAddr, sync::OnceLock, time::Duration};

use ipnetwork::IpNetwork;
use tokio::net::TcpStream;

use crate::{addresses, domains::access::Authorization};

/// The configuration's exceptions, set once before anything is dialled. Until then there are none, which
/// refuses the most.
static ADDRESS_EXCEPTIONS: OnceLock<Vec<IpNetwork>> = OnceLock::new();

/// Sets the networks that are dialled although they are refused by default; only the first call counts.
pub fn set_address_exceptions(exceptions: Vec<IpNetwork>) {
    let _ = ADDRESS_EXCEPTIONS.set(exceptions);
}

/// An address at which no target may be. Travels as the source of [`DialError::Unreachable`].
#[derive(Debug, thiserror::Error)]
#[error("its address {address} is refused: it is {what}, and targets.address_exceptions does not name it")]
struct AddressRefused {
    address: IpAddr,
    what: &'static str,
}

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
    /// There is no route, or its address is one at which no target may be.
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
            Self::Unreachable { source, .. } if source.get_ref().is_some_and(|cause| cause.is::<AddressRefused>()) => {
                "target_address_refused"
            }
            Self::NameNotFound { .. } => "target_name_not_found",
            Self::Refused { .. } => "target_refused",
            Self::Unreachable { .. } => "target_unreachable",
            Self::TimedOut { .. } => "target_timed_out",
            Self::NoSatellite => "no_satellite",
        }
    }
}

/// Connects to the endpoint the authorization names, trying every address of its name but those at which
/// no target may be.
///
/// # Errors
/// With the reason of the last address tried.
pub async fn connect(authorization: &Authorization, timeout: Duration) -> Result<TcpStream, DialError> {
    let endpoint = authorization.endpoint();
    if endpoint.satellite_zone.is_some() {
        return Err(DialError::NoSatellite);
    }
    let (host, port) = (endpoint.host.clone(), endpoint.port);
    let seconds = timeout.as_secs();
    match tokio::time::timeout(timeout, connect_any(&host, port)).await {
        Ok(result) => result,
        Err(_) => Err(DialError::TimedOut { host, port, seconds }),
    }
}

async fn connect_any(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let name_not_found = || DialError::NameNotFound { host: host.to_owned() };
    let found = tokio::net::lookup_host((host, port)).await.map_err(|_| name_not_found())?;
    let exceptions = ADDRESS_EXCEPTIONS.get().map(Vec::as_slice).unwrap_or_default();
    let mut last = None;
    for address in found {
        // Asked of the very address that is connected to: what the name says next time does not matter.
        if let Some(what) = addresses::refused(address.ip(), exceptions) {
            let refused = AddressRefused { address: address.ip(), what };
            last = last.or_else(|| Some(io::Error::new(io::ErrorKind::PermissionDenied, refused)));
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
        None => name_not_found(),
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            DialError::Refused { host: host.to_owned(), port }
        }
        Some(error) if error.kind() == io::ErrorKind::TimedOut => {
            DialError::TimedOut { host: host.to_owned(), port, seconds: 0 }
        }
        Some(source) => DialError::Unreachable { host: host.to_owned(), source },
    })
}
