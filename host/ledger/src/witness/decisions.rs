//! Decisions and replays: floors only rise, one message for a position, and a replay repeats something.

use super::Witness;
use super::known::Open;
use super::testimony::{Decided, Takes};
use crate::record::Hashed;
use sigwarden_core::Operation;
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::request_id::{REMEMBERED_MAX, Remembered};
use sigwarden_core::state::{Effect, StateName};
use sigwarden_core::watermark::Watermark;

impl Witness {
    pub(super) fn decision(&mut self, sequence: u64, time: u64, decision: &Decided, effects: Vec<Effect>) -> Result<(), String> {
        let id = &decision.id;
        if !self.complete && !self.keys.contains_key(id) {
            // Pinned before the log begins: its floor says which it is.
            let public_key = effects.iter().find_map(|effect| match effect {
                Effect::Floor { key, .. } => Some(key.public_key.clone()),
                Effect::Bucket { .. }
                | Effect::Watermark { .. }
                | Effect::Store { .. }
                | Effect::FloorSignature { .. }
                | Effect::Use { .. }
                | Effect::KeyPinned { .. }
                | Effect::KeyState { .. }
                | Effect::PolicyInstance { .. }
                | Effect::Request { .. }
                | Effect::RequestSigned { .. }
                | Effect::RequestForgotten { .. }
                | Effect::ClockAccepted { .. } => None,
            });
            self.keys.extend(public_key.map(|public_key| (id.clone(), public_key)));
        }
        let main = self.floor_of(decision)?;
        let mut taken = Vec::new();
        let mut uses = 0;
        for effect in effects {
            match effect {
                Effect::Floor { key, floor } => {
                    let (main, consensus) = main
                        .as_ref()
                        .zip(decision.consensus.as_ref())
                        .ok_or("a floor without a consensus message")?;
                    self.take(&key, &floor, main, consensus, decision)?;
                    taken.push(key.class);
                    self.floors.insert(key, floor);
                }
                Effect::Watermark { instance, name, watermark } => self.rise(StateName { instance, name }, watermark)?,
                Effect::Use { key } if key == *id => uses += 1,
                Effect::Use { key } => return Err(format!("it counts a use of {key}, which is not its key")),
                Effect::Bucket { .. }
                | Effect::Store { .. }
                | Effect::FloorSignature { .. }
                | Effect::KeyPinned { .. }
                | Effect::KeyState { .. }
                | Effect::PolicyInstance { .. }
                | Effect::RequestSigned { .. }
                | Effect::ClockAccepted { .. } => {}
                Effect::Request { .. } | Effect::RequestForgotten { .. } => self.request(&effect, decision, time)?,
            }
        }
        if uses != 1 {
            return Err("a decision counts one use of its key".to_owned());
        }
        if decision.consensus.is_some() && taken.is_empty() {
            return Err("a consensus message was decided without taking its floor".to_owned());
        }
        let stands = main.as_ref().and_then(|key| self.floors.get(key)).cloned();
        // Another extension beside a precommit that was decided before: the precommit's own signature stands.
        let again = taken == [MessageClass::CometBftExtension];
        let recorded = stands.filter(|_| again).and_then(|floor| signature(&floor));
        self.opened(sequence, decision, main, recorded)
    }

    /// Judges a floor that a decision takes.
    fn take(&self, key: &FloorKey, floor: &Floor, main: &FloorKey, takes: &Takes, decision: &Decided) -> Result<(), String> {
        let stands = self.floors.get(key);
        let at = floor.position;
        if key.public_key != main.public_key || key.chain_id != main.chain_id || at != takes.position {
            return Err("it takes the floor of another key, chain or position than its own".to_owned());
        }
        match (&floor.taken, key.class) {
            (
                Taken::Message {
                    sign_bytes,
                    signature: None,
                    ..
                },
                MessageClass::CometBft | MessageClass::HotStuff,
            ) => {
                let hashed = decision.inputs.first().ok_or("it has no input")?;
                if Hashed::of(sign_bytes) != *hashed {
                    return Err("the sign bytes at its floor are not its first input".to_owned());
                }
                match stands {
                    Some(stands) if at > stands.position => Ok(()),
                    None if !self.complete => Ok(()),
                    Some(stands) if at == stands.position => Err(format!("{at} was taken before: a second message for one position")),
                    Some(stands) => Err(format!("{at} is below the floor, which stands at {}", stands.position)),
                    None => Err("no floor was known".to_owned()),
                }
            }
            (Taken::Extension { hash }, MessageClass::CometBftExtension) => {
                if decision.inputs.get(1).map(|input| input.blake3) != Some(*hash) {
                    return Err("the extension at its floor is not its second input".to_owned());
                }
                // Beside its precommit and only there: what stands at the precommit's floor is at this position, by this decision or before.
                let beside = self.floors.get(main).is_some_and(|floor| floor.position == at && is_message(floor));
                if !(beside || (!self.complete && !self.floors.contains_key(main))) {
                    return Err(format!("a vote extension at {at} without its precommit"));
                }
                match stands {
                    Some(stands) if at < stands.position => Err(format!("{at} is below the floor, which stands at {}", stands.position)),
                    Some(_) | None => Ok(()),
                }
            }
            (
                Taken::Message { .. } | Taken::Operator | Taken::Extension { .. },
                MessageClass::CometBft | MessageClass::CometBftExtension | MessageClass::HotStuff,
            ) => Err("a decision does not take a floor like this".to_owned()),
        }
    }

    pub(super) fn replay(&mut self, sequence: u64, time: u64, decision: &Decided, effects: &[Effect]) -> Result<(), String> {
        let key = self.floor_of(decision)?;
        // By its id: the very payload and key that were decided before, as far as that is known.
        let own = |remembered: &&Remembered| remembered.payload == decision.payload && remembered.version == decision.id.version;
        let kept = self
            .requests
            .get(&decision.tag)
            .filter(|remembered| remembered.is_kept(time / 1_000_000));
        let by_id = kept.filter(own);
        let signed = by_id
            .and_then(|remembered| remembered.signatures.first())
            .map(|signature| signature.bytes.clone());
        let recorded = match decision.consensus.as_ref().map(|message| message.position) {
            None if by_id.is_some() || !self.complete => signed,
            None => return Err("it repeats nothing: its request id was never given for this payload".to_owned()),
            Some(position) => self.repeated(key.as_ref(), position, signed)?,
        };
        for effect in effects {
            self.request(effect, decision, time)?;
        }
        self.opened(sequence, decision, key, recorded)
    }

    /// The signature that a replay of a vote repeats, by its floor or, once that has moved on, by its id.
    fn repeated(&self, key: Option<&FloorKey>, position: Position, signed: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, String> {
        let recorded = match key.and_then(|key| self.floors.get(key)) {
            Some(floor) if floor.position == position && is_message(floor) => signature(floor),
            Some(floor) if floor.position > position && signed.is_some() => signed,
            None if !self.complete => None,
            Some(floor) => return Err(format!("it repeats nothing: the floor stands at {}", floor.position)),
            None => return Err("it repeats nothing: no floor was known".to_owned()),
        };
        Ok(recorded)
    }

    fn opened(&mut self, sequence: u64, decision: &Decided, floor: Option<FloorKey>, recorded: Option<Vec<u8>>) -> Result<(), String> {
        let open = Open {
            sequence,
            decision: decision.decision.to_string(),
            request: decision.request.to_string(),
            caller: decision.caller.to_string(),
            key: decision.key.to_string(),
            tag: decision.tag,
            // A decapsulation leaves no signature.
            inputs: match decision.operation {
                Operation::Sign | Operation::PublicKey => decision.inputs.len(),
                Operation::Decapsulate => 0,
            },
            floor: floor.zip(decision.consensus.as_ref().map(|consensus| consensus.position)),
            recorded,
        };
        self.open.insert(sequence, open);
        Ok(())
    }

    /// The floor of a decision's own message; its key must be pinned.
    fn floor_of(&self, decision: &Decided) -> Result<Option<FloorKey>, String> {
        let id = &decision.id;
        let public_key = match self.keys.get(id) {
            Some(public_key) => public_key.clone(),
            None if !self.complete => return Ok(None),
            None => return Err(format!("{id} was never pinned")),
        };
        Ok(decision.consensus.as_ref().map(|consensus| FloorKey {
            public_key,
            chain_id: consensus.chain_id.to_string(),
            class: consensus.class,
        }))
    }

    /// A request id that is remembered or forgotten.
    fn request(&mut self, effect: &Effect, decision: &Decided, time: u64) -> Result<(), String> {
        let now_ms = time / 1_000_000;
        if let Effect::Request {
            tag,
            version,
            payload,
            decision: own,
            at_ms,
            ..
        } = effect
        {
            let body = (decision.payload, &*decision.decision, decision.id.version, now_ms);
            if *tag != decision.tag || (*payload, &*own.to_string(), *version, *at_ms) != body {
                return Err("it remembers another request than its own".to_owned());
            }
            if self.requests.get(tag).is_some_and(|before| before.is_kept(now_ms)) {
                return Err("it decides a request id that was decided before".to_owned());
            }
            let remembered = Remembered {
                version: *version,
                identity: [0; 32],
                payload: *payload,
                decision: *own,
                at_ms: *at_ms,
                signatures: Vec::new(),
            };
            self.requests.insert(*tag, remembered);
        }
        if let Effect::RequestForgotten { tag } = effect {
            let full = self.requests.len() >= REMEMBERED_MAX;
            match self.requests.remove(tag) {
                Some(remembered) if full || !remembered.is_kept(now_ms) => {}
                None if !self.complete => {}
                Some(_) => return Err("it forgets a request id that is to be kept".to_owned()),
                None => return Err("it forgets a request id that was never given".to_owned()),
            }
        }
        Ok(())
    }

    fn rise(&mut self, name: StateName, watermark: Watermark) -> Result<(), String> {
        // Every order that a policy may choose is one of rising lexicographically.
        if let Some(stands) = self.watermarks.get(&name)
            && (watermark.position.len() != stands.position.len() || watermark.position <= stands.position)
        {
            return Err(format!("the watermark `{}` of `{}` does not rise", name.name, name.instance));
        }
        self.watermarks.insert(name, watermark);
        Ok(())
    }
}

fn is_message(floor: &Floor) -> bool {
    matches!(floor.taken, Taken::Message { .. })
}

fn signature(floor: &Floor) -> Option<Vec<u8>> {
    match &floor.taken {
        Taken::Message { signature, .. } => signature.clone(),
        Taken::Operator | Taken::Extension { .. } => None,
    }
}
