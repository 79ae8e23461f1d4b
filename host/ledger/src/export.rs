//! What an auditor needs of a log from some record on: segments, whole frames only, and a manifest that says what stood before them.

use crate::disk::{Access, Disk, DiskFile, RealDisk};
use crate::frame::FORMAT;
use crate::verify::{self, Passing, VerifyError};
use crate::witness::Known;
use serde::Serialize;
use sigwarden_core::wire;
use std::io;
use std::path::{Path, PathBuf};

/// Copied at once.
const PIECE: usize = 1024 * 1024;

/// Why nothing was exported. What was begun is left as it is, without a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log does not hold, or cannot be read.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// No record has that sequence.
    #[error("there is no record {since}; the log holds {first} to {last}")]
    NoRecord {
        /// What was asked for.
        since: u64,
        /// The first that there is.
        first: u64,
        /// The last.
        last: u64,
    },
    /// It cannot be written, or is there already.
    #[error("{}: {source}{}", path.display(), if source.kind() == io::ErrorKind::AlreadyExists { "; nothing is overwritten: name another directory" } else { "" })]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest cannot be rendered.
    #[error("the manifest cannot be rendered: {0}")]
    Manifest(serde_json::Error),
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// How many segments.
    pub segments: u64,
    /// The first record's sequence.
    pub first: u64,
    /// The last record's.
    pub last: u64,
    /// BLAKE3 of the last line.
    pub head: [u8; 32],
    /// Bytes of segments.
    pub bytes: u64,
}

#[derive(Serialize)]
struct ManifestFile<'a> {
    export: Manifest<'a>,
}

#[derive(Serialize)]
struct Manifest<'a> {
    format: u32,
    version: &'static str,
    deployment: &'a str,
    #[serde(with = "wire::decimal")]
    generation: u64,
    #[serde(with = "wire::decimal")]
    since: u64,
    #[serde(with = "wire::decimal")]
    first: u64,
    #[serde(with = "wire::decimal")]
    last: u64,
    #[serde(with = "wire::array32")]
    previous: [u8; 32],
    #[serde(with = "wire::array32")]
    head: [u8; 32],
    segments: &'a [Copied],
    state: &'a Known,
}

#[derive(Serialize)]
struct Copied {
    name: String,
    #[serde(with = "wire::decimal")]
    bytes: u64,
    #[serde(with = "wire::array32")]
    blake3: [u8; 32],
}

/// Verifies the log, and writes the segments from the one that holds record `since` on to `to`, which must not be there yet, with a
/// manifest of what stood before them. Takes no lock: a daemon may be at work. Memory does not grow with the log.
///
/// # Errors
/// The log does not hold, there is no such record, or `to` cannot be written; the manifest, which comes last, is then missing.
pub fn export(state_dir: &Path, since: u64, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Exported, ExportError> {
    export_from(&RealDisk, state_dir, since, to, progress)
}

fn export_from(
    disk: &dyn Disk,
    state_dir: &Path,
    since: u64,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, ExportError> {
    let write = |path: &Path| {
        let path = path.to_owned();
        move |source| ExportError::Write { path, source }
    };
    let mut known: Option<(u64, [u8; 32], Known)> = None;
    let mut holds = Vec::new();
    let verified = verify::walk(disk, state_dir, progress, None, None, &mut |path, passing| {
        match passing {
            // The last segment that begins no later than the record is the one that holds it.
            Passing::Begins(header, witness) => {
                if known.is_none() || header.first <= since {
                    holds.clear();
                    known = Some((header.first, header.previous, witness.known()));
                }
            }
            Passing::Holds(end, ..) => holds.push((path.to_owned(), end)),
        }
        Ok(())
    })?;
    let no_record = || ExportError::NoRecord {
        since,
        first: verified.first_sequence,
        last: verified.last_sequence,
    };
    let (first, previous, state) = known.ok_or_else(no_record)?;
    if since < first || since > verified.last_sequence {
        return Err(no_record());
    }
    // Neither may be there: what an earlier export left is not mixed with this one.
    let log = to.join("log");
    disk.create_dir(to).map_err(write(to))?;
    disk.create_dir(&log).map_err(write(&log))?;
    let mut segments = Vec::new();
    for (path, end) in holds {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let target = log.join(&name);
        // Frames that hold never change: what was verified is what is copied, whatever the daemon has written behind it.
        let archived = state_dir.join("archive").join(&name);
        let copied = match copy(disk, &path, &target, end) {
            // It was archived since it was verified.
            Err(error) if error.kind() == io::ErrorKind::NotFound => copy(disk, &archived, &target, end),
            copied => copied,
        };
        let blake3 = copied.map_err(write(&target))?;
        segments.push(Copied { name, bytes: end, blake3 });
    }
    let manifest = ManifestFile {
        export: Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            deployment: &verified.deployment_id,
            generation: verified.generation,
            since,
            first,
            last: verified.last_sequence,
            previous,
            head: verified.head,
            segments: &segments,
            state: &state,
        },
    };
    let mut text = serde_json::to_vec_pretty(&manifest).map_err(ExportError::Manifest)?;
    text.push(b'\n');
    let path = to.join("manifest.json");
    let file = disk.open(&path, Access::CreateNew).map_err(write(&path))?;
    file.write_at(0, &text).and_then(|()| file.sync_data()).map_err(write(&path))?;
    disk.sync_dir(&log).and_then(|()| disk.sync_dir(to)).map_err(write(to))?;
    Ok(Exported {
        segments: segments.len() as u64,
        first,
        last: verified.last_sequence,
        head: verified.head,
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
    })
}

/// Copies the first `end` bytes into a new file, and returns their BLAKE3.
fn copy(disk: &dyn Disk, from: &Path, to: &Path, end: u64) -> io::Result<[u8; 32]> {
    let from = disk.open(from, Access::Read)?;
    let to: Box<dyn DiskFile> = disk.open(to, Access::CreateNew)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < end {
        piece.resize(usize::try_from(end - at).unwrap_or(PIECE).min(PIECE), 0);
        from.read_at(at, &mut piece)?;
        to.write_at(at, &piece)?;
        hasher.update(&piece);
        at += piece.len() as u64;
    }
    to.sync_data()?;
    Ok(hasher.finalize().into())
}
