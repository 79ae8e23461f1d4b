//! Deciding: conflicts, replays, limits, grouping, failure.

use crate::disks::QuickDisk;
use crate::world::{ACCOUNT, NOW, Rule, VALIDATOR, World, administer, change, floor_key, public_key, together};
use sigwarden_core::floor::{Floor, Position, Taken};
use sigwarden_core::ledger::LedgerFailure;
use sigwarden_core::state::Effect;
use sigwarden_core::{Code, Format, KeyState, Ledger, Scheme};
use sigwarden_ledger::disk::RealDisk;
use sigwarden_ledger::record::{Body, Kind, Record};
use sigwarden_ledger::{AdminKind, AdministerError, tail, verify};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[test]
fn of_two_conflicting_votes_raced_by_64_clients_exactly_one_is_signed() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(RealDisk), dir.path(), Rule::Allow);
    for height in 2..12 {
        let results = together(64, |index| {
            let block = if index % 2 == 0 { "a" } else { "b" };
            (block, world.vote(height, 1000 + index as u64, block))
        });
        let mut signed = BTreeSet::new();
        for (block, result) in &results {
            match result {
                Ok(answer) => drop(signed.insert((*block, answer.signatures[0].bytes.clone(), answer.timestamp.unwrap().seconds))),
                Err(refusal) => assert_eq!(refusal.kind(), Code::FloorConflict, "{refusal}"),
            }
        }
        assert_eq!(signed.len(), 1, "one block, one signature, one timestamp at height {height}");
        let winners = results.iter().filter(|(_, result)| result.is_ok()).count();
        assert_eq!(winners, 32, "everyone who asked for the signed block got its signature");
    }
    assert_eq!(world.uses(VALIDATOR), 10);
    world.ledger.close().unwrap();
    verify(dir.path(), &mut |_, _| {}).unwrap();
}

#[test]
fn the_same_vote_gets_the_first_signature_and_timestamp_even_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(QuickDisk::default());
    let world = World::create(disk.clone(), dir.path(), Rule::Allow);
    let first = world.vote(5, 100, "a").unwrap();
    let again = world.vote(5, 200, "a").unwrap();
    assert!(!first.replay && again.replay);
    assert_eq!(
        (&again.signatures[0].bytes, again.timestamp),
        (&first.signatures[0].bytes, first.timestamp)
    );
    assert_eq!(world.signed(), 1, "the second was recorded, not signed");
    world.ledger.close().unwrap();
    drop(world);

    let world = World::open(disk.clone(), dir.path(), Rule::Allow).unwrap();
    let later = world.vote(5, 300, "a").unwrap();
    assert_eq!(
        (&later.signatures[0].bytes, later.timestamp),
        (&first.signatures[0].bytes, first.timestamp)
    );
    assert_eq!(world.signed(), 0);
    assert_eq!(world.vote(5, 100, "b").unwrap_err().kind(), Code::FloorConflict);
    assert_eq!(world.vote(4, 100, "a").unwrap_err().kind(), Code::FloorRegression);

    // A decision whose outcome was lost: the stored bytes are signed, not the new ones.
    let sixth = world.vote(6, 100, "a").unwrap();
    drop(world);
    let world = World::open(disk, dir.path(), Rule::Allow).unwrap();
    let resigned = world.vote(6, 999, "a").unwrap();
    assert_eq!(resigned.timestamp, sixth.timestamp);
    assert_eq!(
        resigned.signatures[0].bytes, sixth.signatures[0].bytes,
        "ed25519 signs equal bytes equally"
    );
    assert_eq!(world.signed(), 1);
}

#[test]
fn a_limit_of_five_lets_exactly_five_of_64_pass() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Take(5));
    let results = together(64, |index| world.message(&[index as u8]));
    let refused: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!(refused.len(), 59);
    assert!(refused.iter().all(|refusal| refusal.code() == "policy/rules/exceeded"));
    assert_eq!((world.uses(ACCOUNT), world.signed()), (5, 5));
}

#[test]
fn no_update_of_a_stored_value_is_lost_and_contention_is_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Count);
    let results = together(16, |_| (0..20).map(|n| world.message(&[n])).collect::<Vec<_>>());
    let signed = results.iter().flatten().filter(|result| result.is_ok()).count();
    for refusal in results.iter().flatten().filter_map(|result| result.as_ref().err()) {
        assert_eq!(refusal.kind(), Code::Contention);
    }
    assert!(signed > 0);
    let snapshot = world.pipeline.snapshot();
    let stored = snapshot.storage.values().next().unwrap();
    assert_eq!(u64::from_be_bytes(stored.value.clone().try_into().unwrap()), signed as u64);
    assert_eq!(world.uses(ACCOUNT), signed as u64);
}

#[test]
fn a_drop_without_close_keeps_every_acknowledged_decision() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(QuickDisk::default());
    let world = World::create(disk.clone(), dir.path(), Rule::Allow);
    let acknowledged: BTreeSet<u64> = together(8, |index| {
        (0..25)
            .map(|n| world.message(&[index as u8, n]).unwrap().sequence)
            .collect::<Vec<_>>()
    })
    .into_iter()
    .flatten()
    .collect();
    assert_eq!(acknowledged.len(), 200);
    drop(world);
    let world = World::open(disk, dir.path(), Rule::Allow).unwrap();
    assert_eq!(world.uses(ACCOUNT), 200);
    assert!(world.ledger.opening().caught_up >= 200);
    let recorded: BTreeSet<u64> = tail(dir.path(), 10_000)
        .unwrap()
        .iter()
        .map(|line| Record::parse(line).unwrap())
        .filter(|record| record.kind == Kind::Decision)
        .map(|record| record.sequence)
        .collect();
    assert_eq!(recorded, acknowledged);
}

#[test]
fn after_a_failed_sync_everything_is_refused_nothing_is_signed_and_the_daemon_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let disk = QuickDisk::default();
    let world = World::create(Arc::new(disk.clone()), dir.path(), Rule::Allow);
    world.vote(5, 100, "a").unwrap();
    disk.fail_sync.store(true, Ordering::SeqCst);
    let results = together(16, |index| world.message(&[index as u8]));
    assert!(
        results
            .iter()
            .all(|result| result.as_ref().unwrap_err().kind() == Code::LedgerFailed)
    );
    disk.fail_sync.store(false, Ordering::SeqCst);
    assert_eq!(
        world.message(b"x").unwrap_err().kind(),
        Code::LedgerFailed,
        "nothing is tried again"
    );
    assert_eq!(world.signed(), 1);
    assert_eq!(world.fatal.lock().unwrap().len(), 1);
    assert!(world.ledger.health().poisoned.unwrap().contains("the disk is gone"));
    assert!(matches!(world.ledger.flush(), Err(LedgerFailure::Poisoned(_))));
    let refused = world.ledger.administer(change(AdminKind::Lifecycle, Vec::new()));
    assert!(matches!(refused, Err(AdministerError::Ledger(LedgerFailure::Poisoned(_)))));
    drop(world);

    let world = World::open(Arc::new(disk), dir.path(), Rule::Allow).unwrap();
    assert_eq!(world.vote(5, 100, "b").unwrap_err().kind(), Code::FloorConflict);
    world.message(b"x").unwrap();
}

#[test]
fn a_key_revoked_between_evaluation_and_commit_does_not_sign() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Allow);
    world.message(b"x").unwrap();
    let revoke = Effect::KeyState {
        key: ACCOUNT.parse().unwrap(),
        state: KeyState::Revoked,
        grace: None,
    };
    let last = std::thread::scope(|scope| {
        let signer = scope.spawn(|| {
            let mut last = 0;
            while let Ok(signed) = world.message(b"x") {
                last = signed.sequence;
            }
            last
        });
        let revoked = administer(&world.ledger, AdminKind::Lifecycle, vec![revoke]);
        (signer.join().unwrap(), revoked)
    });
    assert!(last.0 < last.1, "no decision follows the revocation: {last:?}");
    assert_eq!(world.message(b"x").unwrap_err().kind(), Code::KeyState);
}

#[test]
fn administration_is_durable_and_floors_only_rise() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(QuickDisk::default());
    let world = World::create(disk.clone(), dir.path(), Rule::Allow);
    let floor = |height| Effect::Floor {
        key: floor_key(),
        floor: Floor {
            position: Position::end_of_height(height),
            taken: Taken::Operator,
        },
    };
    administer(&world.ledger, AdminKind::Floor, vec![floor(10)]);
    for lower in [vec![floor(10)], vec![floor(3)], vec![floor(12), floor(11)]] {
        let refused = world.ledger.administer(change(AdminKind::Floor, lower)).unwrap_err();
        assert!(matches!(refused, AdministerError::FloorNotAbove { .. }), "{refused}");
    }
    assert_eq!(world.vote(10, 1, "a").unwrap_err().kind(), Code::FloorRegression);
    let pinned = |n: u32| Effect::KeyPinned {
        key: format!("many.keys.v{n}").parse().unwrap(),
        scheme: Scheme::Ed25519,
        public_key: public_key(),
        created_ms: NOW,
        state: KeyState::Active,
    };
    // More than one line holds: several records, one durable write.
    let before = world.ledger.health().last_sequence;
    let last = administer(&world.ledger, AdminKind::PublicKey, (1..=500).map(pinned).collect());
    assert!(last > before + 1);
    let known = world.ledger.administer(change(AdminKind::PublicKey, vec![pinned(7)])).unwrap_err();
    assert_eq!(known, AdministerError::KeyKnown("many.keys.v7".parse().unwrap()));
    let unknown = Effect::KeyState {
        key: "no.key.v1".parse().unwrap(),
        state: KeyState::Active,
        grace: None,
    };
    let refused = world.ledger.administer(change(AdminKind::Lifecycle, vec![unknown])).unwrap_err();
    assert_eq!(refused, AdministerError::KeyUnknown("no.key.v1".parse().unwrap()));
    for (kind, effects) in [
        (AdminKind::Floor, vec![pinned(501)]),
        (AdminKind::PublicKey, vec![floor(99)]),
        (AdminKind::Floor, vec![]),
    ] {
        let refused = world.ledger.administer(change(kind, effects)).unwrap_err();
        assert!(matches!(refused, AdministerError::Foreign { .. }), "{refused}");
    }
    drop(world);
    let world = World::open(disk, dir.path(), Rule::Allow).unwrap();
    assert_eq!(world.pipeline.snapshot().keys.len(), 502);
    assert_eq!(world.pipeline.snapshot().floors[&floor_key()].position, Position::end_of_height(10));
}

#[test]
fn every_line_says_who_what_and_why_and_no_payload() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Allow);
    let signed = world.message(b"the-payload-itself").unwrap();
    world.sign(VALIDATOR, Format::RawMessageNone, b"x".to_vec()).unwrap_err();
    world.ledger.flush().unwrap();
    let lines = tail(dir.path(), 3).unwrap();
    assert!(
        lines
            .iter()
            .all(|line| !line.contains("the-payload-itself") && !line.contains(&hex::encode("the-payload-itself")))
    );
    let records: Vec<_> = lines.iter().map(|line| Record::parse(line).unwrap()).collect();
    assert_eq!(records[0].sequence, signed.sequence);
    assert_eq!((records[0].kind, records[0].time), (Kind::Decision, NOW * 1_000_000));
    assert_eq!(
        records[0].effects,
        [Effect::Use {
            key: ACCOUNT.parse().unwrap()
        }]
    );
    let Body::Decision(decision) = &records[0].body else {
        panic!("a decision")
    };
    assert_eq!((&*decision.caller, &*decision.key, &*decision.backend), ("tester", ACCOUNT, "test"));
    assert_eq!(decision.payload.blake3, *blake3::hash(b"the-payload-itself").as_bytes());
    assert_eq!((decision.payload.bytes, decision.inputs.len()), (18, 1));
    assert_eq!(decision.approvals[0].note.as_deref(), Some("fine"));
    let Body::Outcome(outcome) = &records[1].body else {
        panic!("an outcome")
    };
    assert_eq!(
        (outcome.decision_sequence, &outcome.decision),
        (signed.sequence, &decision.decision)
    );
    assert_eq!(outcome.signatures[0].bytes, signed.signatures[0].bytes);
    let Body::Refusal(refusal) = &records[2].body else {
        panic!("a refusal")
    };
    assert_eq!(
        (&*refusal.code, refusal.caller.as_deref(), refusal.uid.unwrap()),
        ("format/role", Some("tester"), 1)
    );
    // The chain, computed here.
    for pair in [(0, 1), (1, 2)] {
        assert_eq!(records[pair.1].previous, *blake3::hash(lines[pair.0].as_bytes()).as_bytes());
    }
    assert_eq!(world.ledger.health().head, *blake3::hash(lines[2].as_bytes()).as_bytes());
}

#[test]
fn a_refusal_under_a_wrong_clock_does_not_raise_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Allow);
    // Nor does what an operator did before.
    assert_eq!(world.ledger.snapshot().high_water_ms, 0);
    world.message(b"first").unwrap();
    world.clock.store(NOW + 1_000_000_000, Ordering::SeqCst);
    world.sign(VALIDATOR, Format::RawMessageNone, b"x".to_vec()).unwrap_err();
    assert_eq!(world.ledger.snapshot().high_water_ms, NOW);
    world.message(b"x").unwrap();
    assert_eq!(world.ledger.snapshot().high_water_ms, NOW + 1_000_000_000);
}

#[test]
fn an_appended_entry_becomes_durable_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let settings = sigwarden_ledger::Settings {
        flush_every: std::time::Duration::from_millis(1),
        checkpoint_every: std::time::Duration::ZERO,
        ..crate::world::settings()
    };
    let ledger = sigwarden_ledger::EmbeddedLedger::create(dir.path(), settings).unwrap();
    // The start's own record is such an entry.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while ledger.health().durable_sequence < 1 {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert_eq!(Record::parse(&tail(dir.path(), 1).unwrap()[0]).unwrap().kind, Kind::Start);
}

#[test]
fn with_too_little_room_nothing_is_decided_and_refusals_are_only_counted() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(QuickDisk::default());
    drop(World::create(disk.clone(), dir.path(), Rule::Allow));
    let settings = sigwarden_ledger::Settings {
        reserve_bytes: u64::MAX,
        ..crate::world::settings()
    };
    let world = World::open_with(settings, disk, dir.path(), Rule::Allow).unwrap();
    let before = world.ledger.health().last_sequence;
    assert_eq!(world.message(b"x").unwrap_err().kind(), Code::LedgerFull);
    let health = world.ledger.health();
    assert_eq!(
        (health.room, health.refusals_dropped, health.last_sequence),
        (sigwarden_ledger::Room::Full, 1, before)
    );
    assert_eq!((world.uses(ACCOUNT), world.signed()), (0, 0));
}

#[test]
fn a_decision_whose_line_would_be_too_long_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Note(32 * 1024));
    assert_eq!(world.vote(5, 1, "a").unwrap_err().kind(), Code::RecordTooLarge);
    assert_eq!(world.uses(VALIDATOR), 0);
    assert_eq!(world.ledger.snapshot().floors[&floor_key()].position, Position::end_of_height(1));
    world.ledger.close().unwrap();
    verify(dir.path(), &mut |_, _| {}).unwrap();
}

#[test]
fn a_closed_ledger_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::create(Arc::new(QuickDisk::default()), dir.path(), Rule::Allow);
    world.ledger.close().unwrap();
    world.ledger.close().unwrap();
    assert_eq!(world.message(b"x").unwrap_err().kind(), Code::LedgerFailed);
}
