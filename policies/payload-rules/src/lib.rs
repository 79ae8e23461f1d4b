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

mod config;
mod evm;
mod messages;

pub use config::{Cometbft, Config, Evm, Messages, Prefix};

use sigwarden_guest::prelude::*;
use sigwarden_guest::{FORMATS, Family};

/// The policy.
pub struct PayloadRules;

impl Policy for PayloadRules {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "payload-rules",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Says what payloads may hold: chains, recipients, value, gas, fees, call data, sizes and prefixes.",
        formats: FORMATS,
        facts: &[
            "evm.transaction-type",
            "evm.chain-id",
            "evm.nonce",
            "evm.gas-limit",
            "evm.gas-price",
            "evm.max-fee-per-gas",
            "evm.max-priority-fee-per-gas",
            "evm.create",
            "evm.to",
            "evm.value",
            "evm.data",
            "evm.access-list.addresses",
            "evm.access-list.storage-keys",
            "cometbft.chain-id",
            "cometbft.height",
            "cometbft.round",
            "cometbft.step",
        ],
        denial_codes: &[
            "evm/not-configured",
            "evm/chain-id",
            "evm/recipient",
            "evm/creation",
            "evm/value",
            "evm/gas-limit",
            "evm/fee-cap",
            "evm/priority-fee",
            "evm/gas-price",
            "evm/selector",
            "evm/data-size",
            "message/not-configured",
            "message/size",
            "message/prefix",
            "digest/not-configured",
            "cometbft/not-configured",
            "cometbft/chain-id",
            "format/not-configured",
        ],
    };

    fn check(config: &Config) -> Result<(), Vec<Problem>> {
        let problems = config::problems(config);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn evaluate(config: &Config, request: &Request, _: &mut Host) -> Verdict {
        match (request.family(), &config.evm, &config.messages, &config.cometbft) {
            (Family::Evm, Some(rules), _, _) => evm::judge(rules, &request.evm()?),
            (Family::Evm, None, _, _) => not_configured("evm/not-configured", request, "`evm`"),
            (Family::RawMessage, _, Some(rules), _) => messages::judge(rules, request.message()?),
            (Family::RawMessage, _, None, _) => not_configured("message/not-configured", request, "`messages`"),
            (Family::RawDigest, _, _, _) if config.dangerous_allow_digests => allow(),
            (Family::RawDigest, _, _, _) => not_configured("digest/not-configured", request, "`dangerous_allow_digests`"),
            (Family::Cometbft, _, _, Some(rules)) => cometbft(rules, request),
            (Family::Cometbft, _, _, None) => not_configured("cometbft/not-configured", request, "`cometbft`"),
            (Family::Unknown, _, _, _) => not_configured("format/not-configured", request, "a later release of this policy"),
        }
    }
}

fn not_configured(code: &'static str, request: &Request, wanted: &str) -> Verdict {
    deny(code, format!("there are no rules for {}; {wanted} would give some", request.format))
}

fn cometbft(rules: &Cometbft, request: &Request) -> Verdict {
    let chain_id = request.cometbft_position()?.chain_id;
    if rules.chain_ids.iter().any(|allowed| allowed == chain_id) {
        return allow();
    }
    deny(
        "cometbft/chain-id",
        format!("chain `{chain_id}` is not allowed; {} is", rules.chain_ids.join(", ")),
    )
}

sigwarden_guest::export!(PayloadRules);

#[cfg(test)]
mod tests;
