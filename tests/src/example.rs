//! Rules that the demo, the tests and the benches run, in place of those that `init` writes.

use serde_json::json;

/// Replaces everything from the first `[[policy]]` of `init`'s configuration on.
#[must_use]
pub fn with_rules(written_by_init: &str, rules: &str) -> String {
    // Above each policy stands its comment; what is left of the last one does no harm.
    let head = written_by_init.split("[[policy]]").next().unwrap_or_default();
    format!("{head}\n{rules}")
}

/// Rules that allow what the host allows: for tests of the host.
pub const OPEN: &str = r#"
[[policy]]
name = "accounts"
module = "policies/network-mode.wasm"
roles = ["account", "operational"]
config = {}

[[policy]]
name = "validators"
module = "policies/network-mode.wasm"
roles = ["consensus"] # binds
config = {}
"#;

/// How many transfers [`STRICT`] lets through at once.
pub const STRICT_BURST: u64 = 5;

/// The demo's rules.
pub const STRICT: &str = r#"
[[policy]]
name = "network-mode"
module = "policies/network-mode.wasm"
config = {}

[[policy]]
name = "payload-rules"
module = "policies/payload-rules.wasm"
[policy.config.evm]
chain_ids = [1337]
recipients = ["0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"]
max_value = "1000000000000000000"
max_gas_limit = 100000
max_fee_per_gas = "100000000000"
[policy.config.cometbft]
chain_ids = ["sigwarden-devnet"]

[[policy]]
name = "monotonic"
module = "policies/monotonic.wasm"
formats = ["evm/legacy", "evm/eip-2930", "evm/eip-1559"]
[[policy.config.rules]]
name = "nonce"
facts = ["evm.nonce"]
per = ["key", "evm.chain-id"]
formats = ["evm/*"]

[[policy]]
name = "rate-limit"
module = "policies/rate-limit.wasm"
roles = ["account"]
[[policy.config.rules]]
name = "transfers"
per = ["key"]
capacity = 5
period = "60s"
"#;

/// [`STRICT`] for people.
pub const STRICT_IN_WORDS: &str = "\
network-mode   devnet: every role, scheme and format that the host allows
payload-rules  EVM chain 1337, at most 1 ETH, to 0xa1a1…a1 only, no contract creation; CometBFT chain sigwarden-devnet
monotonic      an account's nonce only rises
rate-limit     5 transfers at once for each account key, and one more every 12 s";

/// The three policies of the benchmarks as configuration, and a fourth that is only loaded; with a key for messages.
#[must_use]
pub fn bench_rules() -> String {
    let policy =
        |name: &str| format!("[[policy]]\nname = \"{name}\"\nmodule = \"policies/{name}.wasm\"\nconfig_file = \"{name}.json\"\n\n");
    format!(
        "[[key]]\nname = \"{MESSAGES}\"\nroles = [\"operational\"]\nscheme = \"ed25519\"\nbackend = \"vault\"\ndangerous_allow_raw_messages = true\n\n{}{}{}{}",
        policy("network-mode"),
        policy("payload-rules"),
        policy("rate-limit"),
        // Bound to what the load never sends, so that it is loaded and resident.
        "[[policy]]\nname = \"monotonic\"\nmodule = \"policies/monotonic.wasm\"\nformats = [\"evm/legacy\"]\nconfig = { rules = [{ name = \"nonce\", facts = [\"evm.nonce\"], per = [\"key\", \"evm.chain-id\"], formats = [\"evm/*\"] }] }\n"
    )
}

/// The key of [`bench_rules`] that signs messages.
pub const MESSAGES: &str = "bench.messages";

/// The configurations that [`bench_rules`] names, by file.
#[must_use]
pub fn bench_files(addresses: &[String]) -> [(&'static str, String); 3] {
    [
        ("network-mode.json", bench_network_mode()),
        ("payload-rules.json", bench_payload_rules(addresses)),
        ("rate-limit.json", bench_rate_limit()),
    ]
}

/// Every role, scheme and format that the host allows.
#[must_use]
pub fn bench_network_mode() -> String {
    "{}".to_owned()
}

/// An allow-list of addresses, and messages of at most 1 KiB.
#[must_use]
pub fn bench_payload_rules(addresses: &[String]) -> String {
    json!({
        "evm": {
            "chain_ids": [1337],
            "recipients": addresses,
            "max_value": "1000000000000000000",
            "max_gas_limit": 100_000,
            "max_fee_per_gas": "100000000000",
        },
        "messages": { "max_bytes": 1024 },
    })
    .to_string()
}

/// One bucket that all requests share, never empty.
#[must_use]
pub fn bench_rate_limit() -> String {
    json!({ "rules": [{ "name": "all", "capacity": 1_000_000_000_u64, "period": "1s" }] }).to_string()
}
