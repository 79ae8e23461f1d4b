//! Runs the tests: all of them, or those whose path contains a name.

use crate::{cargo, policies};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Runs every test, or with a name those whose path (`package::target::module::test`) contains it.
pub fn run(name: Option<&str>) -> Result<()> {
    policies::build_all()?;
    // End-to-end tests start this very binary.
    cargo::run(&["build", "--quiet", "--package", "sigwarden", "--bin", "sigwarden"])?;
    let mut tally = Tally::default();
    match name {
        None => tally.add(&["test", "--workspace", "--no-fail-fast"])?,
        Some(name) => {
            for (package, target) in targets()? {
                let path = format!("{}::{}", package.replace('-', "_"), target.path.replace('-', "_"));
                // The whole target if its own path matches, else its tests that do.
                let whole = path.contains(&name.replace('-', "_")) || path.replace('_', "-").contains(name);
                let mut arguments = vec!["test", "--quiet", "--package", &package];
                arguments.extend(target.flags.iter().map(String::as_str));
                let filter = name.strip_prefix(&format!("{path}::")).unwrap_or(name).to_owned();
                if !whole {
                    arguments.push(&filter);
                }
                tally.add(&arguments)?;
            }
            if tally.passed + tally.failed == 0 {
                bail!("no test's path contains `{name}`");
            }
        }
    }
    println!("\n{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 || tally.broken {
        bail!("not every test passed");
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    broken: bool,
}

impl Tally {
    /// Runs cargo, passes its output on, and counts its `test result:` lines.
    fn add(&mut self, arguments: &[&str]) -> Result<()> {
        let mut child = cargo::command(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .context("cargo could not be started")?;
        let output = child.stdout.take().context("cargo has no output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            if let Some(counts) = line.strip_prefix("test result: ") {
                self.passed += count(counts, "passed");
                self.failed += count(counts, "failed");
            }
        }
        self.broken |= !child.wait()?.success();
        Ok(())
    }
}

/// The number before `word`.
fn count(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
    words
        .windows(2)
        .filter(|pair| pair[1] == word)
        .filter_map(|pair| pair[0].parse::<u64>().ok())
        .sum()
}

struct Target {
    path: String,
    flags: Vec<String>,
}

/// Every test target of the workspace, by package.
fn targets() -> Result<Vec<(String, Target)>> {
    let output = cargo::command(&["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata's output")?;
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        for target in package["targets"].as_array().into_iter().flatten() {
            if !target["test"].as_bool().unwrap_or(false) {
                continue;
            }
            let target_name = target["name"].as_str().unwrap_or_default().to_owned();
            let kinds: Vec<&str> = target["kind"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(serde_json::Value::as_str)
                .collect();
            let flags = if kinds.contains(&"test") {
                vec!["--test".to_owned(), target_name.clone()]
            } else if kinds.contains(&"bin") {
                vec!["--bin".to_owned(), target_name.clone()]
            } else if kinds.iter().any(|kind| kind.ends_with("lib")) {
                vec!["--lib".to_owned()]
            } else {
                continue;
            };
            found.push((name.clone(), Target { path: target_name, flags }));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_are_read_from_the_result_line() {
        let line = "ok. 19 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!((super::count(line, "passed"), super::count(line, "failed")), (19, 2));
    }
}
