//! `src/bench/empty.wasm` is what `src/bench/empty.wat` says. `BLESS=1 cargo test -p sigwarden-workbench --test empty` writes it anew.
#![allow(clippy::unwrap_used, reason = "tests")]

use sigwarden_policy::{Engine, EngineSettings, inspect};
use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

#[test]
fn the_empty_policy_is_what_its_text_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut core = wat::parse_file(dir.join("src/bench/empty.wat")).unwrap();
    let mut resolve = Resolve::default();
    let wit = std::fs::read_to_string(dir.join("../../wit/policy.wit")).unwrap();
    let package = resolve.push_str("policy.wit", &wit).unwrap();
    let world = resolve.select_world(&[package], Some("policy")).unwrap();
    wit_component::embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8, false).unwrap();
    let component = ComponentEncoder::default().validate(true).module(&core).unwrap().encode().unwrap();
    let file = dir.join("src/bench/empty.wasm");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &component).unwrap();
    }
    // Another release of the encoder may write other bytes; what they are must stay the same.
    let engine = Engine::new(EngineSettings::default()).unwrap();
    let made = inspect(&engine, &component).unwrap();
    let kept = inspect(&engine, &std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(kept.manifest, made.manifest);
    assert_eq!((kept.imports, kept.exports), (made.imports, made.exports));
    assert_eq!(kept.manifest.name, "empty");
    assert_eq!(kept.memory_bytes, made.memory_bytes);
}
