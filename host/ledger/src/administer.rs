//! What operators change: keys, their states, policies, floors. Durable when it returns.

use crate::ledger::Inner;
use crate::record::{self, Kind, LINE_MAX};
use crate::render;
use sigwarden_core::floor::{FloorKey, Position};
use sigwarden_core::key::KeyId;
use sigwarden_core::ledger::LedgerFailure;
use sigwarden_core::state::{Effect, State};
use std::borrow::Cow;

/// What kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminKind {
    /// Public keys are pinned: [`Effect::KeyPinned`].
    PublicKey,
    /// Key states change: [`Effect::KeyState`].
    Lifecycle,
    /// Policy instances begin to run something: [`Effect::PolicyInstance`].
    PolicySet,
    /// Floors are set: [`Effect::Floor`].
    Floor,
    /// The wall clock is right: [`Effect::ClockAccepted`].
    Clock,
    /// A secret was set, read, listed or removed; no effects.
    SecretAccess,
    /// Something was done to the deployment that has no effects.
    Maintenance,
    /// The host noticed something that an operator should look at; no effects.
    Alarm,
}

impl AdminKind {
    fn kind(self) -> Kind {
        match self {
            Self::PublicKey => Kind::PublicKey,
            Self::Lifecycle => Kind::Lifecycle,
            Self::PolicySet => Kind::PolicySet,
            Self::Floor => Kind::Floor,
            Self::Clock => Kind::Clock,
            Self::SecretAccess => Kind::SecretAccess,
            Self::Maintenance => Kind::Maintenance,
            Self::Alarm => Kind::Alarm,
        }
    }

    /// Whether it tells something without changing the state.
    fn only_tells(self) -> bool {
        match self {
            Self::SecretAccess | Self::Maintenance | Self::Alarm => true,
            Self::PublicKey | Self::Lifecycle | Self::PolicySet | Self::Floor | Self::Clock => false,
        }
    }
}

/// A change by an operator.
#[derive(Debug, Clone)]
pub struct Administration {
    /// What kind.
    pub kind: AdminKind,
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The changes, all of this kind: all of them become durable, or none.
    pub effects: Vec<Effect>,
}

/// Why a change was not made. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdministerError {
    /// The ledger cannot.
    #[error(transparent)]
    Ledger(#[from] LedgerFailure),
    /// A floor that is not above the one that stands.
    #[error(
        "the floor of {} on chain `{}` ({}) stands at {stands}; {given} is not above it, and floors only rise",
        hex::encode(&key.public_key), key.chain_id, key.class
    )]
    FloorNotAbove {
        /// Whose floor.
        key: FloorKey,
        /// Where it stands.
        stands: Position,
        /// What was given.
        given: Position,
    },
    /// A key that is pinned already.
    #[error("{0} is known already; another public key is another version of the key")]
    KeyKnown(KeyId),
    /// A key that is not known.
    #[error("{0} is not known to the ledger; it is made known by `sigwarden keys generate` or `keys import`")]
    KeyUnknown(KeyId),
    /// An effect that this kind of change does not have, or none at all.
    #[error("a `{}` record does not hold such a change: {found}", kind.name())]
    Foreign {
        /// The kind.
        kind: Kind,
        /// What was given.
        found: String,
    },
}

/// Who and why are told in so many characters each.
const TEXT_MAX: usize = 1024;

impl Inner {
    pub(crate) fn administer(&self, administration: Administration) -> Result<u64, AdministerError> {
        let Administration {
            kind,
            operator,
            reason,
            now_ms,
            effects,
        } = administration;
        let (kind, only_tells) = (kind.kind(), kind.only_tells());
        let cut = |text: &str| text.chars().take(TEXT_MAX).collect::<String>();
        let body = render::render(&record::Administration {
            operator: Cow::Owned(cut(&operator)),
            reason: Cow::Owned(cut(&reason)),
        })?;
        let (sequence, turn) = {
            let mut sequencer = self.sequencer();
            sequencer.refuse_if_over()?;
            check(&sequencer.state, kind, &effects)?;
            let mut sequence = match only_tells {
                true => Ok(sequencer.record(kind, now_ms, Vec::new(), &body)?),
                false => Err(foreign(kind, "nothing")),
            };
            for effects in chunks(effects, body.len())? {
                sequence = Ok(sequencer.record(kind, now_ms, effects, &body)?);
            }
            (sequence?, sequencer.turn())
        };
        self.make_durable(turn)?;
        Ok(sequence)
    }
}

fn foreign(kind: Kind, found: impl Into<String>) -> AdministerError {
    AdministerError::Foreign { kind, found: found.into() }
}

/// Judges all effects in order, each after the ones before it.
fn check(state: &State, kind: Kind, effects: &[Effect]) -> Result<(), AdministerError> {
    let mut state = state.clone();
    for effect in effects {
        match effect {
            Effect::KeyPinned { key, .. } if kind == Kind::PublicKey => {
                if state.keys.contains_key(key) {
                    return Err(AdministerError::KeyKnown(key.clone()));
                }
            }
            Effect::KeyState { key, .. } if kind == Kind::Lifecycle => {
                if !state.keys.contains_key(key) {
                    return Err(AdministerError::KeyUnknown(key.clone()));
                }
            }
            Effect::PolicyInstance { .. } if kind == Kind::PolicySet => {}
            Effect::ClockAccepted { .. } if kind == Kind::Clock => {}
            Effect::Floor { key, floor } if kind == Kind::Floor => {
                if let Some(stands) = state.floors.get(key).filter(|stands| floor.position <= stands.position) {
                    return Err(AdministerError::FloorNotAbove {
                        key: key.clone(),
                        stands: stands.position,
                        given: floor.position,
                    });
                }
            }
            Effect::KeyPinned { .. }
            | Effect::KeyState { .. }
            | Effect::PolicyInstance { .. }
            | Effect::Floor { .. }
            | Effect::Bucket { .. }
            | Effect::Watermark { .. }
            | Effect::Store { .. }
            | Effect::FloorSignature { .. }
            | Effect::Request { .. }
            | Effect::RequestSigned { .. }
            | Effect::RequestForgotten { .. }
            | Effect::ClockAccepted { .. }
            | Effect::Use { .. } => return Err(foreign(kind, format!("{effect:?}"))),
        }
        state.apply(effect);
    }
    Ok(())
}

/// Parts that fit a line each, so that a thousand keys are one change and one durable write.
fn chunks(effects: Vec<Effect>, body: usize) -> Result<Vec<Vec<Effect>>, LedgerFailure> {
    // A line's fixed part has under 256 bytes.
    let room = LINE_MAX.saturating_sub(body + 256);
    let mut chunks = Vec::new();
    let (mut chunk, mut used) = (Vec::new(), 0);
    for effect in effects {
        let len = render::render(&effect)?.len() + 1;
        if len > room {
            return Err(LedgerFailure::RecordTooLarge(len + body + 256));
        }
        if used + len > room {
            chunks.push(std::mem::take(&mut chunk));
            used = 0;
        }
        used += len;
        chunk.push(effect);
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    Ok(chunks)
}
