//! `cargo xtask bench`: builds what the rows run, in release, and prints the table.

use crate::{cargo, peers, policies, tmkms};
use anyhow::{Context, Result, bail};
use std::process::Command;

/// `[--json FILE] [NAME]`, where the name `peers` is the comparison with tmkms.
pub fn run(arguments: &[String]) -> Result<()> {
    policies::build_all()?;
    build()?;
    let mut command = Command::new(cargo::target().join("release/table"));
    command.current_dir(cargo::root());
    if arguments.iter().any(|argument| argument == "peers") {
        command.arg("--peers").arg(peers::listener()?).arg(tmkms::ready()?);
    }
    command.args(arguments.iter().filter(|argument| *argument != "peers"));
    let status = command.status().context("the table does not start")?;
    if !status.success() {
        bail!("the benchmarks failed: {status}");
    }
    Ok(())
}

/// Builds the daemon and what measures it. Both at once: built one by one, packages get different features of the same dependencies, which
/// then compile twice.
pub fn build() -> Result<()> {
    let packages = ["--package", "sigwarden", "--package", "sigwarden-benches"];
    cargo::run(&[["build", "--quiet", "--release", "--bins"].as_slice(), &packages].concat())
}
