//! Runs cargo on this workspace.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root.
pub fn root() -> PathBuf {
    // `cargo run` says where xtask/Cargo.toml lies. What was compiled in may name another clone that shares the target directory.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
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

/// A cargo command that also finds the subcommands under the target directory, where [`install`] puts them.
pub fn tool(arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    let mut path = std::ffi::OsString::from(tools().join("bin"));
    if let Some(before) = std::env::var_os("PATH") {
        path.push(":");
        path.push(before);
    }
    command.env("PATH", path);
    command
}

/// Whether there is such a subcommand.
pub fn has_tool(subcommand: &str) -> bool {
    let mut command = tool(&[subcommand, "--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Installs `cargo SUBCOMMAND` under the target directory if there is none.
pub fn install(subcommand: &str) -> Result<()> {
    if has_tool(subcommand) {
        return Ok(());
    }
    let package = format!("cargo-{subcommand}");
    let mut command = command(&["install", &package, "--locked", "--root"]);
    let status = command.arg(tools()).env("CARGO_TARGET_DIR", tools().join("build")).status()?;
    if !status.success() {
        bail!("{package} could not be installed: {status}");
    }
    Ok(())
}

/// Where what the chores install is kept.
pub fn tools() -> PathBuf {
    target().join("cargo-tools")
}

/// Runs `cargo deny`; without the database of advisories, for want of a network, all else.
pub fn deny() -> Result<()> {
    install("deny")?;
    let advisories = tool(&["deny", "fetch", "db"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?
        .success();
    let mut arguments = vec![
        "deny",
        "--all-features",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ];
    if advisories {
        arguments.push("advisories");
    } else {
        println!("the database of advisories could not be fetched: bans, licences and sources are checked, advisories are not");
    }
    let status = tool(&arguments).status()?;
    if !status.success() {
        bail!("cargo {} failed: {status}", arguments.join(" "));
    }
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
