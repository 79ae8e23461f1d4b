//! What a recording consists of.

use serde::{Deserialize, Serialize};
use sigwarden_core::floor::{MessageClass, Position};
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_core::watermark::Watermark;
use sigwarden_core::{KeyState, Network, Operation, Refusal, Role, Scheme, wire};
use std::collections::BTreeMap;

/// One line of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum Line {
    /// The first line.
    Deployment(RecordedDeployment),
    /// A request, once it is answered.
    Request(RecordedRequest),
    /// An operator changed a key's state.
    KeyState(RecordedKeyState),
    /// What whoever reads the fixture should know of the recording.
    Note {
        /// For people.
        text: String,
    },
}

/// What the requests met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedDeployment {
    /// [`super::VERSION`].
    pub version: u32,
    /// The network.
    pub network: Network,
    /// When the recording began, milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The keys.
    pub keys: Vec<RecordedKey>,
    /// The clients.
    pub clients: Vec<RecordedClient>,
    /// The policies in force, in their order; no shadows.
    pub policies: Vec<RecordedPolicy>,
}

/// A key, but for what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedKey {
    /// Its name.
    pub name: KeyName,
    /// Its version.
    pub version: u32,
    /// What it is for.
    pub roles: Vec<Role>,
    /// How it signs.
    pub scheme: Scheme,
    /// Its state as the recording began.
    pub state: KeyState,
    /// When it was made, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// May sign raw messages.
    #[serde(default)]
    pub dangerous_allow_raw_messages: bool,
    /// May sign raw digests.
    #[serde(default)]
    pub dangerous_allow_raw_digests: bool,
    /// Prefixes of the raw bytes that it may sign.
    #[serde(default)]
    pub dangerous_allow_prefixed_raw: Vec<String>,
    /// What its messages must say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<RecordedBinding>,
    /// Its floors as the recording began, but those of vote extensions, which follow their precommits'.
    #[serde(default)]
    pub floors: Vec<RecordedFloor>,
}

/// What a key's messages must say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedBinding {
    /// The chain id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    /// The validator's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator_id: Option<u64>,
    /// The signature suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite_id: Option<u16>,
}

/// Where a floor stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedFloor {
    /// The chain.
    pub chain_id: String,
    /// The class.
    pub class: MessageClass,
    /// The position.
    pub position: Position,
    /// The sign bytes of the message that took it; none if an operator set it.
    #[serde(with = "wire::optional_bytes", default, skip_serializing_if = "Option::is_none")]
    pub sign_bytes: Option<Vec<u8>>,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedClient {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub allow: Vec<RecordedAllow>,
}

/// One thing that a client may do, as `sigwarden.toml` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedAllow {
    /// With which keys: `*`, `demo.*`, `demo.account`.
    pub keys: Vec<String>,
    /// What.
    pub operations: Vec<Operation>,
    /// In which formats; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Vec<String>>,
}

/// A policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedPolicy {
    /// The instance.
    pub name: String,
    /// Its module: an absolute path of a `.wasm`, or a policy's name.
    pub module: String,
    /// Its configuration: JSON, as it was handed to the module.
    pub config_json: String,
    /// The keys that it binds; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
    /// The roles that it binds; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// The formats that it binds; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Vec<String>>,
    /// Fuel of an evaluation, if not the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Milliseconds of an evaluation, if not the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Bytes of memory, if not the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<usize>,
    /// Its state as the recording began.
    #[serde(default)]
    pub state: RecordedState,
}

/// What a policy had counted, passed and stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedState {
    /// Buckets that are not full: when each is full again, nanoseconds since the Unix epoch.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
    /// Where watermarks stand.
    #[serde(default)]
    pub watermarks: BTreeMap<String, Watermark>,
    /// Stored values.
    #[serde(default)]
    pub storage: BTreeMap<String, RecordedValue>,
}

impl RecordedState {
    /// Every name that it has.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.limits.keys().chain(self.watermarks.keys()).chain(self.storage.keys());
        names.map(String::as_str)
    }
}

/// A stored value, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedValue(#[serde(with = "wire::bytes")] pub Vec<u8>);

/// A request. What a caller wrote is text here, however wrong it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRequest {
    /// The time by which it was judged, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The client; none if the connection belonged to none.
    pub caller: Option<String>,
    /// The operation.
    pub operation: String,
    /// The key.
    pub key: String,
    /// The version of it that was meant, if it came so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_version: Option<u32>,
    /// The format.
    pub format: String,
    /// The scheme, or empty.
    #[serde(default)]
    pub scheme: String,
    /// The client's request id, or empty.
    #[serde(default)]
    pub request_id: String,
    /// The payload, in hex.
    #[serde(with = "wire::bytes")]
    pub payload: Vec<u8>,
    /// What came of it.
    pub outcome: RecordedOutcome,
    /// Changes of the state that it was judged by; 0: those of the lines before this one.
    #[serde(default)]
    pub revision: u64,
    /// Decisions of the recording that this state had; none if they are those of the lines before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decisions: Option<u64>,
    /// The record of its decision, if there is one and it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// It repeated an earlier decision.
    #[serde(default)]
    pub replay: bool,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RecordedOutcome {
    /// A signature, or a shared secret.
    Allowed,
    /// A refusal.
    Refused {
        /// Its code, or every denial's: `policy/limits/exceeded`.
        codes: Vec<String>,
        /// From when it could be allowed, milliseconds since the Unix epoch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at_ms: Option<u64>,
    },
}

/// A key's new state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedKeyState {
    /// The key.
    pub key: KeyId,
    /// Its state from now on.
    pub state: KeyState,
    /// Changes of the state up to this one; 0: those of the lines before this one.
    #[serde(default)]
    pub revision: u64,
}

impl RecordedOutcome {
    /// What a pipeline answered.
    #[must_use]
    pub fn of<T>(result: &Result<T, Refusal>) -> Self {
        match result {
            Ok(_) => Self::Allowed,
            Err(refusal) => Self::Refused {
                codes: crate::run::codes(refusal),
                retry_at_ms: refusal.retry_at_ms(),
            },
        }
    }
}
