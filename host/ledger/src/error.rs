//! Why a ledger does not open. Each says which file and byte, what it means, and what is safe to do.

use crate::scan::{Fault, ScanError};
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// Why a ledger was not made or opened. Nothing was changed that lowers anything.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none.
    #[error(
        "there is no ledger in {}; a ledger is never invented: `sigwarden init` makes a new deployment, a backup restores an old one",
        state_dir.display()
    )]
    Missing {
        /// The state directory.
        state_dir: PathBuf,
    },
    /// There is one already.
    #[error("there is a ledger in {} already, or the remains of one; it is never replaced: choose another directory", state_dir.display())]
    Exists {
        /// The state directory.
        state_dir: PathBuf,
    },
    /// The disk refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file system takes no writes.
    #[error(
        "{}: the file system is read-only. A start writes before anything is signed, so nothing is signed; nothing was changed. If an error \
         has made it so, the kernel's log (`dmesg`) tells which: check the disk and the file system first. Else mount it for writing \
         (`mount -o remount,rw` its mount point), or, under systemd, name the state directory in `ReadWritePaths=`",
        path.display()
    )]
    ReadOnly {
        /// The file or directory.
        path: PathBuf,
    },
    /// The process may not read or write there.
    #[error(
        "{}: {source}. The daemon reads and writes its state directory and everything in it, so nothing is signed; nothing was changed. See \
         `ls -la` there: the daemon's user must be the owner, directories need mode 0700 (`chmod u+rwx`) and files 0600 (`chmod u+rw`)",
        path.display()
    )]
    NotPermitted {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No random bytes.
    #[error("the operating system gives no random bytes for a deployment id: {0}")]
    Random(getrandom::Error),
    /// A newer version wrote this.
    #[error("{} is of format {found}, this version knows up to {known}; use the version that wrote it, nothing was changed", file.display())]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// A file of another deployment.
    #[error(
        "{} belongs to deployment {found}, this one is {wanted}; put that file back where it came from, and this deployment's own from its backup",
        file.display()
    )]
    OtherDeployment {
        /// The file.
        file: PathBuf,
        /// The deployment that it names.
        found: String,
        /// This deployment.
        wanted: String,
    },
    /// Something in the log does not hold, and it is not the torn end of the last write.
    #[error(
        "{} is damaged at byte {offset}, line {line}: {what}. Decisions may be lost, so nothing is signed. Keep a copy of the state directory, \
         see `sigwarden audit verify`, and restore the file from a copy; do not edit it",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The byte.
        offset: u64,
        /// The line, from 1; 0 if it was not counted.
        line: u64,
        /// What was found.
        what: String,
    },
    /// Records are missing between two segments, or before the first.
    #[error(
        "records {first} to {last} are missing before {}. Decisions may be lost, so nothing is signed. Put the missing segment back from a copy",
        file.display()
    )]
    Gap {
        /// The segment that follows the gap.
        file: PathBuf,
        /// The first missing sequence.
        first: u64,
        /// The last missing sequence.
        last: u64,
    },
    /// A segment is gone.
    #[error("{} is missing. Decisions may be lost, so nothing is signed. Put it back from a copy", file.display())]
    MissingSegment {
        /// The segment.
        file: PathBuf,
    },
    /// The checkpoint has applied what the log does not have.
    #[error(
        "the checkpoint holds record {checkpoint}, the log ends with {log} ({}, byte {offset}). The log was cut or is an older copy, so nothing \
         is signed. Put the newer log back from a copy; do not remove the checkpoint, it knows what was signed",
        file.display()
    )]
    CheckpointAhead {
        /// The checkpoint's sequence.
        checkpoint: u64,
        /// The log's last sequence.
        log: u64,
        /// The newest segment.
        file: PathBuf,
        /// The end of its last valid frame.
        offset: u64,
    },
    /// The checkpoint and the log tell different histories.
    #[error(
        "record {sequence} in {} is not the one that the checkpoint has applied: one of the two is of another history. Nothing is signed; \
         restore both from one backup",
        file.display()
    )]
    CheckpointForks {
        /// The segment.
        file: PathBuf,
        /// The sequence.
        sequence: u64,
    },
    /// It is not what the caller expected to find here.
    #[error("{0}")]
    NotAdmitted(String),
    /// The checkpoint is gone.
    #[error(
        "the checkpoint {} is missing. It says how far the log must reach: without it a lost end of the log is not noticed, and floors could \
         fall below what was signed, so nothing is signed. Put it back from a copy; an older one of this deployment will do, it catches up. If \
         there is none: make sure that the log is complete (`sigwarden audit verify` prints its head), then `sigwarden ledger \
         rebuild-checkpoint --reason TEXT`",
        file.display()
    )]
    MissingCheckpoint {
        /// Where it should be.
        file: PathBuf,
    },
    /// The checkpoint cannot be read.
    #[error(
        "the checkpoint {} cannot be used: {what}. It says how far the log must reach, so nothing is signed. Put it back from a copy; an older \
         one of this deployment will do, it catches up. If there is none: keep this one elsewhere, make sure that the log is complete (`sigwarden \
         audit verify` prints its head), then `sigwarden ledger rebuild-checkpoint --reason TEXT`",
        file.display()
    )]
    Checkpoint {
        /// The file.
        file: PathBuf,
        /// What was found.
        what: String,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::of_io(path, source)
    }

    fn of_io(path: PathBuf, source: io::Error) -> Self {
        // The kernel's own refusals; that others may read a file is told by another error, with a remedy of its own.
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::ROFS) => Self::ReadOnly { path },
            Some(Errno::ACCESS | Errno::PERM) => Self::NotPermitted { path, source },
            Some(_) | None => Self::Io { path, source },
        }
    }

    pub(crate) fn scan(file: &Path) -> impl FnOnce(ScanError) -> Self {
        let file = file.to_owned();
        move |error| match error {
            ScanError::Io(source) => Self::of_io(file, source),
            ScanError::Newer(found) => Self::NewerFormat {
                file,
                found,
                known: crate::frame::FORMAT,
            },
            ScanError::Fault(Fault { offset, line, what }) => Self::Damaged { file, offset, line, what },
        }
    }
}
