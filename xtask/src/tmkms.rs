//! tmkms as it is published, for `cargo xtask bench peers`.

use crate::cargo;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is measured; `tests/peers/cometbft/tmkms.md` is its recipe.
const VERSION: &str = "0.15.0";

/// The program, built under the target directory if it is not there.
pub fn ready() -> Result<PathBuf> {
    let program = cargo::tools().join("bin/tmkms");
    if is_there(&program) {
        return Ok(program);
    }
    eprintln!("building tmkms {VERSION}; it is kept under the target directory");
    let mut install = cargo::command(&["install", "tmkms", "--version", VERSION, "--locked", "--force"]);
    install.args(["--features", "softsign", "--root"]).arg(cargo::tools());
    let status = install.env("CARGO_TARGET_DIR", cargo::tools().join("build")).status()?;
    if !status.success() || !is_there(&program) {
        bail!("tmkms {VERSION} could not be installed: {status}");
    }
    Ok(program)
}

fn is_there(program: &Path) -> bool {
    let output = Command::new(program).arg("version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(VERSION))
}
