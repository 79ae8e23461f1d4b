//! The runbooks that need a token: SoftHSM's.

use crate::script::run;
use std::path::Path;

/// Where Debian puts it.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
];

fn run_with_token(name: &str) {
    let library = LIBRARIES.iter().find(|path| Path::new(path).is_file());
    let library = library.expect("SoftHSM is not installed: `apt-get install -y softhsm2`");
    run(name, &[("SOFTHSM", library)]);
}

#[test]
fn every_command_of_hsm_md_runs() {
    run_with_token("hsm.md");
}

#[test]
fn every_command_of_mainnet_checklist_md_runs() {
    run_with_token("mainnet-checklist.md");
}
