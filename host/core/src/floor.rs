//! Floors: the host's own guard against signing two messages for one position, whatever the policies did. Pure; the ledger keeps
//! them and [`crate::state::State::settle`] consults them under its lock.

use crate::fact::{ConsensusMessage, MessageTime};
use crate::vocabulary::vocabulary;
use crate::wire;
use serde::{Deserialize, Serialize};

vocabulary! {
    /// What shares one floor. One validator's proposals, prevotes and precommits share one, as in CometBFT's own
    /// `priv_validator_state.json`: (height, round, step) only rises.
    MessageClass, "message class" {
        /// CometBFT proposals, prevotes and precommits. Position: height, round, step (1 proposal, 2 prevote, 3 precommit).
        CometBft = "cometbft",
        /// CometBFT vote extensions, which are signed only beside their precommit. Position as the precommit's.
        CometBftExtension = "cometbft-extension",
        /// HotStuff proposals, votes and timeouts. Position: view, step (1 proposal, 2 vote, 3 timeout), 0: after a timeout in a view
        /// nothing is voted for in it any more.
        HotStuff = "hotstuff",
    }
}

/// BLAKE3 of a vote extension's sign bytes.
pub type ExtensionHash = [u8; 32];

/// The most sign bytes that a floor keeps. CometBFT's canonical votes and proposals have under 200 with the longest chain id.
pub const SIGN_BYTES_MAX: usize = 1024;

/// The longest chain id, in bytes. CometBFT allows 50.
pub const CHAIN_ID_MAX: usize = 64;

/// A place in a message class that may be taken once; compared from the first component to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position(#[serde(with = "wire::decimal_array")] pub [u64; 3]);

impl Position {
    /// The last position of a height: nothing at that height or below is signed any more.
    #[must_use]
    pub fn end_of_height(height: u64) -> Self {
        Self([height, u64::MAX, u64::MAX])
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [height, round, step] = self.0;
        if round == u64::MAX {
            write!(f, "{height}/end")
        } else {
            write!(f, "{height}/{round}/{step}")
        }
    }
}

/// Whose floor it is: one for each public key, chain and message class, so that two names for one key share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FloorKey {
    /// The key's public key.
    #[serde(with = "wire::bytes")]
    pub public_key: Vec<u8>,
    /// The chain.
    pub chain_id: String,
    /// The class.
    pub class: MessageClass,
}

/// What stands at a floor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Floor {
    /// The highest position taken.
    pub position: Position,
    /// By what.
    pub taken: Taken,
}

/// What took a floor's position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Taken {
    /// An operator set it: nothing at or below is signed.
    Operator,
    /// A message that Sigwarden decided to sign.
    Message {
        /// BLAKE3 of the canonical encoding without its timestamp.
        #[serde(with = "wire::array32")]
        identity: [u8; 32],
        /// The exact sign bytes: the one place where a payload is kept, so that a retried vote is answered with the first one.
        #[serde(with = "wire::bytes")]
        sign_bytes: Vec<u8>,
        /// The timestamp in them.
        timestamp: Option<MessageTime>,
        /// Its signature, once an outcome recorded it.
        #[serde(with = "wire::optional_bytes", default, skip_serializing_if = "Option::is_none")]
        signature: Option<Vec<u8>>,
    },
    /// A vote extension; only its hash is kept.
    Extension {
        /// BLAKE3 of its sign bytes.
        #[serde(with = "wire::array32")]
        hash: ExtensionHash,
    },
}

/// What the positions of a class are called, and the option that sets them.
fn measure(class: MessageClass) -> &'static str {
    match class {
        MessageClass::CometBft | MessageClass::CometBftExtension => "height",
        MessageClass::HotStuff => "view",
    }
}

/// The floor does not let the message pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FloorRefused {
    /// No floor yet: a ledger is never invented.
    #[error(
        "no floor is known for this key on chain `{chain_id}`, so an earlier vote cannot be excluded; give the last {measure} signed with `sigwarden floors set --key KEY --chain-id {} --{measure} N --reason TEXT`",
        quoted(chain_id),
        measure = measure(*class)
    )]
    Uninitialised {
        /// The chain asked for.
        chain_id: String,
        /// The class of message.
        class: MessageClass,
    },
    /// Something else was decided at this position.
    #[error("another message was signed at {position} on chain `{chain_id}`; signing this one would be a double sign")]
    Conflict {
        /// The chain.
        chain_id: String,
        /// The position.
        position: Position,
    },
    /// The position is below the floor.
    #[error("{position} on chain `{chain_id}` is below the floor, which stands at {floor}")]
    Regression {
        /// The chain.
        chain_id: String,
        /// The position asked for.
        position: Position,
        /// Where the floor stands.
        floor: Position,
    },
}

/// For a shell: a chain id is the caller's text, and the command is there to be copied.
fn quoted(chain_id: &str) -> String {
    format!("'{}'", chain_id.replace('\'', "'\\''"))
}

/// What the floors make of a consensus message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloorPassed {
    /// The position is free; taking it sets these floors.
    Advance(Vec<(FloorKey, Floor)>),
    /// The position was taken by the same message (its timestamp aside): what was decided then stands.
    Replay {
        /// The bytes decided then.
        sign_bytes: Vec<u8>,
        /// The timestamp in them.
        timestamp: Option<MessageTime>,
        /// The signature, if its outcome was recorded.
        signature: Option<Vec<u8>>,
        /// The floors to set: the extension's, if one comes along.
        floors: Vec<(FloorKey, Floor)>,
    },
}

/// Judges a consensus message by the floors of its key.
///
/// # Errors
/// The position is below the floor, taken by another message, or no floor is known.
pub fn judge<'a>(
    floor_of: impl Fn(&FloorKey) -> Option<&'a Floor>,
    public_key: &[u8],
    message: &ConsensusMessage,
) -> Result<FloorPassed, FloorRefused> {
    let chain_id = || message.chain_id.clone();
    let key = FloorKey {
        public_key: public_key.to_vec(),
        chain_id: chain_id(),
        class: message.class,
    };
    let floor = floor_of(&key).ok_or_else(|| FloorRefused::Uninitialised {
        chain_id: chain_id(),
        class: key.class,
    })?;
    let conflict = || FloorRefused::Conflict {
        chain_id: chain_id(),
        position: message.position,
    };
    let below = |floor: Position| FloorRefused::Regression {
        chain_id: chain_id(),
        position: message.position,
        floor,
    };

    let extension_floor = message.extension.map(|hash| {
        let key = FloorKey {
            public_key: public_key.to_vec(),
            chain_id: chain_id(),
            class: MessageClass::CometBftExtension,
        };
        (
            key,
            Floor {
                position: message.position,
                taken: Taken::Extension { hash },
            },
        )
    });
    let extension_stands_at = extension_floor
        .as_ref()
        .and_then(|(key, _)| floor_of(key))
        .map(|floor| floor.position);

    match message.position.cmp(&floor.position) {
        std::cmp::Ordering::Less => Err(below(floor.position)),
        std::cmp::Ordering::Greater => {
            if let Some(stands) = extension_stands_at.filter(|stands| *stands >= message.position) {
                return Err(below(stands));
            }
            let taken = Taken::Message {
                identity: message.identity,
                sign_bytes: message.sign_bytes.clone(),
                timestamp: message.timestamp,
                signature: None,
            };
            let mut floors = vec![(
                key,
                Floor {
                    position: message.position,
                    taken,
                },
            )];
            floors.extend(extension_floor);
            Ok(FloorPassed::Advance(floors))
        }
        std::cmp::Ordering::Equal => match &floor.taken {
            Taken::Message {
                identity,
                sign_bytes,
                timestamp,
                signature,
            } if *identity == message.identity => {
                // Another extension at this position is allowed here and only here: beside the same precommit.
                if let Some(stands) = extension_stands_at.filter(|stands| *stands > message.position) {
                    return Err(below(stands));
                }
                let new_extension = extension_floor.filter(|(key, floor)| floor_of(key) != Some(floor));
                Ok(FloorPassed::Replay {
                    sign_bytes: sign_bytes.clone(),
                    timestamp: *timestamp,
                    signature: signature.clone(),
                    floors: new_extension.into_iter().collect(),
                })
            }
            Taken::Message { .. } | Taken::Operator | Taken::Extension { .. } => Err(conflict()),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use std::collections::BTreeMap;

    fn vote(height: u64, step: u64, identity: u8) -> ConsensusMessage {
        ConsensusMessage {
            chain_id: "test-chain".into(),
            class: MessageClass::CometBft,
            position: Position([height, 0, step]),
            identity: [identity; 32],
            sign_bytes: vec![identity, 1],
            timestamp: None,
            extension: None,
            validator_id: None,
            suite_id: None,
            epoch: None,
        }
    }

    fn floors(position: Position, taken: Taken) -> BTreeMap<FloorKey, Floor> {
        let key = FloorKey {
            public_key: vec![9],
            chain_id: "test-chain".into(),
            class: MessageClass::CometBft,
        };
        BTreeMap::from([(key, Floor { position, taken })])
    }

    #[test]
    fn no_floor_refuses_even_the_first_vote() {
        assert!(matches!(
            judge(|_| None, &[9], &vote(1, 2, 1)),
            Err(FloorRefused::Uninitialised { .. })
        ));
        let odd = FloorRefused::Uninitialised {
            chain_id: "a'; rm".into(),
            class: MessageClass::CometBft,
        };
        assert!(odd.to_string().contains(r"--chain-id 'a'\''; rm' --height"), "{odd}");
        let of_views = FloorRefused::Uninitialised {
            chain_id: "7".into(),
            class: MessageClass::HotStuff,
        };
        let text = of_views.to_string();
        assert!(
            text.contains("give the last view signed") && text.contains("--chain-id '7' --view N"),
            "{text}"
        );
    }

    #[test]
    fn a_height_that_an_operator_closed_stays_closed() {
        let floors = floors(Position::end_of_height(10), Taken::Operator);
        let judge = |message: &ConsensusMessage| judge(|key| floors.get(key), &[9], message);
        assert!(matches!(judge(&vote(10, 3, 1)), Err(FloorRefused::Regression { .. })));
        assert!(matches!(judge(&vote(11, 1, 1)), Ok(FloorPassed::Advance(_))));
    }

    #[test]
    fn same_identity_replays_the_stored_bytes_and_another_is_a_conflict() {
        let mut first = vote(5, 3, 1);
        let Ok(FloorPassed::Advance(set)) = judge(
            |_| {
                Some(&Floor {
                    position: Position([4, 0, 3]),
                    taken: Taken::Operator,
                })
            },
            &[9],
            &first,
        ) else {
            panic!("5 is above 4")
        };
        let floors: BTreeMap<_, _> = set.into_iter().collect();
        first.sign_bytes = vec![7, 7, 7];
        let Ok(FloorPassed::Replay { sign_bytes, .. }) = judge(|key| floors.get(key), &[9], &first) else {
            panic!("same identity")
        };
        assert_eq!(sign_bytes, vec![1, 1], "the bytes decided first, not the new ones");
        assert!(matches!(
            judge(|key| floors.get(key), &[9], &vote(5, 3, 2)),
            Err(FloorRefused::Conflict { .. })
        ));
        assert!(matches!(
            judge(|key| floors.get(key), &[9], &vote(5, 2, 1)),
            Err(FloorRefused::Regression { .. })
        ));
    }

    #[test]
    fn another_extension_passes_only_beside_the_same_precommit() {
        let mut floors = floors(Position([4, 0, 3]), Taken::Operator);
        let mut precommit = vote(5, 3, 1);
        precommit.extension = Some([1; 32]);
        let Ok(FloorPassed::Advance(set)) = judge(|key| floors.get(key), &[9], &precommit) else {
            panic!("5 is above 4")
        };
        assert_eq!(set.len(), 2);
        floors.extend(set);
        precommit.extension = Some([2; 32]);
        let Ok(FloorPassed::Replay { floors: set, .. }) = judge(|key| floors.get(key), &[9], &precommit) else {
            panic!("same precommit")
        };
        assert_eq!(set[0].1.taken, Taken::Extension { hash: [2; 32] });
        precommit.identity = [3; 32];
        assert!(matches!(
            judge(|key| floors.get(key), &[9], &precommit),
            Err(FloorRefused::Conflict { .. })
        ));
    }
}
