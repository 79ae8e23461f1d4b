//! Policies whose answers a test chooses.

use super::NOW;
use sigwarden_core::Evaluator;
use sigwarden_core::limit::Take;
use sigwarden_core::policy::{Denial, EvaluationFailure, FailureKind, Job, Report, Verdict};
use sigwarden_core::staging::Staging;
use sigwarden_core::watermark::{Advance, Order};

/// What every policy of the set does.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    Allow,
    /// So many in all.
    Take(u64),
    /// Counts in a stored value, read and written.
    Count,
    #[allow(dead_code, reason = "the crash test does without")]
    /// Allows with the payload as its note.
    Echo,
    /// Allows with a note of so many bytes.
    Note(usize),
    #[allow(dead_code, reason = "the crash test's")]
    /// For an account, whose payloads are `transfer/NONCE`: takes, raises a watermark to the nonce, counts. For others: takes.
    Mixed,
    /// Raises a watermark by one, and takes from a bucket of twelve.
    Raise,
}

pub(super) struct Rules(pub(super) Rule);

impl Evaluator for Rules {
    fn evaluate(&self, job: Job) -> Result<Report, EvaluationFailure> {
        let fault = |error: sigwarden_core::staging::StagingFault| EvaluationFailure {
            kind: FailureKind::HostCall,
            message: error.to_string(),
        };
        let stands = job.snapshot.watermarks.values().next().map_or(0, |mark| mark.position[0]);
        let mut staging = Staging::new(job.snapshot, "rules".into(), job.request.now_ms);
        let mut verdict = Verdict::Allow(Some("fine".into()));
        match self.0 {
            Rule::Allow => {}
            Rule::Note(bytes) => verdict = Verdict::Allow(Some("n".repeat(bytes))),
            Rule::Echo => {
                let note = String::from_utf8_lossy(&job.request.payload).into_owned();
                verdict = Verdict::Allow(Some(note));
            }
            Rule::Take(capacity) => {
                if let Take::Exceeded { .. } = staging.take("all", 1, capacity, 86_400_000).map_err(fault)? {
                    verdict = Verdict::Deny(vec![Denial {
                        code: "exceeded".into(),
                        message: "no more".into(),
                        retry_at_ms: None,
                    }]);
                }
            }
            Rule::Raise => {
                staging
                    .advance("raised", &[stands + 1], b"by", Order::Lexicographic)
                    .map_err(fault)?;
                if let Take::Exceeded { .. } = staging.take("twelve", 1, 12, 86_400_000).map_err(fault)? {
                    verdict = Verdict::Deny(vec![Denial {
                        code: "exceeded".into(),
                        message: "no more".into(),
                        retry_at_ms: Some(NOW),
                    }]);
                }
            }
            Rule::Mixed => {
                let payload = String::from_utf8_lossy(&job.request.payload);
                let nonce = payload.strip_prefix("transfer/").map(|nonce| nonce.parse::<u64>().unwrap());
                let Some(nonce) = nonce else {
                    staging.take("votes", 1, 1_000_000, 86_400_000).map_err(fault)?;
                    return Ok(Report {
                        verdict,
                        changes: staging.into_changes(),
                        fuel: 1,
                        log: Vec::new(),
                    });
                };
                let taken = staging.take("transfers", 1, 20, 3_600_000).map_err(fault)?;
                let moved = staging
                    .advance("nonce", &[nonce], payload.as_bytes(), Order::Lexicographic)
                    .map_err(fault)?;
                let before = staging.get("count").map_err(fault)?;
                let count = before.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
                staging.set("count", Some(&(count + 1).to_be_bytes())).map_err(fault)?;
                if matches!(taken, Take::Exceeded { .. }) || moved != Advance::Moved {
                    verdict = Verdict::Deny(vec![Denial {
                        code: "refused".into(),
                        message: "too many, or not a new nonce".into(),
                        retry_at_ms: None,
                    }]);
                }
            }
            Rule::Count => {
                let before = staging.get("count").map_err(fault)?;
                let count = before.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
                // Others run here, so that what was read grows stale.
                std::thread::yield_now();
                staging.set("count", Some(&(count + 1).to_be_bytes())).map_err(fault)?;
            }
        }
        Ok(Report {
            verdict,
            changes: staging.into_changes(),
            fuel: 1,
            log: Vec::new(),
        })
    }
}
