//! A Python for the tests' peers: a virtual environment under the target directory, with `blake3`, which the standard library lacks.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version that the peers are tested with.
const BLAKE3: &str = "blake3==1.0.11";

/// Makes it if it is not there; returns its interpreter.
pub fn ready() -> Result<PathBuf> {
    let home = cargo::target().join("python");
    let python = home.join("bin/python3");
    if has_blake3(&python) {
        return Ok(python);
    }
    // Where the distribution installs the package, nothing need be fetched. Without `venv` there is no pip in it either.
    let system = Path::new("python3");
    if has_blake3(system) {
        return Ok(system.to_owned());
    }
    run(Command::new(system).args(["-m", "venv", "--clear"]).arg(&home))
        .context("a virtual environment is needed (Debian: apt-get install python3-venv, or python3-blake3 instead of all this)")?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", BLAKE3]))?;
    if !has_blake3(&python) {
        bail!("{} has no `blake3` though pip installed it", python.display());
    }
    Ok(python)
}

fn has_blake3(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", "import blake3"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("{shown} could not be started"))?;
    if !status.success() {
        bail!("{shown} failed: {status}");
    }
    Ok(())
}
