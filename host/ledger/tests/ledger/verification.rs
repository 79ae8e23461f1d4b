//! The log by its files alone.

use crate::disks::QuickDisk;
use crate::recovery::{flip, frames, segments};
use crate::world::{Rule, World};
use sigwarden_ledger::{VerifyError, replay, tail, verify};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn every_flipped_byte_is_found_in_the_frame_that_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Allow);
    world.vote(5, 100, "a").unwrap();
    world.vote(5, 200, "a").unwrap();
    world.vote(5, 100, "b").unwrap_err();
    world.ledger.close().unwrap();
    let mut told = Vec::new();
    let verified = verify(dir.path(), &mut |done, total| told.push((done, total))).unwrap();
    let total: u64 = segments(dir.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(told.last(), Some(&(total, total)));
    assert_eq!((verified.unfinished_bytes, verified.first_sequence), (0, 1));
    assert_eq!(
        (verified.records, verified.head),
        (verified.last_sequence, world.ledger.health().head)
    );
    assert_eq!(tail(dir.path(), 10_000).unwrap().len() as u64, verified.records);

    let newest = segments(dir.path()).len() - 1;
    for (index, path) in segments(dir.path()).into_iter().enumerate() {
        let begins = frames(&path);
        for at in 0..path.metadata().unwrap().len() {
            let frame = begins.partition_point(|begin| *begin <= at) - 1;
            flip(&path, at);
            match verify(dir.path(), &mut |_, _| {}) {
                Err(VerifyError::Bad { file, offset, .. }) => {
                    let within = (begins[frame]..begins[frame + 1]).contains(&offset);
                    assert!(file == path && within, "{} {at}: {} {offset}", path.display(), file.display());
                }
                Err(other) => panic!("{other}"),
                Ok(found) => assert!(index == newest && found.unfinished_bytes > 0, "{} {at}", path.display()),
            }
            flip(&path, at);
        }
    }
    assert_eq!(verify(dir.path(), &mut |_, _| {}).unwrap(), verified);
}

#[test]
fn a_running_ledger_verifies_and_nothing_at_all_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Allow);
    for n in 0..50 {
        world.message(&[n]).unwrap();
        verify(dir.path(), &mut |_, _| {}).unwrap();
    }
    for path in segments(dir.path()) {
        std::fs::remove_file(path).unwrap();
    }
    assert!(matches!(verify(dir.path(), &mut |_, _| {}), Err(VerifyError::Missing { .. })));
}

#[test]
fn beside_a_busy_writer_no_reader_sees_a_broken_chain() {
    const READINGS: usize = 30;
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Allow);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        let writer = scope.spawn(|| {
            let mut written = 0_u64;
            // Bounded, should the reader be starved.
            while !stop.load(Ordering::SeqCst) && written < 5_000 {
                world.message(&written.to_be_bytes()).unwrap();
                written += 1;
            }
            written
        });
        let mut last = 0;
        for _ in 0..READINGS {
            let verified = verify(dir.path(), &mut |_, _| {}).unwrap();
            assert!(verified.last_sequence >= last, "what was durable stays");
            last = verified.last_sequence;
            let uses: u64 = replay(dir.path()).unwrap().keys.values().map(|status| status.uses).sum();
            // A decision has at most one outcome, and eight records made the deployment.
            assert!(uses * 2 + 8 >= last, "{uses} uses after record {last}");
        }
        stop.store(true, Ordering::SeqCst);
        assert!(writer.join().unwrap() > 0);
    });
    world.ledger.close().unwrap();
    let verified = verify(dir.path(), &mut |_, _| {}).unwrap();
    assert_eq!((verified.unfinished_bytes, verified.head), (0, world.ledger.health().head));
}

/// Stops the writer whatever happens to the reader.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_replay_beside_a_running_ledger_gives_its_durable_state() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Allow);
    for n in 1..20 {
        world.message(&[n]).unwrap();
        world.vote(u64::from(n) + 1, 1, "block").unwrap();
    }
    let (read, live) = (replay(dir.path()).unwrap(), world.pipeline.snapshot());
    // The last signature becomes durable with the next commit; positions and uses are durable now.
    let positions = |state: &sigwarden_core::state::State| {
        let mut positions: Vec<_> = state.floors.iter().map(|(key, floor)| (key.clone(), floor.position)).collect();
        positions.sort();
        positions
    };
    assert_eq!(positions(&read), positions(&live));
    assert_eq!(positions(&read).len(), 1);
    let uses = |state: &sigwarden_core::state::State| state.keys.values().map(|status| status.uses).sum::<u64>();
    assert_eq!((uses(&read), uses(&live)), (38, 38));
}
