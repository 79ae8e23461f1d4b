//! `src/bench/empty.wasm` is what `src/bench/empty.wat` says. `BLESS=1 cargo test -p sigwarden-workbench empty` writes it anew.

use crate::rig::component;
use sigwarden_policy::{Engine, EngineSettings, inspect};
use std::path::Path;

#[test]
fn the_empty_policy_is_what_its_text_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench");
    let component = component(&std::fs::read_to_string(dir.join("empty.wat")).unwrap());
    let file = dir.join("empty.wasm");
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
