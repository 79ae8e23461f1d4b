//! A refused PIN is remembered in a file, so that no restart tries it again: a service manager that restarts a daemon would lock the token
//! in a minute. The file says that, and why; never anything of the PIN.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The first line: the format's version.
const HEAD: &str = "sigwarden refused PIN 1\n";
/// Bytes of it that are read: a reason has fewer.
const READ_MAX: u64 = 4_096;

/// Where a token's refusal is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPin {
    path: PathBuf,
}

impl RefusedPin {
    /// In a directory, made when it is first needed, for this token of this backend.
    #[must_use]
    pub fn in_dir(dir: &Path, backend: &str, label: &str) -> Self {
        // A label may hold any byte.
        let label: String = label.bytes().map(|byte| format!("{byte:02x}")).collect();
        Self {
            path: dir.join(format!("{backend}.{label}")),
        }
    }

    /// Why the PIN is not used, if it was refused. A file that cannot be read is one that says so.
    pub(crate) fn read(&self) -> Option<String> {
        let mut text = String::new();
        let read = fs::File::open(&self.path).and_then(|file| file.take(READ_MAX).read_to_string(&mut text));
        let told = match read {
            Ok(_) => text.strip_prefix(HEAD).unwrap_or("").trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
        };
        Some(format!(
            "refused before this start ({told}), and not used again until an operator acts"
        ))
    }

    /// Remembers that the PIN is about to be used, durably.
    ///
    /// # Errors
    /// The file cannot be written: what to tell the operator. The PIN is not to be used then, since a restart would use it again.
    pub(crate) fn begin(&self) -> Result<(), String> {
        self.try_write("an attempt had not ended when the process did").map_err(|error| {
            // A full disk leaves an empty one, which would count at the next start.
            if fs::symlink_metadata(&self.path).is_ok_and(|left| left.is_file()) {
                let _ = fs::remove_file(&self.path);
            }
            format!(
                "the PIN was not used, since the attempt cannot be remembered in `{}`: {error}; make room there, or remove what is in its place",
                self.path.display()
            )
        })
    }

    /// Remembers a refusal, durably. [`Self::begin`] went before, so that without it the attempt is remembered all the same.
    pub(crate) fn write(&self, why: &str) {
        if let Err(error) = self.try_write(why) {
            tracing::error!(
                file = %self.path.display(),
                %error,
                "why the PIN was refused cannot be remembered; that it was used is"
            );
        }
    }

    fn try_write(&self, why: &str) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
            Ok(()) => {
                let above = dir.parent().unwrap_or(Path::new("."));
                fs::File::open(above)?.sync_all()?;
            }
        }
        // Whatever of it a power cut leaves counts.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.path)?;
        file.write_all(HEAD.as_bytes())?;
        file.write_all(why.as_bytes())?;
        file.sync_all()?;
        fs::File::open(dir)?.sync_all()
    }

    /// An operator acts: forgets it. Says whether there was anything to forget.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn clear(&self) -> io::Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_refusal_outlives_the_process_and_whatever_is_left_of_its_file_counts() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("refused-pins");
        let marker = RefusedPin::in_dir(&dir, "hsm", "a/../b");
        assert_eq!(marker.read(), None);
        assert!(!marker.clear().unwrap());
        marker.write("CKR_PIN_INCORRECT");
        let again = RefusedPin::in_dir(&dir, "hsm", "a/../b");
        assert!(again.read().unwrap().contains("CKR_PIN_INCORRECT"));
        assert_eq!(RefusedPin::in_dir(&dir, "hsm", "other").read(), None);
        fs::write(&marker.path, "").unwrap();
        assert!(marker.read().unwrap().contains("refused before this start"));
        assert!(marker.clear().unwrap());
        assert_eq!(again.read(), None);
    }
}
