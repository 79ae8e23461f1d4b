//! A build without the feature `env-secrets` has no `env` backend: it says so, and no code of it is in the binary.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Parts of the names that the backend's code has, mangled; the ordinary build has them.
const SYMBOLS: [&str; 2] = ["EnvBackend", "EnvSecrets"];

const CONFIG: &str = "version = 1\nnetwork = \"devnet\"\n[[backend]]\nname = \"env\"\nkind = \"env\"\n";

/// Builds both, looks into them, and runs the one without.
pub fn run() -> Result<()> {
    println!("\na build without `env-secrets`");
    let binary = cargo::target().join("debug").join("sigwarden");
    let build = |arguments: &[&str]| -> Result<Vec<u8>> {
        let mut all = vec!["build", "--quiet", "--package", "sigwarden"];
        all.extend(arguments);
        cargo::run(&all)?;
        std::fs::read(&binary).with_context(|| binary.display().to_string())
    };
    let has = |bytes: &[u8], symbol: &str| bytes.windows(symbol.len()).any(|window| window == symbol.as_bytes());
    let without = build(&["--no-default-features"])?;
    let found: Vec<&str> = SYMBOLS.into_iter().filter(|symbol| has(&without, symbol)).collect();
    if !found.is_empty() {
        bail!("a build without `env-secrets` contains {}", found.join(" and "));
    }
    let dir = cargo::target().join("without-env");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("sigwarden.toml"), CONFIG)?;
    let output = Command::new(&binary).arg("-d").arg(&dir).args(["keys", "list"]).output()?;
    std::fs::remove_dir_all(&dir)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !errors.contains("this build has no `env` backend") {
        bail!("a build without `env-secrets` takes an `env` backend: {errors}");
    }
    // Last, so that the binary that is left is the ordinary one; and so that the search above is known to find what it looks for.
    let with = build(&[])?;
    if let Some(missing) = SYMBOLS.into_iter().find(|symbol| !has(&with, symbol)) {
        bail!("the ordinary build has no `{missing}` either; the search for it shows nothing");
    }
    println!("it has no `env` backend, and refuses one");
    Ok(())
}
