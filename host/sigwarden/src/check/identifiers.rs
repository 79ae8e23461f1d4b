//! Identifiers of another network: chain ids and address prefixes in keys' bindings and policies' configurations. A devnet that lists
//! mainnet's chain id signs what mainnet takes.

use crate::config::{Config, ListenerKind, PolicyConfig};
use serde_json::Value;
use sigwarden_core::Network;

/// What kind of network an identifier belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Devnet,
    Testnet,
    Mainnet,
}

impl Belongs {
    fn of(network: Network) -> Self {
        match network {
            Network::Devnet => Self::Devnet,
            Network::TestnetAlpha | Network::TestnetBeta => Self::Testnet,
            Network::Mainnet => Self::Mainnet,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Devnet => "a devnet",
            Self::Testnet => "a testnet",
            Self::Mainnet => "mainnet",
        }
    }
}

/// EVM chain ids (EIP-155; the list of ethereum-lists/chains).
const EVM: [(u64, &str, Belongs); 22] = [
    (1, "Ethereum", Belongs::Mainnet),
    (10, "OP Mainnet", Belongs::Mainnet),
    (56, "BNB Smart Chain", Belongs::Mainnet),
    (137, "Polygon", Belongs::Mainnet),
    (8453, "Base", Belongs::Mainnet),
    (42161, "Arbitrum One", Belongs::Mainnet),
    (43114, "Avalanche C-Chain", Belongs::Mainnet),
    (59_144, "Linea", Belongs::Mainnet),
    (5, "Goerli", Belongs::Testnet),
    (59_141, "Linea Sepolia", Belongs::Testnet),
    (59_140, "Linea Goerli", Belongs::Testnet),
    (11_155_111, "Sepolia", Belongs::Testnet),
    (17_000, "Holesky", Belongs::Testnet),
    (560_048, "Hoodi", Belongs::Testnet),
    (97, "BNB Smart Chain Testnet", Belongs::Testnet),
    (80_002, "Polygon Amoy", Belongs::Testnet),
    (84_532, "Base Sepolia", Belongs::Testnet),
    (421_614, "Arbitrum Sepolia", Belongs::Testnet),
    (11_155_420, "OP Sepolia", Belongs::Testnet),
    (43_113, "Avalanche Fuji", Belongs::Testnet),
    (1337, "Geth's developer chain", Belongs::Devnet),
    (31_337, "Hardhat and Anvil", Belongs::Devnet),
];

/// Chain ids of Cosmos chains (the Cosmos chain registry).
const COSMOS: [(&str, Belongs); 8] = [
    ("cosmoshub-4", Belongs::Mainnet),
    ("osmosis-1", Belongs::Mainnet),
    ("celestia", Belongs::Mainnet),
    ("dydx-mainnet-1", Belongs::Mainnet),
    ("theta-testnet-001", Belongs::Testnet),
    ("osmo-test-5", Belongs::Testnet),
    ("mocha-4", Belongs::Testnet),
    ("arabica-11", Belongs::Testnet),
];

/// Prefixes of addresses, Kaspa's (rusty-kaspa, `crypto/addresses`).
const PREFIXES: [(&str, Belongs); 4] = [
    ("kaspa:", Belongs::Mainnet),
    ("kaspatest:", Belongs::Testnet),
    ("kaspadev:", Belongs::Devnet),
    ("kaspasim:", Belongs::Devnet),
];

/// Every identifier in the configuration that belongs to another kind of network, with where it stands.
pub(super) fn foreign(config: &Config, network: Network) -> Vec<String> {
    let own = Belongs::of(network);
    let mut found = Vec::new();
    for key in config.keys.iter() {
        if let Some(chain) = key.bound.as_ref().and_then(|bound| bound.chain_id.as_deref()) {
            tell(&mut found, own, &format!("key {}", key.id), self::chain(chain));
        }
    }
    for privval in &config.privvals {
        tell(&mut found, own, &format!("privval {}", privval.name), chain(&privval.chain_id));
    }
    for listener in &config.listeners {
        if let ListenerKind::JsonRpc { chain_id } = listener.kind {
            tell(&mut found, own, &format!("listener {}", listener.name), evm(chain_id));
        }
    }
    for policy in &config.policies {
        let json: Option<Value> = match &policy.config {
            PolicyConfig::Inline(text) => serde_json::from_str(text).ok(),
            // What cannot be read stops the start by itself.
            PolicyConfig::File(path) => crate::files::read_text(path, crate::config::FILE_BYTES_MAX)
                .ok()
                .and_then(|text| serde_json::from_str(&text).ok()),
        };
        if let Some(json) = json {
            walk(&json, false, &mut |which| {
                tell(&mut found, own, &format!("policy {}", policy.name), Some(which))
            });
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn tell(found: &mut Vec<String>, own: Belongs, place: &str, which: Option<(String, Belongs)>) {
    if let Some((what, belongs)) = which.filter(|(_, belongs)| *belongs != own) {
        found.push(format!("{place}: {what} is of {}", belongs.name()));
    }
}

/// Numbers count where the field speaks of chains; a value limit of 1 is no chain id.
fn walk(json: &Value, of_chains: bool, tell: &mut impl FnMut((String, Belongs))) {
    match json {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) if of_chains => {
            if let Some(found) = number.as_u64().and_then(evm) {
                tell(found);
            }
        }
        Value::Number(_) => {}
        Value::String(string) => {
            if let Some(found) = if of_chains { chain(string) } else { text(string) } {
                tell(found);
            } else if let Some(found) = Some(string).filter(|_| of_chains).and_then(|string| number(string)).and_then(evm) {
                tell(found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, of_chains, tell)),
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| walk(value, name.replace('-', "_").starts_with("chain_id"), tell)),
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn evm(id: u64) -> Option<(String, Belongs)> {
    let (_, name, belongs) = EVM.iter().find(|(known, _, _)| *known == id)?;
    Some((format!("EVM chain id {id} ({name})"), *belongs))
}

fn text(text: &str) -> Option<(String, Belongs)> {
    if let Some((chain, belongs)) = COSMOS.iter().find(|(chain, _)| *chain == text) {
        return Some((format!("chain id `{chain}`"), *belongs));
    }
    let (prefix, belongs) = PREFIXES.iter().find(|(prefix, _)| text.starts_with(prefix))?;
    Some((format!("an address with prefix `{prefix}`"), *belongs))
}

/// A chain id that is none of an EVM chain: one that is known, or one that calls itself a test's, as no chain of real money does.
fn chain(id: &str) -> Option<(String, Belongs)> {
    let called = |(word, belongs)| id.split('-').any(|part| part == word).then_some(belongs);
    let by_name = || {
        [("devnet", Belongs::Devnet), ("testnet", Belongs::Testnet)]
            .into_iter()
            .find_map(called)
    };
    text(id).or_else(|| by_name().map(|belongs| (format!("chain id `{id}`"), belongs)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn found(json: &str, network: Network) -> Vec<String> {
        let toml = "version = 1\nnetwork = \"devnet\"\n[[backend]]\nname = \"v\"\nkind = \"sealed-file\"\n[[policy]]\nname = \"p\"\nmodule = \"p.wasm\"\n";
        let mut config = Config::parse(std::path::Path::new("d"), toml).unwrap();
        for policy in &mut config.policies {
            policy.config = PolicyConfig::Inline(json.to_owned());
        }
        foreign(&config, network)
    }

    #[test]
    fn a_chain_id_of_another_network_is_found_wherever_it_stands() {
        let rules = r#"{ "evm": { "chain_ids": [1337, 1], "max_value": 1 }, "to": ["kaspa:qz0", "kaspadev:qz0"] }"#;
        assert_eq!(
            found(rules, Network::Devnet),
            [
                "policy p: EVM chain id 1 (Ethereum) is of mainnet",
                "policy p: an address with prefix `kaspa:` is of mainnet"
            ]
        );
        assert_eq!(
            found(rules, Network::Mainnet),
            [
                "policy p: EVM chain id 1337 (Geth's developer chain) is of a devnet",
                "policy p: an address with prefix `kaspadev:` is of a devnet"
            ]
        );
    }

    #[test]
    fn nodes_and_listeners_are_of_a_network_too_and_a_name_tells_it() {
        let toml = "version = 1\nnetwork = \"mainnet\"\n[[backend]]\nname = \"v\"\nkind = \"sealed-file\"\n\
            [[key]]\nname = \"a.validator\"\nroles = [\"consensus\"]\nscheme = \"ed25519\"\nbackend = \"v\"\n\
            [[client]]\nname = \"node\"\n\
            [[privval]]\nname = \"n\"\nclient = \"node\"\naddress = \"unix:///run/n.sock\"\ndialect = \"v0.38\"\nchain_id = \"rs-testnet-1\"\n\
            key = \"a.validator\"\n\
            [[listener]]\nname = \"evm\"\nkind = \"json-rpc\"\nlisten = \"127.0.0.1:9545\"\nclient = \"node\"\nchain_id = 11155111\n\
            [[policy]]\nname = \"p\"\nmodule = \"p.wasm\"\n";
        let config = Config::parse(std::path::Path::new("d"), toml).unwrap();
        assert_eq!(
            foreign(&config, Network::Mainnet),
            [
                "listener evm: EVM chain id 11155111 (Sepolia) is of a testnet",
                "privval n: chain id `rs-testnet-1` is of a testnet"
            ]
        );
        assert!(foreign(&config, Network::TestnetBeta).is_empty());
        // A word elsewhere is no chain id.
        assert!(
            found(
                r#"{ "note": "as on rs-testnet-1", "chain_ids": ["gravity-bridge-3"] }"#,
                Network::Mainnet
            )
            .is_empty()
        );
    }

    #[test]
    fn hex_and_decimal_strings_are_chain_ids_too_and_other_numbers_are_none() {
        assert_eq!(found(r#"{ "chain-id": "0xaa36a7" }"#, Network::Mainnet).len(), 1);
        assert_eq!(found(r#"{ "chain_id": "11155111" }"#, Network::TestnetAlpha).len(), 0);
        assert_eq!(
            found(r#"{ "max_value": "1", "count": 137, "chain_ids": [424242] }"#, Network::Devnet).len(),
            0
        );
        assert_eq!(
            found(r#"{ "cometbft": { "chain_ids": ["cosmoshub-4"] } }"#, Network::TestnetBeta).len(),
            1
        );
    }
}
