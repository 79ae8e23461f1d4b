//! What requests leave behind as they pass: counters in fixed tables, histograms by handle.

use super::bounded::Bounded;
use super::catalogue as c;
use super::page::Page;
use super::policies::Policies;
use prometheus_client::metrics::histogram::Histogram;
use sigwarden_core::ledger::{Commitment, Entry, Outcome, Refused};
use sigwarden_core::pipeline::Stage;
use sigwarden_core::proof::{Approved, DecisionId};
use sigwarden_core::{Code, Format, Operation, Refusal, Scheme};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// From 10 us, below which is noise, to 10 s, above which every caller has gone: 1, 2, 5 of each decade.
const SECONDS: [f64; 19] = [
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// Requests or records together.
const TOGETHER: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Backends that have series of their own: a configuration has a handful.
const BACKENDS_MAX: usize = 64;
/// Keys that have a series of refusals; as many as are shown one by one.
const KEYS_MAX: usize = 1024;

/// Decisions whose outcome is awaited: more than threads and a batch together. One that is overtaken counts with an unknown format.
const DECIDED: usize = 8192;

pub(super) fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Done,
    Repeated,
    Refused,
    Failed,
}

impl Came {
    const ALL: [Self; 4] = [Self::Done, Self::Repeated, Self::Refused, Self::Failed];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What a record was about, as far as it is one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Of {
    pub(crate) operation: Option<Operation>,
    pub(crate) format: Option<Format>,
    pub(crate) came: Option<Came>,
}

const UNKNOWN: &str = "unknown";

/// The stages that have a histogram.
const STAGES: [Stage; 3] = [Stage::Evaluate, Stage::Commit, Stage::Sign];

/// What is counted by backend.
struct Backend {
    took: Histogram,
    errors: [AtomicU64; BACKEND_CODES.len()],
}

/// Whose fault is the backend's.
const BACKEND_CODES: [Code; 3] = [Code::BackendUnavailable, Code::BackendFailed, Code::SignatureInvalid];

pub(super) struct Requests {
    /// By operation, format and result; the last operation and format are unknown ones.
    requests: Vec<AtomicU64>,
    took: [Histogram; 4],
    stages: [Histogram; 3],
    refusals: Vec<AtomicU64>,
    keys: Bounded<AtomicU64>,
    backends: Bounded<Backend>,
    pub(super) policies: Policies,
    together: Histogram,
    batch: Histogram,
    write: Histogram,
    decided: Vec<AtomicU64>,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Requests")
    }
}

fn zeros(count: usize) -> Vec<AtomicU64> {
    std::iter::repeat_with(AtomicU64::default).take(count).collect()
}

fn add(counters: &[AtomicU64], index: usize) {
    if let Some(counter) = counters.get(index) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

const OPERATIONS: usize = Operation::ALL.len() + 1;
const FORMATS: usize = Format::ALL.len() + 1;

fn place(operation: Option<Operation>, format: Option<Format>, came: Came) -> usize {
    let operation = operation.map_or(OPERATIONS - 1, |operation| operation as usize);
    let format = format.map_or(FORMATS - 1, |format| format as usize);
    (operation * FORMATS + format) * Came::ALL.len() + came as usize
}

impl Requests {
    pub(super) fn new() -> Self {
        Self {
            requests: zeros(OPERATIONS * FORMATS * Came::ALL.len()),
            took: std::array::from_fn(|_| seconds()),
            stages: std::array::from_fn(|_| seconds()),
            refusals: zeros(Code::ALL.len()),
            keys: Bounded::new(KEYS_MAX, AtomicU64::default),
            backends: Bounded::new(BACKENDS_MAX, || Backend {
                took: seconds(),
                errors: Default::default(),
            }),
            policies: Policies::new(),
            together: Histogram::new(TOGETHER),
            batch: Histogram::new(TOGETHER),
            write: seconds(),
            decided: zeros(DECIDED),
        }
    }

    pub(super) fn know_keys<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.keys.get(name);
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "records of one write are few")]
    pub(super) fn ledger_wrote(&self, records: u64, took: Duration) {
        self.batch.observe(records as f64);
        self.write.observe(took.as_secs_f64());
    }

    #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
    pub(super) fn committed(&self, approved: &[Approved], commitments: &[Commitment]) {
        self.together.observe(approved.len() as f64);
        for (approved, commitment) in approved.iter().zip(commitments) {
            for report in approved.reports() {
                self.policies.took(&report.instance, report.micros);
            }
            let replay = match commitment {
                Commitment::Receipt(receipt) => receipt.replay,
                // Looked up next, and maybe found.
                Commitment::Unknown => false,
                Commitment::Conflict(_) | Commitment::Failed(_) => continue,
            };
            let view = approved.request().view();
            self.remember(approved.decision(), view.operation, view.format, replay);
        }
    }

    /// An outcome does not say what its decision was for: kept here until it comes.
    fn remember(&self, decision: DecisionId, operation: Operation, format: Format, replay: bool) {
        let (slot, tag) = slot(decision);
        let about = (operation as u64) << 9 | (format as u64) << 1 | u64::from(replay);
        if let Some(slot) = self.decided.get(slot) {
            slot.store(tag | 1 << 15 | about, Ordering::Relaxed);
        }
    }

    fn recall(&self, decision: DecisionId) -> Option<(Operation, Format, bool)> {
        let (slot, tag) = slot(decision);
        let kept = self.decided.get(slot)?.swap(0, Ordering::Relaxed);
        // Nothing there, or another decision's.
        if kept & !0x7fff != tag | 1 << 15 {
            return None;
        }
        let operation = Operation::ALL.get(usize::try_from(kept >> 9 & 0x3f).ok()?)?;
        let format = Format::ALL.get(usize::try_from(kept >> 1 & 0xff).ok()?)?;
        Some((*operation, *format, kept & 1 == 1))
    }

    pub(super) fn appended(&self, entry: &Entry) -> Of {
        match entry {
            Entry::Outcome(outcome) => self.outcome(outcome),
            Entry::Refused(refused) => self.refused(refused),
            Entry::Shadow(shadowed) => {
                self.policies.shadowed(shadowed);
                Of {
                    operation: Some(shadowed.operation),
                    format: Some(shadowed.format),
                    came: None,
                }
            }
        }
    }

    fn outcome(&self, outcome: &Outcome) -> Of {
        let known = self.recall(outcome.decision);
        let by_scheme = || match outcome.scheme {
            Scheme::MlKem768 => Operation::Decapsulate,
            Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr | Scheme::Ed25519 | Scheme::MlDsa44 => Operation::Sign,
        };
        let operation = known.map_or_else(by_scheme, |(operation, _, _)| operation);
        let format = known.map(|(_, format, _)| format);
        let came = match &outcome.result {
            Ok(_) if known.is_some_and(|(_, _, replay)| replay) => Came::Repeated,
            Ok(_) => Came::Done,
            Err(_) => Came::Failed,
        };
        self.count(Some(operation), format, came, &outcome.stages);
        let backend = self.backends.get(&outcome.backend);
        if let Some((_, micros)) = outcome.stages.iter().find(|(stage, _)| *stage == Stage::Sign) {
            backend.took.observe(in_seconds(*micros));
        }
        if let Err(refusal) = &outcome.result {
            add(&self.refusals, refusal.kind() as usize);
            let code = BACKEND_CODES.iter().position(|code| *code == refusal.kind());
            add(&backend.errors, code.unwrap_or(usize::MAX));
        }
        Of {
            operation: Some(operation),
            format,
            came: Some(came),
        }
    }

    fn refused(&self, refused: &Refused) -> Of {
        let operation = refused.operation.parse().ok();
        let format = refused.format.parse().ok();
        self.count(operation, format, Came::Refused, &refused.stages);
        self.refusal(&refused.refusal);
        self.keys.find(&refused.key).fetch_add(1, Ordering::Relaxed);
        Of {
            operation,
            format,
            came: Some(Came::Refused),
        }
    }

    fn refusal(&self, refusal: &Refusal) {
        add(&self.refusals, refusal.kind() as usize);
        for denied in &refusal.denials {
            self.policies.denied(denied);
        }
    }

    fn count(&self, operation: Option<Operation>, format: Option<Format>, came: Came, stages: &[(Stage, u64)]) {
        add(&self.requests, place(operation, format, came));
        let total = stages.iter().fold(0u64, |sum, (_, micros)| sum.saturating_add(*micros));
        if let Some(took) = self.took.get(came as usize) {
            took.observe(in_seconds(total));
        }
        for (wanted, took) in STAGES.iter().zip(&self.stages) {
            let of = stages.iter().filter(|(stage, _)| stage == wanted);
            // A request that goes round again has a stage twice.
            if let Some(micros) = of.map(|(_, micros)| *micros).reduce(u64::saturating_add) {
                took.observe(in_seconds(micros));
            }
        }
    }

    pub(super) fn show(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        self.show_requests(page)?;
        let mut took = page.family(&c::REQUEST_SECONDS)?;
        for (came, histogram) in Came::ALL.iter().zip(&self.took) {
            took.histogram(&[came.name()], histogram)?;
        }
        let mut stages = page.family(&c::STAGE_SECONDS)?;
        for (stage, histogram) in STAGES.iter().zip(&self.stages) {
            stages.histogram(&[stage.name()], histogram)?;
        }
        let mut refusals = page.family(&c::REFUSALS)?;
        for (code, counter) in Code::ALL.iter().zip(&self.refusals) {
            refusals.counter(&[code_name(*code)], counter.load(Ordering::Relaxed))?;
        }
        let mut keys = page.family(&c::KEY_REFUSALS)?;
        self.keys
            .each(|name, counter| keys.counter(&[name], counter.load(Ordering::Relaxed)))?;
        self.policies.show(page)?;
        let mut took = page.family(&c::BACKEND_SECONDS)?;
        self.backends.each(|name, backend| took.histogram(&[name], &backend.took))?;
        let mut errors = page.family(&c::BACKEND_ERRORS)?;
        self.backends.each(|name, backend| {
            let codes = BACKEND_CODES.iter().zip(&backend.errors);
            codes
                .into_iter()
                .try_for_each(|(code, count)| errors.counter(&[name, code.as_str()], count.load(Ordering::Relaxed)))
        })?;
        page.histogram(&c::COMMIT_REQUESTS, &self.together)?;
        page.histogram(&c::BATCH_RECORDS, &self.batch)?;
        page.histogram(&c::WRITE_SECONDS, &self.write)
    }

    /// What there can be stands there from the start, so that a first refusal is a rise; what cannot be, once it was.
    fn show_requests(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let mut family = page.family(&c::REQUESTS)?;
        let with_unknown = |count: usize| (0..count).map(Some).chain([None]);
        for operation in with_unknown(Operation::ALL.len()).map(|index| index.and_then(|index| Operation::ALL.get(index).copied())) {
            for format in with_unknown(Format::ALL.len()).map(|index| index.and_then(|index| Format::ALL.get(index).copied())) {
                let usual = format.is_some_and(|format| Some(format.operation()) == operation);
                for came in Came::ALL {
                    let counter = self.requests.get(place(operation, format, came));
                    let count = counter.map_or(0, |counter| counter.load(Ordering::Relaxed));
                    if usual || count > 0 {
                        let operation = operation.map_or(UNKNOWN, Operation::name);
                        family.counter(&[operation, format.map_or(UNKNOWN, Format::name), came.name()], count)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where a decision's note is, and how it is told from another's that came there: its running number, in the upper 48 bits.
fn slot(decision: DecisionId) -> (usize, u64) {
    let [.., a, b, c, d, e, f, g, h] = decision.0;
    let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let slot = usize::try_from(number % DECIDED as u64).unwrap_or_default();
    (slot, number << 16)
}

fn code_name(code: Code) -> &'static str {
    if code == Code::Policy { "policy" } else { code.as_str() }
}

/// Exact enough: 2^53 us are 285 years.
#[allow(clippy::cast_precision_loss, reason = "see above")]
pub(super) fn in_seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
