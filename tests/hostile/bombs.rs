//! Modules too large to write down: each is small to send and large to read, or changed at random.

use crate::module::{component, limits};
use crate::sandbox::{Honest, job, load, name};
use sigwarden_core::policy::Evaluator;
use std::fmt::Write as _;

/// Loads what is made of a body, and says what came of it.
fn outcome(body: &str) -> String {
    match load(&component("bomb", body, None), limits()) {
        Err(fault) => format!("load {}: {fault}", name(&fault)),
        Ok(sandbox) => match sandbox.evaluate(job()) {
            Ok(report) => format!("{:?}", report.verdict),
            Err(failure) => format!("refuse {failure}"),
        },
    }
}

#[test]
fn blocks_nested_deep_do_not_overflow_the_compiler() {
    let honest = Honest::new();
    for depth in [1_000, 20_000] {
        let body = format!(
            "(func $deep {} {})\n(func (export \"evaluate\") (param i32) (result i32) (call $deep) (i32.const 0))",
            "(block ".repeat(depth),
            ")".repeat(depth)
        );
        assert_eq!(outcome_on_a_large_stack(&body), "Allow(None)", "{depth}");
        honest.still_served("nested blocks");
    }
}

/// The text's parser recurses, the sandbox does not.
fn outcome_on_a_large_stack(body: &str) -> String {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 * 1024 * 1024);
        thread.spawn_scoped(scope, || outcome(body)).unwrap().join().unwrap()
    })
}

#[test]
fn a_jump_table_has_as_many_targets_as_fit_a_function() {
    let table = |targets: usize| format!("(func (param i32) (block (br_table {} (local.get 0))))", "0 ".repeat(targets));
    assert_eq!(outcome(&table(60_000)), "Allow(None)");
    let over = outcome(&table(100_000));
    assert!(over.starts_with("load shape: ") && over.contains("bytes in one function"), "{over}");
}

#[test]
fn functions_by_the_ten_thousand_are_compiled_or_refused() {
    let mut body = String::new();
    for number in 0..10_000 {
        writeln!(body, "(func (result i32) (i32.const {number}))").unwrap();
    }
    assert_eq!(outcome(&body), "Allow(None)");
}

#[test]
fn locals_are_bounded() {
    let locals = |count: usize| {
        format!(
            "(func $f (local {}))\n(func (export \"evaluate\") (param i32) (result i32) (call $f) (i32.const 0))",
            "i64 ".repeat(count)
        )
    };
    assert_eq!(outcome(&locals(1_000)), "Allow(None)");
    let over = outcome(&locals(1_001));
    assert_eq!(over, "load shape: it has 1001 locals in one function, 1000 are the most");
}

#[test]
fn a_module_cut_anywhere_is_refused() {
    let whole = component("whole", "", None);
    load(&whole, limits()).unwrap();
    let honest = Honest::new();
    for length in (0..whole.len()).step_by(97) {
        let fault = load(&whole[..length], limits()).map(|_| ()).unwrap_err();
        assert!(
            ["not-a-component", "compile", "exports", "types"].contains(&name(&fault).as_str()),
            "cut at {length}: {fault}"
        );
    }
    honest.still_served("cuts");
}

#[test]
fn a_module_changed_at_random_does_no_harm() {
    let whole = component("whole", "", None);
    let honest = Honest::new();
    // A fixed sequence (Knuth's MMIX generator): the same changes in every run.
    let mut state = 42_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut loaded = 0;
    for _ in 0..300 {
        let mut changed = whole.clone();
        for _ in 0..1 + next() % 3 {
            let at = 8 + next() % (changed.len() - 8);
            changed[at] = next() as u8;
        }
        if let Ok(sandbox) = load(&changed, limits()) {
            loaded += 1;
            let _ = sandbox.evaluate(job());
        }
    }
    assert!(loaded > 0, "some changes are of names and the like");
    honest.still_served("random changes");
}
