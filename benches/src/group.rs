//! Group commit: decisions a durable write at 1, 8, 64 and 256 in flight, and what a slow disk costs when many are in flight.

use crate::measure::throughput;
use crate::policies::{allowed, three};
use crate::rig::Rig;
use crate::table::{Row, Target};
use anyhow::Result;
use sigwarden_core::{Role, Scheme};
use sigwarden_ledger::disk::{Access, Disk, DiskFile, RealDisk};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A disk whose durable writes take as long as they are told, and no more: nothing is made durable, so that the machine's own disk does
/// not blur the comparison.
#[derive(Debug, Clone, Copy)]
struct Timed(Duration);

#[derive(Debug)]
struct TimedFile(Box<dyn DiskFile>, Duration);

impl Disk for Timed {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(TimedFile(RealDisk.open(path, access)?, self.0)))
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
        Ok(())
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }
}

impl DiskFile for TimedFile {
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
        std::thread::sleep(self.1);
        Ok(())
    }
}

/// Requests a second, and decisions a durable write.
fn run(rig: &Rig, in_flight: usize, window: Duration, nonce: &AtomicU64) -> (f64, f64) {
    let before = (rig.ledger.health().writes, nonce.load(Ordering::Relaxed));
    let (rate, _) = throughput(in_flight, window, |_| {
        || {
            let nonce = nonce.fetch_add(1, Ordering::Relaxed);
            let payload = sigwarden_tests::payload::transfer(nonce, Some(allowed(nonce)), 1).unsigned();
            rig.sign("evm/eip-1559", payload);
        }
    });
    let writes = rig.ledger.health().writes - before.0;
    let decisions = nonce.load(Ordering::Relaxed) - before.1;
    #[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    (rate, decisions as f64 / writes.max(1) as f64)
}

/// Decisions a durable write: each load's at least that of the one below.
///
/// # Errors
/// The rig does not stand.
pub fn group_commit(base: &Path, window: Duration) -> Result<Vec<Row>> {
    let rig = Rig::new(base, Scheme::Secp256k1Ecdsa, Role::Account, three(1_000)?)?;
    let nonce = AtomicU64::new(0);
    let mut below = None;
    let names = [
        ("group-commit-1", 1),
        ("group-commit-8", 8),
        ("group-commit-64", 64),
        ("group-commit-256", 256),
    ];
    Ok(names
        .into_iter()
        .map(|(name, in_flight)| {
            run(&rig, in_flight, window / 8, &nonce);
            let (rate, grouped) = run(&rig, in_flight, window / 4, &nonce);
            let target = below.replace(grouped).map(Target::AtLeast);
            let note = format!("{in_flight} in flight: {grouped:.1} decisions a durable write, {rate:.0} requests/s");
            Row::new(name, grouped, (0.0, 0.0), rate, target, note)
        })
        .collect())
}

/// Throughput at 256 in flight on a disk of 5 ms a write, against one of no time at all, windows interleaved.
///
/// # Errors
/// A rig does not stand.
pub fn slow_disk(base: &Path, window: Duration) -> Result<Row> {
    let rig = |delay| Rig::on(Arc::new(Timed(delay)), base, Scheme::Secp256k1Ecdsa, Role::Account, three(1_000)?);
    let (fast, slow) = (rig(Duration::ZERO)?, rig(Duration::from_millis(5))?);
    let nonce = AtomicU64::new(0);
    let (mut fast_rate, mut slow_rate, mut grouped) = (0.0, 0.0, 0.0);
    run(&fast, 256, window / 8, &nonce);
    for _ in 0..4 {
        fast_rate += run(&fast, 256, window / 4, &nonce).0 / 4.0;
        let (rate, each) = run(&slow, 256, window / 4, &nonce);
        slow_rate += rate / 4.0;
        grouped += each / 4.0;
    }
    let note =
        format!("256 in flight: {slow_rate:.0} requests/s at 5 ms a write ({grouped:.0} decisions each) against {fast_rate:.0}/s at none");
    let target = Some(Target::AtLeast(0.8));
    Ok(Row::new(
        "slow-disk-256",
        slow_rate / fast_rate,
        (0.0, 0.0),
        fast_rate,
        target,
        note,
    ))
}
