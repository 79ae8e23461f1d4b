//! Where a batch's committers wait: one word for "durable", one for "lead it". A futex each, so that a whole batch is woken by one
//! system call and no woken thread has to take a lock.

use rustix::thread::futex;
use std::sync::atomic::{AtomicU32, Ordering};

/// One batch's gate.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    lead: Word,
    done: Word,
}

impl Gate {
    /// Waits for the batch's end: `true` if it is durable.
    pub(crate) fn wait_done(&self) -> bool {
        self.done.wait()
    }
    /// Waits for the disk to be free: `true` if the caller is to lead the batch.
    pub(crate) fn wait_lead(&self) -> bool {
        self.lead.wait()
    }
    /// Makes the one who waits to lead do it.
    pub(crate) fn hand_over(&self) {
        self.lead.set(YES);
    }
    /// Lets everyone through.
    pub(crate) fn durable(&self) {
        self.done.set(YES);
    }
    /// Sends everyone away.
    pub(crate) fn failed(&self) {
        self.lead.set(NO);
        self.done.set(NO);
    }
}

const OPEN: u32 = 0;
const YES: u32 = 1;
const NO: u32 = 2;

#[derive(Debug, Default)]
struct Word(AtomicU32);

impl Word {
    fn wait(&self) -> bool {
        loop {
            match self.0.load(Ordering::Acquire) {
                OPEN => match futex::wait(&self.0, futex::Flags::PRIVATE, OPEN, None) {
                    // Woken, interrupted, or changed in between: the loop looks again.
                    Ok(()) | Err(_) => {}
                },
                answer => return answer == YES,
            }
        }
    }

    fn set(&self, answer: u32) {
        self.0.store(answer, Ordering::Release);
        // Fails only for a word that is not in memory.
        let woken = futex::wake(&self.0, futex::Flags::PRIVATE, i32::MAX.unsigned_abs());
        debug_assert!(woken.is_ok(), "{woken:?}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::Arc;

    #[test]
    fn everyone_passes_with_the_same_answer_before_and_after() {
        for durable in [true, false] {
            let gate = Arc::new(Gate::default());
            let waiters: Vec<_> = (0..8)
                .map(|_| {
                    let gate = Arc::clone(&gate);
                    std::thread::spawn(move || gate.wait_done())
                })
                .collect();
            if durable {
                gate.durable()
            } else {
                gate.failed()
            }
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == durable));
            assert_eq!(gate.wait_done(), durable);
        }
        let gate = Gate::default();
        gate.hand_over();
        assert!(gate.wait_lead());
    }
}
