//! Shows whoever records each request as it was asked, and what came of it. What a key made is no part of it. With nobody recording it
//! costs a request one atomic load.

use crate::key::KeyId;
use crate::pipeline::SignCall;
use crate::policy::PolicySet;
use crate::proof::Request;
use crate::refusal::Refusal;
use crate::state::State;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that a request counts for beside its texts and payload.
const OVERHEAD: usize = 512;

/// How much is shown at most. Requests wait in memory for whoever records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Requests.
    pub requests: usize,
    /// Bytes of what they say.
    pub bytes: usize,
}

/// A request that was answered.
pub struct Seen {
    /// The client, if the caller is one.
    pub caller: Option<Arc<str>>,
    /// What was asked.
    pub call: SignCall,
    /// The key that it was taken to mean, if it came so far.
    pub key: Option<KeyId>,
    /// The time by which it was judged, milliseconds since the Unix epoch; if it did not come so far, when it was refused.
    pub at_ms: u64,
    /// The state that it was judged by, if it came so far.
    pub state: Option<State>,
    /// The policies in force then.
    pub policies: Option<Arc<PolicySet>>,
    /// The record of its decision, if there is one and the caller was told of it.
    pub sequence: Option<u64>,
    /// It repeated an earlier decision, and changed no policy's state.
    pub replay: bool,
    /// Why there is no signature, if there is none.
    pub refused: Option<Refusal>,
}

/// A request on its way, to be shown once it is answered.
pub(crate) struct Watched {
    call: SignCall,
    key: Option<KeyId>,
    at_ms: Option<u64>,
    state: Option<State>,
    policies: Option<Arc<PolicySet>>,
    to: Sender<Seen>,
}

/// How a request ended, as its trail knows it.
pub(crate) struct Ended<'a> {
    pub(crate) caller: Option<Arc<str>>,
    pub(crate) sequence: Option<u64>,
    pub(crate) replay: bool,
    pub(crate) refused: Option<&'a Refusal>,
    /// What the wall clock says.
    pub(crate) wall_ms: u64,
}

struct Open {
    id: u64,
    left: Bounds,
    to: Sender<Seen>,
}

#[derive(Default)]
struct Slot {
    open: Option<Open>,
    /// Recordings so far.
    begun: u64,
}

/// The place of the one recording that there may be.
#[derive(Default)]
pub(crate) struct Recorder {
    on: AtomicBool,
    slot: Mutex<Slot>,
}

/// A recording that runs; ends when dropped.
pub struct Recording {
    id: u64,
    recorder: Arc<Recorder>,
    seen: Receiver<Seen>,
}

impl Recorder {
    /// Begins; none if somebody records already.
    pub(crate) fn begin(self: &Arc<Self>, bounds: Bounds) -> Option<Recording> {
        let mut slot = self.slot();
        if slot.open.is_some() {
            return None;
        }
        let (to, seen) = channel();
        slot.begun += 1;
        let id = slot.begun;
        slot.open = Some(Open { id, left: bounds, to });
        self.on.store(true, Ordering::SeqCst);
        Some(Recording {
            id,
            recorder: Arc::clone(self),
            seen,
        })
    }

    /// Of a request that begins: what to show of it later, if anybody records.
    pub(crate) fn watch(&self, call: &SignCall) -> Option<Box<Watched>> {
        if !self.on.load(Ordering::Relaxed) {
            return None;
        }
        let mut slot = self.slot();
        let open = slot.open.as_mut()?;
        let texts = [&call.operation, &call.key, &call.format, &call.scheme, &call.request_id];
        let bytes = texts.iter().map(|text| text.len()).sum::<usize>() + call.payload.len() + OVERHEAD;
        let left = open
            .left
            .requests
            .checked_sub(1)
            .zip(open.left.bytes.checked_sub(bytes))
            .map(|(requests, bytes)| Bounds { requests, bytes });
        let to = open.to.clone();
        match left {
            Some(left) if left.requests > 0 => open.left = left,
            // The last one ends it, not the one after, which may never come.
            Some(_) | None => self.close(&mut slot),
        }
        left.map(|_| {
            Box::new(Watched {
                call: call.clone(),
                key: None,
                at_ms: None,
                state: None,
                policies: None,
                to,
            })
        })
    }

    fn close(&self, slot: &mut Slot) {
        self.on.store(false, Ordering::SeqCst);
        slot.open = None;
    }

    // Whole after any panic: no code that can panic runs under the lock.
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// It is judged by this.
    pub(crate) fn judged_by(&mut self, state: &State, policies: &Arc<PolicySet>) {
        self.state = Some(state.clone());
        self.policies = Some(Arc::clone(policies));
    }

    /// It decodes, and has a time.
    pub(crate) fn decoded(&mut self, request: &Request) {
        self.key = Some(request.key().id.clone());
        self.at_ms = Some(request.now_ms());
        self.state = Some(request.snapshot.clone());
    }

    /// It is answered.
    pub(crate) fn ended(self, ended: Ended<'_>) {
        let Self {
            call,
            key,
            at_ms,
            state,
            policies,
            to,
        } = self;
        // Whoever recorded may be gone.
        drop(to.send(Seen {
            caller: ended.caller,
            call,
            key,
            at_ms: at_ms.unwrap_or(ended.wall_ms),
            state,
            policies,
            sequence: ended.sequence,
            replay: ended.replay,
            refused: ended.refused.cloned(),
        }));
    }
}

impl Recording {
    /// The next request that is answered, in the order of the answers.
    ///
    /// # Errors
    /// None within `wait`; or it is over: the bounds are reached or it was stopped, and all that had begun is answered.
    pub fn next(&self, wait: Duration) -> Result<Seen, RecvTimeoutError> {
        self.seen.recv_timeout(wait)
    }

    /// Requests that begin from now on are not in it.
    pub fn stop(&self) {
        let mut slot = self.recorder.slot();
        if slot.open.as_ref().is_some_and(|open| open.id == self.id) {
            self.recorder.close(&mut slot);
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::time::Instant;

    const BOUNDS: Bounds = Bounds {
        requests: 2,
        bytes: 10_000,
    };
    const SOON: Duration = Duration::from_millis(1);

    fn call(payload: usize) -> SignCall {
        SignCall {
            operation: "sign".to_owned(),
            key: "a.b".to_owned(),
            format: "raw-digest".to_owned(),
            scheme: String::new(),
            request_id: String::new(),
            payload: vec![7; payload],
            received: Instant::now(),
        }
    }

    fn end(watched: Box<Watched>) {
        watched.ended(Ended {
            caller: None,
            sequence: None,
            replay: false,
            refused: None,
            wall_ms: 5,
        });
    }

    #[test]
    fn what_began_before_the_end_is_shown_and_nothing_else() {
        let recorder = Arc::new(Recorder::default());
        assert!(recorder.watch(&call(1)).is_none());
        let recording = recorder.begin(BOUNDS).unwrap();
        assert!(recorder.begin(BOUNDS).is_none(), "one records at a time");
        let first = recorder.watch(&call(1)).unwrap();
        recording.stop();
        assert!(recorder.watch(&call(1)).is_none());
        assert!(matches!(recording.next(SOON), Err(RecvTimeoutError::Timeout)));
        end(first);
        assert_eq!(recording.next(SOON).ok().unwrap().at_ms, 5);
        assert!(matches!(recording.next(SOON), Err(RecvTimeoutError::Disconnected)));

        // One that is over ends no other.
        let next = recorder.begin(BOUNDS).unwrap();
        drop(recording);
        assert!(recorder.watch(&call(1)).is_some());
        drop(next);
        assert!(recorder.watch(&call(1)).is_none());
    }

    #[test]
    fn bounds_end_it() {
        let recorder = Arc::new(Recorder::default());
        let recording = recorder.begin(BOUNDS).unwrap();
        for _ in 0..2 {
            end(recorder.watch(&call(1)).unwrap());
        }
        assert_eq!(std::iter::from_fn(|| recording.next(SOON).ok()).count(), 2);
        assert!(
            matches!(recording.next(SOON), Err(RecvTimeoutError::Disconnected)),
            "without a third"
        );
        assert!(recorder.watch(&call(1)).is_none());

        let _large = recorder.begin(BOUNDS).unwrap();
        assert!(recorder.watch(&call(9_000)).is_some());
        assert!(recorder.watch(&call(9_000)).is_none());
    }
}
