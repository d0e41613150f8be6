//! Connections of clients: how many each address has, and over which of them somebody has come who is signed in.
//! Strangers get few, and those not for long.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{addresses::network_of, tally::Tally};

/// Connections of one address, or network of IPv6; a trusted proxy may have all.
pub const MAX_PER_ADDRESS: usize = 4_096;
/// Of them, those over which nobody has come yet who is signed in.
const MAX_STRANGERS: usize = 512;

#[derive(Debug, Default)]
struct Counts {
    all: Tally<IpAddr>,
    strangers: Tally<IpAddr>,
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
    is_known: AtomicBool,
}

impl Visits {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection of this address, if it may have one. What comes over a trusted proxy's is many people's.
    pub fn admit(&self, address: IpAddr, is_trusted: bool) -> Option<Arc<Visit>> {
        let address = network_of(address);
        let mut counts = self.counts();
        if !is_trusted && (counts.all.of(&address) >= MAX_PER_ADDRESS || counts.strangers.of(&address) >= MAX_STRANGERS)
        {
            return None;
        }
        counts.all.add(address);
        if !is_trusted {
            counts.strangers.add(address);
        }
        Some(Arc::new(Visit { visits: self.clone(), address, is_known: AtomicBool::new(is_trusted) }))
    }
}

impl Visit {
    /// Somebody who is signed in has come over it.
    pub fn recognise(&self) {
        if !self.is_known.swap(true, Ordering::Relaxed) {
            self.visits.counts().strangers.take_off(&self.address);
        }
    }

    /// Whether somebody who is signed in has come over it.
    pub fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut counts = self.visits.counts();
        counts.all.take_off(&self.address);
        if !*self.is_known.get_mut() {
            counts.strangers.take_off(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_half_of_the_places_few_of_them_as_a_stranger_and_gives_them_back() {
        let visits = Visits::default();
        let (one, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut held = (0..MAX_STRANGERS).map(|_| visits.admit(one, false).unwrap()).collect::<Vec<_>>();
        assert!(visits.admit(one, false).is_none(), "a stranger has too many");
        assert!(visits.admit(other, false).is_some() && visits.admit(one, true).is_some());
        held.iter().for_each(|visit| visit.recognise());
        held[0].recognise();
        while held.len() < MAX_PER_ADDRESS {
            let visit = visits.admit(one, false).unwrap();
            visit.recognise();
            held.push(visit);
        }
        assert!(visits.admit(one, false).is_none(), "an address has too many");
        assert!(visits.admit(other, false).is_some());
        held.truncate(MAX_PER_ADDRESS - 1);
        drop(visits.admit(one, false).unwrap());
        held.clear();
        let counts = visits.counts();
        assert!(counts.all.is_empty() && counts.strangers.is_empty(), "what has no connection is not remembered");
    }
}
