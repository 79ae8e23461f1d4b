//! Request ids that clients give: one decision and one signed message for each, over restarts. The ledger's state remembers them; two
//! requests that could become the same signature are judged one after the other.

use crate::fact::{ConsensusMessage, Decoded};
use crate::format::Format;
use crate::key::KeyName;
use crate::proof::{DecisionId, RawSignature};
use crate::wire;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// How long an id is remembered: a day, in which a client that retries has long given up.
pub const KEPT_MS: u64 = 24 * 60 * 60 * 1000;
/// The most ids that are remembered; beyond it the oldest are forgotten first. A million are some 450 MB.
pub const REMEMBERED_MAX: usize = 1_000_000;

/// A request id in its scope: BLAKE3 of caller, key and id, each after its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestTag(#[serde(with = "wire::array32")] pub [u8; 32]);

impl RequestTag {
    /// The id that this caller gave for a request to this key, whatever its version.
    #[must_use]
    pub fn of(caller: &str, key: &KeyName, id: &str) -> Self {
        Self(hash(
            "sigwarden request id 1",
            &[caller.as_bytes(), key.as_str().as_bytes(), id.as_bytes()],
        ))
    }
}

/// What a remembered id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The version of the key that was decided for.
    pub version: u32,
    /// What was asked for, its timestamp aside: [`identity`].
    pub identity: [u8; 32],
    /// BLAKE3 of the payload, timestamp and all.
    pub payload: [u8; 32],
    /// The decision.
    pub decision: DecisionId,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What was signed, one for each signing input; empty if no outcome was recorded.
    pub signatures: Vec<RawSignature>,
}

impl Remembered {
    /// Whether it still counts.
    #[must_use]
    pub fn is_kept(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.at_ms) < KEPT_MS
    }
}

/// What two requests have in common if they ask for the same signature: the format, and the payload or, for a consensus message, its
/// identity with that of its extension.
#[must_use]
pub fn identity(format: Format, payload: &[u8], decoded: &Decoded) -> [u8; 32] {
    let format = format.name().as_bytes();
    match &decoded.consensus {
        Some(message) => {
            let extension = message.extension.as_ref().map_or(&[][..], |hash| hash.as_slice());
            hash("sigwarden message identity 1", &[format, &message.identity, extension])
        }
        None => hash("sigwarden payload identity 1", &[format, payload]),
    }
}

/// BLAKE3 of a payload.
#[must_use]
pub fn payload_hash(payload: &[u8]) -> [u8; 32] {
    blake3::hash(payload).into()
}

fn hash(what: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(what);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Requests that are on their way and must not overtake each other.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    taken: Mutex<HashSet<[u8; 32]>>,
    left: Condvar,
}

/// A place in [`InFlight`], left when dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    of: &'a InFlight,
    taken: Vec<[u8; 32]>,
}

/// What a request may not share with another one in flight: its id, and the position of its vote.
pub(crate) fn exclusive(tag: Option<RequestTag>, public_key: &[u8], message: Option<&ConsensusMessage>) -> Vec<[u8; 32]> {
    let position = message.map(|message| {
        let numbers: Vec<u8> = message.position.0.iter().flat_map(|number| number.to_be_bytes()).collect();
        let class = message.class.name().as_bytes();
        hash("sigwarden position 1", &[public_key, message.chain_id.as_bytes(), class, &numbers])
    });
    tag.map(|tag| tag.0).into_iter().chain(position).collect()
}

impl InFlight {
    /// Takes them all if none of these is in flight.
    pub(crate) fn enter_now(&self, wanted: Vec<[u8; 32]>) -> Option<Place<'_>> {
        if !wanted.is_empty() {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            if wanted.iter().any(|one| taken.contains(one)) {
                return None;
            }
            taken.extend(&wanted);
        }
        Some(Place { of: self, taken: wanted })
    }

    /// Waits until none of these is in flight, at most until `deadline`, and takes them all.
    pub(crate) fn enter(&self, wanted: Vec<[u8; 32]>, deadline: Instant) -> Option<Place<'_>> {
        if !wanted.is_empty() {
            // A set is valid after any panic.
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            while wanted.iter().any(|one| taken.contains(one)) {
                let left = deadline.checked_duration_since(Instant::now())?;
                taken = self.left.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            taken.extend(&wanted);
        }
        Some(Place { of: self, taken: wanted })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for one in &self.taken {
            taken.remove(one);
        }
        drop(taken);
        self.of.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::time::Duration;

    #[test]
    fn caller_key_and_id_scope_a_tag_and_none_runs_into_the_next() {
        let key = |name: &str| name.parse::<KeyName>().unwrap();
        let tag = RequestTag::of("node", &key("own.account"), "1");
        assert_eq!(tag, RequestTag::of("node", &key("own.account"), "1"));
        for other in [
            RequestTag::of("nod", &key("eown.account"), "1"),
            RequestTag::of("node", &key("own.account"), "2"),
            RequestTag::of("node", &key("own.other"), "1"),
            RequestTag::of("other", &key("own.account"), "1"),
        ] {
            assert_ne!(tag, other);
        }
    }

    #[test]
    fn a_place_is_waited_for_and_left() {
        let flights = InFlight::default();
        let soon = || Instant::now() + Duration::from_millis(5);
        let later = Instant::now() + Duration::from_secs(60);
        let place = flights.enter(vec![[1; 32], [2; 32]], later).unwrap();
        assert!(flights.enter(vec![[2; 32]], soon()).is_none(), "it is taken");
        assert!(flights.enter_now(vec![[2; 32]]).is_none(), "it is not waited for");
        assert!(flights.enter_now(vec![[3; 32]]).is_some());
        assert!(flights.enter(vec![[3; 32]], soon()).is_some(), "another is not");
        assert!(flights.enter(Vec::new(), soon()).is_some());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| flights.enter(vec![[1; 32]], later).is_some());
            drop(place);
            assert!(waits.join().unwrap());
        });
        assert!(flights.taken.lock().unwrap().is_empty());
    }
}
