//! Random workloads on a disk that lies, with the power cut at random calls: what was acknowledged is there afterwards, and no two
//! messages are signed for one position. `cargo xtask crash --seeds N [--from SEED] [--exhaustive]` runs as many as asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod life;
mod model;
mod seed;
#[allow(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "../ledger/world.rs"]
mod world;

use seed::Plan;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// In the suite. `SIGWARDEN_CRASH_SEEDS` asks for another number, `SIGWARDEN_CRASH_FROM` for other seeds.
const SEEDS: u64 = 10_000;
/// Workloads of which every single call is cut, in the suite. `SIGWARDEN_CRASH_EXHAUSTIVE` asks for another number.
const EXHAUSTIVE: u64 = 3;

fn asked(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn from() -> u64 {
    asked("SIGWARDEN_CRASH_FROM").unwrap_or(1)
}

/// Runs `work` on every number below `count`, on all cores, until one fails; the failure with the lowest number that was met.
fn until_one_fails(count: u64, work: impl Fn(u64) -> Result<(), String> + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let failure: Mutex<Option<(u64, String)>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        break;
                    }
                    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| work(number)));
                    let ran = ran.unwrap_or_else(|_| Err("a panic, told above".to_owned()));
                    if let Err(what) = ran {
                        over.store(true, Ordering::SeqCst);
                        let mut failure = failure.lock().unwrap();
                        if failure.as_ref().is_none_or(|(before, _)| number < *before) {
                            *failure = Some((number, what));
                        }
                    }
                }
            });
        }
    });
    if let Some((_, what)) = failure.into_inner().unwrap() {
        panic!("{what}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_signed_twice() {
    let (seeds, from) = (asked("SIGWARDEN_CRASH_SEEDS").unwrap_or(SEEDS), from());
    let lived = seed::Tally::default();
    until_one_fails(seeds, |number| {
        let seed = from + number;
        seed::run(&Plan::random(seed), &lived)
            .map_err(|what| format!("seed {seed}: {what}\nreplay it: cargo xtask crash --seeds 1 --from {seed}"))
    });
    println!("{seeds} seeds from {from}: {}", lived.told());
    if seeds >= SEEDS {
        lived.refuse_if_idle();
    }
}

#[test]
fn a_cut_after_any_call_of_a_workload_loses_nothing() {
    let (workloads, from) = (asked("SIGWARDEN_CRASH_EXHAUSTIVE").unwrap_or(EXHAUSTIVE), from());
    let lived = seed::Tally::default();
    for seed in from..from + workloads {
        let changes = seed::changes_of(seed);
        until_one_fails(changes, |cut| {
            seed::run(&Plan::cut_at(seed, cut + 1), &lived).map_err(|what| {
                format!(
                    "seed {seed}, cut at change {} of {changes}: {what}\nreplay it: cargo xtask crash --exhaustive 1 --from {seed}",
                    cut + 1
                )
            })
        });
    }
    println!("{workloads} workloads from {from}, cut at every change: {}", lived.told());
}
