//! What the disk alone costs: for benchmarks, which compare a request with it.

use crate::disk::RealDisk;
use crate::frame::Header;
use crate::segment::{SEGMENT_MAX, Writer};
use std::io;
use std::path::Path;

/// Appends bytes durably, exactly as the ledger writes a frame: same reserved blocks, one write, one `fdatasync`.
#[derive(Debug)]
pub struct AppendProbe(Writer);

impl AppendProbe {
    /// Begins a file in a directory that is there.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(dir: &Path) -> io::Result<Self> {
        Writer::create(&RealDisk, dir, Header::first("00".repeat(16), 0), SEGMENT_MAX).map(Self)
    }

    /// Appends.
    ///
    /// # Errors
    /// The operating system's.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes).map(drop)
    }
}
