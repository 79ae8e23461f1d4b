//! The life of a key's version: until when one in grace signs, when one is due to be replaced, and what a consensus key is bound to.

use crate::fact::{ConsensusMessage, Decoded, FactValue, Scalar};
use crate::floor::MessageClass;
use crate::key::KeyEntry;
use crate::refusal::{Code, Refusal};
use crate::state::KeyStatus;
use crate::vocabulary::{KeyState, vocabulary};
use crate::wire;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

vocabulary! {
    /// What a grace is measured in.
    Measure, "measure" {
        /// Milliseconds since the Unix epoch.
        Time = "time",
        /// The height of the message to sign.
        Height = "height",
        /// The view of the message to sign.
        View = "view",
        /// The epoch of the message to sign.
        Epoch = "epoch",
    }
}

/// Where a grace ends: the first time, height, view or epoch that the key does not sign at any more. Written `height:1200000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GraceEnd {
    /// What it is measured in.
    pub measure: Measure,
    /// The first value that is too late.
    #[serde(with = "wire::decimal")]
    pub at: u64,
}

impl fmt::Display for GraceEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.measure, self.at)
    }
}

impl FromStr for GraceEnd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is no end of a grace; `time:MILLISECONDS`, `height:N`, `view:N` or `epoch:N` is",
                crate::vocabulary::shown(text)
            )
        };
        let (measure, at) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self {
            measure: measure.parse().map_err(|_| wrong())?,
            at: at.parse().map_err(|_| wrong())?,
        })
    }
}

/// When a key's version is to be replaced. A rule without bounds never says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RotationRule {
    /// The greatest age, milliseconds.
    pub max_age_ms: Option<u64>,
    /// The greatest number of signatures.
    pub max_uses: Option<u64>,
    /// Refuse to sign once it is due; else only tell.
    pub enforce: bool,
}

/// Why a key's version is due to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Due {
    /// Too old.
    #[error("it is {age_ms} ms old, {max_ms} are the most")]
    Age {
        /// Its age.
        age_ms: u64,
        /// The rule.
        max_ms: u64,
    },
    /// Used too often.
    #[error("it has been used {uses} times, {max} are the most")]
    Uses {
        /// Its uses.
        uses: u64,
        /// The rule.
        max: u64,
    },
}

impl RotationRule {
    /// Why a key is due, if it is.
    #[must_use]
    pub fn due(&self, status: &KeyStatus, now_ms: u64) -> Option<Due> {
        let age_ms = now_ms.saturating_sub(status.created_ms);
        let by_age = self
            .max_age_ms
            .filter(|max| age_ms >= *max)
            .map(|max_ms| Due::Age { age_ms, max_ms });
        let by_uses = self
            .max_uses
            .filter(|max| status.uses >= *max)
            .map(|max| Due::Uses { uses: status.uses, max });
        by_age.or(by_uses)
    }
}

/// What the messages of a consensus key must say; what is not set is not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bound {
    /// The chain id, as the format writes it; HotStuff's in decimal.
    pub chain_id: Option<String>,
    /// The validator's id, in formats that carry one.
    pub validator_id: Option<u64>,
    /// The signature suite; 100 is ml-dsa-44.
    pub suite_id: Option<u16>,
}

/// Judges a decoded request by the key's life and binding.
///
/// # Errors
/// [`Code::KeyGrace`], [`Code::KeyRotation`], [`Code::KeyBinding`], [`Code::FormatTag`].
pub(crate) fn judge(key: &KeyEntry, status: &KeyStatus, decoded: &Decoded, now_ms: u64) -> Result<(), Refusal> {
    judge_grace(key, status, decoded, now_ms)?;
    if let Some(due) = key.rotation.filter(|rule| rule.enforce).and_then(|rule| rule.due(status, now_ms)) {
        return Err(Refusal::new(
            Code::KeyRotation,
            format!("{} is due to be rotated: {due}; `sigwarden keys rotate`, then `activate`", key.id),
        ));
    }
    if let Some(role) = decoded.role.filter(|role| !key.roles.contains(role)) {
        return Err(Refusal::new(
            Code::FormatTag,
            format!("the message's tag belongs to the role {role}, which {} has not", key.id),
        ));
    }
    match &decoded.consensus {
        Some(message) => judge_binding(key, message),
        None => judge_chain(key, decoded),
    }
}

/// Judges a decoded request by the grace of its key's version, if it is in one.
///
/// # Errors
/// [`Code::KeyGrace`].
pub(crate) fn judge_grace(key: &KeyEntry, status: &KeyStatus, decoded: &Decoded, now_ms: u64) -> Result<(), Refusal> {
    let (KeyState::Grace, Some(end)) = (status.state, status.grace) else {
        return Ok(());
    };
    let message = decoded.consensus.as_ref();
    let of_class = |wanted: Measure| {
        message.and_then(|message| {
            let carries = match message.class {
                MessageClass::CometBft | MessageClass::CometBftExtension => Measure::Height,
                MessageClass::HotStuff => Measure::View,
            };
            (carries == wanted).then_some(message.position.0[0])
        })
    };
    let now = match end.measure {
        Measure::Time => Some(now_ms),
        Measure::Height | Measure::View => of_class(end.measure),
        Measure::Epoch => message.and_then(|message| message.epoch),
    };
    match now {
        Some(now) if now < end.at => Ok(()),
        Some(_) => Err(Refusal::new(
            Code::KeyGrace,
            format!(
                "the grace of {} has ended ({end}); sign with the version that took its place",
                key.id
            ),
        )),
        // A key whose end cannot be told has none that would be safe.
        None => Err(Refusal::new(
            Code::KeyGrace,
            format!("the grace of {} ends by {}, which this message does not carry", key.id, end.measure),
        )),
    }
}

fn judge_binding(key: &KeyEntry, message: &ConsensusMessage) -> Result<(), Refusal> {
    let Some(bound) = &key.bound else { return Ok(()) };
    let refuse = |what: &str, wanted: &dyn fmt::Display, found: &dyn fmt::Display| {
        Err(Refusal::new(
            Code::KeyBinding,
            format!("{} is bound to {what} {wanted}, and the message has {found}", key.id),
        ))
    };
    if let Some(wanted) = bound.chain_id.as_ref().filter(|wanted| **wanted != message.chain_id) {
        return Err(wrong_chain(key, wanted, &message.chain_id));
    }
    if let (Some(wanted), Some(found)) = (bound.validator_id, message.validator_id)
        && wanted != found
    {
        return refuse("validator", &wanted, &found);
    }
    // A message that carries no suite is signed in the key's own.
    let suite = message.suite_id.or(key.scheme.suite_id());
    if let Some(wanted) = bound.suite_id.filter(|wanted| suite != Some(*wanted)) {
        return match suite {
            Some(found) => refuse("suite", &wanted, &found),
            None => refuse("suite", &wanted, &"none"),
        };
    }
    Ok(())
}

/// Judges what names a chain and takes no position on it: Celestia's raw bytes.
fn judge_chain(key: &KeyEntry, decoded: &Decoded) -> Result<(), Refusal> {
    let Some(wanted) = key.bound.as_ref().and_then(|bound| bound.chain_id.as_ref()) else {
        return Ok(());
    };
    let named = decoded
        .facts
        .iter()
        .find(|fact| fact.name == "cometbft.chain-id")
        .map(|fact| &fact.value);
    match named {
        Some(FactValue::One(Scalar::Text(found))) if found == wanted => Ok(()),
        Some(FactValue::One(Scalar::Text(found))) => Err(wrong_chain(key, wanted, found)),
        Some(_) => Err(Refusal::new(Code::Internal, "the decoder's chain id is no text")),
        None => Ok(()),
    }
}

fn wrong_chain(key: &KeyEntry, wanted: &str, found: &str) -> Refusal {
    let found = crate::vocabulary::shown(found);
    Refusal::new(
        Code::KeyBinding,
        format!("{} is bound to chain id {wanted}, and the message has {found}", key.id),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::fact::{SigningInput, SigningInputs};
    use crate::floor::Position;
    use crate::vocabulary::{Role, Scheme};

    fn key() -> KeyEntry {
        KeyEntry {
            id: "qbind.validator.v1".parse().unwrap(),
            roles: [Role::Consensus].into(),
            scheme: Scheme::MlDsa44,
            public_key: vec![7; 1312],
            backend: "hsm".into(),
            dangerous_allow_raw_messages: false,
            dangerous_allow_raw_digests: false,
            dangerous_allow_prefixed_raw: vec![],
            bound: Some(Bound {
                chain_id: Some("7".into()),
                validator_id: Some(3),
                suite_id: Some(100),
            }),
            rotation: None,
        }
    }

    fn status(state: KeyState, grace: Option<&str>) -> KeyStatus {
        KeyStatus {
            scheme: Scheme::MlDsa44,
            public_key: vec![7; 1312],
            created_ms: 1_000,
            state,
            grace: grace.map(|text| text.parse().unwrap()),
            version: 1,
            uses: 5,
        }
    }

    fn decoded(view: u64) -> Decoded {
        Decoded {
            facts: Vec::new(),
            inputs: SigningInputs::one(SigningInput::Message(vec![1])),
            consensus: Some(ConsensusMessage {
                chain_id: "7".into(),
                class: MessageClass::HotStuff,
                position: Position([view, 2, 0]),
                identity: [0; 32],
                sign_bytes: vec![1],
                timestamp: None,
                extension: None,
                validator_id: Some(3),
                suite_id: None,
                epoch: None,
            }),
            role: None,
        }
    }

    fn code(result: Result<(), Refusal>) -> Option<Code> {
        result.err().map(|refusal| refusal.kind())
    }

    #[test]
    fn a_message_that_differs_from_the_binding_is_refused() {
        let (key, status) = (key(), status(KeyState::Active, None));
        assert_eq!(code(judge(&key, &status, &decoded(9), 0)), None);
        let wrong: [fn(&mut ConsensusMessage); 3] = [
            |message| message.chain_id = "8".into(),
            |message| message.validator_id = Some(4),
            |message| message.suite_id = Some(101),
        ];
        for change in wrong {
            let mut decoded = decoded(9);
            change(decoded.consensus.as_mut().unwrap());
            assert_eq!(code(judge(&key, &status, &decoded, 0)), Some(Code::KeyBinding));
        }
        let mut classical = key.clone();
        classical.scheme = Scheme::Ed25519;
        assert_eq!(code(judge(&classical, &status, &decoded(9), 0)), Some(Code::KeyBinding));
    }

    #[test]
    fn a_grace_ends_by_time_view_height_or_epoch_and_in_doubt_has_ended() {
        let key = key();
        for (end, view, now, refused) in [
            ("view:10", 9, 0, false),
            ("view:10", 10, 0, true),
            ("time:500", 9, 499, false),
            ("time:500", 9, 500, true),
            // A HotStuff message carries neither.
            ("height:10", 9, 0, true),
            ("epoch:10", 9, 0, true),
        ] {
            let refusal = code(judge(&key, &status(KeyState::Grace, Some(end)), &decoded(view), now));
            assert_eq!(refusal, refused.then_some(Code::KeyGrace), "{end} {view} {now}");
        }
        let mut with_epoch = decoded(9);
        with_epoch.consensus.as_mut().unwrap().epoch = Some(4);
        assert_eq!(code(judge(&key, &status(KeyState::Grace, Some("epoch:5")), &with_epoch, 0)), None);
        assert_eq!(
            code(judge(&key, &status(KeyState::Grace, Some("epoch:4")), &with_epoch, 0)),
            Some(Code::KeyGrace)
        );
        // Only of a key in grace.
        assert_eq!(code(judge(&key, &status(KeyState::Active, Some("view:1")), &decoded(9), 0)), None);
    }

    #[test]
    fn a_rule_says_when_a_key_is_due_and_refuses_only_if_it_enforces() {
        let mut key = key();
        let status = status(KeyState::Active, None);
        let rule = |max_age_ms, max_uses, enforce| RotationRule {
            max_age_ms,
            max_uses,
            enforce,
        };
        for (rule, now, refused) in [
            (rule(Some(100), None, true), 1_099, false),
            (rule(Some(100), None, true), 1_100, true),
            (rule(Some(100), None, false), 1_100, false),
            (rule(None, Some(6), true), 0, false),
            (rule(None, Some(5), true), 0, true),
        ] {
            key.rotation = Some(rule);
            let refusal = code(judge(&key, &status, &decoded(9), now));
            assert_eq!(refusal, refused.then_some(Code::KeyRotation), "{rule:?} {now}");
        }
    }

    #[test]
    fn a_tag_belongs_to_a_role() {
        let mut key = key();
        key.roles = [Role::Batch].into();
        let status = status(KeyState::Active, None);
        let tagged = |role| Decoded {
            consensus: None,
            role: Some(role),
            ..decoded(1)
        };
        assert_eq!(code(judge(&key, &status, &tagged(Role::Batch), 0)), None);
        assert_eq!(code(judge(&key, &status, &tagged(Role::Governance), 0)), Some(Code::FormatTag));
    }

    #[test]
    fn an_end_reads_back_as_written() {
        for text in ["time:1", "height:18446744073709551615", "view:0", "epoch:3"] {
            assert_eq!(text.parse::<GraceEnd>().unwrap().to_string(), text);
        }
        for wrong in ["", "height", "height:", "height:-1", "block:3", "height:1:2"] {
            assert!(wrong.parse::<GraceEnd>().is_err(), "{wrong}");
        }
    }
}
