//! Compiled modules, kept between two runs: compiling takes a hundred times as long as the steps. Configurations that a module refused
//! are kept too, with its reasons, since a module is compiled to be asked.
//!
//! Compiled code is machine code, so it is loaded only from a directory that this user made and nobody else can enter, and only if its
//! MAC holds, whose key lies in that directory. Whoever can write there can change the workbench's own binary beside it.

use sigwarden_policy::{CodeCache, ConfigProblem};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory's name, in a cargo target directory.
const DIR: &str = "sigwarden-workbench";
/// The file with the key.
const KEY: &str = "key";

/// The suffix of a refusal.
const REFUSED: &str = "refused";
/// Refusals kept; then all are forgotten. A policy's fixtures have a dozen.
const REFUSED_MAX: usize = 1_000;
/// Bytes of a refusal at most: 32 problems of 1 KiB.
const REFUSED_BYTES_MAX: u64 = 64 * 1024;

/// What is kept.
pub(crate) struct Kept {
    /// Compiled modules.
    pub(crate) code: CodeCache,
    dir: PathBuf,
}

/// What is kept in the nearest `target` directory around a path; none if there is none, or it is not ours alone.
pub(crate) fn around(path: &Path) -> Option<Kept> {
    let absolute = std::path::absolute(path).ok()?;
    let target = absolute
        .ancestors()
        .map(|above| above.join("target"))
        .find(|target| target.is_dir())?;
    if !is_mine(&target).ok()? {
        return None;
    }
    let dir = target.join(DIR);
    let key = ours(&dir).and_then(|()| key(&dir)).ok()?;
    Some(Kept {
        code: CodeCache::new(dir.clone(), key),
        dir,
    })
}

impl Kept {
    /// Why a module refused a configuration, if it did before; `digest` is over both and the engine.
    pub(crate) fn refusal(&self, digest: &str) -> Option<Vec<ConfigProblem>> {
        let file = self.refused(digest);
        if std::fs::metadata(&file).ok()?.len() > REFUSED_BYTES_MAX {
            return None;
        }
        let problems: Vec<(String, String)> = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
        Some(
            problems
                .into_iter()
                .map(|(path, message)| ConfigProblem { path, message })
                .collect(),
        )
    }

    /// Keeps why. One that cannot be kept is found out again.
    pub(crate) fn keep_refusal(&self, digest: &str, problems: &[ConfigProblem]) {
        let pairs: Vec<(&str, &str)> = problems
            .iter()
            .map(|problem| (problem.path.as_str(), problem.message.as_str()))
            .collect();
        let fresh = fresh_name(&self.dir);
        if let Ok(json) = serde_json::to_vec(&pairs)
            && std::fs::write(&fresh, json).is_ok()
        {
            self.forget_if_many();
            drop(std::fs::rename(&fresh, self.refused(digest)));
        }
    }

    fn refused(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}.{REFUSED}"))
    }

    fn forget_if_many(&self) {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let refused = |path: &PathBuf| path.extension().is_some_and(|extension| extension == REFUSED);
        let files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(refused).collect();
        if files.len() >= REFUSED_MAX {
            files.iter().for_each(|file| drop(std::fs::remove_file(file)));
        }
    }
}

/// Whether nobody but this user can replace what is in a directory; a group is the user's own on most machines.
fn is_mine(dir: &Path) -> io::Result<bool> {
    let found = std::fs::metadata(dir)?;
    Ok(found.uid() == std::fs::metadata("/proc/self")?.uid() && found.mode() & 0o002 == 0)
}

fn ours(dir: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) | Ok(()) => {}
    }
    let found = std::fs::symlink_metadata(dir)?;
    let me = std::fs::metadata("/proc/self")?.uid();
    if !found.is_dir() || found.uid() != me || found.mode() & 0o077 != 0 {
        return Err(io::Error::other("the directory is not this user's alone"));
    }
    Ok(())
}

fn key(dir: &Path) -> io::Result<[u8; 32]> {
    let file = dir.join(KEY);
    let mut key = [0; 32];
    if file.exists() {
        std::fs::File::open(&file)?.read_exact(&mut key)?;
        return Ok(key);
    }
    std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    let fresh = fresh_name(dir);
    let mut written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    written.write_all(&key)?;
    // Whoever links first has made the key; the others take his.
    let linked = std::fs::hard_link(&fresh, &file);
    std::fs::remove_file(&fresh)?;
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => std::fs::File::open(&file)?.read_exact(&mut key)?,
        Err(error) => return Err(error),
    }
    Ok(key)
}

fn fresh_name(dir: &Path) -> PathBuf {
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    dir.join(format!("{KEY}.{}.{number}", std::process::id()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_that_others_may_enter_is_no_cache() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("target")).unwrap();
        let fixture = dir.path().join("fixtures/a.toml");
        assert!(around(&fixture).is_some());
        let kept = around(&fixture).unwrap();
        let problems = [ConfigProblem {
            path: "rules[0]".to_owned(),
            message: "no".to_owned(),
        }];
        assert_eq!(kept.refusal("ab"), None);
        kept.keep_refusal("ab", &problems);
        assert_eq!(kept.refusal("ab").unwrap(), problems);
        let cache = dir.path().join("target").join(DIR);
        let first = key(&cache).unwrap();
        assert_eq!(key(&cache).unwrap(), first);
        assert_ne!(first, [0; 32]);
        let allow = |dir: &Path, mode| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
        allow(&cache, 0o755);
        assert!(around(&fixture).is_none());
        allow(&cache, 0o700);
        assert!(around(&fixture).is_some());
        allow(&dir.path().join("target"), 0o777);
        assert!(around(&fixture).is_none(), "somebody else could put another directory in its place");
    }

    #[test]
    fn without_a_target_directory_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        // Only if no directory above the temporary one has a `target`.
        if !dir.path().ancestors().any(|above| above.join("target").is_dir()) {
            assert!(around(&dir.path().join("a.toml")).is_none());
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}
