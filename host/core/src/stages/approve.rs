//! Exactly one verdict of each bound policy, at least one bound, all allow.

use crate::policy::Verdict;
use crate::proof::{Approved, DecisionId, Evaluation};
use crate::refusal::{Code, Denied, Refusal};
use std::sync::Arc;

/// Judges the verdicts.
///
/// # Errors
/// The denials, in the order of the configuration; the first names the refusal.
pub fn approve(evaluation: Evaluation, next_decision: impl FnOnce() -> [u8; 16]) -> Result<Approved, Refusal> {
    let Evaluation {
        request,
        policies,
        reports,
    } = evaluation;
    let bound = policies
        .bindings
        .iter()
        .filter(|binding| binding.binds(request.key(), request.view.format));
    if reports.is_empty()
        || !bound
            .map(|binding| &binding.instance)
            .eq(reports.iter().map(|report| &report.instance))
    {
        return Err(Refusal::new(Code::Internal, "the verdicts are not one of each bound policy"));
    }
    let mut denials = Vec::new();
    let mut kind = Code::Policy;
    for report in &reports {
        match &report.verdict {
            Verdict::Allow(_) => {}
            Verdict::Deny(list) => {
                if denials.is_empty() && report.unsupported {
                    kind = Code::FormatUnsupported;
                }
                denials.extend(list.iter().map(|denial| Denied {
                    instance: Arc::clone(&report.instance),
                    code: if report.unsupported {
                        denial.code.clone()
                    } else {
                        format!("policy/{}/{}", report.instance, denial.code)
                    },
                    message: denial.message.clone(),
                    retry_at_ms: denial.retry_at_ms,
                }));
                // An empty list of denials is no approval: the sandbox refuses it as malformed, and so does core.
                if list.is_empty() {
                    return Err(Refusal::new(
                        Code::SandboxMalformed,
                        format!("policy {}: a deny without a denial", report.instance),
                    ));
                }
            }
        }
    }
    if !denials.is_empty() {
        return Err(Refusal::denied(kind, denials));
    }
    let engine_hash = Arc::clone(&policies.engine_hash);
    Ok(Approved {
        request,
        reports,
        engine_hash,
        decision: DecisionId(next_decision()),
    })
}
