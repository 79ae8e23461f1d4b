//! Segments that the checkpoint has absorbed leave the log for `STATE/archive/`, so that a start reads few. The checkpoint's `oldest` rises
//! durably before the first is moved: a segment that is missing is told from one that was archived, and one that a power cut left
//! in the log is moved next time.

use crate::disk::Disk;
use crate::ledger::Inner;
use crate::segment;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// The archive's directory.
pub(crate) fn dir(state_dir: &Path) -> PathBuf {
    state_dir.join("archive")
}

/// The archived segments, in order: those that are still here.
pub(crate) fn list(disk: &dyn Disk, state_dir: &Path) -> io::Result<Vec<u64>> {
    match segment::list(disk, &dir(state_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

/// Log and archive as one: the segments in order, with where they are. One that is moved meanwhile is found where it was or where it is.
pub(crate) fn all_segments(disk: &dyn Disk, state_dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let log = state_dir.join("log");
    // The log first: what is moved in between is in both lists rather than in none.
    let mut segments: Vec<_> = segment::list(disk, &log)?
        .into_iter()
        .map(|first| (first, log.join(segment::name(first))))
        .collect();
    for first in list(disk, state_dir)? {
        let archived = (first, dir(state_dir).join(segment::name(first)));
        match segments.iter_mut().find(|(known, _)| *known == first) {
            Some(known) => *known = archived,
            None => segments.push(archived),
        }
    }
    segments.sort_by_key(|(first, _)| *first);
    Ok(segments)
}

impl Inner {
    /// Moves what the checkpoint has absorbed, if the log has more segments than it keeps. What cannot be moved stays; nothing depends
    /// on it.
    pub(crate) fn archive(&self) {
        if let Err(error) = self.try_archive() {
            tracing::warn!(%error, "segments could not be moved to the archive");
        }
    }

    fn try_archive(&self) -> io::Result<()> {
        let segments = segment::list(self.disk.as_ref(), &self.log)?;
        let mut checkpoint = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let meta = checkpoint.meta().clone();
        let Some(over) = segments.len().checked_sub(self.segments_kept.max(1)).filter(|over| *over > 0) else {
            return Ok(());
        };
        // Absorbed are those before the checkpoint's own segment, which is durable. The listing may show a newer one that is just being
        // made, and that a power cut would take away again.
        let absorbed = segments.iter().take(over + 1).rfind(|first| **first <= meta.segment).copied();
        let oldest = absorbed.unwrap_or(meta.oldest).max(meta.oldest);
        let moving: Vec<u64> = segments.into_iter().filter(|first| *first < oldest).collect();
        if moving.is_empty() {
            return Ok(());
        }
        let archive = dir(&self.state_dir);
        match self.disk.create_dir(&archive) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // One that is there may have been made just before a kill.
        self.disk.sync_dir(&self.state_dir)?;
        if oldest > meta.oldest {
            checkpoint
                .raise_oldest(oldest)
                .map_err(|trouble| io::Error::other(self.checkpoint_failed(&trouble)))?;
        }
        for first in &moving {
            let name = segment::name(*first);
            self.disk.rename(&self.log.join(&name), &archive.join(&name))?;
        }
        self.disk.sync_dir(&archive)?;
        self.disk.sync_dir(&self.log)?;
        tracing::info!(segments = moving.len(), oldest, "segments were moved to the archive");
        Ok(())
    }
}
