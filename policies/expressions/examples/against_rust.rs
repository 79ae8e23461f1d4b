//! Measures `expressions` with ten rules against the same ten written in Rust (`bench-guest`), both as components in the sandbox:
//! `cargo xtask policies && cargo run --release -p policy-expressions --example against_rust`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement: what goes wrong ends it"
)]

use sigwarden_core::fact::{Decoded, Fact, FactValue, Scalar, SigningInput, SigningInputs};
use sigwarden_core::key::KeyEntry;
use sigwarden_core::policy::{Evaluator, Job, RequestView, Verdict};
use sigwarden_core::state::{KeyStatus, State};
use sigwarden_core::{Format, KeyState, Network, Operation, Role, Scheme};
use sigwarden_policy::{Engine, EngineSettings, ModuleSource, PolicyLimits, Sandbox};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 20_000;
const RECIPIENTS: u32 = 1_000;

fn main() {
    let recipients: Vec<String> = (0..RECIPIENTS).map(|n| format!("0x{}{n:08x}", "a5".repeat(16))).collect();
    let mut rules: serde_json::Value = serde_json::from_str(include_str!("../ten-rules.json")).unwrap();
    rules["sets"]["recipients"] = recipients.clone().into();
    let modules = vec![
        source("bench-ten-rules", &serde_json::json!({ "recipients": recipients })),
        source("expressions", &rules),
    ];
    let engine = Engine::new(EngineSettings::default()).unwrap();
    let (sandbox, _) = Sandbox::load(&engine, modules, None).unwrap();
    let (request, snapshot) = (Arc::new(request()), State::default());
    let evaluate = |binding: usize| {
        let job = Job {
            binding,
            request: Arc::clone(&request),
            snapshot: snapshot.clone(),
        };
        let begin = Instant::now();
        let report = sandbox.evaluate(job).unwrap();
        let elapsed = begin.elapsed();
        if let Verdict::Deny(denials) = report.verdict {
            panic!("denied: {denials:?}");
        }
        elapsed
    };
    // One after the other, so that both see the same machine.
    let mut times = [Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS)];
    for round in 0..ROUNDS + 1_000 {
        for (binding, times) in times.iter_mut().enumerate() {
            let time = evaluate(binding);
            if round >= 1_000 {
                times.push(time);
            }
        }
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        println!("p50 {:?}, p99 {:?}", at(50), at(99));
        at(50).as_secs_f64()
    });
    let [by_hand, expressions] = medians;
    println!(
        "ten rules: by hand {:.2} us, expressions {:.2} us, ratio {:.2}",
        by_hand * 1e6,
        expressions * 1e6,
        expressions / by_hand
    );
}

fn source(name: &str, config: &serde_json::Value) -> ModuleSource {
    let file = format!("{}/../../target/policies/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    ModuleSource {
        instance: name.to_owned(),
        wasm: std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}; run cargo xtask policies")),
        config_json: config.to_string(),
        limits: PolicyLimits::default(),
    }
}

/// A token transfer with an access list, so that every rule has something to read.
fn request() -> RequestView {
    let one = |name, value| Fact {
        name,
        value: FactValue::One(value),
    };
    let listed = |n: u32| {
        let mut address = [0xa5; 20];
        address[16..].copy_from_slice(&n.to_be_bytes());
        address.to_vec()
    };
    let data = [[0xa9, 0x05, 0x9c, 0xbb].as_slice(), &[0; 64]].concat();
    let facts = vec![
        one("evm.transaction-type", Scalar::U64(2)),
        one("evm.chain-id", Scalar::U64(1)),
        one("evm.nonce", Scalar::U64(7)),
        one("evm.gas-limit", Scalar::U64(100_000)),
        one("evm.max-fee-per-gas", Scalar::U256([30_000_000_000, 0, 0, 0])),
        one("evm.max-priority-fee-per-gas", Scalar::U256([1_000_000_000, 0, 0, 0])),
        one("evm.create", Scalar::Bool(false)),
        one("evm.to", Scalar::Bytes(listed(7))),
        one("evm.value", Scalar::U256([1_000_000, 0, 0, 0])),
        one("evm.data", Scalar::Bytes(data.clone())),
        one("evm.selector", Scalar::Bytes(data[..4].to_vec())),
        Fact {
            name: "evm.access-list.addresses",
            value: FactValue::Many(vec![Scalar::Bytes(listed(70)), Scalar::Bytes(listed(700))]),
        },
        one("evm.access-list.storage-keys", Scalar::U64(0)),
    ];
    let key = KeyEntry {
        id: "bench.hot.v1".parse().unwrap(),
        roles: BTreeSet::from([Role::Account]),
        scheme: Scheme::Secp256k1Ecdsa,
        public_key: vec![2; 33],
        backend: "vault".to_owned(),
        dangerous_allow_raw_messages: false,
        dangerous_allow_raw_digests: false,
        dangerous_allow_prefixed_raw: vec![],
        bound: None,
        rotation: None,
    };
    RequestView {
        id: "bench".into(),
        operation: Operation::Sign,
        caller: "bench".into(),
        network: Network::Devnet,
        key_status: KeyStatus {
            scheme: key.scheme,
            public_key: key.public_key.clone(),
            created_ms: 1,
            state: KeyState::Active,
            version: 1,
            grace: None,
            uses: 1,
        },
        key: Arc::new(key),
        format: Format::EvmEip1559,
        payload: data.into(),
        decoded: Decoded {
            facts,
            inputs: SigningInputs::one(SigningInput::Digest([9; 32])),
            consensus: None,
            role: None,
        },
        now_ms: 1_700_000_000_000,
    }
}
