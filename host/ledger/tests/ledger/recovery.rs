//! Starts after crashes and accidents. Nothing acknowledged is lost, and what cannot be known to be complete does not start.

use crate::disks::QuickDisk;
use crate::world::{ACCOUNT, NOW, Rule, VALIDATOR, World, settings};
use sigwarden_core::Code;
use sigwarden_ledger::{EmbeddedLedger, OpenError, Settings, verify};
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The segments of a deployment, in order.
pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Flips one bit of a byte.
pub(crate) fn flip(path: &Path, at: u64) {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    byte[0] ^= 1;
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&byte).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            fs::set_permissions(&target, entry.metadata().unwrap().permissions()).unwrap();
            copy(&entry.path(), &target);
        } else {
            // Without the zeros that reserve blocks: thousands of copies are made.
            let mut bytes = fs::read(entry.path()).unwrap();
            if target.extension().is_some_and(|extension| extension == "jsonl") {
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
                bytes.truncate(end);
            }
            fs::write(&target, bytes).unwrap();
            fs::set_permissions(&target, entry.metadata().unwrap().permissions()).unwrap();
        }
    }
}

fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    to
}

fn quick() -> Arc<QuickDisk> {
    Arc::new(QuickDisk::default())
}

fn open(dir: &Path) -> Result<World, OpenError> {
    World::open(quick(), dir, Rule::Allow)
}

fn refused(dir: &Path) -> OpenError {
    match open(dir) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

/// Opens as an operator who asks for a new checkpoint.
fn rebuild(dir: &Path) -> Result<World, OpenError> {
    let settings = Settings {
        rebuild_checkpoint: true,
        ..settings()
    };
    World::open_with(settings, quick(), dir, Rule::Allow)
}

/// A deployment that crashed after votes at heights 2 to `last`; its checkpoint is as old as its last start.
fn crashed(last: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(quick(), dir.path(), Rule::Allow);
    for height in 2..=last {
        world.vote(height, 1, "a").unwrap();
    }
    let copy = copied(dir.path());
    drop(world);
    copy
}

/// Where the frames of a segment begin, and its end.
pub(crate) fn frames(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).unwrap();
    let mut begins = vec![0];
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len() as u64;
        if line.starts_with(b"{\"frame\":") {
            begins.push(at);
        }
    }
    begins
}

#[test]
fn a_frame_cut_at_any_byte_is_as_if_never_written_and_nothing_before_it_is_lost() {
    let dir = crashed(4);
    let newest = segments(dir.path()).pop().unwrap();
    let begins = frames(&newest);
    let [begin, end] = begins[begins.len() - 2..].try_into().unwrap();
    for cut in begin..=end {
        let copy = copied(dir.path());
        let newest = segments(copy.path()).pop().unwrap();
        fs::OpenOptions::new().write(true).open(&newest).unwrap().set_len(cut).unwrap();
        let world = open(copy.path()).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let whole = cut == end;
        assert_eq!(world.ledger.opening().cut_bytes, if whole { 0 } else { cut - begin });
        assert_eq!(world.uses(VALIDATOR), if whole { 3 } else { 2 }, "cut at {cut}");
        // Height 3 was acknowledged before the frame of height 4 was begun.
        assert_eq!(
            world.vote(3, 1, "b").unwrap_err().kind(),
            if whole { Code::FloorRegression } else { Code::FloorConflict }
        );
        if cut % 100 == 0 {
            world.ledger.close().unwrap();
            assert_eq!(verify(copy.path(), &mut |_, _| {}).unwrap().unfinished_bytes, 0);
        }
    }
}

#[test]
fn a_torn_frame_in_reserved_blocks_is_cut_whatever_part_of_it_reached_the_disk() {
    let dir = crashed(4);
    let newest = segments(dir.path()).pop().unwrap();
    let begins = frames(&newest);
    let [begin, end] = begins[begins.len() - 2..].try_into().unwrap();
    // The terminator's page survives, an earlier one is zeros.
    let mut bytes = fs::read(&newest).unwrap();
    let middle = usize::try_from((begin + end) / 2).unwrap();
    bytes[usize::try_from(begin).unwrap()..middle].fill(0);
    bytes.extend([0; 10_000]);
    fs::write(&newest, bytes).unwrap();
    let world = open(dir.path()).unwrap();
    assert_eq!((world.uses(VALIDATOR), world.ledger.opening().cut_bytes), (2, end - begin));
}

#[test]
fn a_flipped_byte_before_a_valid_frame_does_not_start_and_says_where() {
    let dir = crashed(4);
    let newest = segments(dir.path()).pop().unwrap();
    let begins = frames(&newest);
    // Bytes of the header, of the second frame and of the last but one.
    for (frame, within) in [(0, 3), (1, 40), (begins.len() - 3, 0), (begins.len() - 3, 700)] {
        let at = begins[frame] + within;
        let copy = copied(dir.path());
        let newest = segments(copy.path()).pop().unwrap();
        flip(&newest, at);
        let before = fs::read(&newest).unwrap();
        match refused(copy.path()) {
            OpenError::Damaged { file, offset, .. } => {
                assert_eq!(file, newest);
                assert!((begins[frame]..=begins[frame + 1]).contains(&offset), "{at} found at {offset}");
            }
            other => panic!("{other}"),
        }
        assert_eq!(fs::read(&newest).unwrap(), before, "nothing was repaired");
    }
}

#[test]
fn a_flipped_byte_in_an_absorbed_segments_last_frame_or_header_does_not_start() {
    let dir = crashed(3);
    drop(open(dir.path()).unwrap());
    let old = segments(dir.path());
    let path = &old[old.len() - 2];
    let begins = frames(path);
    for at in [5, begins[begins.len() - 2] + 30, begins[begins.len() - 1] - 20] {
        flip(path, at);
        assert!(matches!(refused(dir.path()), OpenError::Damaged { file, .. } if file == *path));
        flip(path, at);
    }
    open(dir.path()).unwrap();
}

#[test]
fn a_missing_segment_does_not_start() {
    let dir = crashed(3);
    for _ in 0..3 {
        open(dir.path()).unwrap().message(b"x").unwrap();
    }
    let all = segments(dir.path());
    assert!(all.len() >= 4);
    for (index, path) in all.iter().enumerate() {
        let copy = copied(dir.path());
        fs::remove_file(segments(copy.path())[index].clone()).unwrap();
        match refused(copy.path()) {
            OpenError::MissingSegment { file } => {
                assert!(index == 0 || index == all.len() - 1);
                assert_eq!(file.file_name(), path.file_name());
            }
            OpenError::Gap { file, .. } => assert_eq!(file.file_name(), all[index + 1].file_name()),
            other => panic!("{index}: {other}"),
        }
    }
}

#[test]
fn a_segment_of_another_deployment_or_under_another_name_does_not_start() {
    let (one, other) = (crashed(3), crashed(3));
    let (path, foreign) = (segments(one.path()).pop().unwrap(), segments(other.path()).pop().unwrap());
    assert_eq!(path.file_name(), foreign.file_name());
    let own = fs::read(&path).unwrap();
    fs::write(&path, fs::read(&foreign).unwrap()).unwrap();
    assert!(matches!(refused(one.path()), OpenError::OtherDeployment { file, .. } if file == path));
    fs::write(&path, own).unwrap();
    let first = segments(one.path()).remove(0);
    fs::write(&path, fs::read(&first).unwrap()).unwrap();
    assert!(matches!(refused(one.path()), OpenError::Damaged { file, .. } if file == path));
}

#[test]
fn a_checkpoint_that_is_gone_or_damaged_does_not_start_and_is_rebuilt_only_when_asked() {
    let dir = crashed(4);
    let file = dir.path().join("checkpoint.redb");
    let copy = copied(dir.path());
    fs::remove_file(copy.path().join("checkpoint.redb")).unwrap();
    let error = refused(copy.path());
    assert!(matches!(&error, OpenError::MissingCheckpoint { file } if *file == copy.path().join("checkpoint.redb")));
    assert!(error.to_string().contains("`sigwarden ledger rebuild-checkpoint --reason TEXT`"));
    assert!(!copy.path().join("checkpoint.redb").exists(), "nothing was made");
    let world = rebuild(copy.path()).unwrap();
    assert!(world.ledger.opening().rebuilt);
    assert_eq!((world.uses(VALIDATOR), world.uses(ACCOUNT)), (3, 0));
    assert_eq!(world.vote(4, 1, "b").unwrap_err().kind(), Code::FloorConflict);
    drop(world);
    assert!(!open(copy.path()).unwrap().ledger.opening().rebuilt);
    assert!(!rebuild(copy.path()).unwrap().ledger.opening().rebuilt, "one that is there is used");
    // Without its first segment the log cannot rebuild it.
    fs::remove_file(copy.path().join("checkpoint.redb")).unwrap();
    fs::remove_file(segments(copy.path()).remove(0)).unwrap();
    assert!(matches!(rebuild(copy.path()).err(), Some(OpenError::Gap { first: 1, .. })));

    let len = file.metadata().unwrap().len();
    for cut in [0, 100, 4096, len / 2, len - 1] {
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(cut).unwrap();
        let error = refused(dir.path());
        assert!(matches!(&error, OpenError::Checkpoint { .. }), "{cut}: {error}");
        assert!(error.to_string().contains("`sigwarden ledger rebuild-checkpoint --reason TEXT`"));
    }
}

#[test]
fn a_checkpoint_from_yesterday_catches_up_and_one_from_tomorrow_does_not_start() {
    let dir = crashed(3);
    let copy = copied(dir.path());
    let world = open(dir.path()).unwrap();
    for height in 4..20 {
        world.vote(height, 1, "a").unwrap();
    }
    world.ledger.close().unwrap();
    drop(world);
    // Today's log, yesterday's checkpoint.
    let mixed = copied(dir.path());
    fs::copy(copy.path().join("checkpoint.redb"), mixed.path().join("checkpoint.redb")).unwrap();
    let world = open(mixed.path()).unwrap();
    assert_eq!(world.uses(VALIDATOR), 18);
    assert_eq!(world.vote(19, 1, "b").unwrap_err().kind(), Code::FloorConflict);

    // Yesterday's log, today's checkpoint: the segment that it knows is not there.
    let mixed = copied(copy.path());
    fs::copy(dir.path().join("checkpoint.redb"), mixed.path().join("checkpoint.redb")).unwrap();
    assert!(matches!(refused(mixed.path()), OpenError::MissingSegment { .. }));
    // Today's log with its newest segment cut at a frame.
    let newest = segments(dir.path()).pop().unwrap();
    let begins = frames(&newest);
    let cut = begins[begins.len() - 2];
    fs::OpenOptions::new().write(true).open(&newest).unwrap().set_len(cut).unwrap();
    assert!(matches!(refused(dir.path()), OpenError::CheckpointAhead { offset, .. } if offset == cut));
}

#[test]
fn an_alien_history_under_the_checkpoint_does_not_start() {
    let dir = crashed(2);
    let copy = copied(dir.path());
    for (path, block) in [(dir.path(), "a"), (copy.path(), "b")] {
        let world = open(path).unwrap();
        world.vote(3, 1, block).unwrap();
        world.ledger.close().unwrap();
    }
    fs::copy(dir.path().join("checkpoint.redb"), copy.path().join("checkpoint.redb")).unwrap();
    assert!(matches!(refused(copy.path()), OpenError::CheckpointForks { .. }));
}

#[test]
fn segments_end_after_a_day_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(quick(), dir.path(), Rule::Allow);
    let before = segments(dir.path()).len();
    for day in 0..3 {
        world.clock.store(NOW + day * 25 * 60 * 60 * 1000, Ordering::SeqCst);
        world.message(b"x").unwrap();
    }
    assert_eq!(segments(dir.path()).len(), before + 2);
    drop(world);
    let verified = verify(dir.path(), &mut |_, _| {}).unwrap();
    assert_eq!(verified.segments, before as u64 + 2);
    let world = open(dir.path()).unwrap();
    assert_eq!(world.uses(ACCOUNT), 3);
}

#[test]
fn a_newer_format_does_not_start() {
    let dir = crashed(2);
    let newest = segments(dir.path()).pop().unwrap();
    let text = fs::read_to_string(&newest).unwrap().replacen("\"format\":1", "\"format\":9", 1);
    fs::write(&newest, text).unwrap();
    assert!(matches!(refused(dir.path()), OpenError::NewerFormat { found: 9, known: 1, .. }));
}

#[test]
fn a_ledger_is_never_invented_and_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(refused(dir.path()), OpenError::Missing { .. }));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
    let state = dir.path().join("state");
    let ledger = EmbeddedLedger::create(&state, settings()).unwrap();
    assert_eq!(ledger.deployment_id().len(), 32);
    let id = ledger.deployment_id().to_owned();
    drop(ledger);
    assert!(matches!(EmbeddedLedger::create(&state, settings()), Err(OpenError::Exists { .. })));
    fs::remove_file(state.join("checkpoint.redb")).unwrap();
    assert!(matches!(EmbeddedLedger::create(&state, settings()), Err(OpenError::Exists { .. })));
    let rebuilding = Settings {
        rebuild_checkpoint: true,
        ..settings()
    };
    assert_eq!(EmbeddedLedger::open(&state, rebuilding).unwrap().deployment_id(), id);
}

#[test]
fn a_file_that_others_may_read_does_not_start() {
    use std::os::unix::fs::PermissionsExt;
    let dir = crashed(2);
    let newest = segments(dir.path()).pop().unwrap();
    fs::set_permissions(&newest, fs::Permissions::from_mode(0o644)).unwrap();
    let error = refused(dir.path());
    assert!(matches!(&error, OpenError::Io { path, .. } if *path == newest));
    assert!(error.to_string().contains("chmod go= "), "{error}");
}

#[test]
fn a_flipped_bit_in_the_last_frame_is_not_taken_for_a_torn_write() {
    let dir = crashed(3);
    let newest = segments(dir.path()).pop().unwrap();
    let begins = frames(&newest);
    let [begin, end] = begins[begins.len() - 2..].try_into().unwrap();
    let terminator = fs::read(&newest).unwrap()[..usize::try_from(end).unwrap() - 1]
        .iter()
        .rposition(|b| *b == b'\n')
        .unwrap() as u64
        + 1;
    let mut unnoticed = Vec::new();
    for at in begin..end {
        flip(&newest, at);
        match open(dir.path()) {
            Err(OpenError::Damaged { file, offset, .. }) => assert!(file == newest && offset >= begin, "{at}"),
            Err(other) => panic!("{at}: {other}"),
            Ok(_) => unnoticed.push(at),
        }
        if !unnoticed.is_empty() && unnoticed.last() == Some(&at) {
            // It was cut, as a torn write is: begin again.
            break;
        }
        flip(&newest, at);
    }
    // Nine bytes that tell a terminator, and its LF, are what the rest is known by.
    assert!(
        unnoticed
            .iter()
            .all(|at| (terminator..terminator + 9).contains(at) || at + 1 == end),
        "{unnoticed:?}"
    );
    assert!(unnoticed.first().is_none_or(|at| *at >= terminator));
}

#[test]
fn a_full_disk_and_one_that_cannot_be_written_do_not_start_and_say_so() {
    use sigwarden_ledger::disk::simulated::SimulatedDisk;
    let disk = SimulatedDisk::new(1);
    let dir = Path::new("/state");
    let settings = Settings {
        segment_bytes: 100_000,
        keeper: false,
        ..settings()
    };
    EmbeddedLedger::create_on(Arc::new(disk.clone()), dir, settings.clone())
        .unwrap()
        .close()
        .unwrap();
    disk.set_capacity(Some(disk.used()));
    match EmbeddedLedger::open_on(Arc::new(disk.clone()), dir, settings.clone()) {
        Err(OpenError::Io { path, source }) => {
            assert!(path.starts_with(dir), "{}", path.display());
            assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
    }
    disk.set_capacity(None);
    let calls = disk.calls().all;
    EmbeddedLedger::open_on(Arc::new(disk.copy()), dir, settings.clone()).unwrap();
    // Whichever call of a start fails, it says which file, and the next start is as if nothing had been.
    for call in 1..calls {
        let copy = disk.copy();
        copy.fail_at(Some(call));
        let opened = EmbeddedLedger::open_on(Arc::new(copy.clone()), dir, settings.clone());
        if copy.calls().failed == 0 {
            assert!(call > 20, "a start has more calls than that");
            break;
        }
        if let Err(error) = opened {
            assert!(error.to_string().contains("/state"), "{call}: {error}");
        }
        copy.fail_at(None);
        EmbeddedLedger::open_on(Arc::new(copy), dir, settings.clone()).unwrap_or_else(|error| panic!("after call {call} failed: {error}"));
    }
}
