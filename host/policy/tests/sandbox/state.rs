//! State calls: what a guest is answered, what is reported, and what breaks the contract.

use crate::guest::{ADVANCE, ALLOW, Guest, STORAGE, TAKE};
use crate::job::{assert_fails, evaluate, job, sandbox};
use sigwarden_core::policy::{Evaluator, FailureKind, Verdict};
use sigwarden_core::staging::{Advanced, CHANGES_MAX, Change};
use sigwarden_core::state::{Effect, State};
use sigwarden_core::watermark::{Order, Watermark};
use sigwarden_policy::{HostCall, HostCallFault};

/// Where imports put their answers.
const ANSWER: usize = 512;

fn take(name: &str, cost: u64, capacity: u64) -> String {
    format!("(call $take {name} (i64.const {cost}) (i64.const {capacity}) (i64.const 60000) (i32.const {ANSWER}))")
}

#[test]
fn take_takes_until_the_bucket_is_empty_and_says_when_to_retry() {
    let mut guest = Guest::new();
    let name = guest.text("per-key");
    let denial = guest.denial("no", "", Some(0));
    let deny = guest.words(&[1, denial, 1]);
    guest.imports = TAKE.to_owned();
    // Two of three, which leaves one; then two more, which is refused, with its time copied into the denial.
    guest.evaluate = format!(
        "{} (if (i32.or (i32.load8_u (i32.const {ANSWER})) (i64.ne (i64.load (i32.const {})) (i64.const 1))) (then unreachable))
         {} (if (i32.eqz (i32.load8_u (i32.const {ANSWER}))) (then unreachable))
         (i64.store (i32.const {}) (i64.load (i32.const {})))
         (i32.const {deny})",
        take(&name, 2, 3),
        ANSWER + 8,
        take(&name, 2, 3),
        denial + 24,
        ANSWER + 24,
    );
    let report = evaluate(&guest).unwrap();
    let Verdict::Deny(denials) = report.verdict else { panic!() };
    // One comes back every 20 seconds.
    assert_eq!(denials[0].retry_at_ms, Some(1_700_000_000_000 + 20_000));
    let change = |taken| Change::Take {
        bucket: "per-key".into(),
        cost: 2,
        capacity: 3,
        period_ms: 60_000,
        taken,
    };
    assert_eq!(report.changes, [change(true), change(false)]);
}

#[test]
fn a_watermark_is_read_from_the_snapshot_under_the_instance_s_name() {
    let mut guest = Guest::new();
    let (name, identity) = (guest.text("nonce"), guest.text("id"));
    let position = guest.bytes(&9_u64.to_le_bytes());
    let deny = guest.deny("no", "it stands at 10", None);
    guest.imports = ADVANCE.to_owned();
    // An error, a regression, of one component, which is 10: denied. Else allowed.
    guest.evaluate = format!(
        "(call $advance {name} (i32.const {position}) (i32.const 1) {identity} (i32.const 0) (i32.const {ANSWER}))
         (if (i32.eqz (i32.load8_u (i32.const {ANSWER}))) (then (return {ALLOW})))
         (if (i32.load8_u (i32.const {})) (then unreachable))
         (if (i32.ne (i32.load (i32.const {})) (i32.const 1)) (then unreachable))
         (if (i64.ne (i64.load (i32.load (i32.const {}))) (i64.const 10)) (then unreachable))
         (i32.const {deny})",
        ANSWER + 4,
        ANSWER + 12,
        ANSWER + 8,
    );
    let sandbox = sandbox(&guest);
    let stands = |instance: &str| {
        let mut state = State::default();
        state.apply(&Effect::Watermark {
            instance: instance.into(),
            name: "nonce".into(),
            watermark: Watermark {
                position: vec![10],
                identity: b"other".to_vec(),
            },
        });
        state
    };
    let change = |answer| Change::Advance {
        name: "nonce".into(),
        position: vec![9],
        identity: b"id".to_vec(),
        order: Order::Lexicographic,
        answer,
    };
    let report = sandbox.evaluate(job(stands("tested"))).unwrap();
    assert!(matches!(report.verdict, Verdict::Deny(_)));
    assert_eq!(report.changes, [change(Advanced::Regression)]);
    let report = sandbox.evaluate(job(stands("another"))).unwrap();
    assert_eq!(report.verdict, Verdict::Allow(None), "another instance's state is not there");
    assert_eq!(report.changes, [change(Advanced::Moved)]);
}

#[test]
fn stored_values_are_seen_by_the_one_who_stored_them() {
    let mut guest = Guest::new();
    let (name, value) = (guest.text("last"), guest.text("abcd"));
    guest.imports = STORAGE.to_owned();
    // Absent, set, there, deleted, absent.
    guest.evaluate = format!(
        "(call $get {name} (i32.const {ANSWER})) (if (i32.load8_u (i32.const {ANSWER})) (then unreachable))
         (call $set {name} {value})
         (call $get {name} (i32.const {ANSWER})) (if (i32.eqz (i32.load8_u (i32.const {ANSWER}))) (then unreachable))
         (if (i32.ne (i32.load (i32.const {})) (i32.const 4)) (then unreachable))
         (if (i32.ne (i32.load (i32.load (i32.const {}))) (i32.const 0x64636261)) (then unreachable))
         (call $delete {name})
         (call $get {name} (i32.const {ANSWER})) (if (i32.load8_u (i32.const {ANSWER})) (then unreachable))
         {ALLOW}",
        ANSWER + 8,
        ANSWER + 4,
    );
    let report = evaluate(&guest).unwrap();
    assert_eq!(report.verdict, Verdict::Allow(None));
    let set = |value: Option<&[u8]>| Change::Set {
        name: "last".into(),
        value: value.map(<[u8]>::to_vec),
    };
    let absent = Change::Get {
        name: "last".into(),
        version: 0,
    };
    assert_eq!(report.changes, [absent, set(Some(b"abcd")), set(None)]);
}

#[test]
fn breaking_the_contract_of_an_import_is_a_failure_of_that_call() {
    let mut guest = Guest::new();
    let name = guest.text("n");
    guest.imports = format!("{TAKE} {STORAGE} {ADVANCE}");
    for (call, part) in [
        (take("(i32.const 8) (i32.const 0)", 1, 1), "limits.take: a bucket has a name"),
        (take("(i32.const 8) (i32.const 257)", 1, 1), "limits.take: a bucket has a name"),
        (take(&name, 1, 0), "limits.take: capacity"),
        (
            format!("(call $set {name} (i32.const 8192) (i32.const 1025))"),
            "storage.set: a stored value",
        ),
        (
            format!("(call $advance {name} (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const {ANSWER}))"),
            "watermarks.advance: a position",
        ),
        (
            format!("(call $advance {name} (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 65) (i32.const 1) (i32.const {ANSWER}))"),
            "watermarks.advance: an identity",
        ),
        (take(&name, 0, 1).repeat(CHANGES_MAX + 1), "limits.take: more than 32 state calls"),
    ] {
        guest.evaluate = format!("{call} {ALLOW}");
        assert_fails(&guest, FailureKind::HostCall, part);
    }
}

#[test]
fn a_host_call_can_be_made_to_fail() {
    let mut guest = Guest::new();
    let name = guest.text("n");
    guest.imports = TAKE.to_owned();
    guest.evaluate = format!("{} {} {ALLOW}", take(&name, 1, 9), take(&name, 1, 9));
    let mut sandbox = sandbox(&guest);
    let failing = |after| {
        Some(HostCallFault {
            call: HostCall::Take,
            after,
        })
    };
    for after in [0, 1] {
        sandbox.fail_host_call(0, failing(after));
        let failure = sandbox.evaluate(job(State::default())).unwrap_err();
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (FailureKind::Host, "limits.take was made to fail")
        );
    }
    for fault in [failing(2), None] {
        sandbox.fail_host_call(0, fault);
        assert_eq!(sandbox.evaluate(job(State::default())).unwrap().changes.len(), 2);
    }
}

#[test]
fn a_binding_that_is_none_is_a_failure() {
    let mut job = job(State::default());
    job.binding = 1;
    assert_eq!(sandbox(&Guest::new()).evaluate(job).unwrap_err().kind, FailureKind::Host);
}

#[test]
fn evaluations_run_side_by_side() {
    let mut guest = Guest::new();
    let name = guest.text("n");
    guest.imports = TAKE.to_owned();
    guest.evaluate = format!("{} {ALLOW}", take(&name, 1, 9));
    let sandbox = sandbox(&guest);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let report = sandbox.evaluate(job(State::default())).unwrap();
                    assert_eq!((report.verdict, report.changes.len()), (Verdict::Allow(None), 1));
                }
            });
        }
    });
}
