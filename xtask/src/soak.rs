//! `cargo xtask soak`: builds what it runs, gives it a file system of its own to fill if it may, and runs it.

use crate::{bench, cargo, policies};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Room for an hour's records, sparse: what is not written takes none of the disk.
const IMAGE_BYTES: u64 = 48 << 30;

/// `[--minutes N] [--out DIR] [--tls]`
pub fn run(arguments: &[String]) -> Result<()> {
    bench::build()?;
    faketime();
    let disk = Disk::mount()
        .map_err(|error| println!("no file system of its own for the soak: {error:#}"))
        .ok();
    let mut command = Command::new(cargo::target().join("release/soak"));
    command.args(arguments).current_dir(cargo::root());
    if !arguments.iter().any(|argument| argument == "--out") {
        command.arg("--out").arg(cargo::target().join("soak"));
    }
    if let Some(disk) = &disk {
        command.env("TMPDIR", disk.at()).env("SIGWARDEN_SOAK_DISK", "1");
    }
    let status = command.status().context("the soak does not start")?;
    drop(disk);
    if !status.success() {
        bail!("the soak failed: {status}");
    }
    Ok(())
}

/// Installs the library that shifts a process's wall clock, if root; without it there are no clock steps, and the soak says so.
fn faketime() {
    let there = Path::new("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1").exists();
    if !there && policies::is_root() {
        let installed = Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends", "faketime"])
            .status();
        if !installed.is_ok_and(|status| status.success()) {
            println!("faketime cannot be installed: there will be no clock steps");
        }
    }
}

/// A file system in a sparse file, mounted while this lives.
struct Disk {
    dir: PathBuf,
}

impl Disk {
    fn mount() -> Result<Self> {
        if !policies::is_root() {
            bail!("only root mounts one");
        }
        let dir = cargo::target().join("soak-disk");
        std::fs::create_dir_all(dir.join("at"))?;
        let image = dir.join("image");
        std::fs::File::create(&image)?.set_len(IMAGE_BYTES)?;
        let disk = Self { dir };
        run_quietly(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        run_quietly(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.at()))?;
        Ok(disk)
    }

    fn at(&self) -> PathBuf {
        self.dir.join("at")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = run_quietly(Command::new("umount").arg(self.at()));
        // Never remove what may still be mounted.
        if unmounted.is_ok() || !self.at().join("lost+found").exists() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
