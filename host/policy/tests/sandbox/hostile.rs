//! Guests that try what they can: each gets a failure of its kind, and the sandbox goes on.

use crate::guest::{ALLOW, EMIT, Guest, STORAGE, TAKE};
use crate::job::{assert_fails, evaluate, fault, job, limits, sandbox, sandbox_of, source};
use sigwarden_core::policy::{EvaluationFailure, Evaluator, FailureKind, Verdict};
use sigwarden_core::state::State;
use sigwarden_policy::{LoadFault, ModuleSource, PolicyLimits};
use std::time::Duration;

const ENDLESS: &str = "(loop $l (br $l)) unreachable";

fn failing_under(guest: &Guest, limits: PolicyLimits) -> EvaluationFailure {
    let source = ModuleSource {
        limits,
        ..source(guest.component())
    };
    sandbox_of(source).evaluate(job(State::default())).unwrap_err()
}

#[test]
fn a_loop_runs_out_of_fuel() {
    assert_fails(&Guest::evaluating(ENDLESS), FailureKind::Fuel, "used all of its fuel");
}

#[test]
fn instructions_on_many_bytes_cost_as_many() {
    let fill = "(memory.fill (i32.const 0) (i32.const 0) (i32.const 262144))";
    let once = evaluate(&Guest::evaluating(&format!("{fill} {ALLOW}"))).unwrap();
    assert!(once.fuel >= 262_144, "{}", once.fuel);
    assert_fails(
        &Guest::evaluating(&format!("{} {ALLOW}", fill.repeat(4))),
        FailureKind::Fuel,
        "fuel",
    );
}

#[test]
fn a_loop_with_endless_fuel_meets_its_deadline() {
    let endless = PolicyLimits {
        fuel: u64::MAX,
        deadline: Duration::from_millis(20),
        ..limits()
    };
    assert_eq!(failing_under(&Guest::evaluating(ENDLESS), endless).kind, FailureKind::Deadline);
}

#[test]
fn spinning_in_host_calls_meets_the_deadline() {
    let mut guest = Guest::evaluating("(loop $l (call $emit (i32.const 0) (i32.const 0) (i32.const 1)) (br $l)) unreachable");
    guest.imports = EMIT.to_owned();
    let endless = PolicyLimits {
        fuel: u64::MAX,
        deadline: Duration::from_millis(20),
        ..limits()
    };
    assert_eq!(failing_under(&guest, endless).kind, FailureKind::Deadline);
}

#[test]
fn hoarding_memory_is_a_failure_of_memory() {
    let hoard = "(loop $l (drop (memory.grow (i32.const 1))) (br $l)) unreachable";
    assert_fails(&Guest::evaluating(hoard), FailureKind::Memory, "2097152 are allowed");
    let at_once = format!("(drop (memory.grow (i32.const 60000))) {ALLOW}");
    assert_fails(&Guest::evaluating(&at_once), FailureKind::Memory, "bytes of memory");
}

#[test]
fn memory_within_the_limit_is_given() {
    // From 4 pages to 32, which are the 2 MiB allowed.
    let grow = format!("(if (i32.ne (memory.grow (i32.const 28)) (i32.const 4)) (then unreachable)) {ALLOW}");
    assert_eq!(evaluate(&Guest::evaluating(&grow)).unwrap().verdict, Verdict::Allow(None));
}

#[test]
fn recursion_is_a_trap_and_not_the_end_of_the_process() {
    assert_fails(
        &Guest::evaluating("(call $evaluate (local.get $request))"),
        FailureKind::Trap,
        "stack exhausted",
    );
}

#[test]
fn traps_are_traps() {
    for (instructions, part) in [
        ("unreachable", "unreachable"),
        ("(i32.div_u (i32.const 1) (i32.const 0))", "divide by zero"),
        ("(i32.load (i32.const 262144))", "out of bounds"),
        ("(i32.trunc_f32_s (f32.const nan))", "conversion"),
        (
            "(memory.fill (i32.const 262143) (i32.const 1) (i32.const 2)) (i32.const 0)",
            "out of bounds",
        ),
    ] {
        assert_fails(&Guest::evaluating(instructions), FailureKind::Trap, part);
    }
    let mut guest = Guest::evaluating("(call_indirect (type $t) (i32.const 1))");
    guest.fields = "(type $t (func (result i32))) (table 4 funcref)".to_owned();
    assert_fails(&guest, FailureKind::Trap, "uninitialized element");
}

#[test]
fn a_failure_says_nothing_of_the_guest_s_inside() {
    let failure = evaluate(&Guest::evaluating("unreachable")).unwrap_err();
    assert_eq!(failure.message, "it trapped: wasm `unreachable` instruction executed");
}

#[test]
fn a_failing_guest_does_not_disturb_the_next_evaluation() {
    let mut guest = Guest::new();
    // Traps every other time it is asked, by the first byte of the payload.
    guest.evaluate =
        format!("(if (i32.eqz (i32.load8_u (i32.load (i32.add (local.get $request) (i32.const 92))))) (then unreachable)) {ALLOW}");
    let sandbox = sandbox(&guest);
    for round in 0..20_u8 {
        let mut job = job(State::default());
        let mut request = (*job.request).clone();
        request.payload = vec![round % 2].into();
        job.request = request.into();
        assert_eq!(sandbox.evaluate(job).is_ok(), round % 2 == 1, "round {round}");
    }
}

#[test]
fn an_allocator_that_lies_is_the_guest_s_own_fault() {
    // Configured, it answers every allocation with an address beyond its memory, one that is not aligned, or itself without end.
    for (answer, kind) in [
        ("(i32.const -16)", FailureKind::Malformed),
        ("(i32.const 3)", FailureKind::Malformed),
        ("unreachable", FailureKind::Trap),
        (ENDLESS, FailureKind::Fuel),
    ] {
        let mut guest = Guest::new();
        guest.configure = "(global.set $count (i32.const 1)) (i32.const 0)".to_owned();
        guest.realloc = format!("(if (global.get $count) (then (return {answer})))");
        if answer == ENDLESS || answer == "unreachable" {
            guest.realloc = format!("(if (global.get $count) (then {answer}))");
        }
        let failure = evaluate(&guest).unwrap_err();
        assert_eq!(failure.kind, kind, "{answer}: {failure}");
    }
}

#[test]
fn bytes_over_the_border_are_counted_over_all_calls() {
    let mut guest = Guest::new();
    let name = guest.text("n");
    guest.imports = STORAGE.to_owned();
    let set = format!("(call $set {name} (i32.const 8192) (i32.const 1000))");
    let tight = PolicyLimits {
        host_call_bytes: 2_500,
        ..limits()
    };
    guest.evaluate = format!("{set} {ALLOW}");
    let source = ModuleSource {
        limits: tight.clone(),
        ..source(guest.component())
    };
    assert_eq!(sandbox_of(source).evaluate(job(State::default())).unwrap().changes.len(), 1);
    guest.evaluate = format!("{set} {set} {ALLOW}");
    let failure = failing_under(&guest, tight);
    assert_eq!(failure.kind, FailureKind::HostCall, "{failure}");
    assert_eq!(failure.message, "it moved more than its 2500 bytes over the border of the sandbox");
}

#[test]
fn a_request_over_the_limit_is_not_handed_over() {
    let tight = PolicyLimits {
        host_call_bytes: 100,
        ..limits()
    };
    assert_eq!(failing_under(&Guest::new(), tight).kind, FailureKind::HostCall);
}

#[test]
fn an_argument_over_the_limit_is_not_read() {
    let mut guest = Guest::evaluating(&format!(
        "(call $take (i32.const 0) (i32.const 200000) (i64.const 1) (i64.const 1) (i64.const 1) (i32.const 512)) {ALLOW}"
    ));
    guest.imports = TAKE.to_owned();
    assert_fails(&guest, FailureKind::Malformed, "too much data");
}

#[test]
fn arguments_out_of_bounds_or_of_no_text_are_refused() {
    for (at, length) in [("262144", "1"), ("-1", "2"), ("8", "-1")] {
        let mut guest = Guest::evaluating(&format!("(call $emit (i32.const 0) (i32.const {at}) (i32.const {length})) {ALLOW}"));
        guest.imports = EMIT.to_owned();
        assert_fails(&guest, FailureKind::Malformed, "contract");
    }
    let mut guest = Guest::new();
    let at = guest.bytes(&[0xc3, 0x28]);
    guest.imports = EMIT.to_owned();
    guest.evaluate = format!("(call $emit (i32.const 0) (i32.const {at}) (i32.const 2)) {ALLOW}");
    assert_fails(&guest, FailureKind::HostCall, "log.emit with a string that is not UTF-8");
    guest.evaluate = format!("(call $emit (i32.const 3) (i32.const {at}) (i32.const 0)) {ALLOW}");
    assert_fails(&guest, FailureKind::Malformed, "contract");
}

#[test]
fn a_giant_table_is_refused_at_load() {
    let mut guest = Guest::new();
    guest.fields = "(table 20000 funcref)".to_owned();
    let fault = fault(source(guest.component()));
    assert!(
        matches!(&fault, LoadFault::Compile(what) if what.contains("element size of 20000 which exceeds the limit of 10000")),
        "{fault}"
    );
}

#[test]
fn more_memory_than_allowed_is_refused_at_load() {
    let mut guest = Guest::new();
    guest.memory = "33";
    assert!(matches!(fault(source(guest.component())), LoadFault::Shape(what) if what.contains("2162688 bytes of memory to begin with")));
}

#[test]
fn a_start_function_runs_once_at_load_and_not_in_evaluations() {
    let mut guest = Guest::new();
    let deny = guest.deny("no", "started again", None);
    guest.fields = "(func $start (global.set $count (i32.add (global.get $count) (i32.const 1)))) (start $start)".to_owned();
    guest.evaluate = format!("(if (i32.ne (global.get $count) (i32.const 1)) (then (return (i32.const {deny})))) {ALLOW}");
    assert_eq!(evaluate(&guest).unwrap().verdict, Verdict::Allow(None));

    guest.fields = "(func $start (loop $l (br $l))) (start $start)".to_owned();
    let fault = fault(source(guest.component()));
    assert!(
        matches!(&fault, LoadFault::Call { call: "describe", failure } if failure.kind == FailureKind::Fuel),
        "{fault}"
    );
}
