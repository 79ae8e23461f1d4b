//! Segments: the files of the log, and the one that is written.

use crate::disk::{Access, Disk, DiskFile};
use crate::frame::{Header, Terminator};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// A segment ends at this size unless the settings say otherwise: one file is handled, copied and archived with ease.
pub(crate) const SEGMENT_MAX: u64 = 256 * 1024 * 1024;
/// A segment ends after this time, milliseconds: a day.
pub(crate) const SEGMENT_MS: u64 = 24 * 60 * 60 * 1000;
/// Blocks are reserved in pieces of this size, so that a segment lies in few extents and a full disk shows early.
const RESERVE: u64 = 8 * 1024 * 1024;
/// Reserved blocks are filled with zeros in pieces of this size, together with the frame that reaches them: a write into blocks that were
/// written before changes no metadata at all, and its `fdatasync` leaves the file system's journal alone. It saves a quarter of each
/// durable write; the price is that every byte of the log is written twice, and one frame in some hundreds waits for its piece.
const ZEROS: u64 = 256 * 1024;
/// What a name ends in while its file is being made.
pub(crate) const TEMPORARY: &str = ".tmp";

const SUFFIX: &str = ".jsonl";
const DIGITS: usize = 20;

/// The name of the segment whose first record has this sequence; names sort as sequences do.
pub(crate) fn name(first: u64) -> String {
    format!("{first:0DIGITS$}{SUFFIX}")
}

/// The first sequence of the segment of this name; `None` if it is no segment's.
pub(crate) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let first: u64 = digits.parse().ok()?;
    (digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit())).then_some(first)
}

/// The segments in a log directory, in order.
pub(crate) fn list(disk: &dyn Disk, log: &Path) -> io::Result<Vec<u64>> {
    let mut segments: Vec<u64> = disk.list(log)?.iter().filter_map(|name| first_of(name)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// The segment that is written.
#[derive(Debug)]
pub(crate) struct Writer {
    file: Box<dyn DiskFile>,
    header: Header,
    /// Where the next frame goes.
    end: u64,
    /// Up to where blocks are reserved.
    reserved: u64,
    /// Up to where they were written: frames, and zeros for those to come.
    written: u64,
    /// It ends at this size.
    max_bytes: u64,
}

impl Writer {
    /// Makes a segment durable, with its header, in place of an empty one of the same name if there is one.
    pub(crate) fn create(disk: &dyn Disk, log: &Path, header: Header, max_bytes: u64) -> io::Result<Self> {
        let path = log.join(name(header.first));
        let temporary = log.join(format!("{}{TEMPORARY}", name(header.first)));
        let frame = header.frame().map_err(io::Error::other)?;
        let file = disk.open(&temporary, Access::CreateNew)?;
        file.write_at(0, &frame)?;
        let end = frame.len() as u64;
        let mut writer = Self {
            file,
            header,
            end,
            reserved: end,
            written: end,
            max_bytes,
        };
        writer.reserve(end + 1)?;
        writer.write_zeros(end + 1)?;
        writer.file.sync_data()?;
        disk.rename(&temporary, &path)?;
        disk.sync_dir(log)?;
        Ok(writer)
    }

    fn reserve(&mut self, wanted: u64) -> io::Result<()> {
        if wanted <= self.reserved {
            return Ok(());
        }
        let piece = RESERVE.min(self.max_bytes).max(1);
        let len = wanted.div_ceil(piece).saturating_mul(piece);
        match self.file.allocate(len) {
            Ok(()) => self.reserved = len,
            // Slower, no harm.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.reserved = u64::MAX,
            // The write itself will tell whether there is room.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes zeros ahead of the frames, as far as blocks are reserved, if what comes next ends at `wanted`.
    fn write_zeros(&mut self, wanted: u64) -> io::Result<()> {
        // Where nothing can be reserved, writing ahead would change as much metadata as the frame itself.
        if wanted <= self.written || self.reserved == u64::MAX {
            return Ok(());
        }
        let to = wanted.div_ceil(ZEROS).saturating_mul(ZEROS).min(self.reserved);
        let Some(len) = to.checked_sub(self.written).and_then(|len| usize::try_from(len).ok()) else {
            return Ok(());
        };
        self.file.write_at(self.written, &vec![0; len])?;
        self.written = to;
        Ok(())
    }

    /// Writes a frame and makes it durable; says how long that took. After an error the writer is of no use.
    pub(crate) fn append(&mut self, frame: &[u8]) -> io::Result<Duration> {
        let end = self.end + frame.len() as u64;
        self.reserve(end)?;
        self.write_zeros(end)?;
        let begun = Instant::now();
        self.file.write_at(self.end, frame)?;
        self.file.sync_data()?;
        self.end = end;
        Ok(begun.elapsed())
    }

    /// Whether the segment is full, has `most` bytes, or is old, so that the next frame begins another.
    pub(crate) fn is_over(&self, now_ms: u64, most: u64) -> bool {
        self.end >= self.max_bytes.min(most) || now_ms.saturating_sub(self.header.time / 1_000_000) >= SEGMENT_MS
    }

    /// Ends it: gives back what was reserved.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.file.truncate(self.end)?;
        self.file.sync_data()
    }

    /// Ends it and begins the next, whose first record follows `previous`.
    pub(crate) fn roll(&mut self, disk: &dyn Disk, log: &Path, first: u64, previous: [u8; 32], now_ms: u64) -> io::Result<()> {
        self.finish()?;
        let header = Header {
            first,
            previous,
            time: now_ms.saturating_mul(1_000_000),
            ..self.header.clone()
        };
        *self = Self::create(disk, log, header, self.max_bytes)?;
        Ok(())
    }

    /// Its header.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }
}

/// Completes a frame with its terminator.
pub(crate) fn terminate(lines: &mut Vec<u8>, first: u64, last: u64) {
    Terminator::of(first, last, lines).write(lines);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_sequences_and_nothing_else_is_one() {
        assert!(name(9) < name(10) && name(u64::MAX).len() == DIGITS + SUFFIX.len());
        assert_eq!(first_of(&name(u64::MAX)), Some(u64::MAX));
        for other in [
            "1.jsonl",
            "0000000000000000000x.jsonl",
            "00000000000000000001.jsonl.tmp",
            "+0000000000000000001.jsonl",
        ] {
            assert_eq!(first_of(other), None, "{other}");
        }
    }
}
