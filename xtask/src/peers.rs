//! Peers that tests run as clients and nodes: viem and ethers on Node.js, CometBFT in Go.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What Debian has for the first.
const NODE_BY_HAND: &str = "apt-get install -y --no-install-recommends nodejs npm";

/// Debian's own Go is older than CometBFT wants.
const GO_BY_HAND: &str = "install Go 1.25 or later, from go.dev/dl or a package, and have `go` on the PATH";

/// Test suites that are nothing but peers, whatever their names.
pub const SUITES: [&str; 2] = ["sigwarden_privval::privval", "sigwarden_eth_rpc::eth_rpc"];

/// Fetches what is not there.
pub fn ready() -> Result<()> {
    if !runs("node", "--version") || !runs("npm", "--version") {
        let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        if !root {
            bail!("the EVM clients of the tests need Node.js 18 or later; run `sudo {NODE_BY_HAND}` and run this again");
        }
        eprintln!("fetching Node.js");
        // Without an update the index may be absent; if the update fails, the install says more than it would.
        let _ = Command::new("apt-get").args(["update", "-qq"]).status();
        let mut install = Command::new("apt-get");
        install
            .args(NODE_BY_HAND.split(' ').skip(1))
            .env("DEBIAN_FRONTEND", "noninteractive");
        let _ = install.stdout(Stdio::null()).status();
        if !runs("node", "--version") || !runs("npm", "--version") {
            bail!("`{NODE_BY_HAND}` did not give Node.js; install it by hand and run this again");
        }
    }
    packages(&cargo::root().join("tests/peers/evm"))?;
    if !runs("go", "version") {
        bail!("the CometBFT nodes of the tests are written in Go: {GO_BY_HAND}");
    }
    Ok(())
}

/// CometBFT v0.38's listener for a remote signer, built under the target directory; flags as in `tests/peers/cometbft/peer.rs`, so that
/// Go's cache serves both.
pub fn listener() -> Result<PathBuf> {
    if !runs("go", "version") {
        bail!("CometBFT's listener is written in Go: {GO_BY_HAND}");
    }
    let bin = cargo::tools().join("bin");
    std::fs::create_dir_all(&bin).with_context(|| bin.display().to_string())?;
    let program = bin.join("cometbft-v0_38");
    let status = Command::new("go")
        .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(cargo::root().join("tests/peers/cometbft/v0_38"))
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOWORK", "off")
        .status()
        .context("go could not be started")?;
    if !status.success() {
        bail!("`go build` in tests/peers/cometbft/v0_38: {status}");
    }
    Ok(program)
}

/// Installs the npm packages that the lock file names, unless they are there already: npm leaves a copy of the lock file beside them.
fn packages(peers: &Path) -> Result<()> {
    let newer = |installed: &Path, wanted: &Path| {
        let time = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
        time(installed)
            .zip(time(wanted))
            .is_some_and(|(installed, wanted)| installed >= wanted)
    };
    if newer(&peers.join("node_modules/.package-lock.json"), &peers.join("package-lock.json")) {
        return Ok(());
    }
    eprintln!("fetching viem and ethers");
    let npm = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
        .current_dir(peers)
        .status()
        .context("npm could not be started")?;
    if !npm.success() {
        bail!("`npm --prefix tests/peers/evm ci --ignore-scripts` failed: {npm}");
    }
    Ok(())
}

fn runs(tool: &str, argument: &str) -> bool {
    let mut command = Command::new(tool);
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
