//! What a ledger has done since it was opened, to be read without a lock: a scrape of metrics waits for no commit, and no commit for a
//! scrape.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a ledger has done since it was opened. Each number is right by itself; two of them may be of moments a durable write apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Durable writes: one frame, one `fdatasync` each.
    pub writes: u64,
    /// Records in them.
    pub records: u64,
    /// Decisions and replays among the records. Over `writes`: how many share a durable write.
    pub decisions: u64,
    /// Bytes of the frames, terminators included.
    pub bytes: u64,
    /// Records of the last durable write.
    pub last_batch: u64,
    /// How long it took, nearly all of it the `fdatasync`; zero before the first.
    pub last_sync: Duration,
    /// Records that have their place in the chain and are not durable yet: outcomes and refusals wait here for the next commit, a
    /// second at most. One that keeps growing has a disk that hangs.
    pub lag: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
}

/// The same, being counted. The last sequences are kept instead of the lag, so that nobody has to count down.
#[derive(Debug)]
pub(crate) struct Meter {
    writes: AtomicU64,
    records: AtomicU64,
    decisions: AtomicU64,
    bytes: AtomicU64,
    last_batch: AtomicU64,
    last_sync_ns: AtomicU64,
    sequenced: AtomicU64,
    durable: AtomicU64,
    checkpoints: AtomicU64,
}

impl Meter {
    /// Of a ledger whose last record has this sequence.
    pub(crate) fn new(sequence: u64) -> Self {
        let zero = AtomicU64::default;
        Self {
            writes: zero(),
            records: zero(),
            decisions: zero(),
            bytes: zero(),
            last_batch: zero(),
            last_sync_ns: zero(),
            sequenced: AtomicU64::new(sequence),
            durable: AtomicU64::new(sequence),
            checkpoints: zero(),
        }
    }

    /// A record has its place.
    pub(crate) fn sequenced(&self, sequence: u64) {
        self.sequenced.store(sequence, Ordering::Relaxed);
    }

    /// Decisions have their places.
    pub(crate) fn decided(&self, count: u64) {
        self.decisions.fetch_add(count, Ordering::Relaxed);
    }

    /// Records `first` to `last` are durable, a frame of so many bytes.
    pub(crate) fn written(&self, first: u64, last: u64, bytes: usize, sync: Duration) {
        let batch = last.saturating_add(1).saturating_sub(first);
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(batch, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last_batch.store(batch, Ordering::Relaxed);
        let nanos = u64::try_from(sync.as_nanos()).unwrap_or(u64::MAX);
        self.last_sync_ns.store(nanos, Ordering::Relaxed);
        self.durable.store(last, Ordering::Relaxed);
    }

    /// A checkpoint is durable.
    pub(crate) fn checkpointed(&self) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // The durable sequence first: what comes in between must not make the lag negative.
        let durable = get(&self.durable);
        Counters {
            writes: get(&self.writes),
            records: get(&self.records),
            decisions: get(&self.decisions),
            bytes: get(&self.bytes),
            last_batch: get(&self.last_batch),
            last_sync: Duration::from_nanos(get(&self.last_sync_ns)),
            lag: get(&self.sequenced).saturating_sub(durable),
            checkpoints: get(&self.checkpoints),
        }
    }
}
