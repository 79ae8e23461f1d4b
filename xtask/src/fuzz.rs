//! Fuzzes: `cargo fuzz` on the targets of `fuzz/`, or, where there is no fuzzer, their corpus once.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// Every target: a function of `fuzz/src/lib.rs`.
const TARGETS: [&str; 6] = ["envelope", "decoders", "log", "sealed_file", "config", "guest_answers"];

/// `[--minutes N] [TARGET]`: ten minutes each unless told.
pub fn run(arguments: &[String]) -> Result<()> {
    let (mut minutes, mut chosen) = (10_u64, None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--minutes" {
            let given = arguments.next().context("--minutes needs a number")?;
            minutes = given.parse().with_context(|| format!("`{given}` is no number of minutes"))?;
        } else if TARGETS.contains(&argument.as_str()) {
            chosen = Some(argument.as_str());
        } else {
            bail!("there is no target `{argument}`; one of {} is", TARGETS.join(", "));
        }
    }
    if !installed() {
        println!("cargo fuzz is not installed (`cargo install cargo-fuzz --locked`), so nothing is fuzzed: the corpus is run once");
        let status = corpus_command().status().context("cargo test of fuzz/")?;
        if !status.success() {
            bail!("the corpus does not pass");
        }
        return Ok(());
    }
    for target in TARGETS.iter().filter(|target| chosen.is_none_or(|chosen| chosen == **target)) {
        println!("\n{target}: {minutes} minutes");
        let seconds = format!("-max_total_time={}", minutes * 60);
        let mut command = cargo::command(&["fuzz", "run", "--sanitizer", "none", "--features", "libfuzzer", "--target-dir"]);
        command
            .arg(cargo::target().join("fuzz"))
            .args([target, "--", &seconds, "-rss_limit_mb=4096"]);
        // Coverage needs nightly's flags, not nightly: safe Rust needs no sanitizer.
        let status = command
            .current_dir(cargo::root().join("fuzz"))
            .env("RUSTC_BOOTSTRAP", "1")
            .status()?;
        if !status.success() {
            bail!("{target} failed; the input is under fuzz/artifacts/{target}: mend what it shows, then keep it in fuzz/corpus/{target}");
        }
    }
    Ok(())
}

/// What is committed of each target's corpus, cut and with bits flipped, as ordinary tests. It builds into the workspace's own target
/// directory: the dependencies are the same.
pub fn corpus_command() -> Command {
    let mut command = cargo::command(&["test", "--test", "corpus"]);
    command
        .current_dir(cargo::root().join("fuzz"))
        .env("CARGO_TARGET_DIR", cargo::target());
    command
}

fn installed() -> bool {
    let mut command = cargo::command(&["fuzz", "--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
