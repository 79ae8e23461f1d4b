//! Whether records mean what they may mean: floors only rise, one message for a position, signatures only for what was decided before,
//! replays change nothing. Knows nothing of the code that wrote them: it is the other half of [`crate::verify`], and
//! `tests/peers/verify.py` says the same in another language. Memory grows with floors, watermarks and keys, not with records.

use crate::record::{self, Body, Consensus, Decision, Kind, Outcome, Record};
use serde::Serialize;
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::key::KeyId;
use sigwarden_core::proof::DecisionId;
use sigwarden_core::request_id::{REMEMBERED_MAX, Remembered, RequestTag};
use sigwarden_core::state::{Effect, StateName};
use sigwarden_core::watermark::Watermark;
use sigwarden_core::{Operation, RawSignature, wire};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The deployment as its records tell it so far.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    /// The first sequence read is 1, so that all is known. Else what was never seen is taken as it comes.
    complete: bool,
    /// The first sequence read.
    first: u64,
    deployment: String,
    generation: u64,
    keys: HashMap<KeyId, Vec<u8>>,
    floors: HashMap<FloorKey, Floor>,
    watermarks: HashMap<StateName, Watermark>,
    requests: HashMap<RequestTag, Remembered>,
    open: BTreeMap<u64, Open>,
}

/// A decision whose outcome is to come.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Open {
    #[serde(with = "wire::decimal")]
    sequence: u64,
    decision: String,
    request: String,
    caller: String,
    key: String,
    /// Its request's id in its scope.
    tag: RequestTag,
    inputs: usize,
    /// The floor that its first signature is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<(FloorKey, Position)>,
    /// For a replay of what was signed before: that signature, and no other.
    #[serde(with = "wire::optional_bytes")]
    recorded: Option<Vec<u8>>,
}

/// A key, for an auditor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PinnedKey {
    key: KeyId,
    #[serde(with = "wire::bytes")]
    public_key: Vec<u8>,
}

/// A floor, as the effect of this name tells it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StandingFloor {
    key: FloorKey,
    floor: Floor,
}

/// A watermark, as the effect of this name tells it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StandingWatermark {
    instance: Arc<str>,
    name: Arc<str>,
    watermark: Watermark,
}

/// A request id, as the effects of these names tell it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RememberedRequest {
    tag: RequestTag,
    version: u32,
    #[serde(with = "wire::array32")]
    payload: [u8; 32],
    decision: DecisionId,
    #[serde(with = "wire::decimal")]
    at_ms: u64,
    signatures: Vec<RawSignature>,
}

/// What a reader must know to go on from here, in order.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Known {
    complete: bool,
    keys: Vec<PinnedKey>,
    floors: Vec<StandingFloor>,
    watermarks: Vec<StandingWatermark>,
    requests: Vec<RememberedRequest>,
    decisions: Vec<Open>,
}

impl Witness {
    /// Of a log whose first record has this sequence.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            first,
            complete: first == 1,
            deployment: String::new(),
            generation: 0,
            keys: HashMap::new(),
            floors: HashMap::new(),
            watermarks: HashMap::new(),
            requests: HashMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// A segment begins.
    pub(crate) fn segment(&mut self, deployment: &str, generation: u64) {
        self.deployment.replace_range(.., deployment);
        self.generation = generation;
    }

    /// What stands now.
    pub(crate) fn known(&self) -> Known {
        let mut keys: Vec<_> = self.keys.iter().map(|(key, public)| pinned(key, public)).collect();
        keys.sort_by(|a, b| a.key.cmp(&b.key));
        let mut floors: Vec<_> = self.floors.iter().map(|(key, floor)| standing(key, floor)).collect();
        floors.sort_by(|a, b| a.key.cmp(&b.key));
        let mut watermarks: Vec<_> = self.watermarks.iter().collect();
        watermarks.sort_by_key(|(name, _)| *name);
        let watermarks = watermarks.into_iter().map(|(name, watermark)| StandingWatermark {
            instance: Arc::clone(&name.instance),
            name: Arc::clone(&name.name),
            watermark: watermark.clone(),
        });
        let mut requests: Vec<_> = self.requests.iter().map(|(tag, remembered)| request(*tag, remembered)).collect();
        requests.sort_by_key(|request| request.tag);
        Known {
            complete: self.complete,
            keys,
            floors,
            watermarks: watermarks.collect(),
            requests,
            decisions: self.open.values().cloned().collect(),
        }
    }

    /// Reads the next record of a frame that holds.
    ///
    /// # Errors
    /// What it says cannot be.
    pub(crate) fn read(&mut self, record: Record) -> Result<(), String> {
        let Record {
            sequence,
            kind,
            effects,
            body,
            time,
            ..
        } = record;
        for effect in &effects {
            if !belongs(effect, kind) {
                return Err(format!("a `{}` record has no such effect: {}", kind.name(), name(effect)));
            }
        }
        match (kind, body) {
            (Kind::Start, Body::Start(start)) => {
                if start.deployment != self.deployment || start.generation != self.generation {
                    return Err("its deployment or generation is not that of its segment".to_owned());
                }
                // What was decided before and has no outcome was interrupted: none will come.
                self.open.clear();
                Ok(())
            }
            (Kind::Decision, Body::Decision(decision)) => self.decision(sequence, time, &decision, effects),
            (Kind::Replay, Body::Decision(decision)) => self.replay(sequence, time, &decision, &effects),
            (Kind::Outcome, Body::Outcome(outcome)) => self.outcome(sequence, &outcome, effects),
            (Kind::Refusal, Body::Refusal(_)) | (Kind::Refusals, Body::Refusals(_)) | (Kind::Shadow, Body::Shadow(_)) => Ok(()),
            (Kind::PublicKey | Kind::Lifecycle | Kind::PolicySet | Kind::Floor | Kind::Clock, Body::Administration(_)) => {
                self.administration(effects)
            }
            (Kind::SecretAccess | Kind::Maintenance | Kind::Alarm, Body::Administration(_)) if effects.is_empty() => Ok(()),
            (Kind::SecretAccess | Kind::Maintenance | Kind::Alarm, Body::Administration(_)) => {
                Err("it only tells something, and changes the state".to_owned())
            }
            (
                Kind::Start
                | Kind::Decision
                | Kind::Replay
                | Kind::Outcome
                | Kind::Refusal
                | Kind::Refusals
                | Kind::Shadow
                | Kind::Clock
                | Kind::PublicKey
                | Kind::Lifecycle
                | Kind::PolicySet
                | Kind::Floor
                | Kind::SecretAccess
                | Kind::Maintenance
                | Kind::Alarm,
                Body::Start(_)
                | Body::Decision(_)
                | Body::Outcome(_)
                | Body::Refusal(_)
                | Body::Refusals(_)
                | Body::Shadow(_)
                | Body::Administration(_),
            ) => Err("its body is another kind's".to_owned()),
        }
    }

    fn decision(&mut self, sequence: u64, time: u64, decision: &Decision<'_>, effects: Vec<Effect>) -> Result<(), String> {
        let id = decision.key.parse::<KeyId>().map_err(|error| error.to_string())?;
        if !self.complete && !self.keys.contains_key(&id) {
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
                Effect::Use { key } if key == id => uses += 1,
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
    fn take(
        &self,
        key: &FloorKey,
        floor: &Floor,
        main: &FloorKey,
        consensus: &Consensus<'_>,
        decision: &Decision<'_>,
    ) -> Result<(), String> {
        let stands = self.floors.get(key);
        let at = floor.position;
        if key.public_key != main.public_key || key.chain_id != main.chain_id || at != consensus.position {
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
                if crate::record::Hashed::of(sign_bytes) != *hashed {
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

    fn replay(&mut self, sequence: u64, time: u64, decision: &Decision<'_>, effects: &[Effect]) -> Result<(), String> {
        let key = self.floor_of(decision)?;
        // By its id: the very payload and key that were decided before, as far as that is known.
        let (tag, id) = tag_of(decision)?;
        let own = |remembered: &&Remembered| remembered.payload == decision.payload.blake3 && remembered.version == id.version;
        let kept = self.requests.get(&tag).filter(|remembered| remembered.is_kept(time / 1_000_000));
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

    fn opened(&mut self, sequence: u64, decision: &Decision<'_>, floor: Option<FloorKey>, recorded: Option<Vec<u8>>) -> Result<(), String> {
        let tag = tag_of(decision)?.0;
        let open = Open {
            sequence,
            decision: decision.decision.to_string(),
            request: decision.request.to_string(),
            caller: decision.caller.to_string(),
            key: decision.key.to_string(),
            tag,
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
    fn floor_of(&self, decision: &Decision<'_>) -> Result<Option<FloorKey>, String> {
        let id = decision.key.parse::<KeyId>().map_err(|error| error.to_string())?;
        let public_key = match self.keys.get(&id) {
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

    fn outcome(&mut self, sequence: u64, outcome: &Outcome<'_>, effects: Vec<Effect>) -> Result<(), String> {
        let of = outcome.decision_sequence;
        let Some(open) = self.open.remove(&of) else {
            // Decided before what is read.
            if of < self.first {
                return Ok(());
            }
            return Err(format!("no decision {of} waits for an outcome"));
        };
        if of >= sequence
            || (&*outcome.decision, &*outcome.request, &*outcome.caller) != (&open.decision, &open.request, &open.caller)
            || outcome.key != open.key
        {
            return Err(format!("it is not of decision {of}, which it names"));
        }
        let made = outcome.signatures.len();
        let failed = outcome.code.is_some();
        if failed != outcome.message.is_some() || (failed && made > 0) || (!failed && made == 0 && open.inputs > 0) {
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
                let same =
                    |(kept, made): (&RawSignature, &record::Signature)| kept.bytes == made.bytes && kept.recovery_id == made.recovery_id;
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

    fn administration(&mut self, effects: Vec<Effect>) -> Result<(), String> {
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

    /// A request id that is remembered or forgotten.
    fn request(&mut self, effect: &Effect, decision: &Decision<'_>, time: u64) -> Result<(), String> {
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
            let (wanted, id) = tag_of(decision)?;
            let body = (decision.payload.blake3, decision.decision.to_string(), id.version, now_ms);
            if *tag != wanted || (*payload, own.to_string(), *version, *at_ms) != body {
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

fn request(tag: RequestTag, remembered: &Remembered) -> RememberedRequest {
    RememberedRequest {
        tag,
        version: remembered.version,
        payload: remembered.payload,
        decision: remembered.decision,
        at_ms: remembered.at_ms,
        signatures: remembered.signatures.clone(),
    }
}

/// A decision's request id in its scope, and its key.
fn tag_of(decision: &Decision<'_>) -> Result<(RequestTag, KeyId), String> {
    let id = decision.key.parse::<KeyId>().map_err(|error| error.to_string())?;
    Ok((RequestTag::of(&decision.caller, &id.name, &decision.request), id))
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

fn pinned(key: &KeyId, public_key: &[u8]) -> PinnedKey {
    PinnedKey {
        key: key.clone(),
        public_key: public_key.to_vec(),
    }
}

fn standing(key: &FloorKey, floor: &Floor) -> StandingFloor {
    StandingFloor {
        key: key.clone(),
        floor: floor.clone(),
    }
}

/// The kinds of records that an effect may be in.
fn belongs(effect: &Effect, kind: Kind) -> bool {
    match effect {
        Effect::Floor { .. } => matches!(kind, Kind::Decision | Kind::Floor),
        Effect::Bucket { .. } | Effect::Watermark { .. } | Effect::Store { .. } | Effect::Use { .. } => kind == Kind::Decision,
        Effect::FloorSignature { .. } => kind == Kind::Outcome,
        Effect::KeyPinned { .. } => kind == Kind::PublicKey,
        Effect::KeyState { .. } => kind == Kind::Lifecycle,
        Effect::PolicyInstance { .. } => kind == Kind::PolicySet,
        Effect::Request { .. } | Effect::RequestForgotten { .. } => matches!(kind, Kind::Decision | Kind::Replay),
        Effect::RequestSigned { .. } => kind == Kind::Outcome,
        Effect::ClockAccepted { .. } => kind == Kind::Clock,
    }
}

fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Bucket { .. } => "bucket",
        Effect::Watermark { .. } => "watermark",
        Effect::Store { .. } => "store",
        Effect::Floor { .. } => "floor",
        Effect::FloorSignature { .. } => "floor-signature",
        Effect::Use { .. } => "use",
        Effect::KeyPinned { .. } => "key-pinned",
        Effect::KeyState { .. } => "key-state",
        Effect::PolicyInstance { .. } => "policy-instance",
        Effect::Request { .. } => "request",
        Effect::RequestSigned { .. } => "request-signed",
        Effect::RequestForgotten { .. } => "request-forgotten",
        Effect::ClockAccepted { .. } => "clock-accepted",
    }
}
