//! Modules that may not run: refused at load, with the reason.

use sigwarden_tests::Node;
use sigwarden_tests::example::{STRICT, with_rules};
use std::fs;

/// A deployment whose only policy is this file.
fn with_module(wasm: &[u8], config: &str) -> Node {
    let node = Node::init(|written| {
        with_rules(
            &written,
            &format!("[[policy]]\nname = \"guest\"\nmodule = \"policies/guest.wasm\"\nconfig = {config}\n"),
        )
    })
    .unwrap();
    fs::write(node.dir().join("policies/guest.wasm"), wasm).unwrap();
    node
}

fn refuses(node: &Node, words: &[&str]) {
    let (code, errors) = node.expect_failure(&["serve"]).unwrap();
    assert!(code == 1 || code == 2, "{errors}");
    for word in words {
        assert!(errors.contains(word), "it says `{word}`: {errors}");
    }
}

#[test]
fn a_module_that_imports_wasi_is_refused_by_the_names_of_its_imports() {
    let wasm =
        wat::parse_str(r#"(component (import "wasi:filesystem/types@0.2.0" (instance)) (import "wasi:cli/environment@0.2.0" (instance)))"#)
            .unwrap();
    refuses(
        &with_module(&wasm, "{}"),
        &["guest", "wasi:filesystem/types@0.2.0", "wasi:cli/environment@0.2.0"],
    );
}

#[test]
fn a_core_module_and_no_module_at_all_are_refused() {
    refuses(&with_module(&wat::parse_str("(module)").unwrap(), "{}"), &["guest", "component"]);
    refuses(&with_module(b"not wasm", "{}"), &["guest"]);
    refuses(&with_module(b"", "{}"), &["guest"]);
}

#[test]
fn a_module_whose_configuration_is_wrong_is_refused_with_the_path_into_it() {
    let node = Node::init(|written| with_rules(&written, &STRICT.replace("chain_ids", "chain_idz"))).unwrap();
    refuses(&node, &["chain_idz"]);
}

#[test]
fn a_module_that_is_not_the_pinned_one_is_refused() {
    let node = Node::init(|config| config).unwrap();
    let module = fs::read_dir(node.dir().join("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "wasm"))
        .unwrap();
    let mut bytes = fs::read(&module).unwrap();
    // A custom section more: the same policy, another file.
    bytes.extend([0, 2, 1, b'x']);
    fs::write(&module, bytes).unwrap();
    refuses(&node, &["SHA-256", "policy pin"]);
}
