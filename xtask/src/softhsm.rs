//! SoftHSM, the token that tests and the runbooks use, and the two tools that the runbooks call.

use anyhow::{Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where Debian, Fedora and Homebrew put it.
const LIBRARIES: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

const BY_HAND: &str = "apt-get install -y --no-install-recommends softhsm2 curl openssl";

/// What is called, and how it says that it is there.
const TOOLS: [(&str, &str); 3] = [("softhsm2-util", "--version"), ("curl", "--version"), ("openssl", "version")];

/// Fetches it if it is not there.
pub fn ready() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !root {
        bail!("the tests of the HSM backend and the runbooks need SoftHSM, curl and openssl; run `sudo {BY_HAND}` and run this again");
    }
    eprintln!("fetching SoftHSM, curl and openssl");
    // Without an update the index may be absent; if the update fails, the install says more than it would.
    let _ = Command::new("apt-get").args(["update", "-qq"]).status();
    let arguments: Vec<&str> = BY_HAND.split(' ').skip(1).collect();
    let installed = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !installed || !is_there() {
        bail!("`{BY_HAND}` did not give SoftHSM, curl and openssl; install them by hand and run this again");
    }
    Ok(())
}

fn is_there() -> bool {
    let runs = |(tool, argument): &(&str, &str)| {
        let mut command = Command::new(tool);
        command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    LIBRARIES.iter().any(|path| Path::new(path).is_file()) && TOOLS.iter().all(runs)
}
