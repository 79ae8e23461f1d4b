//! Shadow policies: candidates that see what the policies in force saw, after the response, on a copy of the state that is theirs alone.
//! They decide nothing; what they would have said is recorded.

use crate::ledger::{Entry, Ledger, Shadowed};
use crate::policy::{Denial, Job, PolicySet, RequestView, Verdict};
use crate::refusal::{Code, Refusal};
use crate::stages::evaluate::failure_code;
use crate::staging::Staging;
use crate::state::State;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

/// Requests that wait for their shadows: what comes in a tenth of a second at ten thousand a second.
const WAITING_MAX: usize = 1_024;
/// Bytes of their payloads: the largest hundred and more.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Candidates.
pub struct ShadowSet {
    /// What they are bound to, and what runs them: never the policies in force.
    pub policies: PolicySet,
    /// For each binding, the instance in force whose state it begins with a copy of; none begins with nothing but its own.
    pub copies: Vec<Option<Arc<str>>>,
}

/// A set that runs, with the state of its own. It begins as a copy of the ledger's, and lives as long as the set.
pub(crate) struct Running {
    set: ShadowSet,
    state: Mutex<State>,
}

/// A request that a shadow is to see once it is answered.
pub(crate) struct Watched {
    running: Arc<Running>,
    view: Arc<RequestView>,
}

struct Waiting {
    watched: Watched,
    /// The codes by which the policies in force refused; none if they all allowed.
    live: Vec<String>,
    /// It came to a decision, so that its changes of state stand.
    decided: bool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

/// The shadows of a pipeline.
#[derive(Default)]
pub(crate) struct Shadows {
    running: RwLock<Option<Arc<Running>>>,
    queue: Mutex<Queue>,
    skipped: AtomicU64,
}

impl Shadows {
    pub(crate) fn replace(&self, set: Option<ShadowSet>, mut state: State) {
        let running = set.map(|set| {
            for (binding, copy) in set.policies.bindings.iter().zip(&set.copies) {
                if let Some(from) = copy {
                    state.copy_instance(from, &binding.instance);
                }
            }
            let state = Mutex::new(state);
            Arc::new(Running { set, state })
        });
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = running;
    }

    /// Of a request that is about to be evaluated: what to hand to [`Self::answered`], if a shadow binds it.
    pub(crate) fn watch(&self, view: &Arc<RequestView>) -> Option<Watched> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let binds = running
            .set
            .policies
            .bindings
            .iter()
            .any(|binding| binding.binds(&view.key, view.format));
        binds.then(|| Watched {
            running,
            view: Arc::clone(view),
        })
    }

    /// The request has its answer: `refused` by the policies in force, or not.
    pub(crate) fn answered(&self, watched: Watched, refused: Option<&Refusal>, decided: bool) {
        let live = refused.map_or_else(Vec::new, codes);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = queue.bytes + watched.view.payload.len();
        if queue.waiting.len() >= WAITING_MAX || bytes > WAITING_BYTES_MAX {
            drop(queue);
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.bytes = bytes;
        queue.waiting.push_back(Waiting { watched, live, decided });
    }

    /// Evaluates what waits, until nothing does or `stopping`.
    pub(crate) fn run(&self, ledger: &dyn Ledger, stopping: &AtomicBool) {
        while !stopping.load(Ordering::SeqCst) {
            let next = {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                let next = queue.waiting.pop_front();
                queue.bytes -= next.as_ref().map_or(0, |next| next.watched.view.payload.len());
                next
            };
            match next {
                Some(next) => next.run(ledger, stopping),
                None => return,
            }
        }
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

fn codes(refusal: &Refusal) -> Vec<String> {
    match refusal.denials.is_empty() {
        true => vec![refusal.code().into_owned()],
        false => refusal.denials.iter().map(|denied| denied.code.clone()).collect(),
    }
}

impl Waiting {
    fn run(self, ledger: &dyn Ledger, stopping: &AtomicBool) {
        let Self {
            watched: Watched { running, view },
            live,
            decided,
        } = self;
        let set = &running.set;
        let mut state = running.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, binding) in set.policies.bindings.iter().enumerate() {
            if stopping.load(Ordering::SeqCst) {
                return;
            }
            if !binding.binds(&view.key, view.format) {
                continue;
            }
            let begun = Instant::now();
            let mut fuel = 0;
            let verdict = match binding.understands.includes(view.format) {
                false => Ok(Verdict::Deny(vec![Denial {
                    code: Code::FormatUnsupported.as_str().to_owned(),
                    message: format!("this policy does not know {} and was not asked", view.format),
                    retry_at_ms: None,
                }])),
                true => {
                    let report = set.policies.evaluator.evaluate(Job {
                        binding: index,
                        request: Arc::clone(&view),
                        snapshot: state.clone(),
                    });
                    report
                        .map(|report| {
                            fuel = report.fuel;
                            if decided && matches!(report.verdict, Verdict::Allow(_)) {
                                let mut own = Staging::new(state.clone(), Arc::clone(&binding.instance), view.now_ms);
                                if own.stands(&report.changes) {
                                    own.into_effects().iter().for_each(|effect| state.apply(effect));
                                }
                            }
                            report.verdict
                        })
                        .map_err(|failure| Refusal::new(failure_code(failure.kind), failure.message))
                }
            };
            ledger.append(Entry::Shadow(Shadowed {
                instance: Arc::clone(&binding.instance),
                module_digest: Arc::clone(&binding.module_digest),
                config_digest: Arc::clone(&binding.config_digest),
                request_id: Arc::clone(&view.id),
                caller: Arc::clone(&view.caller),
                key: view.key.id.clone(),
                operation: view.operation,
                format: view.format,
                live: live.clone(),
                verdict,
                fuel,
                micros: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
                now_ms: view.now_ms,
            }));
        }
    }
}
