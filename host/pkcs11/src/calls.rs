//! Calls with a deadline: each runs on a thread that can be left, since a library that hangs cannot be stopped.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

/// Threads for the calls to one token. There are as many as calls that run at once, which is what the token's sessions allow; they end
/// when this is dropped, or, if their library hangs, when it returns.
pub(crate) struct Calls {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    overdue: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    stopped: bool,
}

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// It runs still; when it returns, its answer is dropped.
    Overdue,
    /// The system starts no thread.
    NoThread(std::io::Error),
    /// It panicked.
    Panicked,
}

const RUNNING: u8 = 0;
const RETURNED: u8 = 1;
const LEFT: u8 = 2;

/// Which of both comes first: the call's return or its caller's leaving.
struct Fate {
    state: AtomicU8,
    shared: Arc<Shared>,
}

/// Says on every way out that the call returned.
struct Returning(Arc<Fate>);

impl Drop for Returning {
    fn drop(&mut self) {
        if self.0.state.swap(RETURNED, Ordering::SeqCst) == LEFT {
            self.0.shared.overdue.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default() }
    }

    /// Calls that were left and have not returned.
    pub(crate) fn overdue(&self) -> usize {
        self.shared.overdue.load(Ordering::SeqCst)
    }

    /// Runs `work` and waits for its answer until the deadline. Work that has not begun by then never begins.
    pub(crate) fn run<T: Send + 'static>(&self, deadline: Duration, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NoAnswer> {
        let (answer, answered) = sync_channel(1);
        let fate = Arc::new(Fate {
            state: AtomicU8::new(RUNNING),
            shared: Arc::clone(&self.shared),
        });
        let returning = Returning(Arc::clone(&fate));
        self.submit(Box::new(move || {
            if returning.0.state.load(Ordering::SeqCst) == RUNNING {
                // Fails if the caller has left: then nobody wants the answer, and nobody gets it.
                let _ = answer.send(work());
            }
            drop(returning);
        }))?;
        match answered.recv_timeout(deadline) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Disconnected) => Err(NoAnswer::Panicked),
            Err(RecvTimeoutError::Timeout) => {
                self.shared.overdue.fetch_add(1, Ordering::SeqCst);
                if fate.state.swap(LEFT, Ordering::SeqCst) == RETURNED {
                    self.shared.overdue.fetch_sub(1, Ordering::SeqCst);
                    return answered.try_recv().map_err(|_| NoAnswer::Panicked);
                }
                Err(NoAnswer::Overdue)
            }
        }
    }

    fn submit(&self, job: Job) -> Result<(), NoAnswer> {
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.idle > queue.jobs.len() {
            queue.jobs.push_back(job);
            drop(queue);
            self.shared.ready.notify_one();
            return Ok(());
        }
        drop(queue);
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("pkcs11-call".into())
            .spawn(move || shared.work(job))
            .map(|_| ())
            .map_err(NoAnswer::NoThread)
    }
}

impl Shared {
    fn work(&self, first: Job) {
        let mut job = first;
        loop {
            // A panic is answered by the dropped sender; the thread goes on.
            let _ = catch_unwind(AssertUnwindSafe(job));
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.idle += 1;
            job = loop {
                if let Some(next) = queue.jobs.pop_front() {
                    break next;
                }
                if queue.stopped {
                    return;
                }
                queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
            };
            queue.idle -= 1;
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.shared.ready.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use std::sync::mpsc::channel;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_call_in_time_has_its_answer() {
        let calls = Calls::new();
        for n in 0..100 {
            assert_eq!(calls.run(LONG, move || n).unwrap(), n);
        }
        assert_eq!(calls.overdue(), 0);
    }

    #[test]
    fn a_call_that_hangs_is_left_and_counted_until_it_returns() {
        let calls = Calls::new();
        let (go, gone) = channel::<()>();
        let (back, returned) = channel();
        let left = calls.run(Duration::from_millis(1), move || {
            gone.recv().unwrap();
            back.send(()).unwrap();
        });
        assert!(matches!(left, Err(NoAnswer::Overdue)));
        assert_eq!(calls.overdue(), 1);
        assert_eq!(calls.run(LONG, || 7).unwrap(), 7);
        go.send(()).unwrap();
        returned.recv().unwrap();
        while calls.overdue() > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_call_that_panics_is_an_error_and_its_thread_goes_on() {
        let calls = Calls::new();
        assert!(matches!(calls.run::<()>(LONG, || panic!("as scripted")), Err(NoAnswer::Panicked)));
        assert_eq!(calls.run(LONG, || 7).unwrap(), 7);
    }
}
