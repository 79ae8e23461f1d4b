//! One line a second: what the load saw, and what the daemon holds.

use crate::episodes::Happened;
use crate::load::{Load, is_trouble};
use anyhow::{Result, bail};
use sigwarden_tests::Node;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds after an episode in which it still shows: a backlog is worked off.
const AFTER: f64 = 5.0;
/// How much of the first quiet minutes' memory may be added by the last ones.
const GROWTH_MAX: f64 = 0.15;

/// What a remembered request id takes: its hash, three others, a signature, its place by age.
const ID_BYTES: f64 = 450.0;

/// One second.
#[derive(Debug, Clone)]
pub(crate) struct Second {
    pub(crate) at: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) signed: u64,
    pub(crate) refused: u64,
    /// Refused since the daemon could not.
    pub(crate) trouble: u64,
    pub(crate) lost: u64,
    pub(crate) mib: f64,
    pub(crate) descriptors: f64,
}

/// Samples each second until the time is over.
pub(crate) fn every_second(node: &Mutex<Node>, load: &Load, seconds: &Mutex<Vec<Second>>, begun: Instant, length: Duration) {
    let mut next = begun;
    while begun.elapsed() < length {
        next += Duration::from_secs(1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let mut tally = load.take();
        tally.latencies.sort_unstable();
        let share = |percent: usize| {
            let index = (tally.latencies.len() * percent / 100).min(tally.latencies.len().saturating_sub(1));
            #[allow(clippy::cast_precision_loss, reason = "microseconds of a request")]
            tally.latencies.get(index).map_or(f64::NAN, |micros| *micros as f64 / 1000.0)
        };
        // While the daemon is restarted there is nothing to measure.
        let pid = node.try_lock().ok().and_then(|node| node.pid());
        let (mib, descriptors) = pid.and_then(held).unwrap_or((f64::NAN, f64::NAN));
        let second = Second {
            at: begun.elapsed().as_secs_f64(),
            p50_ms: share(50),
            p99_ms: share(99),
            signed: tally.signed,
            refused: tally.refused.values().sum(),
            trouble: tally
                .refused
                .iter()
                .filter(|(code, _)| is_trouble(code))
                .map(|(_, count)| count)
                .sum(),
            lost: tally.lost,
            mib,
            descriptors,
        };
        seconds.lock().unwrap_or_else(PoisonError::into_inner).push(second);
    }
}

/// Resident MiB and open descriptors.
#[allow(clippy::cast_precision_loss, reason = "a count of descriptors")]
fn held(pid: u32) -> Option<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = resident.trim().trim_end_matches("kB").trim().parse().ok()?;
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    Some((kib / 1024.0, descriptors as f64))
}

fn is_quiet(second: &Second, happened: &[Happened]) -> bool {
    !happened
        .iter()
        .any(|episode| second.at >= episode.from && second.at <= episode.to + AFTER)
}

/// A row for each tenth of the time.
pub(crate) fn table(seconds: &[Second], happened: &[Happened]) -> String {
    let mut out = String::from(
        "\n  from s    to s   signed/s  refused/s  trouble/s   lost/s   p50 ms   p99 ms  p99 quiet     MiB  descriptors  episodes\n",
    );
    for part in seconds.chunks(seconds.len().div_ceil(10).max(1)) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else {
            continue;
        };
        #[allow(clippy::cast_precision_loss, reason = "counts of some seconds")]
        let each = |count: fn(&Second) -> u64| part.iter().map(count).sum::<u64>() as f64 / part.len() as f64;
        let quiet: Vec<_> = part.iter().filter(|second| is_quiet(second, happened)).collect();
        let (from, to) = (first.at - 1.0, last.at);
        let names: Vec<_> = happened
            .iter()
            .filter(|one| one.from >= from && one.from < to)
            .map(|one| one.what)
            .collect();
        let _ = writeln!(
            out,
            "{from:8.0}{to:8.0}{:11.0}{:11.0}{:11.0}{:9.0}{:9.2}{:9.2}{:11.2}{:8.1}{:13.0}  {}",
            each(|second| second.signed),
            each(|second| second.refused),
            each(|second| second.trouble),
            each(|second| second.lost),
            median(part.iter().map(|second| second.p50_ms)),
            median(part.iter().map(|second| second.p99_ms)),
            median(quiet.iter().map(|second| second.p99_ms)),
            median(part.iter().map(|second| second.mib)),
            median(part.iter().map(|second| second.descriptors)),
            names.join(", "),
        );
    }
    out
}

/// The median of what was measured.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Memory and descriptors are flat: the last quarter's medians are those of the second, when caches are warm. What remembered request ids
/// take, which the daemon keeps for a day, is explained and taken off.
pub(crate) fn judge(seconds: &[Second], ids: u64) -> Result<()> {
    let quarter = seconds.len() / 4;
    let of = |begin: usize, value: fn(&Second) -> f64| median(seconds.iter().skip(begin).take(quarter).map(value));
    // Half of the time lies between the two quarters' middles.
    #[allow(clippy::cast_precision_loss, reason = "a count of ids")]
    let remembered = ids as f64 / 2.0 * ID_BYTES / (1024.0 * 1024.0);
    type Value = fn(&Second) -> f64;
    let memory: Value = |second| second.mib;
    let descriptors: Value = |second| second.descriptors;
    let lines = [("memory", memory, remembered), ("descriptors", descriptors, 0.0)];
    for (name, value, explained) in lines {
        let (early, late) = (of(quarter, value), of(3 * quarter, value));
        let growth = (late - explained) / early - 1.0;
        let told = if explained > 0.0 {
            format!(", of which {explained:.1} MiB are request ids, remembered for a day")
        } else {
            String::new()
        };
        println!(
            "{name}: {early:.1} in the second quarter, {late:.1} in the last{told}: {:+.1} %",
            growth * 100.0
        );
        if growth > GROWTH_MAX {
            bail!(
                "{name} grew by {:.0} %: more than {:.0} % is a leak until it is explained",
                growth * 100.0,
                GROWTH_MAX * 100.0
            );
        }
    }
    Ok(())
}
