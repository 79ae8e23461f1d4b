//! The crate that is to become a component, and the workspace around it, as cargo sees them.

use crate::build::BuildError;
use crate::toolchain::{TARGET, Toolchain};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The SDK's package.
const SDK: &str = "sigwarden-guest";

/// How cargo treats the lock file and the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lock {
    /// The lock file is there and needs no change, or the build fails.
    pub locked: bool,
    /// Nothing is fetched.
    pub offline: bool,
}

impl Lock {
    pub(crate) fn arguments(self) -> impl Iterator<Item = &'static str> {
        let locked = self.locked.then_some("--locked");
        locked.into_iter().chain(self.offline.then_some("--offline"))
    }
}

/// The lock files around a folder, as they were before cargo saw it.
#[cfg(feature = "cli")]
#[derive(Debug)]
pub(crate) struct LockFiles(Vec<(PathBuf, Option<Vec<u8>>)>);

#[cfg(feature = "cli")]
impl LockFiles {
    pub(crate) fn around(folder: &Path) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let read = |folder: &Path| (folder.to_owned(), std::fs::read(folder.join("Cargo.lock")).ok());
        Self(folder.ancestors().map(read).collect())
    }

    /// What cargo did to the lock file of a workspace, if anything: the module's bytes depend on it.
    pub(crate) fn changed(&self, root: &Path) -> Option<String> {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let path = root.join("Cargo.lock");
        let (_, before) = self.0.iter().find(|(folder, _)| *folder == root)?;
        let now = std::fs::read(&path).ok();
        let did = match (before, &now) {
            (None, Some(_)) => "wrote",
            (Some(before), Some(now)) if before != now => "changed",
            (_, _) => return None,
        };
        Some(format!(
            "note: cargo {did} {}, and the module's bytes depend on it; keep it, and build with --locked from now on",
            path.display()
        ))
    }
}

/// A cargo workspace; a crate by itself is one too.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Its folder.
    pub root: PathBuf,
    /// Packages under their folders, outside of the workspace's: the names of their symbols depend on where they lie.
    pub outside: Vec<(String, PathBuf)>,
    /// The version of the SDK, if it is used.
    pub sdk: Option<String>,
    packages: Vec<Package>,
}

/// A package that could be a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The package's name.
    pub package: String,
    /// The component's: the package's without `policy-`.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Cargo's own name for it, which no dependency shares.
    pub(crate) id: String,
    /// The library that becomes the module; none if the package makes no `cdylib`.
    pub(crate) library: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_root: PathBuf,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
    version: String,
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<MetadataTarget>,
}

#[derive(Deserialize)]
struct MetadataTarget {
    name: String,
    crate_types: Vec<String>,
}

impl Workspace {
    /// The workspace that `folder` is in. Resolves its dependencies, which may write its lock file and fetch.
    ///
    /// # Errors
    /// `folder` is in none, or cargo does not resolve it.
    pub fn read(toolchain: Toolchain, folder: &Path, lock: Lock) -> Result<Self, BuildError> {
        if !folder.join("Cargo.toml").is_file() {
            return Err(BuildError::NoPackage { folder: folder.to_owned() });
        }
        let mut command = toolchain.cargo(folder);
        command
            .args(["metadata", "--format-version", "1", "--quiet", "--filter-platform", TARGET])
            .args(lock.arguments())
            .stderr(Stdio::inherit());
        let output = command.output().map_err(|error| BuildError::NoCargo {
            program: command.get_program().to_owned(),
            error,
        })?;
        if !output.status.success() {
            return Err(BuildError::Cargo {
                doing: "resolve the dependencies of",
                package: folder.display().to_string(),
            });
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(BuildError::Metadata)?;
        Ok(Self::of(metadata))
    }

    fn of(metadata: Metadata) -> Self {
        let root = metadata.workspace_root;
        let sdk = metadata.packages.iter().find(|package| package.name == SDK);
        let sdk = sdk.map(|package| package.version.clone());
        let folder = |package: &MetadataPackage| package.manifest_path.parent().map(Path::to_owned).unwrap_or_default();
        let outside = metadata
            .packages
            .iter()
            .filter(|package| package.source.is_none() && !package.manifest_path.starts_with(&root))
            .map(|package| (package.name.clone(), folder(package)))
            .collect();
        let members = metadata
            .packages
            .iter()
            .filter(|package| metadata.workspace_members.contains(&package.id));
        let packages = members
            .map(|package| Package {
                id: package.id.clone(),
                package: package.name.clone(),
                name: package.name.strip_prefix("policy-").unwrap_or(&package.name).to_owned(),
                folder: folder(package),
                library: package
                    .targets
                    .iter()
                    .find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
                    .map(|target| target.name.replace('-', "_")),
            })
            .collect();
        Self {
            root,
            outside,
            sdk,
            packages,
        }
    }

    /// The package whose Cargo.toml is in `folder`.
    ///
    /// # Errors
    /// There is none: the folder is that of a workspace without a package of its own, or of nothing.
    pub fn package_in(&self, folder: &Path) -> Result<&Package, BuildError> {
        let wanted = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let is_it = |package: &&Package| {
            let found = package.folder.canonicalize();
            found.is_ok_and(|found| found == wanted)
        };
        self.packages
            .iter()
            .find(is_it)
            .ok_or_else(|| BuildError::NoPackage { folder: folder.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn metadata(guest: &str) -> Workspace {
        let json = format!(
            r#"{{"workspace_root":"/w","workspace_members":["path+file:///w#policy-some-thing@0.1.0"],"packages":[
            {{"id":"path+file:///w#policy-some-thing@0.1.0","name":"policy-some-thing","version":"0.1.0","source":null,
              "manifest_path":"/w/Cargo.toml","targets":[{{"name":"some-thing","crate_types":["cdylib","rlib"]}}]}},
            {{"id":"x","name":"serde","version":"1.0.0","source":"registry","manifest_path":"/r/serde/Cargo.toml","targets":[]}},
            {{"id":"g","name":"sigwarden-guest","version":"0.3.0","source":null,"manifest_path":"{guest}/Cargo.toml","targets":[]}}]}}"#
        );
        Workspace::of(serde_json::from_str(&json).unwrap())
    }

    #[cfg(feature = "cli")]
    #[test]
    fn what_cargo_did_to_the_lock_file_is_told() {
        let root = tempfile::tempdir().unwrap();
        let member = root.path().join("member");
        std::fs::create_dir(&member).unwrap();
        let lock = root.path().join("Cargo.lock");
        let before = LockFiles::around(&member);
        assert_eq!(before.changed(root.path()), None);
        std::fs::write(&lock, "one").unwrap();
        assert!(before.changed(root.path()).unwrap().starts_with("note: cargo wrote "));
        let before = LockFiles::around(&member);
        assert_eq!(before.changed(root.path()), None);
        std::fs::write(&lock, "two").unwrap();
        assert!(before.changed(root.path()).unwrap().starts_with("note: cargo changed "));
    }

    #[test]
    fn names_versions_and_what_lies_outside_are_read() {
        let inside = metadata("/w/sdk/guest-sdk");
        assert_eq!(inside.sdk.as_deref(), Some("0.3.0"));
        assert_eq!(inside.outside, []);
        let package = &inside.packages[0];
        assert_eq!(
            (package.name.as_str(), package.library.as_deref()),
            ("some-thing", Some("some_thing"))
        );
        assert_eq!(inside.packages.len(), 1, "members only");
        let outside = metadata("/elsewhere/guest-sdk");
        assert_eq!(
            outside.outside,
            [("sigwarden-guest".to_owned(), PathBuf::from("/elsewhere/guest-sdk"))]
        );
    }
}
