//! Whether records mean what they may mean: floors only rise, one message for a position, signatures only for what was decided before,
//! replays change nothing. Knows nothing of the code that wrote them: it is the other half of [`crate::verify`], and
//! `tests/peers/verify.py` says the same in another language. Memory grows with floors, watermarks and keys, not with records.

mod decisions;
mod effects;
mod known;
mod outcomes;
mod testimony;

pub(crate) use known::Known;
pub(crate) use testimony::Testimony;

use crate::record::Kind;
use effects::{belongs, name};
use known::Open;
use sigwarden_core::floor::{Floor, FloorKey};
use sigwarden_core::key::KeyId;
use sigwarden_core::request_id::{Remembered, RequestTag};
use sigwarden_core::state::StateName;
use sigwarden_core::watermark::Watermark;
use std::collections::{BTreeMap, HashMap};
use testimony::Told;

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

    /// Reads the next record of a frame that holds.
    ///
    /// # Errors
    /// What it says cannot be.
    pub(crate) fn read(&mut self, record: Testimony) -> Result<(), String> {
        let Testimony {
            sequence,
            kind,
            effects,
            told,
            time,
            ..
        } = record;
        for effect in &effects {
            if !belongs(effect, kind) {
                return Err(format!("a `{}` record has no such effect: {}", kind.name(), name(effect)));
            }
        }
        match (kind, told) {
            (Kind::Start, Told::Start { deployment, generation }) => {
                if deployment != self.deployment || generation != self.generation {
                    return Err("its deployment or generation is not that of its segment".to_owned());
                }
                // What was decided before and has no outcome was interrupted: none will come.
                self.open.clear();
                Ok(())
            }
            (Kind::Decision, Told::Decision(decision)) => self.decision(sequence, time, &decision, effects),
            (Kind::Replay, Told::Decision(decision)) => self.replay(sequence, time, &decision, &effects),
            (Kind::Outcome, Told::Outcome(outcome)) => self.outcome(sequence, &outcome, effects),
            (Kind::Refusal | Kind::Refusals | Kind::Shadow, Told::Refusal) => Ok(()),
            (Kind::PublicKey | Kind::Lifecycle | Kind::PolicySet | Kind::Floor | Kind::Clock, Told::Administration) => {
                self.administration(effects)
            }
            (Kind::SecretAccess | Kind::Maintenance | Kind::Alarm, Told::Administration) if effects.is_empty() => Ok(()),
            (Kind::SecretAccess | Kind::Maintenance | Kind::Alarm, Told::Administration) => {
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
                Told::Start { .. } | Told::Decision(_) | Told::Outcome(_) | Told::Refusal | Told::Administration,
            ) => Err("its body is another kind's".to_owned()),
        }
    }
}
