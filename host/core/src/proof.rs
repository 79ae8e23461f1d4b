//! Proof values: each stage consumes the one before and returns the next. Fields are private to core, so that a value of a type
//! is evidence that its stage has been passed. The rest of the host reads them.

use crate::caller::Caller;
use crate::fact::{Decoded, MessageTime, SigningInput};
use crate::format::Format;
use crate::key::{KeyEntry, KeyName};
use crate::ledger::Receipt;
use crate::policy::{PolicySet, RequestView, Verdict};
use crate::refusal::Refusal;
use crate::request_id::{RequestTag, identity};
use crate::staging::Change;
use crate::state::{KeyStatus, State};
use crate::vocabulary::{Operation, Scheme};
use crate::wire;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a caller sent, bounded and parsed, but for the payload.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub(crate) caller: Caller,
    pub(crate) operation: Operation,
    pub(crate) key: KeyName,
    pub(crate) version: Option<u32>,
    pub(crate) format: Format,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) id: Arc<str>,
    pub(crate) client_gave_id: bool,
    pub(crate) payload: Arc<[u8]>,
}

/// The caller may use the key so, its role allows the format, it is active.
#[derive(Debug)]
pub struct Authorized {
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) key: Arc<KeyEntry>,
    pub(crate) status: KeyStatus,
    pub(crate) snapshot: State,
}

/// The payload decoded completely and canonically; facts, signing inputs and time are fixed.
#[derive(Debug)]
pub struct Request {
    pub(crate) view: Arc<RequestView>,
    pub(crate) caller: Caller,
    pub(crate) snapshot: State,
    pub(crate) tag: Option<RequestTag>,
}

impl Request {
    /// What policies see.
    #[must_use]
    pub fn view(&self) -> &RequestView {
        &self.view
    }
    /// The request's id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.view.id
    }
    /// The id in its scope, if the client gave one.
    #[must_use]
    pub fn tag(&self) -> Option<RequestTag> {
        self.tag
    }
    /// What it asks for, its timestamp aside.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        identity(self.view.format, &self.view.payload, &self.view.decoded)
    }
    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
    /// The key.
    #[must_use]
    pub fn key(&self) -> &KeyEntry {
        &self.view.key
    }
    /// The key's status as the policies saw it.
    #[must_use]
    pub fn key_status(&self) -> &KeyStatus {
        &self.view.key_status
    }
    /// Facts, signing inputs, consensus position.
    #[must_use]
    pub fn decoded(&self) -> &Decoded {
        &self.view.decoded
    }
    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.view.now_ms
    }
}

/// Every bound policy has answered.
pub struct Evaluation {
    pub(crate) request: Request,
    pub(crate) policies: Arc<PolicySet>,
    pub(crate) reports: Vec<PolicyReport>,
}

/// One policy's answer, with what it was.
#[derive(Debug, Clone)]
pub struct PolicyReport {
    /// The instance name.
    pub instance: Arc<str>,
    /// SHA-256 of the module, hex.
    pub module_digest: Arc<str>,
    /// SHA-256 of the configuration, hex.
    pub config_digest: Arc<str>,
    /// The answer.
    pub verdict: Verdict,
    /// `format/unsupported`: the host denied in the policy's place, which was not run.
    pub unsupported: bool,
    /// Its state calls.
    pub changes: Vec<Change>,
    /// Fuel used.
    pub fuel: u64,
    /// How long it took, microseconds.
    pub micros: u64,
}

/// Exactly one verdict of each bound policy, at least one, all allow.
#[derive(Debug)]
pub struct Approved {
    pub(crate) request: Request,
    pub(crate) reports: Vec<PolicyReport>,
    pub(crate) engine_hash: Arc<str>,
    pub(crate) decision: DecisionId,
}

impl Approved {
    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }
    /// The policies' answers, in the order of the configuration.
    #[must_use]
    pub fn reports(&self) -> &[PolicyReport] {
        &self.reports
    }
    /// The sandbox's engine.
    #[must_use]
    pub fn engine_hash(&self) -> &Arc<str> {
        &self.engine_hash
    }
    /// Names the decision, so that it can be looked up.
    #[must_use]
    pub fn decision(&self) -> DecisionId {
        self.decision
    }
}

/// Names a decision: unique in a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DecisionId(pub [u8; 16]);

impl From<DecisionId> for String {
    fn from(id: DecisionId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for DecisionId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = wire::unhex(&text)?;
        bytes.try_into().map(Self).map_err(|_| "sixteen bytes are wanted".to_owned())
    }
}

impl std::fmt::Display for DecisionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The decision is durable: the key may be touched, for exactly these inputs.
#[derive(Debug)]
pub struct Committed {
    pub(crate) approved: Approved,
    pub(crate) receipt: Receipt,
    /// An error if the stored sign bytes do not decode: then nothing is signed, and that is the decision's outcome.
    pub(crate) work: Result<Vec<Work>, Refusal>,
}

/// What is to be done for one signing input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Sign this.
    Sign(SigningInput),
    /// Release this recorded signature over this input.
    Recorded(SigningInput, RawSignature),
}

impl Committed {
    /// The key that signs.
    #[must_use]
    pub fn key(&self) -> &KeyEntry {
        self.approved.request.key()
    }
    /// The payload's format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.approved.request.view.format
    }
    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.approved.request.view.payload
    }
    /// Names the decision: for a request that repeats an id, the first one's. A remote signer is asked again under the same one.
    #[must_use]
    pub fn decision(&self) -> DecisionId {
        self.receipt.repeats.unwrap_or(self.approved.decision)
    }
    /// The inputs to sign, in order: a backend returns one signature for each. Empty if all are recorded.
    pub fn to_sign(&self) -> impl Iterator<Item = &SigningInput> {
        self.work.iter().flatten().filter_map(|work| match work {
            Work::Sign(input) => Some(input),
            Work::Recorded(..) => None,
        })
    }
    /// The approved request.
    #[must_use]
    pub fn approved(&self) -> &Approved {
        &self.approved
    }
    /// What the ledger answered.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }
}

/// What an ML-KEM key and its peer share: 32 bytes (FIPS 203 §7.3). Never recorded, never logged.
pub type SharedSecret = secrecy::SecretBox<[u8; 32]>;

/// What came of using a key: signatures that verified against the pinned public key, or a shared secret.
#[derive(Debug)]
pub struct Signature {
    pub(crate) committed: Committed,
    pub(crate) product: Product,
}

/// What a key makes.
#[derive(Debug)]
pub(crate) enum Product {
    /// One for each signing input, verified.
    Signatures(Vec<RawSignature>),
    /// Of a decapsulation.
    SharedSecret(SharedSecret),
}

/// A signature in its scheme's encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawSignature {
    /// 64 bytes (R‖S with low S for ECDSA, BIP-340, RFC 8032), 2420 for ML-DSA-44 (FIPS 204).
    #[serde(with = "wire::bytes")]
    pub bytes: Vec<u8>,
    /// For ECDSA: 0 to 3 (SEC 1 §4.1.6). None where it was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_id: Option<u8>,
}

/// What a caller gets for a ciphertext.
#[derive(Debug)]
pub struct Decapsulated {
    /// The shared secret.
    pub shared_secret: SharedSecret,
    /// What else there is to say; it has no signatures.
    pub answer: Signed,
}

/// What a caller gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// One signature for each signing input; none for a decapsulation.
    pub signatures: Vec<RawSignature>,
    /// The key's public key.
    pub public_key: Vec<u8>,
    /// The key.
    pub key: crate::key::KeyId,
    /// The scheme.
    pub scheme: Scheme,
    /// The request's id.
    pub request_id: Arc<str>,
    /// The decision's sequence in the ledger.
    pub sequence: u64,
    /// The timestamp inside the bytes that were signed, for a vote or proposal: the first one's, if this one was a retry.
    pub timestamp: Option<MessageTime>,
    /// The request repeated an earlier decision.
    pub replay: bool,
}
