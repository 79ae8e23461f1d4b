//! How long a leader holds its batch for requests that are still being evaluated: one `fdatasync` then carries them all. Never when
//! nobody else is on the way, and at most [`HOLD_MAX`].

use rustix::thread::{Timespec, futex};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest hold. Several evaluations of three policies, and less than the disk itself takes on many machines.
pub(crate) const HOLD_MAX: Duration = Duration::from_millis(1);

/// Counts who is on the way.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// Requests that were announced and have neither arrived nor been withdrawn.
    coming: AtomicU32,
    /// A leader waits for them.
    holding: AtomicBool,
    /// How long the last write took, nanoseconds: on a fast disk holding longer than twice that gains nothing.
    last_write_ns: AtomicU64,
}

impl Hold {
    /// One more is on the way.
    pub(crate) fn announce(&self) {
        self.coming.fetch_add(1, Ordering::SeqCst);
    }

    /// So many have arrived, or do not come.
    pub(crate) fn arrived(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        // A caller of `commit` that announced nothing takes nothing off.
        let update = self
            .coming
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |coming| Some(coming.saturating_sub(count)));
        let (Ok(before) | Err(before)) = update;
        if before <= count && self.holding.load(Ordering::SeqCst) {
            // Fails only for a word that is not in memory.
            let woken = futex::wake(&self.coming, futex::Flags::PRIVATE, 1);
            debug_assert!(woken.is_ok(), "{woken:?}");
        }
    }

    /// A write took so long.
    pub(crate) fn wrote(&self, took: Duration) {
        self.last_write_ns
            .store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Waits until nobody is on the way, or long enough.
    pub(crate) fn wait(&self) {
        if self.coming.load(Ordering::SeqCst) == 0 {
            return;
        }
        let worth = Duration::from_nanos(self.last_write_ns.load(Ordering::Relaxed).saturating_mul(2));
        let until = Instant::now() + HOLD_MAX.min(worth);
        self.holding.store(true, Ordering::SeqCst);
        loop {
            let coming = self.coming.load(Ordering::SeqCst);
            let left = until.saturating_duration_since(Instant::now());
            if coming == 0 || left.is_zero() {
                break;
            }
            let left = Timespec {
                tv_sec: 0,
                tv_nsec: left.subsec_nanos().into(),
            };
            match futex::wait(&self.coming, futex::Flags::PRIVATE, coming, Some(&left)) {
                // Woken, late, interrupted, or changed in between: the loop looks again.
                Ok(()) | Err(_) => {}
            }
        }
        self.holding.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// A hold that would last for ever if it were not for what ends it.
    fn long() -> Hold {
        let hold = Hold::default();
        hold.wrote(Duration::from_secs(3600));
        hold
    }

    #[test]
    fn nobody_on_the_way_and_a_disk_of_no_time_are_not_waited_for() {
        long().wait();
        let fast = Hold::default();
        fast.announce();
        fast.wait();
        assert_eq!(fast.coming.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_does_not_come_is_waited_for_no_longer_than_the_bound() {
        let hold = long();
        hold.announce();
        let begun = Instant::now();
        hold.wait();
        assert!(begun.elapsed() >= HOLD_MAX, "it ended early");
        assert!(!hold.holding.load(Ordering::SeqCst));
    }

    #[test]
    fn the_last_to_arrive_ends_the_hold_and_more_than_announced_is_no_harm() {
        let hold = Arc::new(long());
        hold.announce();
        hold.announce();
        let other = Arc::clone(&hold);
        let arriving = std::thread::spawn(move || {
            other.arrived(1);
            other.arrived(5);
        });
        hold.wait();
        assert!(arriving.join().is_ok());
        assert_eq!(hold.coming.load(Ordering::SeqCst), 0);
    }
}
