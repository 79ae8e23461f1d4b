//! Starts with another checkpoint than the log's own, or none: it alone can tell that the log is complete.

use crate::recovery::{copied, crashed, frames, open, quick, refused, segments};
use crate::world::{ACCOUNT, Rule, VALIDATOR, World, settings};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use sigwarden_core::Code;
use sigwarden_ledger::{OpenError, Settings};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

/// Opens as an operator who asks for a new checkpoint.
fn rebuild(dir: &Path) -> Result<World, OpenError> {
    let settings = Settings {
        rebuild_checkpoint: true,
        ..settings()
    };
    World::open_with(settings, quick(), dir, Rule::Allow)
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
fn a_checkpoint_of_a_newer_format_does_not_start_and_is_left_as_it_is() {
    let dir = crashed(3);
    let file = dir.path().join("checkpoint.redb");
    let meta = || {
        let database = Database::open(&file).unwrap();
        let table = database.begin_read().unwrap().open_table(META).unwrap();
        table.get("meta").unwrap().unwrap().value().to_vec()
    };
    let own = String::from_utf8(meta()).unwrap();
    // What comes with a newer format is not known: only its number is read.
    let newer = own.replacen("\"format\":2,", "\"format\":3,\"more\":[],", 1);
    assert_ne!(own, newer);
    let database = Database::open(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("meta", newer.as_bytes()).unwrap();
    transaction.commit().unwrap();
    drop(database);

    let log: Vec<_> = segments(dir.path()).iter().map(|path| fs::read(path).unwrap()).collect();
    let error = refused(dir.path());
    assert!(
        matches!(&error, OpenError::NewerFormat { file: named, found: 3, known: 2 } if *named == file),
        "{error}"
    );
    assert!(error.to_string().contains("use the version that wrote it"), "{error}");
    assert_eq!(meta(), newer.as_bytes());
    let now: Vec<_> = segments(dir.path()).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(log == now, "nothing was written");
    // A rebuilt one would know less than the newer version does.
    assert!(matches!(rebuild(dir.path()).err(), Some(OpenError::NewerFormat { found: 3, .. })));
}

/// As the first version of the format wrote it: request ids by their tags alone.
fn write_as_version_1(file: &Path) {
    let database = Database::open(file).unwrap();
    let rows: Vec<(Vec<u8>, Vec<u8>)> = {
        let table = database.begin_read().unwrap().open_table(ROWS).unwrap();
        let rows = table.iter().unwrap().map(|row| row.unwrap());
        rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect()
    };
    let transaction = database.begin_write().unwrap();
    let mut sum: u64 = 0;
    transaction.delete_table(ROWS).unwrap();
    {
        let mut table = transaction.open_table(ROWS).unwrap();
        for (mut key, value) in rows {
            if key[0] == b't' {
                key.splice(..9, [b'r']);
            }
            let hash = blake3::hash(&[&(key.len() as u64).to_be_bytes()[..], &key, &value].concat());
            sum = sum.wrapping_add(u64::from_be_bytes(hash.as_bytes()[..8].try_into().unwrap()));
            table.insert(key.as_slice(), value.as_slice()).unwrap();
        }
        let mut table = transaction.open_table(META).unwrap();
        let mut meta: serde_json::Value = serde_json::from_slice(table.get("meta").unwrap().unwrap().value()).unwrap();
        meta["format"] = 1.into();
        meta["sum"] = sum.into();
        table.insert("meta", serde_json::to_vec(&meta).unwrap().as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

fn letters_and_format(file: &Path) -> (BTreeSet<char>, u64) {
    let database = Database::open(file).unwrap();
    let transaction = database.begin_read().unwrap();
    let table = transaction.open_table(ROWS).unwrap();
    let letters = table.iter().unwrap().map(|row| char::from(row.unwrap().0.value()[0])).collect();
    let table = transaction.open_table(META).unwrap();
    let meta: serde_json::Value = serde_json::from_slice(table.get("meta").unwrap().unwrap().value()).unwrap();
    (letters, meta["format"].as_u64().unwrap())
}

#[test]
fn a_checkpoint_of_the_first_version_is_read_and_becomes_one_of_the_second() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("checkpoint.redb");
    let world = World::create(quick(), dir.path(), Rule::Allow);
    let signed: Vec<_> = (0..5).map(|n| world.message_as(&format!("id-{n}"), &[n]).unwrap()).collect();
    world.ledger.close().unwrap();
    drop(world);
    let (letters, format) = letters_and_format(&file);
    assert!(letters.contains(&'t') && !letters.contains(&'r') && format == 2);
    write_as_version_1(&file);
    let (letters, format) = letters_and_format(&file);
    assert!(letters.contains(&'r') && !letters.contains(&'t') && format == 1);

    for _ in 0..2 {
        let world = open(dir.path()).unwrap();
        for (n, signed) in (0..5).zip(&signed) {
            let again = world.message_as(&format!("id-{n}"), &[n]).unwrap();
            assert_eq!((again.replay, &again.signatures), (true, &signed.signatures));
        }
        world.ledger.close().unwrap();
        drop(world);
        let (letters, format) = letters_and_format(&file);
        assert!(letters.contains(&'t') && !letters.contains(&'r') && format == 2, "{letters:?}");
    }
}
