//! What came of decisions, and what operators changed.

use super::Witness;
use super::testimony::CameOf;
use crate::record::Signature;
use sigwarden_core::RawSignature;
use sigwarden_core::floor::Taken;
use sigwarden_core::state::Effect;

impl Witness {
    pub(super) fn outcome(&mut self, sequence: u64, outcome: &CameOf, effects: Vec<Effect>) -> Result<(), String> {
        let of = outcome.decision_sequence;
        let Some(open) = self.open.remove(&of) else {
            // Decided before what is read.
            if of < self.first {
                return Ok(());
            }
            return Err(format!("no decision {of} waits for an outcome"));
        };
        if of >= sequence
            || (&outcome.decision, &outcome.request, &outcome.caller) != (&open.decision, &open.request, &open.caller)
            || outcome.key != open.key
        {
            return Err(format!("it is not of decision {of}, which it names"));
        }
        let made = outcome.signatures.len();
        let failed = outcome.failed;
        if failed != outcome.explained || (failed && made > 0) || (!failed && made == 0 && open.inputs > 0) {
            return Err("an outcome has either signatures or a code and a message".to_owned());
        }
        if made > 0 && made != open.inputs {
            return Err(format!("it has {made} signatures, decision {of} has {} inputs", open.inputs));
        }
        let first = outcome.signatures.first().map(|signature| &signature.bytes);
        if let (Some(recorded), Some(first)) = (&open.recorded, first)
            && recorded != first
        {
            return Err("it repeats a decision with another signature than the one recorded".to_owned());
        }
        for effect in effects {
            if let Effect::RequestSigned { tag, signatures } = &effect {
                let same = |(kept, made): (&RawSignature, &Signature)| kept.bytes == made.bytes && kept.recovery_id == made.recovery_id;
                if *tag != open.tag || signatures.len() != made || !signatures.iter().zip(&outcome.signatures).all(same) {
                    return Err("it remembers other signatures than its own, or for another request".to_owned());
                }
                if let Some(remembered) = self.requests.get_mut(tag) {
                    remembered.signatures.clone_from(signatures);
                } else if self.complete {
                    return Err("it remembers signatures for a request id that was never given".to_owned());
                }
            }
            if let Effect::FloorSignature { key, position, signature } = effect {
                let other = open.floor.as_ref().is_some_and(|(own, at)| *own != key || *at != position);
                if Some(&signature) != first || other || (open.floor.is_none() && self.complete) {
                    return Err("it has a floor's signature that its decision is not of".to_owned());
                }
                if let Some(floor) = self.floors.get_mut(&key).filter(|floor| floor.position == position)
                    && let Taken::Message { signature: slot, .. } = &mut floor.taken
                {
                    *slot = Some(signature);
                }
            }
        }
        Ok(())
    }

    pub(super) fn administration(&mut self, effects: Vec<Effect>) -> Result<(), String> {
        if effects.is_empty() {
            return Err("a change by an operator that changes nothing".to_owned());
        }
        for effect in effects {
            match effect {
                Effect::KeyPinned { key, public_key, .. } => {
                    if self.keys.contains_key(&key) {
                        return Err(format!("{key} was pinned before"));
                    }
                    self.keys.insert(key, public_key);
                }
                Effect::KeyState { key, .. } => {
                    if self.complete && !self.keys.contains_key(&key) {
                        return Err(format!("{key} was never pinned"));
                    }
                }
                Effect::Floor { key, floor } => {
                    if let Some(stands) = self.floors.get(&key).filter(|stands| floor.position <= stands.position) {
                        let (at, stands) = (floor.position, stands.position);
                        return Err(format!("the floor stands at {stands}, {at} is not above it"));
                    }
                    self.floors.insert(key, floor);
                }
                Effect::PolicyInstance { .. }
                | Effect::Bucket { .. }
                | Effect::Watermark { .. }
                | Effect::Store { .. }
                | Effect::FloorSignature { .. }
                | Effect::Request { .. }
                | Effect::RequestSigned { .. }
                | Effect::RequestForgotten { .. }
                | Effect::ClockAccepted { .. }
                | Effect::Use { .. } => {}
            }
        }
        Ok(())
    }
}
