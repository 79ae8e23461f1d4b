//! What the table was measured on.

use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// One line about machine, kernel and file system. Refuses a file system in memory: its fsync measures nothing.
///
/// # Errors
/// The directory is on tmpfs or ramfs.
pub fn describe(dir: &Path) -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown cpu", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let output = Command::new("stat").args(["--file-system", "--format=%T"]).arg(dir).output()?;
    let file_system = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if matches!(file_system.as_str(), "tmpfs" | "ramfs") {
        bail!(
            "{} is on {file_system}, where a durable write costs nothing; set TMPDIR to a directory on a disk",
            dir.display()
        );
    }
    Ok(format!("{model}, {cores} cores; Linux {}; {file_system}", kernel.trim()))
}
