//! Reads a segment frame by frame, checking lines, chain and terminators, in constant memory.

use crate::disk::{Cursor, DiskFile};
use crate::frame::{Header, HeaderFault, TERMINATOR_BEGINS, TERMINATOR_MAX, Terminator};
use crate::record::{LINE_MAX, Line};
use std::io::{self, BufRead, BufReader, Read};

/// Read at once: large enough for the disk's own speed.
const BUFFER: usize = 1024 * 1024;

/// Reads a part of a file; a small part with a small buffer, since making a large one takes longer than reading it.
fn buffered(file: &dyn DiskFile, from: u64, to: u64) -> BufReader<Cursor<'_>> {
    let len = usize::try_from(to.saturating_sub(from)).unwrap_or(BUFFER);
    BufReader::with_capacity(len.clamp(1, BUFFER), Cursor::new(file, from, to))
}

/// Something that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The byte in the file at which the line begins.
    pub(crate) offset: u64,
    /// The line, from 1.
    pub(crate) line: u64,
    /// What was found and what would be right.
    pub(crate) what: String,
}

/// Why scanning stopped.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// The disk's error.
    Io(io::Error),
    /// The file's fault.
    Fault(Fault),
    /// The header is of a newer format.
    Newer(u32),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Where the chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// The last record's sequence.
    pub(crate) sequence: u64,
    /// BLAKE3 of its line.
    pub(crate) head: [u8; 32],
}

/// Takes a line without its LF, which may still be no record, and where the chain stands after it.
pub(crate) type OnLine<'a> = dyn FnMut(&[u8], Link) -> Result<(), String> + 'a;

/// Hashes a frame in pieces that are large enough for the processor to hash several chunks at once.
#[derive(Default)]
struct FrameHasher {
    hasher: blake3::Hasher,
    waiting: Vec<u8>,
}

impl FrameHasher {
    const PIECE: usize = 64 * 1024;

    fn line(&mut self, line: &[u8]) {
        self.waiting.extend_from_slice(line);
        self.waiting.push(b'\n');
        if self.waiting.len() >= Self::PIECE {
            self.hasher.update(&self.waiting);
            self.waiting.clear();
        }
    }

    fn finalize(&mut self) -> blake3::Hash {
        self.hasher.update(&self.waiting).finalize()
    }
}

/// Sequence and previous hash of a line that is spelled as we spell it. `None` for any other, which may be a record all the same.
fn places(line: &[u8]) -> Option<(u64, [u8; 32])> {
    fn text<'a>(rest: &mut &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
        let begun = rest.strip_prefix(before)?;
        let (text, after) = begun.split_at(begun.iter().position(|byte| *byte == b'"')?);
        *rest = after;
        Some(text)
    }
    let rest = &mut &*line;
    let sequence = text(rest, b"{\"sequence\":\"")?;
    text(rest, b"\",\"kind\":\"")?;
    text(rest, b"\",\"time\":\"")?;
    let previous = text(rest, b"\",\"previous\":\"")?;
    let plain = sequence.iter().all(u8::is_ascii_digit) && !sequence.starts_with(b"0");
    let hash = sigwarden_core::wire::unhex_array(std::str::from_utf8(previous).ok()?).ok()?;
    let sequence = std::str::from_utf8(sequence).ok().filter(|_| plain)?.parse().ok()?;
    Some((sequence, hash))
}

/// One segment being read.
pub(crate) struct Scanner<'a> {
    file: &'a dyn DiskFile,
    reader: BufReader<Cursor<'a>>,
    line: Vec<u8>,
    at: u64,
    line_number: u64,
    link: Link,
    /// The end of the last valid frame.
    valid_end: u64,
    /// The lines up to there.
    valid_lines: u64,
}

impl<'a> Scanner<'a> {
    /// Reads the header's frame; the chain goes on from what it says.
    pub(crate) fn open(file: &'a dyn DiskFile) -> Result<(Self, Header), ScanError> {
        let reader = buffered(file, 0, file.len()?);
        let mut scanner = Self {
            file,
            reader,
            line: Vec::with_capacity(LINE_MAX),
            at: 0,
            line_number: 0,
            link: Link {
                sequence: 0,
                head: [0; 32],
            },
            valid_end: 0,
            valid_lines: 0,
        };
        let begin = scanner.read_line()?;
        let header = Header::parse(&scanner.line).map_err(|fault| match fault {
            HeaderFault::Newer(format) => ScanError::Newer(format),
            HeaderFault::Malformed => scanner.fault(begin, "this is no segment header"),
        })?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&scanner.line).update(b"\n");
        let end = scanner.read_line()?;
        let before = header.first.saturating_sub(1);
        let wanted = Terminator {
            first: header.first,
            last: before,
            bytes: end - begin,
            blake3: hasher.finalize().into(),
        };
        if header.first == 0 || Terminator::parse(&scanner.line) != Some(wanted) {
            return Err(scanner.fault(end, "the header's terminator does not match the header"));
        }
        scanner.link = Link {
            sequence: before,
            head: header.previous,
        };
        (scanner.valid_end, scanner.valid_lines) = (scanner.at, scanner.line_number);
        Ok((scanner, header))
    }

    /// Reads one frame and hands its lines to `on_line`, which must not act on them until this returns: only then is the frame known
    /// to be whole. `None` at the end of the file, or where zeros begin (reserved and never written).
    pub(crate) fn frame(&mut self, on_line: &mut OnLine<'_>) -> Result<Option<Link>, ScanError> {
        let read = self.read_frame(on_line, false);
        let Err(ScanError::Fault(fault)) = read else { return read };
        // Lines were looked at as little as it takes to follow the chain. Now which is the first that is none matters.
        let stood = (self.link, self.valid_end, self.valid_lines, self.line_number);
        self.go_back()?;
        let first = self.read_frame(&mut |_, _| Ok(()), true);
        (self.link, self.valid_end, self.valid_lines, self.line_number) = stood;
        match first {
            Err(ScanError::Fault(first)) if first.offset < fault.offset => Err(ScanError::Fault(first)),
            Err(ScanError::Io(error)) => Err(ScanError::Io(error)),
            Ok(_) | Err(ScanError::Fault(_) | ScanError::Newer(_)) => Err(ScanError::Fault(fault)),
        }
    }

    /// Reads one frame. `strictly`: every line is looked at as a whole.
    fn read_frame(&mut self, on_line: &mut OnLine<'_>, strictly: bool) -> Result<Option<Link>, ScanError> {
        if matches!(self.reader.fill_buf()?.first(), None | Some(0)) {
            return Ok(None);
        }
        let first = self.link.sequence + 1;
        let begin = self.at;
        let mut hasher = FrameHasher::default();
        let mut link = self.link;
        loop {
            let at = self.read_line()?;
            if let Some(terminator) = Terminator::parse(&self.line) {
                let wanted = Terminator {
                    first,
                    last: link.sequence,
                    bytes: at - begin,
                    blake3: hasher.finalize().into(),
                };
                if terminator != wanted || link == self.link {
                    return Err(self.fault(
                        at,
                        "the terminator does not match the lines before it: sequences, length or hash differ",
                    ));
                }
                self.link = link;
                (self.valid_end, self.valid_lines) = (self.at, self.line_number);
                return Ok(Some(link));
            }
            hasher.line(&self.line);
            let (sequence, previous) = match places(&self.line).filter(|_| !strictly) {
                Some(places) => places,
                None => {
                    let line = Line::parse(&self.line).map_err(|error| self.fault(at, format!("this is no record: {error}")))?;
                    (line.sequence, line.previous)
                }
            };
            if sequence != link.sequence + 1 {
                let wanted = link.sequence + 1;
                return Err(self.fault(at, format!("its sequence is {sequence}, {wanted} comes next")));
            }
            if previous != link.head {
                return Err(self.fault(at, "its `previous` is not the hash of the line before: one of the two was changed"));
            }
            link = Link {
                sequence,
                head: blake3::hash(&self.line).into(),
            };
            on_line(&self.line, link).map_err(|what| self.fault(at, what))?;
        }
    }

    /// Goes back to the end of the last valid frame, to read on with what is there now: a writer may have gone on meanwhile.
    pub(crate) fn go_back(&mut self) -> io::Result<()> {
        (self.at, self.line_number) = (self.valid_end, self.valid_lines);
        self.reader = buffered(self.file, self.at, self.file.len()?);
        Ok(())
    }

    /// Where the chain stands after the last valid frame.
    pub(crate) fn link(&self) -> Link {
        self.link
    }

    /// The end of the last valid frame.
    pub(crate) fn valid_end(&self) -> u64 {
        self.valid_end
    }

    /// Bytes behind the last valid frame, when reading began.
    pub(crate) fn left(&self) -> u64 {
        self.reader.get_ref().left() + self.reader.buffer().len() as u64
    }

    /// The line that the scanner is at, from 1.
    pub(crate) fn line_number(&self) -> u64 {
        self.line_number
    }

    /// Reads a line into `self.line`, without its LF; returns where it begins.
    fn read_line(&mut self) -> Result<u64, ScanError> {
        let begin = self.at;
        self.line.clear();
        self.line_number += 1;
        let limit = LINE_MAX as u64 + 1;
        self.at += (&mut self.reader).take(limit).read_until(b'\n', &mut self.line)? as u64;
        if self.line.pop_if(|last| *last == b'\n').is_none() {
            let what = if self.at - begin >= limit {
                format!("no line has more than {LINE_MAX} bytes")
            } else {
                "the file ends within a frame".to_owned()
            };
            return Err(self.fault(begin, what));
        }
        Ok(begin)
    }

    fn fault(&self, offset: u64, what: impl Into<String>) -> ScanError {
        ScanError::Fault(Fault {
            offset,
            line: self.line_number,
            what: what.into(),
        })
    }
}

/// What is after the last valid frame of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing, or zeros: reserved and never written.
    Clean,
    /// Bytes of a frame that was not completed: this many up to the last that is not zero.
    Torn(u64),
    /// A valid frame whose terminator begins here: what is before it was damaged after it was durable.
    ValidFrameAt(u64),
}

/// Looks at what is after `valid_end`.
pub(crate) fn tail(file: &dyn DiskFile, valid_end: u64) -> io::Result<Tail> {
    let len = file.len()?;
    let mut reader = buffered(file, valid_end, len);
    let mut line = Vec::new();
    let (mut at, mut torn_end) = (valid_end, None);
    loop {
        line.clear();
        // A long run without LF is read in pieces; no terminator begins within one.
        let count = (&mut reader).take(BUFFER as u64).read_until(b'\n', &mut line)? as u64;
        if count == 0 {
            break;
        }
        if let Some(last) = line.iter().rposition(|byte| *byte != 0) {
            torn_end = Some(at + last as u64 + 1);
        }
        if let Some(terminator) = line.strip_suffix(b"\n").and_then(Terminator::parse)
            && let Some(begin) = at.checked_sub(terminator.bytes).filter(|begin| *begin >= valid_end)
            && hash(file, begin, at)? == terminator.blake3
        {
            return Ok(Tail::ValidFrameAt(at));
        }
        at += count;
    }
    Ok(torn_end.map_or(Tail::Clean, |end| Tail::Torn(end - valid_end)))
}

/// Whether the bytes of a frame that does not hold were all written: none of them is zero, as in a part that never reached the disk, and
/// they end with a terminator, or what was one. Then the frame was not torn; it was damaged after it was written.
pub(crate) fn was_written_whole(file: &dyn DiskFile, from: u64, len: u64) -> io::Result<bool> {
    let mut reader = buffered(file, from, from + len);
    let mut last = Vec::new();
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.contains(&0) {
            return Ok(false);
        }
        if bytes.is_empty() {
            break;
        }
        last.extend_from_slice(bytes.get(bytes.len().saturating_sub(TERMINATOR_MAX)..).unwrap_or_default());
        let count = bytes.len();
        reader.consume(count);
        last.drain(..last.len().saturating_sub(TERMINATOR_MAX));
    }
    let terminated = last.windows(TERMINATOR_BEGINS.len()).any(|bytes| bytes == TERMINATOR_BEGINS);
    Ok(terminated && last.ends_with(b"\n"))
}

/// The end of what was written after `from`: the byte after the last that is not zero.
pub(crate) fn written_end(file: &dyn DiskFile, from: u64) -> io::Result<u64> {
    let mut reader = buffered(file, from, file.len()?);
    let (mut at, mut end) = (from, from);
    loop {
        let bytes = reader.fill_buf()?;
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            end = at + last as u64 + 1;
        }
        let count = bytes.len();
        if count == 0 {
            return Ok(end);
        }
        at += count as u64;
        reader.consume(count);
    }
}

fn hash(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(Cursor::new(file, from, to))?;
    Ok(hasher.finalize().into())
}

/// Where a segment's chain ends, from its last frame alone: for segments that the checkpoint has absorbed.
pub(crate) fn end_of(file: &dyn DiskFile) -> Result<Link, ScanError> {
    let broken = |offset, what: &str| {
        ScanError::Fault(Fault {
            offset,
            line: 0,
            what: what.to_owned(),
        })
    };
    let len = file.len()?;
    let begin = len.saturating_sub(crate::frame::TERMINATOR_MAX as u64);
    let mut bytes = vec![0; usize::try_from(len - begin).unwrap_or(0)];
    file.read_at(begin, &mut bytes)?;
    let line = bytes
        .strip_suffix(b"\n")
        .and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
    let Some(line) = line else {
        return Err(broken(begin, "the segment does not end with a terminator"));
    };
    let at = len - line.len() as u64 - 1;
    let terminator = Terminator::parse(line).ok_or_else(|| broken(at, "the segment does not end with a terminator"))?;
    let frame = at
        .checked_sub(terminator.bytes)
        .ok_or_else(|| broken(at, "the terminator's length is beyond the file"))?;
    if hash(file, frame, at)? != terminator.blake3 {
        return Err(broken(frame, "the last frame's hash is not its terminator's"));
    }
    // The last line of the frame: at most LINE_MAX and two LFs back.
    let from = frame.max(at.saturating_sub(LINE_MAX as u64 + 2));
    let mut bytes = vec![0; usize::try_from(at - from).unwrap_or(0)];
    file.read_at(from, &mut bytes)?;
    let last = bytes
        .strip_suffix(b"\n")
        .and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
    let last = last.ok_or_else(|| broken(frame, "the last frame has no line"))?;
    if terminator.last < terminator.first {
        // The header alone: the chain ends where the header says that it began.
        let header = Header::parse(last).map_err(|_| broken(frame, "this is no segment header"))?;
        return Ok(Link {
            sequence: terminator.last,
            head: header.previous,
        });
    }
    Ok(Link {
        sequence: terminator.last,
        head: blake3::hash(last).into(),
    })
}
