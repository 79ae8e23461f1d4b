//! For an author's unit tests: requests with every fact that their format has, and a policy that runs natively on a fake host.

mod newer;
mod trial;

pub use newer::{evm_blobs, evm_set_code, opaque_raw_bytes, raw_bytes, signed_message, typed_permit};
pub use trial::{Trial, codes};

use crate::bindings::sigwarden::policy::types::{
    Fact, Key, KeyState, Network, Operation, Request, Role, Scalar, Scheme, SigningInput, Value,
};
use crate::number::U256;
use sha2::{Digest, Sha256};

/// Builds a request.
#[derive(Debug, Clone)]
pub struct RequestBuilder {
    request: Request,
}

/// A request in a format, without facts: caller `alice` on devnet, an active key `test.key` for accounts.
#[must_use]
pub fn request(format: &str) -> RequestBuilder {
    RequestBuilder {
        request: Request {
            id: "test-1".to_owned(),
            operation: Operation::Sign,
            caller: "alice".to_owned(),
            network: Network::Devnet,
            key: Key {
                name: "test.key".to_owned(),
                version: 1,
                roles: vec![Role::Account],
                scheme: Scheme::Secp256k1Ecdsa,
                public_key: vec![2; 33],
                created: 1_700_000_000_000,
                uses: 0,
                state: KeyState::Active,
            },
            format: format.to_owned(),
            format_version: 1,
            payload: Vec::new(),
            signing_inputs: Vec::new(),
            facts: Vec::new(),
            now: 1_700_000_000_000,
        },
    }
}

/// An EIP-1559 transfer: chain 1, nonce 0, 21,000 gas at 30 gwei with a tip of 1 gwei, 1 ether to `0x1111…`, no data.
#[must_use]
pub fn evm_transfer() -> RequestBuilder {
    request("evm/eip-1559")
        .u64("evm.transaction-type", 2)
        .u64("evm.chain-id", 1)
        .u64("evm.nonce", 0)
        .u64("evm.gas-limit", 21_000)
        .u256("evm.max-fee-per-gas", 30_000_000_000u64)
        .u256("evm.max-priority-fee-per-gas", 1_000_000_000u64)
        .boolean("evm.create", false)
        .bytes("evm.to", &[0x11; 20])
        .u256("evm.value", 1_000_000_000_000_000_000u64)
        .bytes("evm.data", &[])
        .list("evm.access-list.addresses", Vec::new())
        .u64("evm.access-list.storage-keys", 0)
        .payload(&[2, 0])
}

/// The same as a legacy transaction at 30 gwei.
#[must_use]
pub fn evm_legacy() -> RequestBuilder {
    let mut legacy = evm_transfer();
    for fact in [
        "evm.max-fee-per-gas",
        "evm.max-priority-fee-per-gas",
        "evm.access-list.addresses",
        "evm.access-list.storage-keys",
    ] {
        legacy = legacy.without(fact);
    }
    legacy.request.format = "evm/legacy".to_owned();
    legacy.u64("evm.transaction-type", 0).u256("evm.gas-price", 30_000_000_000u64)
}

/// An EIP-1559 transaction that creates a contract from this code.
#[must_use]
pub fn evm_creation(init_code: &[u8]) -> RequestBuilder {
    evm_transfer()
        .boolean("evm.create", true)
        .without("evm.to")
        .bytes("evm.data", init_code)
}

/// A vote on chain `test-chain` for a block, by a consensus key; `step` is `prevote` or `precommit`.
#[must_use]
pub fn cometbft_vote(step: &str, height: u64, round: u64) -> RequestBuilder {
    consensus("cometbft/vote", step, height, round).boolean("cometbft.nil", false)
}

/// A proposal on chain `test-chain` without a proof of lock, by a consensus key.
#[must_use]
pub fn cometbft_proposal(height: u64, round: u64) -> RequestBuilder {
    consensus("cometbft/proposal", "proposal", height, round).boolean("cometbft.has-pol", false)
}

fn consensus(format: &str, step: &str, height: u64, round: u64) -> RequestBuilder {
    request(format)
        .roles(&[Role::Consensus])
        .scheme(Scheme::Ed25519)
        .text("cometbft.chain-id", "test-chain")
        .u64("cometbft.height", height)
        .u64("cometbft.round", round)
        .text("cometbft.step", step)
        .bytes("cometbft.block-hash", &[0xab; 32])
        .u64("cometbft.timestamp-seconds", 1_700_000_000)
        .u64("cometbft.timestamp-nanos", 5)
}

/// A HotStuff vote on chain 7 by validator 3, with an ML-DSA-44 consensus key.
#[must_use]
pub fn hotstuff_vote(view: u64) -> RequestBuilder {
    hotstuff("hotstuff/vote", "vote", view).bytes("hotstuff.block-hash", &[0xab; 32])
}

/// A HotStuff proposal of epoch 1 without a quorum certificate.
#[must_use]
pub fn hotstuff_proposal(view: u64) -> RequestBuilder {
    hotstuff("hotstuff/proposal", "proposal", view)
        .bytes("hotstuff.block-hash", &[0xab; 32])
        .boolean("hotstuff.has-qc", false)
        .u64("hotstuff.epoch", 1)
        .u64("hotstuff.suite-id", 100)
}

/// A HotStuff timeout without a quorum certificate.
#[must_use]
pub fn hotstuff_timeout(view: u64) -> RequestBuilder {
    hotstuff("hotstuff/timeout", "timeout", view).boolean("hotstuff.has-qc", false)
}

fn hotstuff(format: &str, step: &str, view: u64) -> RequestBuilder {
    request(format)
        .roles(&[Role::Consensus])
        .scheme(Scheme::MlDsa44)
        .u64("hotstuff.chain-id", 7)
        .u64("hotstuff.view", view)
        .text("hotstuff.step", step)
        .u64("hotstuff.validator-id", 3)
}

/// A tagged message on chain 7; `domain` is `batch`, `batch-ack`, `governance`, `operation` or `withdrawal`.
#[must_use]
pub fn tagged_message(domain: &str, body: &[u8]) -> RequestBuilder {
    request("tagged-message")
        .roles(&[Role::Batch])
        .scheme(Scheme::MlDsa44)
        .text("tagged.domain", domain)
        .u64("tagged.chain-id", 7)
        .bytes("tagged.body", body)
}

/// An ML-KEM-768 ciphertext to decapsulate, with a node's identity key.
#[must_use]
pub fn encapsulation() -> RequestBuilder {
    let mut builder = request("ml-kem-768/ciphertext")
        .roles(&[Role::P2pIdentity])
        .scheme(Scheme::MlKem768)
        .u64("ml-kem.ciphertext-length", 1088)
        .payload(&[0x5a; 1088])
        .signing_inputs(vec![SigningInput::Message(vec![0x5a; 1088])]);
    builder.request.operation = Operation::Decapsulate;
    builder
}

/// A raw message, hashed with SHA-256.
#[must_use]
pub fn message(bytes: &[u8]) -> RequestBuilder {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    request("raw-message/sha256").u64("message.length", length).payload(bytes)
}

impl RequestBuilder {
    /// Adds or replaces a fact.
    #[must_use]
    pub fn fact(mut self, name: &str, value: Value) -> Self {
        match self.request.facts.iter_mut().find(|fact| fact.name == name) {
            Some(fact) => fact.value = value,
            None => self.request.facts.push(Fact {
                name: name.to_owned(),
                value,
            }),
        }
        self
    }

    /// Removes a fact.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.request.facts.retain(|fact| fact.name != name);
        self
    }

    /// A fact that is a `u64`.
    #[must_use]
    pub fn u64(self, name: &str, value: u64) -> Self {
        self.fact(name, Value::One(Scalar::Unsigned(value)))
    }

    /// A fact that is a `u256`.
    #[must_use]
    pub fn u256(self, name: &str, value: impl Into<U256>) -> Self {
        let [a, b, c, d] = value.into().limbs();
        self.fact(name, Value::One(Scalar::Unsigned256((a, b, c, d))))
    }

    /// A fact that is text.
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Self {
        self.fact(name, Value::One(Scalar::Text(value.to_owned())))
    }

    /// A fact that is bytes.
    #[must_use]
    pub fn bytes(self, name: &str, value: &[u8]) -> Self {
        self.fact(name, Value::One(Scalar::Bytes(value.to_vec())))
    }

    /// A fact that is true or false.
    #[must_use]
    pub fn boolean(self, name: &str, value: bool) -> Self {
        self.fact(name, Value::One(Scalar::Boolean(value)))
    }

    /// A fact that is a list.
    #[must_use]
    pub fn list(self, name: &str, values: Vec<Scalar>) -> Self {
        self.fact(name, Value::Many(values))
    }

    /// The payload.
    #[must_use]
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.request.payload = payload.to_vec();
        self
    }

    /// The format.
    #[must_use]
    pub fn format(mut self, format: &str) -> Self {
        self.request.format = format.to_owned();
        self
    }

    /// The caller.
    #[must_use]
    pub fn caller(mut self, caller: &str) -> Self {
        self.request.caller = caller.to_owned();
        self
    }

    /// The operation.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.request.operation = operation;
        self
    }

    /// The network.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.request.network = network;
        self
    }

    /// The key's name; its public key changes with it.
    #[must_use]
    pub fn key(mut self, name: &str) -> Self {
        self.request.key.name = name.to_owned();
        self.request.key.public_key = [&[2], Sha256::digest(name).as_slice()].concat();
        self
    }

    /// The key's roles.
    #[must_use]
    pub fn roles(mut self, roles: &[Role]) -> Self {
        self.request.key.roles = roles.to_vec();
        self
    }

    /// The key's scheme.
    #[must_use]
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.request.key.scheme = scheme;
        self
    }

    /// The key's state.
    #[must_use]
    pub fn key_state(mut self, state: KeyState) -> Self {
        self.request.key.state = state;
        self
    }

    /// The time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now(mut self, now_ms: u64) -> Self {
        self.request.now = now_ms;
        self
    }

    /// What will be signed. Without this, it is a digest over the payload and the facts, so that another message has another.
    #[must_use]
    pub fn signing_inputs(mut self, inputs: Vec<SigningInput>) -> Self {
        self.request.signing_inputs = inputs;
        self
    }

    /// The request.
    #[must_use]
    pub fn build(mut self) -> Request {
        if self.request.signing_inputs.is_empty() {
            let content = format!("{:?} {:?}", self.request.payload, self.request.facts);
            self.request.signing_inputs = vec![SigningInput::Digest(Sha256::digest(content).to_vec())];
        }
        self.request
    }
}
