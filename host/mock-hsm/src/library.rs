//! Where cargo put the module.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The newest build of the module in the target directory of the running executable: beside it, or in `deps` of a directory above.
/// None if there is none, or if the executable did not come from cargo.
#[must_use]
pub fn library_path() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?;
    // `target/debug/deps/test-1234`, `target/debug/program`, `target/debug/examples/example`: at most two directories up.
    let directories = executable.ancestors().skip(1).take(3);
    directories
        .flat_map(|directory| [directory.to_owned(), directory.join("deps")])
        .flat_map(|directory| modules_in(&directory))
        .max_by_key(|(built, _)| *built)
        .map(|(_, path)| path)
}

fn modules_in(directory: &Path) -> Vec<(SystemTime, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(is_module))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect()
}

/// `libsigwarden_mock_hsm.so`, or with cargo's hash, `libsigwarden_mock_hsm-0123456789abcdef.so`.
fn is_module(name: &str) -> bool {
    let stem = format!("{}sigwarden_mock_hsm", std::env::consts::DLL_PREFIX);
    name.strip_prefix(&stem)
        .and_then(|rest| rest.strip_suffix(std::env::consts::DLL_SUFFIX))
        .is_some_and(|hash| hash.is_empty() || hash.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::is_module;

    #[test]
    fn only_the_module_is_taken_for_it() {
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        assert!(is_module(&format!("{prefix}sigwarden_mock_hsm{suffix}")));
        assert!(is_module(&format!("{prefix}sigwarden_mock_hsm-0123456789abcdef{suffix}")));
        for other in [
            "sigwarden_mock_hsm.d",
            "libsigwarden_mock_hsm.rlib",
            "libsigwarden_mock_hsmx.so",
            "libsofthsm2.so",
        ] {
            assert!(!is_module(other), "{other}");
        }
    }
}
