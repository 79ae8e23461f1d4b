//! Making a ledger, and opening one. What may be cut, and when, is in [`crate::recover`]; what is written at a start is here, in an order
//! that a power cut at any point leaves to the next start.

use crate::checkpoint::{Checkpoint, Dirty, Meta};
use crate::disk::{Access, Disk};
use crate::error::OpenError;
use crate::frame::Header;
use crate::ledger::{Found, Opening, Settings};
use crate::recover::{Recovered, recover};
use crate::scan::Link;
use crate::segment::{self, TEMPORARY, Writer};
use sigwarden_core::state::State;
use std::io;
use std::path::Path;

/// What an open ledger is made of.
pub(crate) struct Opened {
    pub(crate) writer: Writer,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) state: State,
    pub(crate) link: Link,
    pub(crate) opening: Opening,
}

/// Makes a deployment's ledger. Its checkpoint comes first and its log last, so that what is left of an interrupted attempt is never
/// taken for a ledger.
pub(crate) fn create(disk: &dyn Disk, state_dir: &Path, settings: &Settings) -> Result<(), OpenError> {
    let log = state_dir.join("log");
    for dir in [state_dir, &log] {
        match disk.create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(OpenError::io(dir)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let exists = || OpenError::Exists {
        state_dir: state_dir.to_owned(),
    };
    if !disk.list(&log).map_err(OpenError::io(&log))?.is_empty() {
        return Err(exists());
    }
    match disk.open(&state_dir.join(crate::checkpoint::FILE), Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(_) | Err(_) => return Err(exists()),
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(OpenError::Random)?;
    let deployment = hex::encode(id);
    let header = Header::first(deployment.clone(), settings.now_ms);
    drop(Checkpoint::create(disk, state_dir, Meta::empty(deployment, header.generation))?);
    let writer = Writer::create(disk, &log, header, settings.segment_bytes).map_err(OpenError::io(&log))?;
    writer.finish().map_err(OpenError::io(&log))?;
    disk.sync_dir(state_dir).map_err(OpenError::io(state_dir))?;
    match state_dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => disk.sync_dir(parent).map_err(OpenError::io(parent)),
        None => Ok(()),
    }
}

/// Opens a deployment's ledger: reads it, then makes what was read durable, then begins a new segment, and only then lets the
/// checkpoint follow.
pub(crate) fn open(disk: &dyn Disk, state_dir: &Path, settings: &Settings) -> Result<Opened, OpenError> {
    let log = state_dir.join("log");
    let Recovered {
        checkpoint,
        state,
        dirty,
        link,
        newest,
        newest_end,
        torn,
        oldest,
        caught_up,
    } = recover(disk, state_dir, settings.rebuild_checkpoint)?;
    if let Some(admit) = &settings.admit {
        let found = Found {
            deployment_id: &newest.deployment,
            generation: newest.generation,
            sequence: link.sequence,
        };
        admit(&found).map_err(OpenError::NotAdmitted)?;
    }
    let generation = match settings.adopt_after {
        Some(known) => newest.generation.max(known).saturating_add(1),
        None => newest.generation,
    };

    remove_temporaries(disk, &log)?;
    rewrite(disk, &log, &newest, newest_end)?;
    let header = Header {
        first: link.sequence.saturating_add(1),
        previous: link.head,
        time: settings.now_ms.saturating_mul(1_000_000),
        generation,
        ..newest
    };
    let opening = Opening {
        deployment_id: header.deployment.clone(),
        generation: header.generation,
        cut_bytes: torn,
        caught_up,
        rebuilt: checkpoint.is_none(),
    };
    let writer = Writer::create(disk, &log, header, settings.segment_bytes).map_err(OpenError::io(&log))?;

    let (mut checkpoint, dirty) = match checkpoint {
        Some(checkpoint) => (checkpoint, dirty),
        None => {
            let empty = Meta::empty(opening.deployment_id.clone(), opening.generation);
            (Checkpoint::create(disk, state_dir, empty)?, Dirty::All)
        }
    };
    let meta = Meta {
        sequence: link.sequence,
        head: link.head,
        segment: writer.header().first,
        generation: opening.generation,
        oldest,
        ..checkpoint.meta().clone()
    };
    let file = state_dir.join(crate::checkpoint::FILE);
    checkpoint.write(&state, &dirty, meta).map_err(|trouble| trouble.at(&file))?;
    Ok(Opened {
        writer,
        checkpoint,
        state,
        link,
        opening,
    })
}

/// Removes what an interrupted rewriting or beginning of a segment left.
fn remove_temporaries(disk: &dyn Disk, log: &Path) -> Result<(), OpenError> {
    for name in disk.list(log).map_err(OpenError::io(log))? {
        if name.strip_suffix(TEMPORARY).is_some_and(|name| segment::first_of(name).is_some()) {
            let path = log.join(name);
            disk.remove(&path).map_err(OpenError::io(&path))?;
        }
    }
    Ok(())
}

/// Writes the newest segment anew, up to its last valid frame. What was read of it may have come from the page cache and never have
/// reached the disk (an `fdatasync` that failed before the crash marks its pages clean); what is decided from now on rests on it.
fn rewrite(disk: &dyn Disk, log: &Path, newest: &Header, end: u64) -> Result<(), OpenError> {
    // As much at once as is read at once.
    const PIECE: usize = 1024 * 1024;
    let path = log.join(segment::name(newest.first));
    let temporary = log.join(format!("{}{TEMPORARY}", segment::name(newest.first)));
    let copy = || {
        let from = disk.open(&path, Access::Read)?;
        let to = disk.open(&temporary, Access::CreateNew)?;
        let mut piece = Vec::new();
        let mut at = 0;
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            piece.resize(len, 0);
            from.read_at(at, &mut piece)?;
            to.write_at(at, &piece)?;
            at += len as u64;
        }
        to.sync_data()?;
        disk.rename(&temporary, &path)?;
        disk.sync_dir(log)
    };
    let copied = copy();
    if copied.is_err() {
        // It takes room that the next attempt needs.
        drop(disk.remove(&temporary));
    }
    copied.map_err(OpenError::io(&path))
}
