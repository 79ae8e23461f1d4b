//! The facts that expressions read: the table that a configuration keeps, and what a request has of it.

use crate::tree::Slot;
use serde::Serialize;
use sigwarden_guest::{FORMATS, Request, Value, facts_of};

/// Every fact of every format, as `wit/facts.md` names it: the `facts` of a manifest whose policy judges by expressions that an operator
/// writes. A test holds it to the SDK's table.
pub const FACTS: &[&str] = &[
    "message.length",
    "digest.bytes",
    "evm.transaction-type",
    "evm.chain-id",
    "evm.nonce",
    "evm.gas-limit",
    "evm.gas-price",
    "evm.create",
    "evm.to",
    "evm.value",
    "evm.data",
    "evm.selector",
    "evm.access-list.addresses",
    "evm.access-list.storage-keys",
    "evm.max-fee-per-gas",
    "evm.max-priority-fee-per-gas",
    "evm.max-fee-per-blob-gas",
    "evm.blob-versioned-hashes",
    "evm.blobs",
    "evm.authorizations.chain-ids",
    "evm.authorizations.delegates",
    "evm.authorizations.nonces",
    "evm.authorizations.authorities",
    "message.keccak256",
    "message.text",
    "typed-data.primary-type",
    "typed-data.encode-type",
    "typed-data.type-hash",
    "typed-data.domain-separator",
    "typed-data.message-hash",
    "typed-data.domain.name",
    "typed-data.domain.version",
    "typed-data.domain.chain-id",
    "typed-data.domain.verifying-contract",
    "typed-data.domain.salt",
    "typed-data.message",
    "cometbft.chain-id",
    "cometbft.height",
    "cometbft.round",
    "cometbft.step",
    "cometbft.nil",
    "cometbft.block-hash",
    "cometbft.timestamp-seconds",
    "cometbft.timestamp-nanos",
    "cometbft.has-pol",
    "cometbft.pol-round",
    "cometbft.extension",
    "raw-bytes.length",
    "raw-bytes.sha256",
    "raw-bytes.layout",
    "raw-bytes.body",
    "raw-bytes.unique-id",
    "hotstuff.chain-id",
    "hotstuff.view",
    "hotstuff.step",
    "hotstuff.validator-id",
    "hotstuff.block-hash",
    "hotstuff.has-qc",
    "hotstuff.qc-view",
    "hotstuff.qc-block-hash",
    "hotstuff.epoch",
    "hotstuff.suite-id",
    "hotstuff.qc-hash",
    "tagged.domain",
    "tagged.chain-id",
    "tagged.body",
    "ml-kem.ciphertext-length",
];

/// The facts that the programs of one configuration read, each once, so that a request is looked through once for all of them. It is
/// filled by [`Program::compile`](crate::Program::compile) and belongs into the configuration beside the programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// As `wit/facts.md` has them; a fact's place is its slot.
    names: Vec<String>,
    /// For each of the SDK's formats, the slots of those that every request in it has. Empty while there is no fact.
    always: Vec<Vec<Slot>>,
}

impl Facts {
    /// The slot of a fact, which is put into the table unless it is there.
    pub(crate) fn slot(&mut self, name: &str) -> Slot {
        let known = self.names.iter().position(|known| known == name);
        // At most some seventy facts exist.
        let slot = Slot::try_from(known.unwrap_or(self.names.len())).unwrap_or(Slot::MAX);
        if known.is_none() {
            self.names.push(name.to_owned());
            self.always.resize(FORMATS.len(), Vec::new());
            for (format, always) in FORMATS.iter().zip(&mut self.always) {
                if facts_of(format).iter().any(|fact| fact.always && fact.name == name) {
                    always.push(slot);
                }
            }
        }
        slot
    }

    /// The fact in a slot.
    pub(crate) fn name(&self, slot: Slot) -> Option<&str> {
        self.names.get(usize::from(slot)).map(String::as_str)
    }

    /// What a request has of these facts. One pass over the request's, and one allocation.
    #[must_use]
    #[inline]
    pub fn values<'a>(&'a self, request: &'a Request) -> Values<'a> {
        let mut found = vec![None; self.names.len()];
        for fact in &request.facts {
            let slot = self.names.iter().position(|name| *name == fact.name);
            if let Some(place) = slot.and_then(|slot| found.get_mut(slot)) {
                *place = Some(&fact.value);
            }
        }
        let format = FORMATS.iter().position(|format| *format == request.format);
        Values {
            request,
            facts: self,
            found,
            format,
            always: format.and_then(|format| self.always.get(format)).map_or(&[], Vec::as_slice),
        }
    }
}

/// A request, and what it has of the facts that programs read: see [`Facts::values`].
#[derive(Debug, Clone)]
pub struct Values<'a> {
    pub(crate) request: &'a Request,
    pub(crate) facts: &'a Facts,
    /// In the facts' slots.
    pub(crate) found: Vec<Option<&'a Value>>,
    /// The place of the request's format in the SDK's list.
    pub(crate) format: Option<usize>,
    /// The slots of the facts that every request in this format has.
    pub(crate) always: &'a [Slot],
}

/// A fact's name as CEL can write it: `-` would be minus.
pub(crate) fn written(name: &str) -> String {
    name.replace('-', "_")
}
