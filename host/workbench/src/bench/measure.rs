//! Timing.

use super::Latency;
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, SecretKey};
use std::hint::black_box;
use std::time::Instant;

/// Durations of single calls, microseconds.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    pub(super) fn time(&mut self, call: impl FnOnce()) {
        let begun = Instant::now();
        call();
        self.0.push(begun.elapsed().as_secs_f64() * 1e6);
    }

    pub(super) fn latency(mut self) -> Latency {
        self.0.sort_unstable_by(f64::total_cmp);
        Latency {
            p50: self.percentile(50),
            p99: self.percentile(99),
        }
    }

    /// Of sorted samples.
    fn percentile(&self, percent: usize) -> f64 {
        let index = self.0.len().saturating_sub(1) * percent / 100;
        let value = self.0.get(index).copied().unwrap_or(0.0);
        // Tenths of a microsecond: what is below is noise.
        (value * 10.0).round() / 10.0
    }
}

/// One ECDSA signature with recovery id, the call that backends make.
pub(super) fn raw_signature() {
    let mut secret = [0; 32];
    if let Some(last) = secret.last_mut() {
        *last = 1;
    }
    if let Ok(key) = SecretKey::from_secret_bytes(black_box(secret)) {
        black_box(RecoverableSignature::sign_ecdsa_recoverable(
            Message::from_digest(black_box([7; 32])),
            &key,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn percentiles_are_of_sorted_samples() {
        let samples = Samples((0..=100).rev().map(f64::from).collect());
        let latency = samples.latency();
        assert_eq!((latency.p50, latency.p99), (50.0, 99.0));
        assert_eq!(Samples::default().latency().p50, 0.0);
    }
}
