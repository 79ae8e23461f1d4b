//! Fixtures in temporary directories, and guests in WebAssembly text.

use sigwarden_workbench::fixture;
use sigwarden_workbench::library::Library;
use sigwarden_workbench::prepared::{Prepared, prepare};
use sigwarden_workbench::run::{self, FixtureResult};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// In cargo's target directory, beside which compiled code is kept.
const TMP: &str = env!("CARGO_TARGET_TMPDIR");

/// One library for all tests: compiling takes a hundred times as long as they do.
pub(crate) fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let modules = top().join("target/policies");
        assert!(modules.join("rate-limit.wasm").exists(), "run cargo xtask policies");
        Library::new(vec![modules]).unwrap().with_cache_around(Path::new(TMP))
    })
}

/// What the fixtures of these tests have in common: one key, one bucket of two.
pub(crate) const HEAD: &str = r#"
fixture = 1
[[key]]
name = "eth.hot"
roles = ["account"]
scheme = "secp256k1-ecdsa"
[[policy]]
name = "limits"
module = "rate-limit"
config = { rules = [{ name = "all", capacity = 2, period = "60s" }] }
[defaults]
caller = "node"
key = "eth.hot"
format = "evm/eip-1559"
evm = { to = "0x1111111111111111111111111111111111111111" }
"#;

/// A fixture in a directory of its own.
pub(crate) fn written(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir_in(TMP).unwrap();
    let fixtures = dir.path().join("tested/fixtures");
    std::fs::create_dir_all(&fixtures).unwrap();
    let file = fixtures.join("case.toml");
    std::fs::write(&file, text).unwrap();
    (dir, file)
}

/// A fixture that is well-formed.
pub(crate) fn prepared(text: &str) -> (TempDir, Prepared) {
    let (dir, file) = written(text);
    let fixture = fixture::read(&file).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let prepared = prepare(fixture, library()).unwrap_or_else(|errors| panic!("{errors:#?}"));
    (dir, prepared)
}

/// Runs a fixture that has the common head.
pub(crate) fn run(steps: &str) -> FixtureResult {
    let (_dir, prepared) = prepared(&format!("{HEAD}{steps}"));
    run::run(&prepared, library().engine().hash(), &mut ())
}

/// A core module in text as a component of the contract.
pub(crate) fn component(text: &str) -> Vec<u8> {
    let mut core = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let wit = std::fs::read_to_string(top().join("wit/policy.wit")).unwrap();
    let package = resolve.push_str("policy.wit", &wit).unwrap();
    let world = resolve.select_world(&[package], Some("policy")).unwrap();
    wit_component::embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().validate(true).module(&core).unwrap().encode().unwrap()
}
