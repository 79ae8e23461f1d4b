//! What a commit does to the state: judged under the ledger's lock, on the state as it is then.

use super::State;
use crate::effect::Effect;
use crate::fact::{MessageTime, SigningInput};
use crate::floor::{self, FloorPassed, FloorRefused};
use crate::ledger::{Conflict, Grant, RequestIdReused};
use crate::proof::{Approved, DecisionId, Request};
use crate::request_id::{KEPT_MS, REMEMBERED_MAX, Remembered, RequestTag, payload_hash};
use crate::staging::Staging;
use std::sync::Arc;

/// What committing an approved request does, settled under the ledger's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The changes of state.
    pub effects: Vec<Effect>,
    /// What is signed or returned: one for each signing input.
    pub grants: Vec<Grant>,
    /// The request repeats an earlier decision.
    pub replay: bool,
    /// That decision, if the request repeats its id.
    pub repeats: Option<DecisionId>,
}

fn fresh(input: &SigningInput, timestamp: Option<MessageTime>) -> Grant {
    Grant::Sign {
        input: input.clone(),
        timestamp,
    }
}

/// The signatures that were recorded for a request's id, if they are over this very payload.
fn released(seen: Option<&Remembered>, request: &Request) -> Option<Vec<Grant>> {
    let seen = seen.filter(|seen| seen.payload == payload_hash(&request.view().payload))?;
    let decoded = request.decoded();
    if seen.signatures.len() != decoded.inputs.iter().count() {
        return None;
    }
    let mut timestamp = decoded.consensus.as_ref().and_then(|message| message.timestamp);
    let pairs = decoded.inputs.iter().zip(&seen.signatures);
    Some(
        pairs
            .map(|(input, signature)| Grant::Released {
                input: input.clone(),
                signature: signature.clone(),
                timestamp: timestamp.take(),
            })
            .collect(),
    )
}

impl State {
    /// Decides what committing `approved` does to the state as it is now: validates the key's state, judges the floors, and applies
    /// every staged change of every policy again. Changes nothing.
    ///
    /// # Errors
    /// A floor refuses, or something that a policy saw has changed so that it must be asked again.
    pub fn settle(&self, approved: &Approved) -> Result<Settlement, Conflict> {
        let request = approved.request();
        let key = request.key();
        let status = self.keys.get(&key.id).ok_or(Conflict::Stale("the key"))?;
        if status.version != request.key_status().version {
            return Err(Conflict::Stale("the key's state"));
        }

        let seen = self.seen(request)?;
        let decoded = request.decoded();
        let mut effects = Vec::new();
        let mut replay = false;
        let mut grants: Vec<Grant> = decoded.inputs.iter().map(|input| fresh(input, None)).collect();
        if let Some(message) = &decoded.consensus {
            let judged = floor::judge(|key| self.floors.get(key).map(Arc::as_ref), &key.public_key, message);
            match judged {
                Ok(FloorPassed::Advance(floors)) => {
                    if let Some(first) = grants.first_mut() {
                        *first = fresh(&decoded.inputs.first, message.timestamp);
                    }
                    effects.extend(floors.into_iter().map(|(key, floor)| Effect::Floor { key, floor }));
                }
                Ok(FloorPassed::Replay {
                    sign_bytes,
                    timestamp,
                    signature,
                    floors,
                }) => {
                    if let Some(first) = grants.first_mut() {
                        *first = match signature {
                            Some(signature) => Grant::Recorded {
                                signature,
                                timestamp,
                                sign_bytes,
                            },
                            None => Grant::SignStored { sign_bytes, timestamp },
                        };
                    }
                    // Another extension beside the same precommit is something new, and the policies' state counts it; but not the one
                    // that was decided under this very id.
                    replay = floors.is_empty() || seen.is_some();
                    if !replay {
                        effects.extend(floors.into_iter().map(|(key, floor)| Effect::Floor { key, floor }));
                    }
                }
                // What was signed for this very payload may leave once more, though the floor has moved on. Nothing is signed.
                Err(refused @ FloorRefused::Regression { .. }) => {
                    grants = released(seen, request).ok_or(Conflict::Floor(refused))?;
                    replay = true;
                }
                Err(refused) => return Err(Conflict::Floor(refused)),
            }
        } else if seen.is_some() {
            replay = true;
            grants = released(seen, request).unwrap_or(grants);
        }
        if !replay {
            // Requests at once each saw a use left; the last of them is told so on its second way.
            let enforced = key.rotation.filter(|rule| rule.enforce);
            if enforced.is_some_and(|rule| rule.due(status, request.now_ms()).is_some()) {
                return Err(Conflict::Stale("the key's uses"));
            }
            for report in approved.reports() {
                let mut again = Staging::new(self.clone(), Arc::clone(&report.instance), request.now_ms());
                if !again.stands(&report.changes) {
                    return Err(Conflict::Stale("a policy's state"));
                }
                effects.extend(again.into_effects());
            }
            effects.push(Effect::Use { key: key.id.clone() });
        }
        if let (Some(tag), None) = (request.tag(), seen) {
            effects.extend(self.remember(tag, approved));
        }
        Ok(Settlement {
            effects,
            grants,
            replay,
            repeats: seen.map(|seen| seen.decision),
        })
    }

    /// What the request's id stands for, if it was given before and still counts.
    fn seen(&self, request: &Request) -> Result<Option<&Remembered>, Conflict> {
        let remembered = request.tag().and_then(|tag| self.requests.get(&tag));
        let Some(seen) = remembered.map(Arc::as_ref).filter(|seen| seen.is_kept(request.now_ms())) else {
            return Ok(None);
        };
        if seen.identity != request.identity() {
            return Err(Conflict::RequestId(RequestIdReused::Payload));
        }
        if seen.version != request.key().id.version {
            return Err(Conflict::RequestId(RequestIdReused::Version(seen.version)));
        }
        Ok(Some(seen))
    }

    /// Remembers an id, and forgets up to two that are too old, or one if there are too many: there are never many more than fit.
    fn remember(&self, tag: RequestTag, approved: &Approved) -> Vec<Effect> {
        let request = approved.request();
        let full = self.requests.len() >= REMEMBERED_MAX;
        let is_over = |index: usize, at_ms: u64| (full && index == 0) || request.now_ms().saturating_sub(at_ms) >= KEPT_MS;
        let oldest = self.requests_by_age.iter().take(2).enumerate();
        let mut effects: Vec<Effect> = oldest
            .filter(|(index, (at_ms, _))| is_over(*index, *at_ms))
            .map(|(_, (_, tag))| Effect::RequestForgotten { tag: *tag })
            .collect();
        effects.push(Effect::Request {
            tag,
            version: request.key().id.version,
            identity: request.identity(),
            payload: payload_hash(&request.view().payload),
            decision: approved.decision(),
            at_ms: request.now_ms(),
        });
        effects
    }
}
