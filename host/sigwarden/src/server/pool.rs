//! The threads that run requests: blocking, bounded, with stacks large enough for a sandbox. One hop from the transport to a thread,
//! one back. What is queued is run to its end, whether or not anybody still waits for the answer.
//!
//! The thread that became idle last is woken first: its stack and its allocator's cache are still warm, and those of threads that no
//! load needs are never touched.

use super::connection::Told;
use super::queue::{Away, Job, Place, Queue, Shared};
use sigwarden_core::pipeline::{Asked, Way};
use sigwarden_core::{Pipeline, Refusal};
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::trace::under;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Bytes of a thread's stack: a sandbox takes 256 KiB of it, and overflowing the native stack would abort the process.
pub const STACK_BYTES: usize = 2 * 1024 * 1024;

/// The queue and its threads.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `threads` threads behind a queue of at most `limit` jobs, of which `judges` judge at once.
    pub(super) fn start(
        pipeline: &Arc<Pipeline>,
        threads: usize,
        limit: usize,
        judges: usize,
        metrics: Arc<Metrics>,
        told: Arc<AtomicU64>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(threads, limit, judges, metrics, told));
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
        // Each of them takes a place off when it wakes.
        waiting.judging += idle.len();
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
    let mut waiting = shared.lock();
    loop {
        if waiting.jobs.is_empty() && waiting.closed {
            return;
        }
        if waiting.judging < shared.judges && !waiting.jobs.is_empty() {
            waiting.judging += 1;
            let taken = waiting.share(shared.judges, &shared.metrics);
            shared.tell(&waiting);
            // What is left is for the next place that is free.
            let next = waiting.next(shared.judges);
            drop(waiting);
            if let Some(next) = next {
                next.unpark();
            }
            run(taken, Place(shared), pipeline, shared);
            waiting = shared.lock();
            continue;
        }
        waiting.idle.push(std::thread::current());
        drop(waiting);
        std::thread::park();
        waiting = shared.lock();
        let before = waiting.idle.len();
        waiting.idle.retain(|thread| thread.id() != me);
        if waiting.idle.len() == before {
            // Whoever took it from there gave it a place, which it takes again above.
            waiting.judging -= 1;
        }
    }
}

fn run(taken: Vec<(Job, Way)>, place: Place<'_>, pipeline: &Pipeline, shared: &Shared) {
    // No path of a request may panic. If one does, its caller gets `host/internal` (the answer's sender is dropped), the panic is
    // in the log, and the thread goes on: a pool that shrinks would end in a daemon that answers nobody.
    let run = std::panic::AssertUnwindSafe(|| {
        let mut together = Vec::with_capacity(taken.len());
        // Until all of them are answered.
        let mut away = Vec::new();
        for (job, way) in taken {
            away.extend(match way {
                Way::Elsewhere { backend, .. } => Some(Away(shared, backend)),
                Way::Together | Way::Alone => None,
            });
            match job {
                Job::Sign(asked, None, answer) => together.push((asked, answer)),
                other @ (Job::Sign(..) | Job::SignAll(..) | Job::Decapsulate(..) | Job::PublicKey(..) | Job::ListKeys(..)) => {
                    return alone(other, place, pipeline, shared.judges);
                }
            }
        }
        let (asked, answers): (Vec<_>, Vec<_>) = together.into_iter().unzip();
        let answers: Vec<_> = answers.into_iter().map(|answer| Mutex::new(Some(answer))).collect();
        // The other cores have threads of their own.
        pipeline.sign_all(asked, 1, || drop(place), &|index, signed| {
            let answer = answers.get(index).and_then(|answer| lock(answer).take());
            if let Some(answer) = answer {
                answer.send(told(signed));
            }
        });
    });
    if std::panic::catch_unwind(run).is_err() {
        tracing::error!("a request panicked; please report it with this log");
    }
}

fn alone(job: Job, place: Place<'_>, pipeline: &Pipeline, cores: usize) {
    match job {
        Job::Sign(Asked { peer, call }, parent, answer) => {
            // It may wait for its backend: the pipeline's own permits bound how many judge.
            drop(place);
            answer.send(told(under(parent, || pipeline.sign(peer, call))));
        }
        Job::SignAll(asked, answer) => {
            let answers: Vec<_> = asked.iter().map(|_| Mutex::new(None)).collect();
            let put = |index: usize, signed| {
                if let Some(slot) = answers.get(index) {
                    *lock(slot) = Some(told(signed));
                }
            };
            pipeline.sign_all(asked, cores, || drop(place), &put);
            let all: Option<Vec<_>> = answers.iter().map(|slot| lock(slot).take()).collect();
            // Each was answered; if not, the caller is told of an internal error.
            if let Some(all) = all {
                answer.send(all);
            }
        }
        Job::Decapsulate(peer, call, answer) => {
            drop(place);
            answer.send(told(pipeline.decapsulate(peer, call)));
        }
        Job::PublicKey(peer, key, answer) => answer.send(pipeline.public_key(peer, &key)),
        Job::ListKeys(peer, answer) => answer.send(pipeline.list_keys(peer)),
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a backend or the disk said is for the log, a line a second of each code; callers do not see it, and the records have all.
fn told<T>(result: Result<T, Refusal>) -> Result<T, Refusal> {
    static LINES: Mutex<BTreeMap<String, Told>> = Mutex::new(BTreeMap::new());
    result.inspect_err(|refusal| {
        if refusal.detail.is_none() {
            return;
        }
        // Codes with a detail are the host's own, so there are few.
        let code = refusal.code();
        let before = lock(&LINES).entry(code.to_string()).or_default().count();
        if let Some(before) = before {
            tracing::error!(%code, before, "{}; `before` more since the last line", refusal.full_message());
        }
    })
}
