//! What the ledger does with its files: verification, catch-up, and a start with a million floors.

use crate::ledger_log::{self, NOW_MS, settings};
use crate::table::{Row, Target};
use anyhow::{Context, Result, anyhow};
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::state::Effect;
use sigwarden_ledger::{AdminKind, Administration, EmbeddedLedger, verify};
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

/// `start-1m-floors`: seconds of a start from a checkpoint with so many floors.
///
/// # Errors
/// The ledger does not start.
pub fn start_with_floors(dir: &Path, floors: u32) -> Result<Row> {
    const AT_ONCE: u32 = 10_000;
    let dir = tempfile::tempdir_in(dir)?;
    let ledger = EmbeddedLedger::create(dir.path(), settings())?;
    for begin in (0..floors).step_by(AT_ONCE as usize) {
        let floor = |n: u32| Effect::Floor {
            key: FloorKey {
                public_key: blake3::hash(&n.to_be_bytes()).as_bytes().to_vec(),
                chain_id: "chain".into(),
                class: MessageClass::CometBft,
            },
            floor: Floor {
                position: Position::end_of_height(1),
                taken: Taken::Operator,
            },
        };
        ledger.administer(Administration {
            kind: AdminKind::Floor,
            operator: "bench".into(),
            reason: "bench".into(),
            now_ms: NOW_MS,
            effects: (begin..floors.min(begin + AT_ONCE)).map(floor).collect(),
        })?;
    }
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
