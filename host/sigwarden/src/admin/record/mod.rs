//! What a devnet daemon sees, as the lines of a recording: `policy record`. Payloads are in it as they came, what keys made is not.

mod describe;

use super::{Administrator, NotDone};
use crate::proto::admin as wire;
use describe::describe;
use sigwarden_core::key::KeyId;
use sigwarden_core::recorder::{Bounds, Recording, Seen};
use sigwarden_core::state::State;
use sigwarden_core::{Network, Pipeline, PolicySet};
use sigwarden_ledger::AdminKind;
use sigwarden_workbench::recording::{Line, REQUESTS_MAX, RecordedKeyState, RecordedOutcome, RecordedRequest};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// Bytes of requests at most: what a fixture of 4 MiB holds, which writes them in hex.
const BYTES_MAX: usize = 2 * 1024 * 1024;
/// How often a recording in which nothing happens looks whether it is over.
const LOOK: Duration = Duration::from_millis(100);

/// A recording that runs.
pub(crate) struct Recorder {
    recording: Recording,
    pipeline: Arc<Pipeline>,
    /// The policies in force at its beginning: a fixture has one set.
    policies: Arc<PolicySet>,
    /// The state at its beginning, by revision.
    began: u64,
    /// Decisions before it.
    decided: u64,
    /// The revision by which each recorded key's state is known.
    keys: BTreeMap<KeyId, u64>,
    until: Option<Instant>,
    /// What the fixture is told at the end.
    early: usize,
    replaced: bool,
    /// The first lines.
    head: Vec<Line>,
}

impl Administrator {
    /// Begins a recording of what this daemon sees from now on.
    ///
    /// # Errors
    /// The network is no devnet, no daemon runs, somebody records already, or a policy's file is not what runs.
    pub(crate) fn begin_recording(&self, request: &wire::RecordRequestsRequest) -> Result<Recorder, NotDone> {
        let config = self.config();
        if config.network != Network::Devnet {
            return Err(NotDone::no(format!(
                "this is a deployment on {}: a recording holds every payload as it came, so only a daemon on {} records; ask that one for the same",
                config.network,
                Network::Devnet
            )));
        }
        let Some(daemon) = self.daemon() else {
            return Err(NotDone::no(
                "no daemon runs; `sigwarden serve` starts one, and what it sees is recorded then",
            ));
        };
        let requests = usize::try_from(request.requests).unwrap_or(usize::MAX);
        if !(1..=REQUESTS_MAX).contains(&requests) {
            return Err(NotDone::cannot(format!(
                "a fixture has 1 to {REQUESTS_MAX} requests, {requests} is none of these"
            )));
        }
        let bounds = Bounds {
            requests,
            bytes: BYTES_MAX,
        };
        let busy = || NotDone::no("somebody records already; one recording runs at a time");
        let recording = daemon.pipeline.begin_recording(bounds).ok_or_else(busy)?;
        {
            let _turn = self.turn();
            let reason = format!("policy record: up to {requests} requests, with their payloads");
            self.record(AdminKind::Maintenance, &reason, Vec::new())?;
        }
        let (policies, state) = (daemon.pipeline.policies(), daemon.pipeline.snapshot());
        let (deployment, notes) = describe(&config, &policies, &state)?;
        let ids = deployment.keys.iter().map(|key| KeyId {
            name: key.name.clone(),
            version: key.version,
        });
        let keys = ids.map(|id| (id, state.revision)).collect();
        let mut head = vec![Line::Deployment(deployment)];
        head.extend(notes.into_iter().map(|text| Line::Note { text }));
        tracing::warn!(requests, "recording requests with their payloads, as asked over the admin socket");
        Ok(Recorder {
            recording,
            pipeline: Arc::clone(&daemon.pipeline),
            policies,
            began: state.revision,
            decided: decisions(&state),
            keys,
            until: (request.seconds > 0).then(|| Instant::now() + Duration::from_secs(request.seconds.into())),
            early: 0,
            replaced: false,
            head,
        })
    }
}

impl Recorder {
    /// Tells lines until it is over, or until `tell` says that nobody listens any more, which `gone` does where there is nothing to tell.
    pub(crate) fn run(mut self, mut tell: impl FnMut(Line) -> bool, gone: impl Fn() -> bool) {
        if !std::mem::take(&mut self.head).into_iter().all(&mut tell) {
            return;
        }
        loop {
            // What has begun by then is told all the same.
            if self.pipeline.is_stopping() || self.until.is_some_and(|until| Instant::now() >= until) {
                self.recording.stop();
            }
            match self.recording.next(LOOK) {
                Ok(seen) => {
                    if !self.lines(seen).into_iter().all(&mut tell) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) if gone() => return,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for text in self.last_words() {
            if !tell(Line::Note { text }) {
                return;
            }
        }
    }

    /// A request, and before it what happened to keys.
    fn lines(&mut self, seen: Seen) -> Vec<Line> {
        if seen
            .policies
            .as_ref()
            .is_some_and(|policies| !Arc::ptr_eq(policies, &self.policies))
        {
            self.replaced = true;
            self.recording.stop();
            return Vec::new();
        }
        if seen.state.as_ref().is_some_and(|state| state.revision < self.began) {
            self.early += 1;
            return Vec::new();
        }
        let mut lines = Vec::new();
        if let Some(state) = &seen.state {
            for (id, known) in &mut self.keys {
                if let Some(status) = state.keys.get(id).filter(|status| status.version > *known) {
                    *known = status.version;
                    lines.push(Line::KeyState(RecordedKeyState {
                        key: id.clone(),
                        state: status.state,
                        revision: revision(status.version),
                    }));
                }
            }
        }
        lines.push(Line::Request(request(seen, self.decided)));
        lines
    }

    fn last_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.replaced {
            words.push("The policies were replaced while it was recorded; what came afterwards is not in it.".to_owned());
        }
        if self.early > 0 {
            words.push(format!(
                "{} requests that were on their way as the recording began are not in it.",
                self.early
            ));
        }
        words
    }
}

/// In a recording 0 stands for none.
fn revision(of_state: u64) -> u64 {
    of_state.saturating_add(1)
}

/// Every decision that repeats none uses its key once.
fn decisions(state: &State) -> u64 {
    state.keys.values().map(|status| status.uses).sum()
}

fn request(seen: Seen, decided: u64) -> RecordedRequest {
    let outcome = RecordedOutcome::of(&seen.refused.map_or(Ok(()), Err));
    RecordedRequest {
        at_ms: seen.at_ms,
        caller: seen.caller.map(|name| name.to_string()),
        operation: seen.call.operation,
        key: seen.call.key,
        key_version: seen.key.map(|key| key.version),
        format: seen.call.format,
        scheme: seen.call.scheme,
        request_id: seen.call.request_id,
        payload: seen.call.payload,
        outcome,
        revision: seen.state.as_ref().map_or(0, |state| revision(state.revision)),
        decisions: seen.state.as_ref().map(|state| decisions(state).saturating_sub(decided)),
        sequence: seen.sequence,
        replay: seen.replay,
    }
}
