//! The configuration. A family of formats without its table is denied.

use sigwarden_guest::prelude::*;
use sigwarden_guest::{HexBytes, TaggedDomain};
use std::collections::BTreeMap;

/// Call data at most, unless configured: enough for a batch of some hundred words, far below what a block takes.
const DATA_BYTES: u64 = 8_192;

/// Rules for each family of formats. A family without rules is denied.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// EVM transactions.
    #[serde(default)]
    pub evm: Option<Evm>,
    /// Raw messages.
    #[serde(default)]
    pub messages: Option<Messages>,
    /// Messages of `personal_sign` and `eth_sign` (EIP-191).
    #[serde(default)]
    pub signed_messages: Option<SignedMessages>,
    /// Typed data (EIP-712).
    #[serde(default)]
    pub typed_data: Option<TypedDataRules>,
    /// Prefixed raw bytes of CometBFT validators.
    #[serde(default)]
    pub raw_bytes: Option<RawBytesRules>,
    /// CometBFT votes, proposals and vote extensions.
    #[serde(default)]
    pub cometbft: Option<Cometbft>,
    /// HotStuff proposals, votes and timeouts.
    #[serde(default)]
    pub hotstuff: Option<Hotstuff>,
    /// Tagged messages: batches, acknowledgements, governance, operations, withdrawals.
    #[serde(default)]
    pub tagged: Option<Tagged>,
    /// Key encapsulations.
    #[serde(default)]
    pub encapsulation: Option<Encapsulation>,
    /// Allows raw digests, of which nobody can say what they are. The key needs its own flag too.
    #[serde(default)]
    pub dangerous_allow_digests: bool,
}

/// Rules for EVM transactions.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Evm {
    /// The chains, at least one.
    pub chain_ids: Vec<u64>,
    /// Whom a transaction may call.
    #[serde(default)]
    pub recipients: AddressSet,
    /// Allows every recipient.
    #[serde(default)]
    pub dangerous_allow_any_recipient: bool,
    /// The most wei in one transaction.
    pub max_value: U256,
    /// The most gas in one transaction.
    pub max_gas_limit: u64,
    /// The most wei for a unit of gas.
    pub max_fee_per_gas: U256,
    /// The most wei for a unit of gas to the proposer (EIP-1559); `max_fee_per_gas` if left out.
    #[serde(default)]
    pub max_priority_fee_per_gas: Option<U256>,
    /// The most wei for a unit of gas in legacy and EIP-2930 transactions; `max_fee_per_gas` if left out.
    #[serde(default)]
    pub max_gas_price: Option<U256>,
    /// Functions that may be called at any recipient: the first four bytes of the call data. Without call data no selector is needed.
    #[serde(default)]
    pub selectors: Vec<HexBytes>,
    /// Functions that may be called at one recipient, in place of `selectors`.
    #[serde(default)]
    pub calls: BTreeMap<Address, Vec<HexBytes>>,
    /// Allows all call data.
    #[serde(default)]
    pub dangerous_allow_any_call_data: bool,
    /// The most bytes of call data or init code; 8192 if left out.
    #[serde(default = "data_bytes")]
    pub max_data_bytes: u64,
    /// Allows the creation of contracts.
    #[serde(default)]
    pub allow_creation: bool,
    /// Blob transactions (EIP-4844); denied if left out.
    #[serde(default)]
    pub blobs: Option<BlobRules>,
    /// Set-code transactions (EIP-7702); denied if left out.
    #[serde(default)]
    pub set_code: Option<SetCodeRules>,
}

fn data_bytes() -> u64 {
    DATA_BYTES
}

/// Rules for blob transactions, besides those for all.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct BlobRules {
    /// The most wei for a unit of blob gas.
    pub max_fee_per_blob_gas: U256,
    /// The most blobs in one transaction, at least 1.
    pub max_blobs: u64,
}

/// Rules for set-code transactions, besides those for all. Every authorization in a transaction must pass.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct SetCodeRules {
    /// Whose code an account may get.
    #[serde(default)]
    pub delegates: AddressSet,
    /// Allows authorizations that take an account's code away.
    #[serde(default)]
    pub allow_clearing: bool,
    /// The accounts whose authorizations may be carried; any if left out.
    #[serde(default)]
    pub authorities: Option<AddressSet>,
    /// Allows authorizations for every chain; else they must be for the transaction's own.
    #[serde(default)]
    pub dangerous_allow_every_chain: bool,
}

/// Rules for EIP-191 messages.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct SignedMessages {
    /// The most bytes.
    pub max_bytes: u64,
    /// What a message begins with: one of these. Any beginning if left out.
    #[serde(default)]
    pub prefixes: Option<Vec<Prefix>>,
    /// Allows messages that are no text, which are mostly hashes: of a Safe's transactions, of user operations.
    #[serde(default)]
    pub dangerous_allow_bytes: bool,
}

/// Rules for typed data.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct TypedDataRules {
    /// What may be signed, at least one.
    pub allow: Vec<TypedDataRule>,
}

/// Typed data for one contract.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct TypedDataRule {
    /// The domain's chain.
    pub chain_id: U256,
    /// The domain's contract.
    pub contract: Address,
    /// The message's types, at least one. `*` is any but permits and authorizations, which are named if they are meant.
    pub primary_types: Vec<String>,
}

/// Rules for prefixed raw bytes.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct RawBytesRules {
    /// The most bytes of a body.
    pub max_bytes: u64,
    /// Chains of Celestia's raw bytes.
    #[serde(default)]
    pub chain_ids: Vec<String>,
    /// What Celestia's raw bytes may be for.
    #[serde(default)]
    pub unique_ids: Vec<String>,
    /// What bytes of other applications begin with: one of these. None are allowed if left out.
    #[serde(default)]
    pub opaque_prefixes: Vec<Prefix>,
}

/// Rules for raw messages.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Messages {
    /// The most bytes.
    pub max_bytes: u64,
    /// What a message begins with: one of these. Any beginning if left out.
    #[serde(default)]
    pub prefixes: Option<Vec<Prefix>>,
}

/// What a message begins with.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prefix {
    /// This text in UTF-8.
    Text(String),
    /// These bytes.
    Hex(HexBytes),
}

impl Prefix {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Hex(bytes) => &bytes.0,
        }
    }
}

/// Rules for CometBFT messages.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Cometbft {
    /// The chains, at least one.
    pub chain_ids: Vec<String>,
}

/// Rules for HotStuff messages.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Hotstuff {
    /// The chains, at least one.
    pub chain_ids: Vec<u64>,
}

/// Rules for tagged messages.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Tagged {
    /// The chains, at least one.
    pub chain_ids: Vec<u64>,
    /// What a message may be for, at least one: `batch`, `batch-ack`, `governance`, `operation`, `withdrawal`.
    pub domains: Vec<TaggedDomain>,
    /// The most bytes of a body.
    pub max_body_bytes: u64,
}

/// Rules for key encapsulations. A ciphertext holds nothing to judge, so this is yes or no.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Encapsulation {
    /// Allows decapsulation.
    pub allow: bool,
}

/// What the types cannot say.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(evm) = &config.evm {
        evm_problems(evm, &mut problems);
    }
    if config.cometbft.as_ref().is_some_and(|cometbft| cometbft.chain_ids.is_empty()) {
        problems.push(problem(
            "cometbft.chain_ids",
            "there is no chain; at least one is right, or no `cometbft`",
        ));
    }
    let mut empty = |list: bool, path: &str, what: &str| {
        if list {
            let (table, _) = path.split_once('.').unwrap_or((path, ""));
            let message = format!("there is no {what}; at least one is right, or no `{table}`");
            problems.push(problem(path, message));
        }
    };
    if let Some(hotstuff) = &config.hotstuff {
        empty(hotstuff.chain_ids.is_empty(), "hotstuff.chain_ids", "chain");
    }
    if let Some(tagged) = &config.tagged {
        empty(tagged.chain_ids.is_empty(), "tagged.chain_ids", "chain");
        empty(tagged.domains.is_empty(), "tagged.domains", "domain");
    }
    prefix_problems(config, &mut problems);
    typed_data_problems(config, &mut problems);
    if let Some(raw) = &config.raw_bytes {
        let celestia = !raw.chain_ids.is_empty() && !raw.unique_ids.is_empty();
        if !celestia && raw.opaque_prefixes.is_empty() {
            problems.push(problem(
                "raw_bytes",
                "nothing is allowed; `chain_ids` and `unique_ids`, or `opaque_prefixes`, would allow something",
            ));
        }
    }
    problems
}

fn prefix_problems(config: &Config, problems: &mut Vec<Problem>) {
    let messages = config.messages.as_ref().and_then(|messages| messages.prefixes.as_ref());
    let signed = config.signed_messages.as_ref().and_then(|messages| messages.prefixes.as_ref());
    let raw = config.raw_bytes.as_ref().map(|raw| &raw.opaque_prefixes);
    let lists = [
        ("messages.prefixes", messages),
        ("signed_messages.prefixes", signed),
        ("raw_bytes.opaque_prefixes", raw),
    ];
    for (path, list) in lists {
        for (index, prefix) in list.into_iter().flatten().enumerate() {
            if prefix.bytes().is_empty() {
                problems.push(problem(
                    format!("{path}[{index}]"),
                    "an empty prefix allows every message; leave the list out to say that, where it may be",
                ));
            }
        }
    }
}

fn typed_data_problems(config: &Config, problems: &mut Vec<Problem>) {
    let Some(rules) = &config.typed_data else { return };
    if rules.allow.is_empty() {
        problems.push(problem(
            "typed_data.allow",
            "there is no rule; at least one is right, or no `typed_data`",
        ));
    }
    for (index, rule) in rules.allow.iter().enumerate() {
        if rule.primary_types.is_empty() {
            let path = format!("typed_data.allow[{index}].primary_types");
            problems.push(problem(path, "there is no type; at least one is right: `Order`, or `*`"));
        }
    }
}

fn evm_problems(evm: &Evm, problems: &mut Vec<Problem>) {
    if evm.chain_ids.is_empty() {
        problems.push(problem("evm.chain_ids", "there is no chain; at least one is right, or no `evm`"));
    }
    if evm.dangerous_allow_any_recipient && !evm.recipients.is_empty() {
        problems.push(problem(
            "evm.recipients",
            "`dangerous_allow_any_recipient` makes this list mean nothing; keep one of the two",
        ));
    }
    if evm.max_priority_fee_per_gas.is_some_and(|priority| priority > evm.max_fee_per_gas) {
        problems.push(problem(
            "evm.max_priority_fee_per_gas",
            "it is over `max_fee_per_gas`, which bounds both",
        ));
    }
    if evm.dangerous_allow_any_call_data && !(evm.selectors.is_empty() && evm.calls.is_empty()) {
        problems.push(problem(
            "evm.selectors",
            "`dangerous_allow_any_call_data` makes `selectors` and `calls` mean nothing; keep one of them",
        ));
    }
    if evm.blobs.as_ref().is_some_and(|blobs| blobs.max_blobs == 0) {
        problems.push(problem("evm.blobs.max_blobs", "a blob transaction has one blob at least"));
    }
    if let Some(set_code) = &evm.set_code
        && set_code.delegates.is_empty()
        && !set_code.allow_clearing
    {
        problems.push(problem(
            "evm.set_code",
            "nothing is allowed; `delegates` or `allow_clearing` would allow something",
        ));
    }
    let mut selectors = |path: &str, list: &[HexBytes]| {
        for (index, selector) in list.iter().enumerate() {
            if selector.0.len() != 4 {
                problems.push(problem(
                    format!("{path}[{index}]"),
                    format!("`{selector}` is no selector, which has 4 bytes: `0xa9059cbb`"),
                ));
            }
        }
    };
    selectors("evm.selectors", &evm.selectors);
    for (recipient, list) in &evm.calls {
        selectors(&format!("evm.calls.{recipient}"), list);
    }
    for recipient in evm.calls.keys() {
        if !evm.dangerous_allow_any_recipient && !evm.recipients.contains(recipient) {
            problems.push(problem(
                format!("evm.calls.{recipient}"),
                "this recipient is not in `recipients`, so no call of it is allowed",
            ));
        }
    }
}
