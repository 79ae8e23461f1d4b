//! The threads that run requests: blocking, bounded, with stacks large enough for a sandbox. One hop from the transport to a thread,
//! one back. What is queued is run to its end, whether or not anybody still waits for the answer.
//!
//! The thread that became idle last is woken first: its stack and its allocator's cache are still warm, and those of threads that no
//! load needs are never touched.

use sigwarden_core::caller::Peer;
use sigwarden_core::pipeline::SignCall;
use sigwarden_core::proof::Decapsulated;
use sigwarden_core::stages::authorize::Readable;
use sigwarden_core::{Pipeline, Refusal, Signed};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Bytes of a thread's stack: a sandbox takes 256 KiB of it, and overflowing the native stack would abort the process.
pub const STACK_BYTES: usize = 2 * 1024 * 1024;

/// One request, and where its answer goes.
pub(super) enum Job {
    /// Sign.
    Sign(Peer, SignCall, oneshot::Sender<Result<Signed, Refusal>>),
    /// Decapsulate.
    Decapsulate(Peer, SignCall, oneshot::Sender<Result<Decapsulated, Refusal>>),
    /// Read a key.
    PublicKey(Peer, String, oneshot::Sender<Result<Readable, Refusal>>),
    /// List keys.
    ListKeys(Peer, oneshot::Sender<Result<Vec<Readable>, Refusal>>),
}

/// The queue and its threads.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// The queue alone: what the transport holds.
#[derive(Clone)]
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    limit: usize,
}

struct Waiting {
    jobs: VecDeque<Job>,
    /// Threads that are parked or about to be; each is woken by whoever takes it from here.
    idle: Vec<Thread>,
    closed: bool,
}

impl Shared {
    // A queue is valid after any panic: no code that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Puts a job at the end. Gives it back if the queue is full or closed.
    pub(super) fn put(&self, job: Job) -> Result<(), Box<Job>> {
        let mut waiting = self.0.lock();
        if waiting.closed || waiting.jobs.len() >= self.0.limit {
            return Err(Box::new(job));
        }
        waiting.jobs.push_back(job);
        let last = waiting.idle.pop();
        drop(waiting);
        if let Some(last) = last {
            last.unpark();
        }
        Ok(())
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.0.lock().jobs.len()
    }
}

impl Pool {
    /// Starts `threads` threads behind a queue of at most `limit` jobs.
    pub(super) fn start(pipeline: &Arc<Pipeline>, threads: usize, limit: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting {
                jobs: VecDeque::with_capacity(limit.min(1024)),
                idle: Vec::with_capacity(threads),
                closed: false,
            }),
            limit,
        });
        let mut pool = Self {
            shared: Arc::clone(&shared),
            threads: Vec::with_capacity(threads),
        };
        for index in 0..threads {
            let (shared, pipeline) = (Arc::clone(&shared), Arc::clone(pipeline));
            let thread = std::thread::Builder::new()
                .name(format!("request-{index}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&shared, &pipeline))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// The queue.
    pub(super) fn queue(&self) -> Queue {
        Queue(Arc::clone(&self.shared))
    }

    /// Takes nothing more, lets the threads finish what they have, and waits for them, at most so long. Says whether all finished.
    pub(super) fn finish(mut self, at_most: Duration) -> bool {
        self.close();
        let deadline = Instant::now() + at_most;
        // std has no join with a timeout; the wait is at the end of the process, where a coarse step does no harm.
        while !self.threads.iter().all(JoinHandle::is_finished) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.threads.drain(..).all(|thread| thread.join().is_ok())
    }

    fn close(&self) {
        let mut waiting = self.shared.lock();
        waiting.closed = true;
        let idle = std::mem::take(&mut waiting.idle);
        drop(waiting);
        idle.iter().for_each(Thread::unpark);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

fn work(shared: &Shared, pipeline: &Pipeline) {
    let me = std::thread::current().id();
    loop {
        let mut waiting = shared.lock();
        let job = loop {
            if let Some(job) = waiting.jobs.pop_front() {
                break job;
            }
            if waiting.closed {
                return;
            }
            waiting.idle.push(std::thread::current());
            drop(waiting);
            std::thread::park();
            waiting = shared.lock();
            // Woken by nobody: it is not twice among the idle.
            waiting.idle.retain(|thread| thread.id() != me);
        };
        drop(waiting);
        // No path of a request may panic. If one does, its caller gets `host/internal` (the answer's sender is dropped), the panic is
        // in the log, and the thread goes on: a pool that shrinks would end in a daemon that answers nobody.
        let run = std::panic::AssertUnwindSafe(|| run(job, pipeline));
        if std::panic::catch_unwind(run).is_err() {
            tracing::error!("a request panicked; please report it with this log");
        }
    }
}

/// What a backend or the disk said is for the log; callers do not see it.
fn told<T>(result: Result<T, Refusal>) -> Result<T, Refusal> {
    result.inspect_err(|refusal| {
        if refusal.detail.is_some() {
            tracing::error!(code = %refusal.code(), "{}", refusal.full_message());
        }
    })
}

/// A receiver that is gone hung up; the request is executed and recorded all the same.
fn run(job: Job, pipeline: &Pipeline) {
    match job {
        Job::Sign(peer, call, answer) => drop(answer.send(told(pipeline.sign(peer, call)))),
        Job::Decapsulate(peer, call, answer) => drop(answer.send(told(pipeline.decapsulate(peer, call)))),
        Job::PublicKey(peer, key, answer) => drop(answer.send(pipeline.public_key(peer, &key))),
        Job::ListKeys(peer, answer) => drop(answer.send(pipeline.list_keys(peer))),
    }
}
