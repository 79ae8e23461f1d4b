//! Timing: samples, percentiles, and runs that alternate with raw signing, so that both see the same machine.

use std::time::{Duration, Instant};

/// Durations of single calls.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Times one call and keeps it.
    pub fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = call();
        self.0.push(begun.elapsed());
        result
    }

    /// Keeps a duration.
    pub fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// Takes in another's.
    pub fn extend(&mut self, other: Samples) {
        self.0.extend(other.0);
    }

    /// The value below which this share (0 to 1) of the samples lies, in microseconds; 0 without samples.
    #[must_use]
    pub fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into the samples"
        )]
        let index = (last as f64 * share).round() as usize;
        sorted.get(index).map_or(0.0, |duration| duration.as_secs_f64() * 1e6)
    }

    /// The median, in microseconds.
    #[must_use]
    pub fn p50(&self) -> f64 {
        self.percentile(0.5)
    }

    /// The 99th percentile, in microseconds.
    #[must_use]
    pub fn p99(&self) -> f64 {
        self.percentile(0.99)
    }
}

/// Alternates `raw` and `measured`, `rounds` times each, after a tenth of that as warm-up.
pub fn alternate(rounds: usize, mut raw: impl FnMut(), mut measured: impl FnMut()) -> (Samples, Samples) {
    for _ in 0..rounds / 10 {
        raw();
        measured();
    }
    let (mut base, mut samples) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        base.time(&mut raw);
        samples.time(&mut measured);
    }
    (base, samples)
}

/// Calls of `call` a second, on `threads` threads for `window`. Each thread makes its own `call`.
pub fn throughput<F: FnMut()>(threads: usize, window: Duration, make: impl Fn(usize) -> F + Sync) -> (f64, Samples) {
    let begun = Instant::now();
    let mut samples = Samples::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|index| {
                let make = &make;
                std::thread::Builder::new()
                    .stack_size(4 << 20)
                    .spawn_scoped(scope, move || {
                        let mut call = make(index);
                        let mut samples = Samples::default();
                        while begun.elapsed() < window {
                            samples.time(&mut call);
                        }
                        samples
                    })
                    .expect("a thread")
            })
            .collect();
        for worker in workers {
            samples.extend(worker.join().expect("a worker that does not panic"));
        }
    });
    #[allow(clippy::cast_precision_loss, reason = "a count of calls")]
    let rate = samples.0.len() as f64 / begun.elapsed().as_secs_f64();
    (rate, samples)
}
