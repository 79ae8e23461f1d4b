//! Files with certificates and private keys: read with suspicion, written once.

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a file of certificates or of a key. A certificate has one or two KiB, a chain of ten with ML-DSA about 100.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Why a file is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there.
    #[error("{} is not there", .0.display())]
    Missing(PathBuf),
    /// It is there already.
    #[error("{} exists already, and is never overwritten; move it away or name another", .0.display())]
    Exists(PathBuf),
    /// A key behind a symbolic link, which could lead anywhere.
    #[error("{} is a symbolic link; name the key file itself", .0.display())]
    SymbolicLink(PathBuf),
    /// A directory, pipe or device.
    #[error("{} is no regular file", .0.display())]
    NotRegular(PathBuf),
    /// Others may read or write it.
    #[error("{path} has mode {mode:04o}, so that {danger}: `chmod {wanted:o} {path}`", path = .path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What could happen.
        danger: &'static str,
        /// What they should be.
        wanted: u32,
    },
    /// It belongs to another user.
    #[error("{path} belongs to the user {owner}, and this process runs as {user}: `chown {user} {path}`", path = .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// The process's effective user id.
        user: u32,
    },
    /// Longer than such a file can be.
    #[error("{} has more than {FILE_BYTES_MAX} bytes, and no such file needs them", .0.display())]
    TooLarge(PathBuf),
    /// Not text.
    #[error("{} is not text; PEM is wanted, which begins with -----BEGIN", .0.display())]
    NotText(PathBuf),
    /// The system says no.
    #[error("{path}: cannot {verb} it: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        verb: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl FileError {
    fn io(path: &Path, verb: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, verb, source }
    }
}

/// What a file is for; that decides who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Public, but whoever writes it says who is trusted: its owner is this user or root, and nobody else may write.
    Certificate,
    /// Secret: of this user, for its owner alone, no symbolic link.
    Key,
}

/// Reads a PEM file.
pub(crate) fn read(path: &Path, kind: Kind) -> Result<Zeroizing<String>, FileError> {
    let follow = match kind {
        Kind::Certificate => OFlags::empty(),
        Kind::Key => OFlags::NOFOLLOW,
    };
    // Not blocking: opening a pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | follow;
    let descriptor = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => FileError::Missing(path.to_owned()),
        Errno::LOOP => FileError::SymbolicLink(path.to_owned()),
        errno => FileError::io(path, "open")(errno.into()),
    })?;
    let stat = fstat(&descriptor).map_err(|errno| FileError::io(path, "stat")(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileError::NotRegular(path.to_owned()));
    }
    check(path, kind, stat.st_uid, stat.st_mode & 0o7777)?;
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    let capacity = usize::try_from(size.min(FILE_BYTES_MAX)).unwrap_or_default().saturating_add(1);
    // One byte more than it should have, so that a file that grows meanwhile is seen; no reallocation that would leave a copy of a key.
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    let most = u64::try_from(capacity).unwrap_or(FILE_BYTES_MAX);
    File::from(descriptor)
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(FileError::io(path, "read"))?;
    if size > FILE_BYTES_MAX || bytes.len() == capacity {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    // Taken, not copied; if it is no text, the bytes are still wiped.
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        FileError::NotText(path.to_owned())
    })
}

fn check(path: &Path, kind: Kind, owner: u32, mode: u32) -> Result<(), FileError> {
    let user = rustix::process::geteuid().as_raw();
    let (forbidden, wanted, danger) = match kind {
        Kind::Certificate => (0o022, 0o644, "others may change who is trusted"),
        Kind::Key => (0o177, 0o600, "others may have the key"),
    };
    if owner != user && !(kind == Kind::Certificate && owner == 0) {
        return Err(FileError::Owner {
            path: path.to_owned(),
            owner,
            user,
        });
    }
    if mode & forbidden != 0 {
        return Err(FileError::Mode {
            path: path.to_owned(),
            mode,
            danger,
            wanted,
        });
    }
    Ok(())
}

/// What changes when a file is written or replaced. Symbolic links are followed: a link to another file is another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// None if the file cannot be looked at; that, too, is a change.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Makes a directory for its owner alone, with its parents, unless it is there.
pub(crate) fn create_directory(path: &Path) -> Result<(), FileError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(FileError::io(path, "create"))
}

/// Writes a key and its certificate, durably: both, or neither. Never over a file that is there.
pub(crate) fn create_pair(key: (&Path, &str), certificate: (&Path, &str)) -> Result<(), FileError> {
    create(key.0, key.1, 0o600)?;
    let written = create(certificate.0, certificate.1, 0o644).and_then(|()| sync_directory(certificate.0));
    if written.is_err() {
        // A key whose certificate nobody has.
        let _ = std::fs::remove_file(key.0);
    }
    written
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), FileError> {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = opened.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return FileError::Exists(path.to_owned());
        }
        FileError::io(path, "create")(error)
    })?;
    // The umask took bits from the mode; a certificate is for all to read.
    let written = file
        .set_permissions(std::fs::Permissions::from_mode(mode))
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all());
    written.map_err(|source| {
        let _ = std::fs::remove_file(path);
        FileError::io(path, "write")(source)
    })
}

fn sync_directory(path: &Path) -> Result<(), FileError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(FileError::io(parent, "fsync"))
}
