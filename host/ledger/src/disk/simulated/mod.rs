//! A disk that lies, for tests: in memory, and what it does is determined by a seed. What was not made durable it loses, tears and
//! reorders, page by page and sector by sector; it fails any call it is told to, and fills up.
//!
//! After a failed `sync_data` some of the pages were written and the others count as written: they read as before, no later sync tries
//! them again, and a power cut loses them. That is what Linux does.

mod contents;
mod file;
mod names;
mod platter;
mod random;

pub use platter::ReadOnly;
pub use random::Random;

use super::{Access, Disk, DiskFile};
use contents::{Contents, Luck};
use file::SimulatedFile;
use names::{Names, Node};
use platter::{Fate, Platter, no_power, told_to_fail};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The disk; its clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk(Arc<Mutex<Platter>>);

/// Calls that a disk was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// Those that change something: a power cut before any other is the same as one before the next of these.
    pub changes: u64,
    /// All of them.
    pub all: u64,
    /// Those that failed because they were told to.
    pub failed: u64,
}

/// The free room of a disk without a capacity.
const ROOMY: u64 = 1 << 40;

impl SimulatedDisk {
    /// An empty disk, with nothing but `/`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let root = [(Path::new("/").to_owned(), Node::Dir)];
        Self::with(HashMap::new(), Names::survived(root.into()), Random::new(seed))
    }

    fn with(files: HashMap<u64, Contents>, names: Names, random: Random) -> Self {
        Self(Arc::new(Mutex::new(Platter {
            next_file: files.keys().max().map_or(0, |last| last + 1),
            files,
            names,
            random,
            changes: 0,
            calls: 0,
            cut_at: None,
            cut: false,
            fail_at: None,
            failed: 0,
            capacity: None,
            sync_latency: Duration::ZERO,
            read_only: None,
        })))
    }

    /// Cuts the power in the middle of the `n`th call from now that changes something, from 1: it may have happened, and every later
    /// call fails.
    pub fn cut_at(&self, n: u64) {
        let mut platter = self.lock();
        platter.cut_at = Some(platter.changes + n);
    }

    /// Lets the `n`th call from now fail, whatever it is, from 1. `None` fails no more.
    pub fn fail_at(&self, n: Option<u64>) {
        let mut platter = self.lock();
        platter.fail_at = n.map(|n| platter.calls + n);
    }

    /// Bytes that it holds; `None` for more than anybody needs.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// How long a `sync_data` takes.
    pub fn set_sync_latency(&self, latency: Duration) {
        self.lock().sync_latency = latency;
    }

    /// Refuses every change from now on, or of names only; `None` takes them again.
    pub fn set_read_only(&self, read_only: Option<ReadOnly>) {
        self.lock().read_only = read_only;
    }

    /// Bytes used.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().used()
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        let platter = self.lock();
        Calls {
            changes: platter.changes,
            all: platter.calls,
            failed: platter.failed,
        }
    }

    /// Whether the power was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.lock().cut
    }

    /// The disk after a power cut at this moment, started again. The seed decides what survived of what was not durable.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> Self {
        let platter = self.lock();
        let mut random = Random::new(seed);
        let names = platter.names.survivors(Luck::draw(&mut random), &mut random);
        let luck = Luck::draw(&mut random);
        let mut files = HashMap::new();
        for node in names.values() {
            if let Node::File(id) = node
                && let Some(contents) = platter.files.get(id)
            {
                files.insert(*id, Contents::survived(contents.survivors(luck, &mut random)));
            }
        }
        let disk = Self::with(files, Names::survived(names), random);
        disk.set_capacity(platter.capacity);
        disk.set_sync_latency(platter.sync_latency);
        disk
    }

    /// A copy of the disk as it is, the unsure included.
    #[must_use]
    pub fn copy(&self) -> Self {
        let platter = self.lock();
        let disk = Self::with(platter.files.clone(), platter.names.clone(), platter.random.clone());
        disk.set_capacity(platter.capacity);
        disk.set_sync_latency(platter.sync_latency);
        disk
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut platter = self.lock();
        let known = platter.names.now.get(path).copied();
        let id = match (access, known) {
            (Access::Read | Access::Write, found) => {
                platter.look()?;
                if access == Access::Write {
                    platter.refuse_writes()?;
                }
                match found {
                    Some(Node::File(id)) => id,
                    Some(Node::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
                    None => return Err(io::ErrorKind::NotFound.into()),
                }
            }
            (Access::CreateNew, Some(_)) => {
                platter.look()?;
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            (Access::CreateNew, None) => {
                platter.refuse_names()?;
                let id = platter.next_file;
                platter.simple_change(|platter| {
                    platter.next_file += 1;
                    platter.files.insert(id, Contents::default());
                    platter.names.change(None, Some((path, Node::File(id))));
                    Ok(())
                })?;
                id
            }
        };
        drop(platter);
        Ok(Box::new(SimulatedFile {
            disk: self.clone(),
            id,
            writable: access != Access::Read,
        }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.lock();
        if platter.names.now.contains_key(path) {
            platter.look()?;
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        platter.refuse_names()?;
        platter.simple_change(|platter| {
            platter.names.change(None, Some((path, Node::Dir)));
            Ok(())
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut platter = self.lock();
        platter.look()?;
        if platter.names.now.get(path) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = platter.names.now.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| Some(name.file_name()?.to_str()?.to_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platter = self.lock();
        let Some(node) = platter.names.now.get(from).copied() else {
            platter.look()?;
            return Err(io::ErrorKind::NotFound.into());
        };
        platter.refuse_names()?;
        platter.simple_change(|platter| {
            platter.names.change(Some(from), Some((to, node)));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.lock();
        if !platter.names.now.contains_key(path) {
            platter.look()?;
            return Err(io::ErrorKind::NotFound.into());
        }
        platter.refuse_names()?;
        platter.simple_change(|platter| {
            platter.names.change(Some(path), None);
            Ok(())
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.lock();
        match platter.change()? {
            Fate::Works => platter.names.sync(path),
            Fate::Fails => return Err(told_to_fail()),
            Fate::Cut => return Err(no_power()),
        }
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        let mut platter = self.lock();
        platter.look()?;
        Ok(platter.capacity.map_or(ROOMY, |capacity| capacity.saturating_sub(platter.used())))
    }
}
