//! The sandbox, watched: what each policy was handed and what it answered.

use super::overheard::listening;
use crate::library::LoadedPolicy;
use sigwarden_core::policy::{EvaluationFailure, Evaluator, FailureKind, Job, LogLine, Report};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One evaluation of one policy.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// What the sandbox was handed. [`Job::binding`] is the policy's place in the fixture.
    pub job: Job,
    /// What it answered.
    pub result: Result<Report, EvaluationFailure>,
    /// What it logged before it failed; of one that answered the report has it.
    pub log: Vec<LogLine>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Sandboxes of one policy each, as one evaluator.
pub(crate) struct Watched {
    policies: Vec<Arc<LoadedPolicy>>,
    seen: Mutex<Vec<Evaluated>>,
}

impl Watched {
    pub(crate) fn new(policies: Vec<Arc<LoadedPolicy>>) -> Self {
        Self {
            policies,
            seen: Mutex::default(),
        }
    }

    /// What was evaluated since the last call.
    pub(crate) fn take(&self) -> Vec<Evaluated> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn evaluate(&self, job: Job) -> Result<Report, EvaluationFailure> {
        let Some(policy) = self.policies.get(job.binding) else {
            return Err(EvaluationFailure {
                kind: FailureKind::Host,
                message: "there is no such policy in the fixture".to_owned(),
            });
        };
        let begun = Instant::now();
        let (result, heard) = listening(|| policy.sandbox.evaluate(Job { binding: 0, ..job.clone() }));
        let evaluated = Evaluated {
            job,
            elapsed: begun.elapsed(),
            log: if result.is_ok() { Vec::new() } else { heard },
            result: result.clone(),
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(evaluated);
        result
    }
}

/// The same evaluator, shared with whoever watches.
pub(crate) struct Shared(pub(crate) Arc<Watched>);

impl Evaluator for Shared {
    fn evaluate(&self, job: Job) -> Result<Report, EvaluationFailure> {
        self.0.evaluate(job)
    }
}
