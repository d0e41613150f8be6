//! Connections of clients: how many each address has, and over which of them somebody has come who is signed in.
//! Strangers get few, and those not for long: where there are too many, the oldest gives way to the newest.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::{addresses::network_of, tally::Tally};

/// Connections of one address, or network of IPv6; a trusted proxy may have all.
pub const MAX_PER_ADDRESS: usize = 4_096;
/// Of them, those over which nobody has come yet who is signed in.
const MAX_STRANGERS: usize = 512;
/// Strangers' connections of all addresses: half of all that there may be.
const MAX_ALL_STRANGERS: usize = 4_096;
/// Connections over which one person, or program, has come. One that became a terminal's or a stream's counts no more.
const MAX_PER_PERSON: usize = 1_024;

#[derive(Debug, Default)]
struct Counts {
    all: Tally<IpAddr>,
    people: Tally<Arc<str>>,
    /// Strangers in the order in which they came.
    strangers: BTreeMap<u64, (IpAddr, CancellationToken)>,
    by_address: Tally<IpAddr>,
    next: u64,
}

/// How many connections each address has.
#[derive(Debug, Clone, Default)]
pub struct Visits {
    counts: Arc<Mutex<Counts>>,
}

/// One connection, while it lives.
#[derive(Debug)]
pub struct Visit {
    visits: Visits,
    address: IpAddr,
    /// A stranger's place in their order; `None` for a trusted proxy's, which is many people's.
    number: Option<u64>,
    /// Who has come over it.
    who: OnceLock<Arc<str>>,
    leave: CancellationToken,
}

impl Counts {
    fn forget(&mut self, number: u64) {
        if let Some((address, _)) = self.strangers.remove(&number) {
            self.by_address.take_off(&address);
        }
    }

    /// Asks the oldest stranger to leave: of this address, or of all.
    fn evict(&mut self, address: Option<IpAddr>) {
        let is_of = |of: &IpAddr| address.is_none_or(|address| address == *of);
        let oldest = self.strangers.iter().find(|(_, (of, _))| is_of(of)).map(|(number, (_, leave))| (*number, leave));
        if let Some((number, leave)) = oldest {
            leave.cancel();
            self.forget(number);
        }
    }
}

impl Visits {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection of this address, if it may have one.
    pub fn admit(&self, address: IpAddr, is_trusted: bool) -> Option<Visit> {
        let address = network_of(address);
        let leave = CancellationToken::new();
        let mut counts = self.counts();
        let mut number = None;
        if !is_trusted {
            if counts.all.of(&address) >= MAX_PER_ADDRESS {
                return None;
            }
            if counts.by_address.of(&address) >= MAX_STRANGERS {
                counts.evict(Some(address));
            } else if counts.strangers.len() >= MAX_ALL_STRANGERS {
                counts.evict(None);
            }
            let own = counts.next;
            counts.next += 1;
            counts.strangers.insert(own, (address, leave.clone()));
            counts.by_address.add(address);
            number = Some(own);
        }
        counts.all.add(address);
        Some(Visit { visits: self.clone(), address, number, who: OnceLock::new(), leave })
    }
}

impl Visit {
    /// This one, who is signed in, has come over it. It stays a stranger's where they have too many others.
    pub fn recognise(&self, who: impl FnOnce() -> String) {
        let Some(number) = self.number.filter(|_| self.who.get().is_none()) else { return };
        let who: Arc<str> = who().into();
        let mut counts = self.visits.counts();
        // Not one that was asked to leave, and not twice.
        if counts.strangers.contains_key(&number) && counts.people.of(&who) < MAX_PER_PERSON {
            counts.forget(number);
            counts.people.add(who.clone());
            drop(counts);
            let _ = self.who.set(who);
        }
    }

    /// Whether it is a trusted proxy's, or somebody who is signed in has come over it.
    pub fn is_known(&self) -> bool {
        self.number.is_none() || self.who.get().is_some()
    }

    /// Until it is to make room for another one.
    pub async fn evicted(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut counts = self.visits.counts();
        counts.all.take_off(&self.address);
        match (self.who.get(), self.number) {
            (Some(who), _) => counts.people.take_off(who),
            (None, Some(number)) => counts.forget(number),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_asked_to_leave(visit: &Visit) -> bool {
        visit.leave.is_cancelled()
    }

    #[test]
    fn the_oldest_strangers_give_way_and_an_address_has_half_of_the_places() {
        let visits = Visits::default();
        let (one, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut held = (0..=MAX_STRANGERS).map(|_| visits.admit(one, false).unwrap()).collect::<Vec<_>>();
        assert_eq!(held.iter().filter(|visit| is_asked_to_leave(visit)).count(), 1);
        assert!(is_asked_to_leave(&held[0]), "the oldest gives way");
        held[0].recognise(|| "late".to_owned());
        assert!(!held[0].is_known(), "who was asked to leave goes");
        assert!(visits.admit(other, false).is_some() && visits.admit(one, true).unwrap().is_known());
        held.remove(0);
        held.iter().enumerate().for_each(|(number, visit)| visit.recognise(|| number.to_string()));
        assert!(held.iter().all(Visit::is_known));
        while held.len() < MAX_PER_ADDRESS {
            let visit = visits.admit(one, false).unwrap();
            visit.recognise(|| held.len().to_string());
            held.push(visit);
        }
        assert!(visits.admit(one, false).is_none(), "an address has too many");
        held.clear();
        let counts = visits.counts();
        assert!(counts.all.is_empty() && counts.by_address.is_empty() && counts.people.is_empty());
        assert!(counts.strangers.is_empty(), "what has no connection is not remembered");
    }

    #[test]
    fn strangers_of_many_addresses_take_half_of_the_places_and_one_person_not_all() {
        let visits = Visits::default();
        let address = |number: usize| IpAddr::from((number as u32).to_be_bytes());
        let held = (0..MAX_ALL_STRANGERS + 10).map(|number| visits.admit(address(number), false).unwrap());
        let held = held.collect::<Vec<_>>();
        assert_eq!(held.iter().position(|visit| !is_asked_to_leave(visit)), Some(10));
        held.iter().for_each(|visit| visit.recognise(|| "ada".to_owned()));
        assert_eq!(held.iter().filter(|visit| visit.is_known()).count(), MAX_PER_PERSON);
        held[20].recognise(|| "ada".to_owned());
        drop(held);
        let counts = visits.counts();
        assert!(counts.people.is_empty() && counts.by_address.is_empty() && counts.strangers.is_empty());
    }
}
