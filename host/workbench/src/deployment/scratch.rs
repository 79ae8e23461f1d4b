//! A ledger in memory, for requests that are asked aside: it settles and applies as the real one does, and keeps nothing.

use sigwarden_core::Ledger;
use sigwarden_core::ledger::{Commitment, Entry, Receipt};
use sigwarden_core::proof::{Approved, DecisionId};
use sigwarden_core::state::State;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A state of its own.
pub(crate) struct Scratch(Mutex<State>);

impl Scratch {
    pub(crate) fn new(state: State) -> Self {
        Self(Mutex::new(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, approved: &Approved) -> Commitment {
        let mut state = self.state();
        match state.settle(approved) {
            Err(conflict) => Commitment::Conflict(conflict),
            Ok(settlement) => {
                settlement.effects.iter().for_each(|effect| state.apply(effect));
                Commitment::Receipt(Receipt {
                    sequence: 1,
                    grants: settlement.grants,
                    replay: settlement.replay,
                    repeats: settlement.repeats,
                })
            }
        }
    }
}

impl Ledger for Scratch {
    fn snapshot(&self) -> State {
        self.state().clone()
    }

    fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        approved.iter().map(|approved| self.settle(approved)).collect()
    }

    fn look_up(&self, _: DecisionId) -> Option<Receipt> {
        None
    }

    fn append(&self, _: Entry) {}
}
