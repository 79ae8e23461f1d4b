//! How many evaluations run at once: as many as there are cores, since more only evict each other's caches.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// A counting semaphore.
#[derive(Debug)]
pub struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to run one evaluation; given back when dropped.
#[derive(Debug)]
#[must_use]
pub struct Permit<'a>(&'a Permits);

impl Permits {
    /// `count` permits, at least one.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            free: Mutex::new(count.max(1)),
            freed: Condvar::new(),
        }
    }

    /// Waits for a permit until `deadline`. None after it, even if one is free: who asks so late has waited elsewhere.
    pub fn acquire(&self, deadline: Instant) -> Option<Permit<'_>> {
        if Instant::now() >= deadline {
            return None;
        }
        // A count is valid after any panic.
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            let left = deadline.checked_duration_since(Instant::now())?;
            free = self.freed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Some(Permit(self))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_permit_is_given_back_and_none_is_given_after_the_deadline() {
        let permits = Permits::new(1);
        let later = Instant::now() + Duration::from_secs(60);
        let held = permits.acquire(later).unwrap();
        assert!(permits.acquire(Instant::now() + Duration::from_millis(1)).is_none(), "it is held");
        drop(held);
        assert!(permits.acquire(Instant::now()).is_none(), "too late");
        assert!(permits.acquire(later).is_some());
    }
}
