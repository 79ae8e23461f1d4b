//! Answers: what a well-formed one becomes, and what an ill-formed one is.

use crate::guest::{ALLOW, EMIT, Guest};
use crate::job::{assert_fails, evaluate, job, sandbox};
use sigwarden_core::policy::{Denial, Evaluator, FailureKind, LogLevel, LogLine, Verdict};
use sigwarden_core::state::State;
use std::sync::{Arc, Mutex};

fn answering(answer: usize, guest: Guest) -> Guest {
    Guest {
        evaluate: format!("(i32.const {answer})"),
        ..guest
    }
}

#[test]
fn an_allow_is_an_allow_with_the_fuel_it_used() {
    let report = evaluate(&Guest::new()).unwrap();
    assert_eq!(report.verdict, Verdict::Allow(None));
    assert!((1..10_000).contains(&report.fuel), "{}", report.fuel);
    assert_eq!((report.changes, report.log), (vec![], vec![]));
    assert_eq!(evaluate(&Guest::new()).unwrap().fuel, report.fuel, "fuel is deterministic");
}

#[test]
fn a_note_is_escaped_and_cut() {
    let mut guest = Guest::new();
    let note = guest.allow_with(&format!("a\nb{}", "c".repeat(300)));
    let Verdict::Allow(Some(note)) = evaluate(&answering(note, guest)).unwrap().verdict else {
        panic!()
    };
    assert!(note.starts_with("a\\u{a}b"));
    assert!(note.len() <= 256 && note.ends_with('…'), "{note}");
}

#[test]
fn a_denial_carries_code_message_and_time() {
    let mut guest = Guest::new();
    let answer = guest.deny("no", "not\ttoday", Some(1 << 40));
    let expected = Denial {
        code: "no".to_owned(),
        message: "not\\u{9}today".to_owned(),
        retry_at_ms: Some(1 << 40),
    };
    assert_eq!(evaluate(&answering(answer, guest)).unwrap().verdict, Verdict::Deny(vec![expected]));
}

#[test]
fn a_denial_without_reasons_is_malformed() {
    let mut guest = Guest::new();
    let answer = guest.words(&[1, 0, 0]);
    assert_fails(&answering(answer, guest), FailureKind::Malformed, "no reason");
}

#[test]
fn sixteen_denials_are_the_most() {
    let mut many = Guest::new();
    let code = many.bytes(b"no");
    let words: Vec<usize> = (0..17).flat_map(|_| [code, 2, 0, 0, 0, 0, 0, 0]).collect();
    let list = many.words(&words);
    let (sixteen, seventeen) = (many.words(&[1, list, 16]), many.words(&[1, list, 17]));
    let Verdict::Deny(denials) = evaluate(&answering(sixteen, many.clone())).unwrap().verdict else {
        panic!()
    };
    assert_eq!(denials.len(), 16);
    assert_fails(&answering(seventeen, many), FailureKind::Malformed, "17 denials");
}

#[test]
fn a_code_that_the_manifest_does_not_list_is_malformed() {
    let mut guest = Guest::new();
    let answer = guest.deny("yes", "", None);
    assert_fails(
        &answering(answer, guest),
        FailureKind::Malformed,
        "does not list the denial code `yes`",
    );
}

#[test]
fn a_code_of_the_wrong_form_is_malformed() {
    for code in ["", "No", "n o", "n\u{e9}", &"n".repeat(65)] {
        let mut guest = Guest::new();
        let answer = guest.deny(code, "", None);
        assert_fails(&answering(answer, guest), FailureKind::Malformed, "is no denial code");
    }
}

#[test]
fn a_case_that_the_contract_has_not_is_malformed() {
    let mut guest = Guest::new();
    let answer = guest.words(&[2, 0, 0]);
    assert_fails(&answering(answer, guest), FailureKind::Malformed, "contract");
}

#[test]
fn text_that_is_no_text_is_malformed() {
    let mut guest = Guest::new();
    let note = guest.bytes(&[0xff, 0xfe]);
    let answer = guest.words(&[0, 1, note, 2]);
    assert_fails(&answering(answer, guest), FailureKind::Malformed, "contract");
}

#[test]
fn pointers_out_of_bounds_are_malformed() {
    let memory = 4 * 65536;
    // The verdict itself, a note, a list of denials; beyond the end, across the end, and where the sum would wrap.
    for (at, length) in [(memory, 1), (memory - 8, 64), (u32::MAX as usize, 2), (8, u32::MAX as usize)] {
        let mut guest = Guest::new();
        let note = guest.words(&[0, 1, at, length]);
        let list = guest.words(&[1, at & !7, length]);
        assert_fails(&answering(note, guest.clone()), FailureKind::Malformed, "contract");
        assert_fails(&answering(list, guest), FailureKind::Malformed, "contract");
    }
    for at in [memory, memory - 4, 0x7fff_fff0] {
        assert_fails(&answering(at, Guest::new()), FailureKind::Malformed, "contract");
    }
    assert_fails(&answering(2, Guest::new()), FailureKind::Malformed, "contract");
}

#[test]
fn a_huge_list_is_refused_before_it_is_read() {
    let mut guest = Guest::new();
    // 3,000 denials of 32 bytes that are all zeros: 96 KB in the guest, within its memory, over what may cross.
    let answer = guest.words(&[1, 32 * 1024, 3_000]);
    assert_fails(&answering(answer, guest), FailureKind::Malformed, "too much data");
}

#[test]
fn log_lines_are_escaped_and_in_order() {
    let mut guest = Guest::new();
    let (first, second) = (guest.text("one\u{1b}[2J"), guest.text("two"));
    guest.imports = EMIT.to_owned();
    guest.evaluate = format!("(call $emit (i32.const 0) {first}) (call $emit (i32.const 2) {second}) {ALLOW}");
    let line = |level, text: &str| LogLine {
        level,
        text: text.to_owned(),
    };
    assert_eq!(
        evaluate(&guest).unwrap().log,
        [line(LogLevel::Debug, "one\\u{1b}[2J"), line(LogLevel::Warn, "two")]
    );
}

/// What the operator's log gets: target, instance and line of each event.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Heard {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(format!("{} {}", event.metadata().target(), event.metadata().level()));
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

#[test]
fn log_lines_reach_the_operator_with_the_instance() {
    let mut guest = Guest::new();
    let line = guest.text("a\nb");
    guest.imports = EMIT.to_owned();
    guest.evaluate = format!("(call $emit (i32.const 2) {line}) {ALLOW}");
    let sandbox = sandbox(&guest);
    let heard = Heard::default();
    tracing::subscriber::with_default(heard.clone(), || {
        // Another test's thread may have come here first, without anybody who listens.
        tracing::callsite::rebuild_interest_cache();
        sandbox.evaluate(job(State::default())).unwrap()
    });
    let heard = heard.0.lock().unwrap();
    let policy: Vec<&String> = heard.iter().filter(|event| event.starts_with("policy ")).collect();
    assert_eq!(policy, [r#"policy WARN message=a\u{a}b instance="tested""#]);
}

#[test]
fn logging_without_end_is_dropped_and_counted_until_the_fuel_is_gone() {
    let mut guest = Guest::new();
    let line = guest.text("again");
    guest.imports = EMIT.to_owned();
    let emit = format!("(call $emit (i32.const 1) {line}) (local.set $i (i32.add (local.get $i) (i32.const 1)))");
    guest.evaluate = format!("(loop $l {emit} (br_if $l (i32.lt_u (local.get $i) (i32.const 100)))) {ALLOW}");
    let log = evaluate(&guest).unwrap().log;
    assert_eq!(log.len(), 65);
    assert_eq!(log[63].text, "again");
    assert_eq!(log[64].text, "36 more lines were dropped");

    guest.evaluate = format!("(loop $l {emit} (br $l)) unreachable");
    assert_fails(&guest, FailureKind::Fuel, "fuel");
}

#[test]
fn log_bytes_are_capped() {
    let mut guest = Guest::new();
    let line = guest.text(&"x".repeat(5_000));
    guest.imports = EMIT.to_owned();
    guest.evaluate = format!("{} {ALLOW}", format!("(call $emit (i32.const 1) {line})").repeat(3));
    let log = evaluate(&guest).unwrap().log;
    assert_eq!(log.len(), 3, "a whole line, a cut one, the count");
    assert_eq!(log[0].text.len(), 5_000);
    assert!(log[1].text.ends_with('…'));
    assert!(log[0].text.len() + log[1].text.len() <= 8 * 1024);
    assert_eq!(log[2].text, "1 more lines were dropped");
}

#[test]
fn nothing_is_kept_between_evaluations() {
    // Denies unless its counter is 0, its heap where it began, and the first word of its scratch memory untouched.
    let mut guest = Guest::new();
    let deny = guest.deny("no", "state was kept", None);
    guest.evaluate = format!(
        "(if (i32.or (global.get $count) (i32.load (i32.const 100000))) (then (return (i32.const {deny}))))
         (global.set $count (i32.const 1)) (i32.store (i32.const 100000) (i32.const 1)) {ALLOW}"
    );
    let sandbox = sandbox(&guest);
    for _ in 0..100 {
        assert_eq!(sandbox.evaluate(job(State::default())).unwrap().verdict, Verdict::Allow(None));
    }
}
