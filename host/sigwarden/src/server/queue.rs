//! What waits for a thread, and which of it is next.
//!
//! As many threads judge at once as there are cores. A thread that begins takes its share of what waits by then, has it judged, hands
//! its place on, and commits and signs it together: under load requests come in batches, and a batch costs the wake-ups, the locks and
//! the durable write of one request. Consensus messages are taken one by one, so that no other client's policies hold up a vote, and so are
//! requests whose backend is elsewhere, since each keeps its thread.
//!
//! A backend that is elsewhere may hang: at most half of the threads wait for one, and three quarters for all of them. What is beyond waits
//! beside the queue, so that a vote with a key that is here is never behind it.

use super::admission::Admitted;
use sigwarden_core::caller::Peer;
use sigwarden_core::pipeline::{Asked, SignCall, Way};
use sigwarden_core::proof::Decapsulated;
use sigwarden_core::stages::authorize::Readable;
use sigwarden_core::{Refusal, Signed};
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::trace::TraceParent;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Instant;
use tokio::sync::oneshot;

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

    pub(super) fn send(self, answer: T) {
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

/// The queue alone: what the transport holds.
#[derive(Clone)]
pub(super) struct Queue(pub(super) Arc<Shared>);

/// What the queue and its threads share.
pub(super) struct Shared {
    waiting: Mutex<Waiting>,
    limit: usize,
    threads: usize,
    /// How many judge at once.
    pub(super) judges: usize,
    pub(super) metrics: Arc<Metrics>,
    /// How many wait, for a scrape.
    told: Arc<AtomicU64>,
}

/// What waits, and who could do it.
pub(super) struct Waiting {
    pub(super) jobs: VecDeque<Queued>,
    /// By the names of backends that are elsewhere.
    elsewhere: BTreeMap<String, Elsewhere>,
    /// Threads that are parked or about to be; each is woken by whoever takes it from here.
    pub(super) idle: Vec<Thread>,
    /// Threads that judge, or were woken to.
    pub(super) judging: usize,
    pub(super) closed: bool,
}

pub(super) struct Queued {
    job: Job,
    since: Instant,
    way: Way,
}

/// The jobs for one backend that is elsewhere.
#[derive(Default)]
struct Elsewhere {
    /// Those in the queue, and those that keep a thread.
    running: usize,
    /// Those for which there is no thread.
    held: VecDeque<Queued>,
}

impl Elsewhere {
    /// How many of those that are held are consensus messages: they are the first.
    fn held_first(&self) -> usize {
        let is_first = |queued: &Queued| matches!(queued.way, Way::Elsewhere { first: true, .. });
        self.held.partition_point(is_first)
    }
}

impl Shared {
    /// An empty queue of at most `limit` jobs for so many threads, of which `judges` judge at once.
    pub(super) fn new(threads: usize, limit: usize, judges: usize, metrics: Arc<Metrics>, told: Arc<AtomicU64>) -> Self {
        Self {
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
        }
    }

    // A queue is valid after any panic: no code that can panic runs under the lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, waiting: &Waiting) {
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
    pub(super) fn next(&mut self, judges: usize) -> Option<Thread> {
        if self.jobs.is_empty() || self.judging >= judges {
            return None;
        }
        let thread = self.idle.pop()?;
        self.judging += 1;
        Some(thread)
    }

    /// One judge's share of what waits: requests that can be done together, or one that cannot.
    pub(super) fn share(&mut self, judges: usize, metrics: &Metrics) -> Vec<(Job, Way)> {
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
pub(super) struct Place<'a>(pub(super) &'a Shared);

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

/// A job that waits for a backend elsewhere; told when it is over, however it ends.
pub(super) struct Away<'a>(pub(super) &'a Shared, pub(super) String);

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.0.came_back(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sigwarden_core::Network;
    use sigwarden_telemetry::metrics::Build;

    fn queue(threads: usize, limit: usize) -> Queue {
        let build = Build {
            version: String::new(),
            revision: String::new(),
            network: Network::Devnet,
        };
        let shared = Shared::new(threads, limit, 2, Arc::new(Metrics::new(build)), Arc::default());
        Queue(Arc::new(shared))
    }

    fn put(queue: &Queue, way: Way) -> bool {
        let (sender, _) = oneshot::channel();
        let peer = Peer::Assigned("client".into());
        queue.put(Job::ListKeys(peer, Answer::new(sender, Admitted::nobody())), way).is_ok()
    }

    fn elsewhere(backend: &str, first: bool) -> Way {
        let backend = backend.to_owned();
        Way::Elsewhere { backend, first }
    }

    /// How many a judge could take, and how many wait beside them.
    fn queued_and_held(queue: &Queue) -> (usize, usize) {
        let waiting = queue.0.lock();
        (waiting.jobs.len(), waiting.len() - waiting.jobs.len())
    }

    #[test]
    fn half_of_the_threads_wait_for_one_backend_and_three_quarters_for_all() {
        let queue = queue(8, 64);
        for _ in 0..6 {
            assert!(put(&queue, elsewhere("slow", false)));
        }
        assert_eq!(queued_and_held(&queue), (4, 2));
        for _ in 0..3 {
            assert!(put(&queue, elsewhere("other", false)));
        }
        assert_eq!(queued_and_held(&queue), (6, 3));
        assert!(put(&queue, Way::Alone), "what is here is never held");
        assert_eq!(queued_and_held(&queue), (7, 3));
        // One is over: the backend with the fewest goes on.
        drop(Away(&queue.0, "slow".to_owned()));
        assert_eq!(queued_and_held(&queue), (8, 2));
        assert_eq!(queue.0.lock().elsewhere["other"].running, 3);
    }

    #[test]
    fn consensus_messages_are_held_ahead_in_their_order_and_have_as_much_room_again() {
        let queue = queue(2, 16);
        assert!(put(&queue, elsewhere("slow", false)), "the one that keeps the thread");
        for _ in 0..4 {
            assert!(put(&queue, elsewhere("slow", false)));
        }
        assert!(!put(&queue, elsewhere("slow", false)), "a quarter of the queue is full");
        for _ in 0..4 {
            assert!(put(&queue, elsewhere("slow", true)));
        }
        assert!(!put(&queue, elsewhere("slow", true)), "half of the queue is full");
        assert!(put(&queue, Way::Together), "others have the rest");
        let waiting = queue.0.lock();
        let held = &waiting.elsewhere["slow"].held;
        let first = |queued: &Queued| matches!(queued.way, Way::Elsewhere { first: true, .. });
        assert!(held.iter().take(4).all(first) && !held.iter().skip(4).any(first));
        assert!(
            held.iter().take(4).is_sorted_by_key(|queued| queued.since),
            "first come, first served"
        );
    }

    #[test]
    fn the_smallest_pool_still_asks_and_its_smallest_queue_still_holds() {
        let queue = queue(1, 1);
        assert!(put(&queue, elsewhere("slow", false)));
        queue.0.lock().jobs.clear();
        assert!(put(&queue, elsewhere("slow", false)));
        assert_eq!(queued_and_held(&queue), (0, 1));
    }
}
