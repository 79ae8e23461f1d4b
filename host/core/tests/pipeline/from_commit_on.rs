//! What happens once every policy has allowed: floors, contention, an unsure ledger, backends that fail or lie.

use crate::fakes::{Hardware, Memory, World, allow, floor_key, message, public_key, report, signature, vote};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::ledger::{Commitment, Conflict, Entry, Grant, LedgerFailure, Receipt};
use sigwarden_core::lifecycle::RotationRule;
use sigwarden_core::policy::Verdict;
use sigwarden_core::staging::Staging;
use sigwarden_core::state::Effect;
use sigwarden_core::verify::verify;
use sigwarden_core::{BackendFailure, Code, KeyState, Ledger, Scheme};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier, OnceLock};

#[test]
fn a_signature_verifies_and_its_outcome_is_recorded() {
    let world = World::new(vec![allow()]);
    let signed = world.message().unwrap();
    let input = SigningInput::Message(b"hello".to_vec());
    verify(Scheme::Ed25519, &public_key(), &input, &signed.signatures[0]).unwrap();
    assert_eq!(
        (signed.sequence, signed.replay, signed.key.to_string()),
        (1, false, "own.account.v1".to_owned())
    );
    assert_eq!(world.recorded(), (1, 0));
    assert_eq!(world.ledger.snapshot().keys[&signed.key].uses, 1);
}

#[test]
fn floors_refuse_conflicts_regressions_and_keys_without_one() {
    let world = World::new(vec![allow()]);
    world.vote("5/100/a").unwrap();
    for (payload, code) in [
        ("5/100/b", Code::FloorConflict),
        ("4/100/a", Code::FloorRegression),
        ("1/100/a", Code::FloorRegression),
    ] {
        assert_eq!(world.vote(payload).unwrap_err().kind(), code, "{payload}");
    }
    world.ledger.state.lock().unwrap().maps_mut().floors.clear();
    assert_eq!(world.vote("6/100/a").unwrap_err().kind(), Code::FloorUninitialised);
    assert_eq!(world.recorded(), (1, 4));
    assert_eq!(world.backend_calls(), 1);
}

#[test]
fn a_recorded_replay_returns_the_stored_signature_and_touches_no_key() {
    let world = World::new(vec![allow()]);
    let first = world.vote("5/100/a").unwrap();
    let again = world.vote("5/200/a").unwrap();
    assert!(again.replay);
    assert_eq!((&again.signatures, again.timestamp.unwrap().seconds), (&first.signatures, 100));
    assert_eq!(world.backend_calls(), 1);
}

#[test]
fn a_replay_without_a_recorded_signature_signs_the_stored_bytes() {
    let world = World::new(vec![allow()]);
    *world.backend.0.lock().unwrap() = Hardware::Fails(BackendFailure::Unavailable("gone".into()));
    assert_eq!(world.vote("5/100/a").unwrap_err().kind(), Code::BackendUnavailable);
    *world.backend.0.lock().unwrap() = Hardware::Signs;
    let signed = world.vote("5/200/a").unwrap();
    assert_eq!(signed.signatures, [signature(7, b"5/100/a")], "the bytes that were decided");
    assert_eq!((signed.timestamp.unwrap().seconds, signed.replay), (100, true));
    assert_eq!(world.vote("5/100/b").unwrap_err().kind(), Code::FloorConflict);
}

#[test]
fn a_stored_signature_that_does_not_verify_is_not_released() {
    let world = World::new(vec![allow()]);
    world.vote("5/100/a").unwrap();
    let position = world.ledger.snapshot().floors[&floor_key()].position;
    world.ledger.state.lock().unwrap().apply(&Effect::FloorSignature {
        key: floor_key(),
        position,
        signature: signature(7, b"5/100/b").bytes,
    });
    assert_eq!(world.vote("5/200/a").unwrap_err().kind(), Code::SignatureInvalid);
}

#[test]
fn stale_state_is_evaluated_again_three_times_and_then_refused() {
    let world = World::new(vec![allow()]);
    let stale = || Commitment::Conflict(Conflict::Stale("a test"));
    world.ledger.script.lock().unwrap().extend([stale(), stale()]);
    world.message().unwrap();
    assert_eq!(world.evaluations.load(Ordering::SeqCst), 3, "the third attempt was decided");
    world.ledger.script.lock().unwrap().extend([stale(), stale(), stale()]);
    assert_eq!(world.message().unwrap_err().kind(), Code::Contention);
    assert_eq!(world.evaluations.load(Ordering::SeqCst), 6);
    assert_eq!((world.recorded(), world.backend_calls()), ((1, 1), 1));
}

#[test]
fn a_policy_is_asked_again_if_what_it_read_was_written_meanwhile() {
    let ledger: Arc<OnceLock<Arc<Memory>>> = Arc::default();
    let others = Arc::clone(&ledger);
    let world = World::new(vec![Box::new(move |job| {
        let mut staging = Staging::new(job.snapshot.clone(), "p0".into(), job.request.now_ms);
        let seen = staging.get("x").unwrap();
        if seen.is_none() {
            // Another request's decision comes in between this evaluation and its commit.
            others.get().unwrap().state.lock().unwrap().apply(&Effect::Store {
                instance: "p0".into(),
                name: "x".into(),
                value: Some(vec![1]),
            });
        }
        let mut answer = report(Verdict::Allow(None))?;
        answer.changes = staging.into_changes();
        Ok(answer)
    })]);
    ledger.set(Arc::clone(&world.ledger)).ok().unwrap();
    world.message().unwrap();
    assert_eq!(world.evaluations.load(Ordering::SeqCst), 2);
    assert_eq!(world.ledger.decided.load(Ordering::SeqCst), 1);
}

#[test]
fn a_key_that_is_suspended_while_its_backend_signs_releases_nothing_and_the_suspension_does_not_wait() {
    let world = World::new(vec![allow()]);
    let signing = Arc::new(Barrier::new(2));
    let gate = Arc::clone(&signing);
    *world.backend.0.lock().unwrap() = Hardware::SignsAfter(Arc::new(move || {
        gate.wait();
        gate.wait();
    }));
    let set = |state| {
        let key = "cosmos.validator.v1".parse().unwrap();
        let change = || {
            world
                .ledger
                .state
                .lock()
                .unwrap()
                .apply(&Effect::KeyState { key, state, grace: None })
        };
        world.pipeline.change_key_states(change);
    };
    let refused = std::thread::scope(|scope| {
        let request = scope.spawn(|| world.vote("5/100/a").unwrap_err());
        signing.wait();
        set(KeyState::Suspended);
        signing.wait();
        request.join().unwrap()
    });
    assert_eq!(refused.kind(), Code::KeyState);
    assert_eq!(
        (world.recorded(), world.backend_calls()),
        ((1, 0), 1),
        "the decision has an outcome without a signature"
    );
    *world.backend.0.lock().unwrap() = Hardware::Signs;
    assert_eq!(world.vote("5/200/a").unwrap_err().kind(), Code::KeyState);
    set(KeyState::Active);
    let signed = world.vote("5/300/a").unwrap();
    assert_eq!(signed.signatures, [signature(7, b"5/100/a")], "what was decided first stands");
}

#[test]
fn a_grace_that_begins_while_a_backend_signs_holds_for_what_it_signs() {
    let world = World::new(vec![allow()]);
    let signing = Arc::new(Barrier::new(2));
    let gate = Arc::clone(&signing);
    *world.backend.0.lock().unwrap() = Hardware::SignsAfter(Arc::new(move || {
        gate.wait();
        gate.wait();
    }));
    for (height, end, code) in [("5", "height:5", Some(Code::KeyGrace)), ("6", "height:7", None)] {
        let answer = std::thread::scope(|scope| {
            let request = scope.spawn(|| world.vote(&format!("{height}/100/a")));
            signing.wait();
            let change = |state, grace| {
                let key = "cosmos.validator.v1".parse().unwrap();
                let change = || world.ledger.state.lock().unwrap().apply(&Effect::KeyState { key, state, grace });
                world.pipeline.change_key_states(change);
            };
            change(KeyState::Grace, Some(end.parse().unwrap()));
            signing.wait();
            let answer = request.join().unwrap();
            change(KeyState::Active, None);
            answer
        });
        assert_eq!(answer.err().map(|refusal| refusal.kind()), code, "{height} {end}");
    }
}

#[test]
fn the_last_use_that_a_rule_leaves_is_not_had_twice() {
    let used: Arc<OnceLock<Arc<Memory>>> = Arc::default();
    let others = Arc::clone(&used);
    let world = World::new(vec![Box::new(move |_| {
        // Another request takes it between this evaluation and its commit.
        let key = "own.account.v1".parse().unwrap();
        others.get().unwrap().state.lock().unwrap().apply(&Effect::Use { key });
        report(Verdict::Allow(None))
    })]);
    used.set(Arc::clone(&world.ledger)).ok().unwrap();
    let rule = RotationRule {
        max_age_ms: None,
        max_uses: Some(1),
        enforce: true,
    };
    let mut key = world
        .pipeline
        .keys()
        .get(&"own.account.v1".parse().unwrap())
        .unwrap()
        .as_ref()
        .clone();
    key.rotation = Some(rule);
    world.pipeline.add_key(key);
    assert_eq!(world.message().unwrap_err().kind(), Code::KeyRotation);
    assert_eq!((world.evaluations.load(Ordering::SeqCst), world.backend_calls()), (1, 0));
}

#[test]
fn a_ledger_that_fails_signs_nothing() {
    let failures = [
        (LedgerFailure::Poisoned("the disk at /secret".into()), Code::LedgerFailed),
        (LedgerFailure::Full("no room".into()), Code::LedgerFull),
        (LedgerFailure::RecordTooLarge(20_000), Code::RecordTooLarge),
    ];
    for (failure, code) in failures {
        let world = World::new(vec![allow()]);
        world.ledger.script.lock().unwrap().push_back(Commitment::Failed(failure));
        let refusal = world.message().unwrap_err();
        assert_eq!(refusal.kind(), code);
        assert!(!refusal.message.contains("/secret"), "the reason is the operator's");
        assert_eq!((world.recorded(), world.backend_calls()), ((0, 1), 0));
    }
}

#[test]
fn an_unknown_commitment_is_looked_up_and_never_tried_again() {
    let world = World::new(vec![allow()]);
    world.ledger.script.lock().unwrap().push_back(Commitment::Unknown);
    assert_eq!(world.message().unwrap_err().kind(), Code::LedgerUnknown);
    assert_eq!((world.ledger.decided.load(Ordering::SeqCst), world.backend_calls()), (0, 0));

    world.ledger.script.lock().unwrap().push_back(Commitment::Unknown);
    let grant = Grant::Sign {
        input: SigningInput::Message(b"hello".to_vec()),
        timestamp: None,
    };
    *world.ledger.found.lock().unwrap() = Some(Receipt {
        sequence: 42,
        grants: vec![grant],
        replay: false,
        repeats: None,
    });
    let signed = world.message().unwrap();
    assert_eq!((signed.sequence, signed.signatures), (42, vec![signature(7, b"hello")]));
}

#[test]
fn a_receipt_without_a_grant_for_each_input_signs_nothing() {
    let world = World::new(vec![allow()]);
    let receipt = Receipt {
        sequence: 1,
        grants: Vec::new(),
        replay: false,
        repeats: None,
    };
    world.ledger.script.lock().unwrap().push_back(Commitment::Receipt(receipt));
    assert_eq!(world.message().unwrap_err().kind(), Code::Internal);
    assert_eq!(world.backend_calls(), 0);
}

#[test]
fn a_backend_that_fails_or_lies_releases_nothing_and_the_decision_stands() {
    let cases = [
        (
            Hardware::Fails(BackendFailure::Unavailable("token /dev/x".into())),
            Code::BackendUnavailable,
        ),
        (Hardware::Fails(BackendFailure::Failed("token /dev/x".into())), Code::BackendFailed),
        (
            Hardware::Fails(BackendFailure::SignatureInvalid("token /dev/x".into())),
            Code::SignatureInvalid,
        ),
        (Hardware::SignsTwice, Code::BackendFailed),
        (Hardware::SignsWithAnotherKey, Code::SignatureInvalid),
    ];
    for (hardware, code) in cases {
        let world = World::new(vec![allow()]);
        *world.backend.0.lock().unwrap() = hardware;
        let refusal = world.vote("5/100/a").unwrap_err();
        assert_eq!(refusal.kind(), code);
        assert!(!refusal.message.contains("/dev/x"));
        assert_eq!(world.recorded(), (1, 0), "an outcome, no refusal");
        let entries = world.ledger.entries.lock().unwrap();
        let Some(Entry::Outcome(outcome)) = entries.last() else {
            panic!("an outcome")
        };
        assert_eq!(outcome.result.as_ref().unwrap_err().kind(), code);
        drop(entries);
        assert_eq!(
            world.vote("5/100/b").unwrap_err().kind(),
            Code::FloorConflict,
            "the position stays taken"
        );
    }
}

#[test]
fn a_request_keeps_the_id_that_its_client_gave_and_others_get_one_of_their_own() {
    let world = World::new(vec![allow()]);
    let mut call = message("hello");
    call.request_id = "my-id".into();
    assert_eq!(&*world.call(call).unwrap().request_id, "my-id");
    let ids: std::collections::BTreeSet<_> = (0..10).map(|_| world.message().unwrap().request_id).collect();
    assert_eq!(ids.len(), 10);
    world.call(vote("2/1/a")).unwrap();
}

/// The change is being recorded: its counter has risen, its record has no place yet. What is decided in between is withheld as well.
#[test]
fn a_decision_made_while_a_change_is_recorded_is_withheld() {
    let world = World::new(vec![allow()]);
    let (at_backend, answers) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (reached, go_on) = (Arc::clone(&at_backend), Arc::clone(&answers));
    *world.backend.0.lock().unwrap() = Hardware::SignsAfter(Arc::new(move || {
        reached.wait();
        go_on.wait();
    }));
    std::thread::scope(|scope| {
        let signer = world.pipeline.change_key_states(|| {
            let signer = scope.spawn(|| world.message());
            at_backend.wait();
            let key = "own.account.v1".parse().unwrap();
            let state = KeyState::Suspended;
            world
                .ledger
                .state
                .lock()
                .unwrap()
                .apply(&Effect::KeyState { key, state, grace: None });
            signer
        });
        answers.wait();
        assert_eq!(signer.join().unwrap().unwrap_err().kind(), Code::KeyState);
    });
}
