//! The reference policies, as built, through the sandbox.

use crate::job::request;
use sigwarden_core::Format;
use sigwarden_core::fact::{Fact, FactValue, Scalar};
use sigwarden_core::policy::{Evaluator, Job, RequestView, Verdict};
use sigwarden_core::staging::Staging;
use sigwarden_core::state::State;
use sigwarden_policy::{CodeCache, Engine, EngineSettings, LoadFault, ModuleSource, PolicyLimits, Sandbox, inspect};
use std::path::Path;
use std::sync::OnceLock;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const POLICIES: [&str; 9] = [
    "network-mode",
    "rate-limit",
    "payload-rules",
    "monotonic",
    "spend-limit",
    "time-window",
    "key-scope",
    "allow-callers",
    "expressions",
];

/// With the limits of a deployment.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(EngineSettings::default()).unwrap())
}

fn module(name: &str) -> Vec<u8> {
    let file = Path::new(ROOT).join("target/policies").join(format!("{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run cargo xtask policies", file.display()))
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join("policies").join(name).join("fixtures/config.json")).unwrap()
}

fn source(name: &str, config: String) -> ModuleSource {
    ModuleSource {
        instance: name.to_owned(),
        wasm: module(name),
        config_json: config,
        limits: PolicyLimits::default(),
    }
}

fn sandbox(name: &str, config: String) -> Sandbox {
    Sandbox::load(engine(), vec![source(name, config)], None).unwrap().0
}

/// The facts of an EIP-1559 transfer of `value` wei to `to`.
fn transfer(to: [u8; 20], value: u64, nonce: u64) -> RequestView {
    let one = |name, value| Fact {
        name,
        value: FactValue::One(value),
    };
    let mut view = request();
    view.format = Format::EvmEip1559;
    view.decoded.facts = vec![
        one("evm.transaction-type", Scalar::U64(2)),
        one("evm.chain-id", Scalar::U64(1)),
        one("evm.nonce", Scalar::U64(nonce)),
        one("evm.gas-limit", Scalar::U64(21_000)),
        one("evm.max-fee-per-gas", Scalar::U256([30_000_000_000, 0, 0, 0])),
        one("evm.max-priority-fee-per-gas", Scalar::U256([1_000_000_000, 0, 0, 0])),
        one("evm.create", Scalar::Bool(false)),
        one("evm.to", Scalar::Bytes(to.to_vec())),
        one("evm.value", Scalar::U256([value, 0, 0, 0])),
        one("evm.data", Scalar::Bytes(vec![])),
        Fact {
            name: "evm.access-list.addresses",
            value: FactValue::Many(vec![]),
        },
        one("evm.access-list.storage-keys", Scalar::U64(0)),
    ];
    view
}

fn ask(sandbox: &Sandbox, request: RequestView, snapshot: &State) -> (Verdict, Vec<sigwarden_core::staging::Change>) {
    let report = sandbox
        .evaluate(Job {
            binding: 0,
            request: request.into(),
            snapshot: snapshot.clone(),
        })
        .unwrap();
    (report.verdict, report.changes)
}

fn codes(verdict: Verdict) -> Vec<String> {
    match verdict {
        Verdict::Allow(_) => vec![],
        Verdict::Deny(denials) => denials.into_iter().map(|denial| denial.code).collect(),
    }
}

#[test]
fn each_says_what_it_is() {
    for name in POLICIES {
        let inspection = inspect(engine(), &module(name)).unwrap();
        assert_eq!(inspection.manifest.name, name);
        assert!(
            inspection.imports.iter().all(|import| import.starts_with("sigwarden:policy/")),
            "{:?}",
            inspection.imports
        );
    }
}

#[test]
fn payload_rules_reads_value_and_recipient() {
    let sandbox = sandbox("payload-rules", fixture("payload-rules"));
    let state = State::default();
    assert_eq!(codes(ask(&sandbox, transfer([0x11; 20], 1, 0), &state).0), Vec::<String>::new());
    assert_eq!(codes(ask(&sandbox, transfer([0x33; 20], 1, 0), &state).0), ["evm/recipient"]);
    assert_eq!(
        codes(ask(&sandbox, transfer([0x11; 20], 2_000_000_000_000_000_000, 0), &state).0),
        ["evm/value"]
    );
}

#[test]
fn network_mode_refuses_what_a_network_does_not_allow() {
    let sandbox = sandbox("network-mode", fixture("network-mode"));
    let mut view = transfer([0x11; 20], 1, 0);
    assert!(codes(ask(&sandbox, view.clone(), &State::default()).0).is_empty(), "devnet allows");
    view.network = sigwarden_core::Network::TestnetAlpha;
    assert!(!codes(ask(&sandbox, view.clone(), &State::default()).0).is_empty());
    view.network = sigwarden_core::Network::Mainnet;
    view.format = Format::EvmLegacy;
    assert!(!codes(ask(&sandbox, view, &State::default()).0).is_empty());
}

#[test]
fn rate_limit_runs_out_when_its_state_is_committed() {
    let sandbox = sandbox("rate-limit", fixture("rate-limit"));
    let mut state = State::default();
    // 20 a minute for the key, at a cost of 2 each.
    for round in 0..10 {
        let (verdict, changes) = ask(&sandbox, transfer([0x11; 20], 1, 0), &state);
        assert!(codes(verdict).is_empty(), "round {round}");
        let mut stage = Staging::new(state.clone(), "rate-limit".into(), request().now_ms);
        assert!(stage.stands(&changes));
        stage.into_effects().iter().for_each(|effect| state.apply(effect));
    }
    let Verdict::Deny(denials) = ask(&sandbox, transfer([0x11; 20], 1, 0), &state).0 else {
        panic!()
    };
    // Two of twenty come back every six seconds.
    assert_eq!(denials[0].retry_at_ms, Some(request().now_ms + 6_000));
}

#[test]
fn monotonic_lets_a_nonce_only_rise() {
    let sandbox = sandbox("monotonic", fixture("monotonic"));
    let mut state = State::default();
    let (verdict, changes) = ask(&sandbox, transfer([0x11; 20], 1, 5), &state);
    assert!(codes(verdict).is_empty());
    let mut stage = Staging::new(state.clone(), "monotonic".into(), request().now_ms);
    assert!(stage.stands(&changes));
    stage.into_effects().iter().for_each(|effect| state.apply(effect));
    assert!(!codes(ask(&sandbox, transfer([0x11; 20], 1, 4), &state).0).is_empty());
    assert!(codes(ask(&sandbox, transfer([0x11; 20], 1, 6), &state).0).is_empty());
}

#[test]
fn a_list_of_100_000_addresses_is_configured_once_cached_and_whole() {
    let address = |i: u64| format!("{:040x}", u128::from(i) * 0x1_0000_0001_0000_0001_0000);
    let list: Vec<String> = (1..=100_000).map(|i| format!("\"0x{}\"", address(i))).collect();
    let config = format!(
        r#"{{"evm":{{"chain_ids":[1],"max_value":"1","max_gas_limit":21000,"max_fee_per_gas":"30000000000","recipients":[{}]}}}}"#,
        list.join(",")
    );
    let dir = tempfile::tempdir().unwrap();
    let cache = CodeCache::new(dir.path().to_owned(), [7; 32]);
    let source = source("payload-rules", config);
    for from_cache in [false, true] {
        let (sandbox, loaded) = Sandbox::load(engine(), vec![source.clone()], Some(&cache)).unwrap();
        assert_eq!(loaded[0].from_cache, from_cache);
        for i in [1, 2, 49_999, 99_999, 100_000] {
            let to: [u8; 20] = hex::decode(address(i)).unwrap().try_into().unwrap();
            assert!(codes(ask(&sandbox, transfer(to, 1, 0), &State::default()).0).is_empty(), "{i}");
            let mut other = to;
            other[19] ^= 1;
            assert_eq!(
                codes(ask(&sandbox, transfer(other, 1, 0), &State::default()).0),
                ["evm/recipient"],
                "{i}"
            );
        }
    }
}

#[test]
fn a_wrong_configuration_is_answered_with_its_path() {
    let source = source("payload-rules", r#"{"evm":{"chain_ids":[1],"max_vaule":"1"}}"#.to_owned());
    let error = Sandbox::load(engine(), vec![source], None).unwrap_err();
    assert!(
        matches!(&error.fault, LoadFault::Configuration(problems) if !problems.is_empty()),
        "{error}"
    );
    assert!(
        error.to_string().starts_with("policy `payload-rules`: its configuration is wrong:"),
        "{error}"
    );
    assert!(error.to_string().contains("max_vaule"), "{error}");
}
