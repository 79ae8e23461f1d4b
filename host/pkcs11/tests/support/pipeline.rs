//! A pipeline over one backend, with a policy that allows everything and a ledger in memory.

use sigwarden_core::caller::{Allow, Client, Clients, KeyPattern, Peer};
use sigwarden_core::fact::{Decoded, PayloadError, SigningInput, SigningInputs};
use sigwarden_core::key::{KeyEntry, KeyId};
use sigwarden_core::ledger::{Commitment, Conflict, Entry, Ledger, Receipt};
use sigwarden_core::pipeline::{Limits, Parts, Pipeline, SignCall};
use sigwarden_core::policy::{Binding, EvaluationFailure, Evaluator, Job, PolicySet, Report, Understands, Verdict};
use sigwarden_core::proof::{Approved, DecisionId, Signed};
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::state::{KeyStatus, State};
use sigwarden_core::{Backend, Format, KeyState, Network, Operation, Refusal, Role, Scheme};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Allows everything.
struct Allowing;

impl Evaluator for Allowing {
    fn evaluate(&self, _: Job) -> Result<Report, EvaluationFailure> {
        Ok(Report {
            verdict: Verdict::Allow(None),
            changes: Vec::new(),
            fuel: 0,
            log: Vec::new(),
        })
    }
}

/// Commits to memory.
struct Forgetful(Mutex<State>);

impl Ledger for Forgetful {
    fn snapshot(&self) -> State {
        self.0.lock().unwrap().clone()
    }

    fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        let settle = |approved| {
            let settlement = self.0.lock().unwrap().settle(approved)?;
            Ok::<_, Conflict>(Receipt {
                sequence: 1,
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

    fn append(&self, _: Entry) {}
}

fn decode(_: Format, scheme: Scheme, payload: &[u8]) -> Result<Decoded, PayloadError> {
    let input = match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => {
            SigningInput::Digest(payload.try_into().map_err(|_| PayloadError::DigestLength(payload.len()))?)
        }
        Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768 => SigningInput::Message(payload.to_vec()),
    };
    Ok(Decoded {
        facts: Vec::new(),
        inputs: SigningInputs::one(input),
        consensus: None,
        role: None,
    })
}

pub(crate) fn id(scheme: Scheme) -> KeyId {
    format!("test.{scheme}.v1").parse().unwrap()
}

/// A pipeline over one backend and its keys.
pub(crate) fn pipeline(backend: Arc<dyn Backend>, keys: &[(Scheme, Vec<u8>)]) -> Pipeline {
    let (mut keyring, mut state) = (Keyring::default(), State::default());
    for (scheme, public_key) in keys {
        keyring.insert(KeyEntry {
            id: id(*scheme),
            roles: BTreeSet::from([Role::Account]),
            scheme: *scheme,
            public_key: public_key.clone(),
            backend: "backend".into(),
            dangerous_allow_raw_messages: true,
            dangerous_allow_raw_digests: true,
            dangerous_allow_prefixed_raw: vec![],
            bound: None,
            rotation: None,
        });
        let status = KeyStatus {
            scheme: *scheme,
            public_key: public_key.clone(),
            created_ms: 1,
            state: KeyState::Active,
            version: 1,
            grace: None,
            uses: 0,
        };
        state.maps_mut().keys.insert(id(*scheme), status.into());
    }
    let client = Client {
        name: "client".into(),
        uid: Some(1000),
        gid: None,
        san: Vec::new(),
        allow: vec![Allow {
            keys: vec!["*".parse::<KeyPattern>().unwrap()],
            operations: vec![Operation::Sign],
            formats: None,
        }],
    };
    let binding = Binding {
        instance: "allowing".into(),
        module_digest: "".into(),
        config_digest: "".into(),
        version: "".into(),
        understands: Understands::Any,
        keys: None,
        roles: None,
        formats: None,
    };
    Pipeline::new(Parts {
        network: Network::Devnet,
        clients: Clients(vec![Arc::new(client)]),
        keys: keyring,
        policies: Arc::new(PolicySet {
            bindings: vec![binding],
            evaluator: Box::new(Allowing),
            engine_hash: "".into(),
        }),
        ledger: Arc::new(Forgetful(Mutex::new(state))),
        backends: BTreeMap::from([("backend".to_owned(), backend)]),
        decode,
        clock: Arc::new(|| 1_700_000_000_000),
        boot_clock: Arc::new(|| 0),
        limits: Limits::default(),
        process_id: 1,
    })
}

pub(crate) fn sign(pipeline: &Pipeline, scheme: Scheme) -> Result<Signed, Refusal> {
    let format = match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => Format::RawDigest,
        Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768 => Format::RawMessageNone,
    };
    let call = SignCall {
        operation: Operation::Sign.name().into(),
        key: id(scheme).name.to_string(),
        format: format.name().into(),
        scheme: String::new(),
        request_id: String::new(),
        payload: vec![7; 32],
        received: Instant::now(),
    };
    pipeline.sign(Peer::User { uid: 1000, gid: 1000 }, call)
}
