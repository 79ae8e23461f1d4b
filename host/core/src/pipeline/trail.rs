//! What is known of a request so far, for its record.

use crate::caller::{Caller, Clients, Peer};
use crate::key::KeyName;
use crate::pipeline::Stage;
use crate::refusal::Refusal;
use crate::shadow::Watched;
use crate::stages::authenticate;
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
    pub(super) watched: Option<Watched>,
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
            watched: None,
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
}
