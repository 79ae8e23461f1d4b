//! Reads a segment frame by frame, checking lines, chain and terminators, in constant memory.

mod tail;

pub(crate) use tail::{Tail, end_of, tail, was_written_whole, written_end};

use crate::disk::{Cursor, DiskFile};
use crate::frame::{Header, HeaderFault, Terminator};
use crate::record::{LINE_MAX, Line, written};
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

/// The lines of the frame that is being read: hashed in pieces that are large enough for the processor to hash many chunks at once, and
/// dropped then, so that a frame of any length takes no more memory.
#[derive(Default)]
struct FrameLines {
    hasher: blake3::Hasher,
    bytes: Vec<u8>,
    /// Where the last line begins in them.
    last: usize,
}

impl FrameLines {
    const PIECE: usize = 128 * 1024;

    fn clear(&mut self) {
        self.hasher.reset();
        self.bytes.clear();
        self.last = 0;
    }

    /// The buffer to read the next line into, behind the others.
    fn next(&mut self) -> &mut Vec<u8> {
        if self.bytes.len() >= Self::PIECE {
            self.hasher.update(&self.bytes);
            self.bytes.clear();
        }
        self.last = self.bytes.len();
        &mut self.bytes
    }

    /// The last line, without its LF if it has one.
    fn last(&self) -> &[u8] {
        let line = self.bytes.get(self.last..).unwrap_or_default();
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    fn last_is_ended(&self) -> bool {
        self.bytes.get(self.last..).is_some_and(|line| line.ends_with(b"\n"))
    }

    /// The hash of the lines before the last.
    fn hash_before_last(&mut self) -> blake3::Hash {
        let before = self.bytes.get(..self.last).unwrap_or_default();
        self.hasher.update(before).finalize()
    }
}

/// Sequence and previous hash of a line that is spelled as we spell it. `None` for any other, which may be a record all the same.
fn places(line: &[u8]) -> Option<(u64, [u8; 32])> {
    let rest = &mut &*line;
    let sequence = written::text(rest, b"{\"sequence\":\"")?;
    written::text(rest, b"\",\"kind\":\"")?;
    written::text(rest, b"\",\"time\":\"")?;
    let previous = written::text(rest, b"\",\"previous\":\"")?;
    Some((written::number(sequence)?, written::hash(previous)?))
}

/// One segment being read.
pub(crate) struct Scanner<'a> {
    file: &'a dyn DiskFile,
    reader: BufReader<Cursor<'a>>,
    lines: FrameLines,
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
            lines: FrameLines::default(),
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
        let header = Header::parse(scanner.lines.last()).map_err(|fault| match fault {
            HeaderFault::Newer(format) => ScanError::Newer(format),
            HeaderFault::Malformed => scanner.fault(begin, "this is no segment header"),
        })?;
        let end = scanner.read_line()?;
        let before = header.first.saturating_sub(1);
        let wanted = Terminator {
            first: header.first,
            last: before,
            bytes: end - begin,
            blake3: scanner.lines.hash_before_last().into(),
        };
        if header.first == 0 || Terminator::parse(scanner.lines.last()) != Some(wanted) {
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
        self.lines.clear();
        let mut link = self.link;
        loop {
            let at = self.read_line()?;
            if let Some(terminator) = Terminator::parse(self.lines.last()) {
                let wanted = Terminator {
                    first,
                    last: link.sequence,
                    bytes: at - begin,
                    blake3: self.lines.hash_before_last().into(),
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
            let line = self.lines.last();
            let (sequence, previous) = match places(line).filter(|_| !strictly) {
                Some(places) => places,
                None => {
                    let line = Line::parse(line).map_err(|error| self.fault(at, format!("this is no record: {error}")))?;
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
                head: blake3::hash(line).into(),
            };
            on_line(line, link).map_err(|what| self.fault(at, what))?;
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

    /// Reads the frame's next line; returns where it begins.
    fn read_line(&mut self) -> Result<u64, ScanError> {
        let begin = self.at;
        self.line_number += 1;
        let limit = LINE_MAX as u64 + 1;
        self.at += (&mut self.reader).take(limit).read_until(b'\n', self.lines.next())? as u64;
        if !self.lines.last_is_ended() {
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
