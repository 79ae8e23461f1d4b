//! Puts the SDK into the crate, so that `sigwarden policy new` works where there is no checkout: its sources, `wit/`, a Cargo.toml
//! without the workspace's inheritance, and the part of the lock file that a policy needs.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What a policy depends on besides the SDK: its derives name these crates.
const DERIVES: [&str; 2] = ["schemars", "serde"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CLI").is_none() {
        return Ok(());
    }
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // Not `guest-sdk` as a whole: `guest-sdk/cel` is not carried along.
    for watched in [
        "Cargo.toml",
        "Cargo.lock",
        "guest-sdk/Cargo.toml",
        "guest-sdk/README.md",
        "guest-sdk/src",
        "wit",
    ] {
        println!("cargo:rerun-if-changed={}", root.join(watched).display());
    }
    let workspace = table(&root.join("Cargo.toml"))?;
    std::fs::write(out.join("sdk-Cargo.toml"), sdk_manifest(&root, &workspace)?)?;

    let mut code = String::from("/// Path below the SDK's folder, and text.\npub(super) const FILES: &[(&str, &str)] = &[\n");
    code.push_str("    (\"guest-sdk/Cargo.toml\", include_str!(concat!(env!(\"OUT_DIR\"), \"/sdk-Cargo.toml\"))),\n");
    let mut files = vec![
        root.join("guest-sdk/README.md"),
        root.join("wit/policy.wit"),
        root.join("wit/facts.md"),
    ];
    collect(&root.join("guest-sdk/src"), &mut files)?;
    files.sort();
    for file in files {
        let name = file.strip_prefix(&root)?.to_str().ok_or("a source's name is not UTF-8")?;
        writeln!(
            code,
            "    ({name:?}, include_str!({:?})),",
            file.to_str().ok_or("a path is not UTF-8")?
        )?;
    }
    code.push_str("];\n");
    let mut derives = String::new();
    for name in DERIVES {
        let dependency = resolve(name, &inherited(), &workspace)?;
        writeln!(derives, "{name} = {dependency}")?;
    }
    let (names, lock) = lock(&root, &workspace)?;
    writeln!(
        code,
        "/// What a policy depends on besides the SDK.\npub(super) const DERIVES: &str = {derives:?};"
    )?;
    writeln!(
        code,
        "/// The same, by name.\npub(super) const DERIVE_NAMES: &[&str] = &{DERIVES:?};"
    )?;
    writeln!(code, "/// The packages of the lock file.\npub(super) const LOCK: &str = {lock:?};")?;
    writeln!(code, "/// Their names.\npub(super) const LOCKED: &[&str] = &{names:?};")?;
    writeln!(
        code,
        "/// The language's edition and the compiler's version.\npub(super) const EDITION: &str = {:?};",
        package(&workspace, "edition")?
    )?;
    writeln!(
        code,
        "/// The compiler's version.\npub(super) const RUST_VERSION: &str = {:?};",
        package(&workspace, "rust-version")?
    )?;
    std::fs::write(out.join("sdk.rs"), code)?;
    Ok(())
}

fn table(path: &Path) -> Result<Table, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.parse::<Table>()?)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (last, folders) = path.split_last()?;
    let mut table = table;
    for folder in folders {
        table = table.get(*folder)?.as_table()?;
    }
    table.get(*last)
}

/// A value of `[workspace.package]`.
fn package<'a>(workspace: &'a Table, key: &str) -> Result<&'a str, Box<dyn Error>> {
    let value = at(workspace, &["workspace", "package", key]).and_then(Value::as_str);
    value.ok_or_else(|| format!("[workspace.package] has no {key}").into())
}

/// `{ workspace = true }`.
fn inherited() -> Value {
    Value::Table(Table::from_iter([("workspace".to_owned(), Value::Boolean(true))]))
}

/// The SDK's Cargo.toml, standing alone.
fn sdk_manifest(root: &Path, workspace: &Table) -> Result<String, Box<dyn Error>> {
    let manifest = table(&root.join("guest-sdk/Cargo.toml"))?;
    let description = at(&manifest, &["package", "description"]).and_then(Value::as_str);
    let mut text =
        String::from("# Made from guest-sdk/Cargo.toml of Sigwarden by `sigwarden policy new`.\n[package]\nname = \"sigwarden-guest\"\n");
    writeln!(text, "description = {:?}", description.ok_or("the SDK has no description")?)?;
    for key in ["version", "edition", "rust-version", "license"] {
        writeln!(text, "{key} = {:?}", package(workspace, key)?)?;
    }
    text.push_str("publish = false\n\n[dependencies]\n");
    let dependencies = manifest.get("dependencies").and_then(Value::as_table);
    for (name, dependency) in dependencies.ok_or("the SDK has no dependencies")? {
        writeln!(text, "{name} = {}", resolve(name, dependency, workspace)?)?;
    }
    Ok(text)
}

/// A dependency with what the workspace says about it, as TOML.
fn resolve(name: &str, dependency: &Value, workspace: &Table) -> Result<String, Box<dyn Error>> {
    let own = dependency.as_table();
    if own.and_then(|own| own.get("workspace")).and_then(Value::as_bool) != Some(true) {
        return Ok(dependency.to_string());
    }
    let shared = at(workspace, &["workspace", "dependencies", name]).ok_or_else(|| format!("the workspace has no {name}"))?;
    let version_only = || Table::from_iter([("version".to_owned(), shared.clone())]);
    let mut resolved = shared.as_table().cloned().unwrap_or_else(version_only);
    let features = |table: Option<&Table>| {
        let features = table.and_then(|table| table.get("features")).and_then(Value::as_array);
        features
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let all: BTreeSet<String> = features(Some(&resolved)).union(&features(own)).cloned().collect();
    if !all.is_empty() {
        resolved.insert("features".to_owned(), Value::Array(all.into_iter().map(Value::String).collect()));
    }
    Ok(Value::Table(resolved).to_string())
}

/// Names and entries of the packages that the SDK and the derives reach in the workspace's lock file. Some may be more than a policy
/// needs, since features of the whole workspace led there; cargo drops those.
fn lock(root: &Path, workspace: &Table) -> Result<(Vec<String>, String), Box<dyn Error>> {
    let lock = table(&root.join("Cargo.lock"))?;
    let packages = lock.get("package").and_then(Value::as_array).ok_or("Cargo.lock has no packages")?;
    let mut by_name: BTreeMap<&str, Vec<&Table>> = BTreeMap::new();
    for package in packages.iter().filter_map(Value::as_table) {
        let name = package.get("name").and_then(Value::as_str).ok_or("a package without a name")?;
        by_name.entry(name).or_default().push(package);
    }
    let mut wanted: Vec<&str> = vec!["sigwarden-guest"];
    wanted.extend(DERIVES);
    let mut seen = BTreeSet::new();
    let mut entries = BTreeMap::new();
    while let Some(dependency) = wanted.pop() {
        if !seen.insert(dependency) {
            continue;
        }
        // `name`, or `name version` where there are several.
        let (name, version) = dependency
            .split_once(' ')
            .map_or((dependency, None), |(name, version)| (name, Some(version)));
        for package in by_name.get(name).into_iter().flatten() {
            let found = package.get("version").and_then(Value::as_str).unwrap_or_default();
            if version.is_some_and(|version| version != found) {
                continue;
            }
            let dependencies = package.get("dependencies").and_then(Value::as_array);
            wanted.extend(dependencies.into_iter().flatten().filter_map(Value::as_str));
            entries.insert((name, found), *package);
        }
    }
    let format = lock.get("version").and_then(Value::as_integer).ok_or("Cargo.lock has no version")?;
    let mut text = format!(
        "# Cargo's own; the versions that Sigwarden {} is tested with.\nversion = {format}\n",
        package(workspace, "version")?
    );
    for package in entries.values() {
        write!(text, "\n[[package]]\n{}", package)?;
    }
    Ok((entries.keys().map(|(name, _)| (*name).to_owned()).collect(), text))
}
