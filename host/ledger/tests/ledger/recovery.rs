//! Starts after crashes and accidents. Nothing acknowledged is lost, and what cannot be known to be complete does not start.

use crate::disks::QuickDisk;
use crate::world::{ACCOUNT, NOW, Rule, VALIDATOR, World};
use sigwarden_core::Code;
use sigwarden_ledger::{OpenError, verify};
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

pub(crate) fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    to
}

pub(crate) fn quick() -> Arc<QuickDisk> {
    Arc::new(QuickDisk::default())
}

pub(crate) fn open(dir: &Path) -> Result<World, OpenError> {
    World::open(quick(), dir, Rule::Allow)
}

pub(crate) fn refused(dir: &Path) -> OpenError {
    match open(dir) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

/// A deployment that crashed after votes at heights 2 to `last`; its checkpoint is as old as its last start.
pub(crate) fn crashed(last: u64) -> tempfile::TempDir {
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
