//! Exports under way: so many at the same time, and not all of them one person's. Each holds some segments in memory for as
//! long as whoever asked for it takes to read them.

use std::sync::{LazyLock, Mutex, PoisonError};

use super::Error;
use crate::{context::Context, tally::Tally};

/// Exports of a hub at the same time, and of one person.
const MOST: usize = 16;
const MOST_OF_PERSON: usize = 2;

static UNDER_WAY: LazyLock<Mutex<Tally<String>>> = LazyLock::new(Mutex::default);

/// A place for an export, given back when dropped.
#[derive(Debug)]
pub(super) struct Place(String);

impl Drop for Place {
    fn drop(&mut self) {
        UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).take_off(&self.0);
    }
}

/// A place for an export.
///
/// # Errors
/// When there is none.
pub(super) fn place(context: &Context) -> Result<Place, Error> {
    take(context.principal.actor.to_string()).ok_or(Error::TooManyExports)
}

fn take(who: String) -> Option<Place> {
    let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    if under_way.total() >= MOST || under_way.of(&who) >= MOST_OF_PERSON {
        return None;
    }
    under_way.add(who.clone());
    Some(Place(who))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_leaves_places_to_others_and_gives_theirs_back() {
        let ada = (0..MOST_OF_PERSON).map(|_| take("ada".to_owned()).unwrap()).collect::<Vec<_>>();
        assert!(take("ada".to_owned()).is_none());
        let others = (0..MOST).map_while(|number| take(number.to_string())).collect::<Vec<_>>();
        assert_eq!(others.len(), MOST - MOST_OF_PERSON);
        drop(ada);
        assert!(take("ada".to_owned()).is_some());
    }
}
