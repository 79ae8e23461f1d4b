//! What one lock guards: the state, the chain's end, and the batch that is being gathered. Nothing here waits for the disk.

use crate::checkpoint::Dirty;
use crate::counters::Meter;
use crate::decisions::RecentDecisions;
use crate::gate::Gate;
use crate::record::{Kind, LINE_MAX};
use crate::scan::Link;
use sigwarden_core::ledger::LedgerFailure;
use sigwarden_core::state::{Effect, State};
use std::io::Write;
use std::sync::Arc;

/// Lines on their way to the disk: the next frame.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The lines, each with its LF.
    pub(crate) lines: Vec<u8>,
    /// The first line's sequence.
    pub(crate) first: u64,
    /// The last line's.
    pub(crate) last: u64,
    /// The hash of the line before the first.
    pub(crate) previous: [u8; 32],
    /// The latest time of its lines.
    pub(crate) time_ms: u64,
    /// Where its committers wait.
    pub(crate) gate: Arc<Gate>,
    /// One of them waits to lead it.
    led: bool,
}

impl Batch {
    fn after(link: Link, lines: Vec<u8>) -> Self {
        Self {
            lines,
            first: link.sequence + 1,
            last: link.sequence,
            previous: link.head,
            time_ms: 0,
            gate: Arc::new(Gate::default()),
            led: false,
        }
    }
}

/// What a thread that wants the pending batch durable has to do.
pub(crate) enum Turn {
    /// The disk is free: take the pending batch and write it.
    Lead,
    /// Wait until the disk is free, then write the batch.
    AwaitLead(Arc<Gate>),
    /// Wait until another has written it.
    AwaitDone(Arc<Gate>),
}

/// Under the lock.
#[derive(Debug)]
pub(crate) struct Sequencer {
    /// The authority.
    pub(crate) state: State,
    /// The end of the chain: sequenced, maybe not durable.
    pub(crate) link: Link,
    /// The last durable sequence.
    pub(crate) durable: u64,
    /// Durable writes so far.
    pub(crate) writes: u64,
    /// What the checkpoint lacks.
    pub(crate) dirty: Dirty,
    /// Receipts by decision.
    pub(crate) decisions: RecentDecisions,
    /// Why nothing is committed any more.
    pub(crate) poisoned: Option<String>,
    /// The daemon knows of it.
    told: bool,
    /// Nothing is taken any more, but what was taken is still written.
    pub(crate) closed: bool,
    /// Refusals that found no room.
    pub(crate) refusals_dropped: u64,
    meter: Arc<Meter>,
    pending: Batch,
    /// The gate of the batch that is being written, or is about to be by the one it was handed to.
    in_flight: Option<Arc<Gate>>,
    /// A buffer to use again.
    spare: Vec<u8>,
}

/// A larger buffer is not kept: a burst's memory is given back.
const SPARE_MAX: usize = 256 * 1024;

impl Sequencer {
    pub(crate) fn new(state: State, link: Link, meter: Arc<Meter>) -> Self {
        Self {
            state,
            link,
            durable: link.sequence,
            writes: 0,
            dirty: Dirty::NOTHING,
            decisions: RecentDecisions::default(),
            poisoned: None,
            told: false,
            closed: false,
            refusals_dropped: 0,
            meter,
            pending: Batch::after(link, Vec::new()),
            in_flight: None,
            spare: Vec::new(),
        }
    }

    /// Whether anything is taken.
    pub(crate) fn refuse_if_over(&self) -> Result<(), LedgerFailure> {
        match &self.poisoned {
            Some(reason) => Err(LedgerFailure::Poisoned(reason.clone())),
            None if self.closed => Err(LedgerFailure::Poisoned("it was closed".into())),
            None => Ok(()),
        }
    }

    /// Gives a record its sequence, writes its line into the pending batch, and applies its effects.
    ///
    /// # Errors
    /// The line would be too long: nothing was changed.
    pub(crate) fn record(&mut self, kind: Kind, now_ms: u64, effects: Vec<Effect>, body: &[u8]) -> Result<u64, LedgerFailure> {
        let sequence = self.link.sequence + 1;
        let lines = &mut self.pending.lines;
        let begin = lines.len();
        let written = write_line(lines, sequence, kind, now_ms, &self.link.head, &effects, body);
        let len = lines.len() - begin;
        if written.is_err() || len > LINE_MAX {
            lines.truncate(begin);
            return Err(LedgerFailure::RecordTooLarge(len));
        }
        let head = blake3::hash(lines.get(begin..).unwrap_or_default()).into();
        lines.push(b'\n');
        self.link = Link { sequence, head };
        self.meter.sequenced(sequence);
        self.pending.last = sequence;
        self.pending.time_ms = self.pending.time_ms.max(now_ms);
        if kind.time_is_judged() {
            self.state.note_time(now_ms);
        }
        for effect in effects {
            self.dirty.apply(effect, &mut self.state);
        }
        Ok(sequence)
    }

    /// Bytes that wait.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending.lines.len()
    }

    /// What the caller has to do for the pending batch to become durable; `None` if all is.
    pub(crate) fn turn(&mut self) -> Option<Turn> {
        match (&self.in_flight, self.pending.lines.is_empty()) {
            (None, true) => None,
            (None, false) => {
                self.pending.led = true;
                self.in_flight = Some(Arc::clone(&self.pending.gate));
                Some(Turn::Lead)
            }
            (Some(gate), true) => Some(Turn::AwaitDone(Arc::clone(gate))),
            (Some(_), false) => {
                let gate = Arc::clone(&self.pending.gate);
                if std::mem::replace(&mut self.pending.led, true) {
                    Some(Turn::AwaitDone(gate))
                } else {
                    Some(Turn::AwaitLead(gate))
                }
            }
        }
    }

    /// Takes the pending batch to write it; `None` if nothing is written any more.
    pub(crate) fn take_pending(&mut self) -> Option<Batch> {
        if self.poisoned.is_some() {
            return None;
        }
        let next = Batch::after(self.link, std::mem::take(&mut self.spare));
        let batch = std::mem::replace(&mut self.pending, next);
        self.in_flight = Some(Arc::clone(&batch.gate));
        Some(batch)
    }

    /// Notes that a batch is durable. Returns the gate of the one who leads next, if one waits.
    pub(crate) fn written(&mut self, last: u64, mut lines: Vec<u8>) -> Option<Arc<Gate>> {
        self.durable = last;
        self.writes += 1;
        if lines.capacity() <= SPARE_MAX {
            lines.clear();
            self.spare = lines;
        }
        self.in_flight = self.pending.led.then(|| Arc::clone(&self.pending.gate));
        self.in_flight.clone()
    }

    /// Takes nothing any more. Returns the gates of all who wait, and the first reason if the daemon is yet to be told.
    pub(crate) fn poison(&mut self, reason: &str) -> (Vec<Arc<Gate>>, Option<String>) {
        let first = self.poisoned.get_or_insert_with(|| reason.to_owned()).clone();
        let news = (!std::mem::replace(&mut self.told, true)).then_some(first);
        let gates = self.in_flight.take().into_iter().chain([Arc::clone(&self.pending.gate)]);
        (gates.collect(), news)
    }
}

fn write_line(
    out: &mut Vec<u8>,
    sequence: u64,
    kind: Kind,
    now_ms: u64,
    previous: &[u8; 32],
    effects: &[Effect],
    body: &[u8],
) -> std::io::Result<()> {
    let mut hash = [0; 64];
    hex::encode_to_slice(previous, &mut hash).map_err(std::io::Error::other)?;
    let (kind, time) = (kind.name(), now_ms.saturating_mul(1_000_000));
    write!(
        out,
        "{{\"sequence\":\"{sequence}\",\"kind\":\"{kind}\",\"time\":\"{time}\",\"previous\":\""
    )?;
    out.extend_from_slice(&hash);
    if !effects.is_empty() {
        out.extend_from_slice(b"\",\"effects\":");
        serde_json::to_writer(&mut *out, effects)?;
        out.extend_from_slice(b",\"body\":");
    } else {
        out.extend_from_slice(b"\",\"body\":");
    }
    out.extend_from_slice(body);
    out.push(b'}');
    Ok(())
}
