//! Engines, sandboxes and requests for tests.

use crate::guest::Guest;
use sigwarden_core::fact::{Decoded, Fact, FactValue, Scalar, SigningInput, SigningInputs};
use sigwarden_core::key::KeyEntry;
use sigwarden_core::policy::{EvaluationFailure, Evaluator, FailureKind, Job, Report, RequestView};
use sigwarden_core::state::{KeyStatus, State};
use sigwarden_core::{Format, KeyState, Network, Operation, Role, Scheme};
use sigwarden_policy::{Engine, EngineSettings, LoadError, LoadFault, LoadLimits, ModuleSource, PolicyLimits, Sandbox};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One engine for all tests: a pool is address space.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let load = LoadLimits {
            fuel: 20_000_000,
            deadline: Duration::from_secs(60),
            host_call_bytes: 256 * 1024,
        };
        Engine::new(EngineSettings {
            instances: 64,
            load,
            ..EngineSettings::default()
        })
        .unwrap()
    })
}

/// Limits under which a hostile guest fails soon, and never by the deadline.
pub(crate) fn limits() -> PolicyLimits {
    PolicyLimits {
        fuel: 1_000_000,
        deadline: Duration::from_secs(60),
        memory_bytes: 2 * 1024 * 1024,
        host_call_bytes: 64 * 1024,
    }
}

pub(crate) fn source(wasm: Vec<u8>) -> ModuleSource {
    ModuleSource {
        instance: "tested".to_owned(),
        wasm,
        config_json: "{}".to_owned(),
        limits: limits(),
    }
}

/// A sandbox with one policy.
pub(crate) fn sandbox(guest: &Guest) -> Sandbox {
    sandbox_of(source(guest.component()))
}

pub(crate) fn sandbox_of(source: ModuleSource) -> Sandbox {
    Sandbox::load(engine(), vec![source], None).unwrap().0
}

/// Why a module does not load.
pub(crate) fn fault(source: ModuleSource) -> LoadFault {
    let LoadError { instance, fault } = Sandbox::load(engine(), vec![source], None).map(|_| ()).unwrap_err();
    assert_eq!(instance.as_deref(), Some("tested"));
    fault
}

/// What one evaluation gives.
pub(crate) fn evaluate(guest: &Guest) -> Result<Report, EvaluationFailure> {
    sandbox(guest).evaluate(job(State::default()))
}

/// Asserts that an evaluation fails so.
#[track_caller]
pub(crate) fn assert_fails(guest: &Guest, kind: FailureKind, part: &str) {
    let failure = evaluate(guest).unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(part), "{failure}");
}

pub(crate) fn job(snapshot: State) -> Job {
    Job {
        binding: 0,
        request: Arc::new(request()),
        snapshot,
    }
}

/// An EIP-1559 transfer, with a fact of each type.
pub(crate) fn request() -> RequestView {
    let fact = |name, value| Fact {
        name,
        value: FactValue::One(value),
    };
    let key = KeyEntry {
        id: "evm.hot.v1".parse().unwrap(),
        roles: [Role::Account].into(),
        scheme: Scheme::Secp256k1Ecdsa,
        public_key: vec![2; 33],
        backend: "file".to_owned(),
        dangerous_allow_raw_messages: false,
        dangerous_allow_raw_digests: false,
        dangerous_allow_prefixed_raw: vec![],
        bound: None,
        rotation: None,
    };
    RequestView {
        id: "request-1".into(),
        operation: Operation::Sign,
        caller: "node".into(),
        network: Network::Devnet,
        key_status: KeyStatus {
            scheme: key.scheme,
            public_key: key.public_key.clone(),
            created_ms: 1_000,
            state: KeyState::Active,
            version: 1,
            grace: None,
            uses: 7,
        },
        key: Arc::new(key),
        format: Format::EvmEip1559,
        payload: vec![2, 0xc0].into(),
        decoded: Decoded {
            facts: vec![
                fact("evm.chain-id", Scalar::U64(1)),
                fact("evm.creates", Scalar::Bool(false)),
                fact("evm.value", Scalar::U256([1, 2, 3, 4])),
                fact("evm.to", Scalar::Bytes(vec![0x11; 20])),
                fact("evm.type", Scalar::Text("call".to_owned())),
                Fact {
                    name: "evm.access-list",
                    value: FactValue::Many(vec![Scalar::Bytes(vec![0x22; 20]), Scalar::Bytes(vec![0x33; 20])]),
                },
            ],
            inputs: SigningInputs::one(SigningInput::Digest([9; 32])),
            consensus: None,
            role: None,
        },
        now_ms: 1_700_000_000_000,
    }
}
