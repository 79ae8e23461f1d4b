//! The sandbox under attack: one policy of several is handed something else than the host would hand it, and asked twice.

use crate::library::LoadedPolicy;
use sigwarden_core::policy::{EvaluationFailure, Evaluator, FailureKind, Job, Report, RequestView};
use sigwarden_policy::Sandbox;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is done to the policy.
#[derive(Clone)]
pub(super) enum Means {
    /// Nothing.
    Plain,
    /// It runs in a sandbox that was tampered with.
    Sandbox(Arc<Mutex<Sandbox>>),
    /// It is handed this request.
    Request(Arc<RequestView>),
}

/// What was seen of it.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    /// The last answer of the policy under attack.
    pub(super) answer: Option<Result<Report, EvaluationFailure>>,
    /// Asked twice, it answered differently.
    pub(super) differs: bool,
    /// The longest evaluation, the faster of two.
    pub(super) slowest: Duration,
}

/// The evaluator of one attack.
pub(super) struct Attacked {
    policies: Vec<Arc<LoadedPolicy>>,
    target: usize,
    means: Means,
    seen: Arc<Mutex<Seen>>,
}

impl Attacked {
    pub(super) fn new(policies: &[Arc<LoadedPolicy>], target: usize, means: Means) -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::default();
        let attacked = Self {
            policies: policies.to_vec(),
            target,
            means,
            seen: Arc::clone(&seen),
        };
        (attacked, seen)
    }

    fn once(&self, policy: &LoadedPolicy, job: &Job) -> (Result<Report, EvaluationFailure>, Duration) {
        let (answer, took) = self.ask(policy, job);
        match &answer {
            // A machine under load may not run a thread for a quarter of a second; a slow policy is slow again.
            Err(failure) if failure.kind == FailureKind::Deadline => self.ask(policy, job),
            Ok(_) | Err(_) => (answer, took),
        }
    }

    fn ask(&self, policy: &LoadedPolicy, job: &Job) -> (Result<Report, EvaluationFailure>, Duration) {
        let job = Job { binding: 0, ..job.clone() };
        let begun = Instant::now();
        let answer = match &self.means {
            Means::Plain => policy.sandbox.evaluate(job),
            Means::Sandbox(sandbox) => lock(sandbox).evaluate(job),
            Means::Request(request) => policy.sandbox.evaluate(Job {
                request: Arc::clone(request),
                ..job
            }),
        };
        (answer, begun.elapsed())
    }
}

impl Evaluator for Attacked {
    fn evaluate(&self, job: Job) -> Result<Report, EvaluationFailure> {
        let Some(policy) = self.policies.get(job.binding) else {
            return Err(EvaluationFailure {
                kind: FailureKind::Host,
                message: "there is no such policy in the fixture".to_owned(),
            });
        };
        if job.binding != self.target {
            return policy.sandbox.evaluate(Job { binding: 0, ..job });
        }
        let (first, took) = self.once(policy, &job);
        let (second, took_again) = self.once(policy, &job);
        let mut seen = lock(&self.seen);
        // The faster of the two: the other may have waited for a core.
        seen.slowest = seen.slowest.max(took.min(took_again));
        seen.differs |= first != second;
        seen.answer = Some(first.clone());
        first
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
