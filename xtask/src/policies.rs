//! Builds the reference policies into `target/policies`, as `sigwarden policy build` would, to the byte.

use crate::cargo;
use anyhow::{Context, Result, bail};
use sigwarden_component::build::{self, Build};
use sigwarden_component::package::{Lock, Workspace};
use sigwarden_component::toolchain::Toolchain;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Builds every policy into `target/policies/<name>.wasm`, whatever `CARGO_TARGET_DIR` is. What did not change is
/// not built again.
pub fn build_all() -> Result<Vec<PathBuf>> {
    let root = cargo::root();
    let toolchain = Toolchain::find_or_fetch(&root, &mut |what| eprintln!("{what}"))?;
    let lock = Lock {
        locked: true,
        offline: false,
    };
    let workspace = Workspace::read(toolchain, &root, lock)?;
    // A target directory of its own below, so that the lock of the cargo that runs this is not waited for.
    let build = Build::new(toolchain, workspace, lock, &cargo::target())?;
    let components = root.join("target").join("policies");
    let mut paths = Vec::new();
    for folder in folders()? {
        let package = build.workspace().package_in(&folder)?;
        if package.name == package.package {
            bail!("{}: a policy's package is named `policy-...`", folder.display());
        }
        let built = build.component(package)?;
        let path = components.join(format!("{}.wasm", package.name));
        build::write(&built.wasm, &path)?;
        paths.push(path);
    }
    Ok(paths)
}

/// The crates under `policies/`, and those that only benchmarks measure; in order.
fn folders() -> Result<Vec<PathBuf>> {
    let folder = cargo::root().join("policies");
    let mut folders = vec![
        cargo::root().join("benches").join("guest"),
        folder.join("expressions").join("bench-guest"),
    ];
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{} could not be read", folder.display()))? {
        folders.push(entry?.path());
    }
    folders.retain(|folder| folder.join("Cargo.toml").is_file());
    folders.sort();
    Ok(folders)
}

pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|id| id.status.success() && id.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_found() {
        let folders = folders().expect("policies/ is there");
        for name in [
            "policies/monotonic",
            "policies/network-mode",
            "policies/payload-rules",
            "policies/rate-limit",
            "benches/guest",
        ] {
            assert!(
                folders.iter().any(|found| found.ends_with(name)),
                "{name} is missing from {folders:?}"
            );
        }
    }
}
