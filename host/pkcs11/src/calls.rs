//! Calls with a deadline: each runs on a thread that can be left, since a library that hangs cannot be stopped. To the
//! 400 us that a signature of SoftHSM takes, handing it over adds 80 to 100 us on two idle cores (5 us on busy ones), so a caller who may wait runs it himself while the token
//! answers; then it cannot be left, and is watched.

use crate::counters::Tally;
use crate::failure::ErrorKind;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For so long after an answer a token is taken to answer the next call too. At 100 calls a second or fewer each is handed over, which is
/// under a hundredth of the time between two; at more, a caller or two stay in a library that begins to hang.
const TRUSTED: Duration = Duration::from_millis(10);

type Job = Box<dyn FnOnce() + Send>;

/// Threads for the calls to one token. There are as many as calls that run at once, which is what the token's sessions allow; they end
/// when this is dropped, or, if their library hangs, when it returns.
pub(crate) struct Calls {
    shared: Arc<Shared>,
    begun: Instant,
    /// When a call was last answered in time, nanoseconds since `begun`; 0 if none was.
    answered: AtomicU64,
    /// Calls that overran their deadline since then.
    late: AtomicUsize,
    /// Those that run on their callers' threads.
    watched: Mutex<Watched>,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Watched {
    next: u64,
    calls: Vec<Call>,
}

struct Call {
    number: u64,
    until: Instant,
    overdue: bool,
}

/// A call that runs here, until this is dropped.
struct Here<'a> {
    calls: &'a Calls,
    number: u64,
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
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        Self {
            shared: Arc::default(),
            begun: Instant::now(),
            answered: AtomicU64::new(0),
            late: AtomicUsize::new(0),
            watched: Mutex::default(),
            tally,
        }
    }

    /// Calls that overran their deadline and have not returned.
    pub(crate) fn overdue(&self) -> usize {
        let mut watched = self.watched();
        let now = Instant::now();
        for call in watched.calls.iter_mut().filter(|call| call.until <= now && !call.overdue) {
            call.overdue = true;
            self.is_late();
            // Nobody else does: its caller still waits.
            self.tally.failed(ErrorKind::Timeout);
        }
        let here = watched.calls.iter().filter(|call| call.overdue).count();
        here + self.shared.overdue.load(Ordering::SeqCst)
    }

    /// Calls that overran their deadline since one was answered in time.
    pub(crate) fn late_in_a_row(&self) -> usize {
        self.late.load(Ordering::SeqCst)
    }

    /// Calls that run on their callers' threads.
    pub(crate) fn here(&self) -> usize {
        self.watched().calls.len()
    }

    /// Whether the token answered just now.
    pub(crate) fn answers(&self) -> bool {
        match self.answered.load(Ordering::SeqCst) {
            0 => false,
            at => self.begun.elapsed().saturating_sub(Duration::from_nanos(at)) < TRUSTED,
        }
    }

    /// Runs `work` on this thread, however long that takes. From the deadline on it counts as overdue; its answer is an answer all the same.
    pub(crate) fn run_here<T>(&self, deadline: Duration, work: impl FnOnce() -> T) -> T {
        let until = Instant::now() + deadline;
        let number = {
            let mut watched = self.watched();
            watched.next += 1;
            let number = watched.next;
            watched.calls.push(Call {
                number,
                until,
                overdue: false,
            });
            number
        };
        let here = Here { calls: self, number };
        let answer = work();
        drop(here);
        if Instant::now() < until {
            self.in_time();
        }
        answer
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_time(&self) {
        let now = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.answered.store(now.max(1), Ordering::SeqCst);
        self.late.store(0, Ordering::SeqCst);
    }

    fn is_late(&self) {
        self.late.fetch_add(1, Ordering::SeqCst);
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
            Ok(answer) => {
                self.in_time();
                Ok(answer)
            }
            Err(RecvTimeoutError::Disconnected) => Err(NoAnswer::Panicked),
            Err(RecvTimeoutError::Timeout) => {
                self.shared.overdue.fetch_add(1, Ordering::SeqCst);
                if fate.state.swap(LEFT, Ordering::SeqCst) == RETURNED {
                    self.shared.overdue.fetch_sub(1, Ordering::SeqCst);
                    return answered.try_recv().map_err(|_| NoAnswer::Panicked);
                }
                self.is_late();
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

impl Drop for Here<'_> {
    fn drop(&mut self) {
        // Counts those whose time is over, this one too.
        self.calls.overdue();
        self.calls.watched().calls.retain(|call| call.number != self.number);
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
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use std::sync::mpsc::channel;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_call_in_time_has_its_answer() {
        let calls = Calls::new(Arc::default());
        for n in 0..100 {
            assert_eq!(calls.run(LONG, move || n).unwrap(), n);
        }
        assert_eq!(calls.overdue(), 0);
    }

    #[test]
    fn a_call_that_hangs_is_left_and_counted_until_it_returns() {
        let calls = Calls::new(Arc::default());
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
        let calls = Calls::new(Arc::default());
        assert!(matches!(calls.run::<()>(LONG, || panic!("as scripted")), Err(NoAnswer::Panicked)));
        assert_eq!(calls.run(LONG, || 7).unwrap(), 7);
    }

    #[test]
    fn a_call_on_its_caller_s_thread_is_overdue_from_its_deadline_until_it_returns() {
        let tally = Arc::<Tally>::default();
        let calls = Calls::new(Arc::clone(&tally));
        let timeouts = || tally.read(0).sign_errors[&ErrorKind::Timeout];
        assert!(!calls.answers());
        assert_eq!(calls.run_here(LONG, || 7), 7);
        assert_eq!((calls.overdue(), calls.late_in_a_row(), timeouts()), (0, 0, 0));
        // Seen while it runs, or when it returns: counted once.
        let seen = calls.run_here(Duration::ZERO, || (calls.overdue(), calls.overdue()));
        assert_eq!((seen, calls.overdue(), calls.late_in_a_row(), timeouts()), ((1, 1), 0, 1, 1));
        assert_eq!(calls.run_here(Duration::ZERO, || 8), 8);
        assert_eq!((calls.overdue(), calls.late_in_a_row(), timeouts()), (0, 2, 2));
        calls.run_here(LONG, || ());
        assert_eq!((calls.late_in_a_row(), timeouts()), (0, 2));
    }
}
