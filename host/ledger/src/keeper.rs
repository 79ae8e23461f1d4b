//! The ledger's own thread: writes what was appended without a commit to carry it, lets the checkpoint follow, watches the room on
//! the disk.

use crate::checkpoint::{Dirty, Meta, Trouble};
use crate::commit::Watch;
use crate::ledger::Inner;
use crate::room::Room;
use sigwarden_core::ledger::LedgerFailure;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Changes after which the checkpoint follows: bounds what a start after a crash reads, and the memory
/// that remembers them.
const DIRTY_MAX: usize = 16 * 1024;

/// Says that it is time to stop.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn set(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits so long; `true` if it is time to stop.
    fn wait(&self, tick: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stopped, tick, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The running thread, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start(inner: Arc<Inner>) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("ledger-keeper".into())
            .spawn(move || inner.keep_until_stopped(&stopped))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    pub(crate) fn stop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            // A panic of it has poisoned what it held.
            drop(thread.join());
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn keep_until_stopped(&self, stop: &Stop) {
        let watch = Watch::over(self, "a panic of the ledger's keeper");
        if let Err(LedgerFailure::Poisoned(reason)) = self.keep_until(stop) {
            // Tells the daemon if a panic under the lock has not.
            self.poison(&reason);
        }
        watch.end();
    }

    fn keep_until(&self, stop: &Stop) -> Result<(), LedgerFailure> {
        let mut last = Instant::now();
        while !stop.wait(self.flush_every) {
            let due = last.elapsed() >= self.checkpoint_every;
            if self.keep(due)? {
                last = Instant::now();
            }
        }
        Ok(())
    }

    /// One round of the keeper. The checkpoint follows if it is due or much has changed; says whether it did.
    pub(crate) fn keep(&self, checkpoint_due: bool) -> Result<bool, LedgerFailure> {
        self.watch_room();
        self.record_counted()?;
        let (pending, dirty, poisoned) = {
            let sequencer = self.sequencer();
            (sequencer.pending_bytes(), sequencer.dirty.len(), sequencer.poisoned.clone())
        };
        if let Some(reason) = poisoned {
            return Err(LedgerFailure::Poisoned(reason));
        }
        if pending > 0 {
            self.flush()?;
        }
        let due = dirty >= DIRTY_MAX || (dirty > 0 && checkpoint_due);
        if !due || self.room.get() < Room::Short {
            return Ok(false);
        }
        self.checkpoint()?;
        self.archive();
        Ok(true)
    }

    /// Lets the checkpoint follow to what is sequenced now, once that is durable.
    pub(crate) fn checkpoint(&self) -> Result<(), LedgerFailure> {
        let (state, dirty, link) = {
            let mut sequencer = self.sequencer();
            let dirty = std::mem::replace(&mut sequencer.dirty, Dirty::NOTHING);
            (sequencer.state.clone(), dirty, sequencer.link)
        };
        self.flush()?;
        // After the flush: the segment that it wrote is there.
        let (segment, generation) = {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            (writer.header().first, writer.header().generation)
        };
        let mut checkpoint = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let meta = Meta {
            sequence: link.sequence,
            head: link.head,
            segment,
            generation,
            ..checkpoint.meta().clone()
        };
        checkpoint
            .write(&state, &dirty, meta)
            .map_err(|trouble| self.checkpoint_failed(&trouble))?;
        self.meter.checkpointed();
        Ok(())
    }

    pub(crate) fn checkpoint_failed(&self, trouble: &Trouble) -> LedgerFailure {
        let reason = format!("writing the checkpoint failed: {trouble}");
        self.poison(&reason);
        LedgerFailure::Poisoned(reason)
    }
}
