//! Files that hold secrets or public keys: opened with suspicion, written so that a crash leaves the old file or the new one.

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, fstat, fsync, linkat, openat, renameat, renameat_with, syncfs, unlinkat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a file is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there.
    #[error("{} is not there", .0.display())]
    Missing(PathBuf),
    /// It is there already, and never overwritten.
    #[error("{} exists already, and is never overwritten", .0.display())]
    Exists(PathBuf),
    /// A symbolic link, which could lead anywhere.
    #[error("{} is a symbolic link; name the file itself", .0.display())]
    SymbolicLink(PathBuf),
    /// A directory, pipe or device.
    #[error("{} is no regular file", .0.display())]
    NotRegular(PathBuf),
    /// Others may read or write it.
    #[error("{path} has mode {mode:04o}, and must be for its owner alone: `chmod {wanted:o} {path}`", path = .path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
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
    #[error("{path} has {size} bytes, and such a file has at most {max}", path = .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The bound.
        max: u64,
    },
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
    /// No randomness for a temporary name.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// A directory of such files. All are named relative to its descriptor, so that renaming the directory changes nothing.
pub(crate) struct Directory {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory that belongs to this user and that nobody else can write.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = openat(rustix::fs::CWD, path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => FileError::Missing(path.to_owned()),
            errno => io_error(path, "open", errno),
        })?;
        check_owner_and_mode(path, &descriptor, 0o022, 0o700)?;
        Ok(Self {
            descriptor,
            path: path.to_owned(),
        })
    }

    /// Makes the directory (mode 0700, with its parents) unless it is there, and opens it.
    pub(crate) fn create(path: &Path) -> Result<Self, FileError> {
        use std::os::unix::fs::DirBuilderExt;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).map_err(|source| FileError::Io {
            path: path.to_owned(),
            verb: "create",
            source,
        })?;
        let directory = Self::open(path)?;
        // The name in the parent is durable too.
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let parent_file = File::open(parent).map_err(|source| FileError::Io {
                path: parent.to_owned(),
                verb: "open",
                source,
            })?;
            fsync(parent_file).map_err(|errno| io_error(parent, "fsync", errno))?;
        }
        Ok(directory)
    }

    /// The path of one of its files, for messages.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a file of at most `max` bytes, with mode 0600 or less.
    pub(crate) fn read(&self, name: &str, max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
        read_at(&self.descriptor, name.as_ref(), &self.path_of(name), max)
    }

    /// Writes a new file: durable when this returns, never over an existing one.
    pub(crate) fn create_file(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        let temporary = self.write_temporary(name, bytes, true)?;
        temporary.rename_new(name)?;
        self.sync()
    }

    /// Writes many new files with one wait for the disk. After an error or a crash some may be there, each whole.
    pub(crate) fn create_files(&self, files: &[(String, Vec<u8>)]) -> Result<(), FileError> {
        // Looked at before anything is written, so that a name that is taken leaves nothing behind.
        let taken: HashSet<String> = self.names()?.into_iter().collect();
        if let Some((name, _)) = files.iter().find(|(name, _)| taken.contains(name)) {
            return Err(FileError::Exists(self.path_of(name)));
        }
        let mut written = Vec::with_capacity(files.len());
        for (name, bytes) in files {
            written.push((self.write_temporary(name, bytes, false)?, name));
        }
        syncfs(&self.descriptor).map_err(|errno| io_error(&self.path, "syncfs", errno))?;
        for (temporary, name) in written {
            temporary.rename_new(name)?;
        }
        self.sync()
    }

    /// Writes a file in place of the one that may be there: a crash leaves the old one or the new one.
    pub(crate) fn replace_file(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        self.write_temporary(name, bytes, true)?.rename_over(name)?;
        self.sync()
    }

    /// Removes a file, durably when this returns, with what an interrupted writer left of it. One that is not there is no error.
    pub(crate) fn remove_file(&self, name: &str) -> Result<bool, FileError> {
        let there = match unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) => true,
            Err(Errno::NOENT) => false,
            Err(errno) => return Err(io_error(&self.path_of(name), "remove", errno)),
        };
        if there {
            let begins = format!(".{name}.");
            for unfinished in self.names()? {
                if unfinished.starts_with(&begins) && unfinished.ends_with(TEMPORARY_SUFFIX) {
                    unlinkat(&self.descriptor, &unfinished, AtFlags::empty())
                        .map_err(|errno| io_error(&self.path_of(&unfinished), "remove", errno))?;
                }
            }
        }
        self.sync()?;
        Ok(there)
    }

    /// The names of its files.
    pub(crate) fn names(&self) -> Result<Vec<String>, FileError> {
        let failed = |source| FileError::Io {
            path: self.path.clone(),
            verb: "list",
            source,
        };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn write_temporary(&self, name: &str, bytes: &[u8], durable: bool) -> Result<Temporary<'_>, FileError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(FileError::Random)?;
        let temporary = format!(".{name}.{}{TEMPORARY_SUFFIX}", hex::encode(random));
        let path = self.path_of(&temporary);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = openat(&self.descriptor, &temporary, flags, Mode::RUSR | Mode::WUSR).map_err(|e| io_error(&path, "create", e))?;
        let temporary = Temporary {
            directory: self,
            name: temporary,
        };
        let mut file = File::from(descriptor);
        let failed = |verb| {
            let path = path.clone();
            move |source| FileError::Io { path, verb, source }
        };
        file.write_all(bytes).map_err(failed("write"))?;
        if durable {
            file.sync_all().map_err(failed("fsync"))?;
        }
        Ok(temporary)
    }

    fn sync(&self) -> Result<(), FileError> {
        fsync(&self.descriptor).map_err(|errno| io_error(&self.path, "fsync", errno))
    }
}

/// How the names of unfinished files end.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// An unfinished file; removed unless renamed.
struct Temporary<'a> {
    directory: &'a Directory,
    name: String,
}

impl Temporary<'_> {
    fn rename_new(self, name: &str) -> Result<(), FileError> {
        let (directory, path) = (&self.directory.descriptor, self.directory.path_of(name));
        let renamed = match renameat_with(directory, &self.name, directory, name, RenameFlags::NOREPLACE) {
            // A file system without RENAME_NOREPLACE: a hard link is refused over an existing name too.
            Err(Errno::INVAL | Errno::NOSYS) => linkat(directory, &self.name, directory, name, AtFlags::empty()),
            renamed => renamed,
        };
        renamed.map_err(|errno| match errno {
            Errno::EXIST => FileError::Exists(path),
            errno => io_error(&path, "create", errno),
        })
    }

    fn rename_over(self, name: &str) -> Result<(), FileError> {
        let directory = &self.directory.descriptor;
        renameat(directory, &self.name, directory, name).map_err(|errno| io_error(&self.directory.path_of(name), "replace", errno))
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // Gone already if it was renamed. If it cannot be removed, `Vault::strays` reports it.
        let _ = unlinkat(&self.directory.descriptor, &self.name, AtFlags::empty());
    }
}

/// Reads a file that holds a secret: of this user, mode 0600 or less, no link, of at most `max` bytes.
pub(crate) fn read_secret_file(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_at(rustix::fs::CWD, path, path, max)
}

fn read_at(directory: impl std::os::fd::AsFd, name: &Path, path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // Not blocking: opening a pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let descriptor = openat(directory, name, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => FileError::Missing(path.to_owned()),
        Errno::LOOP => FileError::SymbolicLink(path.to_owned()),
        errno => io_error(path, "open", errno),
    })?;
    let size = check_owner_and_mode(path, &descriptor, 0o177, 0o600)?;
    let too_large = |size| FileError::TooLarge {
        path: path.to_owned(),
        size,
        max,
    };
    if size > max {
        return Err(too_large(size));
    }
    // One byte more than it should have, so that a file that grows meanwhile is seen; no reallocation that would leave a copy.
    let capacity = usize::try_from(size).map_err(|_| too_large(size))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity.saturating_add(1)));
    let read = File::from(descriptor).take(size + 1).read_to_end(&mut bytes);
    read.map_err(|source| FileError::Io {
        path: path.to_owned(),
        verb: "read",
        source,
    })?;
    if bytes.len() > capacity {
        return Err(too_large(size + 1));
    }
    Ok(bytes)
}

/// Returns the size.
fn check_owner_and_mode(path: &Path, descriptor: &OwnedFd, forbidden: u32, wanted: u32) -> Result<u64, FileError> {
    use rustix::fs::FileType;
    let stat = fstat(descriptor).map_err(|errno| io_error(path, "stat", errno))?;
    let (kind, mode) = (FileType::from_raw_mode(stat.st_mode), stat.st_mode & 0o7777);
    if wanted == 0o600 && kind != FileType::RegularFile {
        return Err(FileError::NotRegular(path.to_owned()));
    }
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != user {
        return Err(FileError::Owner {
            path: path.to_owned(),
            owner: stat.st_uid,
            user,
        });
    }
    if mode & forbidden != 0 {
        return Err(FileError::Mode {
            path: path.to_owned(),
            mode,
            wanted,
        });
    }
    Ok(u64::try_from(stat.st_size).unwrap_or(u64::MAX))
}

fn io_error(path: &Path, verb: &'static str, errno: Errno) -> FileError {
    FileError::Io {
        path: path.to_owned(),
        verb,
        source: errno.into(),
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
