//! How long to wait before a node is dialled again.

use std::time::Duration;

/// Waits between attempts, doubling up to a cap, for ever. Each is between half of that and all of it, so that many signers of one
/// node, or many nodes of one signer, do not come back at once.
///
/// ```
/// use sigwarden_privval::Backoff;
/// use std::time::Duration;
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
/// let waits: Vec<_> = (0..6).map(|_| backoff.wait(u64::MAX).as_millis()).collect();
/// assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
/// backoff.succeeded();
/// assert_eq!(backoff.wait(0).as_millis(), 50);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// From `first` to `cap`.
    #[must_use]
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, failures: 0 }
    }

    /// How long to wait after one more failure. `random` is any number, evenly distributed.
    pub fn wait(&mut self, random: u64) -> Duration {
        let doubled = 2_u32.checked_pow(self.failures).and_then(|factor| self.first.checked_mul(factor));
        let longest = doubled.map_or(self.cap, |wait| wait.min(self.cap));
        self.failures = self.failures.saturating_add(1);
        let half = longest / 2;
        // `half * random / 2^64`, in nanoseconds; the cap is far below the 2^64 of them, 584 years.
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        let part = (u128::from(nanos) * (u128::from(random) + 1)) >> 64;
        half + Duration::from_nanos(u64::try_from(part).unwrap_or(nanos))
    }

    /// The node has answered: the next failure is a first one.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

impl Default for Backoff {
    /// From 100 ms to 1 s: a node that starts waits 3 s for its signer and then exits (CometBFT, `defaultTimeoutAcceptSeconds`), and a refused
    /// attempt costs nobody anything.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(1))
    }
}
