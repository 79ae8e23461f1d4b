//! Refusals before a decision: nothing is committed, no key is touched, and each is recorded once.

use crate::fakes::{NOW, PEER, World, allow, binding, deny, fail, message, report, vote};
use sigwarden_core::caller::Peer;
use sigwarden_core::ledger::Entry;
use sigwarden_core::pipeline::{Limits, Stage};
use sigwarden_core::policy::{Binding, FailureKind, Understands, Verdict};
use sigwarden_core::state::Effect;
use sigwarden_core::{Code, Format, KeyState, SignCall};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

/// The call is refused with this code at this stage.
fn refused(world: &World, peer: Peer, call: SignCall, stage: Stage, code: Code) {
    let before = world.recorded();
    let refusal = world.pipeline.sign(peer.clone(), call).unwrap_err();
    assert_eq!(refusal.kind(), code, "{refusal}");
    assert_eq!(world.recorded(), (before.0, before.1 + 1), "recorded once, without an outcome");
    let entries = world.ledger.entries.lock().unwrap();
    let Some(Entry::Refused(record)) = entries.last() else {
        panic!("a refusal")
    };
    assert_eq!((record.stage, record.refusal.code(), &record.peer), (stage, refusal.code(), &peer));
    assert_eq!(world.ledger.decided.load(Ordering::SeqCst), 0);
    assert_eq!(world.backend_calls(), 0);
}

#[test]
fn a_certificates_name_or_the_configurations_word_is_a_caller_too() {
    let names: std::sync::Arc<[Box<str>]> = ["other.example".into(), "tester.example".into()].into();
    for peer in [Peer::Certificate(names), Peer::Assigned("tester".into())] {
        let world = World::new(vec![allow()]);
        world.pipeline.sign(peer, message("x")).unwrap();
    }
}

#[test]
fn strangers_wrong_groups_and_the_overflow_uid_are_nobody() {
    let world = World::new(vec![allow()]);
    for peer in [
        Peer::User { uid: 2, gid: 1 },
        Peer::User { uid: 1, gid: 2 },
        Peer::User { uid: 65534, gid: 1 },
        Peer::Certificate(["node-b.example".into()].into()),
        Peer::Certificate([].into()),
        Peer::Assigned("stranger".into()),
        // Of two clients at once.
        Peer::Certificate(["nobody.example".into(), "tester.example".into()].into()),
    ] {
        refused(&world, peer, message("x"), Stage::Authenticate, Code::CallerUnauthenticated);
    }
}

#[test]
fn every_field_of_a_request_is_bounded_and_parsed() {
    let world = World::new(vec![allow()]);
    let large = SignCall {
        payload: vec![b'x'; Limits::default().payload_bytes + 1],
        ..message("")
    };
    let with = |change: fn(&mut SignCall)| {
        let mut call = message("x");
        change(&mut call);
        call
    };
    let calls = [
        (large, Code::RequestTooLarge),
        (with(|call| call.operation = "decrypt".into()), Code::UnknownOperation),
        (with(|call| call.operation = "public-key".into()), Code::UnknownOperation),
        (with(|call| call.format = "evm/legacy2".into()), Code::UnknownFormat),
        (with(|call| call.scheme = "rsa".into()), Code::UnknownScheme),
        (with(|call| call.key = "../../etc".into()), Code::RequestMalformed),
        (with(|call| call.request_id = "a b".into()), Code::RequestMalformed),
        (with(|call| call.request_id = "x".repeat(65)), Code::RequestMalformed),
    ];
    for (call, code) in calls {
        refused(&world, PEER, call, Stage::Open, code);
    }
}

#[test]
fn an_unknown_key_and_a_forbidden_one_get_the_same_answer() {
    let world = World::new(vec![allow()]);
    let ask = |key: &str| {
        let call = SignCall {
            key: key.into(),
            ..message("x")
        };
        refused(&world, PEER, call.clone(), Stage::Authorize, Code::CallerForbidden);
        let refusal = world.call(call).unwrap_err();
        (refusal.code().into_owned(), refusal.message.replace(key, "KEY"))
    };
    let forbidden = ask("own.hidden");
    assert_eq!(forbidden, ask("own.nothing"), "neither allowed nor there");
    assert_eq!(forbidden, ask("own.missing"), "allowed, but not there");
}

#[test]
fn role_scheme_and_flags_decide_what_a_key_signs() {
    let world = World::new(vec![allow()]);
    let as_format = |call: SignCall, format: Format| SignCall {
        format: format.name().into(),
        ..call
    };
    let plain = SignCall {
        key: "own.plain".into(),
        ..message("x")
    };
    let other_scheme = SignCall {
        scheme: "secp256k1-ecdsa".into(),
        ..message("x")
    };
    let calls = [
        (as_format(vote("2/1/a"), Format::RawMessageNone), Code::FormatRole),
        (as_format(message("x"), Format::CometBftVote), Code::FormatRole),
        (as_format(message("x"), Format::RawMessageSha256), Code::FormatScheme),
        (plain, Code::FormatRaw),
        (other_scheme, Code::SchemeMismatch),
    ];
    for (call, code) in calls {
        refused(&world, PEER, call, Stage::Authorize, code);
    }
}

#[test]
fn a_revoked_key_is_refused_even_if_every_policy_allows() {
    for state in [KeyState::Pending, KeyState::Suspended, KeyState::Revoked, KeyState::Destroyed] {
        let world = World::new(vec![allow(), allow()]);
        world.ledger.state.lock().unwrap().apply(&Effect::KeyState {
            key: "own.account.v1".parse().unwrap(),
            state,
            grace: None,
        });
        refused(&world, PEER, message("x"), Stage::Authorize, Code::KeyState);
        assert_eq!(world.evaluations.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn what_does_not_decode_is_refused_by_its_reason() {
    let world = World::new(vec![allow()]);
    let payloads = [
        ("malformed", Code::PayloadMalformed),
        ("non-canonical", Code::PayloadNonCanonical),
        ("digest", Code::DigestLength),
        ("structured", Code::PayloadStructured),
        ("nowhere", Code::NoPosition),
    ];
    for (payload, code) in payloads {
        refused(&world, PEER, message(payload), Stage::Decode, code);
    }
    // A decoder that yields no position for a vote is not believed.
    refused(&world, PEER, vote("no position"), Stage::Decode, Code::NoPosition);
}

#[test]
fn a_clock_far_behind_the_latest_record_refuses() {
    let world = World::new(vec![allow()]);
    world.ledger.state.lock().unwrap().note_time(NOW);
    world.clock.store(NOW - 5_001, Ordering::SeqCst);
    refused(&world, PEER, message("x"), Stage::Decode, Code::ClockBehind);
    world.clock.store(NOW - 5_000, Ordering::SeqCst);
    world.message().unwrap();
}

#[test]
fn a_request_that_no_policy_binds_is_refused() {
    refused(&World::new(vec![]), PEER, message("x"), Stage::Evaluate, Code::PolicyUnbound);
    let votes_only = Binding {
        formats: Some(vec![Format::CometBftVote]),
        ..binding("p0")
    };
    let world = World::with(vec![votes_only], vec![allow()], Limits::default());
    refused(&world, PEER, message("x"), Stage::Evaluate, Code::PolicyUnbound);
    world.vote("2/1/a").unwrap();
}

#[test]
fn every_kind_of_failure_of_a_sandbox_has_its_code() {
    let kinds = [
        (FailureKind::Trap, Code::SandboxTrap),
        (FailureKind::Fuel, Code::SandboxFuel),
        (FailureKind::Deadline, Code::SandboxDeadline),
        (FailureKind::Memory, Code::SandboxMemory),
        (FailureKind::HostCall, Code::SandboxHostCall),
        (FailureKind::Malformed, Code::SandboxMalformed),
        (FailureKind::Host, Code::SandboxHost),
    ];
    for (kind, code) in kinds {
        let world = World::new(vec![allow(), fail(kind), allow()]);
        refused(&world, PEER, message("x"), Stage::Evaluate, code);
        assert!(world.message().unwrap_err().message.contains("policy p1: as told"));
    }
}

#[test]
fn a_trap_refuses_ahead_of_any_denial_and_all_policies_run() {
    for answers in [
        vec![deny("no"), fail(FailureKind::Trap), allow()],
        vec![fail(FailureKind::Trap), deny("no"), allow()],
    ] {
        let world = World::new(answers);
        refused(&world, PEER, message("x"), Stage::Evaluate, Code::SandboxTrap);
        assert_eq!(world.evaluations.load(Ordering::SeqCst), 3);
    }
}

#[test]
fn one_denial_among_approvals_refuses_and_names_policy_and_code() {
    let world = World::new(vec![allow(), deny("too-much"), deny("too-late")]);
    refused(&world, PEER, message("x"), Stage::Approve, Code::Policy);
    let refusal = world.message().unwrap_err();
    assert_eq!(refusal.code(), "policy/p1/too-much");
    assert_eq!(refusal.message, "p1: too-much it is; p2: too-late it is");
    assert_eq!(refusal.denials.len(), 2);
}

#[test]
fn a_deny_without_a_denial_is_no_approval() {
    let world = World::new(vec![allow(), Box::new(|_| report(Verdict::Deny(Vec::new())))]);
    refused(&world, PEER, message("x"), Stage::Approve, Code::SandboxMalformed);
}

#[test]
fn a_bound_policy_that_does_not_know_the_format_denies_without_being_run() {
    let ignorant = Binding {
        understands: Understands::Formats(vec![Format::CometBftVote]),
        ..binding("p0")
    };
    let world = World::with(vec![ignorant], vec![allow()], Limits::default());
    refused(&world, PEER, message("x"), Stage::Approve, Code::FormatUnsupported);
    assert_eq!(world.message().unwrap_err().code(), "format/unsupported");
    assert_eq!(world.evaluations.load(Ordering::SeqCst), 0);
}

#[test]
fn who_waits_too_long_for_an_evaluation_is_refused_and_the_others_go_on() {
    let limits = Limits {
        evaluations: 1,
        deadline: Duration::ZERO,
        ..Limits::default()
    };
    let (inside, entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let slow = Box::new(move |_: &_| {
        inside.send(()).unwrap();
        released.lock().unwrap().recv().unwrap_err();
        report(Verdict::Allow(None))
    });
    let world = World::with(vec![binding("p0")], vec![slow], limits);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.message());
        entered.recv().unwrap();
        assert_eq!(world.message().unwrap_err().kind(), Code::Deadline);
        drop(release);
        first.join().unwrap().unwrap();
    });
}

#[test]
fn once_it_stops_nothing_new_is_decided() {
    let world = World::new(vec![allow()]);
    world.message().unwrap();
    world.pipeline.stop();
    assert_eq!(world.message().unwrap_err().kind(), Code::Stopping);
    assert_eq!(world.ledger.decided.load(Ordering::SeqCst), 1);
}
