//! The conformance kit lets a sound policy pass and finds what is wrong with others.

use crate::rig::{component, library, prepared, top};
use sigwarden_core::policy::LogLevel;
use sigwarden_workbench::conformance::{Conformance, attack, attack_configurations};
use sigwarden_workbench::fixture;
use sigwarden_workbench::library::Library;
use sigwarden_workbench::prepared::{Prepared, prepare};
use sigwarden_workbench::run::{self, GuestLine};
use tempfile::TempDir;

/// What [`guest`] puts where: the imports, and `evaluate`. `deny([{ code: "no", … }])` lies at 1104, `allow` at 0.
const GUEST: &str = r#"(module
  IMPORTS
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
  (func (export "evaluate") (param $request i32) (result i32) EVALUATE))"#;

/// A fixture with one step of a policy that is written by hand and is expected to answer so, and the directory that it is in.
fn guest(imports: &str, evaluate: &str, expect: &str) -> (TempDir, TempDir, Prepared) {
    let dir = tempfile::tempdir().unwrap();
    let wasm = dir.path().join("hollow.wasm");
    let text = GUEST.replace("IMPORTS", imports).replace("EVALUATE", evaluate);
    std::fs::write(&wasm, component(&text)).unwrap();
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
expect = "{expect}"
"#,
        wasm.display()
    );
    let (beside, prepared) = prepared(&fixture);
    (dir, beside, prepared)
}

/// The attacks under which it did what must not be, and what that was.
fn violations(found: &Conformance) -> Vec<(&str, &str)> {
    assert_eq!(found.trouble, None);
    let violations = found.violations.iter();
    violations.map(|one| (one.attack.as_str(), one.what.as_str())).collect()
}

const ALLOWED: &str = "it was allowed, and the clean run was refused";

#[test]
fn a_policy_that_trusts_what_is_missing_is_found() {
    // It denies unless there are no facts, and takes any configuration. The count of facts is at 112 in a request.
    let evaluate = "(select (i32.const 1104) (i32.const 0) (i32.load offset=112 (local.get $request)))";
    let (_dir, _beside, prepared) = guest("", evaluate, "no");
    let found = attack(&prepared, library());
    assert_eq!(violations(&found), [("there are no facts", ALLOWED)]);

    let configs = attack_configurations(&[prepared], library(), 1);
    let unknown = configs
        .iter()
        .flat_map(|one| &one.violations)
        .find(|one| one.what.contains("nobody knows"));
    let unknown = unknown.expect("it takes any configuration");
    assert_eq!(unknown.attack, "a field nobody knows in the whole");
}

#[test]
fn a_policy_that_takes_one_call_s_error_for_leave_is_found() {
    let imports = r#"(import "sigwarden:policy/limits@0.1.0" "take" (func $take (param i32 i32 i64 i64 i64 i32)))
        (data (i32.const 1200) "ab")"#;
    // Takes from `a` and from `b`, and allows if only the second was empty.
    let evaluate = "
        (call $take (i32.const 1200) (i32.const 1) (i64.const 1) (i64.const 1) (i64.const 1000) (i32.const 1304))
        (call $take (i32.const 1201) (i32.const 1) (i64.const 1) (i64.const 1) (i64.const 1000) (i32.const 1344))
        (select (i32.const 0) (i32.const 1104)
            (i32.and (i32.eqz (i32.load8_u (i32.const 1304))) (i32.load8_u (i32.const 1344))))";
    let (_dir, _beside, prepared) = guest(imports, evaluate, "no");
    let found = attack(&prepared, library());
    assert_eq!(
        violations(&found),
        [("limits.take number 2 answers: every bucket is empty", ALLOWED)]
    );
}

#[test]
fn what_a_policy_logged_before_it_trapped_is_shown() {
    let imports = r#"(import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
        (data (i32.const 1200) "panicked at src/lib.rs:7: no such thing")"#;
    let evaluate = "(call $emit (i32.const 2) (i32.const 1200) (i32.const 39)) unreachable";
    let (_dir, _beside, prepared) = guest(imports, evaluate, "sandbox/trap");
    let result = run::run(&prepared, library().engine().hash(), &mut ());
    assert!(result.passed(), "{result:#?}");
    let line = GuestLine {
        instance: "hollow".to_owned(),
        level: LogLevel::Warn,
        text: "panicked at src/lib.rs:7: no such thing".to_owned(),
    };
    assert_eq!(result.steps[0].log, [line]);
}

#[test]
fn a_manifest_that_lists_a_fact_that_there_is_not_is_a_fault() {
    let (dir, _beside, _) = guest("", "(i32.const 1104)", "no");
    // One fact, `evm.nonse`, in the manifest's second list.
    let text = GUEST
        .replace(
            "IMPORTS",
            r#"(data (i32.const 1200) "evm.nonse") (data (i32.const 1216) "\b0\04\00\00\09\00\00\00")"#,
        )
        .replace("EVALUATE", "(i32.const 1104)")
        .replace(
            r"\30\04\00\00\01\00\00\00\00\00\00\00\00\00\00\00",
            r"\30\04\00\00\01\00\00\00\c0\04\00\00\01\00\00\00",
        );
    let wasm = dir.path().join("hollow.wasm");
    std::fs::write(&wasm, component(&text)).unwrap();
    let file = dir.path().join("a.toml");
    let fixture = "fixture = 1\n[[key]]\nname = \"a.b\"\nroles = [\"account\"]\nscheme = \"ed25519\"\n[[policy]]\nmodule = \"hollow.wasm\"\n\
                   [[step]]\ncaller = \"node\"\nkey = \"a.b\"\nformat = \"raw-digest\"\nhex = \"00\"\nexpect = \"no\"\n";
    let library = Library::new(Vec::new()).unwrap();
    let errors = prepare(fixture::parse(&file, fixture).unwrap(), &library)
        .err()
        .expect("it names no fact");
    let [error] = errors.as_slice() else { panic!("{errors:#?}") };
    assert_eq!((error.line, error.field.as_str()), (7, "policy"));
    let wanted = "the manifest of `hollow` lists what no format has: unknown fact `evm.nonse`; did you mean `evm.nonce`?";
    assert!(error.message.starts_with(wanted), "{error}");
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
