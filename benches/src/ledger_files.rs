//! What the ledger does with its files: verification, catch-up, and a start with a million floors.

use crate::ledger_log::{self, NOW_MS, settings};
use crate::measure::Samples;
use crate::rig::Rig;
use crate::table::{Row, Target};
use anyhow::{Context, Result, anyhow};
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::state::Effect;
use sigwarden_core::{Ledger, Role, Scheme};
use sigwarden_ledger::{AdminKind, Administration, EmbeddedLedger, verify};
use sigwarden_tests::payload::COMETBFT_CHAIN;
use std::path::Path;
use std::time::Instant;

fn written(dir: &Path, requests: u64) -> Result<u64> {
    ledger_log::write(&dir.join("state"), requests).map_err(|error| anyhow!("{error}"))
}

/// `verify-speed`: MB of log that are verified a second.
///
/// # Errors
/// The log does not verify.
pub fn verify_speed(dir: &Path, requests: u64) -> Result<Row> {
    let dir = tempfile::tempdir_in(dir)?;
    let bytes = written(dir.path(), requests)? as f64;
    let mut best = f64::MAX;
    let mut records = 0;
    for _ in 0..3 {
        let begun = Instant::now();
        records = verify(&dir.path().join("state"), &mut |_, _| {})?.records;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    let note = format!("MB/s; {records} records, {:.0} MB in {best:.2} s", bytes / 1e6);
    let each = best * 1e6 / records as f64;
    Ok(Row::new(
        "verify-speed",
        bytes / best / 1e6,
        (each, each),
        0.0,
        Some(Target::AtLeast(300.0)),
        note,
    ))
}

/// `catch-up`: seconds of a start whose checkpoint lacks a million records.
///
/// # Errors
/// The ledger does not start.
pub fn catch_up(dir: &Path, requests: u64) -> Result<Row> {
    let dir = tempfile::tempdir_in(dir)?;
    written(dir.path(), requests)?;
    let begun = Instant::now();
    let ledger = EmbeddedLedger::open(&dir.path().join("state"), settings())?;
    let took = begun.elapsed().as_secs_f64();
    let records = ledger.opening().caught_up;
    let each = took * 1e6 / records as f64;
    let note = format!("seconds to catch up with {records} records");
    Ok(Row::new("catch-up", took, (each, each), 0.0, Some(Target::AtMost(10.0)), note))
}

/// Sets so many floors of other keys, and that of `own`.
fn set_floors(ledger: &EmbeddedLedger, floors: u32, own: Option<Vec<u8>>) -> Result<()> {
    const AT_ONCE: u32 = 10_000;
    let floor = |public_key: Vec<u8>| Effect::Floor {
        key: FloorKey {
            public_key,
            chain_id: COMETBFT_CHAIN.into(),
            class: MessageClass::CometBft,
        },
        floor: Floor {
            position: Position::end_of_height(1),
            taken: Taken::Operator,
        },
    };
    let other = |n: u32| floor(blake3::hash(&n.to_be_bytes()).as_bytes().to_vec());
    let others = (0..floors)
        .step_by(AT_ONCE as usize)
        .map(|begin| (begin..floors.min(begin + AT_ONCE)).map(other).collect());
    for effects in others.chain(own.map(|own| vec![floor(own)])) {
        ledger.administer(Administration {
            kind: AdminKind::Floor,
            operator: "bench".into(),
            reason: "bench".into(),
            now_ms: NOW_MS,
            effects,
        })?;
    }
    Ok(())
}

/// `request-1m-floors`: a vote in process with a million floors in the ledger, in votes with ten.
///
/// # Errors
/// A rig does not stand.
pub fn request_with_floors(dir: &Path, floors: u32, rounds: usize) -> Result<Row> {
    let rig = |floors: u32| -> Result<Rig> {
        let modules = vec![crate::rig::module(
            "network-mode",
            "network-mode",
            sigwarden_tests::example::bench_network_mode(),
        )?];
        let rig = Rig::new(dir, Scheme::Ed25519, Role::Consensus, modules)?;
        let own = rig.pipeline.snapshot().keys.values().next().map(|key| key.public_key.clone());
        set_floors(&rig.ledger, floors, own)?;
        // Nothing of the filling is left to be written while votes are timed.
        rig.ledger.keep()?;
        Ok(rig)
    };
    let (few, many) = (rig(10)?, rig(floors)?);
    let (mut with_few, mut with_many) = (Samples::default(), Samples::default());
    let vote = |height: u64| sigwarden_tests::payload::precommit(height, 0, 1, 1_700_000_000).sign_bytes();
    for height in 0..rounds as u64 {
        with_few.time(|| few.sign("cometbft/vote", vote(height + 2)));
        with_many.time(|| many.sign("cometbft/vote", vote(height + 2)));
    }
    let ratio = with_many.p50() / with_few.p50();
    let note = format!(
        "a vote with {floors} floors: {:.0} us, with ten {:.0} us",
        with_many.p50(),
        with_few.p50()
    );
    let target = Some(Target::AtMost(1.1));
    Ok(Row::new(
        "request-1m-floors",
        ratio,
        (with_many.p50(), with_many.p99()),
        with_few.p50(),
        target,
        note,
    ))
}

/// `start-1m-floors`: seconds of a start from a checkpoint with so many floors.
///
/// # Errors
/// The ledger does not start.
pub fn start_with_floors(dir: &Path, floors: u32) -> Result<Row> {
    let dir = tempfile::tempdir_in(dir)?;
    let ledger = EmbeddedLedger::create(dir.path(), settings())?;
    set_floors(&ledger, floors, None)?;
    ledger.close().context("closing")?;
    drop(ledger);
    let begun = Instant::now();
    let ledger = EmbeddedLedger::open(dir.path(), settings())?;
    let took = begun.elapsed().as_secs_f64();
    let each = took * 1e6 / f64::from(floors);
    let note = format!(
        "seconds to start from a checkpoint; {} records caught up",
        ledger.opening().caught_up
    );
    Ok(Row::new(
        "start-1m-floors",
        took,
        (each, each),
        0.0,
        Some(Target::AtMost(3.0)),
        note,
    ))
}

/// Memory of this process that is not on the disk, in MiB.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024)
}

/// `start-1m-ids`: seconds of a start from a checkpoint with so many remembered request ids, and the memory they take.
///
/// # Errors
/// The ledger does not start.
pub fn start_with_ids(dir: &Path, ids: u32) -> Result<Row> {
    let dir = tempfile::tempdir_in(dir)?;
    let state = dir.path().join("state");
    let before = resident()?;
    ledger_log::write_ids(&state, u64::from(ids)).map_err(|error| anyhow!("{error}"))?;
    let ledger = EmbeddedLedger::open(&state, settings())?;
    ledger.close().context("closing")?;
    drop(ledger);
    let begun = Instant::now();
    let ledger = EmbeddedLedger::open(&state, settings())?;
    let took = begun.elapsed().as_secs_f64();
    let memory = resident()?.saturating_sub(before);
    let remembered = ledger.snapshot().requests.len();
    anyhow::ensure!(remembered == ids as usize, "{remembered} ids are remembered");
    let each = took * 1e6 / f64::from(ids);
    let note = format!("seconds to start from a checkpoint with {ids} request ids; {memory} MiB, with what the allocator keeps");
    Ok(Row::new("start-1m-ids", took, (each, each), 0.0, None, note))
}
