//! Group commit. A committer settles its request and adds its line to the pending batch under one lock. If nobody is writing, it
//! becomes leader and writes the batch as one frame, one `fdatasync`, on its own thread, outside the lock; meanwhile the next batch
//! gathers, and the first to join it leads it next.

use crate::budget::{Budget, Counted, Who};
use crate::ledger::Inner;
use crate::record::Kind;
use crate::render;
use crate::room::Room;
use crate::segment;
use crate::sequencer::{Batch, Sequencer, Turn};
use sigwarden_core::Role;
use sigwarden_core::ledger::{Commitment, Conflict, Entry, LedgerFailure, Receipt, Refused};
use sigwarden_core::proof::{Approved, DecisionId};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Decisions that are settled under one hold of the lock, and so written as one frame: a batch of 64 is one durable write, and nobody
/// else waits for more than a millisecond or two of settling. A larger batch is more than one durable write.
const SETTLED_AT_ONCE: usize = 256;

/// Bytes of lines that wait before further refusals are only counted: a stalled disk must not fill the memory. A quarter of them
/// would be a second's worth under any load that this machine can answer.
const REFUSALS_PENDING_MAX: usize = 4 * 1024 * 1024;

impl Inner {
    /// The state under its lock. A panic under the lock may have left half a change: nothing is taken after one.
    pub(crate) fn sequencer(&self) -> MutexGuard<'_, Sequencer> {
        self.sequencer.lock().unwrap_or_else(|poison| {
            let mut sequencer = poison.into_inner();
            sequencer
                .poisoned
                .get_or_insert_with(|| "a panic under the ledger's lock".to_owned());
            sequencer
        })
    }

    /// Commits each of them, in order, each after what those before it have changed; one answer for each. They share a durable write,
    /// or a few if there are very many.
    pub(crate) fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        approved
            .chunks(SETTLED_AT_ONCE)
            .flat_map(|approved| self.commit_together(approved))
            .collect()
    }

    /// What was settled of earlier chunks is durable by now and stands, whatever becomes of this one.
    fn commit_together(&self, approved: &[Approved]) -> Vec<Commitment> {
        let bodies: Vec<_> = approved.iter().map(render::decision).collect();
        let (mut commitments, turn) = {
            let mut sequencer = self.sequencer();
            let commitments: Vec<_> = approved
                .iter()
                .zip(bodies)
                .map(|(approved, body)| self.sequence(&mut sequencer, approved, body))
                .collect();
            let receipts = commitments.iter().filter(|commitment| matches!(commitment, Commitment::Receipt(_)));
            let decided = receipts.count();
            self.meter.decided(decided as u64);
            let any = decided > 0;
            let turn = if any { sequencer.turn() } else { None };
            (commitments, turn)
        };
        self.hold.arrived(approved.len());
        if let Err(failure) = self.make_durable(turn) {
            for commitment in &mut commitments {
                if matches!(commitment, Commitment::Receipt(_)) {
                    *commitment = Commitment::Failed(failure.clone());
                }
            }
        }
        commitments
    }

    /// Settles one request and gives it its place.
    fn sequence(&self, sequencer: &mut Sequencer, approved: &Approved, body: Result<Vec<u8>, LedgerFailure>) -> Commitment {
        let settle = || {
            let body = body?;
            sequencer.refuse_if_over()?;
            if let Some(why) = self.no_room_for(approved.request().key().roles.contains(&Role::Consensus)) {
                return Err(LedgerFailure::Full(why));
            }
            let settlement = match sequencer.state.settle(approved) {
                Ok(settlement) => settlement,
                Err(conflict) => return Ok(Err(conflict)),
            };
            let kind = if settlement.replay { Kind::Replay } else { Kind::Decision };
            let now_ms = approved.request().now_ms();
            let receipt = Receipt {
                sequence: sequencer.record(kind, now_ms, settlement.effects, &body)?,
                grants: settlement.grants,
                replay: settlement.replay,
                repeats: settlement.repeats,
            };
            sequencer.decisions.insert(approved.decision(), receipt.clone());
            Ok(Ok(receipt))
        };
        let settled: Result<Result<Receipt, Conflict>, LedgerFailure> = settle();
        match settled {
            Ok(Ok(receipt)) => Commitment::Receipt(receipt),
            Ok(Err(conflict)) => Commitment::Conflict(conflict),
            Err(failure) => Commitment::Failed(failure),
        }
    }

    /// Returns once everything recorded before `turn` was taken is durable.
    pub(crate) fn make_durable(&self, turn: Option<Turn>) -> Result<(), LedgerFailure> {
        let durable = match turn {
            None => true,
            Some(Turn::AwaitDone(gate)) => gate.wait_done(),
            Some(Turn::Lead) => self.lead(),
            Some(Turn::AwaitLead(gate)) => gate.wait_lead() && self.lead(),
        };
        if durable {
            return Ok(());
        }
        let reason = self.sequencer().poisoned.clone();
        Err(LedgerFailure::Poisoned(reason.unwrap_or_else(|| "it is not known why".into())))
    }

    /// Makes everything recorded so far durable.
    pub(crate) fn flush(&self) -> Result<(), LedgerFailure> {
        let turn = {
            let mut sequencer = self.sequencer();
            if let Some(reason) = &sequencer.poisoned {
                return Err(LedgerFailure::Poisoned(reason.clone()));
            }
            sequencer.turn()
        };
        self.make_durable(turn)
    }

    /// Waits a little for requests that are being evaluated, then writes the pending batch; whatever happens, everybody who waits is
    /// answered.
    fn lead(&self) -> bool {
        let watch = Watch::over(self, "a panic while the log was written");
        self.hold.wait();
        let Some(mut batch) = self.sequencer().take_pending() else {
            watch.end();
            // Whoever poisoned it has sent away who waited then; this batch's own may have come since.
            self.poison("the ledger failed before");
            return false;
        };
        let begun = Instant::now();
        let written = self.write(&mut batch);
        self.hold.wrote(begun.elapsed());
        watch.end();
        match written {
            Ok(sync) => {
                self.meter.written(batch.first, batch.last, batch.lines.len(), sync);
                let next = self.sequencer().written(batch.last, batch.lines);
                // The next leader first: the disk is idle until it runs.
                if let Some(next) = next {
                    next.hand_over();
                }
                batch.gate.durable();
                (self.wrote)(batch.last.saturating_add(1).saturating_sub(batch.first), sync);
                true
            }
            Err(error) => {
                self.poison(&format!("writing the log failed: {error}"));
                false
            }
        }
    }

    fn write(&self, batch: &mut Batch) -> std::io::Result<Duration> {
        segment::terminate(&mut batch.lines, batch.first, batch.last);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // A start copies the newest segment, and must find the room for it in what is kept free.
        let most = match self.room.get() {
            Room::Plenty => u64::MAX,
            Room::Short | Room::ConsensusOnly | Room::Full => self.reserve_bytes / 2,
        };
        if writer.is_over(batch.time_ms, most) {
            writer.roll(self.disk.as_ref(), &self.log, batch.first, batch.previous, batch.time_ms)?;
        }
        writer.append(&batch.lines)
    }

    /// Refuses everything from now on, sends away who waits, and tells the daemon, once.
    pub(crate) fn poison(&self, reason: &str) {
        let (gates, news) = self.sequencer().poison(reason);
        for gate in gates {
            gate.failed();
        }
        if let Some(reason) = news {
            (self.fatal)(&reason);
        }
    }

    pub(crate) fn look_up(&self, decision: DecisionId) -> Option<Receipt> {
        let sequencer = self.sequencer();
        let receipt = sequencer.decisions.get(decision)?;
        (receipt.sequence <= sequencer.durable).then(|| receipt.clone())
    }

    pub(crate) fn append(&self, entry: &Entry) {
        let rendered = match entry {
            Entry::Outcome(outcome) => render::outcome(outcome).map(|(effects, body)| (Kind::Outcome, outcome.now_ms, effects, body)),
            Entry::Refused(refused) => {
                if !self.spend_budget(refused) {
                    return;
                }
                render::refusal(refused).map(|body| (Kind::Refusal, refused.now_ms, Vec::new(), body))
            }
            Entry::Shadow(shadowed) => {
                // A caller that is refused a thousand times a second fills no disk by way of a shadow either.
                if !shadowed.live.is_empty() {
                    let who = Who::Caller(Arc::clone(&shadowed.caller));
                    let (recorded, _) = self.shadow_budget().spend(who, shadowed.now_ms);
                    if !recorded {
                        return;
                    }
                }
                render::shadow(shadowed).map(|body| (Kind::Shadow, shadowed.now_ms, Vec::new(), body))
            }
        };
        let mut sequencer = self.sequencer();
        let appended = rendered.and_then(|(kind, now_ms, effects, body)| {
            sequencer.refuse_if_over()?;
            let full = self.room.get() < Room::Plenty || sequencer.pending_bytes() > REFUSALS_PENDING_MAX;
            if matches!(kind, Kind::Refusal | Kind::Shadow) && full {
                sequencer.refusals_dropped += u64::from(kind == Kind::Refusal);
                return Ok(0);
            }
            sequencer.record(kind, now_ms, effects, &body)
        });
        drop(sequencer);
        if let Err(failure) = appended {
            // The decision itself is durable; what is lost is what came of it.
            tracing::error!(%failure, "an entry was not recorded");
        }
    }
}

impl Inner {
    /// Whether a refusal is recorded. Records what was counted in an earlier second, if anything was.
    fn spend_budget(&self, refused: &Refused) -> bool {
        let stranger = || render::uid_of(&refused.peer).map_or(Who::Others, Who::Uid);
        let who = refused.caller.clone().map_or_else(stranger, Who::Caller);
        let (recorded, earlier) = self.budget().spend(who, refused.now_ms);
        if let Some(Err(failure)) = earlier.map(|earlier| self.record_count(&earlier)) {
            tracing::error!(%failure, "a count of refusals was not recorded");
        }
        recorded
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        // Counts are valid after any panic.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is over it is not even counted: a shadow's report is no record of refusals.
    fn shadow_budget(&self) -> MutexGuard<'_, Budget> {
        self.shadow_budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what was counted so far.
    pub(crate) fn record_counted(&self) -> Result<(), LedgerFailure> {
        let counted = self.budget().counted();
        // Each of them, whatever became of the others.
        let recorded: Vec<_> = counted.iter().map(|counted| self.record_count(counted)).collect();
        recorded.into_iter().collect()
    }

    fn record_count(&self, counted: &Counted) -> Result<(), LedgerFailure> {
        let body = render::counted(counted)?;
        let mut sequencer = self.sequencer();
        if self.room.get() < Room::Plenty || sequencer.pending_bytes() > REFUSALS_PENDING_MAX {
            sequencer.refusals_dropped += counted.count;
            return Ok(());
        }
        sequencer.record(Kind::Refusals, counted.since_ms, Vec::new(), &body).map(drop)
    }
}

/// Poisons the ledger if a thread that others count on dies of a panic: who follows a leader would wait for ever, and without the
/// keeper nothing would notice what went wrong elsewhere.
pub(crate) struct Watch<'a> {
    inner: Option<&'a Inner>,
    reason: &'static str,
}

impl<'a> Watch<'a> {
    pub(crate) fn over(inner: &'a Inner, reason: &'static str) -> Self {
        Self {
            inner: Some(inner),
            reason,
        }
    }

    pub(crate) fn end(mut self) {
        self.inner = None;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner {
            inner.poison(self.reason);
        }
    }
}
