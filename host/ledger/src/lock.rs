//! One process at a time changes a deployment.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The right to change a deployment, held until dropped or until the process ends, however it ends (`flock`). Whoever makes or opens
/// the ledger holds it.
#[derive(Debug)]
pub struct DeploymentLock {
    // Closing them releases the lock. The directory's is the one that counts: a file can be removed or replaced under its holder, and
    // then two would hold "the lock". The file's contents only help people.
    _dir: File,
    _file: File,
}

/// The lock was not acquired.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{} is held by process {holder}: a daemon or another command is at work on this deployment; stop it, or wait for it", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What it says of its holder: a pid, or that it says nothing.
        holder: String,
    },
    /// The deployment is another user's: what this one would write there, its owner could not read.
    #[error("{} belongs to uid {owner}, and this is uid {uid}; run the command as that user", path.display())]
    Owner {
        /// The state directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who asks.
        uid: u32,
    },
    /// It cannot be opened or locked.
    #[error("{} cannot be locked: {source}; {}", path.display(), remedy(source))]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What to do about it.
fn remedy(error: &io::Error) -> &'static str {
    let kind = error.kind();
    if kind == io::ErrorKind::ReadOnlyFilesystem {
        "nothing can be signed without writing it down first. If an error has made the file system read-only, the kernel's log (`dmesg`) tells \
         which; under systemd, name the state directory in `ReadWritePaths=`"
    } else if kind == io::ErrorKind::PermissionDenied {
        "the state directory needs mode 0700 and the user of the daemon as its owner: `chmod u+rwx,go=` it, or run the command as that user"
    } else {
        "the state directory is made by `sigwarden init`"
    }
}

impl DeploymentLock {
    /// Takes the lock of the deployment whose state directory this is, or says who holds it. Does not wait.
    ///
    /// # Errors
    /// Another process holds it, or the directory is not there.
    pub fn acquire(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join("lock");
        let io = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        let dir = File::open(state_dir).map_err(io)?;
        let (owner, uid) = (dir.metadata().map_err(io)?.uid(), rustix::process::geteuid().as_raw());
        if owner != uid {
            let path = state_dir.to_owned();
            return Err(LockError::Owner { path, owner, uid });
        }
        try_lock(&dir, &path)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        try_lock(&file, &path)?;
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self { _dir: dir, _file: file })
    }
}

/// Locks, or says who wrote its pid into the lock file.
fn try_lock(what: &File, path: &Path) -> Result<(), LockError> {
    match what.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // A pid has at most ten digits.
            let told = File::open(path).is_ok_and(|file| file.take(16).read_to_string(&mut holder).is_ok());
            let pid = holder.trim();
            let holder = if told && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()) {
                pid.to_owned()
            } else {
                "of unknown id".to_owned()
            };
            let path = path.to_owned();
            Err(LockError::Held { path, holder })
        }
        Err(TryLockError::Error(source)) => {
            let path = path.to_owned();
            Err(LockError::Io { path, source })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it_and_gets_it_after_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = DeploymentLock::acquire(dir.path()).unwrap();
        let refused = DeploymentLock::acquire(dir.path()).unwrap_err();
        assert!(
            matches!(&refused, LockError::Held { holder, .. } if *holder == std::process::id().to_string()),
            "{refused}"
        );
        drop(first);
        DeploymentLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn removing_the_lock_file_does_not_release_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let first = DeploymentLock::acquire(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join("lock")).unwrap();
        assert!(matches!(DeploymentLock::acquire(dir.path()), Err(LockError::Held { .. })));
        drop(first);
        DeploymentLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn no_state_directory_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert!(matches!(DeploymentLock::acquire(&missing), Err(LockError::Io { .. })));
        assert!(!missing.exists());
    }

    #[test]
    fn what_cannot_be_written_is_told_with_its_remedy() {
        let told = |error: rustix::io::Errno| {
            let (path, source) = ("state/lock".into(), error.into());
            LockError::Io { path, source }.to_string()
        };
        assert!(told(rustix::io::Errno::ROFS).contains("`ReadWritePaths=`"));
        assert!(told(rustix::io::Errno::ACCESS).contains("`chmod u+rwx,go=`"));
        assert!(told(rustix::io::Errno::NOENT).contains("`sigwarden init`"));
    }

    #[test]
    fn a_directory_without_write_permission_gives_no_lock() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
        let locked = DeploymentLock::acquire(dir.path());
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        match locked {
            Err(refused) => assert!(refused.to_string().contains("`chmod u+rwx,go=`"), "{refused}"),
            // Root writes there all the same.
            Ok(_) => assert!(rustix::process::geteuid().is_root()),
        }
    }
}
