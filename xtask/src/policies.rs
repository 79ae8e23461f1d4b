//! Builds the reference policies: `wasm32-unknown-unknown` modules, made components by `wit-component`.
//!
//! Two toolchains can do it: rustup's, with the target added, and Debian's `rustc-web`, which carries the standard library's
//! source. Neither is preferred for its output; whichever is there is used, and one is fetched if none is.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's packages for it: a rustc of this workspace's age, and the standard library's source, since its wasm build lacks one
/// that a plain `lld` can link.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];
/// The target is a download of 20 MB; a mirror that takes longer than this is as good as none.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(180);

/// Builds every policy into `target/policies/<name>.wasm`, whatever `CARGO_TARGET_DIR` is. What did not change is
/// not built again.
pub fn build_all() -> Result<Vec<PathBuf>> {
    let policies = policies()?;
    let wasm_dir = wasm_target_dir();
    let modules = build_modules(&policies, &wasm_dir)?;
    let components = cargo::root().join("target").join("policies");
    std::fs::create_dir_all(&components).with_context(|| format!("{} could not be made", components.display()))?;
    policies.iter().map(|policy| componentize(policy, &modules, &components)).collect()
}

struct Policy {
    /// The component's name: the package's without `policy-`.
    name: String,
    /// The package's name.
    package: String,
}

/// The packages under `policies/`, and the one that the benchmarks measure; in order.
fn policies() -> Result<Vec<Policy>> {
    let folder = cargo::root().join("policies");
    let mut packages = vec![cargo::root().join("benches").join("guest")];
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{} could not be read", folder.display()))? {
        packages.push(entry?.path());
    }
    packages.sort();
    let manifests = packages
        .iter()
        .map(|package| package.join("Cargo.toml"))
        .filter(|manifest| manifest.is_file());
    manifests.map(|manifest| policy(&manifest)).collect()
}

/// Reads the package's name.
fn policy(manifest: &Path) -> Result<Policy> {
    let text = std::fs::read_to_string(manifest).with_context(|| format!("{} could not be read", manifest.display()))?;
    let package = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let name = package.and_then(|package| package.strip_prefix("policy-"));
    let (Some(package), Some(name)) = (package, name) else {
        bail!(
            "{} has no line `name = \"policy-...\"`; a policy's package is named so",
            manifest.display()
        );
    };
    Ok(Policy {
        name: name.to_owned(),
        package: package.to_owned(),
    })
}

/// A target directory of its own, so that the lock of the cargo that runs this is not waited for.
fn wasm_target_dir() -> PathBuf {
    let base = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| cargo::root().join("target"), |dir| cargo::root().join(dir));
    base.join("wasm")
}

/// Wraps a core module, written only if it changed, so that who embeds it is not rebuilt.
fn componentize(policy: &Policy, modules: &Path, components: &Path) -> Result<PathBuf> {
    let source = modules.join(format!("{}.wasm", policy.package.replace('-', "_")));
    let module = std::fs::read(&source).with_context(|| format!("{} was not built", source.display()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .with_context(|| format!("{} is no component of the world in wit/policy.wit", policy.package))?;
    let target = components.join(format!("{}.wasm", policy.name));
    if std::fs::read(&target).is_ok_and(|old| old == component) {
        return Ok(target);
    }
    // Renamed into place, so that a build running beside this one never embeds half a module.
    let partial = components.join(format!("{}.wasm.{}", policy.name, std::process::id()));
    std::fs::write(&partial, &component)
        .and_then(|()| std::fs::rename(&partial, &target))
        .with_context(|| format!("{} could not be written", target.display()))?;
    Ok(target)
}

/// Compiles the policies and returns the directory of the modules.
fn build_modules(policies: &[Policy], wasm_dir: &Path) -> Result<PathBuf> {
    let toolchain = find_toolchain()?;
    // Each toolchain keeps its own, or they would rebuild what the other built.
    let target_dir = wasm_dir.join(toolchain.name());
    let mut command = toolchain.cargo();
    command
        .current_dir(cargo::root())
        .args(["build", "--quiet", "--locked", "--profile", "policy", "--lib", "--target", TARGET]);
    command.arg("--target-dir").arg(&target_dir);
    for policy in policies {
        command.args(["--package", &policy.package]);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", rustflags(&target_dir)?);
    let status = command
        .status()
        .with_context(|| format!("{} could not be started", command.get_program().display()))?;
    if !status.success() {
        bail!("the policies did not build for {TARGET} with {}: {status}", toolchain.name());
    }
    Ok(target_dir.join(TARGET).join("policy"))
}

/// Maps every path of this machine to a fixed one, so that the same source and toolchain give the same bytes anywhere. Separated
/// as `CARGO_ENCODED_RUSTFLAGS` wants it.
fn rustflags(target_dir: &Path) -> Result<OsString> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let mut flags = OsString::new();
    // The last that matches wins: the target directory may lie under the root.
    for (from, to) in [
        (cargo_home.as_path(), "/cargo"),
        (cargo::root().as_path(), "/sigwarden"),
        (target_dir, "/target"),
    ] {
        if !flags.is_empty() {
            flags.push("\x1f");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toolchain {
    /// The toolchain that runs this, with rustup's build of the standard library for wasm.
    Rustup,
    /// Debian's, which builds the standard library from source.
    Debian,
}

impl Toolchain {
    fn name(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }

    /// Its cargo, free of what the outer cargo put into the environment.
    fn cargo(self) -> Command {
        let mut command = match self {
            Self::Rustup => Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Self::Debian => Command::new("/usr/bin/cargo"),
        };
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| is_build_setting(name, self)) {
                command.env_remove(name);
            }
        }
        match self {
            Self::Rustup => {}
            Self::Debian => {
                // Its version is stable's; building the standard library is not.
                command.env("PATH", "/usr/bin:/bin").env("RUSTC_BOOTSTRAP", "1");
                command.args([
                    "-Zbuild-std=std,panic_abort",
                    "--config",
                    "target.wasm32-unknown-unknown.linker=\"wasm-ld\"",
                ]);
            }
        }
        command
    }
}

/// Whether a variable would change what the inner cargo builds, or with what. Where it fetches from is left alone.
fn is_build_setting(name: &str, toolchain: Toolchain) -> bool {
    let fetching = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    let rustup = name.starts_with("RUSTUP_");
    match toolchain {
        Toolchain::Rustup if rustup => false,
        Toolchain::Rustup | Toolchain::Debian => {
            // `cargo run` puts its own toolchain's libraries on the loader's path.
            name == "LD_LIBRARY_PATH"
                || name == "CARGO"
                || name.starts_with("RUST")
                || (name.starts_with("CARGO_") && !fetching.iter().any(|prefix| name.starts_with(prefix)))
        }
    }
}

/// What is there, else what can be fetched, else an error with the one command to run.
fn find_toolchain() -> Result<Toolchain> {
    let rustup = succeeds("rustup", &["--version"]);
    if rustup && rustup_has_target() {
        return Ok(Toolchain::Rustup);
    }
    if debian_is_complete() {
        return Ok(Toolchain::Debian);
    }
    if rustup {
        eprintln!("fetching the {TARGET} target with rustup");
        if runs_within(Command::new("rustup").args(["target", "add", TARGET]), RUSTUP_PATIENCE) && rustup_has_target() {
            return Ok(Toolchain::Rustup);
        }
    }
    let by_hand = format!("apt-get install -y --no-install-recommends {}", DEBIAN_PACKAGES.join(" "));
    if !succeeds("apt-get", &["--version"]) {
        bail!("policies need the {TARGET} target; run `rustup target add {TARGET}` and run this again");
    }
    if !is_root() {
        bail!("policies need the {TARGET} target, and rustup has none here; run `sudo {by_hand}` and run this again");
    }
    eprintln!("fetching Debian's toolchain for {TARGET}");
    // Without an update the index may be absent; if the update fails, the install says more than it would.
    let _ = Command::new("apt-get").args(["update", "-qq"]).status();
    let installed = Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(DEBIAN_PACKAGES)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !installed || !debian_is_complete() {
        bail!("`{by_hand}` did not give a toolchain for {TARGET}; mend that, or run `rustup target add {TARGET}`, and run this again");
    }
    Ok(Toolchain::Debian)
}

fn rustup_has_target() -> bool {
    let Some(installed) = output("rustup", &["target", "list", "--installed"]) else {
        return false;
    };
    // The cargo that runs this must be rustup's too, or its rustc would not find the target.
    installed.lines().any(|line| line.trim() == TARGET) && output("rustup", &["which", "cargo"]).is_some()
}

/// The compiler, the linker and the standard library's source, all of them recent enough.
fn debian_is_complete() -> bool {
    let (Some(version), Some(sysroot)) = (
        output("/usr/bin/rustc", &["--version"]),
        output("/usr/bin/rustc", &["--print", "sysroot"]),
    ) else {
        return false;
    };
    minor_version(&version).is_some_and(|minor| minor >= minor_version_wanted())
        && Path::new(sysroot.trim())
            .join("lib/rustlib/src/rust/library/std/Cargo.toml")
            .is_file()
        && Path::new("/usr/bin/cargo").is_file()
        && Path::new("/usr/bin/wasm-ld").is_file()
}

/// The minor number of `rustc 1.96.0 (...)`.
fn minor_version(line: &str) -> Option<u32> {
    line.split_whitespace().nth(1)?.split('.').nth(1)?.parse().ok()
}

/// The workspace's `rust-version`.
fn minor_version_wanted() -> u32 {
    env!("CARGO_PKG_RUST_VERSION")
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok())
        .unwrap_or(u32::MAX)
}

pub fn is_root() -> bool {
    output("id", &["-u"]).is_some_and(|id| id.trim() == "0")
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    output(program, arguments).is_some()
}

/// What a command prints, if it succeeds. Debian's rustc must not load the libraries of the toolchain that runs this.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stderr(Stdio::null()).env_remove("LD_LIBRARY_PATH");
    if program.starts_with('/') {
        command.env_remove("RUSTUP_TOOLCHAIN");
    }
    let output = command.output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command for at most so long; kills it then.
fn runs_within(command: &mut Command, patience: Duration) -> bool {
    let Ok(mut child) = command.spawn() else { return false };
    let end = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(100)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_found() {
        let names: Vec<String> = policies()
            .expect("policies/ is there")
            .into_iter()
            .map(|policy| policy.name)
            .collect();
        for name in ["monotonic", "network-mode", "payload-rules", "rate-limit"] {
            assert!(names.iter().any(|found| found == name), "{name} is missing from {names:?}");
        }
    }

    #[test]
    fn what_the_outer_cargo_sets_does_not_reach_the_inner_one() {
        for name in [
            "CARGO",
            "RUSTC",
            "RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_PKG_NAME",
            "LD_LIBRARY_PATH",
            "CARGO_ENCODED_RUSTFLAGS",
        ] {
            assert!(
                is_build_setting(name, Toolchain::Rustup) && is_build_setting(name, Toolchain::Debian),
                "{name}"
            );
        }
        for name in ["HOME", "CARGO_HOME", "CARGO_HTTP_PROXY", "CARGO_NET_OFFLINE", "https_proxy"] {
            assert!(
                !is_build_setting(name, Toolchain::Rustup) && !is_build_setting(name, Toolchain::Debian),
                "{name}"
            );
        }
        assert!(is_build_setting("RUSTUP_TOOLCHAIN", Toolchain::Debian));
        assert!(!is_build_setting("RUSTUP_TOOLCHAIN", Toolchain::Rustup));
    }

    #[test]
    fn a_compiler_older_than_the_workspace_is_not_enough() {
        assert_eq!(
            minor_version("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some(96)
        );
        assert!(minor_version("rustc 1.63.0") < Some(minor_version_wanted()));
        assert_eq!(minor_version("nonsense"), None);
    }
}
