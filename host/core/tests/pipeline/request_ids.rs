//! Request ids that a client gives: one decision and one signed message for each.

use crate::fakes::{Hardware, NOW, World, allow, deny, message, report, vote};
use sigwarden_core::ledger::{Commitment, Entry};
use sigwarden_core::limit::Take;
use sigwarden_core::policy::{Job, Verdict};
use sigwarden_core::request_id::KEPT_MS;
use sigwarden_core::staging::Staging;
use sigwarden_core::state::Effect;
use sigwarden_core::{BackendFailure, Code, Refusal, SignCall, Signed};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};

fn with_id(call: SignCall, id: &str) -> SignCall {
    SignCall {
        request_id: id.into(),
        ..call
    }
}

impl World {
    fn send(&self, payload: &str, id: &str) -> Result<Signed, Refusal> {
        self.call(with_id(message(payload), id))
    }

    fn send_vote(&self, payload: &str, id: &str) -> Result<Signed, Refusal> {
        self.call(with_id(vote(payload), id))
    }

    fn uses(&self) -> u64 {
        self.pipeline.snapshot().keys[&"own.account.v1".parse::<sigwarden_core::key::KeyId>().unwrap()].uses
    }
}

#[test]
fn the_same_id_and_bytes_get_the_recorded_signature_and_other_bytes_nothing() {
    let world = World::new(vec![allow()]);
    let first = world.send("pay", "1").unwrap();
    let again = world.send("pay", "1").unwrap();
    assert!(!first.replay && again.replay);
    assert_eq!((&again.signatures, &*again.request_id), (&first.signatures, "1"));
    assert_eq!((world.backend_calls(), world.uses()), (1, 1));

    assert_eq!(world.send("pay more", "1").unwrap_err().kind(), Code::RequestIdReused);
    let other_format = SignCall {
        format: "raw-message/sha256".into(),
        ..with_id(message("pay"), "1")
    };
    assert!(world.call(other_format).is_err());
    // Another id is another request, and another key another scope.
    assert!(!world.send("pay", "2").unwrap().replay);
    assert!(!world.send_vote("5/100/a", "1").unwrap().replay);
    assert_eq!(world.backend_calls(), 3);
}

#[test]
fn without_a_recorded_signature_the_same_message_is_signed_under_the_first_decision() {
    let world = World::new(vec![allow()]);
    *world.backend.0.lock().unwrap() = Hardware::Fails(BackendFailure::Unavailable("gone".into()));
    assert_eq!(world.send("pay", "1").unwrap_err().kind(), Code::BackendUnavailable);
    assert_eq!(world.send("other", "1").unwrap_err().kind(), Code::RequestIdReused);
    *world.backend.0.lock().unwrap() = Hardware::Signs;
    let again = world.send("pay", "1").unwrap();
    assert!(again.replay);
    // One use, however often it was asked for.
    assert_eq!(world.uses(), 1);
    assert_eq!(world.send("pay", "1").unwrap().signatures, again.signatures);
    assert_eq!(world.backend_calls(), 2, "the last was recorded");
    let decisions: Vec<_> = world
        .ledger
        .entries
        .lock()
        .unwrap()
        .iter()
        .filter_map(|entry| match entry {
            Entry::Outcome(outcome) => Some(outcome.decision_sequence),
            Entry::Refused(_) | Entry::Shadow(_) => None,
        })
        .collect();
    assert_eq!(decisions, [1, 2, 3], "every replay leaves a record of its own");
}

#[test]
fn a_replay_runs_the_policies_may_be_denied_and_changes_no_policy_state() {
    let allowed = Arc::new(Mutex::new(true));
    let says = Arc::clone(&allowed);
    let world = World::new(vec![Box::new(move |job| match *says.lock().unwrap() {
        true => report(Verdict::Allow(None)),
        false => deny("closed")(job),
    })]);
    world.send("pay", "1").unwrap();
    let uses = world.uses();
    world.send("pay", "1").unwrap();
    assert_eq!((world.uses(), world.evaluations.load(Ordering::SeqCst)), (uses, 2));
    *allowed.lock().unwrap() = false;
    assert_eq!(world.send("pay", "1").unwrap_err().code(), "policy/p0/closed");
    assert_eq!(world.backend_calls(), 1);
}

#[test]
fn a_vote_is_released_by_its_id_after_the_floor_has_moved_on_and_only_the_very_same() {
    let world = World::new(vec![allow()]);
    let first = world.send_vote("5/100/a", "v5").unwrap();
    world.send_vote("6/100/a", "v6").unwrap();
    let again = world.send_vote("5/100/a", "v5").unwrap();
    assert_eq!(
        (again.replay, &again.signatures, again.timestamp),
        (true, &first.signatures, first.timestamp)
    );
    assert_eq!(world.backend_calls(), 2);
    // Another timestamp was never signed, and is below the floor now; without the id so is the same.
    assert_eq!(world.send_vote("5/200/a", "v5").unwrap_err().kind(), Code::FloorRegression);
    assert_eq!(world.vote("5/100/a").unwrap_err().kind(), Code::FloorRegression);
    assert_eq!(world.send_vote("5/100/b", "v5").unwrap_err().kind(), Code::RequestIdReused);
    // At the floor the rule of exact bytes holds, id or not.
    let retried = world.send_vote("6/200/a", "v6").unwrap();
    assert_eq!((retried.replay, retried.timestamp.unwrap().seconds), (true, 100));
}

#[test]
fn an_id_that_was_decided_and_not_signed_is_not_signed_below_the_floor() {
    let world = World::new(vec![allow()]);
    *world.backend.0.lock().unwrap() = Hardware::Fails(BackendFailure::Unavailable("gone".into()));
    assert_eq!(world.send_vote("5/100/a", "v5").unwrap_err().kind(), Code::BackendUnavailable);
    *world.backend.0.lock().unwrap() = Hardware::Signs;
    world.send_vote("6/100/a", "v6").unwrap();
    assert_eq!(world.send_vote("5/100/a", "v5").unwrap_err().kind(), Code::FloorRegression);
}

#[test]
fn an_id_is_forgotten_after_a_day() {
    let world = World::new(vec![allow()]);
    world.send("pay", "1").unwrap();
    world.send("pay", "2").unwrap();
    let pass = |ms| {
        world.clock.fetch_add(ms, Ordering::SeqCst);
        world.boot_clock.fetch_add(ms, Ordering::SeqCst);
    };
    pass(KEPT_MS - 1);
    assert!(world.send("pay", "1").unwrap().replay);
    assert_eq!(world.send("other", "1").unwrap_err().kind(), Code::RequestIdReused);
    pass(1);
    assert!(!world.send("other", "1").unwrap().replay);
    let state = world.pipeline.snapshot();
    assert_eq!((state.requests.len(), state.requests_by_age.len()), (1, 1), "the others are gone");
    assert_eq!(state.requests_by_age.get_min().unwrap().0, NOW + KEPT_MS);
}

/// A refused request has decided nothing: its id is free.
#[test]
fn a_denied_request_does_not_take_its_id() {
    let denials = Arc::new(AtomicU64::new(1));
    let left = Arc::clone(&denials);
    let policy = Box::new(move |job: &_| match left.swap(0, Ordering::SeqCst) {
        0 => report(Verdict::Allow(None)),
        _ => deny("not-now")(job),
    });
    let world = World::new(vec![policy]);
    assert_eq!(world.send("pay", "1").unwrap_err().kind(), Code::Policy);
    assert!(!world.send("other", "1").unwrap().replay);
}

#[test]
fn of_many_with_one_id_at_once_one_is_decided_and_all_get_its_signature() {
    let world = World::new(vec![allow()]);
    // A floor and an id each, raced.
    for (send, calls) in [(World::send as fn(&World, &str, &str) -> _, 1), (World::send_vote, 2)] {
        let start = Barrier::new(8);
        let signed: Vec<Signed> = std::thread::scope(|scope| {
            let one = || {
                start.wait();
                send(&world, "7/100/a", "raced").unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(signed.iter().filter(|signed| !signed.replay).count(), 1);
        assert!(signed.iter().all(|one| one.signatures == signed[0].signatures));
        assert_eq!(world.backend_calls(), calls);
    }
}

/// Two callers' retries of one vote, with timestamps of their own and no id.
#[test]
fn of_many_with_one_vote_at_once_one_is_signed_and_all_get_its_bytes() {
    let world = World::new(vec![allow()]);
    let start = Barrier::new(8);
    let signed: Vec<Signed> = std::thread::scope(|scope| {
        let (world, start) = (&world, &start);
        let one = |seconds: u64| {
            start.wait();
            world.vote(&format!("9/{seconds}/a")).unwrap()
        };
        let threads: Vec<_> = (0..8).map(|seconds| scope.spawn(move || one(seconds))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(
        signed
            .iter()
            .all(|one| (&one.signatures, one.timestamp) == (&signed[0].signatures, signed[0].timestamp))
    );
    assert_eq!(world.backend_calls(), 1, "one signature");
}

#[test]
fn a_request_does_not_wait_longer_than_its_deadline_for_the_one_in_flight() {
    let world = Arc::new(World::new(vec![allow()]));
    let (here, there) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (reached, go_on) = (Arc::clone(&here), Arc::clone(&there));
    *world.backend.0.lock().unwrap() = Hardware::SignsAfter(Arc::new(move || {
        reached.wait();
        go_on.wait();
    }));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.send("pay", "1"));
        here.wait();
        let late = SignCall {
            received: std::time::Instant::now() - sigwarden_core::pipeline::Limits::default().deadline
                + std::time::Duration::from_millis(20),
            ..with_id(message("pay"), "1")
        };
        assert_eq!(world.call(late).unwrap_err().kind(), Code::Deadline);
        there.wait();
        assert!(first.join().unwrap().is_ok());
    });
}

/// Meanwhile others took from a limit: seen with the new state and the old time, it would look used up.
#[test]
fn a_request_that_waited_sees_no_time_before_the_state_that_it_sees() {
    const WAITED_MS: u64 = 3_000;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let world = World::new(vec![Box::new(move |job: &Job| {
        note.lock().unwrap().push((job.request.now_ms, job.snapshot.high_water_ms));
        let mut staging = Staging::new(job.snapshot.clone(), "p0".into(), job.request.now_ms);
        match staging.take("all", 1, 1_000, 1_000) {
            Ok(Take::Taken(..)) => report(Verdict::Allow(None)),
            _ => deny("exceeded")(job),
        }
    })]);
    for send in [World::send as fn(&World, &str, &str) -> _, World::send_vote] {
        let (here, there) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (reached, go_on) = (Arc::clone(&here), Arc::clone(&there));
        *world.backend.0.lock().unwrap() = Hardware::SignsAfter(Arc::new(move || {
            reached.wait();
            go_on.wait();
        }));
        let reads = || world.clock_reads.load(Ordering::SeqCst);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| send(&world, "7/100/a", "1"));
            here.wait();
            let before = reads();
            let second = scope.spawn(|| send(&world, "7/100/a", "1"));
            while reads() == before {
                std::thread::yield_now();
            }
            // The second has its time now, and waits; others empty the bucket of a later second.
            world.clock.fetch_add(WAITED_MS, Ordering::SeqCst);
            world.boot_clock.fetch_add(WAITED_MS, Ordering::SeqCst);
            let now = world.clock.load(Ordering::SeqCst);
            let mut state = world.ledger.state.lock().unwrap();
            state.note_time(now);
            state.apply(&Effect::Bucket {
                instance: "p0".into(),
                name: "all".into(),
                arrival_ns: (now + 500) * 1_000_000,
            });
            drop(state);
            there.wait();
            let first: Signed = first.join().unwrap().unwrap();
            let second: Signed = second.join().unwrap().unwrap();
            assert_eq!((second.replay, &second.signatures), (true, &first.signatures));
        });
    }
    let seen = seen.lock().unwrap();
    let times: Vec<u64> = seen.iter().map(|(now_ms, _)| *now_ms).collect();
    assert_eq!(times, [NOW, NOW + WAITED_MS, NOW + WAITED_MS, NOW + 2 * WAITED_MS]);
    assert!(seen.iter().all(|(now_ms, high_water_ms)| now_ms >= high_water_ms));
}

#[test]
fn an_unsure_ledger_leaves_the_id_to_whoever_knows() {
    let world = World::new(vec![allow()]);
    world.ledger.script.lock().unwrap().push_back(Commitment::Unknown);
    assert_eq!(world.send("pay", "1").unwrap_err().kind(), Code::LedgerUnknown);
    assert!(!world.send("pay", "1").unwrap().replay, "it never became durable");
}

/// The retry was answered with the signature over the first one's bytes, which is none over its own.
#[test]
fn an_id_of_a_retry_with_another_timestamp_does_not_outlive_the_floor() {
    let world = World::new(vec![allow()]);
    let first = world.send_vote("5/100/a", "x").unwrap();
    let retry = world.send_vote("5/200/a", "y").unwrap();
    assert_eq!(retry.signatures, first.signatures);
    assert_eq!(world.send_vote("5/200/a", "y").unwrap().signatures, first.signatures);
    world.send_vote("6/100/a", "z").unwrap();
    assert_eq!(world.send_vote("5/200/a", "y").unwrap_err().kind(), Code::FloorRegression);
    assert_eq!(world.send_vote("5/100/a", "x").unwrap().signatures, first.signatures);
}
