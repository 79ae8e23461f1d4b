//! What is behind the last valid frame of a segment, and where a segment ends.

use super::{BUFFER, Fault, Link, ScanError, buffered};
use crate::disk::{Cursor, DiskFile};
use crate::frame::{Header, TERMINATOR_BEGINS, TERMINATOR_MAX, Terminator};
use crate::record::LINE_MAX;
use std::io::{self, BufRead, Read};

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
    let begin = len.saturating_sub(TERMINATOR_MAX as u64);
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
