//! Mutants of the sources, each with one safeguard taken out. The crash test must fail on every one of them, or it proves nothing. They are
//! made in a copy of the workspace, and built into a target directory of their own: for cargo a copy's crates are the workspace's, and a
//! mutant that is found fresh would be what every other test runs on.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

struct Mutant {
    name: &'static str,
    file: &'static str,
    /// Found exactly once.
    from: &'static str,
    to: &'static str,
}

impl Mutant {
    /// The source file as it is, in which the text to be replaced stands exactly once.
    fn source(&self, root: &Path) -> Result<String> {
        let path = root.join(self.file);
        let source = std::fs::read_to_string(&path).with_context(|| format!("mutant {}: {}", self.name, path.display()))?;
        match source.matches(self.from).count() {
            1 => Ok(source),
            found => bail!(
                "mutant {}: its text is found {found} times in {}, not once; bring xtask/src/mutants.rs up to date with what replaced\n{}",
                self.name,
                self.file,
                self.from
            ),
        }
    }
}

/// Seeds after which a mutant counts as unnoticed.
const SEEDS: &str = "20000";

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "no-fdatasync-of-a-frame",
        file: "host/ledger/src/segment.rs",
        from: "        self.file.write_at(self.end, frame)?;\n        self.file.sync_data()?;\n",
        to: "        self.file.write_at(self.end, frame)?;\n",
    },
    Mutant {
        name: "no-fdatasync-of-a-header",
        file: "host/ledger/src/segment.rs",
        from: "        writer.file.sync_data()?;\n",
        to: "",
    },
    Mutant {
        name: "no-fdatasync-of-a-segments-end",
        file: "host/ledger/src/segment.rs",
        from: "        self.file.truncate(self.end)?;\n        self.file.sync_data()\n",
        to: "        self.file.truncate(self.end)\n",
    },
    Mutant {
        name: "no-directory-fsync-after-a-segment",
        file: "host/ledger/src/segment.rs",
        from: "        disk.rename(&temporary, &path)?;\n        disk.sync_dir(log)?;\n",
        to: "        disk.rename(&temporary, &path)?;\n",
    },
    Mutant {
        name: "no-directory-fsync-after-init",
        file: "host/ledger/src/open.rs",
        from: "        Some(parent) => disk.sync_dir(parent).map_err(OpenError::io(parent)),\n",
        to: "        Some(_) => Ok(()),\n",
    },
    Mutant {
        name: "no-fdatasync-of-the-rewritten-segment",
        file: "host/ledger/src/open.rs",
        from: "        to.sync_data()?;\n",
        to: "",
    },
    Mutant {
        name: "newest-segment-not-rewritten",
        file: "host/ledger/src/open.rs",
        from: "    rewrite(disk, &log, &newest, newest_end)?;\n",
        to: "    if false {\n        rewrite(disk, &log, &newest, newest_end)?;\n    }\n",
    },
    Mutant {
        name: "no-fdatasync-of-the-checkpoint",
        file: "host/ledger/src/checkpoint.rs",
        from: "    fn sync_data(&self) -> io::Result<()> {\n        self.0.sync_data()\n    }\n",
        to: "    fn sync_data(&self) -> io::Result<()> {\n        Ok(())\n    }\n",
    },
    Mutant {
        name: "checkpoint-ahead-of-the-log",
        file: "host/ledger/src/keeper.rs",
        from: "        self.flush()?;\n        // After the flush",
        to: "        // After the flush",
    },
    Mutant {
        name: "applied-and-acknowledged-before-durable",
        file: "host/ledger/src/commit.rs",
        from: "            let turn = if any { sequencer.turn() } else { None };\n",
        to: "            let turn = if any && false { sequencer.turn() } else { None };\n",
    },
    Mutant {
        name: "archived-before-the-checkpoint-knows",
        file: "host/ledger/src/archive.rs",
        from: "        if oldest > meta.oldest {\n",
        to: "        if oldest > meta.oldest && false {\n",
    },
    Mutant {
        name: "floors-not-judged",
        file: "host/core/src/floor.rs",
        from: "    match message.position.cmp(&floor.position) {\n",
        to: "    match std::cmp::Ordering::Greater.max(message.position.cmp(&floor.position)) {\n",
    },
    Mutant {
        name: "retried-vote-signed-as-sent",
        file: "host/core/src/state/settle.rs",
        from: "                            None => Grant::SignStored { sign_bytes, timestamp },\n",
        to: "                            None => Grant::SignStored { sign_bytes: message.sign_bytes.clone(), timestamp },\n",
    },
];

/// Makes every mutant, or the one of this name, and lets the crash test fail on it.
pub fn run(name: Option<&str>) -> Result<()> {
    let copy = place().join("sources");
    copy_sources(&cargo::root(), &copy)?;
    // Before anything is built: a source that moved is told in a second, not after the mutants before it.
    for mutant in MUTANTS {
        mutant.source(&copy)?;
    }
    let mut unnoticed = Vec::new();
    if name.is_none() {
        println!("the sources as they are");
        if let Some(failure) = build(&copy)?.run("1000")? {
            bail!("the crash test fails on the sources as they are: {failure}");
        }
    }
    let mut met = 0;
    for mutant in MUTANTS.iter().filter(|mutant| name.is_none_or(|name| name == mutant.name)) {
        met += 1;
        let path = copy.join(mutant.file);
        let source = mutant.source(&copy)?;
        std::fs::write(&path, source.replace(mutant.from, mutant.to))?;
        let begun = Instant::now();
        let failure = build(&copy).and_then(|test| test.run(SEEDS));
        std::fs::write(&path, source)?;
        let seconds = begun.elapsed().as_secs();
        let failure = failure.with_context(|| format!("mutant {}", mutant.name))?;
        println!(
            "{:<42} {seconds:>3} s  {}",
            mutant.name,
            failure.as_deref().unwrap_or("NOT NOTICED")
        );
        if failure.is_none() {
            unnoticed.push(mutant.name);
        }
    }
    if met == 0 {
        bail!(
            "there is no such mutant; there are {}",
            MUTANTS.iter().map(|mutant| mutant.name).collect::<Vec<_>>().join(", ")
        );
    }
    match unnoticed.is_empty() {
        true => Ok(()),
        false => bail!("the crash test does not notice {}", unnoticed.join(", ")),
    }
}

fn place() -> PathBuf {
    cargo::target().join("mutants")
}

/// Removes what versions before left, whose mutants were built beside everything else.
pub fn forget_old() -> Result<()> {
    if place().join("Cargo.toml").exists() {
        std::fs::remove_dir_all(place()).with_context(|| place().display().to_string())?;
    }
    Ok(())
}

/// Copies what is newer, so that only what changed is built again; and puts back what a mutant left.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name();
        if name == "target" || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_sources(&source, &target)?;
        } else if entry.file_type()?.is_file() {
            let bytes = std::fs::read(&source).with_context(|| source.display().to_string())?;
            if std::fs::read(&target).ok().as_ref() != Some(&bytes) {
                std::fs::write(&target, bytes)?;
            }
        }
    }
    // What is no more must not be built.
    for entry in std::fs::read_dir(to)? {
        let entry = entry?;
        if !from.join(entry.file_name()).exists() {
            match entry.file_type()?.is_dir() {
                true => std::fs::remove_dir_all(entry.path())?,
                false => std::fs::remove_file(entry.path())?,
            }
        }
    }
    Ok(())
}

/// A built crash test.
struct CrashTest(PathBuf);

fn build(workspace: &Path) -> Result<CrashTest> {
    let arguments = [
        "test",
        "--package",
        "sigwarden-ledger",
        "--test",
        "crash",
        "--no-run",
        "--message-format=json",
    ];
    let output = cargo::command(&arguments)
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", place().join("target"))
        .stderr(Stdio::piped())
        .output()
        .context("cargo test")?;
    if !output.status.success() {
        bail!("it does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        let message: serde_json::Value = serde_json::from_slice(line).context("cargo's messages")?;
        if let (Some(executable), Some("crash")) = (message["executable"].as_str(), message["target"]["name"].as_str()) {
            return Ok(CrashTest(executable.into()));
        }
    }
    bail!("cargo built no crash test")
}

impl CrashTest {
    /// What it failed with, if it did.
    fn run(&self, seeds: &str) -> Result<Option<String>> {
        let output = Command::new(&self.0)
            .args(["--quiet", "--exact", "nothing_acknowledged_is_lost_and_nothing_is_signed_twice"])
            .env("SIGWARDEN_CRASH_SEEDS", seeds)
            .env("RUST_BACKTRACE", "0")
            .output()
            .context("the crash test could not be started")?;
        if output.status.success() {
            return Ok(None);
        }
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        let failure = told.lines().find(|line| line.starts_with("seed "));
        Ok(Some(failure.unwrap_or(&told).chars().take(160).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Within `cargo test`, so that whoever moves a safeguard hears of it before CI's last step.
    #[test]
    fn every_mutant_finds_its_text() {
        for mutant in MUTANTS {
            let source = mutant.source(&cargo::root()).unwrap();
            assert_ne!(source.replace(mutant.from, mutant.to), source, "{}", mutant.name);
        }
    }
}
