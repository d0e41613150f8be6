//! Bodies of those who have not signed in: so many at the same time, and not all of them one address's. Whoever opens
//! thousands of requests and lets them stand must not take the memory that sessions need.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{LazyLock, Mutex, PoisonError},
};

use http::{Extensions, StatusCode};

use super::{ClientInfo, Problem};
use crate::context::Context;

/// Bodies that are read at the same time.
const MOST: usize = 2_048;
/// Of them, those of one address.
const MOST_OF_ADDRESS: usize = 256;

static READING: LazyLock<Mutex<Reading>> = LazyLock::new(Mutex::default);

#[derive(Debug, Default)]
struct Reading {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Reading {
    fn begin(&mut self, address: IpAddr) -> bool {
        let own = self.by_address.get(&address).copied().unwrap_or_default();
        if self.total >= MOST || own >= MOST_OF_ADDRESS {
            return false;
        }
        self.total += 1;
        self.by_address.insert(address, own + 1);
        true
    }

    fn end(&mut self, address: IpAddr) {
        self.total = self.total.saturating_sub(1);
        if let Some(own) = self.by_address.get_mut(&address) {
            *own -= 1;
            if *own == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

/// A place among those whose bodies are read, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat(IpAddr);

impl Drop for Seat {
    fn drop(&mut self) {
        READING.lock().unwrap_or_else(PoisonError::into_inner).end(self.0);
    }
}

/// A place for the body of a request with these extensions; none is needed by who has signed in.
///
/// # Errors
/// `busy`, when there is none.
pub(super) fn seat(extensions: &Extensions) -> Result<Option<Seat>, Problem> {
    if extensions.get::<Context>().is_some() {
        return Ok(None);
    }
    let unknown = IpAddr::from([0, 0, 0, 0]);
    let address = extensions.get::<ClientInfo>().and_then(|client| client.ip).unwrap_or(unknown);
    if READING.lock().unwrap_or_else(PoisonError::into_inner).begin(address) {
        return Ok(Some(Seat(address)));
    }
    let detail = "Too many requests are being read. Try again in a moment.";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_places_to_others_and_all_are_given_back() {
        let mut reading = Reading::default();
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().unwrap());
        assert!((0..MOST_OF_ADDRESS).all(|_| reading.begin(one)));
        assert!(!reading.begin(one) && reading.begin(other));
        reading.end(other);
        for _ in 0..MOST_OF_ADDRESS {
            reading.end(one);
        }
        assert!(reading.total == 0 && reading.by_address.is_empty(), "{reading:?}");
        let many = (0..=MOST).map(|number| IpAddr::from((number as u32).to_be_bytes()));
        assert_eq!(many.filter(|address| reading.begin(*address)).count(), MOST);
    }
}
