//! The operating system's disk.

use super::{Access, Disk, DiskFile};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The operating system's disk.
#[derive(Debug, Clone, Copy)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(access != Access::Read)
            .create_new(access == Access::CreateNew)
            .mode(0o600)
            .open(path)?;
        refuse_if_open_to_others(path, file.metadata()?.permissions().mode())?;
        Ok(Box::new(RealFile(file)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        refuse_if_open_to_others(path, std::fs::metadata(path)?.permissions().mode())?;
        // A name that is not UTF-8 is none of ours.
        std::fs::read_dir(path)?
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let room = rustix::fs::statvfs(path)?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }
}

fn refuse_if_open_to_others(path: &Path, mode: u32) -> io::Result<()> {
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let found = mode & 0o7777;
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "mode {found:04o} lets others at it; find out who changed it, then `chmod go= {}`",
            path.display()
        ),
    ))
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let from = self.len()?;
        let more = len.saturating_sub(from);
        if more > 0 {
            rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), from, more)?;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn files_and_directories_are_the_owners_alone_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        RealDisk.create_dir(&inner).unwrap();
        let path = inner.join("file");
        let file = RealDisk.open(&path, Access::CreateNew).unwrap();
        file.allocate(10).unwrap();
        file.write_at(3, b"abc").unwrap();
        let mut bytes = [1; 10];
        file.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0\0abc\0\0\0\0");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(RealDisk.list(&inner).unwrap(), ["file"]);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(
            RealDisk.open(&path, Access::Read).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
        std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(RealDisk.list(&inner).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
