//! Crates that become components, and crates that do not.

use crate::commands::{build, files, inspect, new, root};
use sigwarden_component::cli;
use std::path::Path;

/// A crate without dependencies, which builds in no time.
fn bare(folder: &Path, kind: &str, source: &str) {
    let manifest =
        format!("[package]\nname = \"bare\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [{kind}]\n[workspace]\n");
    std::fs::create_dir(folder.join("src")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(folder.join("src/lib.rs"), source).unwrap();
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[test]
fn a_scaffold_builds_and_gives_the_same_bytes_in_another_folder() {
    let one = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let target = tempfile::tempdir().unwrap();
    let here = one.path().join("max-value");
    let there = other.path().join("deeper/elsewhere");
    for folder in [&here, &there] {
        let ran = new("max-value", folder, None);
        assert_eq!((ran.code, ran.err.as_str()), (cli::DONE, ""));
    }
    assert_eq!(files(&here), files(&there));
    for file in [
        "Cargo.lock",
        "FIXTURES.md",
        "README.md",
        "fixtures/example.toml",
        "sdk/guest-sdk/src/lib.rs",
        "sdk/wit/policy.wit",
        "src/lib.rs",
    ] {
        assert!(here.join(file).is_file(), "{file}");
    }

    let built = build(&here, |arguments| arguments.target_dir = Some(target.path().to_owned()), true).json();
    let module = here.join("target/policies/max-value.wasm");
    assert_eq!(built["module"], module.to_str().unwrap());
    assert_eq!(built["version"], "0.1.0");
    // Its lock file was pruned by the first build, and stands from then on.
    let out = other.path().join("out.wasm");
    std::fs::copy(here.join("Cargo.lock"), there.join("Cargo.lock")).unwrap();
    let again = build(
        &there,
        |arguments| {
            arguments.out = Some(out.clone());
            arguments.target_dir = Some(other.path().join("target"));
            arguments.locked = true;
        },
        true,
    )
    .json();
    assert_eq!(again["digest"], built["digest"]);
    let wasm = std::fs::read(&module).unwrap();
    assert_eq!(wasm, std::fs::read(&out).unwrap());
    for place in [one.path(), other.path(), target.path(), Path::new(&std::env::var("HOME").unwrap())] {
        assert!(!contains(&wasm, place.to_str().unwrap()), "the module names {}", place.display());
    }

    let inspected = inspect(&module, true).json();
    assert_eq!(inspected["digest"], built["digest"]);
    assert_eq!(inspected["problems"], serde_json::json!([]));
    assert_eq!(inspected["manifest"]["name"], "max-value");
    assert_eq!(
        inspected["manifest"]["denial_codes"],
        serde_json::json!(["value", "facts/missing", "sdk/not-configured"])
    );
    assert_eq!(inspected["manifest"]["config_schema"]["required"], serde_json::json!(["max_value"]));
    assert_eq!(inspected["built_with"]["target"], "wasm32-unknown-unknown");
    assert_eq!(inspected["built_with"]["sdk"], env!("CARGO_PKG_VERSION"));
    assert!(inspected["built_with"]["rustc"].as_str().unwrap().starts_with("rustc 1."));

    // A manifest that the host would refuse makes no module.
    let lib = here.join("src/lib.rs");
    let right = std::fs::read_to_string(&lib).unwrap();
    std::fs::write(
        &lib,
        right
            .replace("\"evm.value\"", "\"evm.vlaue\"")
            .replace("&[\"value\"]", "&[\"Value!\"]"),
    )
    .unwrap();
    let ran = build(&here, |arguments| arguments.target_dir = Some(target.path().to_owned()), false);
    assert_eq!(ran.code, cli::REFUSED);
    assert!(
        ran.err
            .contains("the fact `evm.vlaue`, which no format has; did you mean `evm.value`?"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("the denial code `Value!`: 1 to 64 bytes"), "{}", ran.err);
    assert_eq!(std::fs::read(&module).unwrap(), wasm, "the old module is left alone");

    // What does not compile is cargo's to explain; then one line.
    let broken = right.replace("allow()", "alow()");
    std::fs::write(&lib, broken).unwrap();
    let ran = build(&here, |arguments| arguments.target_dir = Some(target.path().to_owned()), false);
    assert_eq!(ran.code, cli::REFUSED);
    assert_eq!(
        ran.err.lines().last(),
        Some("error: cargo did not build max-value; its own words are above")
    );
    assert_eq!(std::fs::read(&module).unwrap(), wasm, "the old module is left alone");
}

#[test]
fn a_reference_policy_is_what_xtask_made_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("network-mode.wasm");
    let policy = root().join("policies/network-mode");
    let ran = build(
        &policy,
        |arguments| {
            arguments.out = Some(out.clone());
            arguments.locked = true;
        },
        true,
    );
    ran.json();
    let made = std::fs::read(root().join("target/policies/network-mode.wasm")).expect("cargo xtask policies comes first");
    assert_eq!(std::fs::read(out).unwrap(), made);
}

#[test]
fn a_crate_that_is_no_policy_is_told_what_it_lacks() {
    let target = tempfile::tempdir().unwrap();
    let worldless: String = ["config-digest", "describe", "configure", "evaluate"]
        .iter()
        .enumerate()
        .map(|(number, name)| format!("#[unsafe(export_name = \"{name}\")] extern \"C\" fn f{number}() -> i32 {{ 0 }}\n"))
        .collect();
    for (kind, source, part) in [
        ("\"rlib\"", "", "crate-type = [\"cdylib\", \"rlib\"]"),
        (
            "\"cdylib\"",
            "",
            "does not export `config-digest`; `sigwarden_guest::export!(MyPolicy);`",
        ),
        ("\"cdylib\"", worldless.as_str(), "is of no world"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        bare(folder.path(), kind, source);
        let ran = build(
            folder.path(),
            |arguments| {
                arguments.target_dir = Some(target.path().to_owned());
                arguments.offline = true;
            },
            false,
        );
        assert_eq!(ran.code, cli::REFUSED, "{ran:?}");
        assert!(ran.err.contains(part), "{}", ran.err);
        assert!(!folder.path().join("target/policies").exists());
    }
}

#[test]
fn locked_means_that_a_lock_file_is_there() {
    let folder = tempfile::tempdir().unwrap();
    bare(folder.path(), "\"cdylib\"", "");
    let ran = build(folder.path(), |arguments| arguments.locked = true, false);
    assert_eq!(ran.code, cli::REFUSED);
    assert!(ran.err.contains("cargo did not resolve the dependencies of"), "{}", ran.err);
}
