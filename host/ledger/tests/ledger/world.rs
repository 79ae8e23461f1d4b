//! A deployment in a temporary directory: a consensus key, an account key, and policies whose answers a test chooses.

use ed25519_dalek::{Signer, SigningKey};
use sigwarden_core::caller::{Allow, Client, Clients, KeyPattern, Peer};
use sigwarden_core::fact::{ConsensusMessage, Decoded, MessageTime, PayloadError, SigningInput, SigningInputs};
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::key::{KeyEntry, KeyId};
use sigwarden_core::pipeline::{Limits, Parts};
use sigwarden_core::policy::{Binding, Understands};
use sigwarden_core::proof::{Committed, DecisionId};
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::state::Effect;
use sigwarden_core::{
    Backend, BackendFailure, Format, KeyState, Ledger, Network, Operation, Pipeline, PolicySet, RawSignature, Refusal, Role, Scheme,
    SignCall, Signed,
};
use sigwarden_ledger::disk::Disk;
use sigwarden_ledger::{AdminKind, Administration, EmbeddedLedger, OpenError, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[path = "rules.rs"]
mod rules;

pub(crate) use rules::Rule;
use rules::Rules;

pub(crate) const NOW: u64 = 1_700_000_000_000;
pub(crate) const VALIDATOR: &str = "cosmos.validator.v1";
pub(crate) const ACCOUNT: &str = "own.account.v1";

/// Signs, counts how often, and remembers what, under which decision; fails when told.
pub(crate) struct Signing {
    key: SigningKey,
    pub(crate) fails: AtomicBool,
    pub(crate) signed: AtomicUsize,
    pub(crate) made: Mutex<Vec<Vec<u8>>>,
    pub(crate) asked: Mutex<Vec<DecisionId>>,
}

impl Backend for Signing {
    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure> {
        self.asked.lock().unwrap().push(committed.decision());
        if self.fails.load(Ordering::SeqCst) {
            return Err(BackendFailure::Unavailable("the test says so".into()));
        }
        let sign = |input: &SigningInput| {
            self.signed.fetch_add(1, Ordering::SeqCst);
            self.made.lock().unwrap().push(input.as_bytes().to_vec());
            RawSignature {
                bytes: self.key.sign(input.as_bytes()).to_bytes().to_vec(),
                recovery_id: None,
            }
        };
        Ok(committed.to_sign().map(sign).collect())
    }
}

/// Reads `chain/height/round/step/seconds/block`, with `+extension` behind it or without, and any bytes as a raw message.
fn decode(format: Format, _: Scheme, payload: &[u8]) -> Result<Decoded, PayloadError> {
    let mut decoded = Decoded {
        facts: Vec::new(),
        inputs: SigningInputs::one(SigningInput::Message(payload.to_vec())),
        consensus: None,
        role: None,
    };
    if format == Format::CometBftVote {
        let text = std::str::from_utf8(payload).unwrap();
        let (text, extension) = text
            .split_once('+')
            .map_or((text, None), |(text, extension)| (text, Some(extension)));
        decoded.inputs = SigningInputs {
            first: SigningInput::Message(text.as_bytes().to_vec()),
            second: extension.map(|extension| SigningInput::Message(extension.as_bytes().to_vec())),
        };
        let [chain, height, round, step, seconds, block] = text.split('/').collect::<Vec<_>>().try_into().unwrap();
        let number = |text: &str| text.parse::<u64>().unwrap();
        let timestamp = MessageTime {
            seconds: seconds.parse().unwrap(),
            nanos: 0,
        };
        decoded.consensus = Some(ConsensusMessage {
            chain_id: chain.into(),
            class: MessageClass::CometBft,
            position: Position([number(height), number(round), number(step)]),
            identity: blake3::hash(format!("{chain}/{height}/{round}/{step}/{block}").as_bytes()).into(),
            sign_bytes: text.as_bytes().to_vec(),
            timestamp: Some(timestamp),
            extension: extension.map(|extension| blake3::hash(extension.as_bytes()).into()),
            validator_id: None,
            suite_id: None,
            epoch: None,
        });
    }
    Ok(decoded)
}

pub(crate) fn vote(height: u64, seconds: u64, block: &str) -> Vec<u8> {
    format!("chain/{height}/0/3/{seconds}/{block}").into_bytes()
}

pub(crate) fn floor_key() -> FloorKey {
    FloorKey {
        public_key: public_key(),
        chain_id: "chain".into(),
        class: MessageClass::CometBft,
    }
}

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn public_key() -> Vec<u8> {
    signing_key().verifying_key().to_bytes().to_vec()
}

/// The keeper does nothing by itself: what is durable when is the test's doing.
pub(crate) fn settings() -> Settings {
    Settings {
        flush_every: Duration::from_secs(3600),
        checkpoint_every: Duration::from_secs(3600),
        ..Settings::new(NOW, Arc::new(|_| {}))
    }
}

/// A pipeline over a ledger.
pub(crate) struct World {
    pub(crate) ledger: Arc<EmbeddedLedger>,
    pub(crate) pipeline: Pipeline,
    pub(crate) backend: Arc<Signing>,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) fatal: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// Makes a deployment with both keys active and the floor of the validator at height 1.
    pub(crate) fn create(disk: Arc<dyn Disk>, dir: &Path, rule: Rule) -> Self {
        let ledger = EmbeddedLedger::create_on(Arc::clone(&disk), dir, settings()).unwrap();
        let pinned = |key: &str| Effect::KeyPinned {
            key: key.parse().unwrap(),
            scheme: Scheme::Ed25519,
            public_key: public_key(),
            created_ms: NOW,
            state: KeyState::Active,
        };
        administer(&ledger, AdminKind::PublicKey, vec![pinned(VALIDATOR), pinned(ACCOUNT)]);
        let floor = Floor {
            position: Position::end_of_height(1),
            taken: Taken::Operator,
        };
        administer(&ledger, AdminKind::Floor, vec![Effect::Floor { key: floor_key(), floor }]);
        drop(ledger);
        Self::open(disk, dir, rule).unwrap()
    }

    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path, rule: Rule) -> Result<Self, OpenError> {
        Self::open_with(settings(), disk, dir, rule)
    }

    pub(crate) fn open_with(settings: Settings, disk: Arc<dyn Disk>, dir: &Path, rule: Rule) -> Result<Self, OpenError> {
        let fatal = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&fatal);
        let settings = Settings {
            fatal: Arc::new(move |reason: &str| told.lock().unwrap().push(reason.to_owned())),
            ..settings
        };
        let ledger = Arc::new(EmbeddedLedger::open_on(disk, dir, settings)?);
        Ok(Self::assemble(ledger, fatal, rule))
    }

    pub(crate) fn assemble(ledger: Arc<EmbeddedLedger>, fatal: Arc<Mutex<Vec<String>>>, rule: Rule) -> Self {
        let seen = Arc::clone(&ledger);
        Self::assemble_over(ledger, seen, fatal, rule)
    }

    /// With another ledger before it.
    pub(crate) fn assemble_over(ledger: Arc<EmbeddedLedger>, seen: Arc<dyn Ledger>, fatal: Arc<Mutex<Vec<String>>>, rule: Rule) -> Self {
        let backend = Arc::new(Signing {
            key: signing_key(),
            fails: AtomicBool::new(false),
            signed: AtomicUsize::new(0),
            made: Mutex::default(),
            asked: Mutex::default(),
        });
        let clock = Arc::new(AtomicU64::new(NOW));
        // Both move together: no step.
        let (read, boot) = (Arc::clone(&clock), Arc::clone(&clock));
        let entry = |id: &str, role| KeyEntry {
            id: id.parse().unwrap(),
            roles: BTreeSet::from([role]),
            scheme: Scheme::Ed25519,
            public_key: public_key(),
            backend: "test".into(),
            dangerous_allow_raw_messages: role != Role::Consensus,
            dangerous_allow_raw_digests: false,
            dangerous_allow_prefixed_raw: vec![],
            bound: None,
            rotation: None,
        };
        let mut keys = Keyring::default();
        keys.insert(entry(VALIDATOR, Role::Consensus));
        keys.insert(entry(ACCOUNT, Role::Account));
        let client = Client {
            name: "tester".into(),
            uid: Some(1),
            gid: None,
            san: Vec::new(),
            allow: vec![Allow {
                keys: vec![KeyPattern::All],
                operations: vec![Operation::Sign],
                formats: None,
            }],
        };
        let binding = Binding {
            instance: "rules".into(),
            module_digest: "11".repeat(32).into(),
            config_digest: "22".repeat(32).into(),
            version: "0.1.0".into(),
            understands: Understands::Any,
            keys: None,
            roles: None,
            formats: None,
        };
        let policies = PolicySet {
            bindings: vec![binding],
            evaluator: Box::new(Rules(rule)),
            engine_hash: "33".repeat(32).into(),
        };
        let pipeline = Pipeline::new(Parts {
            network: Network::Devnet,
            clients: Clients(vec![Arc::new(client)]),
            keys,
            policies: Arc::new(policies),
            ledger: seen,
            backends: BTreeMap::from([("test".to_owned(), Arc::clone(&backend) as Arc<dyn Backend>)]),
            decode,
            clock: Arc::new(move || read.load(Ordering::SeqCst)),
            boot_clock: Arc::new(move || boot.load(Ordering::SeqCst)),
            limits: Limits {
                // A loaded machine must not make a test fail.
                deadline: Duration::from_secs(600),
                evaluations: 8,
                ..Limits::default()
            },
            process_id: 1,
        });
        Self {
            ledger,
            pipeline,
            backend,
            clock,
            fatal,
        }
    }

    pub(crate) fn sign(&self, key: &str, format: Format, payload: Vec<u8>) -> Result<Signed, Refusal> {
        self.send(1, key, format, payload, "")
    }

    /// As somebody, with a request id.
    pub(crate) fn send(&self, uid: u32, key: &str, format: Format, payload: Vec<u8>, id: &str) -> Result<Signed, Refusal> {
        let call = SignCall {
            operation: "sign".into(),
            key: key.into(),
            format: format.name().into(),
            scheme: String::new(),
            request_id: id.into(),
            payload,
            received: Instant::now(),
        };
        self.pipeline.sign(Peer::User { uid, gid: 1 }, call)
    }

    pub(crate) fn vote_as(&self, id: &str, height: u64, seconds: u64, block: &str) -> Result<Signed, Refusal> {
        self.send(1, VALIDATOR, Format::CometBftVote, vote(height, seconds, block), id)
    }

    pub(crate) fn message_as(&self, id: &str, payload: &[u8]) -> Result<Signed, Refusal> {
        self.send(1, ACCOUNT, Format::RawMessageNone, payload.to_vec(), id)
    }

    /// The backend fails for as long as this runs.
    pub(crate) fn without_backend<T>(&self, run: impl FnOnce() -> T) -> T {
        self.backend.fails.store(true, Ordering::SeqCst);
        let result = run();
        self.backend.fails.store(false, Ordering::SeqCst);
        result
    }

    /// Both clocks go on.
    pub(crate) fn pass(&self, ms: u64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn vote(&self, height: u64, seconds: u64, block: &str) -> Result<Signed, Refusal> {
        self.sign(VALIDATOR, Format::CometBftVote, vote(height, seconds, block))
    }

    pub(crate) fn message(&self, payload: &[u8]) -> Result<Signed, Refusal> {
        self.sign(ACCOUNT, Format::RawMessageNone, payload.to_vec())
    }

    /// How often the ledger has counted a key as used.
    pub(crate) fn uses(&self, key: &str) -> u64 {
        self.pipeline.snapshot().keys[&key.parse::<KeyId>().unwrap()].uses
    }

    pub(crate) fn signed(&self) -> usize {
        self.backend.signed.load(Ordering::SeqCst)
    }
}

pub(crate) fn administer(ledger: &EmbeddedLedger, kind: AdminKind, effects: Vec<Effect>) -> u64 {
    ledger.administer(change(kind, effects)).unwrap()
}

pub(crate) fn change(kind: AdminKind, effects: Vec<Effect>) -> Administration {
    Administration {
        kind,
        operator: "test".into(),
        reason: "a test".into(),
        now_ms: NOW,
        effects,
    }
}

/// Runs `work` on so many threads at once and collects what they return.
pub(crate) fn together<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = std::sync::Barrier::new(threads);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|index| {
                let (barrier, work) = (&barrier, &work);
                scope.spawn(move || {
                    barrier.wait();
                    work(index)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
