//! The state behind every decision, as a pure value: what the ledger keeps in memory as authority, checkpoints and rebuilds.
//!
//! [`State`] is cheap to clone (persistent maps), so a clone is a snapshot. It changes only by [`Effect`]s, which are what records
//! carry: applying the effects of every record in order gives the state.

use crate::floor::{self, Floor, FloorKey, FloorPassed, Position, Taken};
use crate::key::KeyId;
use crate::ledger::{Conflict, Grant};
use crate::limit::Bucket;
use crate::proof::Approved;
use crate::staging::Staging;
use crate::vocabulary::{KeyState, Scheme};
use crate::watermark::Watermark;
use crate::wire;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A name in one policy instance's own space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateName {
    /// The policy's configured instance name.
    pub instance: Arc<str>,
    /// The name that the policy chose.
    pub name: Arc<str>,
}

/// A small value that a policy stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The value.
    pub value: Vec<u8>,
    /// Which write this was: commit validates reads by it. Never 0, which stands for "absent".
    pub version: u64,
}

/// What the ledger knows of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// How it signs.
    pub scheme: Scheme,
    /// The pinned public key, in the scheme's encoding.
    pub public_key: Vec<u8>,
    /// When it was generated or imported, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Its state.
    pub state: KeyState,
    /// Which change of the state this is; commit validates by it.
    pub version: u64,
    /// Signatures committed so far.
    pub uses: u64,
}

/// The whole state as of some record: cheap to clone, and a clone never changes. Read its maps as fields ([`Maps`]); changing goes
/// through [`State::apply`].
#[derive(Debug, Clone, Default)]
pub struct State(Arc<Maps>);

impl std::ops::Deref for State {
    type Target = Maps;

    fn deref(&self) -> &Maps {
        &self.0
    }
}

/// What a [`State`] holds. The maps share their nodes between versions, so that a changed copy costs a path, not a map.
#[derive(Debug, Clone, Default)]
pub struct Maps {
    /// Keys by id.
    pub keys: imbl::HashMap<KeyId, KeyStatus>,
    /// Floors.
    pub floors: imbl::HashMap<FloorKey, Floor>,
    /// Rate-limit buckets of policies.
    pub buckets: imbl::HashMap<StateName, Bucket>,
    /// Watermarks of policies.
    pub watermarks: imbl::HashMap<StateName, Watermark>,
    /// Small values of policies.
    pub storage: imbl::HashMap<StateName, Stored>,
    /// Policy instances that ever ran, with what they ran.
    pub policies: imbl::HashMap<Arc<str>, PolicyInstance>,
    /// The latest time of any record, milliseconds since the Unix epoch.
    pub high_water_ms: u64,
    /// Effects applied so far in this process; gives [`Stored::version`] and [`KeyStatus::version`] their values.
    pub revision: u64,
}

/// A policy instance as last recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInstance {
    /// SHA-256 of the module as delivered, hex.
    pub module_digest: String,
    /// SHA-256 of its configuration, hex.
    pub config_digest: String,
    /// The version in its manifest.
    pub version: String,
}

/// One change of the state, with absolute values: applying it twice is applying it once (but for [`Effect::Use`], which counts).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Effect {
    /// A bucket's new arrival time.
    Bucket {
        /// The policy instance.
        instance: Arc<str>,
        /// The bucket.
        name: Arc<str>,
        /// Nanoseconds since the Unix epoch.
        #[serde(with = "wire::decimal")]
        arrival_ns: u64,
    },
    /// A policy's watermark's new position.
    Watermark {
        /// The policy instance.
        instance: Arc<str>,
        /// The watermark.
        name: Arc<str>,
        /// Where it stands now.
        watermark: Watermark,
    },
    /// A policy's stored value, or its removal.
    Store {
        /// The policy instance.
        instance: Arc<str>,
        /// The name.
        name: Arc<str>,
        /// The value; none removes.
        #[serde(with = "wire::optional_bytes")]
        value: Option<Vec<u8>>,
    },
    /// A floor's new position.
    Floor {
        /// Whose.
        key: FloorKey,
        /// What stands there now.
        floor: Floor,
    },
    /// The signature made for the message at a floor.
    FloorSignature {
        /// Whose.
        key: FloorKey,
        /// The position it belongs to; ignored if the floor has moved on.
        position: Position,
        /// The signature.
        #[serde(with = "wire::bytes")]
        signature: Vec<u8>,
    },
    /// One more signature was committed for a key.
    Use {
        /// The key.
        key: KeyId,
    },
    /// A key became known, with the public key that pins it.
    KeyPinned {
        /// The key.
        key: KeyId,
        /// How it signs.
        scheme: Scheme,
        /// Its public key.
        #[serde(with = "wire::bytes")]
        public_key: Vec<u8>,
        /// Milliseconds since the Unix epoch.
        #[serde(with = "wire::decimal")]
        created_ms: u64,
        /// Its first state.
        state: KeyState,
    },
    /// A key's state changed.
    KeyState {
        /// The key.
        key: KeyId,
        /// What it is now.
        state: KeyState,
    },
    /// A policy instance began to run this module with this configuration.
    PolicyInstance {
        /// The instance.
        instance: Arc<str>,
        /// SHA-256 of the module, hex.
        module_digest: String,
        /// SHA-256 of the configuration, hex.
        config_digest: String,
        /// The manifest's version.
        version: String,
    },
}

/// What committing an approved request does, settled under the ledger's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The changes of state.
    pub effects: Vec<Effect>,
    /// What is signed or returned: one for each signing input.
    pub grants: Vec<Grant>,
    /// The request repeats an earlier decision.
    pub replay: bool,
}

impl State {
    /// Decides what committing `approved` does to the state as it is now: validates the key's state, judges the floors, and applies
    /// every staged change of every policy again. Changes nothing.
    ///
    /// # Errors
    /// A floor refuses, or something that a policy saw has changed so that it must be asked again.
    pub fn settle(&self, approved: &Approved) -> Result<Settlement, Conflict> {
        let request = approved.request();
        let key = request.key();
        let status = self.keys.get(&key.id).ok_or(Conflict::Stale("the key"))?;
        if status.version != request.key_status().version {
            return Err(Conflict::Stale("the key's state"));
        }

        let decoded = request.decoded();
        let mut effects = Vec::new();
        let mut first = Grant::Sign {
            input: decoded.inputs.first.clone(),
            timestamp: decoded.consensus.as_ref().and_then(|message| message.timestamp),
        };
        let mut replay = false;
        if let Some(message) = &decoded.consensus {
            let passed = floor::judge(|key| self.floors.get(key), &key.public_key, message).map_err(Conflict::Floor)?;
            let floors = match passed {
                FloorPassed::Advance(floors) => floors,
                FloorPassed::Replay {
                    sign_bytes,
                    timestamp,
                    signature,
                    floors,
                } => {
                    first = match signature {
                        Some(signature) => Grant::Recorded {
                            signature,
                            timestamp,
                            sign_bytes,
                        },
                        None => Grant::SignStored { sign_bytes, timestamp },
                    };
                    // Another extension beside the same precommit is something new: the policies' state counts it.
                    replay = floors.is_empty();
                    floors
                }
            };
            effects.extend(floors.into_iter().map(|(key, floor)| Effect::Floor { key, floor }));
        }
        if !replay {
            for report in approved.reports() {
                let mut again = Staging::new(self.clone(), Arc::clone(&report.instance), request.now_ms());
                if !again.stands(&report.changes) {
                    return Err(Conflict::Stale("a policy's state"));
                }
                effects.extend(again.into_effects());
            }
            effects.push(Effect::Use { key: key.id.clone() });
        }
        let second = decoded.inputs.second.clone().map(|input| Grant::Sign { input, timestamp: None });
        Ok(Settlement {
            effects,
            grants: std::iter::once(first).chain(second).collect(),
            replay,
        })
    }

    /// The maps, to fill them with what was stored of them. Records are applied by [`State::apply`].
    pub fn maps_mut(&mut self) -> &mut Maps {
        Arc::make_mut(&mut self.0)
    }

    /// Applies one effect.
    pub fn apply(&mut self, effect: &Effect) {
        let maps = Arc::make_mut(&mut self.0);
        maps.revision += 1;
        match effect {
            Effect::Bucket {
                instance,
                name,
                arrival_ns,
            } => {
                let name = StateName {
                    instance: Arc::clone(instance),
                    name: Arc::clone(name),
                };
                maps.buckets.insert(name, Bucket { arrival_ns: *arrival_ns });
            }
            Effect::Watermark { instance, name, watermark } => {
                let name = StateName {
                    instance: Arc::clone(instance),
                    name: Arc::clone(name),
                };
                maps.watermarks.insert(name, watermark.clone());
            }
            Effect::Store { instance, name, value } => {
                let name = StateName {
                    instance: Arc::clone(instance),
                    name: Arc::clone(name),
                };
                match value {
                    Some(value) => maps.storage.insert(
                        name,
                        Stored {
                            value: value.clone(),
                            version: maps.revision,
                        },
                    ),
                    None => maps.storage.remove(&name),
                };
            }
            Effect::Floor { key, floor } => {
                maps.floors.insert(key.clone(), floor.clone());
            }
            Effect::FloorSignature { key, position, signature } => {
                if let Some(Floor {
                    position: stands,
                    taken: Taken::Message { signature: slot, .. },
                }) = maps.floors.get_mut(key)
                    && stands == position
                {
                    *slot = Some(signature.clone());
                }
            }
            Effect::Use { key } => {
                if let Some(status) = maps.keys.get_mut(key) {
                    status.uses += 1;
                }
            }
            Effect::KeyPinned {
                key,
                scheme,
                public_key,
                created_ms,
                state,
            } => {
                let status = KeyStatus {
                    scheme: *scheme,
                    public_key: public_key.clone(),
                    created_ms: *created_ms,
                    state: *state,
                    version: maps.revision,
                    uses: 0,
                };
                maps.keys.insert(key.clone(), status);
            }
            Effect::KeyState { key, state } => {
                if let Some(status) = maps.keys.get_mut(key) {
                    status.state = *state;
                    status.version = maps.revision;
                }
            }
            Effect::PolicyInstance {
                instance,
                module_digest,
                config_digest,
                version,
            } => {
                let ran = PolicyInstance {
                    module_digest: module_digest.clone(),
                    config_digest: config_digest.clone(),
                    version: version.clone(),
                };
                maps.policies.insert(Arc::clone(instance), ran);
            }
        }
    }

    /// Notes the time of a record; it never falls.
    pub fn note_time(&mut self, now_ms: u64) {
        if now_ms > self.high_water_ms {
            Arc::make_mut(&mut self.0).high_water_ms = now_ms;
        }
    }
}
