//! Runs cargo on this workspace.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root.
pub fn root() -> PathBuf {
    // xtask/Cargo.toml lies one below.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where cargo builds to.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// A cargo command at the root, by the cargo that runs this.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs it; an error if it fails.
pub fn run(arguments: &[&str]) -> Result<()> {
    let status = command(arguments)
        .status()
        .with_context(|| format!("cargo {} could not be started", arguments.join(" ")))?;
    if !status.success() {
        bail!("cargo {} failed: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs a cargo subcommand if it is installed, else says how to install it.
pub fn run_if_installed(subcommand: &str, arguments: &[&str]) -> Result<()> {
    let installed = command(&[subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if installed {
        return run(arguments);
    }
    eprintln!("cargo {subcommand} is not installed; `cargo install cargo-{subcommand}` and run again");
    Ok(())
}

/// Runs a binary that `cargo build` made.
pub fn run_built(name: &str) -> Result<()> {
    let path = target().join("debug").join(name);
    let status = Command::new(&path)
        .status()
        .with_context(|| format!("{} could not be started", path.display()))?;
    if !status.success() {
        bail!("{name} failed: {status}");
    }
    Ok(())
}
