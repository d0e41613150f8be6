//! Bodies on their way: so many at the same time, and not all of them one address's or one person's. Whoever opens
//! thousands of requests and lets them stand must not take the memory that sessions need.

use std::{
    net::IpAddr,
    sync::{LazyLock, Mutex, PoisonError},
};

use http::{Extensions, StatusCode};

use super::{ClientInfo, Problem};
use crate::{addresses::network_of, context::Context, tally::Tally};

/// Bodies of strangers that are read at the same time.
const MOST_OF_STRANGERS: usize = 4_096;
/// Of them, those of one address, or network of IPv6. A sign-in's body comes with its head: who has many that do not is
/// no person.
const MOST_OF_ADDRESS: usize = 32;
/// Bodies of one who has signed in: each may have 1 MiB.
const MOST_OF_PERSON: usize = 64;

/// Whose body it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owner {
    Stranger(IpAddr),
    Known(String),
}

#[derive(Debug, Default)]
struct Reading {
    strangers: Tally<IpAddr>,
    known: Tally<String>,
}

static READING: LazyLock<Mutex<Reading>> = LazyLock::new(Mutex::default);

impl Reading {
    fn begin(&mut self, owner: &Owner) -> bool {
        let has_place = match owner {
            Owner::Stranger(address) => {
                self.strangers.total() < MOST_OF_STRANGERS && self.strangers.of(address) < MOST_OF_ADDRESS
            }
            Owner::Known(who) => self.known.of(who) < MOST_OF_PERSON,
        };
        if has_place {
            match owner {
                Owner::Stranger(address) => self.strangers.add(*address),
                Owner::Known(who) => self.known.add(who.clone()),
            }
        }
        has_place
    }

    fn end(&mut self, owner: &Owner) {
        match owner {
            Owner::Stranger(address) => self.strangers.take_off(address),
            Owner::Known(who) => self.known.take_off(who),
        }
    }
}

/// A place among those whose bodies are read, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat(Owner);

impl Drop for Seat {
    fn drop(&mut self) {
        READING.lock().unwrap_or_else(PoisonError::into_inner).end(&self.0);
    }
}

/// A place for the body of a request with these extensions.
///
/// # Errors
/// `busy`, when there is none.
pub(super) fn seat(extensions: &Extensions) -> Result<Seat, Problem> {
    let unknown = IpAddr::from([0, 0, 0, 0]);
    let owner = match extensions.get::<Context>() {
        Some(context) => Owner::Known(context.principal.actor.to_string()),
        None => {
            Owner::Stranger(extensions.get::<ClientInfo>().and_then(|client| client.ip).map_or(unknown, network_of))
        }
    };
    if READING.lock().unwrap_or_else(PoisonError::into_inner).begin(&owner) {
        return Ok(Seat(owner));
    }
    let detail = "Too many requests are being read. Try again in a moment.";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_leaves_no_places_to_others_and_all_are_given_back() {
        let mut reading = Reading::default();
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|text| Owner::Stranger(text.parse().unwrap()));
        let [ada, bob] = ["ada", "bob"].map(|name| Owner::Known(name.to_owned()));
        assert!((0..MOST_OF_ADDRESS).all(|_| reading.begin(&one)));
        assert!((0..MOST_OF_PERSON).all(|_| reading.begin(&ada)));
        assert!(!reading.begin(&one) && reading.begin(&other));
        assert!(!reading.begin(&ada) && reading.begin(&bob));
        [other, bob].iter().for_each(|owner| reading.end(owner));
        (0..MOST_OF_ADDRESS).for_each(|_| reading.end(&one));
        (0..MOST_OF_PERSON).for_each(|_| reading.end(&ada));
        assert!(reading.strangers.is_empty() && reading.known.is_empty(), "{reading:?}");
        let many = (0..=MOST_OF_STRANGERS).map(|number| Owner::Stranger(IpAddr::from((number as u32).to_be_bytes())));
        assert_eq!(many.filter(|owner| reading.begin(owner)).count(), MOST_OF_STRANGERS);
        assert!(reading.begin(&ada), "strangers take no place of who has signed in");
    }
}
