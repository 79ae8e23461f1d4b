//! Deployments: core's pipeline over a ledger in memory.

use sigwarden_core::caller::{Allow, Client, Clients, KeyPattern, Peer};
use sigwarden_core::effect::Effect;
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::key::{KeyEntry, KeyId};
use sigwarden_core::ledger::{Commitment, Entry, Ledger, Receipt};
use sigwarden_core::pipeline::{Limits, Parts, Pipeline, SignCall};
use sigwarden_core::policy::{Binding, Denial, EvaluationFailure, Evaluator, Job, PolicySet, Report, Understands, Verdict};
use sigwarden_core::proof::{Approved, DecisionId, Signed};
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::state::{KeyStatus, State};
use sigwarden_core::{Backend, Format, KeyState, Network, Operation, Refusal, Role, Scheme};
use sigwarden_formats::cometbft::{BlockId, MessageTime, Vote, VoteType};
use sigwarden_keys::{MockHsm, MockScript};
use sigwarden_remote::{Pace, Remote, RemoteBackend, RemoteStatus, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) const CHAIN: &str = "test-chain";
pub(crate) const VALIDATOR: &str = "cosmos.validator.v1";
pub(crate) const ACCOUNT: &str = "igra.account.v1";
pub(crate) const IDENTITY: &str = "node.identity.v1";
/// Longer than anything here takes; nothing waits for it but a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Decisions of two processes have different ids.
static PROCESSES: AtomicU64 = AtomicU64::new(1);

pub(crate) fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

/// The policy: says what its judge is told to.
struct Policy(Arc<Judge>);

/// Says what it is told to.
#[derive(Default)]
pub(crate) struct Judge {
    pub(crate) denies: AtomicBool,
}

impl Evaluator for Policy {
    fn evaluate(&self, _: Job) -> Result<Report, EvaluationFailure> {
        let denial = Denial {
            code: "not-today".into(),
            message: "as the test says".into(),
            retry_at_ms: None,
        };
        Ok(Report {
            verdict: match self.0.denies.load(Ordering::SeqCst) {
                true => Verdict::Deny(vec![denial]),
                false => Verdict::Allow(None),
            },
            changes: Vec::new(),
            fuel: 0,
            log: Vec::new(),
        })
    }
}

/// A decision as a ledger got it.
#[derive(Debug, Clone)]
pub(crate) struct Decided {
    pub(crate) request_id: String,
    pub(crate) decision: DecisionId,
    pub(crate) replay: bool,
}

/// Commits to memory.
#[derive(Default)]
pub(crate) struct Memory {
    state: Mutex<State>,
    decided: Mutex<Vec<Decided>>,
    details: Mutex<Vec<String>>,
    /// Outcomes do not survive: as after a crash between signing and the next durable write.
    pub(crate) forgets_outcomes: AtomicBool,
}

impl Memory {
    /// What was decided, in order.
    pub(crate) fn decided(&self) -> Vec<Decided> {
        self.decided.lock().unwrap().clone()
    }

    /// The full messages of refusals that were recorded as outcomes.
    pub(crate) fn details(&self) -> Vec<String> {
        self.details.lock().unwrap().clone()
    }
}

impl Ledger for Memory {
    fn snapshot(&self) -> State {
        self.state.lock().unwrap().clone()
    }

    fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        let mut state = self.state.lock().unwrap();
        let mut settle = |one: &Approved| {
            let settlement = state.settle(one)?;
            settlement.effects.iter().for_each(|effect| state.apply(effect));
            let mut decided = self.decided.lock().unwrap();
            decided.push(Decided {
                request_id: one.request().id().to_string(),
                decision: one.decision(),
                replay: settlement.replay,
            });
            Ok(Receipt {
                sequence: decided.len() as u64,
                grants: settlement.grants,
                replay: settlement.replay,
                repeats: settlement.repeats,
            })
        };
        approved
            .iter()
            .map(|one| settle(one).map_or_else(Commitment::Conflict, Commitment::Receipt))
            .collect()
    }

    fn look_up(&self, _: DecisionId) -> Option<Receipt> {
        None
    }

    fn append(&self, entry: Entry) {
        let Entry::Outcome(outcome) = entry else { return };
        if let Err(refusal) = &outcome.result {
            self.details.lock().unwrap().push(refusal.full_message().into_owned());
        }
        if !self.forgets_outcomes.load(Ordering::SeqCst) {
            let mut state = self.state.lock().unwrap();
            outcome.effects().iter().for_each(|effect| state.apply(effect));
        }
    }
}

/// A deployment: one caller, one policy, and keys.
pub(crate) struct Deployment {
    pub(crate) pipeline: Pipeline,
    pub(crate) ledger: Arc<Memory>,
    pub(crate) judge: Arc<Judge>,
}

pub(crate) fn peer() -> Peer {
    Peer::Assigned("caller".into())
}

impl Deployment {
    pub(crate) fn new(backend: Arc<dyn Backend>, keys: &[(KeyId, Scheme, Vec<u8>)]) -> Self {
        let (mut keyring, mut state) = (Keyring::default(), State::default());
        for (id, scheme, public_key) in keys {
            keyring.insert(entry(id, *scheme, public_key));
            state.maps_mut().keys.insert(id.clone(), status(*scheme, public_key).into());
            state.apply(&Effect::Floor {
                key: FloorKey {
                    public_key: public_key.clone(),
                    chain_id: CHAIN.into(),
                    class: MessageClass::CometBft,
                },
                floor: Floor {
                    position: Position::end_of_height(1),
                    taken: Taken::Operator,
                },
            });
        }
        let ledger = Arc::new(Memory {
            state: Mutex::new(state),
            ..Memory::default()
        });
        let judge = Arc::<Judge>::default();
        let client = Client {
            name: "caller".into(),
            uid: None,
            gid: None,
            san: Vec::new(),
            allow: vec![Allow {
                keys: vec![KeyPattern::All],
                operations: vec![Operation::Sign, Operation::Decapsulate, Operation::PublicKey],
                formats: None,
            }],
        };
        let binding = Binding {
            instance: "judge".into(),
            module_digest: "".into(),
            config_digest: "".into(),
            version: "".into(),
            understands: Understands::Any,
            keys: None,
            roles: None,
            formats: None,
        };
        let pipeline = Pipeline::new(Parts {
            network: Network::Devnet,
            clients: Clients(vec![Arc::new(client)]),
            keys: keyring,
            policies: Arc::new(PolicySet {
                bindings: vec![binding],
                evaluator: Box::new(Policy(Arc::clone(&judge))),
                engine_hash: "".into(),
            }),
            ledger: Arc::clone(&ledger) as _,
            backends: BTreeMap::from([("backend".to_owned(), backend)]),
            decode: sigwarden_formats::decode,
            clock: Arc::new(|| 1_700_000_000_000),
            boot_clock: Arc::new(|| 0),
            limits: Limits {
                // Builds run beside the tests.
                deadline: PATIENCE,
                ..Limits::default()
            },
            process_id: PROCESSES.fetch_add(1, Ordering::SeqCst),
        });
        Self { pipeline, ledger, judge }
    }

    /// With keys made by the mock: the same ones in each deployment.
    pub(crate) fn with_mock_hsm() -> Self {
        let mock = MockHsm::new(MockScript::default());
        let keys = keys();
        for (id, scheme, public_key) in &keys {
            assert_eq!(mock.generate(id, *scheme).unwrap(), *public_key);
        }
        Self::new(Arc::new(mock), &keys)
    }

    pub(crate) fn sign(&self, call: SignCall) -> Result<Signed, Refusal> {
        self.pipeline.sign(peer(), call)
    }

    /// What the record says of the last failure.
    pub(crate) fn last_detail(&self) -> String {
        self.ledger.details().pop().unwrap_or_default()
    }
}

/// The keys of every deployment here.
pub(crate) fn keys() -> Vec<(KeyId, Scheme, Vec<u8>)> {
    let mock = MockHsm::new(MockScript::default());
    let all = [
        (VALIDATOR, Scheme::Ed25519),
        (ACCOUNT, Scheme::Secp256k1Ecdsa),
        (IDENTITY, Scheme::MlKem768),
    ];
    all.into_iter()
        .map(|(text, scheme)| (id(text), scheme, mock.generate(&id(text), scheme).unwrap()))
        .collect()
}

pub(crate) fn public_key(of: &str) -> Vec<u8> {
    keys().into_iter().find(|(key, ..)| *key == id(of)).unwrap().2
}

fn entry(id: &KeyId, scheme: Scheme, public_key: &[u8]) -> KeyEntry {
    let role = match scheme {
        Scheme::Ed25519 => Role::Consensus,
        Scheme::MlKem768 => Role::P2pIdentity,
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr | Scheme::MlDsa44 => Role::Account,
    };
    KeyEntry {
        id: id.clone(),
        roles: BTreeSet::from([role]),
        scheme,
        public_key: public_key.to_vec(),
        backend: "backend".into(),
        dangerous_allow_raw_messages: role == Role::Account,
        dangerous_allow_raw_digests: role == Role::Account,
        dangerous_allow_prefixed_raw: vec![],
        bound: None,
        rotation: None,
    }
}

fn status(scheme: Scheme, public_key: &[u8]) -> KeyStatus {
    KeyStatus {
        scheme,
        public_key: public_key.to_vec(),
        created_ms: 1,
        state: KeyState::Active,
        version: 1,
        grace: None,
        uses: 0,
    }
}

/// A precommit.
pub(crate) fn vote(height: u64, seconds: i64) -> Vote {
    Vote {
        vote_type: VoteType::Precommit,
        height,
        round: 0,
        block_id: Some(BlockId {
            hash: [1; 32],
            parts_total: 1,
            parts_hash: [2; 32],
        }),
        timestamp: MessageTime { seconds, nanos: 0 },
        chain_id: CHAIN.into(),
    }
}

pub(crate) fn call(key: &str, format: Format, payload: Vec<u8>, request_id: &str) -> SignCall {
    SignCall {
        operation: format.operation().name().into(),
        key: key.into(),
        format: format.name().into(),
        scheme: String::new(),
        request_id: request_id.into(),
        payload,
        received: Instant::now(),
    }
}

pub(crate) fn vote_call(height: u64, seconds: i64, request_id: &str) -> SignCall {
    call(VALIDATOR, Format::CometBftVote, vote(height, seconds).sign_bytes(), request_id)
}

pub(crate) fn digest_call(digest: u8, request_id: &str) -> SignCall {
    call(ACCOUNT, Format::RawDigest, vec![digest; 32], request_id)
}

/// Whether an Ed25519 signature verifies: ed25519-dalek, past core's own verification.
pub(crate) fn verifies(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = ed25519_dalek::VerifyingKey::from_bytes(public_key.try_into().unwrap()).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(signature.try_into().unwrap());
    key.verify_strict(message, &signature).is_ok()
}

/// Looks often, waits long: nothing here depends on how fast a machine is.
pub(crate) fn settings(remotes: Vec<Remote>) -> Settings {
    let mut settings = Settings::new("remote", Network::Devnet, remotes);
    settings.connect_deadline = Duration::from_secs(20);
    settings.call_deadline = Duration::from_secs(40);
    settings.total_deadline = Duration::from_secs(40);
    settings.pace = Pace {
        health: Duration::from_millis(20),
        health_deadline: Duration::from_secs(20),
        retry_first: Duration::from_millis(5),
        retry_most: Duration::from_millis(20),
    };
    settings
}

/// A deployment without keys, in front of remotes.
pub(crate) struct Front {
    pub(crate) backend: Arc<RemoteBackend>,
    pub(crate) deployment: Deployment,
}

impl Front {
    pub(crate) fn of(settings: Settings) -> Self {
        let backend = Arc::new(RemoteBackend::open(settings).unwrap());
        let deployment = Deployment::new(Arc::clone(&backend) as _, &keys());
        Self { backend, deployment }
    }

    /// One whose remotes have been looked at.
    pub(crate) fn looked(settings: Settings) -> Self {
        let front = Self::of(settings);
        let _ = front.backend.wait_until_looked(PATIENCE);
        front
    }

    /// Waits until remote `at` is so.
    pub(crate) fn until(&self, at: usize, so: impl Fn(&RemoteStatus) -> bool) -> RemoteStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.backend.status().swap_remove(at);
            if so(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{status:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
