//! The conformance kit lets a sound policy pass and finds what is wrong with others.

use crate::rig::{component, library, prepared, top};
use sigwarden_workbench::conformance::{attack, attack_configurations};

/// One that denies unless there are no facts, and takes any configuration. The count of facts is at 112 in a request.
const HOLLOW: &str = r#"(module
  (memory (export "memory") 16)
  (data (i32.const 1024) "hollow")
  (data (i32.const 1032) "1.0.0")
  (data (i32.const 1040) "Trusts what is missing.")
  (data (i32.const 1064) "{}")
  (data (i32.const 1072) "\38\04\00\00\01\00\00\00")
  (data (i32.const 1080) "*")
  (data (i32.const 1088) "\00\04\00\00\05\00\00\00")
  (data (i32.const 1096) "no")
  ;; `deny([{ code: "no", message: "no", retry-at: none }])`
  (data (i32.const 1104) "\01\00\00\00\60\04\00\00\01\00\00\00")
  (data (i32.const 1120) "\48\04\00\00\02\00\00\00\48\04\00\00\02\00\00\00\00\00\00\00")
  ;; `["no"]`
  (data (i32.const 1160) "\48\04\00\00\02\00\00\00")
  (data (i32.const 2048) "\00\04\00\00\06\00\00\00\08\04\00\00\05\00\00\00\10\04\00\00\17\00\00\00\28\04\00\00\02\00\00\00\30\04\00\00\01\00\00\00\00\00\00\00\00\00\00\00\88\04\00\00\01\00\00\00")
  (global $heap (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "config-digest") (result i32) (i32.const 1088))
  (func (export "describe") (result i32) (i32.const 2048))
  (func (export "configure") (param i32 i32) (result i32) (i32.const 0))
  (func (export "evaluate") (param $request i32) (result i32)
    (select (i32.const 1104) (i32.const 0) (i32.load offset=112 (local.get $request)))))"#;

#[test]
fn a_policy_that_trusts_what_is_missing_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let wasm = dir.path().join("hollow.wasm");
    std::fs::write(&wasm, component(HOLLOW)).unwrap();
    let fixture = format!(
        r#"
fixture = 1
[[key]]
name = "eth.hot"
roles = ["account"]
scheme = "secp256k1-ecdsa"
[[policy]]
name = "hollow"
module = "{}"
[[step]]
caller = "node"
key = "eth.hot"
format = "evm/legacy"
evm.to = "create"
expect = "no"
"#,
        wasm.display()
    );
    let (_dir, prepared) = prepared(&fixture);
    let found = attack(&prepared, library());
    assert_eq!(found.trouble, None);
    let violations: Vec<(&str, &str)> = found
        .violations
        .iter()
        .map(|one| (one.attack.as_str(), one.what.as_str()))
        .collect();
    assert_eq!(
        violations,
        [("there are no facts", "it was allowed, and the clean run was refused")]
    );

    let configs = attack_configurations(&[prepared], library(), 1);
    let unknown = configs
        .iter()
        .flat_map(|one| &one.violations)
        .find(|one| one.what.contains("nobody knows"));
    let unknown = unknown.expect("it takes any configuration");
    assert_eq!(unknown.attack, "a field nobody knows in the whole");
}

#[test]
fn the_reference_policies_withstand() {
    // One fixture with each kind of host call; `policy test --conformance` has them all.
    for name in [
        "monotonic/fixtures/orders.toml",
        "payload-rules/fixtures/evm-other-types.toml",
        "rate-limit/fixtures/scopes.toml",
    ] {
        let text = std::fs::read_to_string(top().join("policies").join(name)).unwrap();
        let text = text.replace(
            "config_file = \"",
            &format!("config_file = \"{}/policies/payload-rules/fixtures/", top().display()),
        );
        let (_dir, prepared) = prepared(&text);
        let found = attack(&prepared, library());
        assert_eq!((found.trouble, found.violations), (None, Vec::new()), "{name}");
        assert!(found.attacks > 100, "{name}: {}", found.attacks);
    }
}
