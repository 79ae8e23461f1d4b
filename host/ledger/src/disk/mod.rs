//! What the ledger asks of a disk, and nothing more: everything under the log and under the checkpoint goes through here, so that a
//! simulator can lose, tear and reorder what was not made durable.
//!
//! Assumed of a disk: what `sync_data` has returned for survives; a rename is atomic and survives once `sync_dir` has returned; what is
//! neither may survive in any part and any order.

mod real;
pub mod simulated;

pub use real::RealDisk;

use std::fmt::Debug;
use std::io;
use std::path::Path;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Read,
    /// To read and write.
    Write,
    /// To read and write; it must not be there yet.
    CreateNew,
}

/// A disk: real, or a simulator.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file; made with mode 0600.
    ///
    /// # Errors
    /// The operating system's; `NotFound` and `AlreadyExists` are relied upon. A file that others may read is refused.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;
    /// Makes a directory with mode 0700.
    ///
    /// # Errors
    /// The operating system's; `AlreadyExists` is relied upon.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory. One that others may enter is refused.
    ///
    /// # Errors
    /// The operating system's; `NotFound` is relied upon.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Renames, replacing what is there.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes free for the process.
    ///
    /// # Errors
    /// The operating system's.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Its length.
    ///
    /// # Errors
    /// The operating system's.
    fn len(&self) -> io::Result<u64>;
    /// Whether it is empty.
    ///
    /// # Errors
    /// The operating system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `out` from `offset`.
    ///
    /// # Errors
    /// The operating system's; `UnexpectedEof` past the end.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The operating system's; any part may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Sets the length; new bytes are zeros.
    ///
    /// # Errors
    /// The operating system's.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Reserves blocks up to `len` and lengthens the file to it, so that writing there changes no metadata. New bytes are zeros.
    ///
    /// # Errors
    /// The operating system's; `Unsupported` if the file system cannot, which is no harm.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes contents and length durable. After an error nothing is known of what was written since the last success.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_data(&self) -> io::Result<()>;
}

/// Reads a part of a file in order. Ends early where a writer gives back what it had reserved, as it does when a segment ends.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    end: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, from: u64, end: u64) -> Self {
        Self { file, at: from, end }
    }

    /// Bytes that are still to be read.
    pub(crate) fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }
}

impl io::Read for Cursor<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let count = left.min(out.len());
            let Some(out) = out.get_mut(..count).filter(|out| !out.is_empty()) else {
                return Ok(0);
            };
            match self.file.read_at(self.at, out) {
                Ok(()) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let len = self.file.len()?;
                    if len >= self.end {
                        return Err(error);
                    }
                    self.end = len;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_file_cut_while_it_is_read_ends_there() {
        use std::io::Read;
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&dir.path().join("file"), Access::CreateNew).unwrap();
        file.allocate(100).unwrap();
        file.write_at(0, b"abc").unwrap();
        let mut cursor = Cursor::new(file.as_ref(), 1, 100);
        file.truncate(3).unwrap();
        let mut bytes = Vec::new();
        assert_eq!((cursor.read_to_end(&mut bytes).unwrap(), bytes.as_slice()), (2, b"bc".as_slice()));
    }
}
