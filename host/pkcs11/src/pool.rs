//! A token's working sessions: so many and no more, each with one call at a time.

use crate::library::Opened;
use crate::token::Link;
use cryptoki::object::ObjectHandle;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Key handles that a session remembers: some 100 bytes each. A token with more keys in use looks the rest up again.
const HANDLES_MAX: usize = 1024;

/// How often those who wait for a session look whether that has become hopeless.
const HOPE_STEP: Duration = Duration::from_millis(50);

/// The sessions.
pub(crate) struct Pool {
    places: Mutex<Places>,
    freed: Condvar,
    size: usize,
}

struct Places {
    /// The one used last is taken first, so that few stay open under little load.
    idle: Vec<Open>,
    taken: usize,
}

/// An open session, of one connection to the token.
pub(crate) struct Open {
    pub(crate) session: Opened,
    /// Its connection: after the token was lost and came back, sessions and handles of the one before mean nothing.
    pub(crate) link: Link,
    keys: HashMap<String, ObjectHandle>,
}

impl Open {
    pub(crate) fn new(session: Opened, link: Link) -> Self {
        Self {
            session,
            link,
            keys: HashMap::new(),
        }
    }

    pub(crate) fn key(&self, label: &str) -> Option<ObjectHandle> {
        self.keys.get(label).copied()
    }

    pub(crate) fn remember(&mut self, label: &str, key: ObjectHandle) {
        if self.keys.len() >= HANDLES_MAX {
            self.keys.clear();
        }
        self.keys.insert(label.to_owned(), key);
    }
}

/// The right to one session, given back when dropped.
pub(crate) struct Seat {
    pool: Arc<Pool>,
    /// None before the first use, and after an error: a session is never used again after one.
    pub(crate) open: Option<Open>,
}

impl Pool {
    pub(crate) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Mutex::new(Places {
                idle: Vec::new(),
                taken: 0,
            }),
            freed: Condvar::new(),
            size,
        })
    }

    /// Waits for a free session. None if there is none in time, or once waiting is hopeless.
    pub(crate) fn take(self: &Arc<Self>, wait: Duration, hopeless: impl Fn() -> bool) -> Option<Seat> {
        let until = Instant::now() + wait;
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        while places.taken >= self.size {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || hopeless() {
                return None;
            }
            let step = left.min(HOPE_STEP);
            places = self.freed.wait_timeout(places, step).unwrap_or_else(PoisonError::into_inner).0;
        }
        places.taken += 1;
        Some(Seat {
            pool: Arc::clone(self),
            open: places.idle.pop(),
        })
    }

    /// Closes the sessions that do not work.
    pub(crate) fn close_idle(&self) {
        let idle = std::mem::take(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner).idle);
        drop(idle);
    }

    pub(crate) fn in_use(&self) -> usize {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).taken
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A call that panicked leaves its session in an unknown state.
        let open = self.open.take().filter(|_| !std::thread::panicking());
        let mut places = self.pool.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.taken -= 1;
        places.idle.extend(open);
        drop(places);
        self.pool.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn so_many_are_taken_at_once_and_no_more() {
        let pool = Pool::new(2);
        let (first, second) = (pool.take(Duration::ZERO, || false).unwrap(), pool.take(Duration::ZERO, || false));
        assert!(second.is_some() && pool.take(Duration::ZERO, || false).is_none());
        assert_eq!(pool.in_use(), 2);
        let waiting = {
            let pool = Arc::clone(&pool);
            std::thread::spawn(move || pool.take(Duration::from_secs(60), || false).is_some())
        };
        drop(first);
        assert!(waiting.join().unwrap());
        drop(second);
        assert_eq!(pool.in_use(), 0);
    }

    #[test]
    fn nobody_waits_for_what_will_not_come() {
        let pool = Pool::new(1);
        let first = pool.take(Duration::ZERO, || true);
        assert!(first.is_some(), "a free one is taken all the same");
        let begun = Instant::now();
        assert!(pool.take(Duration::from_secs(600), || true).is_none());
        assert!(begun.elapsed() < Duration::from_secs(300));
    }
}
