//! From a crate to its component: compiled by cargo, described, made a component by `wit-component`.
//!
//! What the bytes depend on is the source, the lock file and the toolchain, and nothing else: the profile is given here and not
//! taken from the package's Cargo.toml, settings in the environment are left out, and every path of this machine is mapped to a
//! fixed one. Each package is compiled by itself, since cargo would unify the features of dependencies over packages that are
//! compiled together, and a policy's bytes would depend on its neighbours.

use crate::describe::{DescribeError, describe};
use crate::manifest;
use crate::package::{Lock, Package, Workspace};
use crate::section::{Description, SectionError};
use crate::toolchain::{Broken, Missing, TARGET, Toolchain};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use wit_component::ComponentEncoder;

/// The profile's name, which is that of a folder below the target directory.
const PROFILE: &str = "policy";
/// The profile: fast, small, a panic is a trap, overflow is a panic. All that a `[profile.release]` could change is said.
const PROFILE_SETTINGS: [&str; 10] = [
    "inherits=\"release\"",
    "opt-level=2",
    "lto=\"fat\"",
    "codegen-units=1",
    "panic=\"abort\"",
    "strip=true",
    "debug=false",
    "debug-assertions=false",
    "overflow-checks=true",
    "incremental=false",
];

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No compiler.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A compiler that does not say what it is.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// No cargo.
    #[error("{} could not be started: {error}", .program.display())]
    NoCargo {
        /// What was to be started.
        program: OsString,
        /// Why it was not.
        error: std::io::Error,
    },
    /// No crate.
    #[error("{} has no Cargo.toml of a package; name the folder of a policy's crate, or make one with `sigwarden policy new NAME`", .folder.display())]
    NoPackage {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Cargo's answer is not what it should be.
    #[error("`cargo metadata` gave what cannot be read: {0}")]
    Metadata(serde_json::Error),
    /// Cargo failed, and has said why on standard error.
    #[error("cargo did not {doing} {package}; its own words are above")]
    Cargo {
        /// What it was to do.
        doing: &'static str,
        /// With which package.
        package: String,
    },
    /// The crate makes no module.
    #[error("{package} makes no module; its Cargo.toml needs\n  [lib]\n  crate-type = [\"cdylib\", \"rlib\"]")]
    NotACdylib {
        /// The package.
        package: String,
    },
    /// A file of the build.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why it could not be read or written.
        error: std::io::Error,
    },
    /// Neither `CARGO_HOME` nor `HOME`.
    #[error("neither CARGO_HOME nor HOME is set; cargo needs one")]
    NoHome,
    /// The module does not say what it is.
    #[error("{package}: {error}")]
    Describe {
        /// The package.
        package: String,
        /// Why.
        error: DescribeError,
    },
    /// What the module says of itself is not what a manifest is.
    #[error("the manifest of {package} has{}; it stands in `MANIFEST` of src/lib.rs", listed(.problems))]
    Manifest {
        /// The package.
        package: String,
        /// What is wrong with it.
        problems: Vec<String>,
    },
    /// The module is not of world `policy`.
    #[error("{package} is no component of the world in wit/policy.wit: {reason}")]
    NotOfTheWorld {
        /// The package.
        package: String,
        /// What `wit-component` says.
        reason: String,
    },
    /// Its description cannot be written into it.
    #[error("{package}: {error}")]
    Section {
        /// The package.
        package: String,
        /// Why.
        error: SectionError,
    },
}

fn listed(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// A component.
#[derive(Debug, Clone)]
pub struct Built {
    /// Its bytes.
    pub wasm: Vec<u8>,
    /// What its section says.
    pub description: Description,
}

/// A toolchain at work in a workspace.
#[derive(Debug, Clone)]
pub struct Build {
    toolchain: Toolchain,
    workspace: Workspace,
    lock: Lock,
    target_dir: PathBuf,
    rustflags: OsString,
    built_with: crate::section::BuiltWith,
}

impl Build {
    /// Makes ready to build packages of a workspace. What cargo builds on the way goes below `target_dir`.
    ///
    /// # Errors
    /// The toolchain is not whole, or cargo has no home.
    pub fn new(toolchain: Toolchain, workspace: Workspace, lock: Lock, target_dir: &Path) -> Result<Self, BuildError> {
        let version = toolchain.version(&workspace.root)?;
        // Each toolchain keeps its own, or they would rebuild what the other built.
        let target_dir = target_dir.join("wasm").join(toolchain.name());
        let cargo_home = cargo_home()?;
        let (std_source, std_name) = version.std_source();
        let mut paths: Vec<(&Path, String)> = vec![(cargo_home.as_path(), "/cargo".to_owned()), (std_source.as_path(), std_name)];
        for (name, folder) in &workspace.outside {
            paths.push((folder, format!("/outside/{name}")));
        }
        // The last that matches wins: the target directory may lie under the root.
        paths.push((&workspace.root, "/workspace".to_owned()));
        paths.push((&target_dir, "/target".to_owned()));
        let rustflags = remapped(&paths);
        let built_with = version.record(workspace.sdk.as_deref().unwrap_or_default());
        Ok(Self {
            toolchain,
            workspace,
            lock,
            target_dir,
            rustflags,
            built_with,
        })
    }

    /// The workspace.
    #[must_use]
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Compiles a package and makes it a component. Cargo speaks on standard error.
    ///
    /// # Errors
    /// It does not compile, or is no policy.
    pub fn component(&self, package: &Package) -> Result<Built, BuildError> {
        let module = self.module(package)?;
        let name = || package.package.clone();
        let manifest = describe(&module).map_err(|error| BuildError::Describe { package: name(), error })?;
        let problems = manifest::problems(&manifest);
        if !problems.is_empty() {
            return Err(BuildError::Manifest { package: name(), problems });
        }
        let encoded = ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(|encoder| encoder.encode());
        let mut wasm = encoded.map_err(|error| BuildError::NotOfTheWorld {
            package: name(),
            reason: format!("{error:#}"),
        })?;
        let description = Description {
            manifest,
            built_with: self.built_with.clone(),
        };
        let appended = description.append_to(&mut wasm);
        appended.map_err(|error| BuildError::Section { package: name(), error })?;
        Ok(Built { wasm, description })
    }

    /// The core module.
    fn module(&self, package: &Package) -> Result<Vec<u8>, BuildError> {
        let Some(library) = &package.library else {
            return Err(BuildError::NotACdylib {
                package: package.package.clone(),
            });
        };
        let mut command = self.toolchain.cargo(&self.workspace.root);
        command.args(self.toolchain.build_arguments());
        for setting in PROFILE_SETTINGS {
            command.arg("--config").arg(format!("profile.{PROFILE}.{setting}"));
        }
        command
            .args(["build", "--quiet", "--profile", PROFILE, "--lib", "--target", TARGET])
            .args(self.lock.arguments())
            .args(["--package", &package.id])
            .arg("--target-dir")
            .arg(&self.target_dir)
            .env("CARGO_ENCODED_RUSTFLAGS", &self.rustflags);
        let status = command.status().map_err(|error| BuildError::NoCargo {
            program: command.get_program().to_owned(),
            error,
        })?;
        if !status.success() {
            return Err(BuildError::Cargo {
                doing: "build",
                package: package.package.clone(),
            });
        }
        let path = self.target_dir.join(TARGET).join(PROFILE).join(format!("{library}.wasm"));
        std::fs::read(&path).map_err(|error| BuildError::File { path, error })
    }
}

/// Writes a component, unless it is there already, so that who embeds it is not rebuilt. Makes the folder.
///
/// # Errors
/// The file cannot be written.
pub fn write(wasm: &[u8], path: &Path) -> Result<(), BuildError> {
    if std::fs::read(path).is_ok_and(|old| old == wasm) {
        return Ok(());
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(&partial, wasm))
        // Renamed into place, so that a build running beside this one never embeds half a module.
        .and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|error| {
        // What is left of it is of no use to anybody.
        let _ = std::fs::remove_file(&partial);
        let path = path.to_owned();
        BuildError::File { path, error }
    })
}

fn cargo_home() -> Result<PathBuf, BuildError> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    named.or_else(usual).ok_or(BuildError::NoHome)
}

/// Maps paths of this machine to fixed ones. Separated as `CARGO_ENCODED_RUSTFLAGS` wants it.
fn remapped(paths: &[(&Path, String)]) -> OsString {
    let mut flags = OsString::new();
    for (from, to) in paths {
        if !flags.is_empty() {
            flags.push("\x1f");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn flags_are_separated_as_cargo_reads_them() {
        let flags = remapped(&[(Path::new("/a b"), "/x".to_owned()), (Path::new("/c"), "/y".to_owned())]);
        assert_eq!(flags, "--remap-path-prefix=/a b=/x\u{1f}--remap-path-prefix=/c=/y");
    }

    #[test]
    fn a_component_is_written_once_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("p.wasm");
        write(b"one", &path).unwrap();
        let written = || std::fs::metadata(&path).unwrap().modified().unwrap();
        let first = written();
        write(b"one", &path).unwrap();
        assert_eq!(written(), first, "the same bytes are not written again");
        write(b"two", &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let under_a_file = path.join("p.wasm");
        assert!(matches!(write(b"one", &under_a_file), Err(BuildError::File { .. })));
    }
}
