//! The tables of `wit/facts.md`, for policies that take names of facts from their configuration. A test holds the two together.

use FactKind::{Boolean, Bytes, BytesList, Text, TextList, Unsigned, Unsigned256, Unsigned256List, UnsignedList};

/// A fact's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactKind {
    /// Text.
    Text,
    /// Bytes.
    Bytes {
        /// How many, if always the same number.
        length: Option<u16>,
    },
    /// True or false.
    Boolean,
    /// A `u64`.
    Unsigned,
    /// A `u256`.
    Unsigned256,
    /// A list of bytes.
    BytesList {
        /// How many bytes each entry has.
        length: Option<u16>,
    },
    /// A list of texts.
    TextList,
    /// A list of `u64`.
    UnsignedList,
    /// A list of `u256`.
    Unsigned256List,
}

/// What a format says of one of its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactSchema {
    /// Its name.
    pub name: &'static str,
    /// Its type; the same in every format that has it.
    pub kind: FactKind,
    /// Whether every request in the format has it.
    pub always: bool,
}

const fn always(name: &'static str, kind: FactKind) -> FactSchema {
    FactSchema { name, kind, always: true }
}

const fn sometimes(name: &'static str, kind: FactKind) -> FactSchema {
    FactSchema { name, kind, always: false }
}

const BYTES: FactKind = Bytes { length: None };
const ADDRESS: FactKind = Bytes { length: Some(20) };
const HASH: FactKind = Bytes { length: Some(32) };

const MESSAGE: &[FactSchema] = &[always("message.length", Unsigned)];

const DIGEST: &[FactSchema] = &[always("digest.bytes", HASH)];

const EVM_LEGACY: &[FactSchema] = &[
    always("evm.transaction-type", Unsigned),
    always("evm.chain-id", Unsigned),
    always("evm.nonce", Unsigned),
    always("evm.gas-limit", Unsigned),
    always("evm.gas-price", Unsigned256),
    always("evm.create", Boolean),
    sometimes("evm.to", ADDRESS),
    always("evm.value", Unsigned256),
    always("evm.data", BYTES),
    sometimes("evm.selector", Bytes { length: Some(4) }),
];

const EVM_EIP_2930: &[FactSchema] = &[
    always("evm.transaction-type", Unsigned),
    always("evm.chain-id", Unsigned),
    always("evm.nonce", Unsigned),
    always("evm.gas-limit", Unsigned),
    always("evm.gas-price", Unsigned256),
    always("evm.create", Boolean),
    sometimes("evm.to", ADDRESS),
    always("evm.value", Unsigned256),
    always("evm.data", BYTES),
    sometimes("evm.selector", Bytes { length: Some(4) }),
    always("evm.access-list.addresses", BytesList { length: Some(20) }),
    always("evm.access-list.storage-keys", Unsigned),
];

const EVM_EIP_1559: &[FactSchema] = &[
    always("evm.transaction-type", Unsigned),
    always("evm.chain-id", Unsigned),
    always("evm.nonce", Unsigned),
    always("evm.gas-limit", Unsigned),
    always("evm.max-fee-per-gas", Unsigned256),
    always("evm.max-priority-fee-per-gas", Unsigned256),
    always("evm.create", Boolean),
    sometimes("evm.to", ADDRESS),
    always("evm.value", Unsigned256),
    always("evm.data", BYTES),
    sometimes("evm.selector", Bytes { length: Some(4) }),
    always("evm.access-list.addresses", BytesList { length: Some(20) }),
    always("evm.access-list.storage-keys", Unsigned),
];

const EVM_EIP_4844: &[FactSchema] = &[
    always("evm.transaction-type", Unsigned),
    always("evm.chain-id", Unsigned),
    always("evm.nonce", Unsigned),
    always("evm.gas-limit", Unsigned),
    always("evm.max-fee-per-gas", Unsigned256),
    always("evm.max-priority-fee-per-gas", Unsigned256),
    always("evm.create", Boolean),
    always("evm.to", ADDRESS),
    always("evm.value", Unsigned256),
    always("evm.data", BYTES),
    sometimes("evm.selector", Bytes { length: Some(4) }),
    always("evm.access-list.addresses", BytesList { length: Some(20) }),
    always("evm.access-list.storage-keys", Unsigned),
    always("evm.max-fee-per-blob-gas", Unsigned256),
    always("evm.blob-versioned-hashes", BytesList { length: Some(32) }),
    always("evm.blobs", Unsigned),
];

const EVM_EIP_7702: &[FactSchema] = &[
    always("evm.transaction-type", Unsigned),
    always("evm.chain-id", Unsigned),
    always("evm.nonce", Unsigned),
    always("evm.gas-limit", Unsigned),
    always("evm.max-fee-per-gas", Unsigned256),
    always("evm.max-priority-fee-per-gas", Unsigned256),
    always("evm.create", Boolean),
    always("evm.to", ADDRESS),
    always("evm.value", Unsigned256),
    always("evm.data", BYTES),
    sometimes("evm.selector", Bytes { length: Some(4) }),
    always("evm.access-list.addresses", BytesList { length: Some(20) }),
    always("evm.access-list.storage-keys", Unsigned),
    always("evm.authorizations.chain-ids", Unsigned256List),
    always("evm.authorizations.delegates", BytesList { length: Some(20) }),
    always("evm.authorizations.nonces", UnsignedList),
    always("evm.authorizations.authorities", BytesList { length: None }),
];

const EVM_EIP_191: &[FactSchema] = &[
    always("message.length", Unsigned),
    always("message.keccak256", HASH),
    sometimes("message.text", Text),
];

const EVM_EIP_712: &[FactSchema] = &[
    always("typed-data.primary-type", Text),
    always("typed-data.encode-type", Text),
    always("typed-data.type-hash", HASH),
    always("typed-data.domain-separator", HASH),
    always("typed-data.message-hash", HASH),
    sometimes("typed-data.domain.name", Text),
    sometimes("typed-data.domain.version", Text),
    sometimes("typed-data.domain.chain-id", Unsigned256),
    sometimes("typed-data.domain.verifying-contract", ADDRESS),
    sometimes("typed-data.domain.salt", HASH),
    always("typed-data.message", TextList),
];

const RAW_BYTES: &[FactSchema] = &[
    always("raw-bytes.length", Unsigned),
    always("raw-bytes.sha256", HASH),
    always("raw-bytes.layout", Text),
    always("raw-bytes.body", BYTES),
    sometimes("cometbft.chain-id", Text),
    sometimes("raw-bytes.unique-id", Text),
];

const COMETBFT_VOTE: &[FactSchema] = &[
    always("cometbft.chain-id", Text),
    always("cometbft.height", Unsigned),
    always("cometbft.round", Unsigned),
    always("cometbft.step", Text),
    always("cometbft.nil", Boolean),
    sometimes("cometbft.block-hash", HASH),
    sometimes("cometbft.timestamp-seconds", Unsigned),
    sometimes("cometbft.timestamp-nanos", Unsigned),
];

const COMETBFT_PROPOSAL: &[FactSchema] = &[
    always("cometbft.chain-id", Text),
    always("cometbft.height", Unsigned),
    always("cometbft.round", Unsigned),
    always("cometbft.step", Text),
    always("cometbft.block-hash", HASH),
    always("cometbft.has-pol", Boolean),
    sometimes("cometbft.pol-round", Unsigned),
    sometimes("cometbft.timestamp-seconds", Unsigned),
    sometimes("cometbft.timestamp-nanos", Unsigned),
];

const COMETBFT_VOTE_EXTENSION: &[FactSchema] = &[
    always("cometbft.chain-id", Text),
    always("cometbft.height", Unsigned),
    always("cometbft.round", Unsigned),
    always("cometbft.step", Text),
    always("cometbft.nil", Boolean),
    always("cometbft.block-hash", HASH),
    sometimes("cometbft.timestamp-seconds", Unsigned),
    sometimes("cometbft.timestamp-nanos", Unsigned),
    always("cometbft.extension", BYTES),
];

const HOTSTUFF_PROPOSAL: &[FactSchema] = &[
    always("hotstuff.chain-id", Unsigned),
    always("hotstuff.view", Unsigned),
    always("hotstuff.step", Text),
    always("hotstuff.validator-id", Unsigned),
    always("hotstuff.block-hash", HASH),
    always("hotstuff.has-qc", Boolean),
    sometimes("hotstuff.qc-view", Unsigned),
    sometimes("hotstuff.qc-block-hash", HASH),
    always("hotstuff.epoch", Unsigned),
    always("hotstuff.suite-id", Unsigned),
];

const HOTSTUFF_VOTE: &[FactSchema] = &[
    always("hotstuff.chain-id", Unsigned),
    always("hotstuff.view", Unsigned),
    always("hotstuff.step", Text),
    always("hotstuff.validator-id", Unsigned),
    always("hotstuff.block-hash", HASH),
];

const HOTSTUFF_TIMEOUT: &[FactSchema] = &[
    always("hotstuff.chain-id", Unsigned),
    always("hotstuff.view", Unsigned),
    always("hotstuff.step", Text),
    always("hotstuff.validator-id", Unsigned),
    always("hotstuff.has-qc", Boolean),
    sometimes("hotstuff.qc-hash", HASH),
];

const TAGGED: &[FactSchema] = &[
    always("tagged.domain", Text),
    always("tagged.chain-id", Unsigned),
    always("tagged.body", BYTES),
];

const ML_KEM: &[FactSchema] = &[always("ml-kem.ciphertext-length", Unsigned)];

/// The facts of a format; none of a format that this SDK does not know.
#[must_use]
pub fn facts_of(format: &str) -> &'static [FactSchema] {
    match format {
        "raw-message/sha256" | "raw-message/keccak256" | "raw-message/none" => MESSAGE,
        "raw-digest" => DIGEST,
        "evm/legacy" => EVM_LEGACY,
        "evm/eip-2930" => EVM_EIP_2930,
        "evm/eip-1559" => EVM_EIP_1559,
        "evm/eip-4844" => EVM_EIP_4844,
        "evm/eip-7702" => EVM_EIP_7702,
        "evm/eip-191" => EVM_EIP_191,
        "evm/eip-712" => EVM_EIP_712,
        "cometbft/raw-bytes" => RAW_BYTES,
        "cometbft/vote" => COMETBFT_VOTE,
        "cometbft/proposal" => COMETBFT_PROPOSAL,
        "cometbft/vote-extension" => COMETBFT_VOTE_EXTENSION,
        "hotstuff/proposal" => HOTSTUFF_PROPOSAL,
        "hotstuff/vote" => HOTSTUFF_VOTE,
        "hotstuff/timeout" => HOTSTUFF_TIMEOUT,
        "tagged-message" => TAGGED,
        "ml-kem-768/ciphertext" => ML_KEM,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FORMATS;
    use std::collections::{BTreeMap, BTreeSet};

    /// The rows of each format's table.
    fn of_the_page() -> BTreeMap<String, Vec<FactSchema>> {
        let page = include_str!("../../wit/facts.md");
        let mut tables = BTreeMap::new();
        let mut formats: Vec<String> = Vec::new();
        for line in page.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                formats = heading.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            }
            let Some(row) = line.strip_prefix("| `") else { continue };
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let length = |kind: &str| kind.strip_prefix("bytes").and_then(|digits| digits.parse().ok());
            let kind = match cells[1] {
                "text" => Text,
                "bool" => Boolean,
                "u64" => Unsigned,
                "u256" => Unsigned256,
                "list of text" => TextList,
                "list of u64" => UnsignedList,
                "list of u256" => Unsigned256List,
                bytes if bytes.starts_with("bytes") => Bytes { length: length(bytes) },
                list => BytesList {
                    length: length(list.strip_prefix("list of ").unwrap()),
                },
            };
            let name: &'static str = cells[0].trim_end_matches('`').to_owned().leak();
            for format in &formats {
                let rows: &mut Vec<FactSchema> = tables.entry(format.clone()).or_default();
                rows.push(FactSchema {
                    name,
                    kind,
                    always: cells[2] == "always",
                });
            }
        }
        tables
    }

    #[test]
    fn the_table_is_the_one_of_facts_md() {
        let page = of_the_page();
        assert_eq!(
            page.keys().map(String::as_str).collect::<BTreeSet<_>>(),
            FORMATS.iter().copied().collect()
        );
        for (format, rows) in page {
            assert_eq!(facts_of(&format), rows, "{format}");
        }
        assert!(facts_of("evm/eip-9999").is_empty());
    }

    #[test]
    fn a_fact_has_one_type_in_all_formats() {
        let mut kinds: BTreeMap<&str, FactKind> = BTreeMap::new();
        for fact in FORMATS.iter().flat_map(|format| facts_of(format)) {
            assert_eq!(*kinds.entry(fact.name).or_insert(fact.kind), fact.kind, "{}", fact.name);
        }
    }
}
