//! Requests that a running daemon saw, and the fixture that is made of them: `sigwarden policy record`.
//!
//! A recording is JSON lines: first the deployment, then each request with what came of it, in the order in which they were answered.
//! Whoever records writes [`Line`]s and nothing else; [`write()`] makes the fixture. Payloads stay as they were; no key does: the
//! fixture's keys are the mock HSM's own.

mod fixture;
mod lines;
mod order;
mod payload;
mod policy;
mod repeatable;
mod text;

pub use fixture::{Written, write};
pub use lines::*;
pub use repeatable::LeftOut;

use std::io::{self, BufRead, Read};

/// The layout's version; raised when a field changes its meaning.
pub const VERSION: u32 = 1;
/// Bytes of a line at most: the first one has configurations, floors and state of the whole deployment.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Requests of a recording at most: the steps that a fixture may have.
pub const REQUESTS_MAX: usize = 10_000;

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// What the requests met.
    pub deployment: RecordedDeployment,
    /// The requests, and what happened between them.
    pub events: Vec<Event>,
    /// What whoever reads the fixture should know.
    pub notes: Vec<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly all of a recording are requests")]
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
        let (mut events, mut notes) = (Vec::new(), Vec::new());
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
                (Line::Note { text }, Some(_)) => notes.push(text),
            }
            if events.len().max(notes.len()) > REQUESTS_MAX {
                return Err(wrong(number, "a fixture has 10000 steps at most; record fewer requests"));
            }
        }
        let deployment = deployment.ok_or(RecordingError::Empty)?;
        Ok(Self { deployment, events, notes })
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
    use sigwarden_core::KeyState;

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
            key_version: Some(1),
            format: "raw-digest".to_owned(),
            scheme: String::new(),
            request_id: String::new(),
            payload: vec![0xab, 0xcd],
            outcome: RecordedOutcome::Refused {
                codes: vec!["caller/unauthenticated".to_owned()],
                retry_at_ms: None,
            },
            revision: 7,
            decisions: Some(2),
            sequence: Some(8),
            replay: false,
        };
        let change = r#"{"line":"key-state","key":"a.b.v1","state":"suspended"}"#;
        let note = r#"{"line":"note","text":"seen"}"#;
        let line = serde_json::to_string(&Line::Request(request.clone())).unwrap();
        assert!(line.contains(r#""payload":"abcd""#), "{line}");
        // A line that was cut has no end, and an empty one is no fault.
        let recording = read(&format!("{HEAD}\n\n{change}\n{note}\n{line}")).unwrap();
        assert_eq!(recording.notes, ["seen"]);
        let changed = RecordedKeyState {
            key: "a.b.v1".parse().unwrap(),
            state: KeyState::Suspended,
            revision: 0,
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
                format!("{HEAD}\n{}", " ".repeat(9 * 1024 * 1024)),
                "line 2 of the recording: it has more than",
            ),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }
}
