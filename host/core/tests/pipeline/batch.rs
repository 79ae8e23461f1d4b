//! Several requests at once: each has its own verdict, and one durable write carries all.

use crate::fakes::{Hardware, PEER, World, allow, deny, message, report, vote};
use sigwarden_core::ledger::{Commitment, Conflict};
use sigwarden_core::pipeline::Asked;
use sigwarden_core::policy::Verdict;
use sigwarden_core::{Code, Refusal, SignCall, Signed};
use std::sync::{Arc, Barrier, Mutex};

/// The answers, in order; each request is answered once.
fn all(world: &World, calls: Vec<SignCall>) -> Vec<Result<Signed, Refusal>> {
    let answers = Mutex::new(vec![None; calls.len()]);
    let asked = calls.into_iter().map(|call| Asked { peer: PEER, call }).collect();
    let evaluated = Mutex::new(0);
    world
        .pipeline
        .sign_all(asked, 2, || *evaluated.lock().unwrap() += 1, &|index, answer| {
            assert!(
                answers.lock().unwrap()[index].replace(answer).is_none(),
                "{index} is answered twice"
            )
        });
    assert_eq!(*evaluated.lock().unwrap(), 1);
    answers.into_inner().unwrap().into_iter().map(Option::unwrap).collect()
}

fn with_id(call: SignCall, id: &str) -> SignCall {
    let request_id = id.into();
    SignCall { request_id, ..call }
}

#[test]
fn each_has_its_own_verdict_in_order_and_one_commit_carries_what_is_allowed() {
    let only_short = Box::new(|job: &sigwarden_core::policy::Job| match job.request.payload.len() {
        0..=8 => report(Verdict::Allow(None)),
        _ => deny("long")(job),
    });
    let world = World::new(vec![allow(), only_short]);
    let unknown_key = SignCall {
        key: "own.hidden".into(),
        ..message("d")
    };
    let answers = all(
        &world,
        vec![
            message("a"),
            message("far too long"),
            message("c"),
            unknown_key,
            vote("5/100/a"),
            message("malformed"),
        ],
    );
    let code = |answer: &Result<Signed, Refusal>| {
        answer
            .as_ref()
            .map(|signed| signed.sequence)
            .map_err(|refusal| refusal.code().into_owned())
    };
    assert_eq!(
        answers.iter().map(code).collect::<Vec<_>>(),
        [
            Ok(1),
            Err("policy/p1/long".into()),
            Ok(2),
            Err("caller/forbidden".into()),
            Ok(3),
            Err("payload/malformed".into())
        ]
    );
    assert_eq!(*world.ledger.commits.lock().unwrap(), [3], "one durable write");
    assert_eq!(world.recorded(), (3, 3), "three outcomes, three refusals");
    assert_ne!(answers[0].as_ref().unwrap().signatures, answers[2].as_ref().unwrap().signatures);
}

#[test]
fn two_votes_for_one_position_become_one_signature_and_another_block_a_refusal() {
    let world = World::new(vec![allow()]);
    let answers = all(&world, vec![vote("5/100/a"), vote("5/200/a"), vote("5/300/b"), vote("6/400/b")]);
    let first = answers[0].as_ref().unwrap();
    let again = answers[1].as_ref().unwrap();
    assert_eq!((&again.signatures, again.replay), (&first.signatures, true));
    assert_eq!(answers[2].as_ref().unwrap_err().kind(), Code::FloorConflict);
    assert_eq!(answers[3].as_ref().unwrap().sequence, 3);
    assert_eq!(world.backend_calls(), 2);
}

#[test]
fn one_id_twice_is_one_decision() {
    let world = World::new(vec![allow()]);
    let answers = all(
        &world,
        vec![
            with_id(message("pay"), "1"),
            with_id(message("pay"), "1"),
            with_id(message("more"), "1"),
        ],
    );
    let [Ok(first), Ok(again), Err(other)] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!((&again.signatures, again.replay, first.replay), (&first.signatures, true, false));
    assert_eq!(other.kind(), Code::RequestIdReused);
    assert_eq!(world.backend_calls(), 1);
}

#[test]
fn what_was_judged_by_stale_state_is_judged_again_and_the_others_are_not() {
    let world = World::new(vec![allow()]);
    let stale = Commitment::Conflict(Conflict::Stale("storage"));
    *world.ledger.script.lock().unwrap() = [stale].into();
    let answers = all(&world, vec![message("a"), message("b")]);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(*world.ledger.commits.lock().unwrap(), [2, 1]);
    assert_eq!(world.evaluations.load(std::sync::atomic::Ordering::SeqCst), 3);
}

#[test]
fn signatures_of_a_backend_elsewhere_are_waited_for_side_by_side() {
    let world = World::new(vec![allow()]);
    // Passes only once four are inside.
    let barrier = Arc::new(Barrier::new(4));
    *world.backend.0.lock().unwrap() = Hardware::SignsAfter(Arc::new(move || {
        barrier.wait();
    }));
    let calls = ["a", "b", "c", "d"].map(message);
    assert!(all(&world, calls.to_vec()).iter().all(Result::is_ok));
}

#[test]
fn nothing_asked_is_nothing_answered() {
    let world = World::new(vec![allow()]);
    assert!(all(&world, Vec::new()).is_empty());
    assert!(world.ledger.commits.lock().unwrap().is_empty());
}
