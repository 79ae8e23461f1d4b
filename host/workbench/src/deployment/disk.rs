//! The ledger's simulated disk, whose next sync can be made to fail, and which loses all that was not synced.

use sigwarden_ledger::disk::simulated::{Random, SimulatedDisk};
use sigwarden_ledger::disk::{Access, Disk, DiskFile};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is free when the disk is full: under the ledger's last reserve of 64 MiB, and enough for what it still has to write.
const ALMOST_FULL: u64 = 48 * 1024 * 1024;

/// The disk; its clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct FaultyDisk {
    disk: SimulatedDisk,
    fail_sync: Arc<AtomicBool>,
}

impl FaultyDisk {
    pub(crate) fn new() -> Self {
        Self::of(SimulatedDisk::new(0))
    }

    fn of(disk: SimulatedDisk) -> Self {
        Self {
            disk,
            fail_sync: Arc::default(),
        }
    }

    /// The next `sync_data` fails, and syncs nothing.
    pub(crate) fn fail_next_sync(&self) {
        self.fail_sync.store(true, Ordering::SeqCst);
    }

    /// No room for a decision any more, or enough again.
    pub(crate) fn fill_up(&self, full: bool) {
        self.disk.set_capacity(full.then(|| self.disk.used() + ALMOST_FULL));
    }

    /// The disk after the power was cut: nothing that was not synced survives.
    pub(crate) fn power_cut(&self) -> Self {
        Self::of(self.disk.power_cut(nothing_survives()))
    }
}

/// A seed of which the simulator makes the worst luck: it draws one of eight for names, then one for contents, and 0 and 1 lose all.
fn nothing_survives() -> u64 {
    let unlucky = |seed: &u64| {
        let mut random = Random::new(*seed);
        random.below(8) < 2 && random.below(8) < 2
    };
    (0..).find(unlucky).unwrap_or(0)
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.open(path, access)?;
        Ok(Box::new(FaultyFile {
            file,
            fail_sync: Arc::clone(&self.fail_sync),
        }))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn DiskFile>,
    fail_sync: Arc<AtomicBool>,
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.fail_sync.swap(false, Ordering::SeqCst) {
            return Err(io::Error::other("fdatasync fails, as the fixture says"));
        }
        self.file.sync_data()
    }
}
