//! Requests that a running daemon saw, and the fixture that is made of them: `sigwarden policy record`.
//!
//! A recording is JSON lines: first the deployment, then each request with what came of it, in the order in which they were answered.
//! Whoever records writes [`Line`]s and nothing else; [`write()`] makes the fixture. Payloads stay as they were; no key does: the
//! fixture's keys are the mock HSM's own.

mod fixture;
mod payload;
mod repeatable;
mod text;

pub use fixture::{Written, write};
pub use repeatable::LeftOut;

use serde::{Deserialize, Serialize};
use sigwarden_core::floor::{MessageClass, Position};
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_core::{KeyState, Network, Operation, Refusal, Role, Scheme, wire};
use std::io::{self, BufRead, Read};

/// The layout's version; raised when a field changes its meaning.
pub const VERSION: u32 = 1;
/// Bytes of a line at most: a payload of 1 MiB in hex, and what stands around it.
const LINE_BYTES_MAX: u64 = 3 * 1024 * 1024;
/// Requests of a recording at most: the steps that a fixture may have.
const REQUESTS_MAX: usize = 10_000;

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
}

/// What the requests met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedDeployment {
    /// [`VERSION`].
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
}

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

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// What the requests met.
    pub deployment: RecordedDeployment,
    /// The requests, and what happened between them.
    pub events: Vec<Event>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request was answered.
    Request(RecordedRequest),
    /// A key's state changed.
    KeyState(RecordedKeyState),
}

/// A recording that cannot be read, or that no fixture can be made of.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The source fails.
    #[error("the recording cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A line is none.
    #[error("line {line} of the recording: {message}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// There is nothing in it.
    #[error("the recording has no request that a fixture could repeat; record while requests come")]
    Empty,
    /// Another layout.
    #[error("the recording has layout {0}, this Sigwarden reads layout {VERSION}; use the one that recorded it")]
    Version(u32),
}

impl Recording {
    /// Reads JSON lines, to their end.
    ///
    /// # Errors
    /// A line is too long or no line of a recording, the first one is no deployment, or there are too many.
    pub fn read(source: &mut dyn BufRead) -> Result<Self, RecordingError> {
        let wrong = |line, message: &str| RecordingError::Line {
            line,
            message: message.to_owned(),
        };
        let mut deployment = None;
        let mut events = Vec::new();
        let mut number = 0;
        while let Some(text) = next_line(source, number + 1)? {
            number += 1;
            if text.trim_ascii().is_empty() {
                continue;
            }
            let line = serde_json::from_slice(&text).map_err(|error| wrong(number, &error.to_string()))?;
            match (line, &deployment) {
                (Line::Deployment(described), None) if described.version != VERSION => {
                    return Err(RecordingError::Version(described.version));
                }
                (Line::Deployment(described), None) => deployment = Some(described),
                (Line::Deployment(_), Some(_)) => return Err(wrong(number, "there is one deployment, in the first line")),
                (_, None) => return Err(wrong(number, "the first line says what the deployment is; this is a later one")),
                (Line::Request(request), Some(_)) => events.push(Event::Request(request)),
                (Line::KeyState(change), Some(_)) => events.push(Event::KeyState(change)),
            }
            if events.len() > REQUESTS_MAX {
                return Err(wrong(number, "a fixture has 10000 steps at most; record fewer requests"));
            }
        }
        let deployment = deployment.ok_or(RecordingError::Empty)?;
        Ok(Self { deployment, events })
    }
}

/// The next line without its end; none at the end.
fn next_line(source: &mut dyn BufRead, number: usize) -> Result<Option<Vec<u8>>, RecordingError> {
    let mut line = Vec::new();
    let read = source.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 == LINE_BYTES_MAX {
        return Err(RecordingError::Line {
            line: number,
            message: format!("it has more than {LINE_BYTES_MAX} bytes"),
        });
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    const HEAD: &str =
        r#"{"line":"deployment","version":1,"network":"devnet","started_ms":1767225600000,"keys":[],"clients":[],"policies":[]}"#;

    fn read(text: &str) -> Result<Recording, RecordingError> {
        Recording::read(&mut text.as_bytes())
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let request = RecordedRequest {
            at_ms: 1,
            caller: None,
            operation: "sign".to_owned(),
            key: "a.b".to_owned(),
            format: "raw-digest".to_owned(),
            scheme: String::new(),
            request_id: String::new(),
            payload: vec![0xab, 0xcd],
            outcome: RecordedOutcome::Refused {
                codes: vec!["caller/unauthenticated".to_owned()],
                retry_at_ms: None,
            },
        };
        let change = r#"{"line":"key-state","key":"a.b.v1","state":"suspended"}"#;
        let line = serde_json::to_string(&Line::Request(request.clone())).unwrap();
        assert!(line.contains(r#""payload":"abcd""#), "{line}");
        // A line that was cut has no end, and an empty one is no fault.
        let recording = read(&format!("{HEAD}\n\n{change}\n{line}")).unwrap();
        let changed = RecordedKeyState {
            key: "a.b.v1".parse().unwrap(),
            state: KeyState::Suspended,
        };
        assert_eq!(recording.events, [Event::KeyState(changed), Event::Request(request)]);
    }

    #[test]
    fn what_is_no_recording_is_told_by_its_line() {
        let other = HEAD.replace("\"version\":1", "\"version\":2");
        let unknown = HEAD.replace("\"keys\"", "\"kyes\":[],\"keys\"");
        for (text, wanted) in [
            (String::new(), "no request"),
            ("{}".to_owned(), "line 1 of the recording: missing field `line`"),
            (
                r#"{"line":"key-state","key":"a.b.v1","state":"active"}"#.to_owned(),
                "line 1 of the recording: the first line",
            ),
            (format!("{HEAD}\n{HEAD}"), "line 2 of the recording: there is one deployment"),
            (
                format!("{HEAD}\n{{\"line\":\"request\"}}"),
                "line 2 of the recording: missing field",
            ),
            (other, "layout 2"),
            (unknown, "unknown field `kyes`"),
            (
                format!("{HEAD}\n{}", " ".repeat(4 * 1024 * 1024)),
                "line 2 of the recording: it has more than",
            ),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }
}
