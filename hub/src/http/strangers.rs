//! Bodies of those who have not signed in: so many at the same time, and not all of them one address's. Whoever opens
//! thousands of requests and lets them stand must not take the memory that sessions need.

use std::{
    net::IpAddr,
    sync::{LazyLock, Mutex, PoisonError},
};

use http::{Extensions, StatusCode};

use super::{ClientInfo, Problem};
use crate::{addresses::network_of, context::Context, tally::Tally};

/// Bodies that are read at the same time.
const MOST: usize = 4_096;
/// Of them, those of one address, or network of IPv6. A sign-in's body comes with its head: who has many that do not is
/// no person.
const MOST_OF_ADDRESS: usize = 32;

static READING: LazyLock<Mutex<Tally<IpAddr>>> = LazyLock::new(Mutex::default);

fn begin(reading: &mut Tally<IpAddr>, address: IpAddr) -> bool {
    if reading.total() >= MOST || reading.of(&address) >= MOST_OF_ADDRESS {
        return false;
    }
    reading.add(address);
    true
}

/// A place among those whose bodies are read, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat(IpAddr);

impl Drop for Seat {
    fn drop(&mut self) {
        READING.lock().unwrap_or_else(PoisonError::into_inner).take_off(&self.0);
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
    let address = extensions.get::<ClientInfo>().and_then(|client| client.ip).map_or(unknown, network_of);
    if begin(&mut READING.lock().unwrap_or_else(PoisonError::into_inner), address) {
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
        let mut reading = Tally::default();
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().unwrap());
        assert!((0..MOST_OF_ADDRESS).all(|_| begin(&mut reading, one)));
        assert!(!begin(&mut reading, one) && begin(&mut reading, other));
        reading.take_off(&other);
        for _ in 0..MOST_OF_ADDRESS {
            reading.take_off(&one);
        }
        assert!(reading.is_empty(), "{reading:?}");
        let many = (0..=MOST).map(|number| IpAddr::from((number as u32).to_be_bytes()));
        assert_eq!(many.filter(|address| begin(&mut reading, *address)).count(), MOST);
    }
}
