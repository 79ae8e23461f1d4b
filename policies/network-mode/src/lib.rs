#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests"
    )
)]

use sigwarden_guest::prelude::*;
use sigwarden_guest::{Denied, Family, FormatPattern, KeyState, Network, Role, Scheme};

/// What each network allows; a network or list that is left out has the built-in rules.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// A developer's own network.
    #[serde(default)]
    pub devnet: Rules,
    /// An early public test network.
    #[serde(default)]
    pub testnet_alpha: Rules,
    /// The public test network.
    #[serde(default)]
    pub testnet_beta: Rules,
    /// Where money is.
    #[serde(default)]
    pub mainnet: Rules,
}

/// What one network allows. A list that is left out has the built-in rule; an empty list allows nothing.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct Rules {
    /// Roles that a key may have; each role of the key must be here.
    #[serde(default)]
    pub roles: Option<Vec<Role>>,
    /// Schemes that a key may have.
    #[serde(default)]
    pub schemes: Option<Vec<Scheme>>,
    /// Formats that a payload may have: names, families such as `evm/*`, or `*`.
    #[serde(default)]
    pub formats: Option<Vec<FormatPattern>>,
    /// States that a key may be in: `active`, `grace`.
    #[serde(default)]
    pub key_states: Option<Vec<KeyState>>,
    /// Turns the network off: nothing is signed on it.
    #[serde(default)]
    pub refuse: bool,
}

/// The policy.
pub struct NetworkMode;

impl Policy for NetworkMode {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "network-mode",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Says which roles, schemes, formats and key states each network allows.",
        // It looks at the format's name only.
        formats: &["*"],
        facts: &[],
        denial_codes: &["network", "role", "scheme", "format", "key-state"],
    };

    fn evaluate(config: &Config, request: &Request, _: &mut Host) -> Verdict {
        let network = request.network;
        let rules = match network {
            Network::Devnet => &config.devnet,
            Network::TestnetAlpha => &config.testnet_alpha,
            Network::TestnetBeta => &config.testnet_beta,
            Network::Mainnet => &config.mainnet,
        };
        if rules.refuse {
            return deny(
                "network",
                format!("this deployment signs nothing on {network}; `{network}.refuse` says so"),
            );
        }
        // Every reason at once, so that an operator mends them together.
        [
            role(rules, request),
            scheme(rules, request),
            format(rules, request),
            key_state(rules, request),
        ]
        .into_iter()
        .flatten()
        .reduce(Denied::and)
        .map_or_else(allow, Err)
    }
}

fn role(rules: &Rules, request: &Request) -> Option<Denied> {
    let allowed = rules.roles.as_deref().unwrap_or(Role::ALL);
    let strange: Vec<&Role> = request.key.roles.iter().filter(|role| !allowed.contains(role)).collect();
    (!strange.is_empty() || request.key.roles.is_empty()).then(|| {
        let message = format!(
            "a key for {} may not sign on {}; keys for {} may",
            names(strange),
            request.network,
            names(allowed)
        );
        Denied::because("role", message)
    })
}

fn scheme(rules: &Rules, request: &Request) -> Option<Denied> {
    let allowed = rules.schemes.as_deref().unwrap_or(Scheme::ALL);
    (!allowed.contains(&request.key.scheme)).then(|| {
        let message = format!(
            "a {} key may not sign on {}; {} may",
            request.key.scheme,
            request.network,
            names(allowed)
        );
        Denied::because("scheme", message)
    })
}

fn format(rules: &Rules, request: &Request) -> Option<Denied> {
    let allowed = match &rules.formats {
        Some(patterns) => patterns.iter().any(|pattern| pattern.matches(&request.format)),
        None => built_in(request.network, request.family()),
    };
    (!allowed).then(|| {
        let wanted = match &rules.formats {
            Some(patterns) => names(patterns),
            None => "what a decoder can read".to_owned(),
        };
        Denied::because(
            "format",
            format!("{} is not signed on {}; {wanted} is", request.format, request.network),
        )
    })
}

/// The formats of a network that the configuration gives none: raw messages up to testnet-alpha, raw digests on devnet, since nobody
/// can say what they are; a format that this policy does not know nowhere. A tag says what its message is for, and a decapsulation signs
/// nothing: both everywhere.
fn built_in(network: Network, family: Family) -> bool {
    match (family, network) {
        (
            Family::Evm | Family::EvmMessage | Family::Cometbft | Family::Hotstuff | Family::Tagged | Family::Encapsulation,
            Network::Devnet | Network::TestnetAlpha | Network::TestnetBeta | Network::Mainnet,
        ) => true,
        (Family::RawMessage, Network::Devnet | Network::TestnetAlpha) => true,
        (Family::RawMessage, Network::TestnetBeta | Network::Mainnet) => false,
        // The key's own flag names the prefix; nothing else says what they are.
        (Family::PrefixedRaw, Network::Devnet | Network::TestnetAlpha | Network::TestnetBeta | Network::Mainnet) => true,
        (Family::RawDigest, Network::Devnet) => true,
        (Family::RawDigest, Network::TestnetAlpha | Network::TestnetBeta | Network::Mainnet) => false,
        (Family::Unknown, Network::Devnet | Network::TestnetAlpha | Network::TestnetBeta | Network::Mainnet) => false,
    }
}

fn key_state(rules: &Rules, request: &Request) -> Option<Denied> {
    let allowed = rules.key_states.as_deref().unwrap_or(&[KeyState::Active, KeyState::Grace]);
    (!allowed.contains(&request.key.state)).then(|| {
        let message = format!(
            "a key in state {} does not sign on {}; {} does",
            request.key.state,
            request.network,
            names(allowed)
        );
        Denied::because("key-state", message)
    })
}

fn names<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

sigwarden_guest::export!(NetworkMode);

#[cfg(test)]
mod tests;
