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
mod raw_bytes;
mod signed;
mod tagged;

pub use config::{BlobRules, Cometbft, Config, Encapsulation, Evm, Hotstuff, Messages, Prefix, RawBytesRules, SetCodeRules};
pub use config::{SignedMessages, Tagged, TypedDataRule, TypedDataRules};

use sigwarden_guest::prelude::*;
use sigwarden_guest::{FORMATS, Family, SignedMessage, TypedData};

/// The policy.
pub struct PayloadRules;

impl Policy for PayloadRules {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "payload-rules",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Says what payloads may hold: chains, recipients, value, gas, fees, call data, blobs, delegates, typed data, sizes and prefixes.",
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
            "evm.blobs",
            "evm.max-fee-per-blob-gas",
            "evm.blob-versioned-hashes",
            "evm.authorizations.chain-ids",
            "evm.authorizations.delegates",
            "evm.authorizations.nonces",
            "evm.authorizations.authorities",
            "message.length",
            "message.text",
            "typed-data.primary-type",
            "typed-data.encode-type",
            "typed-data.type-hash",
            "typed-data.domain.name",
            "typed-data.domain.version",
            "typed-data.domain.chain-id",
            "typed-data.domain.verifying-contract",
            "typed-data.domain.salt",
            "typed-data.message",
            "raw-bytes.layout",
            "raw-bytes.body",
            "raw-bytes.unique-id",
            "cometbft.chain-id",
            "cometbft.height",
            "cometbft.round",
            "cometbft.step",
            "hotstuff.chain-id",
            "hotstuff.view",
            "hotstuff.step",
            "hotstuff.validator-id",
            "tagged.domain",
            "tagged.chain-id",
            "tagged.body",
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
            "evm/blobs",
            "evm/blob-fee",
            "evm/set-code",
            "evm/delegate",
            "evm/delegation-chain",
            "evm/authority",
            "signed-message/not-configured",
            "signed-message/size",
            "signed-message/prefix",
            "signed-message/bytes",
            "typed-data/not-configured",
            "typed-data/domain",
            "typed-data/primary-type",
            "raw-bytes/not-configured",
            "raw-bytes/size",
            "raw-bytes/chain-id",
            "raw-bytes/unique-id",
            "raw-bytes/prefix",
            "message/not-configured",
            "message/size",
            "message/prefix",
            "digest/not-configured",
            "cometbft/not-configured",
            "cometbft/chain-id",
            "hotstuff/not-configured",
            "hotstuff/chain-id",
            "tagged/not-configured",
            "tagged/chain-id",
            "tagged/domain",
            "tagged/size",
            "encapsulation/not-configured",
            "format/not-configured",
        ],
    };

    fn check(config: &Config) -> Result<(), Vec<Problem>> {
        let problems = config::problems(config);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn evaluate(config: &Config, request: &Request, _: &mut Host) -> Verdict {
        match request.family() {
            Family::Evm => match &config.evm {
                Some(rules) => evm::judge(rules, &request.evm()?),
                None => not_configured("evm/not-configured", request, "`evm`"),
            },
            Family::EvmMessage if request.format == SignedMessage::FORMAT => match &config.signed_messages {
                Some(rules) => signed::message(rules, &request.signed_message()?),
                None => not_configured("signed-message/not-configured", request, "`signed_messages`"),
            },
            Family::EvmMessage if request.format == TypedData::FORMAT => match &config.typed_data {
                Some(rules) => signed::typed_data(rules, &request.typed_data()?),
                None => not_configured("typed-data/not-configured", request, "`typed_data`"),
            },
            Family::PrefixedRaw => match &config.raw_bytes {
                Some(rules) => raw_bytes::judge(rules, &request.raw_bytes()?),
                None => not_configured("raw-bytes/not-configured", request, "`raw_bytes`"),
            },
            Family::RawMessage => match &config.messages {
                Some(rules) => messages::judge(rules, request.message()?),
                None => not_configured("message/not-configured", request, "`messages`"),
            },
            Family::RawDigest if config.dangerous_allow_digests => allow(),
            Family::RawDigest => not_configured("digest/not-configured", request, "`dangerous_allow_digests`"),
            Family::Cometbft => match &config.cometbft {
                Some(rules) => cometbft(rules, request),
                None => not_configured("cometbft/not-configured", request, "`cometbft`"),
            },
            Family::Hotstuff => match &config.hotstuff {
                Some(rules) => hotstuff(rules, request),
                None => not_configured("hotstuff/not-configured", request, "`hotstuff`"),
            },
            Family::Tagged => match &config.tagged {
                Some(rules) => tagged::judge(rules, &request.tagged_message()?),
                None => not_configured("tagged/not-configured", request, "`tagged`"),
            },
            Family::Encapsulation => match &config.encapsulation {
                Some(Encapsulation { allow: true }) => allow(),
                Some(Encapsulation { allow: false }) | None => {
                    not_configured("encapsulation/not-configured", request, "`encapsulation.allow`")
                }
            },
            Family::EvmMessage | Family::Unknown => not_configured("format/not-configured", request, "a later release of this policy"),
        }
    }
}

fn not_configured(code: &'static str, request: &Request, wanted: &str) -> Verdict {
    deny(code, format!("there are no rules for {}; {wanted} would give some", request.format))
}

fn hotstuff(rules: &Hotstuff, request: &Request) -> Verdict {
    let chain_id = request.hotstuff_position()?.chain_id;
    tagged::chain("hotstuff/chain-id", &rules.chain_ids, chain_id).map_or_else(allow, Err)
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
