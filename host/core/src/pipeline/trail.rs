//! What is known of a request so far, for its record.

use crate::caller::{Caller, Clients, Peer};
use crate::key::KeyName;
use crate::ledger::{Entry, Refused};
use crate::pipeline::{Pipeline, SignCall, Stage};
use crate::policy::PolicySet;
use crate::proof::Request;
use crate::recorder::{self, Ended};
use crate::refusal::{Code, Refusal};
use crate::shadow::Watched;
use crate::stages::authenticate;
use crate::state::State;
use std::sync::Arc;
use std::time::Instant;

/// What is known of a request so far, for its record.
pub(super) struct Trail {
    pub(super) peer: Peer,
    pub(super) operation: String,
    pub(super) key: String,
    pub(super) format: String,
    pub(super) caller: Option<Arc<str>>,
    pub(super) request_id: Option<Arc<str>>,
    pub(super) stages: Vec<(Stage, u64)>,
    pub(super) decided: bool,
    /// Its policies' changes of state stand: it was decided, and repeated nothing.
    pub(super) counted: bool,
    /// The decision's record.
    pub(super) sequence: Option<u64>,
    /// For shadows.
    pub(super) watched: Option<Watched>,
    /// For whoever records.
    recorded: Option<Box<recorder::Watched>>,
}

impl Trail {
    pub(super) fn new(peer: Peer, operation: &str, key: &str, format: &str) -> Self {
        // The caller's texts, cut: a record has at most 32 KiB.
        let cut = |text: &str| text.chars().take(KeyName::MAX).collect();
        Self {
            peer,
            operation: cut(operation),
            key: cut(key),
            format: cut(format),
            caller: None,
            request_id: None,
            stages: Vec::with_capacity(8),
            decided: false,
            counted: false,
            sequence: None,
            watched: None,
            recorded: None,
        }
    }

    pub(super) fn authenticate(&mut self, clients: &Clients) -> Result<Caller, Refusal> {
        let begun = Instant::now();
        let caller = authenticate::authenticate(clients, &self.peer);
        self.took(Stage::Authenticate, begun);
        caller
    }

    pub(super) fn step<T>(&mut self, stage: Stage, step: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = step();
        self.took(stage, begun);
        result
    }

    pub(super) fn took(&mut self, stage: Stage, begun: Instant) {
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.stages.push((stage, micros));
    }

    /// What it is judged by from now on.
    pub(super) fn judged_by(&mut self, state: &State, policies: &Arc<PolicySet>) {
        if let Some(recorded) = &mut self.recorded {
            recorded.judged_by(state, policies);
        }
    }

    /// What the policies are about to see.
    pub(super) fn decoded(&mut self, request: &Request) {
        if let Some(recorded) = &mut self.recorded {
            recorded.decoded(request);
        }
    }

    fn ended(&mut self, refused: Option<&Refusal>, wall_ms: impl Fn() -> u64) {
        if let Some(recorded) = self.recorded.take() {
            recorded.ended(Ended {
                caller: self.caller.clone(),
                sequence: self.sequence,
                replay: self.decided && !self.counted,
                refused,
                wall_ms: wall_ms(),
            });
        }
    }
}

impl Pipeline {
    /// The trail of a request that begins.
    pub(super) fn trail(&self, peer: Peer, call: &SignCall) -> Trail {
        let mut trail = Trail::new(peer, &call.operation, &call.key, &call.format);
        trail.recorded = self.recorder.watch(call);
        trail
    }

    /// Records what became of a request, and lets the shadows see it, later, if the policies in force judged it.
    pub(super) fn told<T>(&self, mut trail: Trail, answer: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Some(watched) = trail.watched.take() {
            let refused = answer.as_ref().err();
            let last = trail.stages.last().map(|(stage, _)| *stage);
            // What came after the policies is none of theirs; and what they were never asked about says nothing of them.
            let refused = refused.filter(|_| matches!(last, Some(Stage::Evaluate | Stage::Approve)));
            if !refused.is_some_and(|refusal| matches!(refusal.kind(), Code::Deadline | Code::Stopping)) {
                self.shadows.answered(watched, refused, trail.counted);
            }
        }
        trail.ended(answer.as_ref().err(), || self.time.wall_ms());
        answer.inspect_err(|refusal| self.record_refusal(trail, refusal))
    }

    pub(super) fn record_refusal(&self, trail: Trail, refusal: &Refusal) {
        if trail.decided {
            return;
        }
        self.parts.ledger.append(Entry::Refused(Refused {
            request_id: trail.request_id,
            caller: trail.caller,
            peer: trail.peer,
            operation: trail.operation,
            key: trail.key,
            format: trail.format,
            stage: trail.stages.last().map_or(Stage::Authenticate, |(stage, _)| *stage),
            refusal: refusal.clone(),
            stages: trail.stages,
            now_ms: self.time.wall_ms(),
        }));
    }
}
