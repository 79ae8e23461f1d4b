//! What lines of each kind tell.

use serde::{Deserialize, Serialize};
use sigwarden_core::floor::{MessageClass, Position};
use sigwarden_core::pipeline::Stage;
use sigwarden_core::{Format, Operation, Scheme, wire};
use std::borrow::Cow;

/// The ledger was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Start<'a> {
    /// The deployment's id.
    #[serde(borrow)]
    pub deployment: Cow<'a, str>,
    /// Which life of the deployment: raised when a copy is adopted.
    #[serde(with = "wire::decimal")]
    pub generation: u64,
    /// The version of Sigwarden.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// Bytes of a torn write that were cut from the end of the log: never of anything acknowledged.
    #[serde(with = "wire::decimal")]
    pub cut_bytes: u64,
    /// The checkpoint was gone and was rebuilt from the log.
    pub rebuilt: bool,
}

/// BLAKE3 and length of bytes that are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hashed {
    /// BLAKE3 of the bytes.
    #[serde(with = "wire::array32")]
    pub blake3: [u8; 32],
    /// How many there are.
    pub bytes: u64,
}

impl Hashed {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            blake3: blake3::hash(bytes).into(),
            bytes: bytes.len() as u64,
        }
    }
}

/// What a consensus message takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Consensus<'a> {
    /// The chain.
    #[serde(borrow)]
    pub chain_id: Cow<'a, str>,
    /// The message class.
    pub class: MessageClass,
    /// The position.
    pub position: Position,
}

/// One policy's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Approval<'a> {
    /// The instance's name.
    #[serde(borrow)]
    pub instance: Cow<'a, str>,
    /// SHA-256 of the module, hex.
    #[serde(borrow)]
    pub module: Cow<'a, str>,
    /// SHA-256 of the configuration, hex.
    #[serde(borrow)]
    pub config: Cow<'a, str>,
    /// Fuel used.
    pub fuel: u64,
    /// Microseconds taken.
    pub micros: u64,
    /// What the policy noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Cow<'a, str>>,
}

/// A request that every bound policy approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Decision<'a> {
    /// The decision's id, 16 bytes as hex.
    #[serde(borrow)]
    pub decision: Cow<'a, str>,
    /// The request's id.
    #[serde(borrow)]
    pub request: Cow<'a, str>,
    /// The caller's name.
    #[serde(borrow)]
    pub caller: Cow<'a, str>,
    /// Key and version.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// What was asked.
    pub operation: Operation,
    /// How the payload was read.
    pub format: Format,
    /// How the key signs.
    pub scheme: Scheme,
    /// Where the key is.
    #[serde(borrow)]
    pub backend: Cow<'a, str>,
    /// The payload.
    pub payload: Hashed,
    /// What is signed: one, or two for a precommit with its extension.
    pub inputs: Vec<Hashed>,
    /// For a consensus message.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub consensus: Option<Consensus<'a>>,
    /// The sandbox's engine.
    #[serde(borrow)]
    pub engine: Cow<'a, str>,
    /// The policies' approvals, in the order of the configuration.
    #[serde(borrow)]
    pub approvals: Vec<Approval<'a>>,
}

/// A signature that was released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Signature {
    /// In its scheme's encoding.
    #[serde(with = "wire::bytes")]
    pub bytes: Vec<u8>,
    /// For ECDSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_id: Option<u8>,
}

/// What came of a decision: signatures, or a code and a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Outcome<'a> {
    /// The decision's sequence.
    #[serde(with = "wire::decimal")]
    pub decision_sequence: u64,
    /// The decision's id.
    #[serde(borrow)]
    pub decision: Cow<'a, str>,
    /// The request's id.
    #[serde(borrow)]
    pub request: Cow<'a, str>,
    /// The caller's name.
    #[serde(borrow)]
    pub caller: Cow<'a, str>,
    /// Key and version.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// How the key signs.
    pub scheme: Scheme,
    /// Where the key is.
    #[serde(borrow)]
    pub backend: Cow<'a, str>,
    /// The signatures, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
    /// The refusal's code, if there is no signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'a, str>>,
    /// The refusal's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Cow<'a, str>>,
    /// Microseconds of each stage, in order.
    pub micros: Cow<'a, [(Stage, u64)]>,
}

/// One denial of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Denial<'a> {
    /// The instance's name.
    #[serde(borrow)]
    pub instance: Cow<'a, str>,
    /// The code that the caller saw.
    #[serde(borrow)]
    pub code: Cow<'a, str>,
    /// For people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at_ms: Option<u64>,
}

/// A request that was refused before a decision. The caller's own texts are cut; a line is never too long for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Refusal<'a> {
    /// The stable code.
    #[serde(borrow)]
    pub code: Cow<'a, str>,
    /// For people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// The policies' denials.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial<'a>>,
    /// Where it stopped.
    pub stage: Stage,
    /// The request's id, if it came so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Cow<'a, str>>,
    /// The caller's name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Cow<'a, str>>,
    /// The peer's user id, if it came over the Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The peer, if it came otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Cow<'a, str>>,
    /// The operation asked for, as sent.
    #[serde(borrow)]
    pub operation: Cow<'a, str>,
    /// The key asked for, as sent.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// The format asked for, as sent.
    #[serde(borrow)]
    pub format: Cow<'a, str>,
    /// Microseconds of each stage, in order.
    pub micros: Cow<'a, [(Stage, u64)]>,
}

/// Refusals of one caller within one second that are not recorded one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Refusals<'a> {
    /// The caller's name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Cow<'a, str>>,
    /// The peer's user id, if it is no caller's. Neither: of all those that are too many to be told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// How many.
    #[serde(with = "wire::decimal")]
    pub count: u64,
}

/// What a shadow policy would have said. It allowed if there are neither denials nor a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Shadow<'a> {
    /// The shadow's instance.
    #[serde(borrow)]
    pub instance: Cow<'a, str>,
    /// SHA-256 of its module, hex.
    #[serde(borrow)]
    pub module: Cow<'a, str>,
    /// SHA-256 of its configuration, hex.
    #[serde(borrow)]
    pub config: Cow<'a, str>,
    /// The request's id.
    #[serde(borrow)]
    pub request: Cow<'a, str>,
    /// The caller's name.
    #[serde(borrow)]
    pub caller: Cow<'a, str>,
    /// The key and its version.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// What was asked.
    pub operation: Operation,
    /// The payload's format.
    pub format: Format,
    /// The codes by which the policies in force refused; none if they all allowed.
    pub live: Vec<Cow<'a, str>>,
    /// The shadow's denials.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial<'a>>,
    /// Why it has no verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'a, str>>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Cow<'a, str>>,
    /// Fuel it used.
    #[serde(with = "wire::decimal")]
    pub fuel: u64,
    /// How long it took, microseconds.
    pub micros: u64,
}

/// A change by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Administration<'a> {
    /// Who.
    #[serde(borrow)]
    pub operator: Cow<'a, str>,
    /// Why.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
}
