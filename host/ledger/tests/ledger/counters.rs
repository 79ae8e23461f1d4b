//! What a ledger tells of itself, and the end of its log.

use crate::disks::QuickDisk;
use crate::world::{NOW, Rule, VALIDATOR, World, together};
use sigwarden_core::ledger::{Entry, Outcome};
use sigwarden_core::proof::DecisionId;
use sigwarden_core::{Code, Ledger, Refusal, Scheme};
use sigwarden_ledger::{TAIL_MAX, tail_of, verify};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn counters_tell_what_is_on_the_disk_and_what_is_not_yet() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Allow);
    let opened = world.ledger.counters();
    let fresh = (opened.writes, opened.records, opened.decisions, opened.last_batch, opened.last_sync);
    assert_eq!(fresh, (0, 0, 0, 0, Duration::ZERO));
    assert_eq!(opened.lag, 1, "the start's record waits for the first commit");
    assert_eq!(opened.checkpoints, 0);

    let written = |world: &World| {
        let newest = crate::recovery::segments(dir.path()).pop().unwrap();
        let frames = crate::recovery::frames(&newest);
        // The first is the header.
        assert_eq!(world.ledger.counters().writes, frames.len() as u64 - 2);
        frames.last().unwrap() - frames[1]
    };
    world.vote(5, 100, "a").unwrap();
    let first = world.ledger.counters();
    // The start and the decision; the outcome waits.
    assert_eq!((first.writes, first.records, first.decisions, first.last_batch), (1, 2, 1, 2));
    assert_eq!((first.lag, first.bytes), (1, written(&world)));
    assert!(first.last_sync > Duration::ZERO);
    world.vote(5, 200, "a").unwrap();
    world.vote(5, 100, "b").unwrap_err();
    let then = world.ledger.counters();
    // The outcome with the replay; the replay's outcome and the refusal wait.
    assert_eq!((then.writes, then.records, then.decisions, then.lag), (2, 4, 2, 2));
    assert_eq!(then.bytes, written(&world));

    world.ledger.flush().unwrap();
    let flushed = world.ledger.counters();
    assert_eq!((flushed.writes, flushed.records, flushed.lag), (3, 6, 0));
    world.ledger.keep().unwrap();
    assert_eq!(world.ledger.counters().checkpoints, 1);

    together(16, |index| world.message(&[index as u8]).unwrap());
    world.ledger.flush().unwrap();
    let health = world.ledger.health();
    let counted = world.ledger.counters();
    assert_eq!((counted.decisions, counted.lag), (18, 0));
    assert_eq!(counted.records, 6 + 2 * 16);
    assert_eq!((counted.writes, health.durable_sequence), (health.writes, health.last_sequence));
    world.ledger.close().unwrap();
    assert_eq!(verify(dir.path(), &mut |_, _| {}).unwrap().last_sequence, health.last_sequence);
}

#[test]
fn a_tail_says_that_it_shows_less_than_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Allow);
    let outcome = |decision_sequence| {
        Entry::Outcome(Outcome {
            decision_sequence,
            decision: DecisionId([0; 16]),
            request_id: "r".into(),
            caller: "tester".into(),
            key: VALIDATOR.parse().unwrap(),
            backend: "test".to_owned(),
            scheme: Scheme::Ed25519,
            result: Err(Refusal::new(Code::Internal, "a test")),
            floor: None,
            remember: None,
            stages: Vec::new(),
            now_ms: NOW,
        })
    };
    let records = world.ledger.health().last_sequence;
    let more = TAIL_MAX as u64 - records;
    (0..more).for_each(|n| world.ledger.append(outcome(n)));
    world.ledger.flush().unwrap();
    let asked = |count| {
        let tailed = tail_of(dir.path(), count).unwrap();
        (tailed.lines.len(), tailed.capped)
    };
    assert_eq!(asked(usize::MAX), (TAIL_MAX, false), "all there are");
    assert_eq!((asked(3), asked(0)), ((3, false), (0, false)));
    world.ledger.append(outcome(more));
    world.ledger.flush().unwrap();
    assert_eq!((asked(TAIL_MAX), asked(TAIL_MAX + 1)), ((TAIL_MAX, false), (TAIL_MAX, true)));
    let lines = tail_of(dir.path(), usize::MAX).unwrap().lines;
    let wanted = format!("{{\"sequence\":\"{}\"", TAIL_MAX + 1);
    assert!(lines.last().unwrap().starts_with(&wanted), "the newest are kept");
}
