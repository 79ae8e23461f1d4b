//! Names that come one by one, and only so many of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// What stands for every name past the bound.
pub(super) const OTHER: &str = "other";

/// The longest name that gets a series: what the configuration lets a name be.
const NAME_MAX: usize = 128;

/// A value for each name, up to a bound; the rest shares one.
pub(super) struct Bounded<V> {
    max: usize,
    make: fn() -> V,
    known: RwLock<BTreeMap<Box<str>, Arc<V>>>,
    other: Arc<V>,
}

impl<V> fmt::Debug for Bounded<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("max", &self.max).finish_non_exhaustive()
    }
}

impl<V> Bounded<V> {
    pub(super) fn new(max: usize, make: fn() -> V) -> Self {
        Self {
            max,
            make,
            known: RwLock::default(),
            other: Arc::new(make()),
        }
    }

    /// The name's value; makes one while there is room.
    pub(super) fn get(&self, name: &str) -> Arc<V> {
        if let Some(value) = self.look(name) {
            return value;
        }
        // A map of counters is valid after any panic.
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if name == OTHER || name.len() > NAME_MAX || (known.len() >= self.max && !known.contains_key(name)) {
            return Arc::clone(&self.other);
        }
        Arc::clone(known.entry(name.into()).or_insert_with(|| Arc::new((self.make)())))
    }

    /// The name's value, or what the unknown share.
    pub(super) fn find(&self, name: &str) -> Arc<V> {
        self.look(name).unwrap_or_else(|| Arc::clone(&self.other))
    }

    fn look(&self, name: &str) -> Option<Arc<V>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).cloned()
    }

    /// Every name with its value, the others' last.
    pub(super) fn each(&self, mut visit: impl FnMut(&str, &V) -> fmt::Result) -> fmt::Result {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        known.iter().try_for_each(|(name, value)| visit(name, value))?;
        visit(OTHER, &self.other)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn names_past_the_bound_and_names_that_are_too_long_share_one_value() {
        let bounded = Bounded::new(2, AtomicU64::default);
        for name in ["a", "b", "c", "d", "a", &"x".repeat(129), OTHER] {
            bounded.get(name).fetch_add(1, Ordering::Relaxed);
        }
        // Asking makes none.
        bounded.find("z").fetch_add(1, Ordering::Relaxed);
        let mut seen = Vec::new();
        bounded
            .each(|name, value| {
                seen.push((name.to_owned(), value.load(Ordering::Relaxed)));
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, [("a".into(), 2), ("b".into(), 1), ("other".into(), 5)]);
    }
}
