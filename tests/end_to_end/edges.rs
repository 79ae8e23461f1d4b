//! Who may know whom: the dependency edges of design section 2, over `cargo metadata`.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// The normal and build dependencies of each workspace member: workspace members and others.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata runs in this workspace");
    let packages = metadata.workspace_packages().into_iter();
    packages
        .map(|package| {
            let normal = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development);
            (package.name.to_string(), normal.map(|dependency| dependency.name.clone()).collect())
        })
        .collect()
}

fn ours(dependencies: &BTreeSet<String>) -> BTreeSet<&str> {
    dependencies
        .iter()
        .map(String::as_str)
        .filter(|name| name.starts_with("sigwarden") || name.starts_with("policy-"))
        .collect()
}

#[test]
fn core_knows_no_other_crate_and_no_effect() {
    let all = dependencies();
    let core = &all["sigwarden-core"];
    assert_eq!(ours(core), BTreeSet::new());
    for forbidden in ["tokio", "wasmtime", "redb", "rustix", "tonic", "tracing", "getrandom"] {
        assert!(!core.contains(forbidden), "core depends on {forbidden}");
    }
}

#[test]
fn formats_policy_keys_ledger_and_pkcs11_know_core_and_not_each_other() {
    let all = dependencies();
    for name in [
        "sigwarden-formats",
        "sigwarden-policy",
        "sigwarden-keys",
        "sigwarden-ledger",
        "sigwarden-pkcs11",
    ] {
        assert_eq!(ours(&all[name]), BTreeSet::from(["sigwarden-core"]), "{name}");
    }
}

#[test]
fn only_pkcs11_names_cryptoki_and_nobody_ships_the_mock() {
    for (name, dependencies) in dependencies() {
        if name == "sigwarden-benches" {
            // They measure against a raw loop on the same token.
            continue;
        }
        assert_eq!(dependencies.contains("cryptoki"), name == "sigwarden-pkcs11", "{name}");
        assert!(
            !dependencies.contains("sigwarden-mock-hsm"),
            "{name} has the mock outside of its tests"
        );
    }
    assert_eq!(ours(&dependencies()["sigwarden-mock-hsm"]), BTreeSet::new());
}

#[test]
fn the_workbench_knows_the_pipelines_parts_and_component_nobody() {
    let all = dependencies();
    assert_eq!(ours(&all["sigwarden-component"]), BTreeSet::new());
    let parts = [
        "sigwarden-core",
        "sigwarden-formats",
        "sigwarden-keys",
        "sigwarden-ledger",
        "sigwarden-policy",
    ];
    assert_eq!(ours(&all["sigwarden-workbench"]), BTreeSet::from(parts));
    for (name, dependencies) in &all {
        let (workbench, component) = (
            dependencies.contains("sigwarden-workbench"),
            dependencies.contains("sigwarden-component"),
        );
        assert!(!workbench || name == "sigwarden", "{name} knows the workbench");
        assert!(
            !component || ["sigwarden", "xtask"].contains(&name.as_str()),
            "{name} knows component"
        );
    }
}

#[test]
fn what_speaks_to_others_knows_core_and_what_it_speaks_of() {
    let all = dependencies();
    let known = |name: &str| ours(&all[name]);
    assert_eq!(known("sigwarden-tls"), BTreeSet::new());
    assert_eq!(known("sigwarden-protocol"), BTreeSet::from(["sigwarden-core"]));
    assert_eq!(known("sigwarden-telemetry"), BTreeSet::from(["sigwarden-core"]));
    for name in ["sigwarden-privval", "sigwarden-eth-rpc"] {
        assert_eq!(known(name), BTreeSet::from(["sigwarden-core", "sigwarden-formats"]), "{name}");
    }
    let remote = BTreeSet::from(["sigwarden-core", "sigwarden-protocol", "sigwarden-tls"]);
    assert_eq!(known("sigwarden-remote"), remote);
}

#[test]
fn only_policy_names_wasmtime() {
    for (name, dependencies) in dependencies() {
        let wasmtime = dependencies.iter().any(|dependency| dependency.starts_with("wasmtime"));
        assert_eq!(wasmtime, name == "sigwarden-policy", "{name}");
    }
}

#[test]
fn policies_know_the_guest_sdk_only_and_the_sdk_knows_nobody() {
    let all = dependencies();
    assert_eq!(ours(&all["sigwarden-guest"]), BTreeSet::new());
    assert_eq!(ours(&all["sigwarden-cel"]), BTreeSet::from(["sigwarden-guest"]));
    let policies: Vec<_> = all.iter().filter(|(name, _)| name.starts_with("policy-")).collect();
    assert!(policies.len() >= 4, "four reference policies");
    for (name, dependencies) in policies {
        let mut known = ours(dependencies);
        // A part of the SDK, for policies that judge by expressions.
        known.remove("sigwarden-cel");
        assert_eq!(known, BTreeSet::from(["sigwarden-guest"]), "{name}");
    }
}

#[test]
fn unsafe_code_lives_in_named_files_only() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace's root");
    let mut found = BTreeSet::new();
    for folder in ["host", "guest-sdk", "policies", "tests", "benches", "xtask"] {
        for path in rust_files(&root.join(folder)) {
            let text = std::fs::read_to_string(&path).expect("a source file");
            if text
                .lines()
                .any(|line| !line.trim_start().starts_with("//") && line.contains("unsafe ") && !line.contains("\""))
            {
                found.insert(path.strip_prefix(root).expect("below the root").display().to_string());
            }
        }
    }
    let allowed = BTreeSet::from(UNSAFE_FILES.map(str::to_owned));
    assert!(
        found.is_subset(&allowed),
        "unsafe in files that are not named for it: {:?}",
        found.difference(&allowed)
    );
}

/// Each of these has one reason, stated at its top.
const UNSAFE_FILES: [&str; 5] = [
    "host/keys/src/os.rs",
    "host/policy/src/cache.rs",
    "guest-sdk/src/bindings.rs",
    "host/mock-hsm/src/ffi.rs",
    "host/mock-hsm/src/ffi_tests.rs",
];

fn rust_files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
