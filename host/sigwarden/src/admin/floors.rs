//! Floors: they are raised, never lowered.

use super::{Administrator, NotDone, find, wanted};
use crate::config::Config;
use crate::proto::admin as wire;
use sigwarden_core::floor::{CHAIN_ID_MAX, Floor, FloorKey, MessageClass, Position, SIGN_BYTES_MAX, Taken};
use sigwarden_core::state::{Effect, KeyStatus, State};
use sigwarden_core::verify::verify;
use sigwarden_core::{Format, Ledger, RawSignature, Role};
use sigwarden_ledger::AdminKind;
use std::sync::Arc;

/// Floors in one command. A deployment has a few consensus keys on a few chains.
const FLOORS_MAX: usize = 1024;

impl Administrator {
    /// Raises floors, all of them or none.
    ///
    /// # Errors
    /// One is below what stands, is of no consensus key, or claims a message that it is not.
    pub fn raise_floors(&self, request: wire::RaiseFloorsRequest) -> Result<wire::RaiseFloorsResponse, NotDone> {
        let _turn = self.turn();
        wanted(&request.reason)?;
        if request.floors.is_empty() || request.floors.len() > FLOORS_MAX {
            return Err(NotDone::cannot(format!("1 to {FLOORS_MAX} floors are raised at once")));
        }
        let config = self.config();
        let mut state = self.ledger()?.snapshot();
        let (mut effects, mut floors) = (Vec::new(), Vec::new());
        for new in &request.floors {
            let (id, key, floor) = judge(&config, &state, new)?;
            let before = state.floors.get(&key).cloned();
            let stands = before.as_ref().map(|floor| floor.position);
            floors.push(wire::RaisedFloor {
                key: id,
                chain_id: key.chain_id.clone(),
                position: floor.position.to_string(),
                before: stands.map(|position| position.to_string()).unwrap_or_default(),
            });
            // The same again is no change, and no fault: the file that was imported is imported again.
            if before.as_ref().is_none_or(|before| !is_met(before, &floor)) {
                let effect = Effect::Floor { key, floor };
                state.apply(&effect);
                effects.push(effect);
            }
        }
        let sequence = match effects.is_empty() {
            true => None,
            false => Some(self.record(AdminKind::Floor, &request.reason, effects)?),
        };
        Ok(wire::RaiseFloorsResponse { floors, sequence })
    }
}

/// Whether a floor stands where another would stand, and is no less strict.
fn is_met(stands: &Floor, wanted: &Floor) -> bool {
    stands.position == wanted.position
        && match (&stands.taken, &wanted.taken) {
            (Taken::Message { identity, .. }, Taken::Message { identity: other, .. }) => identity == other,
            (Taken::Operator | Taken::Message { .. }, Taken::Operator) | (Taken::Operator, Taken::Message { .. }) => true,
            (Taken::Extension { .. }, _) | (_, Taken::Extension { .. }) => false,
        }
}

fn judge(config: &Config, state: &State, new: &wire::NewFloor) -> Result<(String, FloorKey, Floor), NotDone> {
    let key = find(config, &new.key)?;
    if !key.roles.contains(&Role::Consensus) {
        return Err(NotDone::no(format!("{} is no consensus key; only those have floors", key.id)));
    }
    if new.chain_id.is_empty() || new.chain_id.len() > CHAIN_ID_MAX {
        return Err(NotDone::cannot(format!("a chain id has 1 to {CHAIN_ID_MAX} bytes")));
    }
    let class: MessageClass = match new.class.as_str() {
        "" => MessageClass::CometBft,
        name => name.parse()?,
    };
    if class == MessageClass::CometBftExtension {
        return Err(NotDone::no(
            "extensions follow their precommits; raise the floor of class `cometbft`",
        ));
    }
    if class == MessageClass::CometBft && i64::try_from(new.height).is_err() {
        let most = i64::MAX;
        return Err(NotDone::cannot(format!(
            "height {}: CometBFT heights are int64, {most} is the highest; a floor above it could never be right",
            new.height
        )));
    }
    let status = state.keys.get(&key.id).ok_or_else(|| {
        NotDone::no(format!(
            "the ledger does not know {} yet; generate or import it, or start the daemon once",
            key.id
        ))
    })?;
    let floor_key = FloorKey {
        public_key: status.public_key.clone(),
        chain_id: new.chain_id.clone(),
        class,
    };
    // A chain has one kind of messages. A floor of another kind guards nothing, never goes away, and is in the way of a rotation.
    let other = |(floor, stands): &(&Arc<FloorKey>, &Arc<Floor>)| {
        floor.public_key == floor_key.public_key
            && floor.chain_id == floor_key.chain_id
            && (floor.class == MessageClass::HotStuff) != (class == MessageClass::HotStuff)
            && matches!(stands.taken, Taken::Message { .. })
    };
    if let Some((floor, stands)) = state.floors.iter().find(other) {
        return Err(NotDone::no(format!(
            "{} signs messages of class `{}` on chain {}, last at {}; a floor of class `{class}` there would guard nothing",
            key.id, floor.class, floor.chain_id, stands.position
        )));
    }
    let floor = match &new.within {
        None => Floor {
            position: Position::end_of_height(new.height),
            taken: Taken::Operator,
        },
        Some(within) => {
            let right = match class {
                MessageClass::HotStuff => (1..=3).contains(&within.round) && within.step == 0,
                MessageClass::CometBft | MessageClass::CometBftExtension => {
                    within.round <= i32::MAX.unsigned_abs().into() && (1..=3).contains(&within.step)
                }
            };
            if !right {
                return Err(NotDone::cannot(format!(
                    "round {}, step {}: rounds are int32, steps are 1 (proposal), 2 (prevote), 3 (precommit); for `hotstuff` the round is 1 \
                     (proposal), 2 (vote) or 3 (timeout) and the step 0",
                    within.round, within.step
                )));
            }
            let position = Position([new.height, within.round, within.step.into()]);
            let taken = match &within.message {
                None => Taken::Operator,
                Some(message) => taken(message, status, &new.chain_id, class, position)?,
            };
            Floor { position, taken }
        }
    };
    Ok((key.id.to_string(), floor_key, floor))
}

/// A message that was signed elsewhere, if it is one of this key on this chain at this position.
fn taken(message: &wire::Message, status: &KeyStatus, chain_id: &str, class: MessageClass, position: Position) -> Result<Taken, NotDone> {
    if message.sign_bytes.len() > SIGN_BYTES_MAX {
        return Err(NotDone::no(format!("sign bytes have {SIGN_BYTES_MAX} bytes at most")));
    }
    let Position([_, round, step]) = position;
    let format = match (class, round, step) {
        (MessageClass::HotStuff, 1, _) => Format::HotStuffProposal,
        (MessageClass::HotStuff, 2, _) => Format::HotStuffVote,
        (MessageClass::HotStuff, _, _) => Format::HotStuffTimeout,
        (MessageClass::CometBft | MessageClass::CometBftExtension, _, 1) => Format::CometBftProposal,
        (MessageClass::CometBft | MessageClass::CometBftExtension, _, _) => Format::CometBftVote,
    };
    let decoded = sigwarden_formats::decode(format, status.scheme, &message.sign_bytes)?;
    let Some(found) = &decoded.consensus else {
        return Err(NotDone::no("the sign bytes are no consensus message"));
    };
    if found.chain_id != chain_id {
        return Err(NotDone::no(format!(
            "the message is of chain `{}`, the floor is to be of `{chain_id}`; take the state file of that chain",
            found.chain_id
        )));
    }
    if found.position != position {
        return Err(NotDone::no(format!(
            "the sign bytes are of {}, the state says {position}: the file contradicts itself",
            found.position
        )));
    }
    let signature = RawSignature {
        bytes: message.signature.clone(),
        recovery_id: None,
    };
    verify(status.scheme, &status.public_key, &decoded.inputs.first, &signature).map_err(|invalid| {
        NotDone::no(format!(
            "the signature is not of this key ({invalid}): this is the state of another validator"
        ))
    })?;
    Ok(Taken::Message {
        identity: found.identity,
        sign_bytes: message.sign_bytes.clone(),
        timestamp: found.timestamp,
        signature: Some(message.signature.clone()),
    })
}
