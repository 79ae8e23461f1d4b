//! The real sandbox, and a request for it.

use crate::module::limits;
use sigwarden_core::fact::{Decoded, Fact, FactValue, Scalar, SigningInput, SigningInputs};
use sigwarden_core::key::KeyEntry;
use sigwarden_core::policy::{Evaluator, FailureKind, Job, RequestView, Verdict};
use sigwarden_core::state::{KeyStatus, State};
use sigwarden_core::{Format, KeyState, Network, Operation, Role, Scheme};
use sigwarden_policy::{Engine, EngineSettings, LoadFault, LoadLimits, ModuleSource, PolicyLimits, Sandbox};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One engine for all modules: what one of them spoils, the next would feel.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let load = LoadLimits {
            fuel: 20_000_000,
            deadline: Duration::from_secs(60),
            host_call_bytes: 256 * 1024,
        };
        Engine::new(EngineSettings {
            instances: 16,
            load,
            ..EngineSettings::default()
        })
        .unwrap()
    })
}

pub(crate) fn load(wasm: &[u8], limits: PolicyLimits) -> Result<Sandbox, LoadFault> {
    let source = ModuleSource {
        instance: "hostile".to_owned(),
        wasm: wasm.to_vec(),
        config_json: "{}".to_owned(),
        limits,
    };
    let loaded = Sandbox::load(engine(), vec![source], None);
    loaded.map(|(sandbox, _)| sandbox).map_err(|error| error.fault)
}

/// A policy that asks the host for what it may and allows.
pub(crate) struct Honest(Sandbox);

impl Honest {
    pub(crate) fn new() -> Self {
        let take = r#"(import "sigwarden:policy/limits@0.1.0" "take" (func $take (param i32 i32 i64 i64 i64 i32)))
(func (export "evaluate") (param i32) (result i32)
    (call $take (i32.const 1100) (i32.const 7) (i64.const 1) (i64.const 10) (i64.const 10000) (i32.const 512))
    (select (i32.const 0) (i32.const 1300) (i64.eq (i64.load (i32.const 520)) (i64.const 9))))"#;
        Self(load(&crate::module::component("honest", take, None), limits()).unwrap())
    }

    /// Judges a request, with the state that it knows.
    #[track_caller]
    pub(crate) fn still_served(&self, after: &str) {
        let report = self.0.evaluate(job());
        let report = report.unwrap_or_else(|failure| panic!("after {after}: {failure}"));
        assert_eq!(report.verdict, Verdict::Allow(None), "after {after}");
        assert_eq!(report.changes.len(), 1, "after {after}");
    }
}

/// The refusal's code for a failure.
pub(crate) fn code(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Trap => "sandbox/trap",
        FailureKind::Fuel => "sandbox/fuel",
        FailureKind::Deadline => "sandbox/deadline",
        FailureKind::Memory => "sandbox/memory",
        FailureKind::HostCall => "sandbox/host-call",
        FailureKind::Malformed => "sandbox/malformed",
        FailureKind::Host => "sandbox/unavailable",
    }
}

/// A fault as the files name it.
pub(crate) fn name(fault: &LoadFault) -> String {
    let name = match fault {
        LoadFault::NotAComponent { .. } => "not-a-component",
        LoadFault::ModuleSize { .. } => "module-size",
        LoadFault::ConfigSize { .. } => "config-size",
        LoadFault::MemorySetting { .. } => "memory-setting",
        LoadFault::Imports { .. } => "imports",
        LoadFault::Version { .. } => "version",
        LoadFault::Exports { .. } => "exports",
        LoadFault::Types(_) => "types",
        LoadFault::Shape(_) => "shape",
        LoadFault::Compile(_) => "compile",
        LoadFault::Manifest(_) => "manifest",
        LoadFault::Configuration(_) => "configuration",
        LoadFault::Snapshot(_) => "snapshot",
        LoadFault::Digest { .. } => "digest",
        LoadFault::SelfTest(_) => "self-test",
        LoadFault::Host(_) => "host",
        LoadFault::Call { call, failure } => return format!("call {call} {}", code(failure.kind)),
    };
    name.to_owned()
}

pub(crate) fn job() -> Job {
    Job {
        binding: 0,
        request: Arc::new(request()),
        snapshot: State::default(),
    }
}

/// An EIP-1559 transaction, with a fact of each shape.
fn request() -> RequestView {
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
        payload: vec![0xff; 1_000].into(),
        decoded: Decoded {
            facts: vec![
                fact("evm.chain-id", Scalar::U64(1)),
                fact("evm.value", Scalar::U256([1, 2, 3, 4])),
                fact("evm.to", Scalar::Bytes(vec![0x11; 20])),
                Fact {
                    name: "evm.access-list",
                    value: FactValue::Many(vec![Scalar::Text("a".to_owned()), Scalar::Bool(true)]),
                },
            ],
            inputs: SigningInputs::one(SigningInput::Digest([9; 32])),
            consensus: None,
            role: None,
        },
        now_ms: 1_700_000_000_000,
    }
}
