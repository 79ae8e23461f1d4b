//! Decisions that were made durable lately, by id: answers to [`sigwarden_core::Ledger::look_up`]. The table of decisions in flight
//! by identity and the clients' request ids belong here too.

use sigwarden_core::ledger::{Grant, Receipt};
use sigwarden_core::proof::DecisionId;
use std::collections::{HashMap, VecDeque};

/// As many as can be in flight, with much room: this ledger is in the process and always answers, so that nobody has to look up.
const COUNT_MAX: usize = 1024;
/// Bytes of receipts. A signing input may be a message of 64 KiB; such a receipt pushes older ones out.
const BYTES_MAX: usize = 1024 * 1024;

/// A bounded table; the oldest give way.
#[derive(Debug, Default)]
pub(crate) struct RecentDecisions {
    receipts: HashMap<DecisionId, Receipt>,
    order: VecDeque<DecisionId>,
    bytes: usize,
}

impl RecentDecisions {
    /// Remembers one.
    pub(crate) fn insert(&mut self, decision: DecisionId, receipt: Receipt) {
        self.bytes += size(&receipt);
        self.order.push_back(decision);
        if let Some(before) = self.receipts.insert(decision, receipt) {
            self.bytes -= size(&before);
        }
        while self.order.len() > COUNT_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.receipts.remove(&oldest) {
                self.bytes -= size(&gone);
            }
        }
    }

    /// Finds one.
    pub(crate) fn get(&self, decision: DecisionId) -> Option<&Receipt> {
        self.receipts.get(&decision)
    }
}

fn size(receipt: &Receipt) -> usize {
    let bytes = |grant: &Grant| match grant {
        Grant::Sign { input, .. } => input.as_bytes().len(),
        Grant::SignStored { sign_bytes, .. } => sign_bytes.len(),
        Grant::Released { input, signature, .. } => input.as_bytes().len() + signature.bytes.len(),
        Grant::Recorded { signature, sign_bytes, .. } => signature.len() + sign_bytes.len(),
    };
    receipt.grants.iter().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sigwarden_core::fact::SigningInput;

    fn receipt(sequence: u64, bytes: usize) -> Receipt {
        let input = SigningInput::Message(vec![0; bytes]);
        Receipt {
            sequence,
            grants: vec![Grant::Sign { input, timestamp: None }],
            replay: false,
            repeats: None,
        }
    }

    #[test]
    fn the_oldest_give_way_by_count_and_by_size() {
        let mut recent = RecentDecisions::default();
        let id = |n: u64| DecisionId(u128::from(n).to_be_bytes());
        for n in 0..=COUNT_MAX as u64 {
            recent.insert(id(n), receipt(n, 1));
        }
        assert_eq!(recent.get(id(0)), None);
        assert_eq!(recent.get(id(1)).map(|receipt| receipt.sequence), Some(1));
        recent.insert(id(5000), receipt(5000, BYTES_MAX));
        assert_eq!((recent.get(id(1)), recent.bytes), (None, BYTES_MAX));
        assert!(recent.get(id(5000)).is_some());
    }
}
