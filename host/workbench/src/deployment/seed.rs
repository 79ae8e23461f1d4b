//! What policies had counted, passed and stored before a fixture begins. It is brought about as it was in a daemon, by decisions: nothing
//! else changes a policy's state in a ledger.

use super::{BACKEND, DeploymentError, Ground, administer};
use crate::fixture::PolicyState;
use sigwarden_core::caller::{Allow, Client, Clients, KeyPattern, Peer};
use sigwarden_core::key::{KeyEntry, KeyId};
use sigwarden_core::pipeline::{Limits, Parts};
use sigwarden_core::policy::{Binding, EvaluationFailure, Evaluator, FailureKind, Job, Report, Understands, Verdict};
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::staging::{CHANGES_MAX, PERIOD_MAX_MS, STORED_MAX, Staging, StagingFault};
use sigwarden_core::state::Effect;
use sigwarden_core::watermark::{Order, Watermark};
use sigwarden_core::{Backend, Format, KeyState, Ledger, Network, Operation, Pipeline, PolicySet, Refusal, Role, Scheme, SignCall};
use sigwarden_ledger::{AdminKind, EmbeddedLedger};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// The key of these decisions: nothing else is signed with it, and no fixture has it.
const NAME: &str = "workbench.seed";
const VERSION: u32 = u32::MAX;
/// How it signs.
const SCHEME: Scheme = Scheme::Ed25519;

fn key() -> Option<KeyId> {
    Some(KeyId {
        name: NAME.parse().ok()?,
        version: VERSION,
    })
}

/// One thing that a policy's state holds.
#[derive(Clone)]
enum Held {
    Bucket(String, u64),
    Watermark(String, Watermark),
    Stored(String, Vec<u8>),
}

impl Held {
    /// Bytes that count as stored.
    fn stored(&self) -> usize {
        match self {
            Self::Stored(name, value) => name.len() + value.len(),
            Self::Bucket(..) | Self::Watermark(..) => 0,
        }
    }

    fn stage(&self, staging: &mut Staging, now_ms: u64) -> Result<(), StagingFault> {
        match self {
            Self::Bucket(name, full_ns) => {
                // A bucket of a nanosecond a unit: what it lacks is when it is full again.
                let lacks = full_ns.saturating_sub(now_ms.saturating_mul(1_000_000));
                staging.take(name, lacks, PERIOD_MAX_MS * 1_000_000, PERIOD_MAX_MS).map(drop)
            }
            Self::Watermark(name, watermark) => staging
                .advance(name, &watermark.position, &watermark.identity, Order::Lexicographic)
                .map(drop),
            Self::Stored(name, value) => staging.set(name, Some(value)),
        }
    }
}

/// `{demo.account.v1}` in a name stands for that key's public key in hex, as policies write it into names: a fixture's author does not
/// know it.
fn resolved(ground: &Ground<'_>, name: &str) -> String {
    let keys = ground.fixture.keys.iter().zip(&ground.public_keys);
    keys.fold(name.to_owned(), |name, (key, public_key)| {
        name.replace(&format!("{{{}}}", key.id), &hex::encode(public_key))
    })
}

fn held(ground: &Ground<'_>, state: &PolicyState) -> Vec<Held> {
    let named = |name: &String| resolved(ground, name);
    let limits = state.limits.iter().map(|(name, full)| Held::Bucket(named(name), *full));
    let watermarks = state
        .watermarks
        .iter()
        .map(|(name, mark)| Held::Watermark(named(name), mark.clone()));
    let storage = state.storage.iter().map(|(name, value)| Held::Stored(named(name), value.clone()));
    limits.chain(watermarks).chain(storage).collect()
}

/// As much as one evaluation may change.
fn parts(held: Vec<Held>) -> Vec<Vec<Held>> {
    let mut parts: Vec<Vec<Held>> = Vec::new();
    let mut stored = 0;
    for one in held {
        stored += one.stored();
        match parts.last_mut() {
            Some(part) if part.len() < CHANGES_MAX / 2 && stored <= STORED_MAX => part.push(one),
            Some(_) | None => {
                stored = one.stored();
                parts.push(vec![one]);
            }
        }
    }
    parts
}

/// Answers as the policy would have, whose state this is.
struct Counted {
    instance: Arc<str>,
    held: Vec<Held>,
}

impl Evaluator for Counted {
    fn evaluate(&self, job: Job) -> Result<Report, EvaluationFailure> {
        let now_ms = job.request.now_ms;
        let mut staging = Staging::new(job.snapshot, Arc::clone(&self.instance), now_ms);
        for held in &self.held {
            held.stage(&mut staging, now_ms).map_err(|fault| EvaluationFailure {
                kind: FailureKind::Host,
                message: fault.to_string(),
            })?;
        }
        Ok(Report {
            verdict: Verdict::Allow(None),
            changes: staging.into_changes(),
            fuel: 0,
            log: Vec::new(),
        })
    }
}

/// Where decisions go, and what signs them.
struct Place {
    ledger: Arc<dyn Ledger>,
    backend: Arc<dyn Backend>,
    key: KeyId,
    public_key: Vec<u8>,
    now_ms: u64,
}

/// Brings about what the policies' state is at first.
pub(super) fn seed(ground: &Ground<'_>, ledger: &Arc<EmbeddedLedger>) -> Result<(), DeploymentError> {
    let policies = &ground.fixture.policies;
    let nothing = PolicyState::default();
    let Some(key) = key().filter(|_| policies.iter().any(|policy| policy.state != nothing)) else {
        return Ok(());
    };
    let now_ms = ground.fixture.start_ms;
    let public_key = ground.hsm.generate(&key, SCHEME)?;
    let pinned = Effect::KeyPinned {
        key: key.clone(),
        scheme: SCHEME,
        public_key: public_key.clone(),
        created_ms: now_ms,
        state: KeyState::Active,
    };
    administer(ledger, AdminKind::PublicKey, now_ms, vec![pinned])?;
    let place = Place {
        ledger: Arc::clone(ledger) as Arc<dyn Ledger>,
        backend: Arc::clone(&ground.hsm) as Arc<dyn Backend>,
        key,
        public_key,
        now_ms,
    };
    for policy in policies {
        for part in parts(held(ground, &policy.state)) {
            decide(&place, &policy.name, part)?;
        }
    }
    Ok(())
}

fn decide(place: &Place, instance: &str, held: Vec<Held>) -> Result<(), Refusal> {
    let instance: Arc<str> = instance.into();
    let binding = Binding {
        instance: Arc::clone(&instance),
        module_digest: "".into(),
        config_digest: "".into(),
        version: "".into(),
        understands: Understands::Any,
        keys: None,
        roles: None,
        formats: None,
    };
    let client = Client {
        name: "workbench".into(),
        uid: Some(0),
        gid: None,
        san: Vec::new(),
        allow: vec![Allow {
            keys: vec![KeyPattern::All],
            operations: vec![Operation::Sign],
            formats: None,
        }],
    };
    let mut keys = Keyring::default();
    keys.insert(KeyEntry {
        id: place.key.clone(),
        roles: BTreeSet::from([Role::Operational]),
        scheme: SCHEME,
        public_key: place.public_key.clone(),
        backend: BACKEND.to_owned(),
        dangerous_allow_raw_messages: true,
        dangerous_allow_raw_digests: false,
        dangerous_allow_prefixed_raw: Vec::new(),
        bound: None,
        rotation: None,
    });
    let now_ms = place.now_ms;
    let pipeline = Pipeline::new(Parts {
        network: Network::Devnet,
        clients: Clients(vec![Arc::new(client)]),
        keys,
        policies: Arc::new(PolicySet {
            bindings: vec![binding],
            evaluator: Box::new(Counted { instance, held }),
            engine_hash: "".into(),
        }),
        ledger: Arc::clone(&place.ledger),
        backends: BTreeMap::from([(BACKEND.to_owned(), Arc::clone(&place.backend))]),
        decode: sigwarden_formats::decode,
        clock: Arc::new(move || now_ms),
        boot_clock: Arc::new(move || now_ms),
        limits: Limits::default(),
        process_id: 0,
    });
    let call = SignCall {
        operation: Operation::Sign.name().to_owned(),
        key: place.key.to_string(),
        format: Format::RawMessageNone.name().to_owned(),
        scheme: String::new(),
        request_id: String::new(),
        payload: b"the state that the fixture begins with".to_vec(),
        received: Instant::now(),
    };
    pipeline.sign(Peer::User { uid: 0, gid: 0 }, call).map(drop)
}
