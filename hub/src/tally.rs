//! How many of something each one has at the moment, so that none has more than their share.

use std::{collections::HashMap, hash::Hash};

/// Counts by key. Whoever has none is not remembered.
#[derive(Debug)]
pub struct Tally<K> {
    by_key: HashMap<K, usize>,
    total: usize,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), total: 0 }
    }
}

impl<K: Hash + Eq> Tally<K> {
    /// How many this one has.
    pub fn of(&self, key: &K) -> usize {
        self.by_key.get(key).copied().unwrap_or_default()
    }

    /// How many all have together.
    pub const fn total(&self) -> usize {
        self.total
    }

    /// One more.
    pub fn add(&mut self, key: K) {
        *self.by_key.entry(key).or_default() += 1;
        self.total += 1;
    }

    /// One less, of those that were added.
    pub fn take_off(&mut self, key: &K) {
        if let Some(own) = self.by_key.get_mut(key) {
            *own -= 1;
            self.total -= 1;
            if *own == 0 {
                self.by_key.remove(key);
            }
        }
    }

    /// Whether nobody has any, and nobody is remembered.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_counted_until_it_is_taken_off() {
        let mut tally = Tally::default();
        for key in ["one", "other", "one"] {
            tally.add(key);
        }
        assert_eq!((tally.of(&"one"), tally.of(&"other"), tally.of(&"third"), tally.total()), (2, 1, 0, 3));
        tally.take_off(&"third");
        tally.take_off(&"other");
        tally.take_off(&"other");
        assert_eq!((tally.of(&"other"), tally.total(), tally.is_empty()), (0, 2, false));
        tally.take_off(&"one");
        tally.take_off(&"one");
        assert!(tally.is_empty() && tally.total() == 0);
    }
}
