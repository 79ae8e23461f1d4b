//! An open file of the simulated disk.

use super::SimulatedDisk;
use super::contents::Contents;
use super::platter::{Fate, Platter, no_power, told_to_fail};
use crate::disk::DiskFile;
use std::io;

#[derive(Debug)]
pub(super) struct SimulatedFile {
    pub(super) disk: SimulatedDisk,
    pub(super) id: u64,
    pub(super) writable: bool,
}

impl SimulatedFile {
    fn grow_to(&self, platter: &mut Platter, len: u64, make: impl Fn(&mut Contents)) -> io::Result<()> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        platter.refuse_writes()?;
        platter.refuse_beyond_room(self.id, len)?;
        platter.simple_change(|platter| {
            make(platter.file(self.id)?);
            Ok(())
        })
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        let mut platter = self.disk.lock();
        platter.look()?;
        Ok(platter.file(self.id)?.now.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut platter = self.disk.lock();
        platter.look()?;
        let read = platter.file(self.id)?.now.read(offset, out);
        read.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.disk.lock();
        let end = offset + bytes.len() as u64;
        let written = self.grow_to(&mut platter, end, |contents| contents.write(offset, bytes));
        if written.is_err() && self.writable && !platter.cut && platter.refuse_writes().is_ok() {
            // Any part of it, from the start on, may have been written.
            let part = usize::try_from(platter.random.below(bytes.len() as u64)).unwrap_or(0);
            let part = bytes.get(..part).unwrap_or_default();
            if platter.refuse_beyond_room(self.id, offset + part.len() as u64).is_ok() {
                platter.file(self.id)?.write(offset, part);
            }
        }
        written
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.grow_to(&mut self.disk.lock(), len, |contents| contents.set_len(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.grow_to(&mut self.disk.lock(), len, |contents| {
            if len > contents.now.len() {
                contents.set_len(len);
            }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let latency = self.disk.lock().sync_latency;
        if !latency.is_zero() {
            std::thread::sleep(latency);
        }
        let platter = &mut *self.disk.lock();
        let fate = platter.change()?;
        let contents = platter.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        match fate {
            Fate::Works => {
                contents.sync();
                Ok(())
            }
            Fate::Fails => {
                contents.fail_sync(&mut platter.random);
                Err(told_to_fail())
            }
            Fate::Cut => Err(no_power()),
        }
    }
}
