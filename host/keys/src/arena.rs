//! The locked, non-dumpable arena: the one place where a key lies open, for the time of one signature.

use crate::os::{ArenaError, Slot, SlotBytes, locked_slots};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use zeroize::Zeroize;

/// Slots, of 64 bytes: with the kept one they fill one page, and no host has 63 threads signing at once. Whoever finds none free
/// waits.
const SLOTS: usize = 63;

/// Slots of locked memory, lent one by one.
///
/// A thread has at most one slot at a time; so whoever waits, waits for somebody who waits for nobody.
pub(crate) struct Arena {
    free: Mutex<Vec<Arc<Mutex<Slot>>>>,
    returned: Condvar,
}

impl Arena {
    /// Locks the arena's page. Returns it with one slot more, to be kept for good.
    pub(crate) fn new() -> Result<(Self, Slot), ArenaError> {
        Self::of(SLOTS)
    }

    fn of(slots: usize) -> Result<(Self, Slot), ArenaError> {
        let kept = locked_slots(slots + 1)?;
        let mut slots = kept.into_iter();
        let kept = slots.next().ok_or_else(ArenaError::empty)?;
        let arena = Self {
            free: Mutex::new(slots.map(|slot| Arc::new(Mutex::new(slot))).collect()),
            returned: Condvar::new(),
        };
        Ok((arena, kept))
    }

    /// Lends a slot of zeros, waiting until one is free. It is wiped when `work` is through, even by a panic.
    pub(crate) fn with_slot<T>(&self, work: impl FnOnce(&mut SlotBytes) -> T) -> T {
        // Dropped from the last to the first: wiped, unlocked, given back.
        let lent = Lent {
            arena: self,
            slot: self.take(),
        };
        let mut slot = lent.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let wiped = Wiped(&mut slot);
        work(wiped.0)
    }

    fn take(&self) -> Arc<Mutex<Slot>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(slot) = free.pop() {
                return slot;
            }
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Lent<'a> {
    arena: &'a Arena,
    slot: Arc<Mutex<Slot>>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut free = self.arena.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(Arc::clone(&self.slot));
        drop(free);
        self.arena.returned.notify_one();
    }
}

struct Wiped<'a>(&'a mut SlotBytes);

impl Drop for Wiped<'_> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Overwrites the part of the stack below the caller's frame, where a callee that has returned kept its variables: the curve
/// libraries leave copies of keys there. 16 KiB: the copies that `memory_tests.rs` finds without this lie in the first two.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let area = [0_u8; 16 * 1024];
    std::hint::black_box(&area);
}

/// As [`wipe_stack`], for ML-KEM, whose matrices are larger, and for zxcvbn: 128 KiB, of a stack of 2 MiB. Takes 2 us.
#[inline(never)]
pub(crate) fn wipe_deep_stack() {
    let area = [0_u8; 128 * 1024];
    std::hint::black_box(&area);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_slot_is_wiped_before_the_next_one_gets_it() {
        let (arena, _kept) = Arena::of(1).unwrap();
        arena.with_slot(|slot| *slot = [[7; 32]; 2]);
        arena.with_slot(|slot| assert_eq!(*slot, [[0; 32]; 2]));
    }

    #[test]
    fn a_panic_gives_the_slot_back_wiped() {
        let (arena, _kept) = Arena::of(1).unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            arena.with_slot(|slot| {
                *slot = [[7; 32]; 2];
                panic!("on purpose");
            })
        }));
        assert!(panicked.is_err());
        arena.with_slot(|slot| assert_eq!(*slot, [[0; 32]; 2]));
    }

    #[test]
    fn whoever_finds_no_slot_waits_for_one() {
        let (arena, _kept) = Arena::of(1).unwrap();
        let (told, hear) = mpsc::channel();
        std::thread::scope(|scope| {
            arena.with_slot(|_| {
                scope.spawn(|| arena.with_slot(|_| told.send("second").unwrap()));
                // The only slot is taken: the other thread cannot have come through.
                assert_eq!(hear.try_recv(), Err(mpsc::TryRecvError::Empty));
            });
            assert_eq!(hear.recv(), Ok("second"));
        });
    }
}
