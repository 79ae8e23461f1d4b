//! One version of a key after another: which it takes over from, and that two of a consensus key never sign one position.

use super::{Administrator, NotDone};
use sigwarden_core::floor::{FloorKey, MessageClass, Position, Taken};
use sigwarden_core::key::KeyId;
use sigwarden_core::lifecycle::{GraceEnd, Measure};
use sigwarden_core::state::{Effect, KeyStatus, State};
use sigwarden_core::{KeyState, Role};

impl Administrator {
    /// A consensus key that an effect leaves signing in a grace without an end.
    pub(super) fn endless(&self, effect: &Effect) -> Option<KeyId> {
        if let Effect::KeyState {
            key,
            state: KeyState::Grace,
            grace: None,
        } = effect
            && self.is_consensus(key)
        {
            return Some(key.clone());
        }
        None
    }

    fn is_consensus(&self, key: &KeyId) -> bool {
        self.config().key(key).is_some_and(|key| key.roles.contains(&Role::Consensus))
    }

    /// Two versions of a consensus key must never both sign one position, and the new one must be able to sign at all: its floors stand where
    /// the old one's do or higher, and where the old one's grace ends.
    pub(super) fn judge_succession(&self, state: &State, id: &KeyId, replaced: &KeyId, grace: Option<GraceEnd>) -> Result<(), NotDone> {
        if !self.is_consensus(id) && !self.is_consensus(replaced) {
            return Ok(());
        }
        let (Some(new), Some(old)) = (state.keys.get(id), state.keys.get(replaced)) else {
            return Ok(());
        };
        let Some(end) = grace.filter(|end| end.measure != Measure::Time) else {
            return Err(NotDone::no(format!(
                "without an end at which {replaced} stops, both versions could sign one position. Give the first that is the new version's: \
                 `--grace-until height:N` (or `view:N`, `epoch:N`)"
            )));
        };
        let measured = |class: MessageClass| match class {
            MessageClass::CometBft => Some(Measure::Height),
            MessageClass::HotStuff => Some(Measure::View),
            // It is signed beside its precommit only.
            MessageClass::CometBftExtension => None,
        };
        let of_old = || state.floors.iter().filter(|(floor, _)| floor.public_key == old.public_key);
        for (floor, taken) in of_old() {
            let Some(measure) = measured(floor.class) else { continue };
            // A chain has one kind of messages: a floor that an operator set for the other one by mistake says nothing of what was signed.
            let signs_others = of_old().any(|(other, stands)| {
                let another = measured(other.class).is_some_and(|other| other != measure);
                another && other.chain_id == floor.chain_id && matches!(stands.taken, Taken::Message { .. })
            });
            if signs_others && matches!(taken.taken, Taken::Operator) {
                continue;
            }
            let chain = &floor.chain_id;
            if end.measure != measure && end.measure != Measure::Epoch {
                return Err(NotDone::no(format!(
                    "{replaced} signs for chain {chain}, whose messages carry no {}. Give the first {measure} that is the new version's: \
                     `--grace-until {measure}:N`",
                    end.measure
                )));
            }
            let same = FloorKey {
                public_key: new.public_key.clone(),
                chain_id: chain.clone(),
                class: floor.class,
            };
            let from = state.floors.get(&same).map(|floor| floor.position);
            // The highest that the version in grace signs. An epoch's views are the chain's to know.
            let until = end
                .at
                .checked_sub(1)
                .filter(|_| end.measure != Measure::Epoch)
                .map(Position::end_of_height);
            let least = until.map_or(taken.position, |until| until.max(taken.position));
            if from.is_none_or(|from| from < least) {
                let what = from.map_or_else(|| "has no floor".to_owned(), |from| format!("has its floor at {from}"));
                return Err(NotDone::no(format!(
                    "{id} {what} for chain {chain}, and must not sign where {replaced} did or still does ({}, {end}). First: \
                     `sigwarden floors set --key {id} --chain-id {chain} --{measure} {} --reason TEXT`",
                    taken.position, least.0[0]
                )));
            }
        }
        Ok(())
    }
}

/// The versions that another one takes over from, and every other name of theirs: each that signs, or could again.
pub(super) fn replaced_by<'s>(state: &'s State, id: &KeyId, public_key: &[u8]) -> Vec<(&'s KeyId, &'s KeyStatus)> {
    let counts = |status: &KeyStatus| match status.state {
        KeyState::Active | KeyState::Grace | KeyState::Suspended => status.public_key != public_key,
        KeyState::Pending | KeyState::Revoked | KeyState::Destroyed => false,
    };
    let all = || state.keys.iter().map(|(other, status)| (other, status.as_ref()));
    let of_name = |other: &KeyId| other.name == id.name && other != id;
    let replaced: Vec<&[u8]> = all()
        .filter(|(other, status)| of_name(other) && counts(status))
        .map(|(_, status)| status.public_key.as_slice())
        .collect();
    // A replica is the same secret: a grace that did not bind it would end nothing.
    let mut old: Vec<_> = all()
        .filter(|(_, status)| counts(status) && replaced.contains(&status.public_key.as_slice()))
        .collect();
    old.sort_unstable_by_key(|(other, _)| *other);
    old
}

/// The key that an effect puts into a grace.
pub(super) fn graced(effect: &Effect) -> Option<KeyId> {
    if let Effect::KeyState {
        key,
        state: KeyState::Grace,
        ..
    } = effect
    {
        return Some(key.clone());
    }
    None
}
