//! The last records, for people. Complete frames only; a daemon may be at work meanwhile.

use crate::archive;
use crate::disk::{Access, Disk, RealDisk};
use crate::scan::{ScanError, Scanner};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// As many as are held in memory at once; a line has at most 32 KiB.
pub const TAIL_MAX: usize = 10_000;

/// Why the last records cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// They cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A segment does not begin like one.
    #[error("{} is no segment of this version; see `sigwarden audit verify`", file.display())]
    Unreadable {
        /// The segment.
        file: PathBuf,
    },
}

/// The last lines of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tailed {
    /// In order, as written, without their LFs.
    pub lines: Vec<String>,
    /// More were asked for than [`TAIL_MAX`], and there are more: say so to whoever asked.
    pub capped: bool,
}

/// [`tail`], and whether it kept back lines that were asked for.
///
/// # Errors
/// As there.
pub fn tail_of(state_dir: &Path, count: usize) -> Result<Tailed, TailError> {
    // One more tells whether there is one.
    let mut lines = last_lines(state_dir, count.min(TAIL_MAX + 1))?;
    let capped = lines.len() > TAIL_MAX;
    if capped {
        lines.pop_front();
    }
    Ok(Tailed {
        lines: lines.into(),
        capped,
    })
}

/// The last `count` lines (at most 10,000) in order, as written, without their LFs. Stops at the first frame that does not hold;
/// [`crate::verify`] says what is wrong with it.
///
/// # Errors
/// The log cannot be read.
pub fn tail(state_dir: &Path, count: usize) -> Result<Vec<String>, TailError> {
    tail_of(state_dir, count).map(|tailed| tailed.lines)
}

fn last_lines(state_dir: &Path, count: usize) -> Result<VecDeque<String>, TailError> {
    let log = state_dir.join("log");
    let mut lines: VecDeque<String> = VecDeque::new();
    let segments = archive::all_segments(&RealDisk, state_dir).map_err(|source| TailError::Io { file: log.clone(), source })?;
    for (_, path) in segments.into_iter().rev() {
        let mut own = last_of(&path, count - lines.len())?;
        own.append(&mut lines);
        lines = own;
        if lines.len() >= count {
            break;
        }
    }
    Ok(lines)
}

/// Hands every line to `visit`, in order, as written, without its LF. Stops at the first frame that does not hold.
///
/// # Errors
/// The log cannot be read.
pub fn lines(state_dir: &Path, visit: &mut dyn FnMut(&[u8])) -> Result<(), TailError> {
    let log = state_dir.join("log");
    let segments = archive::all_segments(&RealDisk, state_dir).map_err(|source| TailError::Io { file: log, source })?;
    for (_, path) in segments {
        let io = |source| TailError::Io {
            file: path.clone(),
            source,
        };
        let file = RealDisk.open(&path, Access::Read).map_err(io)?;
        let (mut scanner, _) = Scanner::open(file.as_ref()).map_err(|error| match error {
            ScanError::Io(source) => io(source),
            ScanError::Fault(_) | ScanError::Newer(_) => TailError::Unreadable { file: path.clone() },
        })?;
        loop {
            let mut frame: Vec<Vec<u8>> = Vec::new();
            let read = scanner.frame(&mut |raw, _| {
                frame.push(raw.to_vec());
                Ok(())
            });
            match read {
                // Only of a frame that holds as a whole.
                Ok(Some(_)) => frame.iter().for_each(|line| visit(line)),
                Ok(None) | Err(ScanError::Fault(_) | ScanError::Newer(_)) => break,
                Err(ScanError::Io(source)) => return Err(io(source)),
            }
        }
    }
    Ok(())
}

fn last_of(path: &Path, count: usize) -> Result<VecDeque<String>, TailError> {
    let io = |source| TailError::Io {
        file: path.to_owned(),
        source,
    };
    let file = RealDisk.open(path, Access::Read).map_err(io)?;
    let (mut scanner, _) = Scanner::open(file.as_ref()).map_err(|error| match error {
        ScanError::Io(source) => io(source),
        ScanError::Fault(_) | ScanError::Newer(_) => TailError::Unreadable { file: path.to_owned() },
    })?;
    let mut lines = VecDeque::new();
    loop {
        let mut frame = Vec::new();
        let read = scanner.frame(&mut |raw, _| {
            frame.push(String::from_utf8_lossy(raw).into_owned());
            Ok(())
        });
        match read {
            Ok(Some(_)) => lines.extend(frame),
            Ok(None) | Err(ScanError::Fault(_) | ScanError::Newer(_)) => return Ok(lines),
            Err(ScanError::Io(source)) => return Err(io(source)),
        }
        while lines.len() > count {
            lines.pop_front();
        }
    }
}
