//! Verification of a log by its files alone: frames, sequences, chain, links between segments, and whether what the records say
//! can be ([`crate::witness`]). Streams, in memory that does not grow with records; a daemon may be at work meanwhile.

mod walk;

pub(crate) use walk::{Passing, walk};

use crate::disk::{Disk, RealDisk};
use sigwarden_core::state::State;
use std::io;
use std::path::{Path, PathBuf};
use walk::Sought;

/// A log that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The deployment that all segments name.
    pub deployment_id: String,
    /// The generation of the newest.
    pub generation: u64,
    /// How many segments there are.
    pub segments: u64,
    /// How many records.
    pub records: u64,
    /// The first record's sequence: above 1 if older segments were archived.
    pub first_sequence: u64,
    /// The last record's sequence.
    pub last_sequence: u64,
    /// BLAKE3 of the last line, to be kept elsewhere.
    pub head: [u8; 32],
    /// Bytes after the last valid frame that are not zero. A write in progress while a daemon runs; after a crash, one that was not
    /// completed, which the next start cuts; after an orderly stop there is none, and these bytes were damaged.
    pub unfinished_bytes: u64,
}

/// A log that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is none.
    #[error("there is no log in {}", log.display())]
    Missing {
        /// The log directory.
        log: PathBuf,
    },
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its beginning is elsewhere, so that its state cannot be told from it alone.
    #[error("{} begins with record {first}: older segments were archived; stop the daemon and ask again", log.display())]
    Partial {
        /// The log directory.
        log: PathBuf,
        /// Its first record.
        first: u64,
    },
    /// The first bad line.
    #[error("{} does not hold at byte {offset}, line {line}: {what}", file.display())]
    Bad {
        /// The segment.
        file: PathBuf,
        /// The byte at which the line begins.
        offset: u64,
        /// The line, from 1.
        line: u64,
        /// What was found.
        what: String,
    },
}

/// Verifies the log of a deployment. `progress` is told the bytes read and the bytes there are, now and then.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(state_dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, VerifyError> {
    verify_on(&RealDisk, state_dir, progress)
}

/// [`verify`], and looks for the line whose BLAKE3 is `head`, which somebody kept elsewhere: a log that was cut before it, or replaced by
/// another that holds in itself, does not have it. Gives the sequence of its record.
///
/// # Errors
/// As there.
pub fn verify_with_head(
    state_dir: &Path,
    head: [u8; 32],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Verified, Option<u64>), VerifyError> {
    let mut sought = Sought::of(head);
    let verified = walk(&RealDisk, state_dir, progress, None, Some(&mut sought), &mut |_, _| Ok(()))?;
    let last = (verified.head == head).then_some(verified.last_sequence);
    Ok((verified, sought.found().or(last)))
}

/// [`verify`] on another disk.
///
/// # Errors
/// As there.
pub fn verify_on(disk: &dyn Disk, state_dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, VerifyError> {
    walk(disk, state_dir, progress, None, None, &mut |_, _| Ok(()))
}

/// Verifies the log of a deployment and replays it: the state as of its last whole frame. Takes no lock, so that it shows floors and
/// keys while a daemon is at work; reads the whole log, at the speed of [`verify`].
///
/// # Errors
/// The first thing that does not hold, or the log does not begin with record 1.
pub fn replay(state_dir: &Path) -> Result<State, VerifyError> {
    let mut state = State::default();
    let verified = walk(&RealDisk, state_dir, &mut |_, _| {}, Some(&mut state), None, &mut |_, _| Ok(()))?;
    if verified.first_sequence != 1 {
        return Err(VerifyError::Partial {
            log: state_dir.join("log"),
            first: verified.first_sequence,
        });
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::ledger::{EmbeddedLedger, Settings};
    use crate::testing::CountingDisk;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn however_many_segments_there_are_few_files_are_open_at_once() {
        const STARTS: usize = 60;
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            flush_every: Duration::from_secs(3600),
            ..Settings::new(1, Arc::new(|_| {}))
        };
        let disk = CountingDisk::default();
        EmbeddedLedger::create_on(Arc::new(disk.clone()), dir.path(), settings.clone()).unwrap();
        for _ in 0..STARTS {
            let ledger = EmbeddedLedger::open_on(Arc::new(disk.clone()), dir.path(), settings.clone()).unwrap();
            ledger.flush().unwrap();
        }
        // The checkpoint, and either two files that are copied or one that is written.
        assert!(disk.most() <= 4, "a start had {} files open", disk.most());

        let disk = CountingDisk::default();
        let mut state = State::default();
        let verified = walk(&disk, dir.path(), &mut |_, _| {}, Some(&mut state), None, &mut |_, _| Ok(())).unwrap();
        assert!(verified.segments >= STARTS as u64);
        assert_eq!(disk.most(), 1);
    }
}
