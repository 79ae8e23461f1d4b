//! The compiler: `wasm32-unknown-unknown` for whoever has it.
//!
//! Two toolchains can do it: rustup's, with the target added, and Debian's `rustc-web`, which carries the standard library's
//! source. Neither is preferred for its output; whichever is there is used. Which it was stands in the component.

use crate::section::BuiltWith;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What policies are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's packages for it: a rustc of this workspace's age, and the standard library's source, since its wasm build lacks one
/// that a plain `lld` can link.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];
/// The target is a download of 20 MB; a mirror that takes longer than this is as good as none.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(180);

/// A toolchain that builds policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// The toolchain that is in use, with rustup's build of the standard library for wasm.
    Rustup,
    /// Debian's, which builds the standard library from source.
    Debian,
}

/// There is no toolchain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policies are compiled for {TARGET}, and no toolchain here can; install one with\n  {command}\nand run this again")]
pub struct Missing {
    /// The one command that installs it.
    pub command: String,
}

/// A compiler that does not say what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` failed; the toolchain is not whole")]
pub struct Broken(pub String);

/// What a compiler says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// Its first line: `rustc 1.95.0 (59807616e 2026-04-14)`.
    line: String,
    /// The commit that it was built from, as `-vV` has it; `unknown` if it does not say.
    commit: String,
    sysroot: PathBuf,
    linker: Option<String>,
}

impl Toolchain {
    /// The toolchain that a build in `folder` would use.
    ///
    /// # Errors
    /// There is none; the error has the command that installs one.
    pub fn find(folder: &Path) -> Result<Self, Missing> {
        let rustup = succeeds("rustup", &["--version"], folder);
        if rustup && rustup_has_target(folder) {
            return Ok(Self::Rustup);
        }
        if debian_is_complete(folder) {
            return Ok(Self::Debian);
        }
        let apt = succeeds("apt-get", &["--version"], folder);
        let command = install_command(rustup, apt, is_root(folder));
        Err(Missing { command })
    }

    /// The same, and fetches one if there is none: the target with rustup, else, as root, Debian's packages. `say` is told what is
    /// fetched.
    ///
    /// # Errors
    /// There is none and none could be fetched.
    pub fn find_or_fetch(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Self, Missing> {
        let missing = match Self::find(folder) {
            Ok(found) => return Ok(found),
            Err(missing) => missing,
        };
        if succeeds("rustup", &["--version"], folder) {
            say(&format!("fetching the {TARGET} target with rustup"));
            let mut add = Command::new("rustup");
            add.current_dir(folder).args(["target", "add", TARGET]);
            if runs_within(&mut add, RUSTUP_PATIENCE) && rustup_has_target(folder) {
                return Ok(Self::Rustup);
            }
        }
        if !succeeds("apt-get", &["--version"], folder) {
            return Err(missing);
        }
        if !is_root(folder) {
            // Rustup has had its turn.
            let command = install_command(false, true, false);
            return Err(Missing { command });
        }
        say(&format!("fetching Debian's toolchain for {TARGET}"));
        // Without an update the index may be absent; if the update fails, the install says more than it would.
        let _ = Command::new("apt-get").args(["update", "-qq"]).status();
        let installed = Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(DEBIAN_PACKAGES)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if installed && debian_is_complete(folder) {
            return Ok(Self::Debian);
        }
        Err(Missing { command: apt_install() })
    }

    /// A name for folders: what one builds the other would build again.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }

    /// Its cargo, free of what an outer cargo put into the environment, in `folder`.
    pub(crate) fn cargo(self, folder: &Path) -> Command {
        match self {
            Self::Rustup => self.tool(&PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())), folder),
            Self::Debian => self.tool(Path::new("/usr/bin/cargo"), folder),
        }
    }

    /// Arguments that every build with it needs.
    pub(crate) fn build_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Rustup => &[],
            Self::Debian => &[
                "-Zbuild-std=std,panic_abort",
                "--config",
                "target.wasm32-unknown-unknown.linker=\"wasm-ld\"",
            ],
        }
    }

    fn tool(self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| is_build_setting(name, self)) {
                command.env_remove(name);
            }
        }
        match self {
            Self::Rustup => {}
            // Its version is stable's; building the standard library is not.
            Self::Debian => {
                command.env("PATH", "/usr/bin:/bin").env("RUSTC_BOOTSTRAP", "1");
            }
        }
        command
    }

    /// What its compiler says of itself.
    pub(crate) fn version(self, folder: &Path) -> Result<Version, Broken> {
        let rustc = match self {
            Self::Rustup => "rustc",
            Self::Debian => "/usr/bin/rustc",
        };
        let ask = |program: &str, arguments: &[&str]| {
            let mut command = self.tool(Path::new(program), folder);
            succeeded(command.args(arguments)).ok_or_else(|| Broken(format!("{program} {}", arguments.join(" "))))
        };
        let verbose = ask(rustc, &["-vV"])?;
        let field = |name: &str| verbose.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let linker = match self {
            Self::Rustup => None,
            Self::Debian => Some(ask("/usr/bin/wasm-ld", &["--version"])?.trim().to_owned()),
        };
        Ok(Version {
            line: verbose.lines().next().unwrap_or_default().trim().to_owned(),
            commit: field("commit-hash:").unwrap_or("unknown").to_owned(),
            sysroot: PathBuf::from(ask(rustc, &["--print", "sysroot"])?.trim()),
            linker,
        })
    }
}

impl Version {
    /// Where the standard library's source lies if it is there, and the name that rustc's own builds have for it.
    pub(crate) fn std_source(&self) -> (PathBuf, String) {
        (self.sysroot.join("lib/rustlib/src/rust"), format!("/rustc/{}", self.commit))
    }

    pub(crate) fn record(&self, sdk: &str) -> BuiltWith {
        BuiltWith {
            rustc: self.line.clone(),
            target: TARGET.to_owned(),
            std: match &self.linker {
                None => "prebuilt".to_owned(),
                Some(linker) => format!("source, {linker}"),
            },
            sdk: sdk.to_owned(),
            sigwarden: env!("CARGO_PKG_VERSION").to_owned(),
        }
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

/// The one command that installs a toolchain, with what is there.
fn install_command(rustup: bool, apt: bool, root: bool) -> String {
    match (rustup, apt, root) {
        (true, _, _) => format!("rustup target add {TARGET}"),
        (false, true, true) => apt_install(),
        (false, true, false) => format!("sudo {}", apt_install()),
        (false, false, _) => format!("curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y --target {TARGET}"),
    }
}

fn apt_install() -> String {
    format!("apt-get install -y --no-install-recommends {}", DEBIAN_PACKAGES.join(" "))
}

fn rustup_has_target(folder: &Path) -> bool {
    let Some(installed) = output("rustup", &["target", "list", "--installed"], folder) else {
        return false;
    };
    // The cargo in use must be rustup's too, or its rustc would not find the target.
    installed.lines().any(|line| line.trim() == TARGET) && output("rustup", &["which", "cargo"], folder).is_some()
}

/// The compiler, the linker and the standard library's source, all of them recent enough.
fn debian_is_complete(folder: &Path) -> bool {
    let (Some(version), Some(sysroot)) = (
        output("/usr/bin/rustc", &["--version"], folder),
        output("/usr/bin/rustc", &["--print", "sysroot"], folder),
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

/// The workspace's `rust-version`, which is the SDK's too.
fn minor_version_wanted() -> u32 {
    env!("CARGO_PKG_RUST_VERSION")
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok())
        .unwrap_or(u32::MAX)
}

fn is_root(folder: &Path) -> bool {
    output("id", &["-u"], folder).is_some_and(|id| id.trim() == "0")
}

fn succeeds(program: &str, arguments: &[&str], folder: &Path) -> bool {
    output(program, arguments, folder).is_some()
}

/// What a command prints, if it succeeds. Debian's rustc must not load the libraries of the toolchain that runs this.
fn output(program: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments).env_remove("LD_LIBRARY_PATH");
    if program.starts_with('/') {
        command.env_remove("RUSTUP_TOOLCHAIN");
    }
    succeeded(&mut command)
}

fn succeeded(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
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

    #[test]
    fn a_missing_toolchain_is_told_the_one_command() {
        for (rustup, apt, root, command) in [
            (true, true, true, "rustup target add wasm32-unknown-unknown"),
            (
                false,
                true,
                true,
                "apt-get install -y --no-install-recommends rustc-web cargo-web rust-web-src lld",
            ),
            (
                false,
                true,
                false,
                "sudo apt-get install -y --no-install-recommends rustc-web cargo-web rust-web-src lld",
            ),
            (
                false,
                false,
                false,
                "curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y --target wasm32-unknown-unknown",
            ),
        ] {
            let missing = Missing {
                command: install_command(rustup, apt, root),
            };
            assert_eq!(missing.to_string().lines().nth(1), Some(format!("  {command}").as_str()));
        }
    }
}
