//! Request ids over restarts and crashes, the budget of refusals, and what is still decided when the disk is nearly full.

use crate::disks::QuickDisk;
use crate::world::{ACCOUNT, NOW, Rule, VALIDATOR, World, administer, floor_key, settings};
use sigwarden_core::floor::{Floor, Position, Taken};
use sigwarden_core::request_id::KEPT_MS;
use sigwarden_core::state::Effect;
use sigwarden_core::{Code, Format};
use sigwarden_ledger::disk::{Access, Disk, DiskFile, RealDisk};
use sigwarden_ledger::{AdminKind, verify};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn open(dir: &Path) -> World {
    World::open(Arc::new(QuickDisk::default()), dir, Rule::Allow).unwrap()
}

fn create(dir: &Path) -> World {
    World::create(Arc::new(QuickDisk::default()), dir, Rule::Allow)
}

/// Every line of every segment that has this in it.
fn lines(dir: &Path, with: &str) -> Vec<serde_json::Value> {
    let mut paths: Vec<_> = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path).unwrap();
        let lines = text.trim_end_matches('\0').lines().filter(|line| line.contains(with));
        found.extend(lines.map(|line| serde_json::from_str(line).unwrap()));
    }
    found
}

fn asked(world: &World) -> Vec<String> {
    world.backend.asked.lock().unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn an_id_keeps_its_signature_over_a_restart_and_takes_no_other_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let world = create(dir.path());
    let paid = world.message_as("1", b"pay").unwrap();
    world.ledger.close().unwrap();
    drop(world);
    let world = open(dir.path());
    let again = world.message_as("1", b"pay").unwrap();
    assert_eq!((again.replay, &again.signatures), (true, &paid.signatures));
    assert_eq!((world.signed(), world.uses(ACCOUNT)), (0, 1));
    assert_eq!(world.message_as("1", b"pay more").unwrap_err().kind(), Code::RequestIdReused);
    let other_format = world.send(1, ACCOUNT, Format::RawMessageSha256, b"pay".to_vec(), "1");
    assert!(other_format.is_err() && world.signed() == 0);
    // The same id for another key is another request.
    world.vote_as("1", 2, 100, "a").unwrap();
    assert_eq!(world.signed(), 1);
    world.ledger.close().unwrap();
    verify(dir.path(), &mut |_, _| {}).unwrap();
}

#[test]
fn after_a_crash_with_the_outcome_durable_the_recorded_signature_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let world = create(dir.path());
    let paid = world.message_as("1", b"pay").unwrap();
    world.ledger.flush().unwrap();
    drop(world);
    let world = open(dir.path());
    let again = world.message_as("1", b"pay").unwrap();
    assert_eq!((again.replay, &again.signatures), (true, &paid.signatures));
    assert_eq!((world.signed(), world.uses(ACCOUNT)), (0, 1));
}

#[test]
fn after_a_crash_without_it_the_same_message_is_signed_under_the_first_decision() {
    let dir = tempfile::tempdir().unwrap();
    let world = create(dir.path());
    let paid = world.message_as("1", b"pay").unwrap();
    let voted = world.vote_as("v", 2, 100, "a").unwrap();
    let first = asked(&world);
    // The vote's commit took the payment's outcome with it; the vote's own is lost.
    drop(world);
    assert_eq!(lines(dir.path(), "\"kind\":\"outcome\"").len(), 1);

    let world = open(dir.path());
    assert_eq!(world.message_as("1", b"pay").unwrap().signatures, paid.signatures);
    // Another timestamp changes nothing: what was decided first is signed.
    let again = world.vote_as("v", 2, 200, "a").unwrap();
    assert_eq!((again.replay, &again.signatures), (true, &voted.signatures));
    assert_eq!(again.timestamp.unwrap().seconds, 100);
    assert_eq!(world.vote_as("v", 2, 100, "b").unwrap_err().kind(), Code::RequestIdReused);
    assert_eq!(
        asked(&world),
        first[1..],
        "the backend is asked again under the decision that it was asked under first"
    );
    assert_eq!((world.uses(ACCOUNT), world.uses(VALIDATOR)), (1, 1));
    // It crashes before the outcome again, and again: still the same decision.
    drop(world);
    for _ in 0..2 {
        let world = open(dir.path());
        assert_eq!(world.vote_as("v", 2, 100, "a").unwrap().signatures, voted.signatures);
        assert_eq!(asked(&world), first[1..]);
    }
    let world = open(dir.path());
    world.ledger.close().unwrap();
    let decisions = lines(dir.path(), "\"kind\":\"decision\"");
    assert_eq!(decisions.len(), 2, "never a second decision");
    verify(dir.path(), &mut |_, _| {}).unwrap();
}

#[test]
fn a_message_that_the_backend_did_not_sign_is_signed_after_a_restart_under_its_decision() {
    let dir = tempfile::tempdir().unwrap();
    let world = create(dir.path());
    let refused = world.without_backend(|| world.message_as("1", b"pay").unwrap_err());
    assert_eq!(refused.kind(), Code::BackendUnavailable);
    let first = asked(&world);
    world.ledger.close().unwrap();
    drop(world);
    let world = open(dir.path());
    let signed = world.message_as("1", b"pay").unwrap();
    assert_eq!((signed.replay, asked(&world)), (true, first));
    assert_eq!(*world.backend.made.lock().unwrap(), [b"pay".to_vec()]);
    assert_eq!(world.message_as("1", b"pay").unwrap().signatures, signed.signatures);
    assert_eq!((world.signed(), world.uses(ACCOUNT)), (1, 1));
}

#[test]
fn below_its_floor_a_vote_leaves_by_its_id_alone_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = create(dir.path());
    let voted = world.vote_as("v2", 2, 100, "a").unwrap();
    // The same vote under another id and with another timestamp: the first one's bytes.
    let retried = world.vote_as("w2", 2, 200, "a").unwrap();
    assert_eq!((retried.replay, retried.timestamp.unwrap().seconds), (true, 100));
    world.vote_as("v3", 3, 100, "a").unwrap();
    world.ledger.close().unwrap();
    drop(world);
    let world = open(dir.path());
    assert_eq!(world.vote_as("v2", 2, 100, "a").unwrap().signatures, voted.signatures);
    assert_eq!(world.vote(2, 100, "a").unwrap_err().kind(), Code::FloorRegression);
    assert_eq!(world.vote_as("v2", 2, 300, "a").unwrap_err().kind(), Code::FloorRegression);
    // What was asked for was never signed as it stood: nothing leaves for it.
    assert_eq!(world.vote_as("w2", 2, 200, "a").unwrap_err().kind(), Code::FloorRegression);
    let floor = Floor {
        position: Position::end_of_height(9),
        taken: Taken::Operator,
    };
    administer(&world.ledger, AdminKind::Floor, vec![Effect::Floor { key: floor_key(), floor }]);
    assert_eq!(world.vote_as("v2", 2, 100, "a").unwrap().signatures, voted.signatures);
    assert_eq!(world.signed(), 0);
    world.ledger.close().unwrap();
    verify(dir.path(), &mut |_, _| {}).unwrap();
}

#[test]
fn ids_are_forgotten_after_a_day_in_memory_and_in_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let world = create(dir.path());
    for n in 0..6 {
        world.message_as(&format!("old-{n}"), &[n]).unwrap();
    }
    world.ledger.close().unwrap();
    drop(world);
    let world = open(dir.path());
    assert_eq!(world.pipeline.snapshot().requests.len(), 6, "from the checkpoint");
    world.pass(KEPT_MS - 1);
    assert_eq!(world.message_as("old-5", b"other").unwrap_err().kind(), Code::RequestIdReused);
    world.pass(1);
    // It is free again; each new one forgets two that are too old.
    assert!(!world.message_as("old-5", b"other").unwrap().replay);
    for n in 0..3 {
        world.message_as(&format!("new-{n}"), &[n]).unwrap();
    }
    assert_eq!(world.pipeline.snapshot().requests.len(), 4);
    world.ledger.close().unwrap();
    drop(world);
    let world = open(dir.path());
    assert_eq!(world.ledger.opening().caught_up, 0, "all of it comes from the checkpoint");
    let state = world.pipeline.snapshot();
    assert_eq!((state.requests.len(), state.requests_by_age.len()), (4, 4));
    assert!(state.requests.values().all(|remembered| remembered.at_ms == NOW + KEPT_MS));
    verify(dir.path(), &mut |_, _| {}).unwrap();
}

#[test]
fn refusals_beyond_ten_a_second_are_one_line_and_nobody_else_pays_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let world = create(dir.path());
    let refused = |uid, times: usize| {
        for _ in 0..times {
            world.send(uid, "own.none", Format::RawMessageNone, vec![1], "").unwrap_err();
        }
    };
    refused(1, 25);
    refused(7, 10);
    let counts = || -> Vec<(String, serde_json::Value)> {
        world.ledger.flush().unwrap();
        let counted = lines(dir.path(), "\"kind\":\"refusals\"");
        let who = |body: &serde_json::Value| body["caller"].as_str().map_or_else(|| body["uid"].to_string(), ToOwned::to_owned);
        counted
            .iter()
            .map(|line| (who(&line["body"]), line["body"]["count"].clone()))
            .collect()
    };
    let recorded = || {
        world.ledger.flush().unwrap();
        lines(dir.path(), "\"kind\":\"refusal\"").len()
    };
    assert_eq!((recorded(), counts()), (20, vec![]));
    // The line comes with the next second's first refusal of that caller.
    world.pass(1_000);
    refused(7, 1);
    assert_eq!((recorded(), counts()), (21, vec![]));
    refused(1, 11);
    assert_eq!((recorded(), counts()), (31, vec![("tester".to_owned(), "15".into())]));
    // Or with the keeper.
    world.ledger.keep().unwrap();
    assert_eq!(counts()[1..], [("tester".to_owned(), "1".into())]);
    refused(8, 12);
    world.ledger.close().unwrap();
    let last = lines(dir.path(), "\"kind\":\"refusals\"").pop().unwrap();
    assert_eq!((&last["body"]["uid"], &last["body"]["count"]), (&8.into(), &"2".into()));
    assert_eq!(last["time"], ((NOW + 1_000) * 1_000_000).to_string());
    verify(dir.path(), &mut |_, _| {}).unwrap();
}

/// The real disk with as much room as the test says.
#[derive(Debug)]
struct SmallDisk(Arc<AtomicU64>);

impl Disk for SmallDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        QuickDisk::default().open(path, access)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn on_a_disk_that_fills_refusals_give_way_then_accounts_and_validators_last() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(dir.path()));
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let world = World::open(Arc::new(SmallDisk(Arc::clone(&free))), dir.path(), Rule::Allow).unwrap();
    let reserve = settings().reserve_bytes;
    let set = |bytes: u64| {
        free.store(bytes, Ordering::SeqCst);
        world.ledger.keep().unwrap();
    };
    let refusals = || lines(dir.path(), "\"kind\":\"refusal\"").len();
    let refuse = || {
        world.send(1, "own.none", Format::RawMessageNone, vec![1], "").unwrap_err();
        world.ledger.flush().unwrap();
    };

    set(16 * reserve);
    refuse();
    assert_eq!((refusals(), world.ledger.health().refusals_dropped), (1, 0));
    set(16 * reserve - 1);
    refuse();
    assert_eq!((refusals(), world.ledger.health().refusals_dropped), (1, 1));
    world.message_as("1", b"pay").unwrap();
    world.vote(2, 100, "a").unwrap();

    set(4 * reserve - 1);
    assert_eq!(world.message_as("2", b"pay").unwrap_err().kind(), Code::LedgerFull);
    assert_eq!(world.message_as("1", b"pay").unwrap_err().kind(), Code::LedgerFull);
    world.vote(3, 100, "a").unwrap();
    set(reserve);
    world.vote(4, 100, "a").unwrap();

    set(reserve - 1);
    assert_eq!(world.vote(5, 100, "a").unwrap_err().kind(), Code::LedgerFull);
    assert_eq!(world.ledger.health().poisoned, None);
    let signed = world.signed();

    set(16 * reserve);
    assert_eq!(world.signed(), signed);
    world.vote(5, 100, "a").unwrap();
    assert!(world.message_as("1", b"pay").unwrap().replay);
    assert!(!world.message_as("2", b"pay").unwrap().replay);
    refuse();
    assert_eq!(refusals(), 2);
    world.ledger.close().unwrap();
    verify(dir.path(), &mut |_, _| {}).unwrap();
}
