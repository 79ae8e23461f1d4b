//! The ledger as core sees it: durable state and audit log in one. The second of the three traits that carry the host.

use crate::caller::Peer;
use crate::fact::{MessageTime, SigningInput};
use crate::floor::{FloorKey, FloorRefused, Position};
use crate::format::Format;
use crate::key::KeyId;
use crate::pipeline::Stage;
use crate::policy::Verdict;
use crate::proof::{Approved, DecisionId, RawSignature};
use crate::refusal::Refusal;
use crate::request_id::RequestTag;
use crate::state::{Effect, State};
use crate::vocabulary::{Operation, Scheme};
use std::sync::Arc;

/// Keeps state and records. Implementations return plain data; core mints the proofs.
pub trait Ledger: Send + Sync {
    /// The state as of now: sequenced, maybe not durable yet.
    fn snapshot(&self) -> State;

    /// Settles each request against the state of the moment ([`State::settle`]), assigns its sequence, and returns when the records
    /// are durable. One answer for each request, in order. Blocks; calls of several threads are grouped into one durable write.
    fn commit(&self, approved: &[Approved]) -> Vec<Commitment>;

    /// Says that a request is being evaluated and may come to commit: a batch may wait for it, a little. Each is taken back by
    /// [`Ledger::withdraw`] or by its commit. Does nothing by default.
    fn announce(&self) {}

    /// Says that a request that was announced does not come.
    fn withdraw(&self) {}

    /// Looks a decision up, after [`Commitment::Unknown`].
    fn look_up(&self, decision: DecisionId) -> Option<Receipt>;

    /// Records something that needs no durability of its own: it becomes durable with the next commit, at most a second later.
    fn append(&self, entry: Entry);
}

/// An announcement, taken back when dropped.
pub(crate) struct Announced<'a> {
    ledger: Option<&'a dyn Ledger>,
}

impl<'a> Announced<'a> {
    pub(crate) fn to(ledger: &'a dyn Ledger) -> Self {
        ledger.announce();
        Self { ledger: Some(ledger) }
    }

    /// The request comes to commit: the ledger itself takes it off.
    pub(crate) fn arrives(mut self) {
        self.ledger = None;
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger {
            ledger.withdraw();
        }
    }
}

/// The answer to one request's commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commitment {
    /// Durable.
    Receipt(Receipt),
    /// Not committed: something stands against it.
    Conflict(Conflict),
    /// Not committed, or not known to be durable; nothing will be any more.
    Failed(LedgerFailure),
    /// Not known: the ledger is elsewhere and did not answer. Look the decision up; never commit it again blindly.
    Unknown,
}

/// A durable decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The record's sequence.
    pub sequence: u64,
    /// What may be signed or released: one for each signing input.
    pub grants: Vec<Grant>,
    /// The request repeated an earlier decision.
    pub replay: bool,
    /// That decision, if the request repeated its id.
    pub repeats: Option<DecisionId>,
}

/// What a decision lets happen for one signing input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Sign the request's own input.
    Sign {
        /// The input.
        input: SigningInput,
        /// The timestamp in it.
        timestamp: Option<MessageTime>,
    },
    /// Sign the bytes that were decided first, not the request's.
    SignStored {
        /// The sign bytes.
        sign_bytes: Vec<u8>,
        /// The timestamp in them.
        timestamp: Option<MessageTime>,
    },
    /// Release the signature that was recorded for this very input.
    Released {
        /// The input.
        input: SigningInput,
        /// The signature.
        signature: RawSignature,
        /// The timestamp in the input.
        timestamp: Option<MessageTime>,
    },
    /// Release the signature that was recorded at the floor, over the bytes that it keeps.
    Recorded {
        /// The signature.
        signature: Vec<u8>,
        /// The timestamp in what it signs.
        timestamp: Option<MessageTime>,
        /// The sign bytes that it is over.
        sign_bytes: Vec<u8>,
    },
}

impl Grant {
    /// The timestamp in what is or was signed.
    #[must_use]
    pub fn timestamp(&self) -> Option<MessageTime> {
        match self {
            Self::Sign { timestamp, .. }
            | Self::SignStored { timestamp, .. }
            | Self::Released { timestamp, .. }
            | Self::Recorded { timestamp, .. } => *timestamp,
        }
    }

    /// Whether something is signed.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        match self {
            Self::Sign { .. } | Self::SignStored { .. } => true,
            Self::Released { .. } | Self::Recorded { .. } => false,
        }
    }
}

/// What stands against a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// A floor: final.
    Floor(FloorRefused),
    /// The request's id stands for something else: final.
    RequestId(RequestIdReused),
    /// What the policies saw has changed: ask them again. Says what.
    Stale(&'static str),
}

/// How a request differs from the one that its id was given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestIdReused {
    /// Another payload or format.
    #[error("this request id was given before, for another payload or format")]
    Payload,
    /// Another version of the key.
    #[error("this request id was decided before, for version {0} of the key; ask for that version by its name")]
    Version(u32),
}

/// Why the ledger did not commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerFailure {
    /// A write or fsync failed; the ledger refuses everything until it is opened again.
    #[error("the ledger failed and refuses everything until a restart: {0}")]
    Poisoned(String),
    /// Too little room on the disk.
    #[error("{0}")]
    Full(String),
    /// The record would be too long.
    #[error("the decision's record has {0} bytes, 32768 are the most; let the policies stage less state")]
    RecordTooLarge(usize),
}

/// Something to record without waiting.
#[derive(Debug, Clone)]
pub enum Entry {
    /// What came of a decision.
    Outcome(Outcome),
    /// A request that was refused before a decision.
    Refused(Refused),
    /// What a shadow policy would have said.
    Shadow(Shadowed),
}

/// What a shadow policy would have said of a request that had its answer already.
#[derive(Debug, Clone)]
pub struct Shadowed {
    /// The shadow's instance.
    pub instance: Arc<str>,
    /// SHA-256 of its module, hex.
    pub module_digest: Arc<str>,
    /// SHA-256 of its configuration, hex.
    pub config_digest: Arc<str>,
    /// The request's id.
    pub request_id: Arc<str>,
    /// The caller's name.
    pub caller: Arc<str>,
    /// The key.
    pub key: KeyId,
    /// What was asked.
    pub operation: Operation,
    /// The payload's format.
    pub format: Format,
    /// The codes by which the policies in force refused; none if they all allowed.
    pub live: Vec<String>,
    /// The shadow's verdict, or why there is none.
    pub verdict: Result<Verdict, Refusal>,
    /// Fuel it used.
    pub fuel: u64,
    /// How long it took, microseconds.
    pub micros: u64,
    /// The request's time, milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// What came of a decision.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The decision's sequence.
    pub decision_sequence: u64,
    /// The decision.
    pub decision: DecisionId,
    /// The request's id.
    pub request_id: Arc<str>,
    /// The caller's name.
    pub caller: Arc<str>,
    /// The key.
    pub key: KeyId,
    /// The backend's name.
    pub backend: String,
    /// The scheme.
    pub scheme: Scheme,
    /// The signatures (none for a decapsulation), or why there is nothing.
    pub result: Result<Vec<RawSignature>, Refusal>,
    /// For a consensus message: the floor that the first signature belongs to.
    pub floor: Option<(FloorKey, Position)>,
    /// The request id that the signatures are remembered for.
    pub remember: Option<RequestTag>,
    /// How long each stage took, microseconds.
    pub stages: Vec<(Stage, u64)>,
    /// The request's time, milliseconds since the Unix epoch.
    pub now_ms: u64,
}

impl Outcome {
    /// What it does to the state: signatures are kept at their floor, and for their request's id.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        // A decapsulation leaves nothing behind.
        if let Some(made) = self.result.as_ref().ok().filter(|made| !made.is_empty()) {
            if let (Some((key, position)), Some(first)) = (&self.floor, made.first()) {
                effects.push(Effect::FloorSignature {
                    key: key.clone(),
                    position: *position,
                    signature: first.bytes.clone(),
                });
            }
            effects.extend(self.remember.map(|tag| Effect::RequestSigned {
                tag,
                signatures: made.clone(),
            }));
        }
        effects
    }
}

/// A request that was refused before a decision. What is known of it depends on how far it came; texts are the caller's, capped.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The request's id, if it came so far.
    pub request_id: Option<Arc<str>>,
    /// The caller's name, if it has one.
    pub caller: Option<Arc<str>>,
    /// Who was at the other end.
    pub peer: Peer,
    /// The operation asked for, as sent.
    pub operation: String,
    /// The key asked for, as sent.
    pub key: String,
    /// The format asked for, as sent.
    pub format: String,
    /// Where it stopped.
    pub stage: Stage,
    /// Why.
    pub refusal: Refusal,
    /// How long each stage took, microseconds.
    pub stages: Vec<(Stage, u64)>,
    /// The time, milliseconds since the Unix epoch; the wall clock's if the request had none yet.
    pub now_ms: u64,
}
