//! How lines are framed. A frame is what one durable write writes: its lines, then a terminator
//! `{"frame":{"first":"7","last":"9","bytes":"4711","blake3":"…"}}` over the lines with their LFs. A segment's first frame holds its
//! header alone and no record: `last` is one less than `first`.

use crate::record::NONE;
use serde::{Deserialize, Serialize};
use sigwarden_core::wire;

/// The version of lines, frames, segments and checkpoint that this version writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;

/// How a terminator's line begins, and no other line.
pub(crate) const TERMINATOR_BEGINS: &[u8] = b"{\"frame\":";

/// The longest terminator: fixed text, three integers of 20 digits, a hash.
pub(crate) const TERMINATOR_MAX: usize = 200;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TerminatorLine {
    frame: Terminator,
}

/// The end of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Terminator {
    /// The first record's sequence.
    #[serde(with = "wire::decimal")]
    pub(crate) first: u64,
    /// The last record's sequence.
    #[serde(with = "wire::decimal")]
    pub(crate) last: u64,
    /// Bytes of the frame's lines with their LFs.
    #[serde(with = "wire::decimal")]
    pub(crate) bytes: u64,
    /// Their BLAKE3.
    #[serde(with = "wire::array32")]
    pub(crate) blake3: [u8; 32],
}

impl Terminator {
    /// Of these lines.
    pub(crate) fn of(first: u64, last: u64, lines: &[u8]) -> Self {
        Self {
            first,
            last,
            bytes: lines.len() as u64,
            blake3: blake3::hash(lines).into(),
        }
    }

    /// Appends it as a line, with its LF.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (first, last, bytes, hash) = (self.first, self.last, self.bytes, hex::encode(self.blake3));
        let line = format!("{{\"frame\":{{\"first\":\"{first}\",\"last\":\"{last}\",\"bytes\":\"{bytes}\",\"blake3\":\"{hash}\"}}}}\n");
        out.extend_from_slice(line.as_bytes());
    }

    /// Reads a line without its LF: `None` if it is none, by a single byte.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        if !line.starts_with(TERMINATOR_BEGINS) || line.len() > TERMINATOR_MAX {
            return None;
        }
        let TerminatorLine { frame } = serde_json::from_slice(line).ok()?;
        let mut again = Vec::with_capacity(TERMINATOR_MAX);
        frame.write(&mut again);
        (again.strip_suffix(b"\n") == Some(line)).then_some(frame)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    segment: Header,
}

/// How a segment begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// The version of lines and frames.
    pub(crate) format: u32,
    /// The deployment: 16 random bytes as hex.
    pub(crate) deployment: String,
    /// Which life of the deployment.
    #[serde(with = "wire::decimal")]
    pub(crate) generation: u64,
    /// The sequence of the first record.
    #[serde(with = "wire::decimal")]
    pub(crate) first: u64,
    /// BLAKE3 of the last line of the segment before.
    #[serde(with = "wire::array32")]
    pub(crate) previous: [u8; 32],
    /// When it was begun, nanoseconds since the Unix epoch.
    #[serde(with = "wire::decimal")]
    pub(crate) time: u64,
}

/// Why a header cannot be read.
#[derive(Debug)]
pub(crate) enum HeaderFault {
    /// It is of a format that this version does not know.
    Newer(u32),
    /// It is none.
    Malformed,
}

impl Header {
    /// Its frame.
    pub(crate) fn frame(&self) -> Result<Vec<u8>, serde_json::Error> {
        let line = HeaderLine { segment: self.clone() };
        let mut out = serde_json::to_vec(&line)?;
        out.push(b'\n');
        let terminator = Terminator::of(self.first, self.first.saturating_sub(1), &out);
        terminator.write(&mut out);
        Ok(out)
    }

    /// Reads a line without its LF; no other spelling than that of [`Header::frame`].
    pub(crate) fn parse(line: &[u8]) -> Result<Self, HeaderFault> {
        // The version decides how the rest is read, so it is read by itself.
        #[derive(Deserialize)]
        struct Versioned {
            segment: Version,
        }
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let versioned: Versioned = serde_json::from_slice(line).map_err(|_| HeaderFault::Malformed)?;
        if versioned.segment.format > FORMAT {
            return Err(HeaderFault::Newer(versioned.segment.format));
        }
        let read: HeaderLine = serde_json::from_slice(line).map_err(|_| HeaderFault::Malformed)?;
        let again = serde_json::to_vec(&read).map_err(|_| HeaderFault::Malformed)?;
        let deployment = read.segment.deployment.as_bytes();
        if again != line || deployment.len() != 32 || !deployment.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(HeaderFault::Malformed);
        }
        Ok(read.segment)
    }

    /// Of a deployment's first segment.
    pub(crate) fn first(deployment: String, now_ms: u64) -> Self {
        Self {
            format: FORMAT,
            deployment,
            generation: 1,
            first: 1,
            previous: NONE,
            time: now_ms.saturating_mul(1_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn a_terminator_reads_back_and_no_other_spelling_of_it_does() {
        let terminator = Terminator::of(u64::MAX, u64::MAX, b"a\nb\n");
        let mut line = Vec::new();
        terminator.write(&mut line);
        assert!(line.len() <= TERMINATOR_MAX);
        let line = &line[..line.len() - 1];
        assert_eq!(Terminator::parse(line), Some(terminator));
        assert_eq!(serde_json::to_vec(&TerminatorLine { frame: terminator }).unwrap(), line);
        let text = std::str::from_utf8(line).unwrap();
        for other in [text.replace("\"last\"", " \"last\""), text.to_uppercase(), format!("{text} ")] {
            assert_eq!(Terminator::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_header_reads_back_and_no_other_spelling_of_it_does() {
        let header = Header::first("0a".repeat(16), 5);
        let frame = header.frame().unwrap();
        let text = std::str::from_utf8(frame.split(|b| *b == b'\n').next().unwrap()).unwrap();
        assert_eq!(Header::parse(text.as_bytes()).unwrap(), header);
        let others = [
            text.replace("\"first\"", " \"first\""),
            text.replace("\"first\"", "\"f\\u0069rst\""),
            text.replace("\"format\":1", "\"format\":1.0"),
            text.replace("0a0a", "0A0A"),
            text.replace("0a0a", "0a"),
            text.replace("\"first\":\"1\"", "\"first\":\"01\""),
            text.replace("\"format\":1,", "").replace("}}", ",\"format\":1}}"),
            format!("{text} "),
            format!("{text}\r"),
        ];
        for other in others {
            assert_ne!(other, text);
            assert!(matches!(Header::parse(other.as_bytes()), Err(HeaderFault::Malformed)), "{other}");
        }
    }

    #[test]
    fn a_newer_header_is_told_from_a_broken_one() {
        let header = Header::first("00".repeat(16), 5);
        let frame = header.frame().unwrap();
        let line = frame.split(|b| *b == b'\n').next().unwrap();
        assert_eq!(Header::parse(line).unwrap(), header);
        let newer = String::from_utf8(line.to_vec())
            .unwrap()
            .replace("\"format\":1", "\"format\":2,\"more\":0");
        assert!(matches!(Header::parse(newer.as_bytes()), Err(HeaderFault::Newer(2))));
        assert!(matches!(Header::parse(b"{}"), Err(HeaderFault::Malformed)));
    }
}
