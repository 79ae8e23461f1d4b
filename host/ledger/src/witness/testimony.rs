//! What a record says that a witness judges, without the rest: parsed on any thread, and small when it is handed to the witness's.

use crate::record::{Body, Consensus, Decision, Hashed, Kind, Outcome, Record, Signature};
use sigwarden_core::Operation;
use sigwarden_core::floor::{MessageClass, Position};
use sigwarden_core::key::KeyId;
use sigwarden_core::request_id::RequestTag;
use sigwarden_core::state::Effect;

/// What a record says.
#[derive(Debug)]
pub(crate) struct Testimony {
    pub(crate) sequence: u64,
    pub(crate) kind: Kind,
    pub(crate) time: u64,
    pub(crate) previous: [u8; 32],
    pub(crate) effects: Vec<Effect>,
    pub(super) told: Told,
}

/// What its body says, by kind.
#[derive(Debug)]
pub(super) enum Told {
    Start { deployment: String, generation: u64 },
    Decision(Decided),
    Outcome(CameOf),
    // Well-formed, and nothing to judge.
    Refusal,
    Administration,
}

/// Of a decision or replay.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) decision: String,
    pub(super) request: String,
    pub(super) caller: String,
    pub(super) key: String,
    pub(super) id: KeyId,
    /// Its request's id in its scope.
    pub(super) tag: RequestTag,
    pub(super) operation: Operation,
    pub(super) payload: [u8; 32],
    pub(super) inputs: Vec<Hashed>,
    pub(super) consensus: Option<Takes>,
}

/// What a consensus message takes.
#[derive(Debug)]
pub(super) struct Takes {
    pub(super) chain_id: String,
    pub(super) class: MessageClass,
    pub(super) position: Position,
}

/// Of an outcome.
#[derive(Debug)]
pub(super) struct CameOf {
    pub(super) decision_sequence: u64,
    pub(super) decision: String,
    pub(super) request: String,
    pub(super) caller: String,
    pub(super) key: String,
    pub(super) signatures: Vec<Signature>,
    /// It has a code.
    pub(super) failed: bool,
    /// It has a message.
    pub(super) explained: bool,
}

impl Testimony {
    /// Reads a line, without its LF.
    ///
    /// # Errors
    /// It is no record.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let record = Record::parse(line).map_err(|error| format!("this is no record: {error}"))?;
        let told = match record.body {
            Body::Start(start) => Told::Start {
                deployment: start.deployment.into_owned(),
                generation: start.generation,
            },
            Body::Decision(decision) => Told::Decision(Decided::of(decision)?),
            Body::Outcome(outcome) => Told::Outcome(CameOf::of(outcome)),
            Body::Refusal(_) | Body::Refusals(_) | Body::Shadow(_) => Told::Refusal,
            Body::Administration(_) => Told::Administration,
        };
        Ok(Self {
            sequence: record.sequence,
            kind: record.kind,
            time: record.time,
            previous: record.previous,
            effects: record.effects,
            told,
        })
    }
}

impl Decided {
    fn of(decision: Decision<'_>) -> Result<Self, String> {
        let id = decision.key.parse::<KeyId>().map_err(|error| error.to_string())?;
        let takes = |Consensus { chain_id, class, position }: Consensus<'_>| Takes {
            chain_id: chain_id.into_owned(),
            class,
            position,
        };
        Ok(Self {
            tag: RequestTag::of(&decision.caller, &id.name, &decision.request),
            id,
            decision: decision.decision.into_owned(),
            request: decision.request.into_owned(),
            caller: decision.caller.into_owned(),
            key: decision.key.into_owned(),
            operation: decision.operation,
            payload: decision.payload.blake3,
            inputs: decision.inputs,
            consensus: decision.consensus.map(takes),
        })
    }
}

impl CameOf {
    fn of(outcome: Outcome<'_>) -> Self {
        Self {
            decision_sequence: outcome.decision_sequence,
            decision: outcome.decision.into_owned(),
            request: outcome.request.into_owned(),
            caller: outcome.caller.into_owned(),
            key: outcome.key.into_owned(),
            failed: outcome.code.is_some(),
            explained: outcome.message.is_some(),
            signatures: outcome.signatures,
        }
    }
}
