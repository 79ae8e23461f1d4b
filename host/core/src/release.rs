//! Puts the release of signatures in order with changes of keys' states: a signature whose outcome is recorded after the change does not
//! leave.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// One for each pipeline.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    /// Changes so far.
    changes: AtomicU64,
    /// Read while an outcome is recorded, written while a change is. It guards no value, so that a panic leaves nothing half done.
    order: RwLock<()>,
}

impl Releases {
    /// How many changes there have been. Taken before the state is looked at.
    pub(crate) fn seen(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Records an outcome; `record` is told whether there was a change since `seen`. No change is made meanwhile.
    pub(crate) fn release<T>(&self, seen: u64, record: impl FnOnce(bool) -> T) -> T {
        let _no_change = self.order.read().unwrap_or_else(PoisonError::into_inner);
        record(self.seen() != seen)
    }

    /// Makes a change. No outcome is recorded meanwhile, and those recorded later know of it.
    pub(crate) fn change<T>(&self, change: impl FnOnce() -> T) -> T {
        let _no_release = self.order.write().unwrap_or_else(PoisonError::into_inner);
        // Before, for whoever is past looking at the state; and after, for whoever looked between the first and the change itself.
        self.changes.fetch_add(1, Ordering::SeqCst);
        let changed = change();
        self.changes.fetch_add(1, Ordering::SeqCst);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_after_a_change_knows_of_it() {
        let releases = Releases::default();
        let before = releases.seen();
        assert!(!releases.release(before, |changed| changed));
        assert_eq!(releases.change(|| 7), 7);
        assert!(releases.release(before, |changed| changed));
        assert!(!releases.release(releases.seen(), |changed| changed));
    }
}
