//! The state behind every decision, as a pure value: what the ledger keeps in memory as authority, checkpoints and rebuilds.
//!
//! [`State`] is cheap to clone (persistent maps), so a clone is a snapshot. It changes only by [`Effect`]s, which are what records
//! carry: applying the effects of every record in order gives the state.

mod settle;

pub use crate::effect::Effect;
use crate::floor::{Floor, FloorKey, Taken};
use crate::key::KeyId;
use crate::lifecycle::GraceEnd;
use crate::limit::Bucket;
use crate::request_id::{Remembered, RequestTag};
use crate::vocabulary::{KeyState, Scheme};
use crate::watermark::Watermark;
pub use settle::Settlement;
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
    /// For a key in grace: where that ends. None: not before an operator ends it.
    pub grace: Option<GraceEnd>,
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

/// What a [`State`] holds. The maps share their nodes between versions, so that a changed copy costs a path, not a map; entries that
/// own memory are shared as well, since a node of the path is copied with all of its entries.
#[derive(Debug, Clone, Default)]
pub struct Maps {
    /// Keys by id.
    pub keys: imbl::HashMap<KeyId, Arc<KeyStatus>>,
    /// Floors.
    pub floors: imbl::HashMap<Arc<FloorKey>, Arc<Floor>>,
    /// Rate-limit buckets of policies.
    pub buckets: imbl::HashMap<StateName, Bucket>,
    /// Watermarks of policies.
    pub watermarks: imbl::HashMap<StateName, Watermark>,
    /// Small values of policies.
    pub storage: imbl::HashMap<StateName, Stored>,
    /// Policy instances that ever ran, with what they ran.
    pub policies: imbl::HashMap<Arc<str>, PolicyInstance>,
    /// Request ids that clients gave. Ordered: of a million, a hash map's nodes take three times the memory.
    pub requests: imbl::OrdMap<RequestTag, Arc<Remembered>>,
    /// The same by age, oldest first.
    pub requests_by_age: imbl::OrdSet<(u64, RequestTag)>,
    /// The latest time of any record, milliseconds since the Unix epoch.
    pub high_water_ms: u64,
    /// Effects applied so far in this process; gives [`Stored::version`] and [`KeyStatus::version`] their values.
    pub revision: u64,
}

impl Maps {
    /// Remembers a request id.
    pub fn remember(&mut self, tag: RequestTag, remembered: Remembered) {
        self.forget(tag);
        self.requests_by_age.insert((remembered.at_ms, tag));
        self.requests.insert(tag, Arc::new(remembered));
    }

    fn set_time(&mut self, now_ms: u64) {
        self.high_water_ms = now_ms;
        let now_ns = now_ms.saturating_mul(1_000_000);
        let ahead = |bucket: &Bucket| bucket.arrival_ns > now_ns;
        let wrong: Vec<_> = self
            .buckets
            .iter()
            .filter(|(_, bucket)| ahead(bucket))
            .map(|(name, _)| name.clone())
            .collect();
        for name in wrong {
            self.buckets.insert(name, Bucket { arrival_ns: now_ns });
        }
    }

    fn forget(&mut self, tag: RequestTag) {
        if let Some(remembered) = self.requests.remove(&tag) {
            self.requests_by_age.remove(&(remembered.at_ms, tag));
        }
    }
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

impl State {
    /// The maps, to fill them with what was stored of them. Records are applied by [`State::apply`].
    pub fn maps_mut(&mut self) -> &mut Maps {
        Arc::make_mut(&mut self.0)
    }

    /// Gives a policy instance what another has: buckets, watermarks, stored values. For a shadow, in a state of its own.
    pub(crate) fn copy_instance(&mut self, from: &Arc<str>, to: &Arc<str>) {
        fn copied<V: Clone>(map: &mut imbl::HashMap<StateName, V>, from: &Arc<str>, to: &Arc<str>) {
            let own: Vec<(StateName, V)> = map
                .iter()
                .filter(|(name, _)| name.instance == *from)
                .map(|(name, value)| {
                    let name = StateName {
                        instance: Arc::clone(to),
                        name: Arc::clone(&name.name),
                    };
                    (name, value.clone())
                })
                .collect();
            map.extend(own);
        }
        let maps = self.maps_mut();
        copied(&mut maps.buckets, from, to);
        copied(&mut maps.watermarks, from, to);
        copied(&mut maps.storage, from, to);
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
                maps.floors.insert(Arc::new(key.clone()), Arc::new(floor.clone()));
            }
            Effect::FloorSignature { key, position, signature } => {
                if let Some(floor) = maps.floors.get_mut(key).filter(|floor| floor.position == *position)
                    && let Taken::Message { signature: slot, .. } = &mut Arc::make_mut(floor).taken
                {
                    *slot = Some(signature.clone());
                }
            }
            Effect::Use { key } => {
                if let Some(status) = maps.keys.get_mut(key) {
                    Arc::make_mut(status).uses += 1;
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
                    grace: None,
                    version: maps.revision,
                    uses: 0,
                };
                maps.keys.insert(key.clone(), Arc::new(status));
            }
            Effect::KeyState { key, state, grace } => {
                if let Some(status) = maps.keys.get_mut(key) {
                    let status = Arc::make_mut(status);
                    status.state = *state;
                    status.grace = *grace;
                    status.version = maps.revision;
                }
            }
            Effect::Request {
                tag,
                version,
                identity,
                payload,
                decision,
                at_ms,
            } => {
                let remembered = Remembered {
                    version: *version,
                    identity: *identity,
                    payload: *payload,
                    decision: *decision,
                    at_ms: *at_ms,
                    signatures: Vec::new(),
                };
                maps.remember(*tag, remembered);
            }
            Effect::RequestSigned { tag, signatures } => {
                if let Some(remembered) = maps.requests.get_mut(tag) {
                    Arc::make_mut(remembered).signatures.clone_from(signatures);
                }
            }
            Effect::RequestForgotten { tag } => maps.forget(*tag),
            Effect::ClockAccepted { now_ms } => maps.set_time(*now_ms),
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
