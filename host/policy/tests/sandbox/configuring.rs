//! Configuration: taken once, snapshotted, and proven to be the same afterwards.

use crate::guest::{ALLOW, EMIT, Guest, STORAGE, TAKE};
use crate::job::{evaluate, fault, sandbox_of, source};
use sigwarden_core::policy::{Evaluator, FailureKind, Verdict};
use sigwarden_core::state::State;
use sigwarden_policy::{ConfigProblem, LoadFault, ModuleSource};

fn configuring(instructions: &str) -> Guest {
    Guest {
        configure: instructions.to_owned(),
        ..Guest::new()
    }
}

#[test]
fn what_configure_wrote_is_there_in_every_evaluation() {
    // Keeps the configuration's second byte in a global, its third in memory, and one in memory that it grew for it.
    let mut guest = configuring(
        "(global.set $count (i32.load8_u (i32.add (local.get $at) (i32.const 1))))
         (i32.store8 (i32.const 2000) (i32.load8_u (i32.add (local.get $at) (i32.const 2))))
         (drop (memory.grow (i32.const 2)))
         (i32.store8 (i32.const 393215) (i32.const 42))
         (i32.const 0)",
    );
    let deny = guest.deny("no", "not configured", None);
    guest.evaluate = format!(
        "(if (i32.ne (global.get $count) (i32.const 98)) (then (return (i32.const {deny}))))
         (if (i32.ne (i32.load8_u (i32.const 2000)) (i32.const 99)) (then (return (i32.const {deny}))))
         (if (i32.ne (i32.load8_u (i32.const 393215)) (i32.const 42)) (then (return (i32.const {deny}))))
         (global.set $count (i32.const 0)) (i32.store8 (i32.const 2000) (i32.const 0)) {ALLOW}"
    );
    let configured = ModuleSource {
        config_json: "abc".to_owned(),
        ..source(guest.component())
    };
    let sandbox = sandbox_of(configured);
    for _ in 0..10 {
        assert_eq!(
            sandbox.evaluate(crate::job::job(State::default())).unwrap().verdict,
            Verdict::Allow(None)
        );
    }
    let other = ModuleSource {
        config_json: "abx".to_owned(),
        ..source(guest.component())
    };
    let verdict = sandbox_of(other).evaluate(crate::job::job(State::default())).unwrap().verdict;
    assert!(matches!(verdict, Verdict::Deny(_)), "another configuration is another answer");
}

#[test]
fn a_configuration_may_fill_the_memory_to_the_last_byte() {
    // 32 pages are the 2 MiB that are allowed.
    let mut guest = configuring("(drop (memory.grow (i32.const 28))) (i32.store8 (i32.const 2097151) (i32.const 42)) (i32.const 0)");
    let deny = guest.deny("no", "not whole", None);
    guest.evaluate = format!(
        "(if (i32.ne (i32.load8_u (i32.const 2097151)) (i32.const 42)) (then (return (i32.const {deny}))))
         (if (i32.ne (memory.size) (i32.const 32)) (then (return (i32.const {deny}))))
         {ALLOW}"
    );
    assert_eq!(evaluate(&guest).unwrap().verdict, Verdict::Allow(None));
}

#[test]
fn a_memory_that_cannot_grow_is_refused_with_the_reason() {
    let mut guest = Guest::new();
    guest.memory = "4 4";
    let fault = fault(source(guest.component()));
    assert!(
        matches!(&fault, LoadFault::Snapshot(what) if what.contains("`memory") && what.contains("cannot be read")),
        "{fault}"
    );
}

#[test]
fn problems_are_listed_with_their_paths() {
    let mut guest = Guest::new();
    let texts = ["rules[2].max-value", "a\nnumber is wanted", "", "unknown field `limt`"];
    let words: Vec<usize> = texts.iter().flat_map(|text| [guest.bytes(text.as_bytes()), text.len()]).collect();
    let list = guest.words(&words);
    let answer = guest.words(&[1, list, 2]);
    guest.configure = format!("(i32.const {answer})");
    let fault = fault(source(guest.component()));
    let problem = |path: &str, message: &str| ConfigProblem {
        path: path.to_owned(),
        message: message.to_owned(),
    };
    let problems = vec![
        problem("rules[2].max-value", "a\\u{a}number is wanted"),
        problem("", "unknown field `limt`"),
    ];
    assert_eq!(fault, LoadFault::Configuration(problems));
    assert_eq!(
        fault.to_string(),
        "its configuration is wrong:\n  rules[2].max-value: a\\u{a}number is wanted\n  unknown field `limt`"
    );
}

#[test]
fn an_error_without_problems_is_still_an_error() {
    let mut guest = Guest::new();
    let answer = guest.words(&[1, 0, 0]);
    guest.configure = format!("(i32.const {answer})");
    assert_eq!(fault(source(guest.component())), LoadFault::Configuration(vec![]));
}

#[test]
fn configure_has_limits_of_its_own() {
    for (instructions, kind) in [
        ("(loop $l (br $l)) unreachable", FailureKind::Fuel),
        ("unreachable", FailureKind::Trap),
        (
            "(loop $l (drop (memory.grow (i32.const 1))) (br $l)) unreachable",
            FailureKind::Memory,
        ),
        ("(i32.const 262144)", FailureKind::Malformed),
    ] {
        let fault = fault(source(configuring(instructions).component()));
        assert!(
            matches!(&fault, LoadFault::Call { call: "configure", failure } if failure.kind == kind),
            "{instructions}: {fault}"
        );
    }
}

#[test]
fn no_state_is_there_in_configure() {
    let name = "(i32.const 8) (i32.const 1)";
    for (imports, call, function) in [
        (
            TAKE,
            format!("(call $take {name} (i64.const 1) (i64.const 1) (i64.const 1) (i32.const 512))"),
            "limits.take",
        ),
        (STORAGE, format!("(call $get {name} (i32.const 512))"), "storage.get"),
        (STORAGE, format!("(call $set {name} {name})"), "storage.set"),
        (STORAGE, format!("(call $delete {name})"), "storage.delete"),
    ] {
        let mut guest = configuring(&format!("{call} (i32.const 0)"));
        guest.imports = imports.to_owned();
        let fault = fault(source(guest.component())).to_string();
        assert_eq!(
            fault,
            format!("its `configure` failed: it called {function} outside of `evaluate`, where only log.emit is allowed")
        );
    }
}

#[test]
fn configure_may_log() {
    let mut guest = Guest::new();
    let line = guest.text("configured");
    guest.imports = EMIT.to_owned();
    guest.configure = format!("(call $emit (i32.const 1) {line}) (i32.const 0)");
    assert_eq!(evaluate(&guest).unwrap().log, [], "and an evaluation's log is its own");
}

#[test]
fn a_digest_that_changes_is_refused() {
    // Another byte each time it is asked: what a snapshot that lost something looks like.
    let mut guest = Guest::new();
    let bytes = guest.bytes(b"digest");
    let list = guest.words(&[bytes, 6]);
    guest.digest = format!("(i32.store8 (i32.const {bytes}) (i32.add (i32.load8_u (i32.const {bytes})) (i32.const 1))) (i32.const {list})");
    let (before, after) = (hex::encode(b"eigest"), hex::encode(b"figest"));
    assert_eq!(fault(source(guest.component())), LoadFault::Digest { before, after });
}

#[test]
fn a_digest_has_bytes_and_not_too_many() {
    for length in [0, 65, 100_000] {
        let mut guest = Guest::new();
        let list = guest.words(&[8192, length]);
        guest.digest = format!("(i32.const {list})");
        assert!(matches!(fault(source(guest.component())), LoadFault::Snapshot(_)), "{length}");
    }
    let fault = fault(source(
        Guest {
            digest: "unreachable".to_owned(),
            ..Guest::new()
        }
        .component(),
    ));
    assert!(matches!(fault, LoadFault::Call { call: "config-digest", .. }), "{fault}");
}

#[test]
fn a_module_that_a_snapshot_cannot_hold_is_refused_with_the_instruction() {
    for (fields, instruction) in [
        ("(data $d \"x\") (func (data.drop $d))", "data.drop"),
        (
            "(table $t 1 funcref) (elem $e func) (func (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 0)))",
            "table.init",
        ),
        (
            "(table $t 1 funcref) (func (table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 0)))",
            "table.copy",
        ),
        ("(elem $e func) (func (elem.drop $e))", "elem.drop"),
    ] {
        let mut guest = Guest::new();
        guest.fields = fields.to_owned();
        let fault = fault(source(guest.component()));
        assert!(
            matches!(&fault, LoadFault::Snapshot(what) if what.contains(instruction)),
            "{instruction}: {fault}"
        );
    }
}

#[test]
fn tables_and_passive_data_survive_the_snapshot() {
    let mut guest = Guest::new();
    guest.fields = "(type $t (func (result i32))) (table 2 funcref) (elem (i32.const 1) $seven) (func $seven (result i32) (i32.const 7))
        (data $passive \"\\2a\")"
        .to_owned();
    let deny = guest.deny("no", "", None);
    guest.evaluate = format!(
        "(memory.init $passive (i32.const 3000) (i32.const 0) (i32.const 1))
         (if (i32.ne (i32.load8_u (i32.const 3000)) (i32.const 42)) (then (return (i32.const {deny}))))
         (if (i32.ne (call_indirect (type $t) (i32.const 1)) (i32.const 7)) (then (return (i32.const {deny}))))
         {ALLOW}"
    );
    assert_eq!(evaluate(&guest).unwrap().verdict, Verdict::Allow(None));
}
