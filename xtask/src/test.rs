//! Runs the tests: all of them, or those whose path contains a name.

use crate::{cargo, fuzz, kryoptic, mutants, peers, policies, python, softhsm, without_env};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tells tests which Python has what the peers need.
const PYTHON: &str = "SIGWARDEN_PYTHON";

/// Runs every test, or with a name those whose path (`package::target::module::test`) contains it.
pub fn run(name: Option<&str>) -> Result<()> {
    mutants::forget_old()?;
    policies::build_all()?;
    let python = python::ready()?;
    softhsm::ready()?;
    peers::ready()?;
    let mut tally = Tally::default();
    match name {
        // The workspace as a whole, so that its dependencies compile once, and the binary that end-to-end tests start with them.
        None => {
            tally.add(cargo::command(&["test", "--workspace", "--no-fail-fast"]).env(PYTHON, &python))?;
            tally.add(&mut fuzz::corpus_command())?;
            tally.broken |= without_env::run().inspect_err(|error| println!("{error:#}")).is_err();
            tally.broken |= fuzz::a_little().inspect_err(|error| println!("{error:#}")).is_err();
            println!("\nmutants of the ledger, each of which its crash test must notice");
            tally.broken |= mutants::run(None).inspect_err(|error| println!("{error:#}")).is_err();
        }
        Some(name) => {
            for suite in suites()? {
                // The whole suite if its own path matches, else its tests that do.
                let mut command = Command::new(&suite.executable);
                command.current_dir(&suite.package_dir).arg("--quiet").env(PYTHON, &python);
                let whole = suite.path.contains(name) || (name == "peers" && peers::SUITES.contains(&suite.path.as_str()));
                if !whole {
                    let filter = name.strip_prefix(&format!("{}::", suite.path)).unwrap_or(name);
                    if !suite.has(filter)? {
                        continue;
                    }
                    command.arg(filter);
                }
                println!("\n{}", suite.path);
                tally.add(&mut command)?;
            }
            if tally.passed + tally.failed == 0 && tally.ignored > 0 {
                bail!(
                    "every test whose path contains `{name}` is ignored; those that need Kryoptic are run by `cargo xtask test --kryoptic`"
                );
            }
            if tally.passed + tally.failed == 0 {
                bail!("no test's path contains `{name}`; a path is package::target::module::test, with underscores");
            }
        }
    }
    tally.judge()
}

/// Runs the tests that need Kryoptic, and builds it first.
pub fn with_kryoptic(arguments: &[String]) -> Result<()> {
    if arguments.len() > 1 {
        bail!("`--kryoptic` stands alone: it runs the tests that need Kryoptic, all of them");
    }
    policies::build_all()?;
    // Its tool makes the tokens, whosever module they belong to.
    softhsm::ready()?;
    let module = kryoptic::ready()?;
    let suites = suites()?;
    let suite = suites.iter().find(|suite| suite.path == kryoptic::SUITE);
    let suite = suite.with_context(|| format!("there is no suite {}", kryoptic::SUITE))?;
    let mut command = Command::new(&suite.executable);
    command.args([kryoptic::TESTS, "--ignored"]);
    command.current_dir(&suite.package_dir).env(kryoptic::MODULE, module);
    let mut tally = Tally::default();
    tally.add(&mut command)?;
    if tally.passed + tally.failed == 0 {
        bail!("{} has no test in {}", kryoptic::SUITE, kryoptic::TESTS);
    }
    tally.judge()
}

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    broken: bool,
}

impl Tally {
    /// Runs a command, passes its output on, and counts its `test result:` lines.
    fn add(&mut self, command: &mut Command) -> Result<()> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("the tests could not be started")?;
        let output = child.stdout.take().context("the tests have no output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            if let Some(counts) = line.strip_prefix("test result: ") {
                self.passed += count(counts, "passed");
                self.failed += count(counts, "failed");
                self.ignored += count(counts, "ignored");
            }
        }
        self.broken |= !child.wait()?.success();
        Ok(())
    }

    /// Says how it went; an error if not every test passed.
    fn judge(&self) -> Result<()> {
        println!("\n{} passed, {} failed, {} ignored", self.passed, self.failed, self.ignored);
        if self.failed > 0 || self.broken {
            bail!("not every test passed");
        }
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

/// One test executable.
struct Suite {
    /// `package::target`, with underscores.
    path: String,
    executable: PathBuf,
    package_dir: PathBuf,
}

impl Suite {
    /// Whether one of its tests has this in its name.
    fn has(&self, filter: &str) -> Result<bool> {
        let output = Command::new(&self.executable)
            .args(["--list", "--format=terse", filter])
            .current_dir(&self.package_dir)
            .output();
        let output = output.with_context(|| format!("{} could not be listed", self.path))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().any(|line| line.ends_with(": test")))
    }
}

/// Builds every test executable.
fn suites() -> Result<Vec<Suite>> {
    let arguments = ["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
    let output = cargo::command(&arguments).stderr(Stdio::inherit()).output().context("cargo test")?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    let mut suites = Vec::new();
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: serde_json::Value = serde_json::from_slice(line).context("cargo's messages")?;
        let (Some(executable), Some(true)) = (message["executable"].as_str(), message["profile"]["test"].as_bool()) else {
            continue;
        };
        let manifest = Path::new(message["manifest_path"].as_str().context("a manifest")?);
        let package_dir = manifest.parent().context("a package's folder")?.to_path_buf();
        let text = std::fs::read_to_string(manifest)?;
        let package = text
            .lines()
            .find_map(|line| line.strip_prefix("name = "))
            .context("a package's name")?
            .trim_matches('"')
            .to_owned();
        let target = message["target"]["name"].as_str().unwrap_or_default();
        let path = format!("{package}::{target}").replace('-', "_");
        suites.push(Suite {
            path,
            executable: executable.into(),
            package_dir,
        });
    }
    suites.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(suites)
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_are_read_from_the_result_line() {
        let line = "ok. 19 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!((super::count(line, "passed"), super::count(line, "failed")), (19, 2));
    }
}
