//! The threads that run requests: blocking, bounded, with stacks large enough for a sandbox. One hop from the transport to a thread,
//! one back. What is queued is run to its end, whether or not anybody still waits for the answer.
//!
//! As many threads judge at once as there are cores. A thread that begins takes its share of what waits by then, has it judged, hands
//! its place on, and commits and signs it together: under load requests come in batches, and a batch costs the wake-ups, the locks and
//! the durable write of one request. Consensus messages are taken
//! one by one, so that no other client's policies hold up a vote, and so are requests whose backend is elsewhere, since each keeps its thread.
//!
//! A backend that is elsewhere may hang, and each request to it keeps a thread: at most half of the threads wait for one, and three
//! quarters for all of them. What is beyond waits beside the queue, so that a vote with a key that is here is never behind it.
//!
//! The thread that became idle last is woken first: its stack and its allocator's cache are still warm, and those of threads that no
//! load needs are never touched.

use super::admission::Admitted;
use super::connection::Told;
use sigwarden_core::caller::Peer;
use sigwarden_core::pipeline::{Asked, SignCall, Way};
use sigwarden_core::proof::Decapsulated;
use sigwarden_core::stages::authorize::Readable;
use sigwarden_core::{Pipeline, Refusal, Signed};
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::trace::{TraceParent, under};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Bytes of a thread's stack: a sandbox takes 256 KiB of it, and overflowing the native stack would abort the process.
pub const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Requests that a thread takes at once. More would gain nothing: at 32 the durable write is a small part of each.
const TAKEN_MAX: usize = 32;

/// Where an answer goes. The request's place among its client's is free again once it is answered, whether or not anybody listens.
pub(super) struct Answer<T> {
    sender: oneshot::Sender<T>,
    _admitted: Admitted,
}

impl<T> Answer<T> {
    pub(super) fn new(sender: oneshot::Sender<T>, admitted: Admitted) -> Self {
        Self {
            sender,
            _admitted: admitted,
        }
    }

    fn send(self, answer: T) {
        let Self {
            sender,
            _admitted: admitted,
        } = self;
        // Before the answer: whoever has it may ask again.
        drop(admitted);
        // A receiver that is gone hung up; the request was executed and recorded all the same.
        drop(sender.send(answer));
    }
}

/// One request, and where its answer goes.
pub(super) enum Job {
    /// Sign; under a trace only by itself.
    Sign(Asked, Option<TraceParent>, Answer<Result<Signed, Refusal>>),
    /// Sign many; the answers are in their order.
    SignAll(Vec<Asked>, Answer<Vec<Result<Signed, Refusal>>>),
    /// Decapsulate.
    Decapsulate(Peer, SignCall, Answer<Result<Decapsulated, Refusal>>),
    /// Read a key.
    PublicKey(Peer, String, Answer<Result<Readable, Refusal>>),
    /// List keys.
    ListKeys(Peer, Answer<Result<Vec<Readable>, Refusal>>),
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
    threads: usize,
    /// How many judge at once.
    judges: usize,
    metrics: Arc<Metrics>,
    /// How many wait, for a scrape.
    told: Arc<AtomicU64>,
}

struct Waiting {
    jobs: VecDeque<Queued>,
    /// By the names of backends that are elsewhere.
    elsewhere: BTreeMap<String, Elsewhere>,
    /// Threads that are parked or about to be; each is woken by whoever takes it from here.
    idle: Vec<Thread>,
    /// Threads that judge, or were woken to.
    judging: usize,
    closed: bool,
}

struct Queued {
    job: Job,
    since: Instant,
    way: Way,
}

impl Elsewhere {
    /// How many of those that are held are consensus messages: they are the first.
    fn held_first(&self) -> usize {
        let is_first = |queued: &Queued| matches!(queued.way, Way::Elsewhere { first: true, .. });
        self.held.partition_point(is_first)
    }
}

/// The jobs for one backend that is elsewhere.
#[derive(Default)]
struct Elsewhere {
    /// Those in the queue, and those that keep a thread.
    running: usize,
    /// Those for which there is no thread.
    held: VecDeque<Queued>,
}

impl Shared {
    // A queue is valid after any panic: no code that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, waiting: &Waiting) {
        self.told.store(waiting.len() as u64, Ordering::Relaxed);
    }

    /// Whether one more of a backend's jobs may keep a thread.
    fn has_room(&self, waiting: &Waiting, running: usize) -> bool {
        let all: usize = waiting.elsewhere.values().map(|backend| backend.running).sum();
        running < (self.threads / 2).max(1) && all < (self.threads - self.threads.div_ceil(4)).max(1)
    }

    /// A job for this backend is over: its thread is free for one that was held, of the backend with the fewest.
    fn came_back(&self, backend: &str) {
        let mut waiting = self.lock();
        if let Some(backend) = waiting.elsewhere.get_mut(backend) {
            backend.running -= 1;
        }
        let held = waiting.elsewhere.iter().filter(|(_, backend)| !backend.held.is_empty());
        let fewest = held.min_by_key(|(_, backend)| backend.running);
        let next = fewest
            .filter(|(_, backend)| self.has_room(&waiting, backend.running))
            .map(|(name, _)| name.clone());
        let Some(backend) = next.and_then(|name| waiting.elsewhere.get_mut(&name)) else {
            return;
        };
        let Some(queued) = backend.held.pop_front() else { return };
        backend.running += 1;
        waiting.jobs.push_back(queued);
        let next = waiting.next(self.judges);
        drop(waiting);
        if let Some(next) = next {
            next.unpark();
        }
    }
}

impl Waiting {
    fn len(&self) -> usize {
        self.jobs.len() + self.elsewhere.values().map(|backend| backend.held.len()).sum::<usize>()
    }

    /// Whom to wake, if there is work and a place to judge it in. The thread has the place from now on.
    fn next(&mut self, judges: usize) -> Option<Thread> {
        if self.jobs.is_empty() || self.judging >= judges {
            return None;
        }
        let thread = self.idle.pop()?;
        self.judging += 1;
        Some(thread)
    }

    /// One judge's share of what waits: requests that can be done together, or one that cannot.
    fn share(&mut self, judges: usize, metrics: &Metrics) -> Vec<(Job, Way)> {
        let free = judges.saturating_sub(self.judging) + 1;
        let most = self.jobs.len().div_ceil(free).clamp(1, TAKEN_MAX);
        let mut taken = Vec::with_capacity(most);
        while taken.len() < most {
            let together = |queued: &Queued| matches!(queued.job, Job::Sign(..)) && queued.way == Way::Together;
            let Some(next) = self.jobs.front() else { break };
            if !taken.is_empty() && !together(next) {
                break;
            }
            let alone = !together(next);
            taken.extend(self.jobs.pop_front().map(|queued| {
                metrics.queued(queued.since.elapsed());
                (queued.job, queued.way)
            }));
            if alone {
                break;
            }
        }
        taken
    }
}

/// A place among those who judge, handed on when dropped.
struct Place<'a>(&'a Shared);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.judging -= 1;
        let next = waiting.next(self.0.judges);
        // Nobody else would wake those who found all places taken while there was work.
        let done = if waiting.closed && waiting.jobs.is_empty() {
            std::mem::take(&mut waiting.idle)
        } else {
            Vec::new()
        };
        waiting.judging += done.len();
        drop(waiting);
        next.iter().chain(&done).for_each(Thread::unpark);
    }
}

impl Queue {
    /// Puts a job at the end. Gives it back if the queue is full or closed, or full of what its backend keeps waiting.
    pub(super) fn put(&self, job: Job, way: Way) -> Result<(), Box<Job>> {
        let mut waiting = self.0.lock();
        if waiting.closed || waiting.len() >= self.0.limit {
            return Err(Box::new(job));
        }
        let since = Instant::now();
        if let Way::Elsewhere { backend: name, first } = &way {
            let running = waiting.elsewhere.get(name).map_or(0, |backend| backend.running);
            let room = self.0.has_room(&waiting, running);
            let backend = waiting.elsewhere.entry(name.clone()).or_default();
            if !room {
                // Consensus messages have as much room again, ahead of the rest.
                let most = if *first { self.0.limit / 2 } else { self.0.limit / 4 };
                if backend.held.len() >= most.max(1) {
                    return Err(Box::new(job));
                }
                let ahead = if *first { backend.held_first() } else { backend.held.len() };
                backend.held.insert(ahead, Queued { job, since, way });
                self.0.tell(&waiting);
                return Ok(());
            }
            backend.running += 1;
        }
        waiting.jobs.push_back(Queued { job, since, way });
        self.0.tell(&waiting);
        let next = waiting.next(self.0.judges);
        drop(waiting);
        if let Some(next) = next {
            next.unpark();
        }
        Ok(())
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
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
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting {
                jobs: VecDeque::with_capacity(limit.min(1024)),
                elsewhere: BTreeMap::new(),
                idle: Vec::with_capacity(threads),
                judging: 0,
                closed: false,
            }),
            limit,
            threads,
            judges: judges.max(1),
            metrics,
            told,
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

/// A job that waits for a backend elsewhere; told when it is over, however it ends.
struct Away<'a>(&'a Shared, String);

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.0.came_back(&self.1);
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
