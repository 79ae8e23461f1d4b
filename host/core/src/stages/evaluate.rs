//! Every bound policy, in the order of the configuration, a fresh sandbox each, against one snapshot.

use crate::permits::Permits;
use crate::policy::{Binding, Denial, EvaluationFailure, FailureKind, Job, PolicySet, Report, Verdict};
use crate::proof::{Evaluation, PolicyReport, Request};
use crate::refusal::{Code, Refusal};
use crate::state::State;
use std::sync::Arc;
use std::time::Instant;

/// Runs all bound policies. A failure of one refuses ahead of any denial.
///
/// # Errors
/// [`Code::PolicyUnbound`], [`Code::Deadline`], or a `sandbox/…` code.
pub fn evaluate(request: Request, policies: Arc<PolicySet>, evaluations: &Permits, deadline: Instant) -> Result<Evaluation, Refusal> {
    let (key, format) = (request.key(), request.view.format);
    let bound: Vec<(usize, &Binding)> = policies
        .bindings
        .iter()
        .enumerate()
        .filter(|(_, binding)| binding.binds(key, format))
        .collect();
    if bound.is_empty() {
        return Err(Refusal::new(
            Code::PolicyUnbound,
            format!("no policy binds {} with {format}; nothing is signed without one", key.id),
        ));
    }
    // Released when this function returns: before the commit waits for the disk.
    let Some(_permit) = evaluations.acquire(deadline) else {
        return Err(Refusal::new(
            Code::Deadline,
            "the request waited too long for its evaluation; nothing was decided, ask again",
        ));
    };
    let mut reports = Vec::with_capacity(bound.len());
    let mut failure = None;
    for (index, binding) in bound {
        let begun = Instant::now();
        let unsupported = !binding.understands.includes(format);
        let report = if unsupported {
            Ok(deny_unsupported(&request))
        } else {
            run(&policies, index, &request)
        };
        match report {
            Ok(report) => reports.push(PolicyReport {
                instance: Arc::clone(&binding.instance),
                module_digest: Arc::clone(&binding.module_digest),
                config_digest: Arc::clone(&binding.config_digest),
                verdict: report.verdict,
                unsupported,
                changes: report.changes,
                fuel: report.fuel,
                micros: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
            }),
            Err(error) => {
                failure.get_or_insert_with(|| refuse(&binding.instance, &error));
            }
        }
    }
    match failure {
        Some(refusal) => Err(refusal),
        None => Ok(Evaluation {
            // Nobody looks at it any more, and as long as it is held every change of the state copies what both share.
            request: Request {
                snapshot: State::default(),
                ..request
            },
            policies,
            reports,
        }),
    }
}

fn run(policies: &PolicySet, binding: usize, request: &Request) -> Result<Report, EvaluationFailure> {
    let job = Job {
        binding,
        request: Arc::clone(&request.view),
        snapshot: request.snapshot.clone(),
    };
    policies.evaluator.evaluate(job)
}

fn deny_unsupported(request: &Request) -> Report {
    let denial = Denial {
        code: Code::FormatUnsupported.as_str().into(),
        message: format!("this policy does not know {} and was not asked", request.view.format),
        retry_at_ms: None,
    };
    Report {
        verdict: Verdict::Deny(vec![denial]),
        changes: Vec::new(),
        fuel: 0,
        log: Vec::new(),
    }
}

fn refuse(instance: &str, failure: &EvaluationFailure) -> Refusal {
    Refusal::new(failure_code(failure.kind), format!("policy {instance}: {}", failure.message))
}

/// The code that a failure of a sandbox refuses with.
pub(crate) fn failure_code(kind: FailureKind) -> Code {
    match kind {
        FailureKind::Trap => Code::SandboxTrap,
        FailureKind::Fuel => Code::SandboxFuel,
        FailureKind::Deadline => Code::SandboxDeadline,
        FailureKind::Memory => Code::SandboxMemory,
        FailureKind::HostCall => Code::SandboxHostCall,
        FailureKind::Malformed => Code::SandboxMalformed,
        FailureKind::Host => Code::SandboxHost,
    }
}
