//! Starts where the disk, its modes or its room do not allow one: each says which file, and what to do.

use crate::recovery::{crashed, refused, segments};
use crate::world::settings;
use sigwarden_ledger::disk::simulated::{ReadOnly, SimulatedDisk};
use sigwarden_ledger::{EmbeddedLedger, OpenError, Settings};
use std::fs;
use std::path::Path;
use std::sync::Arc;

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
fn a_full_disk_and_one_that_cannot_be_written_do_not_start_and_say_so() {
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

#[test]
fn a_state_directory_that_cannot_be_written_does_not_start_and_says_what_to_do() {
    let disk = SimulatedDisk::new(1);
    let dir = Path::new("/state");
    let settings = Settings {
        segment_bytes: 100_000,
        keeper: false,
        ..settings()
    };
    let open = || EmbeddedLedger::open_on(Arc::new(disk.clone()), dir, settings.clone()).map(drop);
    EmbeddedLedger::create_on(Arc::new(disk.clone()), dir, settings.clone())
        .unwrap()
        .close()
        .unwrap();
    let used = disk.used();

    disk.set_read_only(Some(ReadOnly::FileSystem));
    let error = open().unwrap_err();
    assert!(matches!(&error, OpenError::ReadOnly { path } if path.starts_with(dir)), "{error}");
    for part in ["/state/", "read-only", "`dmesg`", "`ReadWritePaths=`", "nothing was changed"] {
        assert!(error.to_string().contains(part), "{error}");
    }

    assert_eq!(disk.used(), used, "nothing was changed");

    disk.set_read_only(Some(ReadOnly::Directories));
    let error = open().unwrap_err();
    assert!(
        matches!(&error, OpenError::NotPermitted { path, .. } if path.starts_with(dir)),
        "{error}"
    );
    for part in ["/state/log/", "mode 0700", "`chmod u+rwx`", "nothing was changed"] {
        assert!(error.to_string().contains(part), "{error}");
    }

    let other = Path::new("/other");
    let made = EmbeddedLedger::create_on(Arc::new(disk.clone()), other, settings.clone()).err();
    assert!(matches!(made, Some(OpenError::NotPermitted { path, .. }) if path == other));

    disk.set_read_only(None);
    let ledger = EmbeddedLedger::open_on(Arc::new(disk.clone()), dir, settings.clone()).unwrap();
    assert_eq!((ledger.opening().cut_bytes, ledger.opening().rebuilt), (0, false));
}
