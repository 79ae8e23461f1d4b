//! Fuzzes: `cargo fuzz` on the targets of `fuzz/`, or, where there is no fuzzer, their corpus once.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// A function of `fuzz/src`.
#[derive(Clone, Copy)]
struct Target {
    name: &'static str,
    /// It needs the daemon's code, and so its sandbox, which takes ten times as long to build.
    daemon: bool,
}

const fn target(name: &'static str, daemon: bool) -> Target {
    Target { name, daemon }
}

/// Every target.
const TARGETS: [Target; 6] = [
    target("decoders", false),
    target("log", false),
    target("sealed_file", false),
    target("envelope", true),
    target("config", true),
    target("guest_answers", true),
];

/// Of each target in `cargo xtask test`, where six minutes are for all of this: building those without the daemon takes two to three.
const SECONDS_IN_TEST: u64 = 20;

/// `[--minutes N] [TARGET]`: ten minutes each unless told.
pub fn run(arguments: &[String]) -> Result<()> {
    let (mut minutes, mut chosen) = (10_u64, None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--minutes" {
            let given = arguments.next().context("--minutes needs a number")?;
            minutes = given.parse().with_context(|| format!("`{given}` is no number of minutes"))?;
        } else if TARGETS.iter().any(|target| target.name == argument) {
            chosen = Some(argument.as_str());
        } else {
            let names = TARGETS.map(|target| target.name).join(", ");
            bail!("there is no target `{argument}`; one of {names} is");
        }
    }
    if !cargo::has_tool("fuzz") {
        println!("cargo fuzz is not installed (`cargo install cargo-fuzz --locked`), so nothing is fuzzed: the corpus is run once");
        let status = corpus_command().status().context("cargo test of fuzz/")?;
        if !status.success() {
            bail!("the corpus does not pass");
        }
        return Ok(());
    }
    for target in TARGETS
        .into_iter()
        .filter(|target| chosen.is_none_or(|chosen| chosen == target.name))
    {
        fuzz(target, minutes * 60)?;
    }
    Ok(())
}

/// What `cargo xtask test` does beside the corpus: fuzzes for some seconds what builds in a few minutes, and says what it did not do.
pub fn a_little() -> Result<()> {
    let without: Vec<&str> = TARGETS.iter().filter(|target| target.daemon).map(|target| target.name).collect();
    let without = without.join(", ");
    if !cargo::has_tool("fuzz") {
        println!("\nnothing was fuzzed, the corpus alone was run: cargo fuzz is not installed (`cargo install cargo-fuzz --locked`)");
        return Ok(());
    }
    for target in TARGETS.into_iter().filter(|target| !target.daemon) {
        fuzz(target, SECONDS_IN_TEST)?;
    }
    println!(
        "\nfuzzed for {SECONDS_IN_TEST} seconds each; by their corpus alone, as they build with the sandbox: {without} (`cargo xtask fuzz`)"
    );
    Ok(())
}

fn fuzz(target: Target, seconds: u64) -> Result<()> {
    let name = target.name;
    println!("\n{name}: {seconds} seconds");
    let features = if target.daemon { "libfuzzer,daemon" } else { "libfuzzer" };
    let home = cargo::root().join("fuzz");
    // What is found goes to the first; the second, which is committed and kept small, is only read.
    let found = cargo::target().join("fuzz/corpus").join(name);
    std::fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
    let time = format!("-max_total_time={seconds}");
    let mut command = cargo::tool(&["fuzz", "run", "--sanitizer", "none", "--features", features, "--target-dir"]);
    command
        .arg(cargo::target().join("fuzz"))
        .arg(name)
        .arg(&found)
        .arg(home.join("corpus").join(name));
    command.args(["--", &time, "-rss_limit_mb=4096", "-print_final_stats=1", "-verbosity=0"]);
    // Coverage needs nightly's flags, not nightly: safe Rust needs no sanitizer.
    let status = command.current_dir(&home).env("RUSTC_BOOTSTRAP", "1").status()?;
    if !status.success() {
        bail!("{name} failed; the input is under fuzz/artifacts/{name}: mend what it shows, then keep it in fuzz/corpus/{name}");
    }
    Ok(())
}

/// What is committed of each target's corpus, cut and with bits flipped, as ordinary tests. It builds into the workspace's own target
/// directory: the dependencies are the same.
pub fn corpus_command() -> Command {
    let mut command = cargo::command(&["test", "--features", "daemon", "--test", "corpus"]);
    command
        .current_dir(cargo::root().join("fuzz"))
        .env("CARGO_TARGET_DIR", cargo::target());
    command
}
