//! The process as the kernel sees it, from /proc/self: the names and units that Prometheus' client libraries have.

use super::catalogue as c;
use super::page::{Page, number};
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

/// Shows what can be read; what cannot is left out.
pub(super) fn show(page: &mut Page<'_, '_>) -> fmt::Result {
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
        page.family(&c::CPU)?.seconds(stat.cpu_seconds)?;
        page.gauge(&c::MEMORY, number(stat.resident_bytes))?;
        page.gauge(&c::VIRTUAL, number(stat.virtual_bytes))?;
        page.gauge(&c::THREADS, number(stat.threads))?;
        page.gauge(&c::STARTED, started(&stat))?;
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The directory itself is one while it is read.
        page.gauge(&c::FDS, number((open.count() as u64).saturating_sub(1)))?;
    }
    match fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(most_files) {
        Some(most) => page.gauge(&c::FDS_MAX, number(most)),
        None => Ok(()),
    }
}

/// What is wanted of proc_pid_stat(5).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: u64,
    started_seconds: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        Self::with(text, rustix::param::clock_ticks_per_second(), rustix::param::page_size() as u64)
    }

    fn with(text: &str, ticks: u64, page_bytes: u64) -> Option<Self> {
        // The name, field 2, is in parentheses and may have any character.
        let (_, after) = text.rsplit_once(')')?;
        let fields: Vec<u64> = after
            .split_whitespace()
            .skip(1)
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        // Fields are counted from 1 there; the first here is field 4.
        let field = |number: usize| fields.get(number - 4).copied();
        let in_seconds = |count: u64| number(count) / number(ticks.max(1));
        Some(Self {
            cpu_seconds: in_seconds(field(14)?.saturating_add(field(15)?)),
            threads: field(20)?,
            started_seconds: in_seconds(field(22)?),
            virtual_bytes: field(23)?,
            resident_bytes: field(24)?.saturating_mul(page_bytes),
        })
    }
}

/// Since the Unix epoch. Worked out once: a clock that is set would make it look like a restart. /proc/stat, which has the time of boot, is
/// hidden from a service with `ProcSubset=pid`.
fn started(stat: &Stat) -> f64 {
    static STARTED: OnceLock<f64> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let now = |clock| {
            let time = clock_gettime(clock);
            Duration::new(
                u64::try_from(time.tv_sec).unwrap_or_default(),
                u32::try_from(time.tv_nsec).unwrap_or_default(),
            )
            .as_secs_f64()
        };
        now(ClockId::Realtime) - now(ClockId::Boottime) + stat.started_seconds
    })
}

/// The soft limit; none if there is none.
fn most_files(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The name holds what would mislead a parser that splits at spaces.
    #[test]
    fn stat_is_read_by_field_whatever_the_name_is() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194304 10 0 0 0 250 50 0 0 20 0 9 0 12345 8192000 300 18446744073709551615 1 1";
        let stat = Stat::with(text, 100, 4096).unwrap();
        let wanted = Stat {
            cpu_seconds: 3.0,
            threads: 9,
            started_seconds: 123.45,
            virtual_bytes: 8_192_000,
            resident_bytes: 1_228_800,
        };
        assert_eq!(stat, wanted);
        assert_eq!(Stat::with("7 (a) S 1 2", 100, 4096), None);
    }

    #[test]
    fn the_limit_of_files_is_read() {
        let limits = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(most_files(limits), Some(1024));
        assert_eq!(most_files("Max open files unlimited unlimited files\n"), None);
    }
}
