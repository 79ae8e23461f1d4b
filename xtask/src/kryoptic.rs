//! Kryoptic, a soft token with ML-DSA: `xtask/kryoptic` makes a PKCS#11 module of it, with an OpenSSL of its own.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tells tests where the module is.
pub const MODULE: &str = "SIGWARDEN_KRYOPTIC";

/// Where the tests that need it are: ignored, unless they are asked for.
pub const SUITE: &str = "sigwarden_tests::end_to_end";
pub const TESTS: &str = "kryoptic::";

const BY_HAND: &str = "apt-get install -y --no-install-recommends libclang-dev gcc libc6-dev make perl";

/// What OpenSSL is built with. Kryoptic's bindings want libclang as well.
const TOOLS: [&str; 3] = ["cc", "make", "perl"];

/// What a build depends on, below `xtask/kryoptic`: while it is the same, the module is not built again.
const SOURCES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "module.rs"];

/// The module, built if it is not there.
pub fn ready() -> Result<PathBuf> {
    let sources = cargo::root().join("xtask/kryoptic");
    let here = cargo::target().join("cargo-tools/kryoptic");
    let file = format!("{}kryoptic_pkcs11{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let (module, built_from) = (here.join(&file), here.join("built-from"));
    let wanted = text_of(&sources)?;
    if module.is_file() && std::fs::read_to_string(&built_from).is_ok_and(|text| text == wanted) {
        return Ok(module);
    }
    tools()?;
    eprintln!("building Kryoptic and an OpenSSL for it: some minutes, once");
    let build = here.join("build");
    let status = cargo::command(&["build", "--locked", "--manifest-path"])
        .arg(sources.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &build)
        .status()
        .context("cargo build of Kryoptic could not be started")?;
    if !status.success() {
        bail!("Kryoptic does not build: {status}; what it needs is installed by `{BY_HAND}`");
    }
    // The mark last: without it the module counts as absent.
    let _ = std::fs::remove_file(&built_from);
    std::fs::copy(build.join("debug").join(&file), &module).with_context(|| format!("the build has left no {file}"))?;
    std::fs::write(&built_from, wanted)?;
    std::fs::remove_dir_all(&build)?;
    Ok(module)
}

fn text_of(sources: &Path) -> Result<String> {
    SOURCES
        .iter()
        .map(|name| {
            let path = sources.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
        })
        .collect()
}

/// Fetches what the build needs, unless it is there.
fn tools() -> Result<()> {
    if are_there() {
        return Ok(());
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !root {
        bail!("to build Kryoptic takes libclang, a C compiler, make and perl; run `sudo {BY_HAND}` and run this again");
    }
    eprintln!("fetching libclang, a C compiler, make and perl");
    // Without an update the index may be absent; if the update fails, the install says more than it would.
    let _ = Command::new("apt-get").args(["update", "-qq"]).status();
    let installed = Command::new("apt-get")
        .args(BY_HAND.split(' ').skip(1))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !installed || !are_there() {
        bail!("`{BY_HAND}` did not give libclang, a C compiler, make and perl; install them by hand and run this again");
    }
    Ok(())
}

fn are_there() -> bool {
    let runs = |tool: &&str| {
        let mut command = Command::new(tool);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    TOOLS.iter().all(runs) && has_libclang()
}

/// Where Debian, Fedora and Homebrew put it, or where `LIBCLANG_PATH` says.
fn has_libclang() -> bool {
    let mut folders: Vec<PathBuf> = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from).into_iter().collect();
    folders.extend(
        [
            "/usr/lib64",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/opt/homebrew/opt/llvm/lib",
        ]
        .map(PathBuf::from),
    );
    let versions = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.extend(
        versions
            .map(|entry| entry.path().join("lib"))
            .filter(|path| path.to_string_lossy().contains("/llvm-")),
    );
    let is_it = |name: &str| ["libclang.", "libclang-"].iter().any(|start| name.starts_with(start)) && !name.starts_with("libclang-cpp");
    folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
        .any(|entry| is_it(&entry.file_name().to_string_lossy()))
}
