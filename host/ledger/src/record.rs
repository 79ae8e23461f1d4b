//! The schema of a line, for those who write one and those who read one. `docs/audit.md` says the same in prose.
//!
//! A line is one JSON object: `{"sequence":"7","kind":"decision","time":"…","previous":"…","effects":[…],"body":{…}}`. Names are
//! kebab-case, hashes and bytes lower-case hex, 64-bit integers that may pass 2^53 decimal strings. A reader refuses what it does not
//! know: a new field comes with a new format version.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sigwarden_core::floor::{MessageClass, Position};
use sigwarden_core::pipeline::Stage;
use sigwarden_core::state::Effect;
use sigwarden_core::{Format, Operation, Scheme, wire};
use std::borrow::Cow;

/// The longest line in bytes, its LF not counted: keeps a batch small and a reader's buffer bounded. An outcome with an ML-DSA
/// signature has 17,200: the signature three times (itself, its floor's, its request id's) and the floor's public key, in hex.
pub const LINE_MAX: usize = 32 * 1024;

/// A hash or the like before there is one: `previous` of the first line.
pub const NONE: [u8; 32] = [0; 32];

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The ledger was opened.
    Start,
    /// A request was approved: the key may be touched.
    Decision,
    /// A request repeated an earlier decision and was approved again: it changes no policy's state.
    Replay,
    /// What came of a decision.
    Outcome,
    /// A request was refused before a decision.
    Refusal,
    /// More requests of one caller were refused in one second than are recorded one by one.
    Refusals,
    /// What a shadow policy would have said of a request that had its answer.
    Shadow,
    /// Public keys were pinned.
    PublicKey,
    /// A key's state changed.
    Lifecycle,
    /// Policy instances began to run other modules or configurations.
    PolicySet,
    /// Floors were set by an operator.
    Floor,
    /// An operator said that the wall clock is right.
    Clock,
    /// A secret was set, read, listed or removed.
    SecretAccess,
    /// An operator did something to the deployment that has no effects of its own: a copy was adopted, a checkpoint rebuilt.
    Maintenance,
    /// The host noticed something that an operator should look at: a file that others can read now.
    Alarm,
}

impl Kind {
    /// Its name in a line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Decision => "decision",
            Self::Replay => "replay",
            Self::Outcome => "outcome",
            Self::Refusal => "refusal",
            Self::Refusals => "refusals",
            Self::Shadow => "shadow",
            Self::PublicKey => "public-key",
            Self::Lifecycle => "lifecycle",
            Self::PolicySet => "policy-set",
            Self::Floor => "floor",
            Self::Clock => "clock",
            Self::SecretAccess => "secret-access",
            Self::Maintenance => "maintenance",
            Self::Alarm => "alarm",
        }
    }

    /// Whether its time raises the ledger's high-water mark: that of a request that was judged. A clock that an operator accepted
    /// sets it. Others are told by a wall clock that nobody has judged, and one that was wrong for a moment must not refuse
    /// everything afterwards.
    #[must_use]
    pub fn time_is_judged(self) -> bool {
        match self {
            Self::Decision | Self::Replay | Self::Outcome => true,
            Self::Start
            | Self::Refusal
            | Self::Refusals
            | Self::Shadow
            | Self::PublicKey
            | Self::Lifecycle
            | Self::PolicySet
            | Self::Floor
            | Self::Clock
            | Self::SecretAccess
            | Self::Maintenance
            | Self::Alarm => false,
        }
    }
}

/// A line, its body not looked into.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Line<'a> {
    /// Its place: from 1, without gaps.
    #[serde(with = "wire::decimal")]
    pub sequence: u64,
    /// What it tells.
    pub kind: Kind,
    /// Nanoseconds since the Unix epoch, of millisecond resolution: the time that the request was judged by.
    #[serde(with = "wire::decimal")]
    pub time: u64,
    /// BLAKE3 of the line before, as written, without its LF.
    #[serde(with = "wire::array32")]
    pub previous: [u8; 32],
    /// What it does to the state.
    #[serde(borrow, default)]
    effects: Option<&'a RawValue>,
    /// The rest, by kind.
    #[serde(borrow)]
    body: &'a RawValue,
}

impl<'a> Line<'a> {
    /// Reads a line, without its LF.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(line: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// What it does to the state.
    ///
    /// # Errors
    /// One of the effects is none.
    pub fn effects(&self) -> Result<Vec<Effect>, serde_json::Error> {
        self.effects.map_or(Ok(Vec::new()), |raw| serde_json::from_str(raw.get()))
    }

    /// The time in milliseconds, as the state knows it.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.time / 1_000_000
    }
}

/// A line, read completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place.
    pub sequence: u64,
    /// What it tells.
    pub kind: Kind,
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// BLAKE3 of the line before.
    pub previous: [u8; 32],
    /// What it does to the state.
    pub effects: Vec<Effect>,
    /// The rest.
    pub body: Body,
}

/// What a line tells, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Of a start.
    Start(Start<'static>),
    /// Of a decision or replay.
    Decision(Decision<'static>),
    /// Of an outcome.
    Outcome(Outcome<'static>),
    /// Of a refusal.
    Refusal(Refusal<'static>),
    /// Of refusals that were only counted.
    Refusals(Refusals<'static>),
    /// Of a shadow's verdict.
    Shadow(Shadow<'static>),
    /// Of a change by an operator.
    Administration(Administration<'static>),
}

impl Record {
    /// Reads a line, without its LF.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(line: &str) -> Result<Self, serde_json::Error> {
        let head = Line::parse(line.as_bytes())?;
        let body = head.body.get();
        let body = match head.kind {
            Kind::Start => Body::Start(serde_json::from_str(body)?),
            Kind::Decision | Kind::Replay => Body::Decision(serde_json::from_str(body)?),
            Kind::Outcome => Body::Outcome(serde_json::from_str(body)?),
            Kind::Refusal => Body::Refusal(serde_json::from_str(body)?),
            Kind::Refusals => Body::Refusals(serde_json::from_str(body)?),
            Kind::Shadow => Body::Shadow(serde_json::from_str(body)?),
            Kind::PublicKey
            | Kind::Lifecycle
            | Kind::PolicySet
            | Kind::Floor
            | Kind::Clock
            | Kind::SecretAccess
            | Kind::Maintenance
            | Kind::Alarm => Body::Administration(serde_json::from_str(body)?),
        };
        Ok(Self {
            sequence: head.sequence,
            kind: head.kind,
            time: head.time,
            previous: head.previous,
            effects: head.effects()?,
            body,
        })
    }
}

/// The ledger was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Start<'a> {
    /// The deployment's id.
    pub deployment: Cow<'a, str>,
    /// Which life of the deployment: raised when a copy is adopted.
    #[serde(with = "wire::decimal")]
    pub generation: u64,
    /// The version of Sigwarden.
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
    pub instance: Cow<'a, str>,
    /// SHA-256 of the module, hex.
    pub module: Cow<'a, str>,
    /// SHA-256 of the configuration, hex.
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
    pub decision: Cow<'a, str>,
    /// The request's id.
    pub request: Cow<'a, str>,
    /// The caller's name.
    pub caller: Cow<'a, str>,
    /// Key and version.
    pub key: Cow<'a, str>,
    /// What was asked.
    pub operation: Operation,
    /// How the payload was read.
    pub format: Format,
    /// How the key signs.
    pub scheme: Scheme,
    /// Where the key is.
    pub backend: Cow<'a, str>,
    /// The payload.
    pub payload: Hashed,
    /// What is signed: one, or two for a precommit with its extension.
    pub inputs: Vec<Hashed>,
    /// For a consensus message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consensus: Option<Consensus<'a>>,
    /// The sandbox's engine.
    pub engine: Cow<'a, str>,
    /// The policies' approvals, in the order of the configuration.
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
    pub decision: Cow<'a, str>,
    /// The request's id.
    pub request: Cow<'a, str>,
    /// The caller's name.
    pub caller: Cow<'a, str>,
    /// Key and version.
    pub key: Cow<'a, str>,
    /// How the key signs.
    pub scheme: Scheme,
    /// Where the key is.
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
    pub instance: Cow<'a, str>,
    /// The code that the caller saw.
    pub code: Cow<'a, str>,
    /// For people.
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
    pub code: Cow<'a, str>,
    /// For people.
    pub message: Cow<'a, str>,
    /// The policies' denials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
    pub operation: Cow<'a, str>,
    /// The key asked for, as sent.
    pub key: Cow<'a, str>,
    /// The format asked for, as sent.
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
    pub instance: Cow<'a, str>,
    /// SHA-256 of its module, hex.
    pub module: Cow<'a, str>,
    /// SHA-256 of its configuration, hex.
    pub config: Cow<'a, str>,
    /// The request's id.
    pub request: Cow<'a, str>,
    /// The caller's name.
    pub caller: Cow<'a, str>,
    /// The key and its version.
    pub key: Cow<'a, str>,
    /// What was asked.
    pub operation: Operation,
    /// The payload's format.
    pub format: Format,
    /// The codes by which the policies in force refused; none if they all allowed.
    pub live: Vec<Cow<'a, str>>,
    /// The shadow's denials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
    pub operator: Cow<'a, str>,
    /// Why.
    pub reason: Cow<'a, str>,
}
