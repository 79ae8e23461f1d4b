//! Evaluator, ledger and backend as plain values that a test sets and reads.

use ed25519_dalek::{Signer, SigningKey};
use sigwarden_core::caller::{Allow, Client, Clients, KeyPattern, Peer};
use sigwarden_core::fact::{ConsensusMessage, Decoded, Fact, FactValue, MessageTime, PayloadError, Scalar, SigningInput, SigningInputs};
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::key::KeyEntry;
use sigwarden_core::ledger::{Commitment, Entry, Receipt};
use sigwarden_core::lifecycle::Bound;
use sigwarden_core::pipeline::{Limits, Parts};
use sigwarden_core::policy::{Binding, Denial, EvaluationFailure, FailureKind, Job, Report, Understands, Verdict};
use sigwarden_core::proof::{Approved, Committed, DecisionId};
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::state::{Effect, State};
use sigwarden_core::{
    Backend, BackendFailure, Evaluator, Format, KeyState, Ledger, Network, Operation, Pipeline, PolicySet, RawSignature, Refusal, Role,
    Scheme, SignCall, Signed,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) const NOW: u64 = 1_700_000_000_000;
pub(crate) const PEER: Peer = Peer::User { uid: 1, gid: 1 };

/// Answers by instance name, as the test says; counts its calls.
pub(crate) type Answer = Box<dyn Fn(&Job) -> Result<Report, EvaluationFailure> + Send + Sync>;

pub(crate) struct Answers(pub(crate) Vec<Answer>, pub(crate) Arc<AtomicU64>);

impl Evaluator for Answers {
    fn evaluate(&self, job: Job) -> Result<Report, EvaluationFailure> {
        self.1.fetch_add(1, Ordering::SeqCst);
        (self.0[job.binding])(&job)
    }
}

pub(crate) fn report(verdict: Verdict) -> Result<Report, EvaluationFailure> {
    Ok(Report {
        verdict,
        changes: Vec::new(),
        fuel: 1,
        log: Vec::new(),
    })
}

pub(crate) fn allow() -> Answer {
    Box::new(|_| report(Verdict::Allow(None)))
}

pub(crate) fn deny(code: &str) -> Answer {
    let denial = Denial {
        code: code.into(),
        message: format!("{code} it is"),
        retry_at_ms: None,
    };
    Box::new(move |_| report(Verdict::Deny(vec![denial.clone()])))
}

pub(crate) fn fail(kind: FailureKind) -> Answer {
    Box::new(move |_| {
        Err(EvaluationFailure {
            kind,
            message: "as told".into(),
        })
    })
}

/// State in memory; the next commitments may be scripted.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) state: Mutex<State>,
    pub(crate) script: Mutex<VecDeque<Commitment>>,
    pub(crate) found: Mutex<Option<Receipt>>,
    pub(crate) entries: Mutex<Vec<Entry>>,
    pub(crate) decided: AtomicU64,
    /// How many requests each commit carried.
    pub(crate) commits: Mutex<Vec<usize>>,
}

impl Ledger for Memory {
    fn snapshot(&self) -> State {
        self.state.lock().unwrap().clone()
    }
    fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        let one = |approved: &Approved| {
            if let Some(scripted) = self.script.lock().unwrap().pop_front() {
                return scripted;
            }
            let mut state = self.state.lock().unwrap();
            let settlement = match state.settle(approved) {
                Ok(settlement) => settlement,
                Err(conflict) => return Commitment::Conflict(conflict),
            };
            settlement.effects.iter().for_each(|effect| state.apply(effect));
            Commitment::Receipt(Receipt {
                sequence: self.decided.fetch_add(1, Ordering::SeqCst) + 1,
                grants: settlement.grants,
                replay: settlement.replay,
                repeats: settlement.repeats,
            })
        };
        self.commits.lock().unwrap().push(approved.len());
        approved.iter().map(one).collect()
    }
    fn look_up(&self, _: DecisionId) -> Option<Receipt> {
        self.found.lock().unwrap().clone()
    }
    fn append(&self, entry: Entry) {
        if let Entry::Outcome(outcome) = &entry {
            let mut state = self.state.lock().unwrap();
            outcome.effects().iter().for_each(|effect| state.apply(effect));
        }
        self.entries.lock().unwrap().push(entry);
    }
}

/// What the backend does.
#[derive(Clone)]
pub(crate) enum Hardware {
    Signs,
    SignsWithAnotherKey,
    SignsTwice,
    Fails(BackendFailure),
    /// Calls the function, then signs.
    SignsAfter(Arc<dyn Fn() + Send + Sync>),
}

pub(crate) struct FakeBackend(pub(crate) Mutex<Hardware>, pub(crate) AtomicU64);

impl Backend for FakeBackend {
    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let hardware = self.0.lock().unwrap().clone();
        let with = |seed| committed.to_sign().map(move |input| signature(seed, input.as_bytes()));
        match hardware {
            Hardware::Signs => Ok(with(7).collect()),
            Hardware::SignsWithAnotherKey => Ok(with(8).collect()),
            Hardware::SignsTwice => Ok(with(7).chain(with(7)).collect()),
            Hardware::Fails(failure) => Err(failure),
            Hardware::SignsAfter(wait) => {
                wait();
                Ok(with(7).collect())
            }
        }
    }
}

pub(crate) fn signature(seed: u8, bytes: &[u8]) -> RawSignature {
    RawSignature {
        bytes: SigningKey::from_bytes(&[seed; 32]).sign(bytes).to_bytes().to_vec(),
        recovery_id: None,
    }
}

pub(crate) fn public_key() -> Vec<u8> {
    SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes().to_vec()
}

/// Reads `height/seconds/block` as a precommit; other payloads say themselves how they are refused.
fn decode(format: Format, _: Scheme, payload: &[u8]) -> Result<Decoded, PayloadError> {
    let mut decoded = Decoded {
        facts: Vec::new(),
        inputs: SigningInputs::one(SigningInput::Message(payload.to_vec())),
        consensus: None,
        role: None,
    };
    let text = std::str::from_utf8(payload).unwrap();
    match text {
        "malformed" => return Err(PayloadError::Malformed(text.into())),
        "non-canonical" => return Err(PayloadError::NonCanonical(text.into())),
        "digest" => return Err(PayloadError::DigestLength(31)),
        "structured" => return Err(PayloadError::Structured(Format::CometBftVote)),
        "nowhere" => return Err(PayloadError::NoPosition(text.into())),
        _ => {}
    }
    if let (Format::CometBftRawBytes, Some((_, chain_id))) = (format, text.split_once(" on ")) {
        decoded.facts.push(Fact {
            name: "cometbft.chain-id",
            value: FactValue::One(Scalar::Text(chain_id.into())),
        });
    }
    let parts: Vec<_> = text.split('/').collect();
    if let (Format::CometBftVote, [height, seconds, block]) = (format, &parts[..]) {
        let position = Position([height.parse().unwrap(), 0, 3]);
        let mut identity = [0; 32];
        identity[..block.len()].copy_from_slice(block.as_bytes());
        decoded.consensus = Some(ConsensusMessage {
            chain_id: "chain".into(),
            class: MessageClass::CometBft,
            position,
            identity,
            sign_bytes: payload.to_vec(),
            timestamp: Some(MessageTime {
                seconds: seconds.parse().unwrap(),
                nanos: 0,
            }),
            extension: None,
            validator_id: None,
            suite_id: None,
            epoch: None,
        });
    }
    Ok(decoded)
}

pub(crate) fn floor_key() -> FloorKey {
    FloorKey {
        public_key: public_key(),
        chain_id: "chain".into(),
        class: MessageClass::CometBft,
    }
}

/// A pipeline over fakes, and the fakes.
pub(crate) struct World {
    pub(crate) pipeline: Pipeline,
    pub(crate) ledger: Arc<Memory>,
    pub(crate) backend: Arc<FakeBackend>,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) clock_reads: Arc<AtomicU64>,
    pub(crate) boot_clock: Arc<AtomicU64>,
    pub(crate) evaluations: Arc<AtomicU64>,
}

pub(crate) fn binding(instance: &str) -> Binding {
    Binding {
        instance: instance.into(),
        module_digest: "11".into(),
        config_digest: "22".into(),
        version: "0.1.0".into(),
        understands: Understands::Any,
        keys: None,
        roles: None,
        formats: None,
    }
}

impl World {
    /// One policy for each answer, named `p0`, `p1`, …, which bind everything.
    pub(crate) fn new(answers: Vec<Answer>) -> Self {
        let bindings = (0..answers.len()).map(|index| binding(&format!("p{index}"))).collect();
        Self::with(bindings, answers, Limits::default())
    }

    /// Keys: `own.account` (may sign raw messages), `own.plain` (may not), `cosmos.validator`, `cosmos.prefixed` (may sign raw bytes that
    /// begin with `oracle: ` or Celestia's prefix, and is bound to `chain`), and `own.hidden`, which the client may not use. All active;
    /// the validator's floor is at height 1.
    pub(crate) fn with(bindings: Vec<Binding>, answers: Vec<Answer>, limits: Limits) -> Self {
        let ledger = Arc::new(Memory::default());
        let mut keys = Keyring::default();
        let named = [
            ("own.account.v1", Role::Account, true),
            ("own.plain.v1", Role::Account, false),
            ("own.hidden.v1", Role::Account, true),
            ("cosmos.validator.v1", Role::Consensus, false),
            ("cosmos.prefixed.v1", Role::Consensus, false),
        ];
        for (id, role, raw) in named {
            let key: sigwarden_core::key::KeyId = id.parse().unwrap();
            ledger.state.lock().unwrap().apply(&Effect::KeyPinned {
                key: key.clone(),
                scheme: Scheme::Ed25519,
                public_key: public_key(),
                created_ms: NOW,
                state: KeyState::Active,
            });
            let prefixed = key.name.as_str() == "cosmos.prefixed";
            let prefixes = ["oracle: ", "COMET::RAW_BYTES::SIGN"].iter().filter(|_| prefixed);
            keys.insert(KeyEntry {
                id: key,
                roles: BTreeSet::from([role]),
                scheme: Scheme::Ed25519,
                public_key: public_key(),
                backend: "fake".into(),
                dangerous_allow_raw_messages: raw,
                dangerous_allow_raw_digests: raw,
                dangerous_allow_prefixed_raw: prefixes.map(|prefix| prefix.parse().unwrap()).collect(),
                bound: prefixed.then(|| Bound {
                    chain_id: Some("chain".into()),
                    ..Bound::default()
                }),
                rotation: None,
            });
        }
        let floor = Floor {
            position: Position::end_of_height(1),
            taken: Taken::Operator,
        };
        ledger.state.lock().unwrap().apply(&Effect::Floor { key: floor_key(), floor });
        let pattern = |text: &str| text.parse::<KeyPattern>().unwrap();
        let client = Client {
            name: "tester".into(),
            uid: Some(1),
            gid: Some(1),
            san: vec!["tester.example".into()],
            allow: vec![Allow {
                keys: vec![
                    pattern("own.account"),
                    pattern("own.plain"),
                    pattern("own.missing"),
                    pattern("cosmos.*"),
                ],
                operations: vec![Operation::Sign],
                formats: None,
            }],
        };
        let nobody = Client {
            name: "nobody".into(),
            uid: Some(65534),
            gid: None,
            san: vec!["nobody.example".into()],
            allow: client.allow.clone(),
        };
        let backend = Arc::new(FakeBackend(Mutex::new(Hardware::Signs), AtomicU64::new(0)));
        let clock = Arc::new(AtomicU64::new(NOW));
        let boot_clock = Arc::new(AtomicU64::new(NOW));
        let (read, boot) = (Arc::clone(&clock), Arc::clone(&boot_clock));
        let clock_reads = Arc::new(AtomicU64::new(0));
        let reads = Arc::clone(&clock_reads);
        let evaluations = Arc::new(AtomicU64::new(0));
        let policies = PolicySet {
            bindings,
            evaluator: Box::new(Answers(answers, Arc::clone(&evaluations))),
            engine_hash: "33".into(),
        };
        let pipeline = Pipeline::new(Parts {
            network: Network::Devnet,
            clients: Clients(vec![Arc::new(client), Arc::new(nobody)]),
            keys,
            policies: Arc::new(policies),
            ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
            backends: BTreeMap::from([("fake".to_owned(), Arc::clone(&backend) as Arc<dyn Backend>)]),
            decode,
            clock: Arc::new(move || {
                reads.fetch_add(1, Ordering::SeqCst);
                read.load(Ordering::SeqCst)
            }),
            boot_clock: Arc::new(move || boot.load(Ordering::SeqCst)),
            limits: Limits {
                deadline: limits.deadline.max(Duration::from_millis(1)),
                ..limits
            },
            process_id: 1,
        });
        Self {
            pipeline,
            ledger,
            backend,
            clock,
            clock_reads,
            boot_clock,
            evaluations,
        }
    }

    pub(crate) fn call(&self, call: SignCall) -> Result<Signed, Refusal> {
        self.pipeline.sign(PEER, call)
    }

    pub(crate) fn message(&self) -> Result<Signed, Refusal> {
        self.call(message("hello"))
    }

    pub(crate) fn vote(&self, payload: &str) -> Result<Signed, Refusal> {
        self.call(vote(payload))
    }

    /// How many outcomes and refusals were recorded.
    pub(crate) fn recorded(&self) -> (usize, usize) {
        let entries = self.ledger.entries.lock().unwrap();
        let outcomes = entries.iter().filter(|entry| matches!(entry, Entry::Outcome(_))).count();
        (outcomes, entries.len() - outcomes)
    }

    pub(crate) fn backend_calls(&self) -> u64 {
        self.backend.1.load(Ordering::SeqCst)
    }
}

pub(crate) fn message(payload: &str) -> SignCall {
    SignCall {
        operation: "sign".into(),
        key: "own.account".into(),
        format: "raw-message/none".into(),
        scheme: String::new(),
        request_id: String::new(),
        payload: payload.into(),
        received: Instant::now(),
    }
}

pub(crate) fn vote(payload: &str) -> SignCall {
    SignCall {
        key: "cosmos.validator".into(),
        format: "cometbft/vote".into(),
        ..message(payload)
    }
}
