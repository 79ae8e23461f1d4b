//! What the disk's clones share: contents and names, and what becomes of each call.

use super::contents::Contents;
use super::names::{Names, Node};
use super::random::Random;
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

/// What of a disk cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnly {
    /// The file system is mounted so: nothing.
    FileSystem,
    /// The directories have mode 0500: files that are there can be, names cannot.
    Directories,
}

#[derive(Debug)]
pub(super) struct Platter {
    pub(super) files: HashMap<u64, Contents>,
    pub(super) names: Names,
    pub(super) next_file: u64,
    pub(super) random: Random,
    /// Calls that change something, and all calls.
    pub(super) changes: u64,
    pub(super) calls: u64,
    pub(super) cut_at: Option<u64>,
    pub(super) cut: bool,
    pub(super) fail_at: Option<u64>,
    pub(super) failed: u64,
    pub(super) capacity: Option<u64>,
    pub(super) sync_latency: Duration,
    pub(super) read_only: Option<ReadOnly>,
}

/// What comes of a call.
pub(super) enum Fate {
    /// It works.
    Works,
    /// It fails as it was told to.
    Fails,
    /// The power is cut while it runs.
    Cut,
}

pub(super) fn no_power() -> io::Error {
    io::Error::other("the power was cut")
}

pub(super) fn told_to_fail() -> io::Error {
    io::Error::other("the disk was told to fail this call")
}

impl Platter {
    /// Refuses to change what a file holds, as Linux does.
    pub(super) fn refuse_writes(&self) -> io::Result<()> {
        match self.read_only {
            Some(ReadOnly::FileSystem) => Err(Errno::ROFS.into()),
            Some(ReadOnly::Directories) | None => Ok(()),
        }
    }

    /// Refuses to make, rename or remove anything.
    pub(super) fn refuse_names(&self) -> io::Result<()> {
        match self.read_only {
            Some(ReadOnly::Directories) => Err(Errno::ACCESS.into()),
            Some(ReadOnly::FileSystem) | None => self.refuse_writes(),
        }
    }

    /// Counts a call that changes nothing.
    pub(super) fn look(&mut self) -> io::Result<()> {
        if self.cut {
            return Err(no_power());
        }
        self.calls += 1;
        if self.fail_at == Some(self.calls) {
            self.failed += 1;
            return Err(told_to_fail());
        }
        Ok(())
    }

    /// Counts a call that changes something.
    pub(super) fn change(&mut self) -> io::Result<Fate> {
        if self.cut {
            return Err(no_power());
        }
        self.calls += 1;
        self.changes += 1;
        if self.cut_at == Some(self.changes) {
            self.cut = true;
            return Ok(Fate::Cut);
        }
        if self.fail_at == Some(self.calls) {
            self.failed += 1;
            return Ok(Fate::Fails);
        }
        Ok(Fate::Works)
    }

    /// A change that is whole once it is made, durable or not: a power cut in the middle may have made it.
    pub(super) fn simple_change(&mut self, make: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        match self.change()? {
            Fate::Works => make(self),
            Fate::Fails => Err(told_to_fail()),
            Fate::Cut => {
                drop(make(self));
                Err(no_power())
            }
        }
    }

    pub(super) fn used(&self) -> u64 {
        let files = self.names.now.values().filter_map(|node| match node {
            Node::File(id) => self.files.get(id),
            Node::Dir => None,
        });
        files.map(|contents| contents.now.len()).sum()
    }

    pub(super) fn file(&mut self, id: u64) -> io::Result<&mut Contents> {
        self.files.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Refuses what would need more than there is.
    pub(super) fn refuse_beyond_room(&self, id: u64, wanted_len: u64) -> io::Result<()> {
        let len = self.files.get(&id).map_or(0, |contents| contents.now.len());
        match self.capacity {
            Some(capacity) if self.used() + wanted_len.saturating_sub(len) > capacity => Err(io::ErrorKind::StorageFull.into()),
            Some(_) | None => Ok(()),
        }
    }
}
