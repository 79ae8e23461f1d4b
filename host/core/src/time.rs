//! The time of a request: never falls, and never jumps unless an operator has said that the jump is right. Floors do not depend on it.

use crate::pipeline::Clock;
use crate::refusal::{Code, Refusal};
use std::sync::atomic::{AtomicI64, Ordering};

/// How far the wall clock may be behind the ledger's latest record: what a time daemon corrects by a step.
pub const BEHIND_MAX_MS: u64 = 5_000;
/// How far the wall clock may step ahead of the boot clock since the start: more is no correction of a running machine.
pub const STEP_MAX_MS: i64 = 60_000;
/// How far the wall clock may be ahead of the ledger's latest record: a year. More is a clock that was never set, or an abandoned
/// deployment.
pub const AHEAD_MAX_MS: u64 = 365 * 24 * 60 * 60 * 1000;

/// Both clocks, and how far apart they were at the start.
pub(crate) struct Time {
    wall: Clock,
    boot: Clock,
    /// Wall less boot clock at the start, or when an operator last accepted it.
    apart: AtomicI64,
}

impl Time {
    pub(crate) fn new(wall: Clock, boot: Clock) -> Self {
        let time = Self {
            wall,
            boot,
            apart: AtomicI64::new(0),
        };
        time.accept();
        time
    }

    /// The wall clock, unjudged.
    pub(crate) fn wall_ms(&self) -> u64 {
        (self.wall)()
    }

    /// The wall clock is right as it is now.
    pub(crate) fn accept(&self) {
        self.apart.store(self.apart_now(self.wall_ms()), Ordering::SeqCst);
    }

    fn apart_now(&self, wall_ms: u64) -> i64 {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        signed(wall_ms).saturating_sub(signed((self.boot)()))
    }

    /// The time of a request, milliseconds since the Unix epoch: the wall clock, or the ledger's high-water mark if that is a little
    /// ahead.
    ///
    /// # Errors
    /// [`Code::ClockBehind`], [`Code::ClockStep`], [`Code::ClockAhead`].
    pub(crate) fn judge(&self, high_water_ms: u64) -> Result<u64, Refusal> {
        let wall_ms = self.wall_ms();
        let behind = high_water_ms.saturating_sub(wall_ms);
        if behind > BEHIND_MAX_MS {
            let message = format!("the wall clock is {behind} ms behind the ledger's latest record; {BEHIND_MAX_MS} are tolerated");
            return Err(Refusal::new(Code::ClockBehind, message));
        }
        let step = self.apart_now(wall_ms).saturating_sub(self.apart.load(Ordering::SeqCst));
        if step > STEP_MAX_MS {
            let message = format!(
                "the wall clock has stepped {step} ms ahead of the machine's boot clock since the start; {STEP_MAX_MS} are tolerated"
            );
            return Err(Refusal::new(Code::ClockStep, message));
        }
        let ahead = wall_ms.saturating_sub(high_water_ms);
        // A ledger without a record has nothing to be ahead of.
        if high_water_ms > 0 && ahead > AHEAD_MAX_MS {
            let days = ahead / (24 * 60 * 60 * 1000);
            let message = format!("the wall clock is {days} days ahead of the ledger's latest record; a year is tolerated");
            return Err(Refusal::new(Code::ClockAhead, message));
        }
        Ok(wall_ms.max(high_water_ms))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    const NOW: u64 = 1_700_000_000_000;

    fn clocks() -> (Time, Arc<AtomicU64>, Arc<AtomicU64>) {
        let (wall, boot) = (Arc::new(AtomicU64::new(NOW)), Arc::new(AtomicU64::new(7_000)));
        let read = |clock: &Arc<AtomicU64>| -> Clock {
            let clock = Arc::clone(clock);
            Arc::new(move || clock.load(Ordering::SeqCst))
        };
        (Time::new(read(&wall), read(&boot)), wall, boot)
    }

    #[test]
    fn time_never_falls_and_a_clock_far_behind_refuses() {
        let (time, ..) = clocks();
        assert_eq!(time.judge(NOW - 2_000), Ok(NOW));
        assert_eq!(time.judge(NOW + 5_000), Ok(NOW + 5_000));
        assert_eq!(time.judge(NOW + 5_001).unwrap_err().kind(), Code::ClockBehind);
    }

    #[test]
    fn a_step_ahead_of_the_boot_clock_refuses_until_it_is_accepted_or_taken_back() {
        let (time, wall, boot) = clocks();
        // Both move: no step, however far.
        wall.fetch_add(86_400_000, Ordering::SeqCst);
        boot.fetch_add(86_400_000, Ordering::SeqCst);
        assert!(time.judge(NOW).is_ok());
        wall.fetch_add(60_000, Ordering::SeqCst);
        assert!(time.judge(NOW).is_ok());
        wall.fetch_add(1, Ordering::SeqCst);
        assert_eq!(time.judge(NOW).unwrap_err().kind(), Code::ClockStep);
        // The boot clock alone: the wall clock is behind it, which the high-water mark judges.
        boot.fetch_add(3_600_000, Ordering::SeqCst);
        assert!(time.judge(NOW).is_ok());
        wall.fetch_add(3_600_000, Ordering::SeqCst);
        assert_eq!(time.judge(NOW).unwrap_err().kind(), Code::ClockStep);
        time.accept();
        assert!(time.judge(NOW).is_ok());
    }

    #[test]
    fn a_year_ahead_of_the_latest_record_refuses() {
        let (time, ..) = clocks();
        assert!(time.judge(NOW - AHEAD_MAX_MS).is_ok());
        assert_eq!(time.judge(NOW - AHEAD_MAX_MS - 1).unwrap_err().kind(), Code::ClockAhead);
        assert_eq!(time.judge(0), Ok(NOW), "an empty ledger");
    }
}
