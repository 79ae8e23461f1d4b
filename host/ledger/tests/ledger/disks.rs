//! Disks for tests: one that does not wait, one that fails when told.

use sigwarden_ledger::disk::{Access, Disk, DiskFile, RealDisk};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The real disk without its syncs, which thousands of openings need not wait for; and with syncs that fail when told.
#[derive(Debug, Default, Clone)]
pub(crate) struct QuickDisk {
    pub(crate) fail_sync: Arc<AtomicBool>,
}

#[derive(Debug)]
struct QuickFile(Box<dyn DiskFile>, Arc<AtomicBool>);

fn sync(fail: &AtomicBool) -> io::Result<()> {
    if fail.load(Ordering::SeqCst) {
        return Err(io::Error::other("the test says that the disk is gone"));
    }
    Ok(())
}

impl Disk for QuickDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = RealDisk.open(path, access)?;
        Ok(Box::new(QuickFile(file, Arc::clone(&self.fail_sync))))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        sync(&self.fail_sync)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }
}

impl DiskFile for QuickFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        sync(&self.1)
    }
}
