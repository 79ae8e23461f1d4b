//! What is counted. Plain numbers; the daemon's metrics read them.

use crate::failure::ErrorKind;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// Signatures released.
    pub sign_success: u64,
    /// Tokens that were asked for a signature and gave none, or none in time, by kind. A call that two tokens failed counts twice.
    pub sign_errors: BTreeMap<ErrorKind, u64>,
    /// How long the last call that succeeded took, failovers included, microseconds.
    pub last_latency_micros: u64,
    /// Calls passed on to another token after one had failed.
    pub failovers: u64,
    /// Times a token was connected again after it had been lost.
    pub reconnects: u64,
    /// Sessions that work now.
    pub sessions_in_use: u64,
}

/// Counts.
#[derive(Default)]
pub(crate) struct Tally {
    success: AtomicU64,
    errors: [AtomicU64; ErrorKind::ALL.len()],
    latency: AtomicU64,
    failovers: AtomicU64,
    reconnects: AtomicU64,
}

impl Tally {
    pub(crate) fn succeeded(&self, signatures: usize, took: Duration) {
        self.success.fetch_add(signatures as u64, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency.store(micros, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, kind: ErrorKind) {
        for (counter, of) in self.errors.iter().zip(ErrorKind::ALL) {
            if of == kind {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn failed_over(&self) {
        self.failovers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, sessions_in_use: u64) -> Counters {
        Counters {
            sign_success: self.success.load(Ordering::Relaxed),
            sign_errors: ErrorKind::ALL
                .into_iter()
                .zip(&self.errors)
                .map(|(kind, counter)| (kind, counter.load(Ordering::Relaxed)))
                .collect(),
            last_latency_micros: self.latency.load(Ordering::Relaxed),
            failovers: self.failovers.load(Ordering::Relaxed),
            reconnects: self.reconnects.load(Ordering::Relaxed),
            sessions_in_use,
        }
    }
}
