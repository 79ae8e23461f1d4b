//! Several decisions in one commit: one frame, one durable write, and each its own answer.

use crate::disks::QuickDisk;
use crate::recovery::{copied, frames, open, segments};
use crate::world::{ACCOUNT, Rule, VALIDATOR, World, settings, vote};
use ed25519_dalek::{Signature, VerifyingKey};
use sigwarden_core::caller::Peer;
use sigwarden_core::ledger::{Commitment, Conflict, Entry, LedgerFailure, Receipt};
use sigwarden_core::pipeline::Asked;
use sigwarden_core::proof::{Approved, DecisionId};
use sigwarden_core::state::State;
use sigwarden_core::{Code, Format, Ledger, Refusal, SignCall, Signed};
use sigwarden_ledger::{EmbeddedLedger, verify};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The ledger; keeps what each commit of several was answered.
struct Watched {
    ledger: Arc<EmbeddedLedger>,
    batches: Mutex<Vec<Vec<Commitment>>>,
}

impl Ledger for Watched {
    fn snapshot(&self) -> State {
        self.ledger.snapshot()
    }
    fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        let commitments = self.ledger.commit(approved);
        assert_eq!(commitments.len(), approved.len());
        if approved.len() > 1 {
            self.batches.lock().unwrap().push(commitments.clone());
        }
        commitments
    }
    fn announce(&self) {
        self.ledger.announce();
    }
    fn withdraw(&self) {
        self.ledger.withdraw();
    }
    fn look_up(&self, decision: DecisionId) -> Option<Receipt> {
        self.ledger.look_up(decision)
    }
    fn append(&self, entry: Entry) {
        self.ledger.append(entry);
    }
}

/// A deployment, all of it durable, and who watches its commits.
struct Bench {
    world: World,
    watched: Arc<Watched>,
    disk: Arc<QuickDisk>,
    dir: tempfile::TempDir,
}

fn bench(rule: Rule) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(QuickDisk::default());
    drop(World::create(disk.clone(), dir.path(), rule));
    let fatal: Arc<Mutex<Vec<String>>> = Arc::default();
    let ledger = Arc::new(EmbeddedLedger::open_on(disk.clone(), dir.path(), settings()).unwrap());
    ledger.flush().unwrap();
    let watched = Arc::new(Watched {
        ledger: Arc::clone(&ledger),
        batches: Mutex::default(),
    });
    let world = World::assemble_over(ledger, watched.clone(), fatal, rule);
    Bench { world, watched, disk, dir }
}

fn message(payload: &[u8]) -> Asked {
    asked(ACCOUNT, Format::RawMessageNone, payload.to_vec())
}

fn asked(key: &str, format: Format, payload: Vec<u8>) -> Asked {
    Asked {
        peer: Peer::User { uid: 1, gid: 1 },
        call: SignCall {
            operation: "sign".into(),
            key: key.into(),
            format: format.name().into(),
            scheme: String::new(),
            request_id: String::new(),
            payload,
            received: Instant::now(),
        },
    }
}

impl Bench {
    /// The answers, in the order of what was asked.
    fn sign_all(&self, asked: Vec<Asked>) -> Vec<Result<Signed, Refusal>> {
        let answers: Mutex<Vec<Option<Result<Signed, Refusal>>>> = Mutex::new(asked.iter().map(|_| None).collect());
        self.world.pipeline.sign_all(asked, 2, || {}, &|index, answer| {
            let before = answers.lock().unwrap()[index].replace(answer);
            assert!(before.is_none(), "{index} was answered twice");
        });
        answers.into_inner().unwrap().into_iter().map(Option::unwrap).collect()
    }

    /// What the one commit of several was answered.
    fn batch(&self) -> Vec<Commitment> {
        let mut batches = self.watched.batches.lock().unwrap();
        assert_eq!(batches.len(), 1, "one commit for all");
        batches.remove(0)
    }
}

/// Names of answers, to compare.
fn told(commitments: &[Commitment]) -> Vec<&'static str> {
    let name = |commitment: &Commitment| match commitment {
        Commitment::Receipt(receipt) if receipt.replay => "replay",
        Commitment::Receipt(_) => "receipt",
        Commitment::Conflict(Conflict::Floor(_)) => "floor",
        Commitment::Conflict(Conflict::Stale(_)) => "stale",
        Commitment::Conflict(Conflict::RequestId(_)) => "id",
        Commitment::Failed(LedgerFailure::RecordTooLarge(_)) => "too large",
        Commitment::Failed(LedgerFailure::Poisoned(_)) => "poisoned",
        Commitment::Failed(LedgerFailure::Full(_)) => "full",
        Commitment::Unknown => "unknown",
    };
    commitments.iter().map(name).collect()
}

fn verifies(payload: &[u8], signed: &Signed) {
    let key = VerifyingKey::try_from(&*signed.public_key).unwrap();
    let signature = Signature::from_slice(&signed.signatures[0].bytes).unwrap();
    key.verify_strict(payload, &signature).unwrap();
}

#[test]
fn a_batch_is_one_frame_and_one_durable_write_with_an_answer_each_in_order() {
    let bench = bench(Rule::Allow);
    let newest = segments(bench.dir.path()).pop().unwrap();
    let before = (bench.world.ledger.counters(), frames(&newest).len());
    let payloads: Vec<Vec<u8>> = (0..64_u8).map(|n| vec![n; 10]).collect();
    let answers = bench.sign_all(payloads.iter().map(|payload| message(payload)).collect());
    let after = bench.world.ledger.counters();
    assert_eq!((after.writes - before.0.writes, after.decisions), (1, 64));
    assert_eq!((after.last_batch, frames(&newest).len() - before.1), (64, 1));

    let sequences: Vec<u64> = bench
        .batch()
        .iter()
        .map(|commitment| match commitment {
            Commitment::Receipt(receipt) => receipt.sequence,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(
        sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "each has its place, in order"
    );
    for ((payload, answer), sequence) in payloads.iter().zip(&answers).zip(sequences) {
        let signed = answer.as_ref().unwrap();
        assert_eq!(signed.sequence, sequence);
        verifies(payload, signed);
    }
    bench.world.ledger.close().unwrap();
    assert_eq!(verify(bench.dir.path(), &mut |_, _| {}).unwrap().unfinished_bytes, 0);
}

#[test]
fn a_batch_over_what_is_settled_at_once_is_split_and_not_refused() {
    let bench = bench(Rule::Take(1_000));
    let before = bench.world.ledger.counters();
    let answers = bench.sign_all((0..600_u64).map(|n| message(&n.to_be_bytes())).collect());
    for (n, answer) in (0..600_u64).zip(&answers) {
        verifies(&n.to_be_bytes(), answer.as_ref().unwrap());
    }
    let after = bench.world.ledger.counters();
    assert_eq!((after.writes - before.writes, after.decisions - before.decisions), (3, 600));
    let sequences: Vec<u64> = answers.iter().map(|answer| answer.as_ref().unwrap().sequence).collect();
    assert!(sequences.is_sorted());
    assert_eq!((bench.batch().len(), bench.world.uses(ACCOUNT)), (600, 600));
}

#[test]
fn of_two_on_one_floor_the_first_passes_and_the_second_is_refused_and_others_are_not_touched() {
    let bench = bench(Rule::Allow);
    // Under two of its names, so that both come to one commit.
    let name = VALIDATOR.strip_suffix(".v1").unwrap();
    let answers = bench.sign_all(vec![
        asked(VALIDATOR, Format::CometBftVote, vote(6, 1, "a")),
        asked(name, Format::CometBftVote, vote(5, 1, "a")),
        message(b"beside"),
    ]);
    assert_eq!(told(&bench.batch()), ["receipt", "floor", "receipt"]);
    verifies(&vote(6, 1, "a"), answers[0].as_ref().unwrap());
    assert_eq!(answers[1].as_ref().unwrap_err().kind(), Code::FloorRegression);
    verifies(b"beside", answers[2].as_ref().unwrap());
    assert_eq!((bench.world.signed(), bench.world.uses(VALIDATOR)), (2, 1));

    // The other way round both rise; and a conflict at the position that stands is one, whatever is beside it.
    let answers = bench.sign_all(vec![
        asked(VALIDATOR, Format::CometBftVote, vote(7, 1, "a")),
        asked(name, Format::CometBftVote, vote(8, 1, "a")),
    ]);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(told(&bench.batch()), ["receipt", "receipt"]);
    let answers = bench.sign_all(vec![
        asked(VALIDATOR, Format::CometBftVote, vote(8, 9, "b")),
        message(b"again"),
        asked(name, Format::CometBftVote, vote(9, 1, "a")),
    ]);
    assert_eq!(told(&bench.batch()), ["floor", "receipt", "receipt"]);
    assert_eq!(answers[0].as_ref().unwrap_err().kind(), Code::FloorConflict);
    assert_eq!(bench.world.uses(VALIDATOR), 4);
}

#[test]
fn takes_from_one_limit_are_applied_in_order() {
    let bench = bench(Rule::Take(3));
    let answers = bench.sign_all((0..5_u8).map(|n| message(&[n])).collect());
    // All five saw room for three; the last two are asked again, and see none.
    assert_eq!(told(&bench.batch()), ["receipt", "receipt", "receipt", "stale", "stale"]);
    let codes: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().err().map(|refusal| refusal.code().into_owned()))
        .collect();
    let exceeded = || Some("policy/rules/exceeded".to_owned());
    assert_eq!(codes, [None, None, None, exceeded(), exceeded()]);
    assert_eq!((bench.world.uses(ACCOUNT), bench.world.signed()), (3, 3));
}

#[test]
fn one_whose_record_is_too_long_leaves_the_others_their_places() {
    let bench = bench(Rule::Echo);
    let before = bench.world.ledger.counters().writes;
    let answers = bench.sign_all(vec![message(b"one"), message(&[b'x'; 40_000]), message(b"three")]);
    assert_eq!(told(&bench.batch()), ["receipt", "too large", "receipt"]);
    let sequences: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().ok().map(|signed| signed.sequence))
        .collect();
    assert_eq!(sequences[2], sequences[0].map(|first| first + 1));
    assert_eq!(answers[1].as_ref().unwrap_err().kind(), Code::RecordTooLarge);
    assert_eq!(bench.world.ledger.counters().writes - before, 1);
    bench.world.ledger.close().unwrap();
    verify(bench.dir.path(), &mut |_, _| {}).unwrap();
}

#[test]
fn after_a_failed_sync_nothing_of_the_batch_is_signed() {
    let bench = bench(Rule::Allow);
    bench.disk.fail_sync.store(true, Ordering::SeqCst);
    let answers = bench.sign_all((0..5_u8).map(|n| message(&[n])).collect());
    assert_eq!(told(&bench.batch()), ["poisoned"; 5]);
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().is_err_and(|refusal| refusal.kind() == Code::LedgerFailed))
    );
    assert_eq!(bench.world.signed(), 0);
    assert!(bench.world.ledger.health().poisoned.is_some());
    assert_eq!(bench.world.ledger.counters().writes, 1, "the start's record alone");
}

#[test]
fn a_batch_cut_anywhere_is_as_if_never_written() {
    let bench = bench(Rule::Allow);
    let newest = segments(bench.dir.path()).pop().unwrap();
    let begin = *frames(&newest).last().unwrap();
    assert!(bench.sign_all((0..3_u8).map(|n| message(&[n])).collect()).iter().all(Result::is_ok));
    let end = *frames(&newest).last().unwrap();
    for cut in (begin..end).step_by(97).chain([end - 1, end]) {
        let copy = copied(bench.dir.path());
        let newest = segments(copy.path()).pop().unwrap();
        std::fs::OpenOptions::new().write(true).open(&newest).unwrap().set_len(cut).unwrap();
        let world = open(copy.path()).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_eq!(world.uses(ACCOUNT), if cut == end { 3 } else { 0 }, "cut at {cut}");
    }
}
