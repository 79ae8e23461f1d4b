//! A pipeline whose policies, ledger and backend are plain values, behind an observed ledger.

use ed25519_dalek::{Signer, SigningKey};
use sigwarden_core::caller::{Allow, Client, Clients, Peer};
use sigwarden_core::fact::{ConsensusMessage, Decoded, PayloadError, SigningInput, SigningInputs};
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::key::{KeyEntry, KeyId};
use sigwarden_core::ledger::{Commitment, Entry, Receipt};
use sigwarden_core::pipeline::{Limits, Parts, Pipeline, SignCall};
use sigwarden_core::policy::{Binding, Denial, EvaluationFailure, Evaluator, Job, PolicySet, Report, Understands, Verdict};
use sigwarden_core::proof::{Approved, Committed, DecisionId, RawSignature, Signed};
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::state::{Effect, State};
use sigwarden_core::{Backend, BackendFailure, Format, KeyState, Ledger, Network, Operation, Refusal, Role, Scheme};
use sigwarden_telemetry::http::Readiness;
use sigwarden_telemetry::metrics::{Build, Facts, KeyFact, LedgerFact, Room};
use sigwarden_telemetry::trace::Traces;
use sigwarden_telemetry::{Metrics, Observed};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub const NOW: u64 = 1_700_000_000_000;

/// Denies what begins with `deny:`, with the code that follows.
struct Words;

impl Evaluator for Words {
    fn evaluate(&self, job: Job) -> Result<Report, EvaluationFailure> {
        let payload = String::from_utf8_lossy(&job.request.payload);
        let verdict = match payload.strip_prefix("deny:") {
            Some(code) => Verdict::Deny(vec![Denial {
                code: code.to_owned(),
                message: "as told".into(),
                retry_at_ms: None,
            }]),
            None => Verdict::Allow(None),
        };
        Ok(Report {
            verdict,
            changes: Vec::new(),
            fuel: 1,
            log: Vec::new(),
        })
    }
}

#[derive(Default)]
pub struct Memory {
    pub state: Mutex<State>,
    pub entries: Mutex<Vec<Entry>>,
    pub announced: AtomicU64,
    sequence: AtomicU64,
}

impl Ledger for Memory {
    fn snapshot(&self) -> State {
        self.state.lock().unwrap().clone()
    }
    fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        let one = |approved: &Approved| {
            let mut state = self.state.lock().unwrap();
            match state.settle(approved) {
                Ok(settlement) => {
                    settlement.effects.iter().for_each(|effect| state.apply(effect));
                    Commitment::Receipt(Receipt {
                        sequence: self.sequence.fetch_add(1, Ordering::SeqCst) + 1,
                        grants: settlement.grants,
                        replay: settlement.replay,
                        repeats: settlement.repeats,
                    })
                }
                Err(conflict) => Commitment::Conflict(conflict),
            }
        };
        approved.iter().map(one).collect()
    }
    fn announce(&self) {
        self.announced.fetch_add(1, Ordering::SeqCst);
    }
    fn withdraw(&self) {
        self.announced.fetch_add(1000, Ordering::SeqCst);
    }
    fn look_up(&self, _: DecisionId) -> Option<Receipt> {
        None
    }
    fn append(&self, entry: Entry) {
        if let Entry::Outcome(outcome) = &entry {
            let mut state = self.state.lock().unwrap();
            outcome.effects().iter().for_each(|effect| state.apply(effect));
        }
        self.entries.lock().unwrap().push(entry);
    }
}

struct Hardware;

impl Backend for Hardware {
    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure> {
        if committed.payload() == b"gone" {
            return Err(BackendFailure::Unavailable("/dev/secret is gone".into()));
        }
        let sign = |input: &SigningInput| RawSignature {
            bytes: key().sign(input.as_bytes()).to_bytes().to_vec(),
            recovery_id: None,
        };
        Ok(committed.to_sign().map(sign).collect())
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A vote is `height/block`.
fn decode(format: Format, _: Scheme, payload: &[u8]) -> Result<Decoded, PayloadError> {
    let text = std::str::from_utf8(payload).unwrap_or("?");
    let consensus = match (format, text.split_once('/')) {
        (Format::CometBftVote, Some((height, block))) => {
            let mut identity = [0; 32];
            identity[..block.len()].copy_from_slice(block.as_bytes());
            Some(ConsensusMessage {
                chain_id: "chain-1".into(),
                class: MessageClass::CometBft,
                position: Position([height.parse().unwrap(), 0, 3]),
                identity,
                sign_bytes: payload.to_vec(),
                timestamp: None,
                extension: None,
                validator_id: None,
                suite_id: None,
                epoch: None,
            })
        }
        _ => None,
    };
    Ok(Decoded {
        facts: Vec::new(),
        inputs: SigningInputs::one(SigningInput::Message(payload.to_vec())),
        consensus,
        role: None,
    })
}

pub struct World {
    pub pipeline: Pipeline,
    pub ledger: Arc<Memory>,
    pub metrics: Arc<Metrics>,
}

pub fn build() -> Build {
    Build {
        version: "9.8.7".into(),
        revision: "abc".into(),
        network: Network::Devnet,
    }
}

impl World {
    pub fn new() -> Self {
        let metrics = Arc::new(Metrics::new(build()));
        Self::with(metrics, None)
    }

    /// Keys `own.account.v1` and `cosmos.validator.v1`, whose floor is at height 1; policies `p0` and `p1`.
    pub fn with(metrics: Arc<Metrics>, traces: Option<Arc<Traces>>) -> Self {
        let ledger = Arc::new(Memory::default());
        let observed = Observed::new(Arc::clone(&ledger), Arc::clone(&metrics)).with_traces(traces);
        let mut keys = Keyring::default();
        for (id, role, raw) in [
            ("own.account.v1", Role::Account, true),
            ("cosmos.validator.v1", Role::Consensus, false),
        ] {
            let id: KeyId = id.parse().unwrap();
            let public_key = key().verifying_key().to_bytes().to_vec();
            ledger.state.lock().unwrap().apply(&Effect::KeyPinned {
                key: id.clone(),
                scheme: Scheme::Ed25519,
                public_key: public_key.clone(),
                created_ms: NOW,
                state: KeyState::Active,
            });
            let floor = FloorKey {
                public_key: public_key.clone(),
                chain_id: "chain-1".into(),
                class: MessageClass::CometBft,
            };
            ledger.state.lock().unwrap().apply(&Effect::Floor {
                key: floor,
                floor: Floor {
                    position: Position::end_of_height(1),
                    taken: Taken::Operator,
                },
            });
            keys.insert(KeyEntry {
                id,
                roles: BTreeSet::from([role]),
                scheme: Scheme::Ed25519,
                public_key,
                backend: "hsm".into(),
                dangerous_allow_raw_messages: raw,
                dangerous_allow_raw_digests: raw,
                dangerous_allow_prefixed_raw: vec![],
                bound: None,
                rotation: None,
            });
        }
        let client = Client {
            name: "tester".into(),
            uid: Some(1),
            gid: Some(1),
            san: vec![],
            allow: vec![Allow {
                keys: vec!["own.*".parse().unwrap(), "cosmos.*".parse().unwrap()],
                operations: vec![Operation::Sign],
                formats: None,
            }],
        };
        let binding = |instance: &str| Binding {
            instance: instance.into(),
            module_digest: "11".into(),
            config_digest: "22".into(),
            version: "0.1.0".into(),
            understands: Understands::Any,
            keys: None,
            roles: None,
            formats: None,
        };
        metrics.keys(["own.account", "own.account.v1", "cosmos.validator", "cosmos.validator.v1"]);
        let pipeline = Pipeline::new(Parts {
            network: Network::Devnet,
            clients: Clients(vec![Arc::new(client)]),
            keys,
            policies: Arc::new(PolicySet {
                bindings: vec![binding("p0"), binding("p1")],
                evaluator: Box::new(Words),
                engine_hash: "33".into(),
            }),
            ledger: Arc::new(observed),
            backends: BTreeMap::from([("hsm".to_owned(), Arc::new(Hardware) as Arc<dyn Backend>)]),
            decode,
            clock: Arc::new(|| NOW),
            boot_clock: Arc::new(|| NOW),
            limits: Limits::default(),
            process_id: 1,
        });
        Self { pipeline, ledger, metrics }
    }

    pub fn sign(&self, key: &str, format: &str, payload: &str) -> Result<Signed, Refusal> {
        let call = SignCall {
            operation: "sign".into(),
            key: key.into(),
            format: format.into(),
            scheme: String::new(),
            request_id: String::new(),
            payload: payload.into(),
            received: Instant::now(),
        };
        self.pipeline.sign(Peer::User { uid: 1, gid: 1 }, call)
    }

    pub fn message(&self, payload: &str) -> Result<Signed, Refusal> {
        self.sign("own.account", "raw-message/none", payload)
    }

    pub fn vote(&self, payload: &str) -> Result<Signed, Refusal> {
        self.sign("cosmos.validator", "cometbft/vote", payload)
    }

    pub fn facts(&self) -> Facts {
        let key = |id: &str, role| KeyFact {
            id: id.parse().unwrap(),
            roles: vec![role],
            scheme: Scheme::Ed25519,
            backend: "hsm".into(),
            due: role == Role::Account,
        };
        Facts {
            now_ms: NOW - 1500,
            state: {
                let mut state = self.ledger.snapshot();
                state.note_time(NOW);
                state
            },
            ledger: LedgerFact {
                last_sequence: 12,
                durable_sequence: 10,
                writes: 4,
                refusals_dropped: 3,
                room: Some(Room::Short),
                free_bytes: Some(1 << 30),
            },
            keys: vec![key("cosmos.validator.v1", Role::Consensus), key("own.account.v1", Role::Account)],
            ..Facts::default()
        }
    }

    pub fn page(&self) -> String {
        let ready = Readiness::default().with("ledger", true, None);
        self.metrics.page(self.facts(), &ready)
    }
}

/// The value of exactly this sample.
pub fn value(page: &str, sample: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{page}")).parse().unwrap()
}
