#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn directory() -> (tempfile::TempDir, Directory) {
    let temporary = tempfile::tempdir().unwrap();
    let directory = Directory::create(&temporary.path().join("made/here")).unwrap();
    (temporary, directory)
}

#[test]
fn a_directory_is_made_for_its_user_alone() {
    let (_temporary, directory) = directory();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&directory.path_of("")), 0o700);
}

#[test]
fn created_files_are_read_back_and_never_overwritten() {
    let (_temporary, directory) = directory();
    directory.create_file("one", b"first").unwrap();
    assert_eq!(directory.read("one", 5).unwrap().as_slice(), b"first");
    assert!(matches!(directory.create_file("one", b"second"), Err(FileError::Exists(_))));
    let many = [("two".to_owned(), b"2".to_vec()), ("one".to_owned(), b"second".to_vec())];
    assert!(matches!(directory.create_files(&many), Err(FileError::Exists(_))));
    assert_eq!(directory.read("one", 5).unwrap().as_slice(), b"first");
    // Neither the other file nor a temporary one is left.
    assert_eq!(directory.names().unwrap(), ["one"]);
    directory.create_files(&many[..1]).unwrap();
    assert_eq!(directory.read("two", 5).unwrap().as_slice(), b"2");
}

#[test]
fn a_replaced_file_is_new_and_for_its_user_alone() {
    let (_temporary, directory) = directory();
    directory.replace_file("index", b"first").unwrap();
    directory.replace_file("index", b"second").unwrap();
    assert_eq!(directory.read("index", 100).unwrap().as_slice(), b"second");
    assert_eq!(directory.names().unwrap(), ["index"]);
}

#[test]
fn links_pipes_and_directories_are_refused() {
    let (_temporary, directory) = directory();
    directory.create_file("real", b"x").unwrap();
    symlink("real", directory.path_of("link")).unwrap();
    assert!(matches!(directory.read("link", 10), Err(FileError::SymbolicLink(_))));
    assert!(matches!(
        read_secret_file(&directory.path_of("link"), 10),
        Err(FileError::SymbolicLink(_))
    ));
    rustix::fs::mknodat(
        &directory.descriptor,
        "pipe",
        rustix::fs::FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(matches!(directory.read("pipe", 10), Err(FileError::NotRegular(_))));
    std::fs::create_dir(directory.path_of("sub")).unwrap();
    assert!(matches!(directory.read("sub", 10), Err(FileError::NotRegular(_))));
    assert!(matches!(directory.read("nothing", 10), Err(FileError::Missing(_))));
}

#[test]
fn a_file_is_measured_before_it_is_read() {
    let (_temporary, directory) = directory();
    directory.create_file("long", &[0; 11]).unwrap();
    assert!(matches!(
        directory.read("long", 10),
        Err(FileError::TooLarge { size: 11, max: 10, .. })
    ));
    // Sparse: a terabyte that nobody could hold.
    let file = File::options().write(true).open(directory.path_of("long")).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(matches!(directory.read("long", 10), Err(FileError::TooLarge { size, .. }) if size == 1 << 40));
}

#[test]
fn modes_up_to_0600_are_read() {
    let (_temporary, directory) = directory();
    directory.create_file("file", b"x").unwrap();
    let set = |mode| std::fs::set_permissions(directory.path_of("file"), std::fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o600, 0o400] {
        set(mode);
        assert!(directory.read("file", 10).is_ok(), "{mode:o}");
    }
    for mode in [0o700, 0o640, 0o604, 0o620, 0o602, 0o610, 0o666, 0o777] {
        set(mode);
        assert!(
            matches!(directory.read("file", 10), Err(FileError::Mode { mode: found, .. }) if found == mode),
            "{mode:o}"
        );
    }
}

#[test]
fn a_file_of_another_user_is_refused() {
    let (_temporary, directory) = directory();
    let user = rustix::process::geteuid();
    // Only root can give a file away; anybody else finds one of root's in /etc.
    let (path, owner) = if user.is_root() {
        directory.create_file("file", b"x").unwrap();
        std::os::unix::fs::chown(directory.path_of("file"), Some(12_345), None).unwrap();
        (directory.path_of("file"), 12_345)
    } else {
        ("/etc/passwd".into(), 0)
    };
    match read_secret_file(&path, 1 << 20).map(|_| ()) {
        Err(FileError::Owner {
            owner: found, user: me, ..
        }) => assert_eq!((found, me), (owner, user.as_raw())),
        other => panic!("{other:?}"),
    }
}
