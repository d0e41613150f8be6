//! From an [`Authorization`] to a byte stream.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use ipnetwork::IpNetwork;
use tokio::net::TcpStream;

use crate::{addresses, domains::access::Authorization};

/// How long an address may say nothing before the next one is asked as well (RFC 8305, section 5).
const NEXT_AFTER: Duration = Duration::from_millis(250);

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
/// With the reason of the last address that failed.
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
    let (mut allowed, mut refused) = (Vec::new(), None);
    for address in found {
        // Asked of the very address that is connected to: what the name says next time does not matter.
        match addresses::refused(address.ip(), exceptions) {
            Some(what) => {
                refused = Some(DialError::AddressRefused { host: host.to_owned(), address: address.ip(), what });
            }
            None => allowed.push(address),
        }
    }
    match first_that_answers(alternating(allowed)).await {
        Ok(stream) => {
            // Keystrokes must not wait for Nagle's algorithm.
            stream.set_nodelay(true).map_err(|source| DialError::Unreachable { host: host.to_owned(), source })?;
            Ok(stream)
        }
        Err(None) => Err(refused.unwrap_or_else(name_not_found)),
        Err(Some(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(DialError::Refused { host: host.to_owned(), port })
        }
        Err(Some(error)) if error.kind() == io::ErrorKind::TimedOut => {
            Err(DialError::TimedOut { host: host.to_owned(), port, seconds })
        }
        Err(Some(source)) => Err(DialError::Unreachable { host: host.to_owned(), source }),
    }
}

/// The addresses with the families taking turns, the first one's first (RFC 8305, section 4): where one family leads
/// nowhere, the other's turn comes soon, however many addresses the first has.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let (own, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut own, mut other) = (own.into_iter(), other.into_iter());
    let turns =
        std::iter::from_fn(|| Some([own.next(), other.next()])).take_while(|turn| turn.iter().any(Option::is_some));
    turns.flatten().flatten().collect()
}

/// A connection to the first address that gives one. Each is asked when the one before has failed, or has said nothing
/// for a moment; that one may still answer. The error is that of the last one that failed; none where there is no
/// address.
async fn first_that_answers(addresses: Vec<SocketAddr>) -> Result<TcpStream, Option<io::Error>> {
    let (mut waiting, mut asked, mut last) = (addresses.into_iter(), FuturesUnordered::new(), None);
    loop {
        if let Some(address) = waiting.next() {
            asked.push(TcpStream::connect(address));
        }
        tokio::select! {
            answer = asked.next() => match answer {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = Some(error),
                None => return Err(last),
            },
            () = tokio::time::sleep(NEXT_AFTER), if waiting.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// An address that drops whoever comes, as a firewall does, and what keeps it so: nobody takes the connections of
    /// a queue that is full.
    async fn black_hole() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let (address, mut kept) = (listener.local_addr().unwrap(), Vec::new());
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            kept.push(stream.unwrap());
            assert!(kept.len() < 50, "the queue is never full");
        }
        (address, kept, listener)
    }

    #[tokio::test]
    async fn an_address_that_says_nothing_does_not_keep_from_the_next() {
        let (silent, _kept, _listener) = black_hole().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = good.local_addr().unwrap();
        let asked = first_that_answers(vec![silent, silent, address]);
        let stream =
            tokio::time::timeout(Duration::from_secs(3), asked).await.expect("the silent one took all the time");
        assert_eq!(stream.unwrap().peer_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_at_once() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let begun = tokio::time::Instant::now();
        let stream = first_that_answers(vec![closed, closed, closed, good.local_addr().unwrap()]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
        assert!(begun.elapsed() < NEXT_AFTER, "{:?}", begun.elapsed());
        let error = first_that_answers(vec![closed]).await.unwrap_err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(first_that_answers(Vec::new()).await.unwrap_err().is_none());
    }

    #[test]
    fn the_families_take_turns() {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let (one, two, three) = ("[2001:db8::1]:22", "[2001:db8::2]:22", "[2001:db8::3]:22");
        let found = alternating(parse(&[one, two, three, "192.0.2.1:22"]));
        assert_eq!(found, parse(&[one, "192.0.2.1:22", two, three]));
        assert_eq!(alternating(parse(&["192.0.2.1:22", one])), parse(&["192.0.2.1:22", one]));
        assert_eq!(alternating(Vec::new()), Vec::new());
    }
}
