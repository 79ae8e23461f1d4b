//! A ledger that is listened to.

use crate::Metrics;
use sigwarden_core::Ledger;
use sigwarden_core::ledger::{Commitment, Entry, Receipt};
use sigwarden_core::proof::{Approved, DecisionId};
use sigwarden_core::state::State;
use std::sync::Arc;

/// Hands everything on to a ledger, and counts on the way. Every request ends in an entry that is appended, or, if it was decided, in a
/// commit and its outcome.
pub struct Observed<L: ?Sized> {
    metrics: Arc<Metrics>,
    #[cfg(feature = "otlp")]
    traces: Option<Arc<crate::trace::Traces>>,
    ledger: Arc<L>,
}

impl<L: Ledger + ?Sized> Observed<L> {
    /// Listens to `ledger`.
    #[must_use]
    pub fn new(ledger: Arc<L>, metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            #[cfg(feature = "otlp")]
            traces: None,
            ledger,
        }
    }

    /// Makes traces of what it hears as well.
    #[cfg(feature = "otlp")]
    #[must_use]
    pub fn with_traces(mut self, traces: Option<Arc<crate::trace::Traces>>) -> Self {
        self.traces = traces;
        self
    }
}

impl<L: Ledger + ?Sized> Ledger for Observed<L> {
    fn snapshot(&self) -> State {
        self.ledger.snapshot()
    }

    fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        let commitments = self.ledger.commit(approved);
        self.metrics.committed(approved, &commitments);
        commitments
    }

    fn announce(&self) {
        self.ledger.announce();
    }

    fn withdraw(&self) {
        self.ledger.withdraw();
    }

    fn look_up(&self, decision: DecisionId) -> Option<Receipt> {
        self.ledger.look_up(decision)
    }

    fn append(&self, entry: Entry) {
        #[cfg_attr(not(feature = "otlp"), expect(unused_variables, reason = "traces alone look at it"))]
        let of = self.metrics.appended(&entry);
        #[cfg(feature = "otlp")]
        if let Some(traces) = &self.traces {
            traces.offer(&entry, of);
        }
        self.ledger.append(entry);
    }
}
