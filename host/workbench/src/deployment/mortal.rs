//! A ledger whose process dies when it is told to.

use crate::fixture::Death;
use sigwarden_core::Ledger;
use sigwarden_core::ledger::{Commitment, Entry, LedgerFailure, Receipt};
use sigwarden_core::proof::{Approved, DecisionId};
use sigwarden_core::state::State;
use sigwarden_ledger::EmbeddedLedger;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The embedded ledger, and the moment of death.
pub(crate) struct Mortal {
    ledger: Arc<EmbeddedLedger>,
    death: Mutex<Option<Death>>,
    dead: AtomicBool,
}

impl Mortal {
    pub(crate) fn new(ledger: Arc<EmbeddedLedger>) -> Self {
        Self {
            ledger,
            death: Mutex::default(),
            dead: AtomicBool::new(false),
        }
    }

    /// The next decision is the last.
    pub(crate) fn die_at(&self, death: Death) {
        *self.death() = Some(death);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn death(&self) -> MutexGuard<'_, Option<Death>> {
        self.death.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens after it in the pipeline happens in a process that is not there any more, and reaches nobody.
    fn died(&self, items: usize) -> Vec<Commitment> {
        self.dead.store(true, Ordering::SeqCst);
        let failed = LedgerFailure::Poisoned("the process died, as the fixture says".to_owned());
        vec![Commitment::Failed(failed); items]
    }
}

impl Ledger for Mortal {
    fn snapshot(&self) -> State {
        self.ledger.snapshot()
    }

    fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        let death = *self.death();
        match death {
            Some(Death::BeforeCommit) => self.died(approved.len()),
            Some(Death::AfterCommit) => {
                drop(self.ledger.commit(approved));
                self.died(approved.len())
            }
            Some(Death::AfterSigning) | None => self.ledger.commit(approved),
        }
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
        let signed = matches!(entry, Entry::Outcome(_)) && *self.death() == Some(Death::AfterSigning);
        if signed {
            self.dead.store(true, Ordering::SeqCst);
        }
        if !self.is_dead() {
            self.ledger.append(entry);
        }
    }
}
