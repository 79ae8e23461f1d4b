//! How fast a connection's questions are answered: what moves a validator forward at once, the rest a few times a second.

use crate::request::Pending;
use crate::wire;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Repetitions at once. A node that restarts asks again for what its log has of the height it was in: a handful.
const BURST: u32 = 20;

/// One more in this time. Each answer is a record in the ledger; CometBFT asks again once in a round, which takes seconds.
const EACH: Duration = Duration::from_millis(50);

/// Where a message stands: height, round, and the step in the round.
type Position = (i64, i32, i32);

/// Of one connection.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The highest position that was asked for, whatever came of it.
    highest: Option<Position>,
    /// GCRA: when nothing would be left of the repetitions so far.
    empty_at: Option<Instant>,
}

impl Pace {
    /// Waits until the question may be asked of the signer. The node waits with it, for 50 ms at most: it asks one question at a time.
    pub(crate) async fn keep(&mut self, pending: &Pending) {
        if !self.repeats(pending) {
            return;
        }
        let now = Instant::now();
        let used_until = self.empty_at.filter(|at| *at > now).unwrap_or(now) + EACH;
        self.empty_at = Some(used_until);
        // At once if it is not later than now.
        if let Some(turn) = used_until.checked_sub(EACH * BURST) {
            sleep_until(turn).await;
        }
    }

    /// Whether it repeats: it does not go above what was asked for before. A vote and its extension have one position. A public key is
    /// asked for again and again by design, and signs nothing.
    ///
    /// Raw bytes have no position and repeat nothing: each is judged by the key's policies, which bound it and refuse at once. They must not
    /// wait here: Celestia's nodes ask for them for applications too (`fiber-commitment`), many at a time, and a vote would wait behind them.
    fn repeats(&mut self, pending: &Pending) -> bool {
        let position = match pending {
            Pending::PublicKey | Pending::Raw => return false,
            Pending::Vote { vote, .. } => (vote.height, vote.round, step(vote.message_type)),
            Pending::Proposal(proposal) => (proposal.height, proposal.round, step(wire::PROPOSAL)),
        };
        let above = self.highest.is_none_or(|highest| position > highest);
        if above {
            self.highest = Some(position);
        }
        !above
    }
}

/// CometBFT's order within a round: proposal, prevote, precommit.
fn step(message_type: i32) -> i32 {
    match message_type {
        wire::PROPOSAL => 0,
        later => later,
    }
}
