//! Shadow policies: after the response, on a state of their own, without a say.

use crate::fakes::{Answer, Answers, World, allow, binding, deny, report};
use sigwarden_core::Code;
use sigwarden_core::Ledger;
use sigwarden_core::ledger::{Entry, Shadowed};
use sigwarden_core::policy::{Denial, EvaluationFailure, FailureKind, PolicySet, Verdict};
use sigwarden_core::shadow::ShadowSet;
use sigwarden_core::staging::Staging;
use sigwarden_core::state::Effect;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn shadow(answer: Answer, copy: Option<&str>) -> (ShadowSet, Arc<AtomicU64>) {
    let evaluations = Arc::new(AtomicU64::new(0));
    let policies = PolicySet {
        bindings: vec![binding("next")],
        evaluator: Box::new(Answers(vec![answer], Arc::clone(&evaluations))),
        engine_hash: "33".into(),
    };
    let copies = vec![copy.map(Arc::from)];
    (ShadowSet { policies, copies }, evaluations)
}

fn shadowed(world: &World) -> Vec<Shadowed> {
    let entries = world.ledger.entries.lock().unwrap();
    entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Shadow(shadowed) => Some(shadowed.clone()),
            Entry::Outcome(_) | Entry::Refused(_) => None,
        })
        .collect()
}

/// Counts in a stored byte, and denies from `most` on.
fn counting(most: u8) -> Answer {
    Box::new(move |job| {
        let mut staging = Staging::new(job.snapshot.clone(), "next".into(), job.request.now_ms);
        let seen = staging.get("count").unwrap().and_then(|value| value.first().copied()).unwrap_or(0);
        if seen >= most {
            let denial = Denial {
                code: "enough".into(),
                message: "enough".into(),
                retry_at_ms: None,
            };
            return report(Verdict::Deny(vec![denial]));
        }
        staging.set("count", Some(&[seen + 1])).unwrap();
        let mut answer = report(Verdict::Allow(None))?;
        answer.changes = staging.into_changes();
        Ok(answer)
    })
}

#[test]
fn a_shadow_runs_after_the_response_and_decides_nothing() {
    let world = World::new(vec![allow()]);
    let (set, evaluations) = shadow(deny("no"), None);
    world.pipeline.replace_shadows(Some(set));
    world.message().unwrap();
    assert_eq!(evaluations.load(Ordering::SeqCst), 0, "not on the way of the request");
    world.pipeline.run_shadows();
    assert_eq!(evaluations.load(Ordering::SeqCst), 1);
    let seen = &shadowed(&world)[0];
    let Ok(Verdict::Deny(denials)) = &seen.verdict else {
        panic!("{seen:?}")
    };
    assert_eq!((&*seen.instance, seen.live.len(), denials[0].code.as_str()), ("next", 0, "no"));
    world.pipeline.replace_shadows(None);
    world.message().unwrap();
    world.pipeline.run_shadows();
    assert_eq!(evaluations.load(Ordering::SeqCst), 1);
}

#[test]
fn a_shadow_is_told_what_the_policies_in_force_refused_by_and_not_what_came_after() {
    let world = World::new(vec![deny("no")]);
    let (set, _) = shadow(allow(), None);
    world.pipeline.replace_shadows(Some(set));
    world.message().unwrap_err();
    world.pipeline.run_shadows();
    assert_eq!(shadowed(&world)[0].live, ["policy/p0/no"]);

    let world = World::new(vec![allow()]);
    let (set, _) = shadow(
        Box::new(|_| {
            Err(EvaluationFailure {
                kind: FailureKind::Trap,
                message: "unreachable".into(),
            })
        }),
        None,
    );
    world.pipeline.replace_shadows(Some(set));
    world.ledger.state.lock().unwrap().maps_mut().floors.clear();
    assert_eq!(world.vote("6/100/a").unwrap_err().kind(), Code::FloorUninitialised);
    world.pipeline.run_shadows();
    let seen = &shadowed(&world)[0];
    assert!(seen.live.is_empty(), "a floor is the host's");
    assert_eq!(seen.verdict.as_ref().unwrap_err().kind(), Code::SandboxTrap);
}

#[test]
fn a_shadow_counts_in_a_copy_of_the_state_and_only_what_was_decided() {
    let world = World::new(vec![allow()]);
    world.ledger.state.lock().unwrap().apply(&Effect::Store {
        instance: "p0".into(),
        name: "count".into(),
        value: Some(vec![1]),
    });
    let (set, _) = shadow(counting(3), Some("p0"));
    world.pipeline.replace_shadows(Some(set));
    for _ in 0..4 {
        world.message().unwrap();
        world.pipeline.run_shadows();
    }
    let allowed: Vec<bool> = shadowed(&world)
        .iter()
        .map(|seen| matches!(seen.verdict, Ok(Verdict::Allow(_))))
        .collect();
    assert_eq!(allowed, [true, true, false, false], "it began at one");
    let own = sigwarden_core::state::StateName {
        instance: "next".into(),
        name: "count".into(),
    };
    assert!(
        !world.ledger.snapshot().storage.contains_key(&own),
        "the ledger's state is not its own"
    );
}

#[test]
fn what_waits_is_bounded_and_counted() {
    let world = World::new(vec![allow()]);
    let (set, evaluations) = shadow(allow(), None);
    world.pipeline.replace_shadows(Some(set));
    for _ in 0..1_030 {
        world.message().unwrap();
    }
    assert_eq!(world.pipeline.shadows_skipped(), 6);
    world.pipeline.stop();
    world.pipeline.run_shadows();
    assert_eq!(evaluations.load(Ordering::SeqCst), 0, "a daemon that stops does not wait for them");
}
